"""Medians, modes, k-th values and quantiles: https://pytorch.org/docs/stable/torch.html#reduction-ops"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from ..ir import dtypes
from ..ops.elementwise import with_value
from ..ops.indexing import take_along
from ..tensor.tensor import Tensor
from .arithmetic import add, div, floor_divide, mul, rsub, sub
from .checks import check_none, unchecked
from .choosing import clamp, where
from .comparing import eq, gt, isnan, logical_and, logical_not, logical_or, lt
from .conversions import clone
from .dims import check_keepdim, checked_dim, whole_place
from .methods import CASTS, Out, method, with_out_of
from .operands import number_value, wrap
from .reduce import any_ as any_of
from .reduce import argmax
from .reduce import sum as sum_
from .refusals import ORDERED, REAL, require_kind
from .return_types import return_type, zero_index
from .scattering import gather
from .shape import movedim, squeeze
from .slicing import block
from .sorting import sort

_KthValue, _Median, _NanMedian, _Mode = (return_type(n) for n in ("kthvalue", "median", "nanmedian", "mode"))

_QUANTILE: Final = Out("quantile() out tensor must be same dtype as the input tensor")
_KTH: Final = (Out("output values must be of same type as input", apart=True),
         Out("output indices must be of scalar type Long", apart=True))
_MEDIAN: Final = (Out("Expected tensor for 'values' to have the same type as tensor for argument #2 'self'; but type "
                      "torch.{out}Tensor does not equal torch.{result}Tensor (while checking arguments for median)"),
                  Out("Expected tensor for argument #1 'indices' to have scalar type {result}; but got torch.{out}Tensor instead "
                      "(while checking arguments for median)"))
_MODE: Final = tuple(Out(f"expected scalar type '{{result}}' but got '{{out}}' for {name} output")
                     for name in ("values", "indices"))


# --- One place of the sorted order ------------------------------------------------------------------------------------


def _chosen(kind: Callable[..., Any], input: Tensor, axis: int, position: Callable[[Tensor], Any],
            keepdim: bool) -> Any:
    """(values, indices) at one place of the sorted order; `position` computes it from the sorted values."""
    values, indices = sort(input, axis)
    if input.ndim == 0:
        return kind(values, indices)
    place = position(values)
    if isinstance(place, int):
        picked = [wrap(block(t, axis, place, 1)._read()) for t in (values, indices)]
    else:
        at = place._read()
        picked = [wrap(take_along(t._read(), at, axis)) for t in (values, indices)]
    return kind(*(t if keepdim else t.squeeze(axis) for t in picked))


@method()
@with_out_of(*_KTH)
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest elements along `dim`, counted from 1."""
    axis = checked_dim(dim, input.ndim)
    k = whole_place(k, "k")
    require_kind("kthvalue_cpu", input, REAL)
    if input.ndim and input._type.shape[axis] == 0:
        raise IndexError(f"kthvalue(): Expected reduction dim {axis} to have non-zero size.")
    if not 1 <= k <= (input._type.shape[axis] if input.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}")
    return _chosen(_KthValue, input, axis, lambda values: k - 1, keepdim)


