"""Ways to objects that are written in C: what they lead to is read at each call, and what is written there is written again."""

from __future__ import annotations

import enum
import functools
from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest

import flambeau as torch

WAY: Any = None  # what a function of this test reads as a global


class Holder:
    def __init__(self, k: Any) -> None:
        self.k = k


def plain(x: Any) -> Any:
    """What something holds, with numbers for tensors."""
    if isinstance(x, torch.Tensor):
        return x.tolist()
    if isinstance(x, dict):
        return [(key, plain(value)) for key, value in x.items()]
    if isinstance(x, (list, tuple, deque)):
        return [plain(value) for value in x]
    if isinstance(x, set):
        return sorted(plain(value) for value in x)
    return plain(x.__dict__) if isinstance(x, Holder) else x


@dataclass
class Way:
    """`use(way, x)` goes by it, `change` changes what it leads to, `state` tells that; `steady`: a call changes nothing it reads."""

    way: Any
    use: Callable[[Any, Any], Any]
    change: Callable[[], Any]
    state: Callable[[], Any]
    steady: bool = True


def bound(thing: Any, name: str, use: Callable[[Any, Any], Any], change: Callable[[Any], Any], steady: bool = True) -> Way:
    """A method that was bound before."""
    return Way(getattr(thing, name), use, lambda: change(thing), lambda: plain(thing), steady)


def variable(name: str, use: Callable[[Any, Any], Any]) -> Way:
    """A method of a context variable."""
    held: ContextVar[Any] = ContextVar("held")
    held.set(1.0)
    return Way(getattr(held, name), use, lambda: held.set(held.get() + 1), lambda: plain(held.get()))


def put(thing: Any, key: Any) -> None:
    """Another number under this key."""
    thing[key] += 1.0


BOUND: dict[str, Callable[[], Way]] = {
    "dict.get": lambda: bound({"a": 1.0}, "get", lambda g, x: x * g("a"), lambda d: put(d, "a")),
    "dict.get of a dict": lambda: bound({"a": {"b": 1.0}}, "get", lambda g, x: x * g("a")["b"], lambda d: put(d["a"], "b")),
    "dict.__getitem__": lambda: bound({"a": 1.0}, "__getitem__", lambda g, x: x * g("a"), lambda d: put(d, "a")),
    "dict.setdefault": lambda: bound({"a": 1.0}, "setdefault", lambda g, x: x * g("a", 5.0) + g("b", 3.0), lambda d: put(d, "a")),
    "dict.__len__": lambda: bound({"a": 1.0}, "__len__", lambda g, x: x * g(), lambda d: d.__setitem__(len(d), 1.0)),
    "dict.items": lambda: bound({"a": 1.0}, "items", lambda g, x: x * sum(v for _, v in g()), lambda d: put(d, "a")),
    "dict.__setitem__": lambda: bound({"a": 1.0}, "__setitem__", lambda g, x: (g("b", x * 2), x)[1], lambda d: d.pop("b")),
    "dict.update": lambda: bound({"a": 1.0}, "update", lambda g, x: (g({"b": x * 2}), x)[1], lambda d: d.clear()),
    "dict.pop": lambda: bound({i: float(i) for i in range(9)}, "popitem", lambda g, x: x * g()[1], lambda d: put(d, 0), False),
    "OrderedDict.items": lambda: bound(OrderedDict(a=1.0, b=2.0), "items", lambda g, x: x * sum(v for _, v in g()),
                                       lambda d: put(d, "a")),
    "OrderedDict.move_to_end": lambda: bound(OrderedDict(a=1.0, b=2.0), "move_to_end", lambda g, x: (g("a"), x)[1],
                                             lambda d: d.move_to_end("b"), False),
    "list.__getitem__": lambda: bound([1.0, 2.0], "__getitem__", lambda g, x: x * g(0), lambda d: put(d, 0)),
    "list.copy": lambda: bound([1.0, 2.0], "copy", lambda g, x: x * sum(g()), lambda d: d.append(3.0)),
    "list.count": lambda: bound([1.0, 2.0], "count", lambda g, x: x * g(1.0), lambda d: d.append(1.0)),
    "list.append": lambda: bound([], "append", lambda g, x: (g(x * 2), x)[1], lambda d: d.append(3.0)),
    "list.extend": lambda: bound([1.0], "extend", lambda g, x: (g([x * 2, x]), x)[1], lambda d: d.pop()),
    "list.insert": lambda: bound([1.0], "insert", lambda g, x: (g(0, x * 2), x)[1], lambda d: d.append(3.0), False),
    "list.append, looked at": lambda: bound([1.0], "append", lambda g, x: (g(3.0), x * len(g.__self__))[1], lambda d: d.clear(),
                                            False),
    "deque.copy": lambda: bound(deque([1.0, 2.0]), "copy", lambda g, x: x * sum(g()), lambda d: d.append(3.0)),
    "deque.append": lambda: bound(deque([1.0], maxlen=3), "append", lambda g, x: (g(x * 2), x)[1], lambda d: d.append(3.0)),
    "deque.appendleft": lambda: bound(deque([1.0]), "appendleft", lambda g, x: (g(x * 2), x)[1], lambda d: d.append(3.0), False),
    "set.__contains__": lambda: bound({1, 2}, "__contains__", lambda g, x: x * (3.0 if g(1) else 4.0),
                                      lambda d: d.discard(1)),
    "set.add": lambda: bound({1, 2}, "add", lambda g, x: (g(3), x)[1], lambda d: d.discard(3), False),
    "object.__getattribute__": lambda: bound(Holder(1.0), "__getattribute__", lambda g, x: x * g("k"),
                                             lambda d: setattr(d, "k", d.k + 1)),
    "object.__setattr__": lambda: bound(Holder(1.0), "__setattr__", lambda g, x: (g("m", x * 2), x)[1],
                                        lambda d: setattr(d, "k", d.k + 1)),
    "ContextVar.get": lambda: variable("get", lambda g, x: x * g()),
    "ContextVar.set": lambda: variable("set", lambda g, x: (g(7.0), x)[1]),
}


