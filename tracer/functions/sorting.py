"""Sorting, order statistics and running reductions: https://pytorch.org/docs/stable/torch.html#comparison-ops"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..dtypes import dtype
from ..graph import Value
from ..ops import OPS
from ..ops.elementwise import alias, with_value
from ..ops.indexing import take_along
from ..ops.structural import transpose
from ..ops.window import running_position, shift
from ..tensor import Tensor
from .arithmetic import add, div, floor_divide, mul, rsub, sub
from .choosing import clamp, masked_fill, maximum, where
from .comparing import eq, gt, isinf, isnan, logical_and, logical_not, logical_or, logical_xor, lt
from .conversions import clone
from .defaults import Defaults
from .dims import checked_dim
from .joining import cat
from .methods import into, method, with_out
from .operands import cast_value, number_value, wrap
from .reduce import any_ as any_of
from .reduce import argmax
from .reduce import sum as sum_
from .scattering import gather
from .shape import movedim, squeeze
from .slicing import sliced
from .unary import abs as absolute
from .unary import exp, log1p, neg


def _result_type(name: str) -> Callable[..., Any]:
    """A pair with torch's field names that prints as torch's does."""
    base = namedtuple(name, ["values", "indices"])  # type: ignore[misc]
    text = f"torch.return_types.{name}(\nvalues={{}},\nindices={{}})"
    return type(name, (base,), {"__slots__": (), "__repr__": lambda self: text.format(self.values, self.indices)})


_Sorted, _TopK, _KthValue, _Median = (_result_type(n) for n in ("sort", "topk", "kthvalue", "median"))
_NanMedian, _Mode, _CumMax, _CumMin = (_result_type(n) for n in ("nanmedian", "mode", "cummax", "cummin"))


def _pair(kind: Callable[..., Any], values: Value, indices: Value) -> Any:
    return kind(wrap(values), wrap(indices))


def _zero_index(x: Tensor) -> Value:
    return number_value(0, dtypes.int64, (), x._device)


def _to_last(value: Value, axis: int) -> Value:
    """The value with `axis` exchanged with the last."""
    order = list(range(value.type.ndim))
    order[axis], order[-1] = order[-1], order[axis]
    return value if axis == len(order) - 1 else transpose(value, permutation=tuple(order))


# --- Sorting ----------------------------------------------------------------------------------------------------------


def _sorted(value: Value, axis: int, descending: bool) -> tuple[Value, Value]:
    places = OPS["iota"].on(value.device, shape=value.type.shape, axis=axis, dtype=dtypes.int64)
    values, indices = OPS["sort"](value, places, axis=axis, descending=descending, keys=1)
    return values, indices


def _require_real(name: str, input: Tensor) -> None:
    if input.dtype.is_complex:
        raise RuntimeError(f"{name} does not support complex dtypes")


@method()
@with_out
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """(values, indices) in order along `dim`; equal elements keep their order, NaN counts as the largest.

    >>> import flambeau as torch
    >>> torch.sort(torch.tensor([3, 1, 2])).indices
    tensor([1, 2, 0])
    """
    _require_real("Sort", input)
    axis = checked_dim(dim, input.ndim)
    if input.ndim == 0:
        return _pair(_Sorted, alias(input._read()), _zero_index(input))
    return _pair(_Sorted, *_sorted(input._read(), axis, descending))


@method()
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort the input along `dim`."""
    return sort(input, dim, descending).indices


@method()
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort(input, 0).values


