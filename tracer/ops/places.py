"""Where the windows of `gather` and `scatter` lie: their dimension numbers, and the arithmetic on start indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import OPS
from ..ir.types import Type
from .elementwise import and_, clamp, compare
from .reduction import reduce_and
from .structural import Ints, broadcast, concatenate, constant

INDEX = frozenset({dtypes.int32, dtypes.int64})


def _up(axes: Ints) -> Ints:
    return tuple(a + 1 for a in axes)


@dataclass(frozen=True, slots=True)
class Dims:
    """The dimension numbers of gather and of scatter under one set of names; W is the gathered (or updating) array.

    `window`: dimensions of W that run inside a window, the others run over index vectors; `dropped`: operand dimensions
    of window size 1 that W lacks; `batch` and `index_batch`: operand and index dimensions that run together;
    `map`: the operand dimension of each index component; `vector`: the dimension of the indices along which an index
    vector lies, their rank if every index is a vector of its own.
    """

    window: Ints
    dropped: Ints
    batch: Ints
    index_batch: Ints
    map: Ints
    vector: int

    def with_operand(self) -> Dims:
        """For an operand and a W that have a leading dimension more: it becomes part of the window."""
        return Dims((0, *_up(self.window)), _up(self.dropped), _up(self.batch), self.index_batch, _up(self.map),
                    self.vector)

    def with_indices(self) -> Dims:
        """For indices and a W that have a leading dimension more."""
        return Dims(_up(self.window), self.dropped, self.batch, _up(self.index_batch), self.map, self.vector + 1)

    def with_both(self) -> Dims:
        """For operand, indices and W that all have a leading dimension more."""
        return Dims(_up(self.window), _up(self.dropped), (0, *_up(self.batch)), (0, *_up(self.index_batch)),
                    _up(self.map), self.vector + 1)

    def over_indices(self, ndim: int) -> Ints:
        """The dimensions of a W of that rank that run over index vectors."""
        return tuple(a for a in range(ndim) if a not in self.window)

    def in_window(self, ndim: int) -> Ints:
        """The dimensions of an operand of that rank that `window` stands for."""
        return tuple(d for d in range(ndim) if d not in self.dropped and d not in self.batch)

    def index_shape(self, indices: Ints) -> Ints:
        """The shape of indices without the vector dimension."""
        return (*indices[:self.vector], *indices[self.vector + 1:])

    def window_sizes(self, x: Ints, updates: Ints) -> Ints:
        """Sizes of the windows along the operand's dimensions, given the shape of W."""
        sizes = dict(zip(self.in_window(len(x)), (updates[a] for a in self.window)))
        return tuple(sizes.get(d, min(1, n) if d in self.batch else 1) for d, n in enumerate(x))


def _distinct(axes: Ints, ndim: int) -> bool:
    return len(set(axes)) == len(axes) and all(0 <= a < ndim for a in axes)


def _increasing(axes: Ints, ndim: int) -> bool:
    return _distinct(axes, ndim) and list(axes) == sorted(axes)


def check_dims(name: str, x: Type, indices: Type, dims: Dims) -> None:
    """Raise unless the dimension numbers fit to each other and to the operands."""
    requires(indices.dtype in INDEX, name, "int32 or int64 indices", indices)
    requires(0 <= dims.vector <= indices.ndim, name, f"an index vector dimension of 0 to {indices.ndim}", dims.vector)
    count = indices.shape[dims.vector] if dims.vector < indices.ndim else 1
    requires(len(dims.map) == count, name, f"an operand dimension for each of {count} index components", dims.map)
    requires(_distinct((*dims.map, *dims.batch), x.ndim), name, f"index components for distinct, unbatched dimensions "
             f"of {x}", dims.map)
    requires(_increasing(dims.dropped, x.ndim) and _increasing(dims.batch, x.ndim)
             and _distinct((*dims.dropped, *dims.batch), x.ndim), name,
             f"increasing, disjoint dropped and batching dimensions of {x}", (dims.dropped, dims.batch))
    requires(len(dims.window) + len(dims.dropped) + len(dims.batch) == x.ndim
             and _increasing(dims.window, len(dims.index_shape(indices.shape)) + len(dims.window)), name,
             f"an increasing window dimension for each of {x} that is neither dropped nor batched", dims.window)
    requires(_distinct(dims.index_batch, indices.ndim) and dims.vector not in dims.index_batch
             and [x.shape[d] for d in dims.batch] == [indices.shape[d] for d in dims.index_batch], name,
             f"batching dimensions of equal sizes in {x} and {indices}", (dims.batch, dims.index_batch))


def windows_shape(indices: Ints, sizes: Ints, dims: Dims) -> Ints:
    """The shape of W: window sizes at the window dimensions, the shape of the indices elsewhere."""
    kept = iter([sizes[d] for d in dims.in_window(len(sizes))])
    others = iter(dims.index_shape(indices))
    ndim = len(dims.index_shape(indices)) + len(dims.window)
    return tuple(next(kept) if a in dims.window else next(others) for a in range(ndim))


