"""Quotients are rounded once, whatever the divisor is: x / x is 1, as in torch, and a whole quotient is whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch

DIVISORS: dict[str, Callable[[Any, int], Any]] = {
    "a number": lambda x, d: x / d, "a number of floats": lambda x, d: x / float(d), "a tensor": lambda x, d: x / torch.tensor(d),
    "its largest element": lambda x, d: x.clamp(max=d) / x.clamp(max=d).max(), "a column": lambda x, d: x / x[:, d:d + 1],
    "a row": lambda x, d: x[d:d + 1].t() / x[d:d + 1, d], "the same shape": lambda x, d: x / torch.full_like(x, d),
    "in place": lambda x, d: x.clone().div_(d), "true_divide": lambda x, d: torch.true_divide(x, d)}
TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
ODD = [d for d in range(3, 128, 2)]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", DIVISORS)
@pytest.mark.parametrize("jitted", [False, True])
def test_a_quotient(name: str, kind: Any, jitted: bool) -> None:
    x = torch.arange(128).expand(128, 128).to(kind)  # all of them are exact in these types
    wrong = []
    for d in ODD[::7] if jitted else ODD:
        divide = torch.jit(DIVISORS[name], static=(1,)) if jitted else DIVISORS[name]
        found = divide(x, d)
        most = d if name == "its largest element" else 127
        numerators = np.minimum(np.arange(128), most).astype(kind.numpy)
        quotients = (numerators / kind.numpy.type(d)).astype(np.float64)
        row = found[:, 0] if name == "a row" else found[3]
        if row.double().tolist() != quotients.tolist():
            wrong.append(d)
    assert not wrong


def test_means_of_ones() -> None:
    assert [n for n in (3, 41, 55, 61, 83, 97, 107, 110) if torch.ones(n).mean() != 1] == []


def test_places_in_rows() -> None:
    """`(i / width).long()` is the row that i is in."""
    i = torch.arange(2000)
    for width in (41, 55, 61, 97, 107):
        assert torch.equal((i / width).long(), i // width) and torch.equal((i / width).floor().int(), (i // width).int())


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("divisor", [2.0, -4.0, 0.125, 128.0, 8192.0, 1 / 16384, 3.0, 0.75, 1e-5])
def test_a_quotient_by_a_power_of_two_is_a_product(kind: Any, divisor: float) -> None:
    """In a compiled step: it is the same number, and the compiler joins it with what is around it."""
    step = torch.jit(lambda x: x / divisor)
    x = (torch.arange(-500, 500) * 1.37e-3).to(kind)
    assert step(x).double().tolist() == (x / divisor).double().tolist()
    exact = divisor not in (3.0, 0.75, 1e-5)
    assert ("stablehlo.multiply" in step.stablehlo, "stablehlo.divide" in step.stablehlo) == (exact, not exact)