@method()
@with_out
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest (or smallest) elements along `dim`, in order.

    >>> import flambeau as torch
    >>> torch.topk(torch.tensor([3.0, 1.0, 2.0]), 2).values
    tensor([3., 2.])
    """
    _require_real("topk", input)
    axis, value = checked_dim(dim, input.ndim), input._read()
    if not 0 <= k <= (input._type.shape[axis] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if input.ndim == 0:
        return _pair(_TopK, alias(value), _zero_index(input))
    if largest:
        values, indices = OPS["top_k"](_to_last(value, axis), k=k)
        return _pair(_TopK, _to_last(values, axis), _to_last(indices, axis))
    return _TopK(*(sliced(t, axis, 0, k) for t in sort(input, axis)))


# --- Order statistics -------------------------------------------------------------------------------------------------


def _chosen(kind: Callable[..., Any], input: Tensor, axis: int, position: Callable[[Tensor], Any],
            keepdim: bool) -> Any:
    """(values, indices) at one place of the sorted order; `position` computes it from the sorted values."""
    values, indices = sort(input, axis)
    if input.ndim == 0:
        return kind(values, indices)
    place = position(values)
    if isinstance(place, int):
        picked = [sliced(t, axis, place, place + 1) for t in (values, indices)]
    else:
        at = place._read()
        picked = [wrap(take_along(t._read(), at, axis)) for t in (values, indices)]
    return kind(*(t if keepdim else t.squeeze(axis) for t in picked))


@method()
@with_out
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest elements along `dim`, counted from 1."""
    axis = checked_dim(dim, input.ndim)
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
    n = input._type.shape[axis] if input.ndim else 1
    if n == 0:
        raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
    return _chosen(kind, input, axis, _lower_median(n, axis, kind is _NanMedian), keepdim)


def _median_of_all(kind: Callable[..., Any], input: Tensor) -> Tensor:
    """The median of all elements; equal ones share the gradient evenly."""
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
@with_out
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median (the lower of two) of all elements; or (values, indices) along `dim`. NaN if there is one."""
    return _median_of_all(_Median, input) if dim is None else _median_along(_Median, "median", input, dim, keepdim)


@method()
@with_out
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    if dim is None:
        return _median_of_all(_NanMedian, input)
    return _median_along(_NanMedian, "nanmedian", input, dim, keepdim)


@method()
@with_out
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the most frequent elements along `dim`: of several the smallest, of its places the last."""
    axis = checked_dim(dim, input.ndim)
    if input.ndim == 0:
        return _Mode(clone(input), wrap(_zero_index(input)))
    if input._type.shape[axis] == 0:
        raise IndexError(f"mode(): Expected reduction dim {axis} to have non-zero size.")

    def longest_run(values: Tensor) -> Tensor:
        """The last place of the first of the longest runs: torch's choice of index."""
        counts = sum_(eq(values.unsqueeze(axis), values.unsqueeze(axis + 1)), axis)
        first: Tensor = argmax(counts, axis, True)
        return sub(add(first, gather(counts, axis, first)), 1)

    return _chosen(_Mode, input, axis, longest_run, keepdim)


# --- Quantiles --------------------------------------------------------------------------------------------------------

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(name: str, input: Tensor, q: Any, interpolation: str) -> None:
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if isinstance(q, Tensor):
        if q.ndim > 1:
            raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
        if q.dtype is not input.dtype:
            raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    elif not 0 <= q <= 1:
        raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q:g}")
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
                           f"{interpolation}")
    if input.numel() == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")


def _quantile(name: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str,
              skip_nan: bool) -> Tensor:
    _check_quantile(name, input, q, interpolation)
    x = input.reshape(-1) if dim is None or input.ndim == 0 else input
    axis = checked_dim(0 if dim is None else dim, x.ndim)
    values = sort(x.movedim(axis, -1), -1).values
    at = q if isinstance(q, Tensor) else wrap(number_value(q, x.dtype, (), x._device))
    ranks = _ranks(values, at.reshape(-1), skip_nan)
    found = _between(values, ranks, interpolation)  # [*rest, number of quantiles]
    if keepdim:
        found = found.reshape(*[1] * input.ndim, at.numel()) if dim is None else found.unsqueeze(axis)
    return movedim(found, -1, 0) if at.ndim else squeeze(found, -1)


def _ranks(values: Tensor, q: Tensor, skip_nan: bool) -> Tensor:
    """Where each quantile stands in the sorted order, [*rest, number of quantiles]; at a NaN if there is one."""
    last = float(values.shape[-1] - 1)
    nans = isnan(values)
    if skip_nan:
        count = sum_(logical_not(nans), -1, True).to(values.dtype)
        return mul(q, clamp(sub(count, 1), min=0.0))
    return where(any_of(nans, -1, True), last, mul(q, last))


