"""Primitives that make and move elements without computing with them. Each stands beside its transpose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import from_literal, full_like, with_leading
from ..ir.dtypes import dtype
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import OPS, Emitter, Op, Operand, register, zero_gradient
from ..ir.types import Type
from .elementwise import batch_elementwise, select, sub

Ints = tuple[int, ...]


def array_attribute(numbers: Sequence[int]) -> str:
    """MLIR text of an array of 64-bit integers."""
    return f"array<i64: {', '.join(map(str, numbers))}>" if numbers else "array<i64>"


def no_batch(name: str) -> Any:
    """Batch rule of an op without operands: it is never asked."""

    def batch(size: int, batched: Sequence[bool], **params: Any) -> Value:
        raise AssertionError(f"{name} has no operands to batch")

    return batch


# --- Sources ----------------------------------------------------------------------------------------------------------


def _constant_infer(*, value: str, shape: Ints, dtype: dtype) -> Type:
    return Type.of(shape, dtype)


def _constant_reference(*, value: str, shape: Ints, dtype: dtype) -> Any:
    return np.full(shape, from_literal(value, dtype), dtype.numpy)


constant = register(Op(
    "constant", _constant_infer, _constant_reference,
    lambda h, *, value, shape, dtype: h.constant(value, h.out), zero_gradient, no_batch("constant"), exact=True, light=True))


def _iota_infer(*, shape: Ints, axis: int, dtype: dtype) -> Type:
    requires(0 <= axis < len(shape), "iota", f"an axis of {shape}", axis)
    return Type.of(shape, dtype)


def _iota_reference(*, shape: Ints, axis: int, dtype: dtype) -> Any:
    along = np.arange(shape[axis]).astype(dtype.numpy).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.broadcast_to(along, shape).copy()


iota = register(Op(
    "iota", _iota_infer, _iota_reference,
    lambda h, *, shape, axis, dtype: h.op("iota", (), attributes=f"iota_dimension = {axis} : i64"),
    zero_gradient, no_batch("iota"), exact=True, light=True))


# --- Broadcast, reshape, transpose, reverse ---------------------------------------------------------------------------


def _broadcast_infer(x: Type, *, shape: Ints, dims: Ints) -> Type:
    requires(len(dims) == x.ndim and list(dims) == sorted(set(dims)), "broadcast",
             f"one increasing result dimension for each of {x.ndim}", dims)
    requires(all(n in (1, shape[d]) for n, d in zip(x.shape, dims)), "broadcast",
             f"operand sizes of 1 or those of {shape}", x)
    return x.with_shape(shape)


def _broadcast_reference(x: Any, *, shape: Ints, dims: Ints) -> Any:
    expanded = [1] * len(shape)
    for n, d in zip(x.shape, dims):
        expanded[d] = n
    return np.broadcast_to(x.reshape(expanded), shape).copy()


def _broadcast_lower(h: Emitter, x: Operand, *, shape: Ints, dims: Ints) -> Operand:
    return h.op("broadcast_in_dim", (x,), attributes=f"broadcast_dimensions = {array_attribute(dims)}")


def _broadcast_vjp(g: Value, out: Value, x: Value, *, shape: Ints, dims: Ints) -> tuple[Value]:
    size = dict(zip(dims, x.type.shape))
    axes = tuple(d for d in range(len(shape)) if d not in size or size[d] != shape[d])
    if axes:
        g = OPS["reduce_sum"](g, axes=axes)
    return (g if g.type is x.type else reshape(g, shape=x.type.shape),)


def _broadcast_batch(size: int, batched: Sequence[bool], x: Value, *, shape: Ints, dims: Ints) -> Value:
    return broadcast(x, shape=(size, *shape), dims=(0, *(d + 1 for d in dims)))


broadcast = register(Op("broadcast", _broadcast_infer, _broadcast_reference, _broadcast_lower, _broadcast_vjp,
                        _broadcast_batch, exact=True, light=True))


def _reshape_infer(x: Type, *, shape: Ints) -> Type:
    requires(math.prod(shape) == x.size, "reshape", f"a shape of {x.size} elements", shape)
    return x.with_shape(shape)


reshape: Op = register(Op(
    "reshape", _reshape_infer, lambda x, *, shape: x.reshape(shape), lambda h, x, *, shape: h.op("reshape", (x,)),
    lambda g, out, x, *, shape: (reshape(g, shape=x.type.shape),),
    lambda size, batched, x, *, shape: reshape(x, shape=(size, *shape)), exact=True, light=True))


def _transpose_infer(x: Type, *, permutation: Ints) -> Type:
    requires(sorted(permutation) == list(range(x.ndim)), "transpose", f"a permutation of {x.ndim} axes", permutation)
    return x.with_shape(tuple(x.shape[p] for p in permutation))


def inverse_permutation(permutation: Ints) -> Ints:
    """The permutation that undoes another."""
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))


transpose: Op = register(Op(
    "transpose", _transpose_infer, lambda x, *, permutation: np.array(np.transpose(x, permutation), order="C"),
    lambda h, x, *, permutation: h.op("transpose", (x,), attributes=f"permutation = {array_attribute(permutation)}"),
    lambda g, out, x, *, permutation: (transpose(g, permutation=inverse_permutation(permutation)),),
    lambda size, batched, x, *, permutation: transpose(x, permutation=(0, *(p + 1 for p in permutation))),
    exact=True, light=True))


def _reverse_infer(x: Type, *, axes: Ints) -> Type:
    requires(len(set(axes)) == len(axes) and all(0 <= a < x.ndim for a in axes), "reverse", f"axes of {x}", axes)
    return x


reverse: Op = register(Op(
    "reverse", _reverse_infer, lambda x, *, axes: np.flip(x, axes).copy(),
    lambda h, x, *, axes: h.op("reverse", (x,), attributes=f"dimensions = {array_attribute(axes)}"),
    lambda g, out, x, *, axes: (reverse(g, axes=axes),),
    lambda size, batched, x, *, axes: reverse(x, axes=tuple(a + 1 for a in axes)), exact=True, light=True))


# --- Slice and pad: each the other's transpose ------------------------------------------------------------------------


def _slice_infer(x: Type, *, start: Ints, limit: Ints, stride: Ints) -> Type:
    requires(len(start) == len(limit) == len(stride) == x.ndim, "slice", f"{x.ndim} starts, limits and strides",
             (start, limit, stride))
    requires(all(0 <= a <= b <= n and s > 0 for a, b, s, n in zip(start, limit, stride, x.shape)), "slice",
             f"0 <= start <= limit <= size of {x} and a positive stride", (start, limit, stride))
    return x.with_shape(tuple(-(-(b - a) // s) for a, b, s in zip(start, limit, stride)))


def _slice_reference(x: Any, *, start: Ints, limit: Ints, stride: Ints) -> Any:
    return x[tuple(slice(a, b, s) for a, b, s in zip(start, limit, stride))].copy()


def _slice_lower(h: Emitter, x: Operand, *, start: Ints, limit: Ints, stride: Ints) -> Operand:
    return h.op("slice", (x,), attributes=f"start_indices = {array_attribute(start)}, "
                f"limit_indices = {array_attribute(limit)}, strides = {array_attribute(stride)}")


def _slice_vjp(g: Value, out: Value, x: Value, *, start: Ints, limit: Ints, stride: Ints) -> tuple[Value]:
    spans = [(n - 1) * s + 1 if n else 0 for n, s in zip(g.type.shape, stride)]
    high = tuple(n - a - span for n, a, span in zip(x.type.shape, start, spans))
    zero = constant.on(g.device, value="0.0,0.0" if g.type.dtype.is_complex else "0.0", shape=(), dtype=g.type.dtype)
    return (pad(g, zero, low=start, high=high, interior=tuple(s - 1 for s in stride)),)


def _slice_batch(size: int, batched: Sequence[bool], x: Value, *, start: Ints, limit: Ints, stride: Ints) -> Value:
    return slice_(x, start=(0, *start), limit=(size, *limit), stride=(1, *stride))


slice_ = register(Op("slice", _slice_infer, _slice_reference, _slice_lower, _slice_vjp, _slice_batch, exact=True, light=True))


def _pad_infer(x: Type, value: Type, *, low: Ints, high: Ints, interior: Ints) -> Type:
    requires(value.ndim == 0 and value.dtype is x.dtype, "pad", f"a 0-d {x.dtype.name} padding value", value)
    requires(len(low) == len(high) == len(interior) == x.ndim and all(i >= 0 for i in interior), "pad",
             f"{x.ndim} low, high and non-negative interior counts", (low, high, interior))
    shape = tuple(a + n + max(n - 1, 0) * i + b for n, a, b, i in zip(x.shape, low, high, interior))
    requires(all(n >= 0 for n in shape), "pad", "a result of non-negative sizes", shape)
    return x.with_shape(shape)


def _pad_reference(x: Any, value: Any, *, low: Ints, high: Ints, interior: Ints) -> Any:
    if not low:
        return x.copy()  # numpy pads no 0-d array
    spread = np.full([n + max(n - 1, 0) * i for n, i in zip(x.shape, interior)], value, x.dtype)
    spread[tuple(slice(None, None, i + 1) for i in interior)] = x
    grown = np.pad(spread, [(max(a, 0), max(b, 0)) for a, b in zip(low, high)], constant_values=value)
    return grown[tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, grown.shape))].copy()


def _pad_lower(h: Emitter, x: Operand, value: Operand, *, low: Ints, high: Ints, interior: Ints) -> Operand:
    return h.op("pad", (x, value), attributes=f"edge_padding_low = {array_attribute(low)}, "
                f"edge_padding_high = {array_attribute(high)}, interior_padding = {array_attribute(interior)}")


def _pad_vjp(g: Value, out: Value, x: Value, value: Value, *, low: Ints, high: Ints,
             interior: Ints) -> tuple[Value, Value]:
    zero = reshape(full_like(g, 0), shape=g.type.shape) if g.type.ndim == 0 else constant.on(
        g.device, value="0.0,0.0" if g.type.dtype.is_complex else "0.0", shape=(), dtype=g.type.dtype)
    # Undo the edges (negative padding cuts), then keep the elements that are not interior padding.
    inner = pad(g, zero, low=tuple(-a for a in low), high=tuple(-b for b in high), interior=(0,) * len(low))
    gx = slice_(inner, start=(0,) * len(low), limit=inner.type.shape, stride=tuple(i + 1 for i in interior))
    axes = tuple(range(g.type.ndim))
    gvalue = sub(OPS["reduce_sum"](g, axes=axes), OPS["reduce_sum"](gx, axes=axes))
    return gx, gvalue


def _pad_batch(size: int, batched: Sequence[bool], x: Value, value: Value, *, low: Ints, high: Ints,
               interior: Ints) -> Value:
    edges = {"low": (0, *low), "high": (0, *high), "interior": (0, *interior)}
    x = with_leading(size, batched[0], x)
    if not batched[1]:
        return pad(x, value, **edges)
    # A padding value per example: pad with zeros, and choose the value where a padded mask of ones is zero.
    zero = constant.on(x.device, value="False", shape=(), dtype=dtypes.boolean)
    inside = constant.on(x.device, value="True", shape=x.type.shape[1:], dtype=dtypes.boolean)
    mask = pad(inside, zero, low=low, high=high, interior=interior)
    first = slice_(value, start=(0,), limit=(1,), stride=(1,)) if size else value
    padded = pad(x, reshape(first, shape=()), **edges)
    spread = broadcast(value, shape=padded.type.shape, dims=(0,))
    return select(with_leading(size, False, mask), padded, spread)


pad = register(Op("pad", _pad_infer, _pad_reference, _pad_lower, _pad_vjp, _pad_batch, exact=True, light=True))


# --- Concatenate ------------------------------------------------------------------------------------------------------


def _concatenate_infer(*xs: Type, axis: int) -> Type:
    requires(bool(xs) and 0 <= axis < xs[0].ndim, "concatenate", "operands with that axis", (xs, axis))
    rest = [(x.dtype, *x.shape[:axis], *x.shape[axis + 1:]) for x in xs]
    requires(all(r == rest[0] for r in rest), "concatenate", f"operands that differ only along axis {axis}", xs)
    total = sum(x.shape[axis] for x in xs)
    return xs[0].with_shape((*xs[0].shape[:axis], total, *xs[0].shape[axis + 1:]))


def _concatenate_vjp(g: Value, out: Value, *xs: Value, axis: int) -> tuple[Value, ...]:
    pieces, offset = [], 0
    for x in xs:
        start, limit = [0] * g.type.ndim, list(g.type.shape)
        start[axis], limit[axis] = offset, offset + x.type.shape[axis]
        pieces.append(slice_(g, start=tuple(start), limit=tuple(limit), stride=(1,) * g.type.ndim))
        offset = limit[axis]
    return tuple(pieces)


def _concatenate_batch(size: int, batched: Sequence[bool], *xs: Value, axis: int) -> Value:
    return concatenate(*(with_leading(size, b, x) for b, x in zip(batched, xs)), axis=axis + 1)


concatenate = register(Op(
    "concatenate", _concatenate_infer, lambda *xs, axis: np.concatenate(xs, axis),
    lambda h, *xs, axis: h.op("concatenate", xs, attributes=f"dimension = {axis} : i64"),
    _concatenate_vjp, _concatenate_batch, exact=True, light=True))


# --- Bit patterns -----------------------------------------------------------------------------------------------------


def _bitcast_infer(x: Type, *, dtype: dtype) -> Type:
    requires(x.dtype.itemsize == dtype.itemsize and not x.dtype.is_complex and not dtype.is_complex
             and dtypes.boolean not in (x.dtype, dtype), "bitcast", "numeric types of one width",
             (x.dtype.name, dtype.name))
    return x.with_dtype(dtype)


bitcast = register(Op(
    "bitcast", _bitcast_infer, lambda x, *, dtype: x.view(dtype.numpy),
    lambda h, x, *, dtype: h.op("bitcast_convert", (x,)), zero_gradient, batch_elementwise("bitcast"), exact=True, light=True))
