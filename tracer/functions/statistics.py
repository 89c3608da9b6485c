"""Covariances and histograms: https://pytorch.org/docs/stable/torch.html#reduction-ops"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.told import tell
from ..tensor.tensor import Tensor
from .arithmetic import add, div, mul, sub
from .checks import check_none, first_of, known
from .choosing import clamp, where
from .comparing import logical_and
from .complex_numbers import complex as complex_of
from .creation import zeros
from .dims import real_number, whole_number, whole_place
from .histograms import check_finite
from .linear import matmul
from .methods import Out, method, with_out_of
from .operands import Number, scalar_name
from .reduce import aminmax, sum
from .scattering import index_add
from .shape import flatten, reshape, squeeze, t, unsqueeze
from .slicing import narrow
from .spelling import spelled
from .strided import diagonal
from .unary import sqrt

# --- Covariance -------------------------------------------------------------------------------------------------------


def _check_weights(name: str, weights: Tensor, observations: int, right: bool, kind: str) -> None:
    if weights.ndim > 1:
        raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {name} with {weights.ndim} "
                           "dimensions")
    if not right:
        raise RuntimeError(f"cov(): expected {name} to have {kind} dtype but got {name} with {scalar_name(weights.dtype)} dtype")
    if weights.numel() != observations:
        raise RuntimeError(f"cov(): expected {name} to have the same numel as there are observations in the input but got "
                           f"{weights.numel()} != {observations}")
    check_none("cov", weights < 0, RuntimeError, f"cov(): {name} cannot be negative")


def _weights(observations: int, fweights: Tensor | None, aweights: Tensor | None) -> Tensor | None:
    """The weight of each observation, checked: how often it was made times how much it matters."""
    if fweights is not None:
        right = fweights.dtype.category == dtypes.INTEGRAL
        _check_weights("fweights", fweights, observations, right, "integral")
    if aweights is not None:
        _check_weights("aweights", aweights, observations, aweights.dtype.is_floating_point, "floating point")
        return aweights if fweights is None else mul(fweights, aweights)
    return fweights


def _warn_of_freedom(degrees: float) -> None:
    if degrees <= 0:
        tell("cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of observations.")


def _degrees(weights: Tensor, aweights: Tensor | None, correction: Number) -> Tensor:
    """By what the weighted sum of squares is divided, and not below zero."""
    whole = sum(weights)
    taken = correction if aweights is None else mul(div(sum(mul(weights, aweights)), whole), correction)
    return clamp(sub(whole, taken), min=0)


def _known_degrees(correction: Number, fweights: Tensor | None, aweights: Tensor | None) -> float:
    """The same as a number if the weights are at hand on the host, else infinity; torch's error if they sum to zero."""
    arrays = [known(w) for w in (fweights, aweights) if w is not None]
    if any(array is None for array in arrays):
        return math.inf
    product = np.prod([array.astype(np.float64).reshape(-1) for array in arrays], axis=0)
    if product.sum() == 0:
        raise first_of(RuntimeError("cov(): weights sum to zero, can't be normalized"))
    squared = (product * arrays[-1].reshape(-1)).sum()
    return float(product.sum() - (correction if aweights is None else correction * squared / product.sum()))


@method()
@spelled
def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
    """The covariances of variables (rows) over observations (columns), sum w (x - x') (y - y')* / (sum w - correction).

    `fweights` says how often each observation was made, `aweights` how much it matters. RuntimeError if they are negative
    or sum to zero, which is only seen of weights that are at hand on the host.

    >>> import flambeau as torch
    >>> torch.cov(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    return _covariances("cov", input, correction, fweights, aweights)


def _covariances(name: str, input: Tensor, correction: int, fweights: Tensor | None, aweights: Tensor | None) -> Tensor:
    correction = whole_place(correction, "correction", name)
    if input.ndim > 2:
        raise RuntimeError(f"{name}(): expected input to have two or fewer dimensions but got an input with {input.ndim} "
                           "dimensions")
    if input.dtype is dtypes.boolean:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = input if input.ndim == 2 else reshape(input, (1, -1) if input.numel() else (1, 0))
    observations = rows._type.shape[1]
    weights = _weights(observations, fweights, aweights)
    if weights is None:
        degrees: Any = max(observations - correction, 0)
        _warn_of_freedom(degrees)
        centred = weighted = sub(rows, div(sum(rows, 1, True), observations))
    else:
        _warn_of_freedom(_known_degrees(correction, fweights, aweights))
        degrees = _degrees(weights, aweights, correction)
        centred = sub(rows, div(sum(mul(rows, weights), 1, True), sum(weights)))
        weighted = mul(centred, weights)
    return squeeze(div(matmul(centred, t(weighted).conj()), degrees))


@method()
@spelled
def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlation coefficients of variables (rows): cov(x, y) / sqrt(cov(x, x) cov(y, y)), within -1 and 1.

    >>> import flambeau as torch
    >>> torch.corrcoef(torch.tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    covariances = _covariances("corrcoef", input, 1, None, None)
    if covariances.ndim == 0:
        return div(covariances, covariances)
    variances = diagonal(covariances)
    spread = sqrt(variances.real if variances.dtype.is_complex else variances)
    result = div(div(covariances, unsqueeze(spread, 1)), spread)
    if result.dtype.is_complex:
        return complex_of(clamp(result.real, -1, 1), clamp(result.imag, -1, 1))
    return clamp(result, -1, 1)


# --- Histogram --------------------------------------------------------------------------------------------------------


def _require_range(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")


def _edges(x: Tensor, low: float, high: float) -> tuple[Any, Any]:
    """The ends of the range: the given ones, those of the data where they are equal, and apart by 2 if these are too."""
    if low == high and x.numel():
        least, most = aminmax(x)
        check_finite("histc", x, least, most, "torch.histc: range of [{}, {}] is not finite")
        alike = least == most
        return where(alike, sub(least, 1), least), where(alike, add(most, 1), most)
    _require_range(low, high)
    return (low - 1, high + 1) if low == high else (low, high)


@method()
@with_out_of(Out("torch.histogram: input tensor and hist tensor should have the same dtype, but got input {c_result} and hist "
                 "{c_out}"))
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal parts of [min, max], of the range of the data where both are equal.

    Elements outside, and NaN, are not counted. RuntimeError for a range that is not finite, also of the data's own.

    >>> import flambeau as torch
    >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    bins = whole_number(bins, "bins")
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{scalar_name(input.dtype)}'")
    x = flatten(input.detach())
    x = x.to(dtypes.float32) if input.dtype.itemsize < 4 else x
    low, high = _edges(x, real_number(min, "min"), real_number(max, "max"))
    inside = logical_and(x >= low, x <= high)
    places = div(mul(sub(x, low), bins), sub(high, low) if isinstance(high, Tensor) else high - low)
    places = where(inside, clamp(where(inside, places, 0).to(dtypes.int64), 0, bins - 1), bins)
    ones = inside.to(dtypes.int64)
    counts = index_add(zeros(bins + 1, dtype=dtypes.int64, device=input.device), 0, places, ones)
    return narrow(counts, 0, 0, bins).to(input.dtype)
