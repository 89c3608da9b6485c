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
