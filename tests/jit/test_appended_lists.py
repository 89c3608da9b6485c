"""Lists in containers to which a step appends: nothing depends on what is in them, unless code reads it."""

from __future__ import annotations

import copy
import functools
import heapq
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

pytestmark = pytest.mark.usefixtures("numpy_engine")


class Box:
    """Where a history is."""

    def __init__(self) -> None:
        self.h: dict[str, Any] = {"l": [], "m": [], "n": 0}


def plain(x: Any) -> Any:
    """Values, with the kinds of containers."""
    if isinstance(x, torch.Tensor):
        return x.tolist()
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return (type(x).__name__, [plain(v) for v in x]) if isinstance(x, (list, tuple)) else x


def _and(x: Any, *did: Any) -> Any:
    return x


APPENDS: dict[str, Callable[[Box, Any], Any]] = {
    "appended": lambda o, x: _and(x, o.h["l"].append((x * 2).detach())),
    "extended": lambda o, x: _and(x, o.h["l"].extend([1, x * 2])),
    "records": lambda o, x: _and(x, o.h["l"].append({"loss": x * 2})),
    "returned": lambda o, x: (x, o.h["l"], _and(1, o.h["l"].append(x * 2))),
    "kept elsewhere": lambda o, x: _and(x, o.h["l"].append(x * 2), setattr(o, "last", (1, o.h["l"]))),
    "all of them": lambda o, x: _and(x, [v.append(1) for v in o.h.values() if isinstance(v, list)])}
READS: dict[str, Callable[[Box, Any], Any]] = {
    "len": lambda o, x: _and(x, o.h["l"].append(1)) * len(o.h["l"]),
    "sum": lambda o, x: _and(x, o.h["l"].append(1)) * sum(o.h["l"]),
    "stack": lambda o, x: _and(x, o.h["l"].append(x * 1)) + torch.stack(o.h["l"]).sum(),
    "tensor": lambda o, x: _and(x, o.h["l"].append(1.0)) + torch.tensor(o.h["l"]).sum(),
    "copy": lambda o, x: (_and(x, o.h["l"].append(1)), copy.copy(o.h["l"])),
    "deepcopy": lambda o, x: (_and(x, o.h["l"].append(1)), copy.deepcopy(o.h)),
    "text": lambda o, x: (_and(x, o.h["l"].append(1)), f"{o.h}"),
    "equal": lambda o, x: (_and(x, o.h["l"].append(1)), o.h == {"l": [1], "m": [], "n": 0}),
    "behind": lambda o, x: (_and(x, o.h["l"].append(1)), [0] + o.h["l"]),
    "heap": lambda o, x: _and(x, heapq.heappush(o.h["l"], -len(o.h["m"])), o.h["m"].append(1)) * o.h["l"][0],
    "popped": lambda o, x: _and(x, o.h["l"].append(1), o.h["l"].append(2)) * o.h["l"].pop(0),
    "unpacked": lambda o, x: (_and(x, o.h["l"].append(1)), (*o.h["l"],)),
    "replaced": lambda o, x: _and(x, o.h["l"].append(1), o.h.update(m=o.h["l"], l=[]))}


def calls(f: Callable[[Box, Any], Any], compiled: bool) -> tuple[list[Any], int]:
    """What calls give and leave; the user appends, and puts another list there, in between."""
    box = Box()
    step = torch.jit(lambda x: f(box, x)) if compiled else lambda x: f(box, x)
    found = []
    for i in range(6):
        if i == 3:
            box.h["l"].append(torch.zeros(1) if f is READS["stack"] else 100)
        if i == 4:
            box.h["l"] = []
        found.append((plain(step(torch.full((1,), float(i)))), plain(box.h), plain(getattr(box, "last", None))))
    return found, step.stats.compiles if compiled else 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", APPENDS)
def test_appending_is_no_reason(name: str) -> None:
    """One program, for whatever is there."""
    found, compiles = calls(APPENDS[name], True)
    assert found == calls(APPENDS[name], False)[0] and compiles == 1


@pytest.mark.parametrize("name", READS)
def test_what_is_read_is_compared(name: str) -> None:
    """Each way of reading."""
    assert calls(READS[name], True)[0] == calls(READS[name], False)[0]


def test_lists_that_are_made_on_first_use() -> None:
    """That they come is one more program."""
    made: Any = defaultdict(list)

    def f(x: Any) -> Any:
        made["a"].append(1)
        made["b"].append(x * 2)
        return x

    step = torch.jit(f)
    for n in range(1, 6):
        step(torch.ones(1))
        assert made["a"] == [1] * n and plain(made["b"]) == ("list", [[2.0]] * n)
    assert step.stats.compiles <= 2


def test_history_of_a_module() -> None:
    """Beside what it counts."""
    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hist: dict[str, list[Any]] = {"a": []}
            self.steps = {"n": 0}

        def forward(self, x: Any) -> Any:
            self.hist["a"].append(x.detach() * 1)
            self.steps["n"] += 1
            return x * self.steps["n"]

    model = Watched()
    step = torch.jit(model)
    assert [step(torch.ones(1)).item() for _ in range(4)] == [1, 2, 3, 4]
    assert plain(model.hist["a"]) == ("list", [[1.0]] * 4) and step.stats.compiles == 1


@pytest.mark.parametrize("way", ["tuple", "default", "partial", "argument"])
def test_known_another_way(way: str) -> None:
    """The list is read by a way that is not its place."""
    def results(compiled: bool) -> list[Any]:
        items: list[Any] = []
        held, box = (items,), Box()
        box.h["l"] = items
        read = functools.partial(lambda found, x: x * len(found), items)

        def f(x: Any, given: Any = None, default: Any = items if way == "default" else ()) -> Any:
            box.h["l"].append(1)
            if way == "partial":
                return read(x)
            return x * len(held[0] if way == "tuple" else given if way == "argument" else default)

        step = torch.jit(f) if compiled else f
        return [step(torch.ones(1), items if way == "argument" else None).item() for _ in range(4)]

    assert results(True) == results(False)


def test_an_error_takes_back_what_was_appended() -> None:
    """While the function is traced."""
    box = Box()

    def f(x: Any, fails: bool) -> Any:
        box.h["l"].append(1)
        if fails:
            raise ValueError("no")
        return x

    step = torch.jit(f)
    step(torch.ones(1), False)
    with pytest.raises(ValueError, match="no"):
        step(torch.ones(1), True)
    assert box.h["l"] == [1] and type(box.h["l"]) is list
