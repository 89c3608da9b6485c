"""Series in Chebyshev polynomials, found from samples in double precision: https://dlmf.nist.gov/3.11.ii"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..tensor.tensor import Tensor
from .operands import full, wrap

_NODES = 96


def coefficients(samples: Callable[[Any], Any], kind: dtype) -> list[float]:
    """Of a function of t in [-1, 1] that takes an array, as many as matter in a tensor of `kind`."""
    turns = np.outer(np.arange(1, 2 * _NODES, 2), np.arange(_NODES)) % (4 * _NODES)  # of 4 N: the angles stay small
    waves = np.cos(turns * (np.pi / (2 * _NODES)))
    found = np.asarray(samples(waves[:, 1])) @ waves * (2 / _NODES)
    found[0] /= 2
    kept = int(np.flatnonzero(np.abs(found) > np.abs(found).max() * dtypes.finfo(kind).eps / 256)[-1]) + 1
    return [float(c) for c in found[:kept]]


def chebyshev_sum(t: Tensor, series: Sequence[float]) -> Tensor:
    """The sum of c[k] T_k(t), by Clenshaw's recurrence."""
    zero = wrap(full(t._type.shape, 0, t.dtype, t._device))
    last, before, twice = zero, zero, t * 2
    for c in reversed(series[1:]):
        last, before = twice * last - before + c, last
    return t * last - before + series[0]


def power_sum(x: Tensor, series: Sequence[float]) -> Tensor:
    """The sum of c[k] x**k, by Horner's rule."""
    total = x * 0 + series[-1]
    for c in reversed(series[:-1]):
        total = total * x + c
    return total
