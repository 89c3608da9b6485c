"""Primitives that read and write at computed positions. Each stands beside its transpose.

`dynamic_slice` and `dynamic_update_slice` move one window; `gather` and `scatter` move one window for every index
vector. The dimension numbers and their names are StableHLO's (https://openxla.org/stablehlo/spec#gather, #scatter).
What XLA does at the edges: the starts of slices and gathers are clamped so that the window fits, while a scatter drops
every window that does not fit as a whole; and it may apply the updates of one element in any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like, with_leading
from ..ir.dtypes import dtype
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .conditions import combined
from .elementwise import ANY, LOGICAL, REAL, and_, compare, conjugate, convert, div, mul, select, times
from .places import Dims, Places, check_dims, dims_text, positions, windows_shape
from .reduction import accumulator, widened
from .structural import Ints, array_attribute, concatenate, constant, reshape, slice_

# --- One window: dynamic_slice and dynamic_update_slice ---------------------------------------------------------------


def _check_window(name: str, x: Type, starts: Sequence[Type], sizes: Ints) -> None:
    start = Type.of((), dtypes.int64)
    requires(len(starts) == x.ndim and all(s is start for s in starts), name, f"{x.ndim} starts of type {start}",
             tuple(starts))
    requires(len(sizes) == x.ndim and all(0 <= s <= n for s, n in zip(sizes, x.shape)), name,
             f"a window that fits into {x}", sizes)


def _window_at(shape: Ints, starts: Sequence[Any], sizes: Ints) -> tuple[slice, ...]:
    """The window as numpy slices, moved inside where it sticks out."""
    first = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, shape, sizes)]
    return tuple(slice(a, a + size) for a, size in zip(first, sizes))


def _start_zero(x: Value) -> Value:
    return constant.on(x.device, value="0", shape=(), dtype=dtypes.int64)


def _start_vectors(size: int, batched: Sequence[bool], starts: Sequence[Value]) -> Value:
    """Starts, some of them with a leading dimension of `size`, as int64[size, len(starts)]."""
    columns = [reshape(with_leading(size, b, s), shape=(size, 1)) for b, s in zip(batched, starts)]
    return concatenate(*columns, axis=1)


def _one_window_each(ndim: int, batched: bool) -> Dims:
    """A window of an operand of `ndim` dimensions (after its batch dimension, if any) for every start vector."""
    window, first = tuple(range(1, ndim + 1)), int(batched)
    batch = (0,) if batched else ()
    return Dims(window, (), batch, batch, tuple(range(first, first + ndim)), 1)


def _dynamic_slice_infer(x: Type, *starts: Type, sizes: Ints) -> Type:
    _check_window("dynamic_slice", x, starts, sizes)
    return x.with_shape(sizes)


def _dynamic_slice_reference(x: Any, *starts: Any, sizes: Ints) -> Any:
    return np.array(x[_window_at(x.shape, starts, sizes)])


def _dynamic_slice_lower(h: Emitter, x: Operand, *starts: Operand, sizes: Ints) -> Operand:
    return h.op("dynamic_slice", (x, *starts), attributes=f"slice_sizes = {array_attribute(sizes)}")


def _dynamic_slice_vjp(g: Value, out: Value, x: Value, *starts: Value, sizes: Ints) -> tuple[Value | None, ...]:
    return (dynamic_update_slice(full_like(x, 0), g, *starts), *(None for _ in starts))


def _dynamic_slice_batch(size: int, batched: Sequence[bool], x: Value, *starts: Value, sizes: Ints) -> Value:
    if not any(batched[1:]):
        return dynamic_slice(x, _start_zero(x), *starts, sizes=(size, *sizes))
    places = Places(_start_vectors(size, batched[1:], starts), _one_window_each(len(starts), batched[0]),
                    (min(1, size), *sizes) if batched[0] else sizes, unique=batched[0])
    return places.gather(x)


dynamic_slice = register(Op("dynamic_slice", _dynamic_slice_infer, _dynamic_slice_reference, _dynamic_slice_lower,
                            _dynamic_slice_vjp, _dynamic_slice_batch, exact=True))


def _dynamic_update_slice_infer(x: Type, update: Type, *starts: Type) -> Type:
    requires(update.dtype is x.dtype, "dynamic_update_slice", f"an update of type {x.dtype.name}", update)
    _check_window("dynamic_update_slice", x, starts, update.shape)
    return x


def _dynamic_update_slice_reference(x: Any, update: Any, *starts: Any) -> Any:
    result = np.array(x)
    result[_window_at(x.shape, starts, update.shape)] = update
    return result


def _dynamic_update_slice_vjp(g: Value, out: Value, x: Value, update: Value,
                              *starts: Value) -> tuple[Value | None, ...]:
    return (dynamic_update_slice(g, full_like(update, 0), *starts),
            dynamic_slice(g, *starts, sizes=update.type.shape), *(None for _ in starts))


def _dynamic_update_slice_batch(size: int, batched: Sequence[bool], x: Value, update: Value, *starts: Value) -> Value:
    sizes = (min(1, size), *update.type.shape[1:]) if batched[1] else (min(1, size), *update.type.shape)
    x, update = with_leading(size, batched[0], x), with_leading(size, batched[1], update)
    if not any(batched[2:]):
        return dynamic_update_slice(x, update, _start_zero(x), *starts)
    places = Places(_start_vectors(size, batched[2:], starts), _one_window_each(len(starts), True), sizes, unique=True)
    return places.clamped(x.type.shape).scatter(x, update, "set")


dynamic_update_slice = register(Op(
    "dynamic_update_slice", _dynamic_update_slice_infer, _dynamic_update_slice_reference,
    lambda h, x, update, *starts: h.op("dynamic_update_slice", (x, update, *starts)), _dynamic_update_slice_vjp,
    _dynamic_update_slice_batch, exact=True))


# --- Many windows: gather and scatter ---------------------------------------------------------------------------------


def _flag(value: bool) -> str:
    return "true" if value else "false"


_GATHER_LISTS = ("offset_dims", "collapsed_slice_dims", "operand_batching_dims", "start_indices_batching_dims",
                 "start_index_map")


def _gather_dims(*, offset_dims: Ints, collapsed_slice_dims: Ints, operand_batching_dims: Ints,
                 start_indices_batching_dims: Ints, start_index_map: Ints, index_vector_dim: int, slice_sizes: Ints,
                 indices_are_sorted: bool, unique_indices: bool) -> Dims:
    """The dimension numbers among a gather's parameters; the other rules take these as `**params`.

    `unique_indices` promises that the clamped windows do not overlap, which is for the gradient's scatter.
    """
    return Dims(offset_dims, collapsed_slice_dims, operand_batching_dims, start_indices_batching_dims, start_index_map,
                index_vector_dim)


def _gather_places(indices: Value, params: dict[str, Any]) -> Places:
    return Places(indices, _gather_dims(**params), params["slice_sizes"], params["indices_are_sorted"],
                  params["unique_indices"])


def _gather_infer(x: Type, indices: Type, **params: Any) -> Type:
    dims, sizes = _gather_dims(**params), params["slice_sizes"]
    check_dims("gather", x, indices, dims)
    requires(len(sizes) == x.ndim and all(0 <= s <= n for s, n in zip(sizes, x.shape)), "gather",
             f"windows that fit into {x}", sizes)
    requires(all(sizes[d] == 1 for d in dims.dropped) and all(sizes[d] == min(1, x.shape[d]) for d in dims.batch),
             "gather", "windows of size 1 along collapsed and batching dimensions", sizes)
    return x.with_shape(windows_shape(indices.shape, sizes, dims))


def _gather_reference(x: Any, indices: Any, **params: Any) -> Any:
    dims, sizes = _gather_dims(**params), params["slice_sizes"]
    flat, _ = positions(x.shape, indices, sizes, dims)
    shape = windows_shape(indices.shape, sizes, dims)
    return x.reshape(-1)[flat] if math.prod(shape) else np.empty(shape, x.dtype)


def _gather_lower(h: Emitter, x: Operand, indices: Operand, **params: Any) -> Operand:
    numbers = dims_text(_gather_dims(**params), _GATHER_LISTS)
    return h.op("gather", (x, indices), attributes=(
        f"dimension_numbers = #stablehlo.gather<{numbers}>, slice_sizes = {array_attribute(params['slice_sizes'])}, "
        f"indices_are_sorted = {_flag(params['indices_are_sorted'])}"))


def _gather_vjp(g: Value, out: Value, x: Value, indices: Value, **params: Any) -> tuple[Value, None]:
    places = _gather_places(indices, params).clamped(x.type.shape)
    return places.scatter(full_like(x, 0), g, "add"), None


def _gather_batch(size: int, batched: Sequence[bool], x: Value, indices: Value, **params: Any) -> Value:
    places = _gather_places(indices, params)
    dims, sizes = places.dims, places.sizes
    if not batched[1]:
        return Places(indices, dims.with_operand(), (size, *sizes), places.is_sorted, places.unique).gather(x)
    if not batched[0]:
        return Places(indices, dims.with_indices(), sizes).gather(x)
    return Places(indices, dims.with_both(), (min(1, size), *sizes), unique=places.unique).gather(x)


gather = register(Op("gather", _gather_infer, _gather_reference, _gather_lower, _gather_vjp, _gather_batch, exact=True))


# --- scatter ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Combiner:
    """How updates meet the elements they fall on: the instruction (None: they replace them), numpy's, the types."""

    hlo: str | None
    ufunc: np.ufunc | None
    accepts: frozenset[dtype]


