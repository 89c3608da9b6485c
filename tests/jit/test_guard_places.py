"""Every way of holding a value times every way of reading it: jitted code sees each change, and nothing else costs a trace."""

from __future__ import annotations

import argparse
import array
import collections
import contextlib
import contextvars
import dataclasses
import enum
import functools
import operator
import queue
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn

X = torch.tensor([1.0, -2.0, 3.0])
GLOBAL: Any = None
KEPT: list[Any] = []  # what weak references lead to


def check(function: Callable[[Any], Any], change: Callable[[int], Any], traces: int = 2) -> None:
    """First call, a second one without a trace, a change, and the change taken back."""
    step = torch.jit(function)
    before = function(X).tolist()
    assert step(X).tolist() == pytest.approx(before, rel=1e-5, abs=1e-6)
    assert step(X).tolist() == pytest.approx(before, rel=1e-5, abs=1e-6)
    assert step.stats.compiles == 1, step.why()
    change(1)
    after = function(X).tolist()
    assert after != before
    assert step(X).tolist() == pytest.approx(after, rel=1e-5, abs=1e-6)
    assert step(X).tolist() == pytest.approx(after, rel=1e-5, abs=1e-6)
    change(0)
    assert step(X).tolist() == pytest.approx(function(X).tolist(), rel=1e-5, abs=1e-6)
    assert step.stats.compiles <= traces, step.why()


# --- Attributes: who has them, and how code reads them ----------------------------------------------------------------


class Plain:
    def read(self) -> float:
        return self.k  # type: ignore[attr-defined, no-any-return]

    @property
    def shown(self) -> float:
        return self.k  # type: ignore[attr-defined, no-any-return]


class Slotted(Plain):
    __slots__ = ("k",)


@dataclasses.dataclass
class Data(Plain):
    k: float = 2.0
    other: int = 0


class Net(nn.Module):
    read, shown = Plain.read, Plain.shown


class Layer(nn.Linear):
    read, shown = Plain.read, Plain.shown


class Texts(str):
    read, shown = Plain.read, Plain.shown


class Numbers(float):
    read, shown = Plain.read, Plain.shown


class Lists(list[Any]):
    read, shown = Plain.read, Plain.shown


class Tables(dict[str, Any]):
    read, shown = Plain.read, Plain.shown


class Pairs(tuple[Any, ...]):
    read, shown = Plain.read, Plain.shown


class Members(set[Any]):
    read, shown = Plain.read, Plain.shown


class Local(threading.local):
    read, shown = Plain.read, Plain.shown


class Partial(functools.partial[Any]):
    read, shown = Plain.read, Plain.shown


class Arrays(np.ndarray[Any, Any]):
    read, shown = Plain.read, Plain.shown


class Failure(Exception):
    read, shown = Plain.read, Plain.shown


class Namespace(argparse.Namespace):
    read, shown = Plain.read, Plain.shown


class Simple(types.SimpleNamespace):
    read, shown = Plain.read, Plain.shown


class Choice(enum.Enum):
    ONE = 1

    read, shown = Plain.read, Plain.shown


class Events(threading.Event):
    read, shown = Plain.read, Plain.shown


def a_class() -> Any:
    class Holder(Plain):
        k = 2.0

        read = classmethod(Plain.read)  # type: ignore[assignment, arg-type]

    return Holder


