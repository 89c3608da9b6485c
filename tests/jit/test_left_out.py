"""What of its arguments a step does not read: it is told apart by that only if it asks for it."""

from __future__ import annotations

import bisect
import copy
import heapq
import json
import operator
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
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
    if isinstance(x, dict):
        return {key: plain(v) for key, v in x.items()}
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


def test_a_list_that_is_only_appended_to_outside_and_looked_into_as_an_argument(numpy_engine: None) -> None:
    log: list[Any] = []

    def function(x: Any, b: Any) -> Any:
        log.append(x * 2)
        return b["l"][-1] + 1

    step = torch.jit(function)
    for k in range(1, 4):
        assert step(torch.ones(1) * k, {"l": log}).item() == 2 * k + 1 and len(log) == k
        assert step(torch.ones(1), {"l": [torch.ones(1) * k]}).item() == k + 1
        del log[-1]


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


PAST: dict[str, Callable[[Any], Any]] = {  # what looks into a list past the methods of its class
    "length": list.__len__, "index": lambda h: list.index(h, 3), "item": lambda h: list.__getitem__(h, 0), "copy": list.copy,
    "of its class": lambda h: h.__class__.__len__(h), "push": lambda h: heapq.heappush(h, 2), "heap": heapq.heapify,
    "sorted in": lambda h: bisect.insort(h, 2), "sum": sum, "behind": lambda h: [0] + h, "array": lambda h: np.array(h).tolist()}


@pytest.mark.parametrize("place", ["argument", "in a dict", "closure"])
@pytest.mark.parametrize("how", PAST)
def test_a_list_that_is_looked_into_past_its_methods(numpy_engine: None, how: str, place: str) -> None:
    look, kept = PAST[how], []

    def function(x: Any, h: Any) -> Any:
        inside = h if place == "argument" else h["h"] if place == "in a dict" else kept
        list.append(inside, 3) if how == "length" else inside.append(3)
        return x * 2, look(inside)

    step = torch.jit(function)
    for held in ([], [5], [5, 6], [1, 2], [4, 5, 6, 7], [], [9]):
        found = []
        for f in (step, function):
            kept[:] = held
            h = list(held) if place == "argument" else {"h": list(held)}
            found.append((f(torch.ones(1), h)[1], h, list(kept)))
        assert found[0] == found[1], held


# --- Values that nobody reads -----------------------------------------------------------------------------------------


@dataclass
class Batch:
    x: Any
    name: Any


class Named:
    s0, s1, s2, s3 = range(4)


def _moved(b: Any) -> Any:
    return {key: v.to("cpu") * 2 if isinstance(v, torch.Tensor) else v for key, v in b.items()}


def _asked_for_methods(b: Any) -> Any:
    return [v.to("cpu") * 2 if hasattr(v, "to") else v for v in b.values()]


def _predicted(b: Any) -> Any:
    b["pred"] = b["x"] * 3
    return b


def _exchanged(b: Any) -> Any:
    b["name"], b["x"] = b["x"], b["name"]
    return b["name"]


UNREAD: dict[str, Callable[[Any], Any]] = {
    "not touched": lambda b: b["x"] * 2, "handed on": lambda b: (lambda a: a["x"] * 2)(b), "moved": _moved,
    "copied": copy.deepcopy, "asked for methods": _asked_for_methods, "predicted": _predicted,
    "returned": lambda b: (b["name"], b["x"] * 2),
    "exchanged": _exchanged, "unpacked": lambda b: {**b, "y": b["x"] * 2}}
VALUES: dict[str, Callable[[int], Any]] = {"text": lambda k: f"s{k}", "bytes": lambda k: b"s%d" % k, "number": np.int64,
                                           "complex": np.complex64, "text of numpy": lambda k: np.str_(f"s{k}"),
                                           "texts": lambda k: [f"s{k}", "a"]}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("way", UNREAD)
def test_a_value_in_a_batch_that_nobody_reads(numpy_engine: None, way: str, kind: str) -> None:
    function, value = UNREAD[way], VALUES[kind]
    step = torch.jit(function)
    for k in range(6):
        ours, theirs = ({"x": torch.ones(2) * k, "name": value(k)} for _ in range(2))
        assert near(step(ours), function(theirs)) and near(ours, theirs)
    assert step.stats.compiles == (1 if kind == "number" else 2), step.why()  # numbers are inputs


def test_values_in_other_containers(numpy_engine: None) -> None:
    for make in (lambda k: Batch(torch.ones(2) * k, f"s{k}"), lambda k: SimpleNamespace(x=torch.ones(2) * k, name=f"s{k}"),
                 lambda k: Pair(torch.ones(2) * k, f"s{k}"), lambda k: [torch.ones(2) * k, (f"s{k}",)]):
        step = torch.jit(lambda b: (b[0] if isinstance(b, (list, tuple)) else b.x) * 2)
        for k in range(6):
            assert step(make(k)).tolist() == [2.0 * k] * 2
        assert step.stats.compiles == 2, step.why()


def _caught(b: Any) -> Any:
    try:
        return b["x"] * len(b["name"])
    except BaseException:
        return b["x"] * 100