COMBINERS = {
    "set": Combiner(None, None, ANY),
    "add": Combiner("add", np.add, ANY),
    "mul": Combiner("multiply", np.multiply, ANY),
    "min": Combiner("minimum", np.minimum, REAL | LOGICAL),
    "max": Combiner("maximum", np.maximum, REAL | LOGICAL),
}
_SCATTER_LISTS = ("update_window_dims", "inserted_window_dims", "input_batching_dims", "scatter_indices_batching_dims",
                  "scatter_dims_to_operand_dims")


def _scatter_dims(*, combiner: str, update_window_dims: Ints, inserted_window_dims: Ints, input_batching_dims: Ints,
                  scatter_indices_batching_dims: Ints, scatter_dims_to_operand_dims: Ints, index_vector_dim: int,
                  indices_are_sorted: bool, unique_indices: bool) -> Dims:
    """The dimension numbers among a scatter's parameters; the other rules take these as `**params`."""
    return Dims(update_window_dims, inserted_window_dims, input_batching_dims, scatter_indices_batching_dims,
                scatter_dims_to_operand_dims, index_vector_dim)


def _scatter_places(x: Value, indices: Value, updates: Value, params: dict[str, Any]) -> Places:
    dims = _scatter_dims(**params)
    return Places(indices, dims, dims.window_sizes(x.type.shape, updates.type.shape), params["indices_are_sorted"],
                  params["unique_indices"])