OWNERS: dict[str, Callable[[], Any]] = {
    "object": Plain, "slots": Slotted, "dataclass": Data, "module": Net, "layer": lambda: Layer(2, 2),
    "text": lambda: Texts("a"), "number": lambda: Numbers(1.0), "list": Lists, "dict": Tables, "tuple": Pairs, "set": Members,
    "thread": Local, "partial": lambda: Partial(abs), "array": lambda: np.zeros(2).view(Arrays), "exception": Failure,
    "argparse": Namespace, "namespace": Simple, "enum": lambda: Choice.ONE, "event": Events, "class": a_class,
    "function": lambda: lambda x: x, "tensor": lambda: torch.ones(3), "parameter": lambda: nn.Parameter(torch.ones(3)),
    "weak proxy": lambda: weakref.proxy(KEPT[-1]),
}
READERS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "attribute": lambda o: lambda x: x * o.k,
    "getattr": lambda o: lambda x: x * getattr(o, "k"),  # noqa: B009
    "getattr with default": lambda o: lambda x: x * getattr(o, "k", 0.0),
    "concatenated name": lambda o: lambda x: x * getattr(o, "".join(["k"]) + ""),
    "name of a variable": lambda o: lambda x, name="k": x * getattr(o, name),
    "attrgetter": lambda o: lambda x: x * operator.attrgetter("k")(o),
    "in a comprehension": lambda o: lambda x: [x * o.k for _ in range(2)][1],
    "in a function inside": lambda o: lambda x: (lambda y: y * o.k)(x),
    "method": lambda o: lambda x: x * o.read(),
    "property": lambda o: lambda x: x * o.shown,
    "getattr by another name": lambda o: (lambda read: lambda x: x * read(o, "k"))(getattr),
}
WITHOUT_METHODS = ("function", "tensor", "parameter")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("owner", OWNERS)
def test_attributes(owner: str, reader: str) -> None:
    if reader in ("method", "property") and (owner in WITHOUT_METHODS or (owner, reader) == ("class", "property")):
        pytest.skip("has none")
    KEPT.append(Plain())
    thing = OWNERS[owner]()
    thing.k = 2.0
    check(READERS[reader](thing), lambda k: setattr(thing, "k", 2.0 + k))


# --- Contents: what they are in, and how code gets there --------------------------------------------------------------


class Doubling(dict[str, float]):
    """Its way of reading is nobody else's business."""

    def __getitem__(self, key: str) -> float:
        return 2 * super().__getitem__(key)

    def values(self) -> Any:
        raise ImportError("not here")

    keys = items = __iter__ = __len__ = values  # type: ignore[assignment]


class Filled(dict[str, float]):
    def __missing__(self, key: str) -> float:
        return self["a"]


Held = tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any, float], Any]]  # made, read, changed


def entry(made: Callable[[Any], Any], read: Callable[[Any], Any] = lambda c: c["a"]) -> Held:
    return lambda: made({"a": 2.0}), read, lambda c, v: c.__setitem__("a", v)


def behind(made: Callable[[Any], Any], read: Callable[[Any], Any]) -> Held:
    """Something that shows a dictionary, which is changed."""
    tables: list[dict[str, Any]] = []

    def make() -> Any:
        tables.append({"a": 2.0})
        return made(tables[-1])

    return make, read, lambda c, v: tables[-1].__setitem__("a", v)


def swap(c: Any, v: float) -> None:
    c.clear()
    c.add(v)


def refill(c: Any, v: float) -> None:
    c.clear()
    c.extend([v])


def _variable() -> Any:
    made = contextvars.ContextVar[float]("c")
    made.set(2.0)
    return made


