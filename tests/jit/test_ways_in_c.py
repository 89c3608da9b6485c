"""Ways to objects that are written in C: what they lead to is read at each call, and what is written there is written again."""

from __future__ import annotations

import builtins
import enum
import functools
import operator
from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import Context, ContextVar
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
    """`use(way, x)` goes by it, `change` changes what it leads to, `state` tells that; `steady`: a call changes nothing."""

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


class Kinds(enum.Flag):
    A = 1
    B = 2


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


def one_of(one: Any, use: Callable[[Any, Any], Any]) -> Way:
    """A member that leads to another one."""
    other: Any = Act.R if one is Act.S else Kinds.A | Kinds.B
    other.scale = 1.0
    return Way(one, use, lambda: setattr(other, "scale", other.scale + 1), lambda: other.scale)


MEMBERS: dict[str, Callable[[], Way]] = {
    "by name": lambda: member(Act, "R", lambda act, x: x * act["R"].scale),
    "by value": lambda: member(Act, "R", lambda act, x: x * act("r").scale),
    "in a loop": lambda: member(Act, "S", lambda act, x: x * sum(a.scale for a in act)),
    "from the end": lambda: member(Act, "S", lambda act, x: x * sum(a.scale for a in reversed(act))),
    "in __members__": lambda: member(Act, "R", lambda act, x: x * act.__members__["R"].scale),
    "of the class of one": lambda: member(Act, "R", lambda act, x: x * type(act.S)["R"].scale),
    "of the __class__ of one": lambda: member(Act, "R", lambda act, x: x * act.S.__class__("r").scale),
    "by __getitem__": lambda: member(Act, "R", lambda act, x: x * act.__getitem__("R").scale),
    "as an attribute": lambda: member(Act, "R", lambda act, x: x * act.R.scale),
    "by getattr": lambda: member(Act, "R", lambda act, x: x * getattr(act["R"], "scale")),  # noqa: B009
    "written by name": lambda: member(Act, "R", lambda act, x: (set_scale(act["R"], 5.0), x)[1]),
    "written by value": lambda: member(Act, "R", lambda act, x: (set_scale(act("r"), 5.0), x)[1]),
    "counted": lambda: member(Act, "R", lambda act, x: (set_scale(act["R"], act["R"].scale * 2), x * act["R"].scale)[1]),
    "one of a class that is not named": lambda: one_of(Act.S, lambda one, x: x * type(one)["R"].scale),
    "flags together": lambda: one_of(Kinds.A, lambda one, x: x * (one | Kinds.B).scale),
    "numbers, by name": lambda: member(Level, "LOW", lambda act, x: x * act["LOW"].scale),
    "numbers, in a loop": lambda: member(Level, "HIGH", lambda act, x: x * sum(a.scale for a in act)),
}


class Scaled:
    def __init__(self, k: float) -> None:
        self.k, self.calls = k, 0

    def go(self, m: float = 1.0, by: Any = None) -> Any:
        return self.k * m * (1.0 if by is None else by.k)

    def count(self, by: Any) -> float:
        self.calls += 1
        by.k = 3.0
        return self.k


class Slotted:
    __slots__ = ("d",)

    def __init__(self, d: Any) -> None:
        self.d = d


class Wrong(ValueError):
    pass


def caller(use: Callable[[Any, Any, Any], Any], name: str, *args: Any, **kwargs: Any) -> Way:
    """What `operator.methodcaller` makes, called with an object; what it was given and the object become others in turns."""
    thing, both = Scaled(2.0), [v for v in (*args, *kwargs.values()) if isinstance(v, Scaled)]
    things = [thing, *both]

    def change() -> None:
        things.append(things.pop(0))
        things[0].k += 1.0

    made = operator.methodcaller(name, *args, **kwargs)
    return Way(made, lambda g, x: use(g, thing, x), change, lambda: [plain(v.__dict__) for v in (thing, *both)])


def error(made: Any, use: Callable[[Any, Any], Any], change: Callable[[Any], Any], steady: bool = True) -> Way:
    """An exception."""
    return Way(made, use, lambda: change(made), lambda: plain(made.args), steady)


