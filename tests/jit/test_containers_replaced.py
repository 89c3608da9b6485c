"""Containers that a step writes into and that others replace, empty or fill between calls: each call writes into what is there.

29 ways to write, four things that happen outside, three sizes, reached in three ways.
"""

from __future__ import annotations

import collections
import itertools
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import flambeau as torch

CALLS = 6


class Holder:
    """Containers of `k` things each, of some kinds."""

    def __init__(self, k: int) -> None:
        self.fill(k)

    def fill(self, k: int) -> None:
        self.items: list[Any] = [torch.zeros(2)] * k
        self.table: dict[Any, Any] = {i: torch.zeros(1) for i in range(k)}
        self.seen = set(range(k))
        self.queue: collections.deque[Any] = collections.deque([1] * k)
        self.deep: dict[str, Any] = {"d": dict.fromkeys(range(k), 0), "l": [0] * k}


def clear_and_add(o: Any, x: Any) -> None:
    o.items.clear()
    o.items += [x.sum()]


def clear_and_append(o: Any, x: Any) -> None:
    o.items.clear()
    o.items.append(x.sum())


def delete_all(o: Any, x: Any) -> None:
    del o.items[:]
    o.items.append(x.sum())


def append_and_set(o: Any, x: Any) -> None:
    o.items.clear()
    o.items.append(0)
    o.items[0] = x.sum()


def by_a_local_name(o: Any, x: Any) -> None:
    found = o.items
    found.clear()
    found.append(x.sum())


def pop_and_append(o: Any, x: Any) -> None:
    o.items.pop()
    o.items.append(x.sum())


def clear_and_set(o: Any, x: Any) -> None:
    o.table.clear()
    o.table["a"] = x.sum()


def clear_and_update(o: Any, x: Any) -> None:
    o.table.clear()
    o.table.update(a=x.sum())


def set_a_key(o: Any, x: Any) -> None:
    o.table["a"] = x.sum()


def set_members(o: Any, x: Any) -> None:
    o.seen.clear()
    o.seen.add(3)


def queue(o: Any, x: Any) -> None:
    o.queue.clear()
    o.queue.append(x.sum())


def default_inside(o: Any, x: Any) -> None:
    o.table.setdefault("d", {})["a"] = x.sum()


def made_inside(o: Any, x: Any) -> None:
    if "d" not in o.table:
        o.table["d"] = {}
    o.table["d"]["a"] = x.sum()


def list_inside(o: Any, x: Any) -> None:
    if "d" not in o.table:
        o.table["d"] = []
    o.table["d"].append(x.sum())


def deep_clear(o: Any, x: Any) -> None:
    found = o.deep["d"]
    found.clear()
    found["a"] = x.sum()


def set_deep(o: Any, x: Any) -> None:
    o.deep["d"]["a"] = x.sum()


def swap_the_ends(o: Any, x: Any) -> None:
    o.items.append(x.sum())
    o.items[0], o.items[-1] = o.items[-1], o.items[0]


WRITES: list[Callable[[Any, Any], Any]] = [
    clear_and_add, clear_and_append, delete_all, append_and_set, by_a_local_name, pop_and_append, clear_and_set,
    clear_and_update, set_a_key, set_members, queue, default_inside, made_inside, list_inside, deep_clear, set_deep,
    swap_the_ends, lambda o, x: o.items.clear(), lambda o, x: o.items.append(x.sum()),
    lambda o, x: o.items.__setitem__(slice(None), [x.sum()]), lambda o, x: o.items.extend([x.sum()]),
    lambda o, x: o.items.append(len(o.items)), lambda o, x: o.items.insert(0, x.sum()),
    lambda o, x: o.items.__setitem__(0, x.sum()), lambda o, x: o.table.setdefault("a", x.sum()),
    lambda o, x: o.deep["l"].append(x.sum()), lambda o, x: o.table.setdefault("d", []).append(x.sum()),
    lambda o, x: o.items.reverse(), lambda o, x: o.queue.rotate(1)]


def replaced(o: Any, k: int) -> None:
    o.fill(k)


def emptied(o: Any, k: int) -> None:
    for held in (o.items, o.table, o.seen, o.queue, o.deep["d"], o.deep["l"]):
        held.clear()


def inside_replaced(o: Any, k: int) -> None:
    o.table["d"], o.deep["d"], o.deep["l"] = {"x": 1}, {}, [5]


def put_into(o: Any, k: int) -> None:
    o.items.append(7)
    o.table["q"], o.deep["d"]["w"] = 1, 1
    o.seen.add(9)
    o.queue.append(3)
    o.deep["l"].append(3)


OUTSIDE = [replaced, emptied, inside_replaced, put_into]


def run(write: Callable[[Any, Any], Any], outside: Callable[[Any, int], None], k: int, way: str,
        wrap: Callable[[Any], Any]) -> list[str]:
    o = Holder(2)

    def body(o: Any, x: Any) -> Any:
        with suppress(LookupError, AttributeError):
            write(o, x)
        return x * 2

    if way == "argument":
        given = wrap(body)
        step = lambda x: given(o, x)  # noqa: E731
    elif way == "method":
        kind: Any = type("Kind", (Holder,), {"step": body})
        o.__class__ = kind
        step = wrap(o.step)  # type: ignore[attr-defined]
    else:
        step = wrap(lambda x: body(o, x))
    found = []
    for i in range(CALLS):
        if i in (2, 4):
            outside(o, k)
        step(torch.ones(2) * i)
        found.append(str(vars(o)))
    return found


@pytest.mark.parametrize("outside", OUTSIDE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("number", range(len(WRITES)))
def test_each_call_writes_into_the_containers_that_are_there(number: int, outside: Any, numpy_engine: None) -> None:
    wrong = []
    for k, way in itertools.product((0, 1, 3), ("variable", "method", "argument")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted, found = (run(WRITES[number], outside, k, way, wrap) for wrap in (lambda f: f, torch.jit))
        wrong += [f"{k}, {way}, call {i + 1}: {b} is not {a}" for i, (a, b) in enumerate(zip(wanted, found)) if a != b]
    assert not wrong, "\n".join(wrong)
