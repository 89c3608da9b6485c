"""A step that sets something to what it is already, or binds anew what it puts things into: it does so at every call."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.ones(1)
KEPT = torch.full((1,), 2.0)
RECORD = (1, 2)

# What is set, which is there already before the first call.
VALUES: dict[str, Any] = {"none": None, "int": 1, "float": 2.5, "text": "a", "tensor": KEPT, "tuple": RECORD, "true": True}
Place = tuple[Callable[[Any], None], Callable[[], Any]]


def attribute() -> Place:
    class Own:
        v: Any

    thing = Own()
    return lambda value: setattr(thing, "v", value), lambda: vars(thing)["v"]


def slot() -> Place:
    class Own:
        __slots__ = ("v",)

    thing = Own()
    return lambda value: setattr(thing, "v", value), lambda: getattr(thing, "v")  # noqa: B009


def namespace() -> Place:
    thing = types.SimpleNamespace()
    return lambda value: setattr(thing, "v", value), lambda: vars(thing)["v"]


def of_a_class() -> Place:
    class Own:
        v: Any = 0

    return lambda value: setattr(Own, "v", value), lambda: vars(Own)["v"]


def of_a_module() -> Place:
    module = nn.Linear(1, 1)
    return lambda value: setattr(module, "v", value), lambda: vars(module)["v"]


def of_a_part() -> Place:
    model = nn.Sequential(nn.Linear(1, 1))
    return lambda value: setattr(model[0], "v", value), lambda: vars(model[0])["v"]


def entry() -> Place:
    table: dict[str, Any] = {}
    return lambda value: table.__setitem__("v", value), lambda: table["v"]


def subscript() -> Place:
    table: dict[str, Any] = {}

    def put(value: Any) -> None:
        table["v"] = value

    return put, lambda: table["v"]


def item() -> Place:
    items = [0]

    def put(value: Any) -> None:
        items[0] = value

    return put, lambda: items[0]


GLOBAL: Any = None


def global_variable() -> Place:
    def put(value: Any) -> None:
        global GLOBAL
        GLOBAL = value

    return put, lambda: GLOBAL


def variable() -> Place:
    v: Any = None

    def put(value: Any) -> None:
        nonlocal v
        v = value

    return put, lambda: v


PLACES = [attribute, slot, namespace, of_a_class, of_a_module, of_a_part, entry, subscript, item, global_variable, variable]


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_what_is_set_is_set_at_every_call(numpy_engine: None, place: Callable[[], Place], name: str) -> None:
    value, (put, get) = VALUES[name], place()
    put(value)
    step = torch.jit(lambda x: put(value))
    for other in (7, "changed", None, 1, KEPT + 1, value):
        step(X)
        assert get() is value
        put(other)
    step(X)
    assert get() is value


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_what_is_not_set_stays(numpy_engine: None, place: Callable[[], Place]) -> None:
    put, get = place()
    put(0)

    def step(x: Any, sets: bool) -> Any:
        if sets:
            put("set")
        return x * 2

    jitted = torch.jit(step)
    for sets, other in ((False, 1), (True, 2), (False, 3), (True, "set"), (False, "own")):
        put(other)
        jitted(X, sets)
        assert get() == ("set" if sets else other)


def test_a_look_that_nobody_could_foresee_sees_what_is_there(numpy_engine: None) -> None:
    """`copy` reads all attributes, also those that the code itself only sets."""
    class Own:
        v: Any

    thing = Own()
    thing.v = 3

    def step(x: Any) -> Any:
        seen = [value for value in types.MappingProxyType(thing.__dict__).values()]
        thing.v = 4
        return seen[0], x * 2

    jitted = torch.jit(step)
    assert jitted(X)[0] == 3
    assert jitted(X)[0] == 4


# --- Containers that are put into, and bound anew --------------------------------------------------------------------------


LOG: list[Any] = []


def _global_log(x: Any) -> int:
    global LOG
    LOG.append(x)
    LOG = [x, x]
    return len(vars(types)) * 0


def _by_a_helper(x: Any) -> None:
    global LOG
    _helper(x)
    LOG = [x, x]


def _helper(x: Any) -> None:
    LOG.append(x)


@pytest.mark.parametrize("function", [_global_log, _by_a_helper])
def test_a_global_list_that_is_put_into_and_bound_anew(numpy_engine: None, function: Any) -> None:
    step = torch.jit(function)
    for _ in range(3):
        step(X)
        assert len(LOG) == 2


def test_a_variable_that_is_put_into_and_bound_anew(numpy_engine: None) -> None:
    log: list[Any] = []

    def step(x: Any) -> None:
        nonlocal log
        log.append(x)
        log = [x, x]

    jitted = torch.jit(step)
    for _ in range(3):
        jitted(X)
        assert len(log) == 2


def test_an_attribute_that_is_put_into_and_bound_anew(numpy_engine: None) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.log: list[Any] = []

    class Plain:
        log: list[Any] = []  # noqa: RUF012

    module, plain = Own(), Plain()

    def step(x: Any) -> None:
        for thing in (module, plain, Plain):
            thing.log.append(x)
            thing.log = [x, x]

    jitted = torch.jit(step)
    for _ in range(3):
        jitted(X)
        assert len(module.log) == len(plain.log) == len(Plain.log) == 2
