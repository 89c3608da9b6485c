"""Gradient clipping with `error_if_nonfinite`, against torch: which norms raise, and that nothing is scaled then."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

GRADIENTS = [[1.0, 2.0], [1.0, math.inf], [math.nan, 1.0], [-math.inf, 3.0], [0.0, 0.0]]
NORMS = [2.0, 1.0, math.inf, 0.0, -1.0, 3]


def clipped(t: Any, gradients: list[list[float]], norm: float, strict: bool) -> Any:
    parameters = [t.nn.Parameter(t.ones(2)) for _ in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = t.tensor(g)
    try:
        total = t.nn.utils.clip_grad_norm_(parameters, 1.0, norm, error_if_nonfinite=strict).item()
    except RuntimeError as error:
        total = str(error)
    return total, [p.grad.tolist() for p in parameters]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("gradient", GRADIENTS, ids=str)
def test_clip_grad_norm(gradient: list[float], norm: float, strict: bool) -> None:
    for others in ([], [[3.0, -4.0]]):
        ours, theirs = (clipped(t, [gradient, *others], norm, strict) for t in (flambeau, torch))
        if isinstance(theirs[0], str):
            assert ours[0] == theirs[0]
        else:
            assert ours[0] == pytest.approx(theirs[0], nan_ok=True)
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)
