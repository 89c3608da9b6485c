"""Sets that a step is given or reaches: written to as lists and dictionaries are, with their identity, wherever they come."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError

pytestmark = pytest.mark.usefixtures("numpy_engine")

X = torch.ones(2)


@dataclass
class Record:
    """A set beside a number."""

    seen: set[Any]
    n: int = 1


@dataclass(frozen=True)
class Frozen:
    """The same, and the field cannot be set."""

    seen: set[Any]


HOLDERS: dict[str, tuple[Callable[[set[Any]], Any], Callable[[Any], set[Any]]]] = {
    "itself": (lambda s: s, lambda h: h), "a list": (lambda s: [s], lambda h: h[0]),
    "a tuple": (lambda s: (s, 1), lambda h: h[0]),
    "a dictionary": (lambda s: {"s": s}, lambda h: h["s"]), "a dataclass": (Record, lambda h: h.seen),
    "a frozen one": (Frozen, lambda h: h.seen), "a namespace": (lambda s: types.SimpleNamespace(s=s, t=X), lambda h: h.s),
    "twice": (lambda s: [s, {"again": s}], lambda h: h[1]["again"])}


def _union(s: set[Any]) -> None:
    s |= {"q", 1}


WRITES: dict[str, Callable[[set[Any]], Any]] = {
    "add": lambda s: s.add("q"), "add what is there": lambda s: s.add("a"), "update": lambda s: s.update(["q", "r"]),
    "discard": lambda s: s.discard("a"), "remove": lambda s: s.remove("a") if "a" in s else None, "union": _union,
    "clear": lambda s: s.clear(), "difference": lambda s: s.difference_update({"a", 3}), "nothing": lambda s: None,
    "intersection": lambda s: s.intersection_update({"a", "b"}), "pop": lambda s: s.pop() if len(s) == 1 else None}
CONTENTS: list[set[Any]] = [{"a"}, {"a"}, set(), {"a", "b", 3}, {"a"}, set()]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("holder", HOLDERS)
def test_a_set_among_the_arguments(holder: str, write: str) -> None:
    hold, find = HOLDERS[holder]

    def step(h: Any, x: Any) -> Any:
        WRITES[write](find(h))
        return x * len(find(h)), find(h)

    jitted, found = torch.jit(step), []
    for function in (step, jitted):
        given = [set(contents) for contents in CONTENTS]
        results = [function(hold(s), X) for s in given]
        assert all(result[1] is s for result, s in zip(results, given))
        found.append((given, [result[0].tolist() for result in results]))
    assert found[0] == found[1]
    assert jitted.stats.compiles == 3, jitted.why()  # of what is in them, a program each


def test_two_sets_and_one_that_comes_twice() -> None:
    @torch.jit
    def step(p: Any, q: Any) -> Any:
        p.add("z")
        return len(q), p is q

    one = {"a"}
    assert step({"a"}, {"a"}) == (1, False) and step(one, one) == (2, True) and one == {"a", "z"}


seen: set[Any] = set()
BOX = types.SimpleNamespace(seen=set())


@pytest.mark.parametrize("place", ["global", "attribute", "closure"])
@pytest.mark.parametrize("there", [(), ("q",), ("t",)], ids=["empty", "the same", "another"])
def test_a_set_outside_that_is_bound_anew(place: str, there: tuple[str, ...]) -> None:
    """The idiom of a new set in each epoch, into which the step only puts things."""
    global seen
    cell: set[Any] = set(there)

    def outside(x: Any) -> Any:
        seen.add("q")
        return x

    def attribute(x: Any) -> Any:
        BOX.seen.add("q")
        return x

    def closure(x: Any) -> Any:
        cell.add("q")
        return x

    step = torch.jit({"global": outside, "attribute": attribute, "closure": closure}[place])
    for contents in (there, (), ("r",), (), there):
        seen = BOX.seen = cell = set(contents)
        step(X)
        found: set[Any] = {"global": seen, "attribute": BOX.seen, "closure": cell}[place]
        assert found == {*contents, "q"}
        found.clear()
        step(X)
        assert found == {"q"}
    assert step.stats.compiles == 1, step.why()


def test_a_failing_step_leaves_sets_as_they_were() -> None:
    given, outside = {"a"}, {"b"}

    @torch.jit
    def step(s: Any) -> None:
        s.add("q")
        outside.add("q")
        raise ValueError("half way")

    for _ in range(2):
        with pytest.raises(ValueError, match="half way"):
            step(given)
        assert given == {"a"} and outside == {"b"}


def test_a_tensor_of_the_step_is_no_member() -> None:
    with pytest.raises(TraceError, match="member of a set"):
        torch.jit(lambda s, x: s.add(x * 2))(set(), X)


def test_a_table_that_code_only_stores_into_leaves_numbers_inputs() -> None:
    box = types.SimpleNamespace(table={})

    @torch.jit
    def step(x: Any, n: int, s: float) -> Any:
        if round(s) in (1, 3):
            box.table.update(u=x, v=x)
        return x * n

    for n, s in [(5, 0.92), (4, -1.96), (2, 0.21), (6, 0.47), (6, 1.67), (2, -0.7), (9, 1.1)]:
        assert step(X, n, s).tolist() == [n, n]
    assert step.stats.compiles <= 4 and box.table.keys() == {"u", "v"}, step.why()
