"""What a step reaches through weak references alone is read again at each call, and not kept alive for that."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

pytestmark = pytest.mark.usefixtures("numpy_engine")


class Rate:
    """What is referred to."""

    def __init__(self, k: float) -> None:
        self.k, self.inner = k, {"a": [1.0]}

    def scaled(self, x: Any) -> Any:
        return x * self.k


class Slotted:
    __slots__ = ("__weakref__", "k")

    def __init__(self, k: float) -> None:
        self.k = k


class Layer(nn.Module):
    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = k


def through_a_proxy(x: Any, proxy: Any) -> Any:
    try:
        return x * proxy.k
    except ReferenceError:
        return x * 100


REFERENCES: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "reference": (weakref.ref, lambda x, ref: x * (100 if ref() is None else ref().k)),
    "proxy": (weakref.proxy, through_a_proxy),
    "values": (lambda o: weakref.WeakValueDictionary(a=o), lambda x, d: x * (d["a"].k if "a" in d else 100)),
    "keys": (lambda o: weakref.WeakKeyDictionary({o: 1.0}), lambda x, d: x * (sum(o.k * v for o, v in d.items()) or 100)),
    "set": (lambda o: weakref.WeakSet([o]), lambda x, s: x * (sum(o.k for o in s) or 100)),
}


@pytest.mark.parametrize("kind", [Rate, Slotted, Layer])
@pytest.mark.parametrize("name", REFERENCES)
def test_what_is_gone_is_gone(name: str, kind: Any) -> None:
    refer, read = REFERENCES[name]
    thing: Any = kind(2.0)
    ref, seen = refer(thing), weakref.ref(thing)
    step = torch.jit(lambda x: read(x, ref))
    assert step(torch.ones(1)).item() == step(torch.ones(1)).item() == 2 and step.stats.compiles == 1
    thing.k = 3.0
    assert step(torch.ones(1)).item() == step(torch.ones(1)).item() == 3
    del thing
    gc.collect()
    assert seen() is None and step(torch.ones(1)).item() == 100


def test_a_method_and_contents() -> None:
    thing = Rate(2.0)
    method, ref = weakref.WeakMethod(thing.scaled), weakref.ref(thing)

    def scaled(x: Any) -> Any:
        found, owner = method(), ref()
        return x * 100 if found is None or owner is None else found(x) * owner.inner["a"][0]

    step = torch.jit(scaled)
    assert step(torch.ones(1)).item() == 2
    thing.inner["a"][0] = 3.0
    assert step(torch.ones(1)).item() == 6
    del thing
    gc.collect()
    assert step(torch.ones(1)).item() == 100


def test_writes_through_a_reference() -> None:
    class Count:
        n = 0

    thing = Count()
    ref = weakref.ref(thing)

    def counted(x: Any) -> Any:
        found = ref()
        if found is None:
            return x * 100
        found.n += 1
        return x * found.n

    step = torch.jit(counted)
    assert [step(torch.ones(1)).item() for _ in range(3)] == [1, 2, 3] and thing.n == 3 and step.stats.compiles == 1
    del thing
    gc.collect()
    assert step(torch.ones(1)).item() == 100


def test_a_finalizer() -> None:
    thing = Rate(2.0)
    finalizer = weakref.finalize(thing, int)
    step = torch.jit(lambda x: x * (2 if finalizer.alive else 100))
    assert step(torch.ones(1)).item() == 2
    del thing
    gc.collect()
    assert step(torch.ones(1)).item() == 100


class Called:
    """Is called, holds a function and a list, counts."""

    def __init__(self) -> None:
        self.k, self.n, self.items, self.function = 2.0, 0, [1.0], lambda x: x * 2

    def __call__(self, x: Any) -> Any:
        return x * self.k

    def counted(self, x: Any) -> Any:
        self.n += 1
        self.items.append(1.0)
        return self.function(x) * self.n * len(self.items)


class Field:
    __slots__ = ("__weakref__", "k")

    def __init__(self) -> None:
        self.k = 2.0

    def __call__(self, x: Any) -> Any:
        return x * self.k


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.k = 2.0

    def forward(self, x: Any) -> Any:
        return x * self.k


def _function() -> Any:
    def function(x: Any) -> Any:
        return x * 3

    return function


def _closure() -> Any:
    k = [3.0]
    n = 0

    def function(x: Any) -> Any:
        nonlocal n
        n += 1
        return x * k[0] * n

    return function


def _defaults() -> Any:
    def function(x: Any, a: Any = [3.0], *, b: Any = {"k": 2.0}) -> Any:  # noqa: B006
        return x * a[0] * b["k"]

    function.note = {"a": 1}  # type: ignore[attr-defined]
    return function


KINDS: dict[str, Callable[[], Any]] = {
    "object": Called, "slots": Field, "module": Scaled, "function": _function, "closure": _closure, "defaults": _defaults,
    "lambda": lambda: lambda x: x * 5}
HOLDERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "reference": (weakref.ref, lambda x, r: r()(x) if r() is not None else x * 0 - 1),
    "values": (lambda o: weakref.WeakValueDictionary(a=o), lambda x, d: d["a"](x) if "a" in d else x * 0 - 1),
    "keys": (lambda o: weakref.WeakKeyDictionary({o: 2.0}), lambda x, d: sum(o(x) * v for o, v in d.items()) if len(d) else x),
    "set": (lambda o: weakref.WeakSet([o]), lambda x, s: sum(o(x) for o in s) if len(s) else x * 0 - 1),
    "list": (lambda o: [weakref.ref(o), {"b": weakref.ref(o)}],
             lambda x, refs: refs[0]()(x) if refs[1]["b"]() is not None else x * 0 - 1),
    "how many": (lambda o: weakref.WeakSet([o]), lambda x, s: x * len(s)),
}


def _results(make: Callable[[], Any], holder: str, jitted: bool) -> tuple[list[Any], int]:
    """What the calls give while the thing is there, and from the moment on when it is not."""
    refer, read = HOLDERS[holder]
    thing = make()
    ref, gone = refer(thing), weakref.ref(thing)
    step: Any = lambda x: read(x, ref)  # noqa: E731
    step = torch.jit(step) if jitted else step
    seen = [step(torch.ones(1)).item() for _ in range(3)]
    if hasattr(thing, "k"):
        thing.k = 7.0
    seen.append(step(torch.ones(1)).item())
    del thing
    seen += [gone() is None, *(step(torch.ones(1)).item() for _ in range(2))]
    return seen, step.stats.compiles if jitted else 0


@pytest.fixture
def uncollected() -> Any:
    """Only what nothing refers to goes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_nothing_else_refers_to_goes_at_once(kind: str, holder: str) -> None:
    got, compiles = _results(KINDS[kind], holder, True)
    assert got == _results(KINDS[kind], holder, False)[0] and compiles <= 3


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", ["__call__", "counted"])
def test_a_method_goes_with_its_object(name: str) -> None:
    def results(jitted: bool) -> list[Any]:
        thing = Called()
        method = weakref.WeakMethod(getattr(thing, name))
        step: Any = lambda x: method()(x) if method() is not None else x * 0 - 1  # noqa: E731
        step = torch.jit(step) if jitted else step
        seen = [step(torch.ones(1)).item() for _ in range(3)]
        del thing
        return [*seen, method() is None, step(torch.ones(1)).item()]

    assert results(True) == results(False)


@pytest.mark.usefixtures("uncollected")
def test_another_function_under_the_same_key_and_one_held_by_an_object() -> None:
    known: Any = weakref.WeakValueDictionary()
    step = torch.jit(lambda x: known["a"](x) if "a" in known else x * 0 - 1)
    for make, value in ((_function, 3), (Called, 2), (lambda: lambda x: x * 9, 9)):
        thing: Any = make()
        known["a"] = thing
        assert step(torch.ones(1)).item() == step(torch.ones(1)).item() == value
        del thing
        assert step(torch.ones(1)).item() == -1
    thing = Called()
    ref, function = weakref.ref(thing), weakref.ref(thing.function)
    held = torch.jit(lambda x: ref().function(x) if ref() is not None else x * 0 - 1)
    assert held(torch.ones(1)).item() == 2
    thing.function = _function()
    assert function() is None and held(torch.ones(1)).item() == 3