def _scatter_infer(x: Type, indices: Type, updates: Type, **params: Any) -> Type:
    dims, combiner = _scatter_dims(**params), params["combiner"]
    requires(combiner in COMBINERS, "scatter", f"a combiner of {', '.join(COMBINERS)}", combiner)
    requires(x.dtype in COMBINERS[combiner].accepts, "scatter", f"an operand that {combiner} is defined for", x)
    requires(updates.dtype is x.dtype, "scatter", f"updates of type {x.dtype.name}", updates)
    check_dims("scatter", x, indices, dims)
    rank = len(dims.index_shape(indices.shape)) + len(dims.window)
    requires(updates.ndim == rank, "scatter", f"updates of {rank} dimensions", updates)
    sizes = dims.window_sizes(x.shape, updates.shape)
    requires(all(s <= n for s, n in zip(sizes, x.shape)), "scatter", f"windows that fit into {x}", sizes)
    shape = windows_shape(indices.shape, sizes, dims)
    requires(updates.shape == shape, "scatter", f"updates of shape {shape}", updates)
    return x


def _scatter_reference(x: Any, indices: Any, updates: Any, **params: Any) -> Any:
    """Applies the updates in their row-major order, so of several that set one element the last stays."""
    dims, ufunc = _scatter_dims(**params), COMBINERS[params["combiner"]].ufunc
    flat, fits = positions(x.shape, indices, dims.window_sizes(x.shape, updates.shape), dims)
    wide = accumulator(dtypes.from_numpy(x.dtype), COMBINERS[params["combiner"]].hlo).numpy
    result = np.array(x, dtype=wide).reshape(-1)
    where, values = np.broadcast_to(flat, updates.shape)[fits], updates[fits].astype(wide, copy=False)
    with np.errstate(all="ignore"):
        if ufunc is None:
            result[where] = values
        else:
            ufunc.at(result, where, values)
        return result.reshape(x.shape).astype(x.dtype, copy=False)


