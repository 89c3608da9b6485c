"""Sorting along an axis. Both ops are stable: equal keys keep their order, so every engine gives the same permutation.

Floats are ordered as torch orders them: NaN is the largest, -0.0 equals 0.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like, with_leading
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .conditions import both, compared, either
from .elementwise import LOGICAL, REAL
from .structural import array_attribute, concatenate, iota, slice_

FLAG = Type.of((), dtypes.boolean)


# --- sort -------------------------------------------------------------------------------------------------------------


def _sort_infer(*xs: Type, axis: int, descending: bool, keys: int) -> tuple[Type, ...]:
    requires(1 <= keys <= len(xs), "sort", f"between 1 and {len(xs)} keys", keys)
    requires(all(x.shape == xs[0].shape for x in xs), "sort", "operands of one shape", xs)
    requires(0 <= axis < xs[0].ndim, "sort", f"an axis of {xs[0]}", axis)
    requires(all(x.dtype in REAL | LOGICAL for x in xs[:keys]), "sort", "real keys", xs[:keys])
    return xs


def _comparable(x: Any) -> Any:
    """Half-precision types are no numpy types of their own: compare them in float32."""
    return x.astype(np.float32) if dtypes.from_numpy(x.dtype).is_floating_point and x.dtype.itemsize < 4 else x


def _order(keys: Sequence[Any], axis: int, descending: bool) -> Any:
    """The stable permutation along `axis`; the first key decides first."""
    comparable = [_comparable(k) for k in keys]
    if not descending:
        return np.lexsort(comparable[::-1], axis)
    # Descending and stable: read backward, the order is ascending and last equal element first.
    backward = np.lexsort([np.flip(k, axis) for k in comparable[::-1]], axis)
    return keys[0].shape[axis] - 1 - np.flip(backward, axis)


def _sort_reference(*xs: Any, axis: int, descending: bool, keys: int) -> tuple[Any, ...]:
    if xs[0].size == 0:
        return xs
    order = _order(xs[:keys], axis, descending)
    return tuple(np.take_along_axis(x, order, axis) for x in xs)


def _sort_lower(h: Emitter, *xs: Operand, axis: int, descending: bool, keys: int) -> tuple[Operand, ...]:
    outs = [x.type for x in xs]
    region = h.region([Type.of((), x.type.dtype) for x in xs for _ in range(2)],
                      lambda *pairs: _emit_before(h, pairs[:2 * keys], "GT" if descending else "LT"))
    return h.ops("sort", xs, outs, f"dimension = {axis} : i64, is_stable = true", (region,))


def _emit_before(h: Emitter, pairs: Sequence[Operand], direction: str) -> Operand:
    """Whether the first of each pair stands before the second, the first pair that differs deciding."""
    a, b = _canonical(h, pairs[0]), _canonical(h, pairs[1])
    before = _compare(h, a, b, direction)
    if len(pairs) == 2:
        return before
    return either(h, before, both(h, _compare(h, a, b, "EQ"), _emit_before(h, pairs[2:], direction)))


def _canonical(h: Emitter, x: Operand) -> Operand:
    """A float as the total order of its bits wants it: one zero, and one NaN, a positive one."""
    if not x.type.dtype.is_floating_point:
        return x
    if x.type.dtype.itemsize == 1:  # the NaN of some 8-bit types is a negative number's pattern
        x = h.op("convert", (x,), Type.of((), dtypes.float32))
    zero, nan = h.constant("0.0", x.type), h.constant("nan", x.type)
    x = h.op("select", (compared(h, "EQ", x, zero), zero, x), x.type)
    return h.op("select", (compared(h, "NE", x, x), nan, x), x.type)


def _compare(h: Emitter, a: Operand, b: Operand, direction: str) -> Operand:
    return compared(h, direction, a, b, "TOTALORDER" if a.type.dtype.is_floating_point else "")


def _sort_vjp(g: Sequence[Value], out: Sequence[Value], *xs: Value, axis: int, descending: bool,
              keys: int) -> tuple[Value | None, ...]:
    """Cotangents go back where the elements came from: sorting them by their origin undoes the permutation."""
    shape, device = xs[0].type.shape, xs[0].device
    positions = iota.on(device, shape=shape, axis=axis, dtype=dtypes.int64)
    origin = sort(*xs[:keys], positions, axis=axis, descending=descending, keys=keys)[keys]
    moving = [i for i, x in enumerate(xs) if x.type.dtype.is_inexact and x.requires_grad]
    _, *back = sort(origin, *(g[i] for i in moving), axis=axis, descending=False, keys=1)
    found = dict(zip(moving, back))
    return tuple(found.get(i) for i in range(len(xs)))


def _sort_batch(size: int, batched: Sequence[bool], *xs: Value, axis: int, descending: bool,
                keys: int) -> tuple[Value, ...]:
    full = [with_leading(size, b, x) for b, x in zip(batched, xs)]
    return sort(*full, axis=axis + 1, descending=descending, keys=keys)


# sort(*xs; axis, descending, keys) -> the operands, permuted together along the axis by the order of the first `keys`.
sort = register(Op("sort", _sort_infer, _sort_reference, _sort_lower, _sort_vjp, _sort_batch, exact_on_integers=True,
                   multiple=True))


# --- top_k ------------------------------------------------------------------------------------------------------------


def _top_k_infer(x: Type, *, k: int) -> tuple[Type, Type]:
    requires(x.ndim > 0 and x.dtype in REAL | LOGICAL, "top_k", "a real operand with an axis", x)
    requires(0 <= k <= x.shape[-1], "top_k", f"k between 0 and {x.shape[-1]}", k)
    shape = (*x.shape[:-1], k)
    return x.with_shape(shape), Type.of(shape, dtypes.int64)


def _top_k_reference(x: Any, *, k: int) -> tuple[Any, Any]:
    if x.size == 0:
        return np.zeros((*x.shape[:-1], k), x.dtype), np.zeros((*x.shape[:-1], k), np.int64)
    order = _order([x], x.ndim - 1, descending=True)[..., :k]
    return np.take_along_axis(x, order, -1), order.astype(np.int64)


def _top_k_lower(h: Emitter, x: Operand, *, k: int) -> tuple[Operand, ...]:
    """Sort with positions in 32 bits where they fit, keep k, widen. `chlo.top_k` would order NaN and zero by bits."""
    outs, axis = h.outs, x.type.ndim - 1
    position = dtypes.int32 if x.type.shape[-1] < 2**31 else dtypes.int64
    positions = h.op("iota", (), x.type.with_dtype(position), f"iota_dimension = {axis} : i64")
    pair = _sort_lower(h, x, positions, axis=axis, descending=True, keys=1)
    cut = ", ".join([f"start_indices = {array_attribute((0,) * x.type.ndim)}",
                     f"limit_indices = {array_attribute(outs[0].shape)}",
                     f"strides = {array_attribute((1,) * x.type.ndim)}"])
    values, indices = (h.op("slice", (p,), p.type.with_shape(outs[0].shape), cut) for p in pair)
    return values, h.op("convert", (indices,), outs[1])


def _top_k_vjp(g: Sequence[Value], out: Sequence[Value], x: Value, *, k: int) -> tuple[Value | None]:
    """The whole permutation, then the cotangents with zeros behind them go back as in `sort`."""
    axis = x.type.ndim - 1
    if k == 0 or not x.type.dtype.is_inexact:
        return (full_like(x, 0) if x.type.dtype.is_inexact else None,)
    positions = iota.on(x.device, shape=x.type.shape, axis=axis, dtype=dtypes.int64)
    origin = sort(x, positions, axis=axis, descending=True, keys=1)[1]
    rest = (*x.type.shape[:-1], x.type.shape[-1] - k)
    zeros = slice_(full_like(x, 0), start=(0,) * x.type.ndim, limit=rest, stride=(1,) * x.type.ndim)
    padded = concatenate(g[0], zeros, axis=axis)
    return (sort(origin, padded, axis=axis, descending=False, keys=1)[1],)


def _top_k_batch(size: int, batched: Sequence[bool], x: Value, *, k: int) -> tuple[Value, ...]:
    return top_k(x, k=k)


# top_k(x; k) -> (values, int64 indices) of the k largest along the last axis, largest first.
top_k = register(Op("top_k", _top_k_infer, _top_k_reference, _top_k_lower, _top_k_vjp, _top_k_batch,
                    exact_on_integers=True, multiple=True))
