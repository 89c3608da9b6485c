"""Primitives that reduce axes, and the running (cumulative) forms built on windows live with windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import OPS, Emitter, Op, Operand, register, zero_gradient
from ..ir.types import Type
from .conditions import both, compared, either
from .elementwise import LOGICAL, NUMBER, REAL, compare, conjugate, convert, div, mul, select
from .pieces import zero_slope
from .structural import Ints, array_attribute, broadcast, constant, pad, reshape, reverse, transpose

# Neutral elements as literals; None stands for the type's own extreme.
NEUTRAL: dict[str, Callable[[dtype], str]] = {
    "add": lambda d: "0.0,0.0" if d.is_complex else "0.0" if d.is_floating_point else "False" if d is dtypes.boolean else "0",
    "multiply": lambda d: "1.0,0.0" if d.is_complex else "1.0" if d.is_floating_point else "True" if d is dtypes.boolean
    else "1",
    "maximum": lambda d: "-inf" if d.is_floating_point else "False" if d is dtypes.boolean
    else str(dtypes.iinfo(d).min),
    "minimum": lambda d: "inf" if d.is_floating_point else "True" if d is dtypes.boolean else str(dtypes.iinfo(d).max),
    "and": lambda d: "True" if d is dtypes.boolean else "-1" if d.is_signed else str(dtypes.iinfo(d).max),
    "or": lambda d: "False" if d is dtypes.boolean else "0",
}


def reduced_shape(shape: Ints, axes: Ints) -> Ints:
    """The shape without `axes`."""
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def spread_back(g: Value, like: Value, axes: Ints) -> Value:
    """`g`, repeated along the reduced `axes` of `like`."""
    dims = tuple(i for i in range(like.type.ndim) if i not in axes)
    return broadcast(g, shape=like.type.shape, dims=dims)


def reduction(name: str, hlo: str, reference: Callable[..., Any], vjp: Callable[..., Any],
              accepts: frozenset[dtype]) -> Op:
    """Reduce `axes` with the binary instruction `hlo`, starting from its neutral element."""

    def infer(x: Type, *, axes: Ints) -> Type:
        requires(x.dtype in accepts, name, "an operand of a fitting type", x)
        requires(len(set(axes)) == len(axes) and all(0 <= a < x.ndim for a in axes), name, f"axes of {x}", axes)
        return x.with_shape(reduced_shape(x.shape, axes))

    def checked(x: Any, *, axes: Ints) -> Any:
        with np.errstate(all="ignore"):
            wider = np.float32 if x.dtype.itemsize < 4 and dtypes.from_numpy(x.dtype).is_floating_point else x.dtype
            return np.asarray(reference(x.astype(wider, copy=False), axes)).astype(x.dtype)

    def lower(h: Emitter, x: Operand, *, axes: Ints) -> Operand:
        return reduce_with(h, hlo, x, axes)

    def batch(size: int, batched: Sequence[bool], x: Value, *, axes: Ints) -> Value:
        return OPS[name](x, axes=tuple(a + 1 for a in axes))

    return register(Op(name, infer, checked, lower, vjp, batch, exact_on_integers=True))


def accumulator(kind: dtype, hlo: str | None) -> dtype:
    """The type in which that many values are added or multiplied: float32 for half types, which would lose what they add."""
    return dtypes.float32 if kind.is_floating_point and kind.itemsize < 4 and hlo in ("add", "multiply") else kind


def widened(h: Emitter, x: Operand, kind: dtype) -> Operand:
    """In a lower rule: the operand in that type, by a conversion that XLA fuses into whoever reads it."""
    return x if x.type.dtype is kind else h.op("convert", (x,), x.type.with_dtype(kind))


def reduce_with(h: Emitter, hlo: str, x: Operand, axes: Ints) -> Operand:
    """A stablehlo.reduce with one binary instruction as its body; half types are rounded once, at the end."""
    out, kind = h.out, accumulator(x.type.dtype, hlo)
    scalar = Type.of((), kind)
    body = h.region([scalar, scalar], lambda a, b: h.op(hlo, (a, b), scalar))
    total = h.ops("reduce", (widened(h, x, kind), h.constant(NEUTRAL[hlo](kind), scalar)), (out.with_dtype(kind),),
                  f"dimensions = {array_attribute(axes)}", (body,))[0]
    return widened(h, total, out.dtype)


def _sum_vjp(g: Value, out: Value, x: Value, *, axes: Ints) -> tuple[Value]:
    return (spread_back(g, x, axes),)


def _extreme_vjp(g: Value, out: Value, x: Value, *, axes: Ints) -> tuple[Value]:
    """Elements equal to the extreme share the cotangent evenly; at NaN nothing is, and all of 0 / 0 is NaN, as in torch."""
    chosen = compare(x, spread_back(out, x, axes), direction="EQ")
    count = reduce_sum(convert(chosen, dtype=x.type.dtype), axes=axes)
    share = spread_back(div(g, count), x, axes)
    return (select(chosen, share, mul(share, full_like(share, 0))),)


def _prod_vjp(g: Value, out: Value, x: Value, *, axes: Ints) -> tuple[Value]:
    """g times the product of all other elements, found by products from both sides, so that zeros are no special case."""
    order = (*(i for i in range(x.type.ndim) if i not in axes), *axes)
    moved = transpose(x, permutation=order)
    kept = reduced_shape(x.type.shape, axes)
    count = x.type.size // max(1, int(np.prod(kept)))
    if x.type.size == 0:
        return (zero_slope(x, g),)
    flat = reshape(moved, shape=(*kept, count))
    others = mul(_product_before(flat), reverse(_product_before(reverse(flat, axes=(len(kept),))), axes=(len(kept),)))
    back = reshape(others, shape=moved.type.shape)
    inverse = tuple(sorted(range(len(order)), key=order.__getitem__))
    return (mul(spread_back(g, x, axes), conjugate(transpose(back, permutation=inverse))),)


def _product_before(x: Value) -> Value:
    """Along the last axis: the product of all elements before each one, in log2(n) doubling steps."""
    axis, n = x.type.ndim - 1, x.type.shape[-1]
    one = full_like(reduce_sum(x, axes=tuple(range(x.type.ndim))), 1)

    def shift(value: Value, by: int) -> Value:
        low = tuple(by if i == axis else 0 for i in range(x.type.ndim))
        high = tuple(-by if i == axis else 0 for i in range(x.type.ndim))
        return pad(value, one, low=low, high=high, interior=(0,) * x.type.ndim)

    result, step = shift(x, 1), 1
    while step < n:
        result = mul(result, shift(result, step))
        step *= 2
    return result


reduce_sum = reduction("reduce_sum", "add", lambda x, axes: np.sum(x, axes, dtype=x.dtype), _sum_vjp, NUMBER)
reduce_prod = reduction("reduce_prod", "multiply", lambda x, axes: np.prod(x, axes, dtype=x.dtype), _prod_vjp, NUMBER)
reduce_max = reduction("reduce_max", "maximum", lambda x, axes: np.max(
    x, axes, initial=_extreme(x.dtype, "maximum")), _extreme_vjp, REAL | LOGICAL)
reduce_min = reduction("reduce_min", "minimum", lambda x, axes: np.min(
    x, axes, initial=_extreme(x.dtype, "minimum")), _extreme_vjp, REAL | LOGICAL)
reduce_and = reduction("reduce_and", "and", lambda x, axes: np.bitwise_and.reduce(x, axes), zero_gradient, LOGICAL)
reduce_or = reduction("reduce_or", "or", lambda x, axes: np.bitwise_or.reduce(x, axes), zero_gradient, LOGICAL)


def _extreme(numpy_dtype: Any, hlo: str) -> Any:
    kind = dtypes.from_numpy(numpy_dtype)
    return constant.reference(value=NEUTRAL[hlo](kind), shape=(), dtype=kind)[()]


# --- Positions of extremes --------------------------------------------------------------------------------------------


def arg_reduction(name: str, direction: str, hlo: str, reference: Callable[..., Any]) -> Op:
    """The index along `axis` of the first extreme element (NaN counts as the most extreme)."""

    def infer(x: Type, *, axis: int) -> Type:
        requires(x.dtype in REAL | LOGICAL, name, "a real operand", x)
        requires(0 <= axis < x.ndim and x.shape[axis] > 0, name, f"a non-empty axis of {x}", axis)
        return Type.of(reduced_shape(x.shape, (axis,)), dtypes.int64)

    def computed(x: Any, *, axis: int) -> Any:
        return np.asarray(reference(x if x.dtype.itemsize > 2 or x.dtype.kind in "iub" else x.astype(np.float32),
                                    axis)).astype(np.int64)

    def lower(h: Emitter, x: Operand, *, axis: int) -> Operand:
        return _emit_arg_reduction(h, x, axis, direction, hlo)

    def batch(size: int, batched: Sequence[bool], x: Value, *, axis: int) -> Value:
        return OPS[name](x, axis=axis + 1)

    return register(Op(name, infer, computed, lower, zero_gradient, batch, exact_on_integers=True))


def precedes(h: Emitter, direction: str, a: Operand, i: Operand, b: Operand, j: Operand, nan: str) -> Operand:
    """Whether a, at the place i, is the extreme and not b, at the place j, whichever order XLA takes them in.

    Of equal elements it is the first. A NaN is before all numbers, and before another one if its place is `nan` than that one's.
    """
    first = either(h, compared(h, direction, a, b), both(h, compared(h, "EQ", a, b), compared(h, "LT", i, j)))
    if not a.type.dtype.is_floating_point:
        return first
    no_number, number = compared(h, "NE", a, a), compared(h, "EQ", b, b)
    return either(h, first, both(h, no_number, either(h, number, compared(h, nan, i, j))))


def _emit_arg_reduction(h: Emitter, x: Operand, axis: int, direction: str, hlo: str) -> Operand:
    kind = x.type.dtype
    value, index = Type.of((), kind), Type.of((), dtypes.int64)
    positions = h.op("iota", (), Type.of(x.type.shape, dtypes.int64), f"iota_dimension = {axis} : i64")

    def body(a: Operand, i: Operand, b: Operand, j: Operand) -> tuple[Operand, ...]:
        keep = precedes(h, direction, a, i, b, j, nan="LT")
        return h.op("select", (keep, a, b), value), h.op("select", (keep, i, j), index)

    region = h.region([value, index, value, index], body)
    start = (h.constant(NEUTRAL[hlo](kind), value), h.constant(str(2**62), index))
    out = h.out
    return h.ops("reduce", (x, positions, *start), (Type.of(out.shape, kind), out),
                 f"dimensions = {array_attribute((axis,))}", (region,))[1]


argmax = arg_reduction("argmax", "GT", "maximum", np.argmax)
argmin = arg_reduction("argmin", "LT", "minimum", np.argmin)