class Act(enum.Enum):
    R = "r"
    S = "s"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


def member(kind: type[enum.Enum], name: str, use: Callable[[Any, Any], Any]) -> Way:
    """A class with members that have an attribute."""
    for x in kind:
        x.scale = 1.0  # type: ignore[attr-defined]

    def change() -> None:
        kind[name].scale += 1.0  # type: ignore[attr-defined]

    return Way(kind, use, change, lambda: [x.scale for x in kind])  # type: ignore[attr-defined]


def set_scale(act: Any, value: Any) -> None:
    """Write to a member."""
    act.scale = value


MEMBERS: dict[str, Callable[[], Way]] = {
    "by name": lambda: member(Act, "R", lambda act, x: x * act["R"].scale),
    "by value": lambda: member(Act, "R", lambda act, x: x * act("r").scale),
    "in a loop": lambda: member(Act, "S", lambda act, x: x * sum(a.scale for a in act)),
    "from the end": lambda: member(Act, "S", lambda act, x: x * sum(a.scale for a in reversed(act))),
    "in __members__": lambda: member(Act, "R", lambda act, x: x * act.__members__["R"].scale),
    "as an attribute": lambda: member(Act, "R", lambda act, x: x * act.R.scale),
    "by getattr": lambda: member(Act, "R", lambda act, x: x * getattr(act["R"], "scale")),  # noqa: B009
    "written by name": lambda: member(Act, "R", lambda act, x: (set_scale(act["R"], 5.0), x)[1]),
    "written by value": lambda: member(Act, "R", lambda act, x: (set_scale(act("r"), 5.0), x)[1]),
    "counted": lambda: member(Act, "R", lambda act, x: (set_scale(act["R"], act["R"].scale * 2), x * act["R"].scale)[1]),
    "numbers, by name": lambda: member(Level, "LOW", lambda act, x: x * act["LOW"].scale),
    "numbers, in a loop": lambda: member(Level, "HIGH", lambda act, x: x * sum(a.scale for a in act)),
}


def _global(way: Way) -> Callable[..., Any]:
    global WAY
    WAY = way.way
    use = way.use
    return lambda x: use(WAY, x)


def _closure(way: Way) -> Callable[..., Any]:
    use, held = way.use, way.way
    return lambda x: use(held, x)


def _attribute(way: Way) -> Callable[..., Any]:
    use, holder = way.use, Holder(way.way)
    return lambda x: use(holder.k, x)


def _list(way: Way) -> Callable[..., Any]:
    use, held = way.use, [way.way]
    return lambda x: use(held[0], x)


def _default(way: Way) -> Callable[..., Any]:
    use = way.use
    return lambda x, held=way.way: use(held, x)


def _partial(way: Way) -> Callable[..., Any]:
    held = functools.partial(way.use, way.way)
    return lambda x: held(x)


def _argument(way: Way) -> Callable[..., Any]:
    use = way.use
    return lambda x, held: use(held, x)


HELD = {"global": _global, "closure": _closure, "attribute": _attribute, "list": _list, "default": _default, "partial": _partial,
        "argument": _argument}


def calls(make: Callable[[], Way], held: str, wrap: Callable[..., Any]) -> tuple[list[Any], list[int], bool]:
    """What five calls give and leave, the second one without a change before it, and how many compiles there were by then."""
    way = make()
    step = wrap(HELD[held](way))
    found, compiles = [], []
    for i in range(5):
        if i > 1:
            way.change()
        x = torch.arange(2.0) + i
        found.append((step(x, way.way) if held == "argument" else step(x)).tolist())
        found.append(way.state())
        compiles.append(step.stats.compiles if wrap is torch.jit else 0)
    return found, compiles, way.steady


def check(make: Callable[[], Way], held: str) -> None:
    """A jitted function is as the one that it was made of."""
    found, compiles, steady = calls(make, held, torch.jit)
    assert found == calls(make, held, lambda f: f)[0]
    assert not steady or compiles[1] == compiles[0], compiles


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("name", BOUND)
def test_methods_that_were_bound_before(name: str, held: str, numpy_engine: None) -> None:
    check(BOUND[name], held)


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("name", MEMBERS)
def test_members_of_enumerations(name: str, held: str, numpy_engine: None) -> None:
    check(MEMBERS[name], held)