HELD: dict[str, Held] = {
    "list": (lambda: [2.0], lambda c: c[0], lambda c, v: c.__setitem__(0, v)),
    "list in a tuple": (lambda: ([2.0],), lambda c: c[0][0], lambda c, v: c[0].__setitem__(0, v)),
    "deque": (lambda: collections.deque([2.0]), lambda c: c[0], lambda c, v: refill(c, v)),
    "set": (lambda: {2.0}, lambda c: sum(c), swap),
    "set of objects": (lambda: {Plain}, lambda c: len(c), lambda c, v: c.add(Net) if v > 2 else c.discard(Net)),
    "dict": entry(dict), "ordered dict": entry(collections.OrderedDict), "counter": entry(collections.Counter),
    "user dict": entry(collections.UserDict), "chain map": entry(collections.ChainMap), "own reading": entry(Doubling),
    "what is missing": entry(Filled, lambda c: c["b"]),
    "default dict": entry(lambda d: collections.defaultdict(float, d)),
    "user list": (lambda: collections.UserList([2.0]), lambda c: c[0], lambda c, v: c.__setitem__(0, v)),
    "proxy": behind(types.MappingProxyType, lambda c: c["a"]),
    "proxy of a class of its own": behind(lambda d: types.MappingProxyType(d), lambda c: sum(c.values())),
    "values": behind(dict.values, lambda c: sum(c)), "items": behind(dict.items, lambda c: dict(c)["a"]),
    "keys": (lambda: KEPT.append({}) or KEPT[-1].keys(), lambda c: 1 + len(c),  # type: ignore[func-returns-value]
             lambda c, v: KEPT[-1].update(b=1) if v > 2 else KEPT[-1].clear()),
    "abstract values": behind(lambda d: collections.UserDict.values(_user_dict(d)), lambda c: sum(c)),
    "numpy": (lambda: np.array([2.0]), lambda c: float(c[0]), lambda c, v: c.__setitem__(0, v)),
    "numpy of objects": (lambda: np.array([{"a": 2.0}, None]), lambda c: c[0]["a"], lambda c, v: c[0].update(a=v)),
    "numpy record": (lambda: np.array([(2.0, None)], [("a", "f8"), ("o", object)]), lambda c: float(c["a"][0]),
                     lambda c, v: c.__setitem__("a", v)),
    "shape of an array": (lambda: np.zeros((2, 3)), lambda c: c.shape[0],
                          lambda c, v: c.resize((3, 2) if v > 2 else (2, 3), refcheck=False)),
    "bytes": (lambda: bytearray(b"\2"), lambda c: c[0], lambda c, v: c.__setitem__(0, int(v))),
    "memory": (lambda: memoryview(bytearray(b"\2")), lambda c: c[0], lambda c, v: c.__setitem__(0, int(v))),
    "array": (lambda: array.array("d", [2.0]), lambda c: c[0], lambda c, v: c.__setitem__(0, v)),
    "context variable": (_variable, lambda c: c.get(), lambda c, v: c.set(v)),
    "queue": (queue.Queue, lambda c: 1 + c.qsize(), lambda c, v: c.put(1) if v > 2 else c.get()),
    "null context": (lambda: contextlib.nullcontext(2.0), lambda c: c.__enter__(),
                     lambda c, v: setattr(c, "enter_result", v)),
    "order": (lambda: {"a": 2.0, "b": 3.0}, lambda c: next(iter(c.values())),
              lambda c, v: c.__setitem__("a" if v > 2 else "b", c.pop("a" if v > 2 else "b"))),
    "order of an ordered dict": (lambda: collections.OrderedDict(a=2.0, b=3.0), lambda c: next(iter(c.values())),
                                 lambda c, v: c.move_to_end("a" if v > 2 else "b")),
    "key of an equal value": (lambda: {"a": 2.0}, lambda c: 2.0 + ("a" in c),
                              lambda c, v: c.update({"b" if v > 2 else "a": c.popitem()[1]})),
}


def _user_dict(table: dict[str, Any]) -> Any:
    made = collections.UserDict[str, Any]()
    made.data = table
    return made


def by_global(c: Any, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    globals()["GLOBAL"] = c
    return lambda x: x * read(GLOBAL)


def by_default(c: Any, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def function(x: Any, given: Any = c, *, named: Any = None) -> Any:
        return x * read(given)

    return function


def by_method(c: Any, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    class Reader:
        def __init__(self) -> None:
            self.inside = c

        def __call__(self, x: Any) -> Any:
            return x * read(self.inside)

    return Reader()


def by_module(c: Any, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = c

        def forward(self, x: Any) -> Any:
            return x * read(self.inside)

    return Reader()


WAYS: dict[str, Callable[[Any, Callable[[Any], Any]], Callable[[Any], Any]]] = {
    "closure": lambda c, read: lambda x: x * read(c), "global": by_global, "default": by_default, "attribute": by_method,
    "attribute of a module": by_module,
    "argument of a partial": lambda c, read: functools.partial(lambda d, x: x * read(d), c),
    "keyword of a partial": lambda c, read: functools.partial(lambda x, d: x * read(d), d=c),
    "decorator of ours": lambda c, read: torch.no_grad()(lambda x: x * read(c)),
    "transform of ours": lambda c, read: torch.func.vmap(lambda x: x * read(c)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("held", HELD)
def test_contents(held: str, way: str) -> None:
    make, read, change = HELD[held]
    thing = make()
    check(WAYS[way](thing, read), lambda k: change(thing, 2.0 + k))


def test_the_sweep_is_complete() -> None:
    members = len(OWNERS) * len(READERS) - 7 + len(HELD) * len(WAYS)
    print(f"{members} places")
    assert members > 500
