"""Scalars of numpy as numbers of a step: arguments, attributes, schedules, positions; against torch, with what they compile."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

Wrap = Callable[[Any], Any]


def attributes(lib: Any, jit: Wrap) -> Any:
    class Decaying(lib.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.calls = np.float64(1.0), np.int64(0)

        def forward(self, x: Any) -> Any:
            self.calls += 1
            self.scale *= np.float32(0.5)
            return x * self.scale + self.calls

    model = Decaying()
    step = jit(model)
    return [step(lib.ones(2)).tolist() for _ in range(6)], type(model.scale), model.scale, type(model.calls), model.calls


def changed_outside(lib: Any, jit: Wrap) -> Any:
    options, found = {"rate": np.float64(0.1)}, []
    step = jit(lambda x: x * options["rate"])
    for i in range(5):
        options["rate"] = np.float64(0.1) * i
        found.append(step(lib.ones(2)).tolist())
    return found


def kept_and_returned(lib: Any, jit: Wrap) -> Any:
    history: list[Any] = []

    def function(x: Any, i: Any) -> Any:
        history.append(i * 2)
        return x * (1 - 0.9 ** i), {"i": i}

    step = jit(function)
    found = [step(lib.ones(2), i) for i in np.arange(1, 6)]
    return [(x.tolist(), type(d["i"]), d["i"]) for x, d in found], [(type(n), n) for n in history]


def positions(lib: Any, jit: Wrap) -> Any:
    table = lib.arange(20.0).reshape(10, 2)
    step = jit(lambda i: table[i:i + 2].sum() + table[i].sum() + table.narrow(0, i, 2).sum() + table.select(0, i).sum())
    return [step(i).item() for i in np.random.default_rng(0).permutation(8)]


def rates(lib: Any, jit: Wrap) -> Any:
    weight = lib.nn.Parameter(lib.ones(2))
    optimizer = lib.optim.SGD([weight], lr=0.1, momentum=0.9)

    def function(x: Any, rate: Any) -> Any:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = (weight * x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    step = jit(function)
    found = [round(step(lib.tensor([1.0, 2.0]), rate).item(), 5) for rate in np.linspace(0.1, 0.01, 6)]
    return found, type(optimizer.param_groups[0]["lr"])


def schedule(lib: Any, jit: Wrap) -> Any:
    step = jit(lambda x, t: x * (0.5 * (1 + np.cos(np.pi * np.minimum(t, 4) / 5))))
    return [round(step(lib.ones(1), t).item(), 5) for t in range(6)]


def batches(lib: Any, jit: Wrap) -> Any:
    step = jit(lambda b: b["x"] * b["w"] + b["y"])
    return [step({"x": lib.ones(2), "w": np.float32(i), "y": np.int64(i)}).tolist() for i in range(5)]


def conditions(lib: Any, jit: Wrap) -> Any:
    step = jit(lambda x, a: lib.where(x > a, x, a) if a > 0.5 else x.clamp(min=a))
    return [step(lib.ones(2) * 0.3, np.float32(a)).tolist() for a in (0.1, 0.2, 0.6, 0.7, 0.9)]


def tensors_of_them(lib: Any, jit: Wrap) -> Any:
    step = jit(lambda n: (lib.tensor(n), lib.as_tensor([n, n]), lib.full((2,), n), lib.scalar_tensor(n), lib.asarray(n)))
    return [[(str(t.dtype), t.tolist()) for t in step(n)] for n in (np.float32(0.5), np.float32(2))]


def meeting_arrays(lib: Any, jit: Wrap) -> Any:
    """To numpy what stands for a Python number must be one, and not an array of float64."""
    step = jit(lambda x, s: (x * 2, np.float32(3) * s, np.ones(2, np.float32) * s, s + np.int8(1)))
    return [(np.asarray(r).dtype, np.asarray(r).tolist()) for s in (0.5, 3) for r in step(lib.ones(2), s)[1:]]


def one_or_the_other(lib: Any, jit: Wrap) -> Any:
    """The larger of two numbers is numpy's at some calls and Python's at others."""
    table = lib.arange(8.0)
    step = jit(lambda n, s: (table[max(n, 3)], table.narrow(0, max(n, 3), 1), table * (max(s, 0.5) + 1), max(n, 3)))
    found = [step(np.int64(i), np.float32(i / 4)) for i in range(6)]
    return [(a.item(), b.tolist(), c.tolist(), type(d), d) for a, b, c, d in found]


def in_a_backward(lib: Any, jit: Wrap) -> Any:
    """What the backward of a function computes with one wraps and is rounded as numpy has it."""
    class Scaled(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, n: Any) -> Any:
            ctx.n = n
            return x * n

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * (ctx.n + ctx.n), None

    def function(x: Any, n: Any) -> Any:
        Scaled.apply(x, n).sum().backward()
        return x.grad

    step, found = jit(function), []
    for n in (np.int8(100), np.int8(90), np.float32(0.1), np.float32(0.3)):
        x = lib.ones(2, dtype=lib.float64, requires_grad=True)
        found.append(step(x, n).tolist())
    return found


SCENARIOS: dict[Callable[[Any, Wrap], Any], int] = {
    attributes: 1, changed_outside: 2, kept_and_returned: 1, positions: 1, rates: 1, schedule: 1, batches: 1, conditions: 2,
    tensors_of_them: 1, meeting_arrays: 2, one_or_the_other: 2, in_a_backward: 2}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
def test_numbers_of_numpy(scenario: Callable[[Any, Wrap], Any]) -> None:
    made: list[Any] = []

    def jit(function: Any) -> Any:
        made.append(flambeau.jit(function))
        return made[-1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scenario(torch, lambda f: f)
        assert repr(scenario(flambeau, lambda f: f)) == repr(expected)
        assert repr(scenario(flambeau, jit)) == repr(expected)
    assert made[0].stats.compiles == SCENARIOS[scenario], made[0].why()


# --- Numbers of both in one list ----------------------------------------------------------------------------------------

NUMBERS = (np.float16(1), np.float32(1), np.float64(1), np.int8(1), np.int32(1), np.int64(1), np.uint8(1), np.complex64(1),
           np.complex128(1), 2, 2.0, True, 1j)
SHAPES: list[Callable[..., Any]] = [lambda *x: [*x], lambda *x: tuple([n, n] for n in x)]


@pytest.mark.parametrize("default", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_numbers_of_a_list_promote_each_other(count: int, default: str) -> None:
    """Of numpy's numbers by their own dtypes, of Python's by those that torch has for them: 13 kinds, flat and nested."""
    try:
        for library in (torch, flambeau):
            library.set_default_dtype(getattr(library, default))
        wrong = [(data, str(theirs), str(ours)) for shape in SHAPES for x in itertools.product(NUMBERS, repeat=count)
                 for data in [shape(*x)] for theirs, ours in [(torch.tensor(data).dtype, flambeau.tensor(data).dtype)]
                 if str(theirs).split(".")[-1] != str(ours).split(".")[-1]]
    finally:
        for library in (torch, flambeau):
            library.set_default_dtype(library.float32)
    assert not wrong, wrong[:3]