def positions(shape: Ints, indices: Any, sizes: Ints, dims: Dims) -> tuple[Any, Any]:
    """For each element of W: its row-major position in an operand of `shape`, and whether its window fits there.

    Windows that do not fit count as moved inside.
    """
    lead = dims.index_shape(indices.shape)
    vectors = np.moveaxis(indices, dims.vector, -1) if dims.vector < indices.ndim else indices[..., None]
    strides = [math.prod(shape[d + 1:]) for d in range(len(shape))]
    base, fits = np.zeros(lead, np.int64), np.ones(lead, np.bool_)
    for component, d in enumerate(dims.map):
        start, last = vectors[..., component].astype(np.int64), shape[d] - sizes[d]
        fits &= (start >= 0) & (start <= last)
        base += np.clip(start, 0, last) * strides[d]
    for d, axis in zip(dims.batch, dims.index_batch):
        base += _along(axis - (axis > dims.vector), len(lead), shape[d]) * strides[d]
    full = windows_shape(indices.shape, sizes, dims)
    spread = [n if a not in dims.window else 1 for a, n in enumerate(full)]
    flat, fits = base.reshape(spread), np.broadcast_to(fits.reshape(spread), full)
    for axis, d in zip(dims.window, dims.in_window(len(shape))):
        flat = flat + _along(axis, len(full), sizes[d]) * strides[d]
    return flat, fits


def _along(axis: int, ndim: int, size: int) -> Any:
    return np.arange(size, dtype=np.int64).reshape([-1 if a == axis else 1 for a in range(ndim)])


def dims_text(dims: Dims, names: Sequence[str]) -> str:
    """MLIR text of the dimension numbers, whose lists are called `names` and the vector dimension index_vector_dim."""
    lists = (dims.window, dims.dropped, dims.batch, dims.index_batch, dims.map)
    pairs = [f"{name} = [{', '.join(map(str, axes))}]" for name, axes in zip(names, lists)]
    return ", ".join([*pairs, f"index_vector_dim = {dims.vector}"])


@dataclass(frozen=True, slots=True)
class Places:
    """Where windows of `sizes` lie: what a gather reads and a scatter writes; gradient rules are written with it."""

    indices: Value
    dims: Dims
    sizes: Ints
    is_sorted: bool = False
    unique: bool = False

    def gather(self, x: Value) -> Value:
        """The windows of `x`, moved inside where they stick out."""
        dims = self.dims
        return OPS["gather"](x, self.indices, offset_dims=dims.window, collapsed_slice_dims=dims.dropped,
                      operand_batching_dims=dims.batch, start_indices_batching_dims=dims.index_batch,
                      start_index_map=dims.map, index_vector_dim=dims.vector, slice_sizes=self.sizes,
                      indices_are_sorted=self.is_sorted, unique_indices=self.unique)

    def scatter(self, x: Value, updates: Value, combiner: str) -> Value:
        """`x` combined with `updates` in the windows; those that stick out are dropped."""
        dims = self.dims
        return OPS["scatter"](x, self.indices, updates, combiner=combiner, update_window_dims=dims.window,
                       inserted_window_dims=dims.dropped, input_batching_dims=dims.batch,
                       scatter_indices_batching_dims=dims.index_batch, scatter_dims_to_operand_dims=dims.map,
                       index_vector_dim=dims.vector, indices_are_sorted=self.is_sorted, unique_indices=self.unique)

    def last(self, shape: Ints) -> Value:
        """Of each index component, the greatest with which the window fits into an operand of `shape`."""
        greatest = [shape[d] - self.sizes[d] for d in self.dims.map]
        if len(set(greatest)) <= 1:
            return full_like(self.indices, greatest[0] if greatest else 0)
        part = list(self.indices.type.shape)
        part[self.dims.vector] = 1
        return concatenate(*(constant.on(self.indices.device, value=str(n), shape=tuple(part),
                                         dtype=self.indices.type.dtype) for n in greatest), axis=self.dims.vector)

    def clamped(self, shape: Ints) -> Places:
        """The same places with all windows moved inside an operand of `shape`."""
        inside = clamp(full_like(self.indices, 0), self.indices, self.last(shape))
        # Clamping one component of several can bring vectors out of their (lexicographic) order.
        return Places(inside, self.dims, self.sizes, self.is_sorted and len(self.dims.map) == 1, self.unique)

    def fits(self, shape: Ints, windows: Type) -> Value:
        """For each element of W (of type `windows`), whether its window lies in an operand of `shape`."""
        inside = and_(compare(self.indices, full_like(self.indices, 0), direction="GE"),
                      compare(self.indices, self.last(shape), direction="LE"))
        if self.dims.vector < self.indices.type.ndim:
            inside = reduce_and(inside, axes=(self.dims.vector,))
        return broadcast(inside, shape=windows.shape, dims=self.dims.over_indices(windows.ndim))