def caused(held: Any) -> Any:
    """An exception with a cause that holds this."""
    made = ValueError("x")
    made.__cause__ = KeyError(held)
    return made


def slot(name: str, use: Callable[[Any, Any, Any], Any]) -> Way:
    """A method of the descriptor of a slot."""
    thing = Slotted(1.0)
    return Way(getattr(Slotted.__dict__["d"], name), lambda g, x: use(g, thing, x), lambda: setattr(thing, "d", 2.0 * thing.d),
               lambda: plain(thing.d))


def in_variable(use: Callable[[Any, Any], Any], default: bool) -> Way:
    """A context variable that holds a dictionary."""
    held: ContextVar[Any] = ContextVar("held", default={"k": 1.0})  # noqa: B039
    if not default:
        held.set({"k": 1.0})
    return Way(held, use, lambda: put(held.get(), "k"), lambda: plain(held.get()))


def scaled(x: Any, k: float, by: float = 1.0) -> Any:
    """What partial functions are made of."""
    return x * k * by


def summed(x: Any, k: float, by: float = 1.0) -> Any:
    """Another one."""
    return x + k + by


def in_context(use: Callable[[Any, Any], Any]) -> Way:
    """A context in which a variable holds a dictionary."""
    held, context = ContextVar[Any]("held"), Context()
    context.run(held.set, {"k": 1.0})
    return Way(context, lambda g, x: use(g.run(held.get), x), lambda: put(context[held], "k"), lambda: plain(context[held]))


def anything(read: Any) -> Way:
    """What reads attributes of what it is given."""
    thing = Holder(1.0)
    return Way(read, lambda g, x: x * g(thing, "k"), lambda: setattr(thing, "k", thing.k + 1), lambda: plain(thing))


def of_function(thing: Any) -> Way:
    """`__getattribute__` of a function."""
    thing.k = 1.0
    return Way(thing.__getattribute__, lambda g, x: x * g("k"), lambda: setattr(thing, "k", thing.k + 1), lambda: thing.k)


def of_partial(*states: Any) -> Way:
    """A partial function that is given other parts."""
    held, rest = functools.partial(scaled, k=2.0), [*states]
    return Way(held, lambda g, x: g(x), lambda: held.__setstate__(rest.pop(0) if rest else (scaled, (), {"k": 5.0}, None)),  # type: ignore[attr-defined]
               lambda: plain(held.keywords))