def _lower_median(n: int, axis: int, skip_nan: bool) -> Callable[[Tensor], Any]:
    """The place of the median: the lower of two. A NaN is the median, unless skipped."""

    def position(values: Tensor) -> Any:
        if not values.dtype.is_floating_point:
            return (n - 1) // 2
        nans: Tensor = sum_(isnan(values), axis, True)
        if skip_nan:
            return floor_divide(clamp(rsub(nans, n - 1), min=0), 2)
        return where(gt(nans, 0), rsub(nans, n), (n - 1) // 2)

    return position


def _median_along(kind: Callable[..., Any], name: str, input: Tensor, dim: int, keepdim: bool) -> Any:
    axis = checked_dim(dim, input.ndim)
    require_kind("median_out", input, REAL)
    n = input._type.shape[axis] if input.ndim else 1
    if n == 0:
        raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
    return _chosen(kind, input, axis, _lower_median(n, axis, kind is _NanMedian), keepdim)


def _median_of_all(kind: Callable[..., Any], input: Tensor) -> Tensor:
    """The median of all elements; equal ones share the gradient evenly."""
    require_kind("median_cpu", input, REAL)
    if input.numel() == 0:
        return wrap(number_value(math.nan, input.dtype, (), input._device))
    flat = input.reshape(-1)
    middle = _chosen(kind, flat.detach(), 0, _lower_median(flat.numel(), 0, kind is _NanMedian), False).values
    if not input.requires_grad:
        return middle
    same = logical_or(eq(flat, middle), logical_and(isnan(flat), isnan(middle)))
    shared = div(sum_(where(same, flat, 0.0)), sum_(same).to(flat.dtype))
    return wrap(with_value(shared._read(), middle._read()))


@method()
@with_out_of(CASTS, several=_MEDIAN)
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median (the lower of two) of all elements; or (values, indices) along `dim`. NaN if there is one."""
    if keepdim is not False:
        check_keepdim("median", keepdim, dim)
    return _median_of_all(_Median, input) if dim is None else _median_along(_Median, "median", input, dim, keepdim)


@method()
@with_out_of(CASTS, several=_MEDIAN)
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    if keepdim is not False:
        check_keepdim("nanmedian", keepdim, dim)
    if dim is None:
        return _median_of_all(_NanMedian, input)
    return _median_along(_NanMedian, "nanmedian", input, dim, keepdim)


@method()
@with_out_of(*_MODE)
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the most frequent elements along `dim`: of several the smallest, of its places the last."""
    if keepdim is not False:
        check_keepdim("mode", keepdim)
    axis = checked_dim(dim, input.ndim)
    require_kind("mode_cpu", input, ORDERED)
    if input.ndim == 0:
        return _Mode(clone(input), wrap(zero_index(input)))
    if input._type.shape[axis] == 0:
        raise IndexError(f"mode(): Expected reduction dim {axis} to have non-zero size.")

    def longest_run(values: Tensor) -> Tensor:
        """The last place of the first of the longest runs: torch's choice of index."""
        counts = sum_(eq(values.unsqueeze(axis), values.unsqueeze(axis + 1)), axis)
        first: Tensor = argmax(counts, axis, True)
        with unchecked():
            return sub(add(first, gather(counts, axis, first)), 1)

    return _chosen(_Mode, input, axis, longest_run, keepdim)


# --- Quantiles --------------------------------------------------------------------------------------------------------

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(name: str, input: Tensor, q: Any, interpolation: str) -> None:
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if isinstance(q, Tensor):
        if q.ndim > 1:
            raise RuntimeError("quantile() q must be a scalar or 1D tensor")
        if q.dtype is not input.dtype:
            raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
        check_none(name, logical_not(logical_and(q >= 0, q <= 1)), RuntimeError,
                   "quantile() q values must be in the range [0, 1]", q.detach(), "{value}")
    elif not 0 <= q <= 1:
        raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q:g}")
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
                           f"{interpolation}")
    if input.numel() == 0:
        raise RuntimeError("quantile() input tensor must be non-empty")


def _quantile(name: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str,
              skip_nan: bool) -> Tensor:
    _check_quantile(name, input, q, interpolation)
    x = input.reshape(-1) if dim is None or input.ndim == 0 else input
    axis = checked_dim(0 if dim is None else dim, x.ndim)
    values = sort(x.movedim(axis, -1), -1).values
    at = q if isinstance(q, Tensor) else wrap(number_value(q, x.dtype, (), x._device))
    ranks = _ranks(values, at.reshape(-1), skip_nan)
    found = _between(values, ranks, interpolation)  # [*rest, number of quantiles]
    if keepdim and (dim is None or input.ndim == 0):
        found = found.reshape(*[1] * input.ndim, at.numel())
    elif keepdim:
        found = found.unsqueeze(axis)
    return movedim(found, -1, 0) if at.ndim else squeeze(found, -1)


def _ranks(values: Tensor, q: Tensor, skip_nan: bool) -> Tensor:
    """Where each quantile stands in the sorted order, [*rest, number of quantiles]; at a NaN if there is one."""
    last = float(values.shape[-1] - 1)
    nans = isnan(values)
    if skip_nan:
        count = sum_(logical_not(nans), -1, True).to(values.dtype)
        return mul(q, clamp(sub(count, 1), min=0.0))
    return where(any_of(nans, -1, True), last, mul(q, last))


def _at(values: Tensor, ranks: Tensor) -> Tensor:
    with unchecked():
        return gather(values, -1, ranks.to(dtypes.int64))


def _between(values: Tensor, ranks: Tensor, interpolation: str) -> Tensor:
    rounding = {"lower": "floor", "higher": "ceil", "nearest": "round"}.get(interpolation)
    if rounding is not None:
        return _at(values, getattr(ranks, rounding)())
    below, above = ranks.floor(), ranks.ceil()
    weight = sub(ranks, below) if interpolation == "linear" else add(mul(ranks, 0.0), 0.5)
    low, high = _at(values, below), _at(values, above)
    # From the nearer end, so that an infinite one stays itself.
    from_low, from_high = add(low, mul(sub(high, low), weight)), sub(high, mul(sub(high, low), rsub(weight, 1.0)))
    return where(lt(weight, 0.5), from_low, from_high)


@method()
@with_out_of(_QUANTILE)
def quantile(input: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *,
             interpolation: str = "linear") -> Tensor:
    """The q-quantile (or one for each element of q, in a new first dimension) of all elements or along `dim`.

    Its place in the sorted order is q * (n - 1); between two elements it is interpolated.

    >>> import flambeau as torch
    >>> torch.quantile(torch.tensor([0.0, 1.0, 2.0, 3.0]), 0.5)
    tensor(1.5000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@method()
@with_out_of(_QUANTILE)
def nanquantile(input: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *,
                interpolation: str = "linear") -> Tensor:
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)
