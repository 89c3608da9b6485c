"""What one compiled function writes to Python objects, another one reads: its other branch, another function, or plain code.

Every place where values lie, with every kind of value that may lie there.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.ones(2)


@dataclass
class Data:
    """A dataclass of the user's."""

    h: Any = None
    table: dict[str, Any] = field(default_factory=dict)


class Plain:
    """A class of the user's."""

    h: Any = None


class Slotted:
    """One without a dictionary."""

    __slots__ = ("h",)


class Layer(nn.Module):
    """A module with an attribute, a dictionary, a list and a buffer."""

    kept: Any

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(2, 2)
        self.table: dict[str, Any] = {}
        self.items: list[Any] = [None]
        self.register_buffer("kept", torch.zeros(2))
        self.h: Any = None


Access = tuple[Callable[[], Any], Callable[[Any], None]]


def attribute() -> Access:
    thing = Plain()

    def put(value: Any) -> None:
        thing.h = value

    return lambda: thing.h, put


def of_a_dataclass() -> Access:
    thing = Data()

    def put(value: Any) -> None:
        thing.h = value

    return lambda: thing.h, put


def slot() -> Access:
    thing = Slotted()

    def put(value: Any) -> None:
        thing.h = value

    return lambda: thing.h, put


def namespace() -> Access:
    thing = types.SimpleNamespace(h=None)

    def put(value: Any) -> None:
        thing.h = value

    return lambda: thing.h, put


def of_a_module() -> Access:
    module = Layer()

    def put(value: Any) -> None:
        module.h = value

    return lambda: module.h, put


def of_a_part() -> Access:
    model = nn.Sequential(nn.Linear(2, 2), Layer())

    def put(value: Any) -> None:
        model[1].h = value

    return lambda: model[1].h, put


def buffer() -> Access:
    model = nn.Sequential(Layer())

    def put(value: Any) -> None:
        model[0].kept = value

    return lambda: model[0].kept, put


def entry_of_a_module() -> Access:
    module = Layer()

    def put(value: Any) -> None:
        module.table["h"] = value

    return lambda: module.table["h"], put


def item_of_a_module() -> Access:
    module = Layer()

    def put(value: Any) -> None:
        module.items[0] = value

    return lambda: module.items[0], put


def entry() -> Access:
    table: dict[str, Any] = {}

    def put(value: Any) -> None:
        table["h"] = value

    return lambda: table["h"], put


def item() -> Access:
    items: list[Any] = [None, None]

    def put(value: Any) -> None:
        items[1] = value

    return lambda: items[1], put


def variable() -> Access:
    h: Any = None

    def put(value: Any) -> None:
        nonlocal h
        h = value

    return lambda: h, put


def of_a_class() -> Access:
    class Own:
        h: Any = None

    def put(value: Any) -> None:
        Own.h = value

    return lambda: Own.h, put


GLOBAL: Any = None


def global_variable() -> Access:
    def put(value: Any) -> None:
        global GLOBAL
        GLOBAL = value

    return lambda: GLOBAL, put


PLACES = [attribute, of_a_dataclass, slot, namespace, of_a_module, of_a_part, buffer, entry_of_a_module, item_of_a_module, entry,
          item, variable, of_a_class, global_variable]

# How a value is made of the call's number, what a reader makes of it, and with how many programs at most.
VALUES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], Any], int]] = {
    "tensor": (lambda x, n: x * n + 1, lambda h: h * 2, 3),
    "int": (lambda x, n: n + 1, lambda h: X * h, 3),
    "float": (lambda x, n: n * 0.5, lambda h: X * h, 3),
    "text": (lambda x, n: "abcdefgh"[int(n)], lambda h: X * ord(h), 6),
    "none or tensor": (lambda x, n: None if n % 2 else x * 3, lambda h: X * 7 if h is None else h, 4),
    "pair": (lambda x, n: (x, n), lambda h: h[0] * h[1], 6),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_another_function_reads_it(numpy_engine: None, place: Callable[[], Access], kind: str) -> None:
    make, use, most = VALUES[kind]
    if place is buffer and kind != "tensor":
        pytest.skip("a buffer is a tensor")
    get, put = place()
    put(make(X, 0) if kind != "pair" else (X, 0))
    write, read = torch.jit(lambda x, n: put(make(x, n))), torch.jit(lambda x: use(get()) + 0 * x)
    told = []
    for n in (0, 1, 2, 2, 3, 4):
        write(X * 1.5, n)
        told.append((read(X).tolist(), use(make(X * 1.5, n)).tolist(), use(get()).tolist()))
    assert all(a == b == c for a, b, c in told), told
    assert read.stats.compiles <= most, str(read.why())


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_the_other_branch_reads_it(numpy_engine: None, place: Callable[[], Access], kind: str) -> None:
    make, use, _ = VALUES[kind]
    if place is buffer and kind != "tensor":
        pytest.skip("a buffer is a tensor")
    told = []
    for compiled in (False, True):
        get, put = place()
        put(make(X, 0) if kind != "pair" else (X, 0))

        def step(x: Any, n: Any, writes: bool, get: Any = get, put: Any = put) -> Any:
            if writes:
                put(make(x, n))
                return x
            return use(get()) + 0 * x

        call = torch.jit(step) if compiled else step
        calls = [(1, True), (1, False), (2, True), (2, False), (2, False), (3, True), (4, True), (4, False)]
        told.append([(call(X * 1.5, n, writes).tolist(), use(get()).tolist()) for n, writes in calls])
    assert told[0] == told[1]
