"""A tensor that a step binds to one of another shape is a compile per shape, and a warning says what to write instead."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.jit.why import RetraceWarning

NEW = torch.ones(1, 1, 2)
GROWING: Any = None


class Cache:
    """A user's object with a tensor that grows."""

    def __init__(self) -> None:
        self.k: Any = torch.zeros(1, 1, 2)

    def step(self, k: Any) -> Any:
        self.k = torch.cat([self.k, k], 1)
        return self.k.sum()


class Layer(nn.Module):
    """A module with a buffer that grows."""

    def __init__(self, first: Any = None) -> None:
        super().__init__()
        self.register_buffer("k", first)

    def forward(self, k: Any) -> Any:
        self.k = k if self.k is None else torch.cat([self.k, k], 1)
        return self.k.sum()


def _in_a_dict() -> Callable[[Any], Any]:
    held = {"k": torch.zeros(1, 1, 2)}

    def step(k: Any) -> Any:
        held["k"] = torch.cat([held["k"], k], 1)
        return held["k"].sum()

    return step


def _in_a_list() -> Callable[[Any], Any]:
    held = [torch.zeros(1, 1, 2)]

    def step(k: Any) -> Any:
        held[0] = torch.cat([held[0], k], 1)
        return held[0].sum()

    return step


def _in_a_namespace() -> Callable[[Any], Any]:
    held = types.SimpleNamespace(k=torch.zeros(1, 1, 2))

    def step(k: Any) -> Any:
        held.k = torch.cat([held.k, k], 1)
        return held.k.sum()

    return step


def _in_a_class() -> Callable[[Any], Any]:
    class Held:
        k: Any = torch.zeros(1, 1, 2)

    def step(k: Any) -> Any:
        Held.k = torch.cat([Held.k, k], 1)
        return Held.k.sum()

    return step


def _in_a_closure() -> Callable[[Any], Any]:
    held = torch.zeros(1, 1, 2)

    def step(k: Any) -> Any:
        nonlocal held
        held = torch.cat([held, k], 1)
        return held.sum()

    return step


def _in_a_global() -> Callable[[Any], Any]:
    global GROWING
    GROWING = torch.zeros(1, 1, 2)

    def step(k: Any) -> Any:
        global GROWING
        GROWING = torch.cat([GROWING, k], 1)
        return GROWING.sum()

    return step


PLACES: dict[str, tuple[Callable[[], Callable[[Any], Any]], str]] = {
    "object": (lambda: Cache().step, r"step\.__self__\.k\[:, pos\] = new"),
    "module": (lambda: Layer(torch.zeros(1, 1, 2)), r"Layer\.k\[:, pos\] = new"), "None at first": (Layer, r"Layer\.k"),
    "part of a module": (lambda: nn.Sequential(Layer(torch.zeros(1, 1, 2))), r"\.k\[:, pos\] = new"),
    "dict": (_in_a_dict, r"held\['k'\]\[:, pos\] = new"), "list": (_in_a_list, r"held\[0\]\[:, pos\] = new"),
    "namespace": (_in_a_namespace, r"held\.k\[:, pos\] = new"), "class": (_in_a_class, r"Held\.k\[:, pos\] = new"),
    "closure": (_in_a_closure, r"held\[:, pos\] = new"), "global": (_in_a_global, r"GROWING\[:, pos\] = new")}


@pytest.mark.parametrize("name", PLACES)
def test_a_growing_tensor_warns_once_at_the_third_shape(name: str) -> None:
    make, place = PLACES[name]
    step, other = torch.jit(make()), make() if name != "global" else None
    found = []
    for n in range(1, 12):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = step(NEW)
        assert other is None or result.item() == other(NEW).item()
        found += [(n, str(w.message)) for w in caught if issubclass(w.category, RetraceWarning)]
    assert len(found) == 1 and found[0][0] in (3, 4), found
    with pytest.raises(RetraceWarning, match=place):
        raise RetraceWarning(found[0][1])


def test_a_growing_tensor_in_an_argument() -> None:
    def step(cache: dict[str, Any], k: Any) -> Any:
        cache["k"] = torch.cat([cache["k"], k], 1)
        return cache["k"].sum()

    cache, compiled = {"k": torch.zeros(1, 1, 2)}, torch.jit(step)
    compiled(cache, NEW)
    compiled(cache, NEW)
    with pytest.warns(RetraceWarning, match=r"args\[0\]\['k'\]\[:, pos\] = new"):
        compiled(cache, NEW)
    for _ in range(8):
        compiled(cache, NEW)


def test_the_preallocated_form_compiles_once() -> None:
    cache = types.SimpleNamespace(k=torch.zeros(1, 8, 2))

    def step(k: Any, pos: int) -> Any:
        cache.k[:, pos] = k[:, 0]
        return (cache.k * (torch.arange(8) <= pos)[:, None]).sum()

    compiled = torch.jit(step)
    assert [compiled(NEW, pos).item() for pos in range(8)] == [2.0 * (pos + 1) for pos in range(8)]
    assert compiled.stats.compiles == 1


def test_state_that_follows_the_shape_of_an_argument_says_nothing() -> None:
    cache = Cache()

    def step(x: Any) -> Any:
        cache.k = cache.k[:1] + x
        return cache.k.sum()

    compiled = torch.jit(step)
    for n in range(1, 6):
        compiled(torch.ones(n, 1, 2))
    assert compiled.stats.compiles <= 6
