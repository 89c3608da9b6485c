"""Lists among the arguments that a step appends to: it depends on what is in them only if it asks for that."""

from __future__ import annotations

import copy
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

import flambeau as torch

Pair = namedtuple("Pair", "log other")
WHOLE: list[Any] = []


@dataclass
class Kept:
    items: list[Any] = field(default_factory=list)


class Log:
    def __init__(self) -> None:
        self.items: list[Any] = []


class Taps(torch.nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.inner = Taps(depth - 1) if depth else None

    def forward(self, x: Any, taps: Any) -> Any:
        taps.append(x * 2)
        return x if self.inner is None else self.inner(x + 1, taps)


def near(x: Any, y: Any) -> bool:
    """Whether two results are of the same classes and hold the same."""
    return bool(plain(x) == plain(y))


def plain(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [plain(v) for v in x]
    return ("tensor", x.tolist()) if isinstance(x, torch.Tensor) else x


def note(history: Any, value: Any) -> None:
    history.append(value)


def handed_on(x: Any, h: Any) -> None:
    note(h, x.sum())


def added(x: Any, h: Any) -> None:
    h += [x.sum(), 1]


def asked_for(x: Any, h: Any = None) -> None:
    if h is not None:
        h.append(x.sum())


def under_another_name(x: Any, h: Any) -> None:
    out = h
    out.append(x)
    out.extend([x * 2, "text"])


def in_an_inner_function(x: Any, h: Any) -> None:
    (lambda: h.append(x))()


def returned(x: Any, h: Any) -> Any:
    note(h, x)
    return h, [h]


def called_twice(x: Any, h: Any) -> Any:
    note(h, x)
    return torch.jit(lambda y: note(h, y))(x * 3)


MAKE: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {  # the argument, and the list in it
    "list": (list, lambda a: a), "dict": (lambda: {"loss": []}, lambda a: a["loss"]),
    "tuple": (lambda: (1.0, [[]]), lambda a: a[1][0]), "named tuple": (lambda: Pair([], 2), lambda a: a.log),
    "dataclass": (Kept, lambda a: a.items), "object": (Log, lambda a: a.items),
    "namespace": (lambda: SimpleNamespace(deep={"er": []}), lambda a: a.deep["er"])}
WAYS = [handed_on, added, asked_for, under_another_name, in_an_inner_function, returned, called_twice]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", MAKE)
def test_one_program_whatever_is_in_them(numpy_engine: None, kind: str, way: Callable[[Any, Any], Any]) -> None:
    make, the_list = MAKE[kind]
    ours, theirs = make(), make()
    step = torch.jit(lambda x, a: way(x, the_list(a)))
    for k in range(8):
        x = torch.ones(2) * k
        found, wanted = step(x, ours), way(x, the_list(theirs))
        assert near(the_list(ours), the_list(theirs)) and near(found, wanted)
        if k == 5:
            the_list(ours).clear(), the_list(theirs).clear()
    assert step.stats.compiles == 1, step.why()


def test_taps_of_modules(numpy_engine: None) -> None:
    model, taps = Taps(3), []
    step = torch.jit(model)
    for k in range(1, 6):
        step(torch.ones(2), taps)
        assert len(taps) == 4 * k and taps[-1].tolist() == [8.0, 8.0]
    assert step.stats.compiles == 1, step.why()


def _last(h: Any) -> Any:
    return h[-1] if h else 0


READS: dict[str, Callable[[Any], Any]] = {
    "last": _last, "len": len, "sum": lambda h: sum(h, 0), "iteration": lambda h: [x * 2 for x in h], "slice": lambda h: h[1:],
    "copy": copy.copy, "deep copy": lambda h: len(copy.deepcopy(h)), "unpacking": lambda h: (*h,),
    "truth": lambda h: 1 if h else 2, "comparison": lambda h: h == [], "sum of lists": lambda h: [1, *([2] + h)],
    "stack": lambda h: torch.stack(h).sum() if h else 0, "type": lambda h: len(h) if type(h) is list else -1}


@pytest.mark.parametrize("first", [True, False], ids=["asked first", "asked last"])
@pytest.mark.parametrize("read", READS)
def test_what_is_asked_for_is_seen(numpy_engine: None, read: str, first: bool) -> None:
    def function(x: Any, a: Any) -> Any:
        before = READS[read](a["h"]) if first else None
        note(a["h"], x.sum())
        return before if first else READS[read](a["h"])

    ours, theirs, step = {"h": []}, {"h": []}, torch.jit(function)
    for k in range(4):
        x = torch.ones(2) * k
        assert near(step(x, ours), function(x, theirs))
        assert near(ours["h"], theirs["h"])


def test_what_one_branch_asks_for(numpy_engine: None) -> None:
    """Also if others that only append were there before."""
    def function(x: Any, h: Any, n: int) -> Any:
        note(h, x)
        return sum(h) if n % 3 == 2 else x * 2

    ours, theirs, step = [], [], torch.jit(function)
    for n in range(9):
        x = torch.ones(2) * n
        assert near(step(x, ours, n), function(x, theirs, n)) and near(ours, theirs)


def test_a_list_that_is_met_twice_or_known_outside(numpy_engine: None) -> None:
    def function(x: Any, a: Any, b: Any) -> Any:
        note(a["h"], x)
        return len(b), len(WHOLE)

    ours, theirs, step = [], [], torch.jit(function)
    for n in range(2):
        assert step(torch.ones(1), {"h": ours}, ours) == function(torch.ones(1), {"h": theirs}, theirs)
        assert step(torch.ones(1), {"h": ours}, [n]) == function(torch.ones(1), {"h": theirs}, [n])
        before = len(WHOLE)
        assert step(torch.ones(1), {"h": WHOLE}, []) == (0, before + 1) and len(WHOLE) == before + 1
    assert near(ours, theirs)


def test_a_failing_step_appends_nothing(numpy_engine: None) -> None:
    fail = [False]

    def function(x: Any, h: Any) -> Any:
        note(h, x)
        if fail[0]:
            raise ValueError("half way")

    step, h = torch.jit(function), []
    step(torch.ones(1), h), step(torch.ones(1), h)
    fail[0] = True
    with pytest.raises(ValueError, match="half way"):
        step(torch.ones(1), h)
    assert len(h) == 2
    fail[0] = False
    step(torch.ones(1), h)
    assert len(h) == 3


def test_errors_that_are_caught_hide_no_question(numpy_engine: None) -> None:
    def function(x: Any, h: Any) -> Any:
        note(h, x)
        try:
            return h[-2] * 1
        except BaseException:
            return x * 0

    ours, theirs, step = [], [], torch.jit(function)
    for n in range(4):
        assert near(step(torch.ones(1) * n, ours), function(torch.ones(1) * n, theirs)) and near(ours, theirs)