def _refused(b: Any) -> Any:
    """The value goes to functions written in C, whose error is caught."""
    try:
        return b["x"] * int(b["name"][1:] if isinstance(b["name"], bytes) else b["name"], 36)
    except Exception:
        return b["x"] * 100


def _not_there(b: Any) -> Any:
    try:
        return b["x"] * getattr(Named, b["name"])
    except (AttributeError, TypeError):
        return b["x"] * 100


def _matched(b: Any) -> Any:
    match b:
        case {"name": "s2"}:
            return b["x"] * 2
    return b["x"] * 3


ASKED: dict[str, Callable[[Any], Any]] = {
    "len": lambda b: b["x"] * len(b["name"]), "equal": lambda b: b["x"] * (2 if b["name"] == "s2" else 3), "caught": _caught,
    "among": lambda b: b["x"] * (2 if b["name"] in ("s1", "s3") else 3), "key": lambda b: b["x"] * {"s1": 4}.get(b["name"], 5),
    "format": lambda b: (b["x"], f"<{b['name']}>", "%s" % b["name"]), "sum": lambda b: (b["x"], "a" + b["name"]),  # noqa: UP031
    "join": lambda b: (b["x"], "-".join(["a", b["name"]])), "getattr": lambda b: b["x"] * getattr(Named, b["name"]),
    "int": lambda b: b["x"] * int(b["name"][1:]), "truth": lambda b: b["x"] * (1 if b["name"] else 2), "matched": _matched,
    "sorted": lambda b: (b["x"], sorted([b["name"], "s2"])), "set": lambda b: (b["x"], len({b["name"], "s2"})),
    "json": lambda b: (b["x"], json.dumps([b["name"]])), "type": lambda b: (b["x"], type(b["name"]) is str),
    "refused": _refused, "not there": _not_there, "method": lambda b: (b["x"], b["name"].upper())}


@pytest.mark.parametrize("how", ASKED)
def test_a_value_that_is_asked_for_anything_is_told_apart(numpy_engine: None, how: str) -> None:
    function = ASKED[how]
    step = torch.jit(function)
    for k in range(4):
        b = {"x": torch.ones(2) * k, "name": f"s{k}"}
        assert near(step(b), function(b))


TRAIN, TEST = "train", "test"
WHICH: dict[str, Callable[[Any], bool]] = {
    "is": lambda m: m is TRAIN, "operator": lambda m: operator.is_(m, TRAIN), "id": lambda m: id(m) == id(TRAIN),
    "among": lambda m: any(m is other for other in (TRAIN, "other")), "is not": lambda m: m is not TEST}


@pytest.mark.parametrize("how", WHICH)
def test_which_object_a_value_is(numpy_engine: None, how: str) -> None:
    ask = WHICH[how]
    step = torch.jit(lambda b: b["x"] * (2 if ask(b["mode"]) else 3))
    for mode in (TRAIN, TEST, "other", TRAIN, TEST):
        assert step({"x": torch.ones(1), "mode": mode}).item() == (2 if ask(mode) else 3)


SCALARS: dict[str, Callable[[Any], Any]] = {
    "product": lambda b: b["x"] * b["i"], "other product": lambda b: b["i"] * b["x"], "index": lambda b: b["x"][b["i"]],
    "array": lambda b: (b["x"], int(np.array([b["i"], 1]).sum())), "tensor": lambda b: torch.tensor(b["i"]) * b["x"],
    "tensor of a list": lambda b: torch.tensor([b["i"], 2, 3, 4]) * b["x"], "range": lambda b: b["x"] * len(range(b["i"])),
    "size": lambda b: torch.ones(b["i"]).sum() * b["x"]}


@pytest.mark.parametrize("how", SCALARS)
def test_a_scalar_of_numpy_that_is_used(numpy_engine: None, how: str) -> None:
    function = SCALARS[how]
    step = torch.jit(function)
    for k in range(4):
        b = {"x": torch.arange(4) * (k + 1), "i": np.int64(k)}
        assert near(step(b), function(b))


def test_a_value_that_is_kept(numpy_engine: None) -> None:
    kept, holder = [], SimpleNamespace(last=None)

    def function(b: Any) -> Any:
        kept.append(b["name"])
        holder.last = b["name"]
        return b["x"] * 2

    step = torch.jit(function)
    for k in range(5):
        step({"x": torch.ones(2), "name": f"s{k}"})
        assert holder.last == f"s{k}" and type(holder.last) is str
    assert kept == [f"s{k}" for k in range(5)] and {*map(type, kept)} == {str}
    assert step.stats.compiles == 2, step.why()


def test_a_value_of_another_class_comes(numpy_engine: None) -> None:
    step = torch.jit(lambda b: b["x"] * (2 if b["name"] is None else 3))
    for name in ("a", "b", None, "c", torch.ones(1), 1, "d"):
        assert step({"x": torch.ones(1), "name": name}).item() == (2 if name is None else 3)


def test_many_values_of_a_list_take_no_trace_each(numpy_engine: None) -> None:
    traces = []

    def function(b: Any) -> Any:
        traces.append(1)
        return b["x"] * sum(len(name) for name in b["names"])

    step = torch.jit(function)
    for k in range(3):
        assert step({"x": torch.ones(1), "names": ["s" * k] * 50}).item() == 50 * k
    assert len(traces) < 10