def _scatter_lower(h: Emitter, x: Operand, indices: Operand, updates: Operand, **params: Any) -> Operand:
    numbers, hlo, out = dims_text(_scatter_dims(**params), _SCATTER_LISTS), COMBINERS[params["combiner"]].hlo, h.out
    element = Type.of((), accumulator(out.dtype, hlo))
    x, updates = widened(h, x, element.dtype), widened(h, updates, element.dtype)
    body = h.region([element, element], lambda old, new: combined(hlo, h, old, new) if hlo else new)
    result = h.ops("scatter", (x, indices, updates), (out.with_dtype(element.dtype),), (
        f"scatter_dimension_numbers = #stablehlo.scatter<{numbers}>, "
        f"indices_are_sorted = {_flag(params['indices_are_sorted'])}, "
        f"unique_indices = {_flag(params['unique_indices'])}"), (body,))[0]
    return widened(h, result, out.dtype)


def _scatter_vjp(g: Value, out: Value, x: Value, indices: Value, updates: Value,
                 **params: Any) -> tuple[Value, None, Value]:
    places = _scatter_places(x, indices, updates, params)
    # Dropped updates read something at the clamped places, which does not count.
    read = places.clamped(x.type.shape).gather
    gx, gu = _SCATTER_VJPS[params["combiner"]](g, out, x, updates, places, read)
    return gx, None, select(places.fits(x.type.shape, updates.type), gu, full_like(gu, 0))


Read = Callable[[Value], Value]  # what a value of x's shape holds where the updates went


def _set_vjp(g: Value, out: Value, x: Value, u: Value, places: Places, read: Read) -> tuple[Value, Value]:
    """As in torch, every update of an element that several set gets the whole cotangent."""
    return places.scatter(g, full_like(u, 0), "set"), read(g)


def _add_vjp(g: Value, out: Value, x: Value, u: Value, places: Places, read: Read) -> tuple[Value, Value]:
    return g, read(g)


def _mul_vjp(g: Value, out: Value, x: Value, u: Value, places: Places, read: Read) -> tuple[Value, Value]:
    """Of an update: g times the product of all other factors, which is the result divided by it; of the one that is zero, if
    there is one, the product in which 1 stands for it. Where several updates of one element are zero, the second derivative
    that this gives lacks the terms in which two of them change; torch refuses it there.
    """
    is_zero = compare(u, full_like(u, 0), direction="EQ")
    zeros = places.scatter(full_like(x, 0, dtypes.int32), convert(is_zero, dtype=dtypes.int32), "add")
    alone = and_(is_zero, compare(read(zeros), full_like(u, 1, dtypes.int32), direction="EQ"))
    one = full_like(u, 1)
    without = read(places.scatter(x, select(alone, one, u), "mul"))
    others = select(alone, without, div(read(out), select(is_zero, one, u)))
    return places.scatter(g, conjugate(u), "mul"), times(read(g), others)


def _extreme_vjp(g: Value, out: Value, x: Value, u: Value, places: Places, read: Read) -> tuple[Value, Value]:
    """All that equal the extreme, the operand's element included, share the cotangent evenly; at NaN none does, and all of
    0 * (1 / 0) is NaN, as in torch.
    """
    from_x, from_u = (convert(compare(a, b, direction="EQ"), dtype=x.type.dtype) for a, b in ((x, out), (u, read(out))))
    share = div(g, places.scatter(from_x, from_u, "add"))
    return mul(share, from_x), mul(read(share), from_u)


_SCATTER_VJPS: dict[str, Callable[..., tuple[Value, Value]]] = {
    "set": _set_vjp, "add": _add_vjp, "mul": _mul_vjp, "min": _extreme_vjp, "max": _extreme_vjp}