OTHERS: dict[str, Callable[[], Way]] = {
    "methodcaller": lambda: caller(lambda g, o, x: x * g(o), "go"),
    "methodcaller, number": lambda: caller(lambda g, o, x: x * g(o), "go", 3.0),
    "methodcaller, keyword": lambda: caller(lambda g, o, x: x * g(o), "go", m=3.0),
    "methodcaller, object": lambda: caller(lambda g, o, x: x * g(o), "go", 3.0, Scaled(4.0)),
    "methodcaller, object by keyword": lambda: caller(lambda g, o, x: x * g(o), "go", 3.0, by=Scaled(4.0)),
    "methodcaller, written": lambda: caller(lambda g, o, x: x * g(o), "count", Scaled(4.0)),
    "methodcaller, written by keyword": lambda: caller(lambda g, o, x: x * g(o), "count", by=Scaled(4.0)),
    "args": lambda: error(ValueError("x", {"k": 1.0}), lambda e, x: x * e.args[1]["k"], lambda e: put(e.args[1], "k")),
    "args, others": lambda: error(ValueError("x", 1.0), lambda e, x: x * e.args[1],
                                  lambda e: setattr(e, "args", ("x", e.args[1] + 1))),
    "args of a user's": lambda: error(Wrong("x", {"k": 1.0}), lambda e, x: x * e.args[1]["k"], lambda e: put(e.args[1], "k")),
    "args by getattr": lambda: error(Wrong({"k": 1.0}), lambda e, x: x * getattr(e, "args")[0]["k"],  # noqa: B009
                                     lambda e: put(e.args[0], "k")),
    "args in a text": lambda: error(ValueError("1"), lambda e, x: x * float(str(e)),
                                    lambda e: setattr(e, "args", (str(int(str(e)) + 1),))),
    "args, written into": lambda: error(ValueError({"k": 1.0}), lambda e, x: (e.args[0].update(m=x * 2), x)[1],
                                        lambda e: put(e.args[0], "k")),
    "args, set": lambda: error(ValueError(1.0), lambda e, x: (setattr(e, "args", (x * 2,)), x)[1],
                               lambda e: setattr(e, "args", (3.0,)), False),
    "value": lambda: error(StopIteration({"k": 1.0}), lambda e, x: x * e.value["k"], lambda e: put(e.value, "k")),
    "cause": lambda: error(caused({"k": 1.0}), lambda e, x: x * e.__cause__.args[0]["k"],
                            lambda e: put(e.__cause__.args[0], "k")),
    "methodcaller, getattr": lambda: anything(
        lambda thing, name, get=operator.methodcaller("__getattribute__", "k"): get(thing)),
    "slot, read": lambda: slot("__get__", lambda g, o, x: x * g(o)),
    "slot, set": lambda: slot("__set__", lambda g, o, x: (g(o, x * 2), x)[1]),
    "slot, read in the code": lambda: slot("__get__", lambda g, o, x: x * Slotted.d.__get__(o)),  # type: ignore[attr-defined]
    "slot, set in the code": lambda: slot("__get__", lambda g, o, x: (Slotted.d.__set__(o, x * 2), x)[1]),  # type: ignore[attr-defined]
    "variable": lambda: in_variable(lambda g, x: x * g.get()["k"], False),
    "variable, default": lambda: in_variable(lambda g, x: x * g.get()["k"], True),
    "variable, written": lambda: in_variable(lambda g, x: (g.get().update(m=x * 2), x)[1], False),
    "variable, default written": lambda: in_variable(lambda g, x: (g.get().update(m=x * 2), x)[1], True),
    "context": lambda: in_context(lambda k, x: x * k["k"]),
    "context, written": lambda: in_context(lambda k, x: (k.update(m=x * 2), x)[1]),
    "object.__getattribute__": lambda: anything(object.__getattribute__),
    "getattr": lambda: anything(getattr),
    "__dict__.__get__": lambda: anything(lambda thing, name, get=Holder.__dict__["__dict__"].__get__: get(thing)[name]),
    "function.__getattribute__": lambda: of_function(lambda: None),
    "partial": lambda: of_partial((scaled, (), {"k": 11.0}, None), (summed, (), {"k": 11.0}, None),
                                  (summed, (), {"k": 11.0, "by": 2.0}, None)),
    "partial, positions": lambda: of_partial((operator.mul, (3.0,), {}, None), (operator.mul, (4.0,), {}, None),
                                             (operator.add, (4.0,), {}, None)),
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


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("name", OTHERS)
def test_callers_exceptions_slots_variables_and_partial_functions(name: str, held: str, numpy_engine: None) -> None:
    check(OTHERS[name], held)


BUILTINS: dict[str, Callable[[Any], Any]] = {
    "number": lambda x: x * put_there,  # type: ignore[name-defined]  # noqa: F821
    "called": lambda x: x * given_there(),  # type: ignore[name-defined]  # noqa: F821
    "written": lambda x: (setattr(builtins, "put_there", 7.0), x)[1],
    "looked for": lambda x: x * (1.0 if not hasattr(builtins, "later_there") else later_there),  # type: ignore[name-defined]  # noqa: F821
}


@pytest.mark.parametrize("name", BUILTINS)
def test_names_that_were_put_into_builtins(name: str, numpy_engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    f = BUILTINS[name]
    step = torch.jit(f)
    for function in (step, f):
        for values in ((1.0, 2.0), (1.0, 2.0), (3.0, 2.0), (3.0, 4.0)):
            with monkeypatch.context() as patch:
                patch.setattr(builtins, "put_there", values[0], raising=False)
                patch.setattr(builtins, "given_there", (lambda k: lambda: k)(values[1]), raising=False)
                if values == (3.0, 4.0):
                    patch.setattr(builtins, "later_there", 5.0, raising=False)
                now = function(torch.ones(2)).tolist(), builtins.put_there  # type: ignore[attr-defined]
                then = f(torch.ones(2)).tolist(), builtins.put_there  # type: ignore[attr-defined]
                assert now == then
