"""`why()` names what differed inside, of things that are gone by then too."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import gc
import re
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.ones(1, 2)


class Config:
    """An object with a life of its own: it holds a class."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given, kind=Config)


class Net(nn.Module):
    """A module that reads plain things of its own."""

    def __init__(self, rate: int, width: int = 2) -> None:
        super().__init__()
        self.layer, self.rate, self.config = nn.Linear(2, width), rate, Config(deep={"scale": [1, rate]})

    def forward(self, x: Any) -> Any:
        return self.layer(x) * self.rate * self.config.deep["scale"][1]


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate: int) -> None:
        self.rate = rate


class Mode(enum.Enum):
    A = 1
    B = 2


@dataclasses.dataclass(frozen=True)
class Frozen:
    rate: int
    kind: Any = Config


class Named:
    def __init__(self, rate: int) -> None:
        self.rate = rate

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and other.rate == self.rate

    def __hash__(self) -> int:
        return hash(self.rate)

    def times(self, x: Any) -> Any:
        return x * self.rate


ARGUMENTS: dict[str, tuple[Callable[[int], Any], str]] = {
    "module": (Net, r"\.rate: 1 -> 2"), "object": (lambda k: Config(rate=k), r"\.rate: 1 -> 2"),
    "deep object": (lambda k: Config(a=[{"b": Config(c=(k,))}]), r"\.a\[0\]\['b'\]\.c\[0\]: 1 -> 2"),
    "slots": (Slotted, r"\.rate: 1 -> 2"), "frozen": (Frozen, r"\.rate: int -> int|\.rate: 1 -> 2|\.kind"),
    "hashable": (Named, r"\.rate: 1 -> 2"), "method": (lambda k: Named(k).times, r"\.__self__\.rate: 1 -> 2"),
    "partial": (lambda k: functools.partial(torch.mul, other=k), r"\.keywords\['other'\]: 1 -> 2"),
    "set": (lambda k: set(range(k)), r"\[1\]: <not there> -> 1"), "text": (lambda k: "ab"[:k], ": 'a' -> 'ab'"),
    "enum": (lambda k: Mode(k), "<Mode.A: 1> -> <Mode.B: 2>"),
    "class": (lambda k: (Net, Config)[k - 1], "<class Net> -> <class Config>"),
    "function": (lambda k: (lambda x: x * k), "<function"), "slice": (lambda k: slice(k), r"slice\(None, 1, None\) -> "),
    "counter": (lambda k: collections.Counter("a" * k + "b"), ""), "optimizer": (
        lambda k: torch.optim.SGD([nn.Parameter(torch.ones(k))], lr=0.1), r"f32\[1\] -> .*f32\[2\]|another one"),
    "same": (lambda k: Config(rate=3), "another one, <Config object>")}


@pytest.mark.parametrize("static", [False, True], ids=["met", "static"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_differs_in_an_argument_is_named(name: str, static: bool) -> None:
    make, expected = ARGUMENTS[name]
    if static and name == "counter":
        pytest.skip("compared by its contents")
    step = torch.jit(lambda x, thing: (str(type(thing)), x * 2)[1], static=[1] if static else ())
    for k in (1, 2):
        thing = make(k)
        step(X, thing)
        del thing
        gc.collect()
    text = str(step.why())
    assert "gone" not in text
    if step.stats.compiles > 1:
        line = text.splitlines()[1]
        assert "args[1]" in line and re.search(expected, line), text


def outside_things() -> dict[str, tuple[Any, Callable[[Any], Any], str]]:
    """What a step reads, how it is exchanged, and what must be said."""
    return {
        "attribute of a module": (Net(1), lambda net: setattr(net, "config", Config(deep={"scale": [1, 5]})),
                                  r"Net\.config\.deep\['scale'\]\[1\]: 1 -> 5"),
        "layer": (Net(1), lambda net: setattr(net, "layer", nn.Linear(2, 3)), r"Net\.layer\.weight: .*\[2,2\] -> .*\[3,2\]"),
        "another layer alike": (Net(1), lambda net: setattr(net, "layer", nn.Linear(2, 2)), r"another one, a tensor f32\[2,2\]"),
        "no bias": (Net(1), lambda net: setattr(net.layer, "bias", None), r"Net\.layer\.bias: a tensor f32\[2\] -> None"),
        "activation": (nn.Sequential(nn.ReLU()), lambda net: net.__setitem__(0, nn.GELU()), "<class ReLU> -> <class GELU>"),
    }


@pytest.mark.parametrize("name", outside_things())
def test_what_differs_outside_is_named(name: str) -> None:
    thing, exchange, expected = outside_things()[name]
    step = torch.jit(lambda x: thing(x))
    step(X)
    exchange(thing)
    gc.collect()
    step(X)
    assert "gone" not in str(step.why()) and re.search(expected, str(step.why())), step.why()


def test_an_object_in_a_closure_that_is_exchanged() -> None:
    config = Config(deep={"scale": [1, 2]})
    step = torch.jit(lambda x: x * config.deep["scale"][1])
    step(X)
    config = Config(deep={"scale": [1, 3]})
    step(X)
    assert step.why()[-1].changes == (("config (closure of <lambda>).deep['scale'][1]", 2, 3),)


def test_a_batch_is_not_kept_for_the_reasons() -> None:
    batch = Config(rate=1)
    del batch.kind  # which makes it data
    ref = weakref.ref(batch)
    step = torch.jit(lambda x, thing: x * thing.rate)
    step(X, batch)
    del batch
    gc.collect()
    assert ref() is None