def _between(values: Tensor, ranks: Tensor, interpolation: str) -> Tensor:
    rounding = {"lower": "floor", "higher": "ceil", "nearest": "round"}.get(interpolation)
    if rounding is not None:
        return gather(values, -1, getattr(ranks, rounding)().to(dtypes.int64))
    below, above = ranks.floor(), ranks.ceil()
    weight = sub(ranks, below) if interpolation == "linear" else add(mul(ranks, 0.0), 0.5)
    low, high = (gather(values, -1, r.to(dtypes.int64)) for r in (below, above))
    # From the nearer end, so that an infinite one stays itself.
    from_low, from_high = add(low, mul(sub(high, low), weight)), sub(high, mul(sub(high, low), rsub(weight, 1.0)))
    return where(lt(weight, 0.5), from_low, from_high)


@method()
@with_out
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
@with_out
def nanquantile(input: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *,
                interpolation: str = "linear") -> Tensor:
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


# --- Running reductions -----------------------------------------------------------------------------------------------


def _cumulative(name: str, meaning: str) -> Any:
    def function(input: Tensor, dim: int, *, dtype: dtype | None = None, out: Tensor | None = None) -> Tensor:
        axis = checked_dim(dim, input.ndim)
        kind = dtype or (input.dtype if input.dtype.is_inexact else dtypes.int64)
        value = cast_value(input._read(), kind)
        return into(out, wrap(OPS[name](value, axis=axis, reverse=False) if input.ndim else alias(value)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The {meaning} of all elements up to each one along `dim`; integers become int64."
    return method(name)(function)


cumsum = _cumulative("cumsum", "sum")
cumprod = _cumulative("cumprod", "product")


def _in_place_cumulative(name: str, function: Callable[..., Tensor]) -> None:
    def update(self: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
        return self.copy_(function(self, dim, dtype=dtype))

    update.__name__ = update.__qualname__ = f"{name}_"
    update.__doc__ = f"In-place form of `{name}`."
    method(f"{name}_")(update)


_in_place_cumulative("cumsum", cumsum)
_in_place_cumulative("cumprod", cumprod)


def _running_extreme(name: str, kind: Callable[..., Any]) -> Any:
    @with_out
    def function(input: Tensor, dim: int) -> Any:
        axis, value = checked_dim(dim, input.ndim), input._read()
        if input.ndim == 0:
            return _pair(kind, alias(value), _zero_index(input))
        out = OPS[name](value, axis=axis, reverse=False)
        return _pair(kind, out, running_position(value, out, axis, False))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (f"(values, indices) of the {name[3:]}imum of all elements up to each one along `dim`; of equal "
                        "ones the last counts.")
    return method(name)(function)


cummax = _running_extreme("cummax", _CumMax)
cummin = _running_extreme("cummin", _CumMin)


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)) without overflow; equal infinities are themselves."""
    distance = where(eq(a, b), 0.0, absolute(sub(a, b)))
    return add(maximum(a, b), masked_fill(log1p(exp(neg(distance))), logical_and(eq(a, b), isinf(a)), 0.0))


@method()
@with_out
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log(cumsum(exp(x))) along `dim`, without overflow: log2(n) steps that each double the reach."""
    axis = checked_dim(dim, input.ndim)
    result = input if input.dtype.is_inexact else input.to(Defaults.dtype)
    if input.ndim == 0:
        return clone(result)
    step, n = 1, input._type.shape[axis]
    while step < n:
        result = _log_add(result, wrap(shift(result._read(), step, axis, -math.inf)))
        step *= 2
    return clone(result) if result is input else result


@method()
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None,
         append: Tensor | None = None) -> Tensor:
    """The n-th differences of neighbours along `dim` of prepend, input, append joined (bools: whether they differ)."""
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    axis = checked_dim(dim, input.ndim)
    parts = [t for t in (prepend, input, append) if t is not None]
    x = cat(parts, axis) if len(parts) > 1 else input
    difference = logical_xor if x.dtype is dtypes.boolean else sub
    for _ in range(min(n, x.shape[axis])):
        size = x.shape[axis]
        x = difference(sliced(x, axis, min(1, size), size), sliced(x, axis, 0, max(size - 1, 0)))
    return clone(x) if x is input else x
