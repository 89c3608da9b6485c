"""A container with a counter that a step moves on, in the place of which there is another one after a while."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

import flambeau as torch


@dataclass
class Data:
    """A counter in a dataclass."""

    n: int = 0


class Plain:
    """A counter in an object."""

    def __init__(self) -> None:
        self.n = 0


class Slots:
    """A counter in a slot."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


def _item(key: Any) -> tuple[Callable[[Any], None], Callable[[Any], Any]]:
    def add(x: Any) -> None:
        x[key] += 1
    return add, lambda x: x[key]


def _add(x: Any) -> None:
    x.n += 1


_ATTRIBUTE = _add, lambda x: x.n
KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], None], Callable[[Any], Any]]] = {
    "dict": (lambda: {"n": 0}, *_item("n")), "list": (lambda: [0], *_item(0)), "counter": (lambda: Counter(n=0), *_item("n")),
    "ordered": (lambda: OrderedDict(n=0), *_item("n")), "dataclass": (Data, *_ATTRIBUTE), "plain": (Plain, *_ATTRIBUTE),
    "slots": (Slots, *_ATTRIBUTE), "namespace": (lambda: SimpleNamespace(n=0), *_ATTRIBUTE),
    "beside a tensor": (lambda: {"n": 0, "k": torch.zeros(2)}, *_item("n")),
    "deeper": (lambda: {"a": {"n": 0}}, lambda x: _item("n")[0](x["a"]), lambda x: x["a"]["n"])}
PLACES: dict[str, Callable[[], tuple[Callable[[Any], None], Callable[[], Any]]]] = {}


def _place(make: Callable[[], Any]) -> Any:
    PLACES[make.__name__.lstrip("_")] = make
    return make


@_place
def _attribute() -> Any:
    holder = SimpleNamespace()
    return lambda x: setattr(holder, "s", x), lambda: holder.s


@_place
def _entry() -> Any:
    holder: dict[str, Any] = {}
    return lambda x: holder.update(s=x), lambda: holder["s"]


@_place
def _variable() -> Any:
    held = None

    def put(x: Any) -> None:
        nonlocal held
        held = x
    return put, lambda: held


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [3, 5, 100])
def test_another_one_costs_one_program(kind: str, place: str, every: int) -> None:
    (make, add, get), (put, held) = KINDS[kind], PLACES[place]()
    put(make())

    @torch.jit
    def step(x: Any) -> Any:
        add(held())
        return x * get(held())

    calls, replaced = 15, 0
    for i in range(calls):
        if i and i % every == 0:
            put(make())
            replaced += 1
        assert step(torch.ones(2)).tolist() == [float(i % every + 1)] * 2
        assert get(held()) == i % every + 1
    assert step.stats.compiles <= 2 + replaced


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_the_step_puts_there_itself(kind: str) -> None:
    (make, add, get), holder = KINDS[kind], SimpleNamespace()
    holder.s = make()

    @torch.jit
    def step(x: Any, anew: bool) -> Any:
        if anew:
            holder.s = make()
        add(holder.s)
        return x * get(holder.s)

    count = 0
    for i in range(20):
        count = 1 if i % 5 == 4 else count + 1
        assert step(torch.ones(2), i % 5 == 4).tolist() == [float(count)] * 2
    assert step.stats.compiles <= 10  # two for each that took the place of another
