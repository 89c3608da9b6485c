"""Places that are called alike: what a step writes in one says nothing of the others."""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

pytestmark = pytest.mark.usefixtures("numpy_engine")


class Color(enum.Enum):
    """Keys that print alike but for their names."""

    RED, BLUE = 1, 2


class Box:
    """Something with a number and a tensor."""

    def __init__(self, n: Any = 0.0, t: Any = None) -> None:
        self.n, self.t = n, t


def _long(end: str) -> str:
    return "a" * 60 + end


KEYS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "tuples": lambda: (("w", 0), ("b", 0)), "objects": lambda: (Box(), Box()), "enums": lambda: (Color.RED, Color.BLUE),
    "dtypes": lambda: (torch.float32, torch.float64), "texts": lambda: (_long("1"), _long("2")), "bytes": lambda: (b"a", b"b"),
    "parameters": lambda: (nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))), "functions": lambda: (len, sum),
    "classes": lambda: (int, float), "frozensets": lambda: (frozenset({1}), frozenset({2})), "none": lambda: (None, True),
    "modules": lambda: (nn.Identity(), nn.Identity()), "tuples of objects": lambda: ((Box(), 1), (Box(), 1)),
    "numbers": lambda: (0.5, 1.5), "code": lambda: ((lambda: 0).__code__, (lambda: 1).__code__)}


@pytest.mark.parametrize("kind", KEYS)
def test_entries_under_keys_that_print_alike(kind: str) -> None:
    """One entry is written by the step; another one is set outside."""
    first, second = KEYS[kind]()
    numbers, tensors = {first: 1.0, second: 1.0}, {first: torch.zeros(1), second: torch.ones(1)}

    def counts(x: Any) -> Any:
        numbers[first] *= 0.5
        return x * numbers[second]

    def binds(x: Any) -> Any:
        tensors[first] = tensors[first] + x
        return tensors[second][None] * x

    x = torch.ones(1)
    steps = torch.jit(counts), torch.jit(binds)
    for step in (*steps, *steps):
        step(x)
    numbers[second], tensors[second] = 5.0, torch.full((1,), 7.0)
    assert steps[0](x).item() == 5 and steps[1](x).item() == 7
    assert [step.stats.compiles for step in steps] == [2, 2]


class Scaled(nn.Module):
    """A module with a number, a tensor and a mode."""

    def __init__(self) -> None:
        super().__init__()
        self.n, self.h = 1.0, torch.ones(1)
        self.register_buffer("b", torch.ones(1))

    def forward(self, x: Any, write: bool, what: str = "n") -> Any:
        """Write one of them, or read it."""
        if write:
            setattr(self, what, getattr(self, what) + 1)
            return x
        return x * getattr(self, what)


def _closures() -> tuple[Any, Any, Any]:
    def made(n: float) -> tuple[Any, Any]:
        def use(x: Any, write: bool) -> Any:
            nonlocal n
            if write:
                n += 1
                return x
            return x * n

        def put(value: float) -> None:
            nonlocal n
            n = value

        return use, put

    (writer, _), (reader, put) = made(0.0), made(1.0)
    return lambda x: writer(x, True), lambda x: reader(x, False), put


def _decorated() -> tuple[Any, Any, Any]:
    def counted(f: Any) -> Any:
        known = {"n": 1.0}

        @functools.wraps(f)
        def wrapper(x: Any, write: bool) -> Any:
            if write:
                known["n"] += 1
            return f(x) if write else f(x) * known["n"]

        wrapper.known = known  # type: ignore[attr-defined]
        return wrapper

    writer, reader = counted(lambda x: x), counted(lambda x: x)
    return lambda x: writer(x, True), lambda x: reader(x, False), lambda value: reader.known.update(n=value)


def _modules(what: str) -> Callable[[], tuple[Any, Any, Any]]:
    def made() -> tuple[Any, Any, Any]:
        writer, reader = Scaled(), Scaled()
        return (lambda x: writer(x, True, what), lambda x: reader(x, False, what),
                lambda value: setattr(reader, what, value if what == "n" else torch.full((1,), value)))
    return made


def _globals() -> tuple[Any, Any, Any]:
    one, other = types.ModuleType("alike"), types.ModuleType("alike")
    exec("n = 0.0\ndef write(x):\n    global n\n    n += 1.0\n    return x", one.__dict__)
    exec("n = 1.0\ndef read(x):\n    return x * n", other.__dict__)
    return one.write, other.read, lambda value: setattr(other, "n", value)


def _classes() -> tuple[Any, Any, Any]:
    def made() -> Any:
        class Kept:
            n = 1.0

        return Kept

    one, other = made(), made()

    def write(x: Any) -> Any:
        one.n += 1
        return x

    def read(kind: Any) -> Any:
        return lambda x: x * kind.n

    return write, read(other), lambda value: setattr(other, "n", value)


def _objects() -> tuple[Any, Any, Any]:
    def of(box: Box, write: bool) -> Any:
        def use(x: Any) -> Any:
            if write:
                box.n += 1
                return x
            return x * box.n
        return use

    other = Box(1.0)
    return of(Box(0.0), True), of(other, False), lambda value: setattr(other, "n", value)


OWNERS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "closures": _closures, "decorators": _decorated, "numbers of modules": _modules("n"), "tensors of modules": _modules("h"),
    "buffers of modules": _modules("b"), "globals": _globals, "classes": _classes, "objects": _objects}


@pytest.mark.parametrize("kind", OWNERS)
def test_owners_that_are_called_alike(kind: str) -> None:
    """One is written by the step, another one is set outside."""
    write, read, put = OWNERS[kind]()
    step = torch.jit(lambda x: read(write(x)))
    x = torch.ones(1)
    step(x), step(x)
    put(5.0)
    assert step(x).item() == 5
    put(7.0)
    assert step(x).item() == 7 and step.stats.compiles <= 3


@pytest.mark.parametrize(("keys", "name"), [
    ((("w", 0), ("b", 0)), "d[('b', 0)]"), ((Color.RED, Color.BLUE), "d[<Color.BLUE: 2>]"),
    ((torch.float32, torch.float64), "d[torch.float64]"), ((len, sum), "d[sum]"), ((int, float), "d[float]")])
def test_a_reason_names_the_key(keys: tuple[Any, Any], name: str) -> None:
    """Where a text tells keys apart it is told."""
    d = dict.fromkeys(keys, "x")
    step = torch.jit(lambda x: x * 2 if d[keys[0]] == d[keys[1]] else x)
    step(torch.ones(1))
    d[keys[1]] = "y"
    step(torch.ones(1))
    assert step.why()[-1].changes == ((name, "x", "y"),)


def test_a_shared_layer_is_one_place_under_all_its_names() -> None:
    """What it counts is written at each call, and is no reason for a compile."""
    part = Scaled()

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = part, part

        def forward(self, x: Any) -> Any:
            return self.b(self.a(x, True), False)

    step = torch.jit(Two())
    assert [step(torch.ones(1)).item() for _ in range(4)] == [2, 3, 4, 5] and step.stats.compiles == 1