def _scatter_batch(size: int, batched: Sequence[bool], x: Value, indices: Value, updates: Value,
                   **params: Any) -> Value:
    dims, combiner = _scatter_dims(**params), params["combiner"]
    x, updates = with_leading(size, batched[0], x), with_leading(size, batched[2], updates)
    if not batched[1]:
        places = Places(indices, dims.with_operand(), (), params["indices_are_sorted"], params["unique_indices"])
    else:
        places = Places(indices, dims.with_both(), (), unique=params["unique_indices"])
    return places.scatter(x, updates, combiner)


scatter = register(Op("scatter", _scatter_infer, _scatter_reference, _scatter_lower, _scatter_vjp, _scatter_batch,
                      exact_on_integers=True))


# --- Selecting and writing along axes: what public functions are written with -----------------------------------------


def _axis_of(name: str, x: Value, axis: int) -> int:
    requires(-x.type.ndim <= axis < x.type.ndim, name, f"an axis of {x.type}", axis)
    return axis % x.type.ndim


def _empty(name: str, x: Value, shape: Ints) -> Value:
    """What is selected from no elements: nothing, still connected to `x`."""
    requires(math.prod(shape) == 0, name, "an operand that has elements along the indexed axes", x.type)
    return reshape(x, shape=shape)


def take(x: Value, indices: Value, axis: int) -> Value:
    """Select along one axis: out[..., *i, ...] = x[..., indices[*i], ...].

    `x` [*a, n, *b], `indices` int32 or int64 [*i] of 0 to n - 1 (others are clamped), `axis` may be negative;
    returns [*a, *i, *b]. Raises OpError for a wrong axis, or when elements are selected from none.

    >>> from flambeau.tracer.ir.recorder import recording
    >>> with recording():
    ...     x = constant.on("cpu", value="0.0", shape=(2, 3, 4), dtype=dtypes.float32)
    ...     i = constant.on("cpu", value="1", shape=(5, 6), dtype=dtypes.int64)
    ...     take(x, i, 1).type
    f32[2,5,6,4]
    """
    axis, shape, rank = _axis_of("take", x, axis), x.type.shape, indices.type.ndim
    if shape[axis] == 0:
        return _empty("take", x, (*shape[:axis], *indices.type.shape, *shape[axis + 1:]))
    window = (*range(axis), *range(axis + rank, x.type.ndim - 1 + rank))
    dims = Dims(window, (axis,), (), (), (axis,), rank)
    return Places(indices, dims, (*shape[:axis], 1, *shape[axis + 1:])).gather(x)


def _check_along(name: str, x: Value, indices: Value, axis: int, other: Value) -> None:
    fits = x.type.ndim == indices.type.ndim == other.type.ndim and all(
        i <= n or d == axis for d, (i, n) in enumerate(zip(indices.type.shape, x.type.shape)))
    requires(fits and all(i <= n for i, n in zip(indices.type.shape, other.type.shape)), name,
             f"indices of {x.type.ndim} dimensions that are nowhere longer than {other.type} nor, but for axis {axis}, "
             f"than {x.type}", indices.type)


def _along_axis(x: Value, indices: Value, axis: int) -> Places:
    """Single elements of `x`, whose other axes run together with those of `indices`."""
    others = tuple(d for d in range(x.type.ndim) if d != axis)
    sizes = tuple(1 if d == axis else min(1, n) for d, n in enumerate(x.type.shape))
    return Places(indices, Dims((), (axis,), others, others, (axis,), x.type.ndim), sizes)


def _corner(x: Value, shape: Ints) -> Value:
    """The first elements along every axis, `shape` in all."""
    if x.type.shape == shape:
        return x
    return slice_(x, start=(0,) * len(shape), limit=shape, stride=(1,) * len(shape))


def _overlap(x: Value, indices: Value, axis: int) -> Ints:
    """The shape of the part of `x` that indices along `axis` can reach."""
    return tuple(n if d == axis else i for d, (n, i) in enumerate(zip(x.type.shape, indices.type.shape)))


