"""What the classes of arguments define is read as other code is: every kind of object times everything that may change."""

from __future__ import annotations

import collections
import dataclasses
import enum
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import flambeau as torch
from flambeau import nn

pytestmark = pytest.mark.usefixtures("numpy_engine")
X = torch.tensor([1.0, -2.0])
BY = 2.0


def scaled(self: Any, x: Any) -> Any:
    return x * BY


def otherwise(self: Any, x: Any) -> Any:
    return x * 7


def objects() -> dict[str, Callable[[], Any]]:
    """Makers of objects, each of a class of its own with a method `scaled`, which reads a global."""
    @dataclasses.dataclass
    class Data:
        a: float = 1.0

    @dataclasses.dataclass(frozen=True)
    class Frozen:
        a: float = 1.0

    class Plain:
        scaled: Any

        def __init__(self) -> None:
            self.a = 1.0

    class Base:
        scaled: Any

    class Derived(Base):
        def __init__(self) -> None:
            self.a = 1.0

    class Pair(NamedTuple):
        a: float = 1.0

    class Table(dict[str, float]):
        scaled: Any

    class Ordered(collections.OrderedDict[str, float]):
        scaled: Any

    class Wrapped(collections.UserDict[str, float]):
        scaled: Any

    class Items(list[float]):
        scaled: Any

    class Names(types.SimpleNamespace):
        scaled: Any

    class Text(str):
        scaled: Any

    class Choice(enum.Enum):
        ONE = 1

    class Slotted:
        __slots__ = ("a",)
        scaled: Any

    class Same:
        scaled: Any
        a = 1.0

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    class Holding:
        scaled: Any

        def __init__(self) -> None:
            self.layer = nn.Identity()

    for kind in (Data, Frozen, Plain, Base, Pair, Table, Ordered, Wrapped, Items, Names, Text, Choice, Slotted, Same, Holding):
        kind.scaled = scaled  # type: ignore[attr-defined]
    return {"dataclass": Data, "frozen": Frozen, "plain": Plain, "derived": Derived, "named tuple": Pair,
            "dict": lambda: Table(a=1.0), "ordered dict": lambda: Ordered(a=1.0), "user dict": lambda: Wrapped(a=1.0),
            "list": lambda: Items([1.0]), "namespace": lambda: Names(a=1.0), "text": lambda: Text("a"),
            "enum": lambda: Choice.ONE, "slots": Slotted, "equal": Same, "holding": Holding}


def set_global(value: float) -> None:
    globals()["BY"] = value


Change = tuple[Callable[[Any, Any], Any], Callable[[type, int], Any]]  # what is called, and what changes in the class
CHANGES: dict[str, Change] = {
    "what a method reads": (lambda x, o: o.scaled(x), lambda kind, k: set_global(2.0 + k)),
    "a method": (lambda x, o: o.scaled(x), lambda kind, k: setattr(kind, "scaled", (scaled, otherwise)[k])),
    "an attribute": (lambda x, o: x * o.rate, lambda kind, k: setattr(kind, "rate", 2.0 + k)),
    "an attribute with a default": (lambda x, o: x * getattr(o, "extra", 2.0),
                                    lambda kind, k: setattr(kind, "extra", 3.0) if k else delattr(kind, "extra")),
    "a special method": (lambda x, o: x * (2 if callable(o) else 3),
                         lambda kind, k: setattr(kind, "__call__", lambda self: 1) if k else delattr(kind, "__call__")),
}
NESTED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "itself": (lambda o: o, lambda o: o),
    "inside": (lambda o: [{"o": types.SimpleNamespace(o=o)}], lambda g: g[0]["o"].o)}


@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", objects())
def test_classes_of_arguments(kind: str, change: str, nested: str) -> None:
    set_global(2.0)
    thing = objects()[kind]()
    type(thing).rate = 2.0  # type: ignore[attr-defined]
    (call, make), (inside, take) = CHANGES[change], NESTED[nested]
    given, step = inside(thing), torch.jit(lambda x, g: call(x, take(g)))
    expected = call(X, thing).tolist()
    assert step(X, given).tolist() == step(X, given).tolist() == expected and step.stats.compiles == 1
    make(type(thing), 1)
    after = call(X, thing).tolist()
    assert step(X, given).tolist() == step(X, given).tolist() == after != expected
    make(type(thing), 0)
    # What a class inherited may be its own by now.
    assert step(X, given).tolist() == expected and step.stats.compiles == 2 + (kind == "derived" and change == "a method")


def test_a_class_of_tensors() -> None:
    class Scale(nn.Parameter):
        rate = 2.0

        def scaled(self, x: Any) -> Any:
            return x * self.detach() * self.rate

    p, layer = Scale(torch.ones(2)), nn.Module()
    layer.p = p
    steps = [torch.jit(lambda x: p.scaled(x)), torch.jit(lambda x: layer.p.scaled(x))]
    given = torch.jit(lambda p, x: p.scaled(x))
    for rate in (2.0, 2.0, 3.0, 3.0):
        Scale.rate = rate
        assert all(r.tolist() == (X * rate).tolist() for r in (*(step(X) for step in steps), given(p, X)))
    assert all(step.stats.compiles == 2 for step in (*steps, given))


def test_what_methods_of_arguments_write() -> None:
    seen = {"n": 0}

    @dataclasses.dataclass
    class Data:
        a: float = 1.0
        made = 0

        def counted(self, x: Any) -> Any:
            seen["n"] += 1
            type(self).made += 1
            return x * self.a * seen["n"] * Data.made

    step, one = torch.jit(lambda x, d: d.counted(x)), torch.ones(1)
    assert [step(one, Data()).item() for _ in range(4)] == [1, 4, 9, 16] and (seen["n"], Data.made) == (4, 4)
    assert step.stats.compiles == 1


def test_a_module_that_code_made_as_an_argument() -> None:
    module = types.ModuleType("settings")
    step = torch.jit(lambda x, m: x * m.rate)
    for rate in (2.0, 2.0, 3.0):
        module.rate = rate  # type: ignore[attr-defined]
        assert step(X, module).tolist() == (X * rate).tolist()
    assert step.stats.compiles == 2


def test_other_attributes_of_the_class_cost_no_trace() -> None:
    class Batch:
        made = 0

        def __init__(self, x: Any) -> None:
            self.x = x
            Batch.made += 1

    step = torch.jit(lambda batch: batch.x * 2)
    for _ in range(4):
        step(Batch(X))
    Batch.later = 1  # type: ignore[attr-defined]
    step(Batch(X))
    assert step.stats.compiles == 1, step.why()
