"""What a step makes, returns or leaves is another thing at each call, with the numbers and tensors of that call."""

from __future__ import annotations

import array
import collections
import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError

pytestmark = pytest.mark.usefixtures("numpy_engine")


class Thing:
    """A plain class."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def times(self, x: Any) -> Any:
        return self.k * x


class Slotted:
    __slots__ = ("k",)

    def __init__(self, k: Any) -> None:
        self.k = k


@dataclasses.dataclass(frozen=True)
class Key:
    k: Any


class Texts(dict[str, Any]):
    """A user's dict."""


class Items(list[Any]):
    """A user's list."""


class Pair(tuple[Any, ...]):
    """A user's tuple."""


class Queue(collections.deque[Any]):
    """A user's deque."""


class SlottedItems(list[Any]):
    __slots__ = ("w",)


class Attributes(dict[str, Any]):
    """A dict whose items are its attributes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__dict__ = self


@dataclasses.dataclass
class Output(collections.OrderedDict[str, Any]):
    """Items that are attributes, too, as libraries of models return them."""

    logits: Any = None
    loss: Any = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                self[field.name] = getattr(self, field.name)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        super().__setattr__(key, value)


def ones(k: float = 1.0) -> Any:
    return torch.full((1,), k)


# --- Numbers --------------------------------------------------------------------------------------------------------------

HOLDERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {  # what makes one of a number, and what finds it there
    "object": (lambda k: Thing(k=k), lambda o: o.k),
    "in an object": (lambda k: Thing(o=Thing(k=[k])), lambda o: o.o.k[0]),
    "slots": (Slotted, lambda o: o.k),
    "namespace": (lambda k: types.SimpleNamespace(k=k), lambda o: o.k),
    "UserDict": (lambda k: collections.UserDict(k=k), lambda o: o["k"]),
    "ChainMap": (lambda k: collections.ChainMap({"k": k}, {}), lambda o: o["k"]),
    "slice": (lambda k: slice(0, k), lambda o: o.stop),
    "error": (lambda k: ValueError("text", k), lambda o: o.args[1]),
    "key": (lambda k: {Key(k): 1}, lambda o: next(iter(o)).k),
    "named tuple key": (lambda k: {collections.namedtuple("At", "k")(k): 1}, lambda o: next(iter(o)).k),
    "object key": (lambda k: {Thing(k=k): 1}, lambda o: next(iter(o)).k),
    "set": (lambda k: {k}, lambda o: next(iter(o))),
    "values": (lambda k: {"k": k}.values(), lambda o: next(iter(o))),
    "proxy": (lambda k: types.MappingProxyType({"k": k}), lambda o: o["k"]),
    "closure": (lambda k: lambda: k, lambda o: o()),
    "default": (lambda k: lambda n=k: n, lambda o: o()),
    "recursion": (lambda k: (lambda f: f)(_recursive(k)), lambda o: o(1)),
    "partial": (lambda k: functools.partial(max, k), lambda o: o(0)),
    "method": (lambda k: Thing(k=k).times, lambda o: o(1)),
    "method in C": (lambda k: {"k": k}.get, lambda o: o("k")),
    "factory": (lambda k: collections.defaultdict(lambda: k), lambda o: o["new"]),
    "attribute of a dict": (lambda k: _with_k(Texts(), k), lambda o: o.k),
    "attribute of a list": (lambda k: _with_k(Items(), k), lambda o: o.k),
    "attribute of a tensor": (lambda k: _with_k(ones() * 2, k), lambda o: o.k),
}


def _recursive(k: Any) -> Any:
    def again(n: int) -> Any:
        return again(n - 1) if n else k

    return again


def _with_k(x: Any, k: Any) -> Any:
    x.k = k
    return x


@pytest.mark.parametrize("name", HOLDERS)
def test_numbers_are_those_of_the_call(name: str) -> None:
    make, find = HOLDERS[name]
    held = Thing(last=None, all=[])

    def step(x: Any, k: int) -> Any:
        held.last = make(k)
        held.all.append(make(k))
        return x * 2, make(k)

    jitted = torch.jit(step)
    for k in (3, 4, 5):
        _, result = jitted(ones(), k)
        for made in (result, held.last, held.all[-1]):
            assert find(made) == k and type(find(made)) is int
    assert held.all[0] is not held.all[2]


# --- Things that may be changed -------------------------------------------------------------------------------------------

CHANGED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {  # made, changed, looked at
    "set": (lambda: {1}, lambda o: o.add(2), sorted),
    "object": (lambda: Thing(k=1), lambda o: o.times(1) and setattr(o, "k", 2), lambda o: o.k),
    "namespace": (lambda: types.SimpleNamespace(k=[]), lambda o: o.k.append(1), lambda o: o.k),
    "bytearray": (lambda: bytearray(b"a"), lambda o: o.append(1), bytes),
    "array": (lambda: array.array("i", [1]), lambda o: o.append(1), list),
    "numpy": (lambda: np.zeros(2), lambda o: o.fill(1), lambda o: o.tolist()),
    "numpy view": (lambda: np.zeros(2)[:1], lambda o: o.fill(1), lambda o: o.tolist()),
    "numpy objects": (lambda: np.array([[1], None], object), lambda o: o[0].append(1), lambda o: o.tolist()),
    "counting": (lambda: _counting(), lambda o: o(), lambda o: o()),
}


def _counting() -> Any:
    n = 0

    def count() -> int:
        nonlocal n
        n += 1
        return n

    return count


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_caller_changes_is_its_own(name: str) -> None:
    make, change, look = CHANGED[name]
    step = torch.jit(lambda x: (x * 2, make()))
    for _ in range(3):
        _, result = step(ones())
        assert look(result) == look(make())
        change(result)
    assert step.stats.compiles == 1


OUTSIDE = Thing(k=1)
NAMES = {"one": OUTSIDE}
ARRAY = np.zeros(2)


def test_what_was_there_is_itself() -> None:
    inside, members = Thing(k=2), {1}

    def step(x: Any, name: str) -> Any:
        return x * 2, OUTSIDE, NAMES[name], ARRAY, inside, members, ones, vars(inside), lambda: members

    jitted = torch.jit(step)
    for _ in range(2):
        result = jitted(ones(), "one")
        for found, there in zip(result[1:8], (OUTSIDE, OUTSIDE, ARRAY, inside, members, ones, vars(inside))):
            assert found is there
        assert result[8]() is members


def test_variables_that_two_functions_share_are_shared() -> None:
    def step(x: Any) -> Any:
        w = x * 2

        def put(value: Any) -> None:
            nonlocal w
            w = value

        return lambda: w, put

    jitted = torch.jit(step)
    for k in (1.0, 2.0):
        get, put = jitted(ones(k))
        assert get().item() == 2 * k
        put(7)
        assert get() == 7


@pytest.mark.parametrize("make", [lambda x: (y for y in [x]), iter, lambda x: zip([x]), lambda x: {"a": map(str, [x])}])
def test_iterators_are_refused(make: Any) -> None:
    with pytest.raises(TraceError, match=r"Return list\(\.\.\.\)"):
        torch.jit(lambda x: (x * 2, make([x])))(ones())


def test_a_thing_as_a_key_of_what_outlives_the_step_is_refused() -> None:
    left: dict[Any, Any] = {}
    with pytest.raises(TraceError, match="each call would need another one"):
        torch.jit(lambda x: left.update({Thing(): x}))(ones())
    assert not left


# --- Containers of users' classes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda x: Texts(x=x), lambda x: collections.OrderedDict(x=x), lambda x: Items([x]), lambda x: Queue([x]),
    lambda x: Pair((x,)), lambda x: SlottedItems([x])])
def test_attributes_of_containers_are_inputs(make: Any) -> None:
    step = torch.jit(lambda b: next(iter(b.values() if isinstance(b, dict) else b)) * b.w)
    for k in (2.0, 3.0, 4.0):
        given = make(ones(k))
        given.w = k
        assert step(given).item() == k * k
    assert step.stats.compiles == 1, step.why()


@pytest.mark.parametrize("make", [Items, Queue])
def test_what_a_step_does_to_a_container_of_a_users_class(make: Any) -> None:
    def step(items: Any) -> Any:
        items.n += 1
        items.last = items[0] * 2
        items.append(items.last)
        del items.gone
        return items

    jitted = torch.jit(step)
    for k in (1.0, 2.0, 3.0):
        given = make([ones(k)])
        given.n, given.gone = int(k), 1
        assert jitted(given) is given and given.n == k + 1 and given.last is given[1] and not hasattr(given, "gone")
        assert [x.item() for x in given] == [k, 2 * k]
    assert jitted.stats.compiles == 1, jitted.why()


def test_outputs_of_models() -> None:
    def step(given: Any) -> Any:
        given["loss"] = given.logits.sum()
        return given, Output(logits=given.logits * 2)

    jitted = torch.jit(step)
    for k in (1.0, 2.0):
        given = Output(logits=ones(k))
        same, made = jitted(given)
        assert same is given and given.loss is given["loss"] and given.loss.item() == k
        assert made.logits is made["logits"] and made.logits.item() == 2 * k and list(made) == ["logits"]
    assert jitted.stats.compiles == 1


def test_a_dict_whose_items_are_its_attributes() -> None:
    def step(given: Any) -> Any:
        given.y = given["x"] * 2
        given["z"] = given.y + given.x
        return given, Attributes(x=given.z)

    jitted = torch.jit(step)
    for k in (1.0, 2.0):
        given = Attributes(x=ones(k))
        same, made = jitted(given)
        assert same is given and list(given) == ["x", "y", "z"] and given.z is given["z"] and given.z.item() == 3 * k
        made.w = 1
        assert made["w"] == 1 and made["x"] is given.z


def test_tuples_that_are_given_are_returned() -> None:
    point = collections.namedtuple("point", "x y")
    step = torch.jit(lambda p, t: (p, t, t[1]))
    for k in (1.0, 2.0):
        p, t = point(ones(k), 1), (ones(), ("text", k))
        assert all(a is b for a, b in zip(step(p, t), (p, t, t[1])))


def test_errors_and_tuples_with_tensors() -> None:
    step = torch.jit(lambda x: (KeyError(x * 2), Pair((x * 3,))))
    for k in (1.0, 2.0):
        error, pair = step(ones(k))
        assert error.args[0].item() == 2 * k and pair[0].item() == 3 * k and type(pair) is Pair


# --- Attributes of tensors --------------------------------------------------------------------------------------------------


def test_attributes_of_results() -> None:
    def step(x: Any) -> Any:
        y = x * 2
        y.tag, y.other, y.seen = "a", x * 3, []
        return y, y[0]

    jitted = torch.jit(step)
    for k in (1.0, 2.0):
        y, _ = jitted(ones(k))
        assert y.tag == "a" and y.other.item() == 3 * k and y.seen == []
        y.seen.append(1)
    assert jitted.stats.compiles == 1


def test_attributes_of_arguments() -> None:
    def step(x: Any) -> Any:
        x.calls = getattr(x, "calls", 0) + 1
        x.double = x * 2
        if hasattr(x, "once"):
            del x.once
        return x * x.calls

    jitted, x = torch.jit(step), ones()
    x.once = True
    for k in (1, 2, 3):
        assert jitted(x).item() == x.calls == k and x.double.item() == 2 and not hasattr(x, "once")


# --- Classes and tables -------------------------------------------------------------------------------------------------------


class Twice(Thing):
    factor = 2.0


class Thrice(Thing):
    factor = 3.0


def test_a_class_that_is_exchanged_is_exchanged_at_each_call() -> None:
    thing = Twice()

    def step(x: Any) -> Any:
        y = x * thing.factor
        thing.__class__ = Thrice
        return y

    jitted = torch.jit(step)
    for expected in (2, 3, 2, 3):
        if expected == 2:
            thing.__class__ = Twice
        assert jitted(ones()).item() == expected and type(thing) is Thrice
    with pytest.raises(TraceError, match="the class Thrice"):
        torch.jit(lambda o: setattr(o, "__class__", Thrice))(Twice())


def test_a_table_that_is_exchanged_is_exchanged_at_each_call() -> None:
    thing = Thing(n=0, old=1)

    def step(x: Any) -> Any:
        thing.__dict__ = {"n": thing.n + 1, "t": x * 2}
        return x

    jitted = torch.jit(step)
    for k in (1, 2, 3):
        jitted(ones(k))
        assert vars(thing).keys() == {"n", "t"} and thing.n == k and thing.t.item() == 2 * k
