"""Checks on numbers hold for number arguments of a step too, at each call: a good one, a bad one, another good one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import flambeau

from ..engines import on_numpy
from ..three_ways import check_alike

oracle = pytest.importorskip("torch")
KINDS: dict[str, Callable[[Any], Any]] = {
    "int64": lambda torch: torch.arange(1, 4), "uint8": lambda torch: torch.ones(3, dtype=torch.uint8),
    "int8": lambda torch: torch.ones(3, dtype=torch.int8), "int32": lambda torch: torch.ones(3, dtype=torch.int32),
    "float32": lambda torch: torch.ones(3), "float16": lambda torch: torch.ones(3, dtype=torch.float16)}
Case = tuple[Callable[[Any, Any, Any], Any], str, Any, Any]


def assigned(torch: Any, x: Any, n: Any) -> Any:
    x[0] = n
    return x


CASES: dict[str, Case] = {
    "power": (lambda torch, x, n: x ** n, "int64", 2, -1),
    "power in place": (lambda torch, x, n: x.pow_(n), "int64", 2, -1),
    "fill uint8": (lambda torch, x, n: x.fill_(n), "uint8", 5, 300),
    "fill int8": (lambda torch, x, n: x.fill_(n), "int8", 5, 300),
    "fill int32": (lambda torch, x, n: x.fill_(n), "int32", 5, 2**31),
    "fill with nan": (lambda torch, x, n: x.fill_(n), "int64", 5.0, math.nan),
    "fill with inf": (lambda torch, x, n: x.fill_(n), "uint8", 5.0, math.inf),
    "fill with 1e30": (lambda torch, x, n: x.fill_(n), "int64", 5.0, 1e30),
    "fill a half": (lambda torch, x, n: x.fill_(n), "float16", 5.0, 1e6),
    "item": (assigned, "uint8", 5, 300), "item nan": (assigned, "int64", 5.0, math.nan),
    "item of a half": (assigned, "float16", 5.0, 1e6),
    "masked_fill": (lambda torch, x, n: x.masked_fill(x > 0, n), "int64", 5.0, math.nan),
    "where": (lambda torch, x, n: torch.where(x > 0, x, n), "uint8", 5, 300),
    "full": (lambda torch, x, n: torch.full((2,), n, dtype=x.dtype), "int64", 5.0, math.inf),
    "full_like": (lambda torch, x, n: torch.full_like(x, n), "int8", 5, 300),
    "tensor": (lambda torch, x, n: torch.tensor([n], dtype=x.dtype), "uint8", 5, 300),
    "clamp": (lambda torch, x, n: x.clamp(max=n), "uint8", 5, 300),
    "index_fill": (lambda torch, x, n: x.index_fill(0, torch.tensor([0]), n), "uint8", 5, 300),
    "alpha": (lambda torch, x, n: torch.add(x, x, alpha=n), "int8", 5, 300),
    "bernoulli_": (lambda torch, x, n: x.bernoulli_(n) * 0, "float32", 0.5, 1.5),
    "bernoulli": (lambda torch, x, n: torch.bernoulli(x, n) * 0, "float32", 0.5, 1.5),
    "normal_": (lambda torch, x, n: x.normal_(0, n) * 0, "float32", 0.5, -1.0),
    "normal": (lambda torch, x, n: torch.normal(0.0, n, (3,)) * 0, "float32", 0.5, -1.0),
    "uniform_": (lambda torch, x, n: x.uniform_(0, n) * 0, "float32", 0.5, -1.0),
    "exponential_": (lambda torch, x, n: x.exponential_(n) * 0, "float32", 0.5, -1.0),
    "cauchy_": (lambda torch, x, n: x.cauchy_(0, n) * 0, "float32", 0.5, -1.0),
    "log_normal_": (lambda torch, x, n: x.log_normal_(0, n) * 0, "float32", 0.5, -1.0),
    "celu": (lambda torch, x, n: torch.celu(x, n), "float32", 0.5, 0.0),
    "batch_norm": (lambda torch, x, n: torch.nn.functional.batch_norm(x.view(3, 1), None, None, training=True, eps=n) * 0,
                   "float32", 0.5, -1.0),
    "repeat": (lambda torch, x, n: x.repeat(n), "float32", 2, -1)}


@pytest.mark.parametrize("name", CASES)
def test_the_bad_number_is_an_error_as_in_torch(name: str) -> None:
    function, kind, good, bad = CASES[name]

    def scenario(torch: Any, jit: Any) -> Any:
        step, found = jit(lambda x, n: function(torch, x, n)), list[Any]()
        for n in (good, bad, good):
            try:
                found.append(step(KINDS[kind](torch), n).tolist())
            except Exception as error:
                found.append([type(error).__name__, str(error)[:50]])
        return found

    check_alike(scenario, oracle)


def test_good_numbers_compile_nothing_anew() -> None:
    step = flambeau.jit(lambda x, n: x.fill_(n) ** n)
    with on_numpy():
        for n in (2, 3, -1, 4, 300, 5):
            if 0 <= n < 256:
                step(flambeau.ones(3, dtype=flambeau.uint8), n)
            else:
                with pytest.raises(RuntimeError):
                    step(flambeau.ones(3, dtype=flambeau.uint8), n)
    assert step.stats.compiles == 1