def take_along(x: Value, indices: Value, axis: int) -> Value:
    """torch.gather: for axis 1 of three, out[i, j, k] = x[i, indices[i, j, k], k].

    `indices` (int32 or int64) has as many dimensions as `x` and is not longer but along `axis`; the result has its
    shape. Indices out of range are clamped. Raises OpError for shapes that do not fit.
    Source: https://pytorch.org/docs/stable/generated/torch.gather.html
    """
    if x.type.ndim == 0 == indices.type.ndim:
        return reshape(take_along(reshape(x, shape=(1,)), reshape(indices, shape=(1,)), axis), shape=())
    axis = _axis_of("take_along", x, axis)
    _check_along("take_along", x, indices, axis, indices)
    x = _corner(x, _overlap(x, indices, axis))
    if x.type.shape[axis] == 0:
        return _empty("take_along", x, indices.type.shape)
    return _along_axis(x, indices, axis).gather(x)


def put_along(x: Value, indices: Value, updates: Value, axis: int, combiner: str) -> Value:
    """torch.scatter: `x` after out[i, indices[i, j, k], k] = updates[i, j, k] (for axis 1 of three).

    `combiner` "add", "mul", "min" or "max" combines with what is there. `indices` (int32 or int64) is not longer than
    `updates`, nor than `x` but along `axis`. Updates out of range are dropped; of several that set one element, any
    may stay. Raises OpError for shapes that do not fit.
    Source: https://pytorch.org/docs/stable/generated/torch.Tensor.scatter_reduce_.html
    """
    if x.type.ndim == 0 == indices.type.ndim == updates.type.ndim:
        x, indices, updates = (reshape(v, shape=(1,)) for v in (x, indices, updates))
        return reshape(put_along(x, indices, updates, axis, combiner), shape=())
    axis = _axis_of("put_along", x, axis)
    _check_along("put_along", x, indices, axis, updates)
    updates, reached = _corner(updates, indices.type.shape), _corner(x, _overlap(x, indices, axis))
    if updates.type.size == 0 or reached.type.size == 0:
        return x
    written = _along_axis(reached, indices, axis).scatter(reached, updates, combiner)
    if reached is x:
        return written
    return dynamic_update_slice(x, written, *(_start_zero(x) for _ in x.type.shape))


def _leading(name: str, x: Value, indices: Sequence[Value]) -> Places:
    """Slices of `x` at positions of its first axes, one index array for each."""
    count, first = len(indices), indices[0].type
    requires(1 <= count <= x.type.ndim and all(i.type is first for i in indices), name,
             f"1 to {x.type.ndim} index arrays of one type", tuple(i.type for i in indices))
    axes = tuple(range(count))
    window = tuple(range(first.ndim, first.ndim + x.type.ndim - count))
    sizes = (*(1 for _ in axes), *x.type.shape[count:])
    if count == 1:
        return Places(indices[0], Dims(window, axes, (), (), axes, first.ndim), sizes)
    vectors = concatenate(*(reshape(i, shape=(*first.shape, 1)) for i in indices), axis=first.ndim)
    return Places(vectors, Dims(window, axes, (), (), axes, first.ndim), sizes)


def index_nd(x: Value, indices: Sequence[Value]) -> Value:
    """x[indices[0], ..., indices[k-1]]: select slices at positions of the first k axes.

    `indices`: k arrays (int32 or int64) of one shape [*i]; returns [*i, *x.shape[k:]]. Indices out of range are
    clamped. Raises OpError for index arrays that do not fit, or when elements are selected from none.
    """
    places = _leading("index_nd", x, indices)
    if 0 in x.type.shape[:len(indices)]:
        return _empty("index_nd", x, (*indices[0].type.shape, *x.type.shape[len(indices):]))
    return places.gather(x)


def index_put_nd(x: Value, indices: Sequence[Value], updates: Value, combiner: str) -> Value:
    """`x` after x[indices[0], ..., indices[k-1]] = updates, or combined with what is there as `combiner` says.

    `indices`: k arrays (int32 or int64) of one shape [*i]; `updates` [*i, *x.shape[k:]]. Updates out of range are
    dropped; of several that set one element, any may stay. Raises OpError for shapes that do not fit.
    """
    places = _leading("index_put_nd", x, indices)
    wanted = Type.of((*indices[0].type.shape, *x.type.shape[len(indices):]), x.type.dtype)
    requires(updates.type is wanted, "index_put_nd", f"updates of type {wanted}", updates.type)
    return x if x.type.size == 0 else places.scatter(x, updates, combiner)
