"""Running reductions, and differences of neighbours: https://pytorch.org/docs/stable/torch.html#other-operations"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ops import OPS
from ..ops.elementwise import alias
from ..ops.running import running_position, shift
from ..tensor.tensor import Tensor
from .arithmetic import add, div, mul, sub
from .choosing import where
from .comparing import ge, isfinite, isinf, logical_xor
from .complex_numbers import complex as as_complex
from .conversions import clone
from .dims import checked_dim, whole_number
from .joining import cat
from .layout import in_rows, lies
from .methods import Out, method, named, with_out, with_out_of, with_typed_out
from .operands import cast_value, wrap
from .refusals import INEXACT, ORDERED, require_kind
from .return_types import pair, return_type, zero_index
from .scattering import gather
from .slicing import sliced
from .spelling import spelled
from .unary import exp, log1p
from .unary import round as rounded

_CumMax, _CumMin = return_type("cummax"), return_type("cummin")

_RUNNING: Final = Out("expected scalar_type {result} but found {out}")


def _cumulative(name: str, meaning: str) -> Any:
    @named(name, f"The {meaning} of all elements up to each one along `dim`; integers become int64.")
    @with_typed_out
    def function(input: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
        axis = checked_dim(dim, input.ndim)
        kind = dtype or (input.dtype if input.dtype.is_inexact else dtypes.int64)
        if kind is dtypes.boolean:
            raise NotImplementedError(f"\"{name}_out_cpu\" not implemented for 'Bool'")
        value = cast_value(input._read(), kind)
        return wrap(OPS[name](value, axis=axis, reverse=False) if input.ndim else alias(value))

    return method(name)(function)


cumsum = _cumulative("cumsum", "sum")
cumprod = _cumulative("cumprod", "product")


def _in_place_cumulative(name: str, function: Callable[..., Tensor]) -> None:
    @method(f"{name}_")
    @spelled
    @named(f"{name}_", f"In-place form of `{name}`.")
    def update(self: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
        return self.copy_(function(self, dim, dtype=dtype))


_in_place_cumulative("cumsum", cumsum)
_in_place_cumulative("cumprod", cumprod)


def _running_extreme(name: str, kind: Callable[..., Any]) -> Any:
    @named(name, f"(values, indices) of the {name[3:]}imum of all elements up to each one along `dim`; of equal "
                 "ones the last counts.")
    @with_out_of(_RUNNING)
    def function(input: Tensor, dim: int) -> Any:
        axis, value = checked_dim(dim, input.ndim), input._read()
        require_kind(f"{name}_cpu", input, ORDERED)
        if input.ndim == 0:
            return pair(kind, alias(value), zero_index(input))
        out = OPS[name](value, axis=axis, reverse=False)
        return pair(kind, out, running_position(value, out, axis, False))

    return method(name)(function)


cummax = _running_extreme("cummax", _CumMax)
cummin = _running_extreme("cummin", _CumMin)


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)) without overflow; equal infinities are themselves. Complex numbers are ordered by their real parts.

    A function of low - high, and not of a distance, has all its derivatives where both are equal, too.
    """
    larger = ge(a.real, b.real) if a.dtype.is_complex else ge(a, b)
    high, low = where(larger, a, b), where(larger, b, a)
    nothing = isinf(low.real if low.dtype.is_complex else low)  # exp of it is 0; the difference of infinities would be NaN
    return where(nothing, high, add(high, log1p(exp(where(nothing, 0.0, sub(low, high))))))


@method()
@with_out_of(_RUNNING)
@lies(in_rows)
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log(cumsum(exp(x))) along `dim`, without overflow: log2(n) steps that each double the reach."""
    axis = checked_dim(dim, input.ndim)
    require_kind("logcumsumexp_out_cpu", input, INEXACT)
    result = input
    if input.ndim == 0:
        return clone(result)
    step, n = 1, input._type.shape[axis]
    while step < n:
        result = _log_add(result, wrap(shift(result._read(), step, axis, -math.inf)))
        step *= 2
    if result.dtype.is_complex:
        result = _turned(input, result, axis)
    return clone(result) if result is input else result


def _turned(x: Tensor, sums: Tensor, axis: int) -> Tensor:
    """The logarithms of sums with as many turns in the imaginary part as adding from the first to the last element gives.

    There each sum keeps the angle of the larger of the sum so far and the element, and adds that of 1 + exp(their difference).
    """
    x, told = x.detach(), sums.detach()
    before = wrap(shift(told._read(), 1, axis, -math.inf))
    anew = ge(x.real, before.real)
    angles = log1p(exp(where(anew, sub(before, x), sub(x, before)))).imag
    total = cumsum(angles, axis)
    last = cummax(anew.to(dtypes.int64), axis)[1]
    wanted = add(gather(sub(add(x.imag, angles), total), axis, last), total)
    count = rounded(div(sub(wanted, told.imag), 2 * math.pi))
    turns = mul(where(isfinite(count), count, 0.0), 2 * math.pi)
    return add(sums, as_complex(mul(turns, 0.0), turns))


@method()
@with_out
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None,
         append: Tensor | None = None) -> Tensor:
    """The n-th differences of neighbours along `dim` of prepend, input, append joined (bools: whether they differ)."""
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    n = whole_number(n, "n")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    axis = checked_dim(dim, input.ndim)
    if n == 0:
        return clone(input)
    parts = [t for t in (prepend, input, append) if t is not None]
    x = cat(parts, axis) if len(parts) > 1 else input
    difference = logical_xor if x.dtype is dtypes.boolean else sub
    for _ in range(min(n, x.shape[axis])):
        size = x.shape[axis]
        x = difference(sliced(x, axis, min(1, size), size), sliced(x, axis, 0, max(size - 1, 0)))
    return clone(x) if x is input else x
