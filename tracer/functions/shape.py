"""Shapes and views: https://pytorch.org/docs/stable/tensor_view.html"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import dtype
from ..lazy import host_array
from ..ops import OPS
from ..ops.elementwise import alias, full_like
from ..ops.structural import Ints
from ..tensor import Tensor
from ..views import (
    Bits,
    Elements,
    Expand,
    FromPairs,
    Geometry,
    Pairs,
    Part,
    Permute,
    Reshape,
    Slice,
    contiguous_stride,
    viewed_stride,
)
from .common import (
    broadcast_shapes,
    canonical_device,
    cast_value,
    check_shape,
    checked_dim,
    checked_dims,
    expand_value,
    into,
    laid_out,
    method,
    number_value,
    result_dtype,
    scalar_name,
    shape_argument,
    with_out,
    wrap,
)

# --- Reshape ----------------------------------------------------------------------------------------------------------


def _resolved(sizes: Ints, count: int, given: Sequence[int]) -> Ints:
    """Sizes with a -1 filled in."""
    if any(n < -1 for n in sizes):
        raise RuntimeError(f"invalid shape dimension {min(sizes)}")
    if sizes.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = math.prod(n for n in sizes if n != -1)
    if -1 in sizes:
        if known == 0 or count % known:
            raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {count}")
        return tuple(count // known if n == -1 else n for n in sizes)
    if known != count:
        raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {count}")
    return sizes


@method()
def view(self: Tensor, *shape: Any) -> Tensor:
    """The same memory in another shape, or under another dtype; the last dimension grows or shrinks with the width.

    >>> import flambeau as torch
    >>> torch.arange(6).view(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if len(shape) == 1 and isinstance(shape[0], dtype):
        return _view_as_type(self, shape[0])
    sizes = _resolved(shape_argument(shape), self.numel(), shape)
    geometry = self._strides
    strides = viewed_stride(self._type.shape, geometry.stride, sizes)
    if strides is None:
        raise RuntimeError("view size is not compatible with input tensor's size and stride (at least one dimension spans "
                           "across two contiguous subspaces). Use .reshape(...) instead.")
    return self._view(Reshape(sizes), Geometry(strides, geometry.offset))


def _view_as_type(self: Tensor, kind: dtype) -> Tensor:
    plain = self.detach()  # bits have no gradient, not even those of the same dtype
    if kind is self.dtype:
        return plain
    if self.is_conj():
        raise RuntimeError("torch.Tensor.view is not supported for conjugate view tensors when converting to a different "
                           "dtype.")
    stride, offset = self._strides.stride, self._strides.offset
    before, after = self.dtype.itemsize, kind.itemsize
    if before != after:
        _check_width(self, kind)
        stride = (*(s * before // after for s in stride[:-1]), 1)
    made = plain._view(Bits(kind), Geometry(stride, offset * before // after))
    made._parted = True
    return made


def _check_width(x: Tensor, kind: dtype) -> None:
    """torch's conditions for seeing memory as elements of another width."""
    def refuse(what: str) -> None:
        raise RuntimeError(f"{what} to view {x.dtype} as {kind} (different element sizes)")

    ratio, places = kind.itemsize // x.dtype.itemsize, x._strides
    if x.ndim == 0:
        refuse("self.dim() cannot be 0")
    if places.stride[-1] != 1:
        refuse("self.stride(-1) must be 1")
    if ratio > 1:
        if x._type.shape[-1] % ratio:
            refuse(f"self.size(-1) must be divisible by {ratio}")
        if places.offset % ratio:
            refuse(f"self.storage_offset() must be divisible by {ratio}")
        if any(s % ratio for s in places.stride[:-1]):
            refuse(f"self.stride() must be divisible by {ratio} in all but the last dimension")


@method()
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of `other`."""
    return view(self, other.shape)


@method("reshape")
def _reshape_method(input: Tensor, *shape: Any) -> Tensor:
    """A view in another shape where strides allow one, else a copy."""
    return reshape(input, shape_argument(shape))


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """A view in another shape where strides allow one, else a copy."""
    sizes = _resolved(tuple(shape), input.numel(), shape)
    geometry = input._strides
    strides = viewed_stride(input._type.shape, geometry.stride, sizes)
    if strides is None:
        return wrap(OPS["reshape"](input._read(), shape=sizes))
    return input._view(Reshape(sizes), Geometry(strides, geometry.offset))


@method()
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """reshape to the shape of `other`."""
    return reshape(self, other.shape)


@method()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim joined into one."""
    start, end = checked_dim(start_dim, input.ndim), checked_dim(end_dim, input.ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    shape = input._type.shape
    if not shape:
        return reshape(input, (1,))
    if start == end:
        return input
    return reshape(input, (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:]))


@method()
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension: a view of a contiguous tensor, else a copy."""
    return view(contiguous(input), -1)


@method()
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension split into `sizes`."""
    d = checked_dim(dim, input.ndim)
    shape = input._type.shape
    inner = _resolved(tuple(sizes), shape[d], sizes)
    return reshape(input, (*shape[:d], *inner, *shape[d + 1:]))


def _squeezed(input: Tensor, dims: Ints) -> Tensor:
    keep = [i for i in range(input.ndim) if i not in dims]
    geometry = input._strides
    return input._view(Reshape(tuple(input._type.shape[i] for i in keep)),
                       Geometry(tuple(geometry.stride[i] for i in keep), geometry.offset))


@method()
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without its dimensions of size 1, or without the given ones if they are."""
    dims = checked_dims(dim, input.ndim) if input.ndim else ()
    return _squeezed(input, tuple(d for d in dims if input._type.shape[d] == 1))


@method()
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 at `dim`."""
    d = checked_dim(dim, input.ndim + 1)
    shape, geometry = input._type.shape, input._strides
    step = geometry.stride[d] * shape[d] if d < input.ndim else 1
    return input._view(Reshape((*shape[:d], 1, *shape[d:])),
                       Geometry((*geometry.stride[:d], step, *geometry.stride[d:]), geometry.offset))


# --- Transpose --------------------------------------------------------------------------------------------------------


@method("permute")
def _permute_method(self: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order."""
    return permute(self, shape_argument(dims))


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The dimensions in another order."""
    if len(dims) != input.ndim:
        raise RuntimeError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the "
                           f"desired ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to "
                           f"len(dims) = {len(dims)}")
    order = checked_dims(tuple(dims), input.ndim)
    geometry = input._strides
    return input._view(Permute(order), Geometry(tuple(geometry.stride[d] for d in order), geometry.offset))


@method("transpose", "swapaxes", "swapdims")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    a, b = checked_dim(dim0, input.ndim), checked_dim(dim1, input.ndim)
    order = list(range(input.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return permute(input, order)


swapaxes = swapdims = transpose


@method()
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to new places, the others keeping their order."""
    sources, targets = (checked_dims(d, input.ndim) for d in (source, destination))
    if len(sources) != len(targets):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({list(sources)} dims) should contain the "
                           f"same number of dims as destination ({list(targets)} dims)")
    order = [-1] * input.ndim
    for s, t in zip(sources, targets):
        order[t] = s
    rest = iter(i for i in range(input.ndim) if i not in sources)
    return permute(input, [next(rest) if d == -1 else d for d in order])


moveaxis = method("moveaxis")(movedim)


@method()
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors stay as they are."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return transpose(input, 0, 1) if input.ndim == 2 else input._view(Reshape(input._type.shape), input._geometry)


@method()
def adjoint(input: Tensor) -> Tensor:
    """A view with the last two dimensions exchanged and conjugated."""
    if input.ndim < 2:
        raise RuntimeError(f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {input.ndim}-D tensor.")
    return transpose(input, -2, -1).conj()


def _property(name: str, get: Any, doc: str) -> None:
    setattr(Tensor, name, property(get, doc=doc))


_property("T", lambda self: permute(self, tuple(reversed(range(self.ndim)))), "The dimensions reversed.")
_property("mT", lambda self: transpose(self, -2, -1), "The last two dimensions exchanged.")
_property("H", lambda self: adjoint(self), "The conjugate transpose of a matrix.")
_property("mH", lambda self: adjoint(self), "The last two dimensions exchanged and conjugated.")


# --- Expand -----------------------------------------------------------------------------------------------------------


@method()
def expand(self: Tensor, *sizes: Any) -> Tensor:
    """Dimensions of size 1 repeated without copying; -1 keeps a size."""
    wanted = shape_argument(sizes)
    first = len(wanted) - self.ndim
    if first < 0:
        raise RuntimeError(f"expand(torch.{scalar_name(self.dtype)}Tensor{{{list(self.shape)}}}, "
                           f"size={list(wanted)}): the number of sizes provided ({len(wanted)}) must be greater or equal "
                           f"to the number of dimensions in the tensor ({self.ndim})")
    shape, strides = list(wanted), [0] * len(wanted)
    for i, (n, s) in enumerate(zip(self._type.shape, self._strides.stride), first):
        shape[i] = n if wanted[i] == -1 else wanted[i]
        if n not in (1, shape[i]):
            raise RuntimeError(f"The expanded size of the tensor ({wanted[i]}) must match the existing size ({n}) at "
                               f"non-singleton dimension {i}.  Target sizes: {list(wanted)}.  "
                               f"Tensor sizes: {list(self.shape)}")
        strides[i] = s if n == shape[i] else 0
    dims = tuple(range(first, len(wanted)))
    return self._view(Expand(tuple(shape), dims), Geometry(tuple(strides), self._strides.offset))


@method()
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """expand to the shape of `other`."""
    return expand(self, other.shape)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """The tensor expanded to `size`."""
    return expand(input, tuple(size))


method()(broadcast_to)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    shape = tuple(np.broadcast_shapes(*(x._type.shape for x in tensors)))
    return tuple(expand(x, shape) for x in tensors)


@method()
def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """Copies side by side, `repeats[i]` of them along dimension i."""
    counts = shape_argument(repeats)
    if len(counts) < self.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (*(1,) * (len(counts) - self.ndim), *self._type.shape)
    value = OPS["reshape"](self._read(), shape=tuple(x for n in shape for x in (1, n)))
    spread = tuple(x for c, n in zip(counts, shape) for x in (c, n))
    value = OPS["broadcast"](value, shape=spread, dims=tuple(range(len(spread))))
    return wrap(OPS["reshape"](value, shape=tuple(c * n for c, n in zip(counts, shape))))


@method()
def tile(input: Tensor, *dims: Any) -> Tensor:
    """numpy's tile: `repeat` with missing leading counts of 1."""
    counts = shape_argument(dims)
    return repeat(input, *(1,) * (input.ndim - len(counts)), *counts)


@method()
def repeat_interleave(input: Tensor, repeats: int, dim: int | None = None) -> Tensor:
    """Each element (or slice along `dim`) repeated in place `repeats` times."""
    if isinstance(repeats, Tensor):
        raise NotImplementedError("repeat_interleave with a tensor of repeats has a result whose shape depends on values; "
                                  "give a Python int, or index with positions made in numpy")
    x = ravel(input) if dim is None else input
    d = checked_dim(0 if dim is None else dim, x.ndim)
    shape = x._type.shape
    spread = (*shape[:d + 1], repeats, *shape[d + 1:])
    dims = (*range(d + 1), *range(d + 2, len(spread)))
    value = OPS["broadcast"](x._read(), shape=spread, dims=tuple(dims))
    return wrap(OPS["reshape"](value, shape=(*shape[:d], shape[d] * repeats, *shape[d + 1:])))


# --- Slices as views --------------------------------------------------------------------------------------------------


def sliced(input: Tensor, dim: int, start: int, limit: int, step: int = 1) -> Tensor:
    """The view input[..., start:limit:step, ...] along `dim`."""
    shape, geometry = input._type.shape, input._strides
    starts, limits, steps = [0] * len(shape), list(shape), [1] * len(shape)
    starts[dim], limits[dim], steps[dim] = start, max(limit, start), step
    strides = tuple(s * k for s, k in zip(geometry.stride, steps))
    return input._view(Slice(tuple(starts), tuple(limits), tuple(steps)),
                       Geometry(strides, geometry.offset + start * geometry.stride[dim]))


@method()
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` elements along `dim` from `start`."""
    d = checked_dim(dim, input.ndim)
    size = input._type.shape[d]
    if start < -size or start > size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return sliced(input, d, start, start + length)


@method()
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at `index` of dimension `dim`, which goes away."""
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = checked_dim(dim, input.ndim)
    size = input._type.shape[d]
    if not -size <= index < size:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {d}")
    return _squeezed(sliced(input, d, index % size, index % size + 1), (d,))


@method()
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces along `dim`, of one size (the last may be smaller) or of the given sizes."""
    d = checked_dim(dim, tensor.ndim)
    size = tensor._type.shape[d]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        if step < 0 or (step == 0 and size):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}")
        lengths = [min(step, size - at) for at in range(0, size, step)] if size else [0]
    else:
        lengths = list(split_size_or_sections)
        if sum(lengths) != size:
            raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's size at "
                               f"dimension {d}), but got split_sizes={lengths}")
    ends = np.cumsum(lengths).tolist()
    return tuple(sliced(tensor, d, end - n, end) for n, end in zip(lengths, ends))


@method()
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of the given sizes."""
    return split(input, list(split_sizes), dim)


@method()
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size, the last perhaps smaller; that many empty ones of an empty dimension."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = input._type.shape[checked_dim(dim, input.ndim)]
    return split(input, -(-size // chunks) if size else [0] * chunks, dim)


@method()
def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """numpy's array_split: sections of nearly equal sizes, or cut at indices."""
    d = checked_dim(dim, input.ndim)
    size = input._type.shape[d]
    if isinstance(indices_or_sections, int):
        base, extra = divmod(size, indices_or_sections)
        return split(input, [base + (i < extra) for i in range(indices_or_sections)], d)
    cuts = [0, *(min(max(i + size if i < 0 else i, 0), size) for i in indices_or_sections), size]
    return tuple(sliced(input, d, a, max(a, b)) for a, b in pairwise(cuts))


def _stacked_split(name: str, input: Tensor, cuts: int | Sequence[int], dim: int, least: int) -> tuple[Tensor, ...]:
    if input.ndim < least:
        raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension{'s'[:least - 1]}, but got a "
                           f"tensor with {input.ndim} dimensions!")
    if isinstance(cuts, int) and (cuts < 1 or input._type.shape[dim] % cuts):
        raise RuntimeError(f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
                           f"{input._type.shape[dim]} is not divisible by the split_size {cuts}!")
    return tensor_split(input, cuts, dim)


@method()
def hsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of pieces along the second dimension, along the first of a vector."""
    return _stacked_split("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1, 1)


@method()
def vsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of pieces along the first dimension."""
    return _stacked_split("vsplit", input, indices_or_sections, 0, 2)


@method()
def dsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views of pieces along the third dimension."""
    return _stacked_split("dsplit", input, indices_or_sections, 2, 3)


@method()
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all slices along `dim`, which goes away."""
    d = checked_dim(dim, input.ndim)
    return tuple(select(input, d, i) for i in range(input._type.shape[d]))


@method()
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of two dimensions, as the last dimension."""
    a, b = checked_dim(dim1, input.ndim), checked_dim(dim2, input.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    shape, strides = input._type.shape, contiguous_stride(input._type.shape)
    row, column = max(0, -offset), max(0, offset)
    length = max(0, min(shape[a] - row, shape[b] - column))
    keep = [i for i in range(input.ndim) if i not in (a, b)]
    start = row * strides[a] + column * strides[b] if length else 0
    return _elements(input, (*(shape[i] for i in keep), length),
                     (*(strides[i] for i in keep), strides[a] + strides[b]), start, (keep, a, b, row, column))


def _elements(input: Tensor, shape: Ints, stride: Ints, start: int, real: Any = None) -> Tensor:
    """A view by strides of the tensor's own elements in row-major order."""
    geometry = None
    if real is not None:
        keep, a, b, row, column = real
        own = input._strides
        geometry = Geometry((*(own.stride[i] for i in keep), own.stride[a] + own.stride[b]),
                            own.offset + row * own.stride[a] + column * own.stride[b])
    return input._view(Elements(shape, stride, start), geometry or Geometry(stride, start))


@method()
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` along a dimension, `step` apart, as a new last dimension."""
    d = checked_dim(dimension, self.ndim)
    shape, strides = self._type.shape, contiguous_stride(self._type.shape)
    if size > shape[d]:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {shape[d]} but size is {size}")
    count = (shape[d] - size) // step + 1
    own = self._strides
    return self._view(
        Elements((*shape[:d], count, *shape[d + 1:], size),
                 (*strides[:d], strides[d] * step, *strides[d + 1:], strides[d]), 0),
        Geometry((*own.stride[:d], own.stride[d] * step, *own.stride[d + 1:], own.stride[d]), own.offset))


NOT_ITS_MEMORY = (
    "as_strided of a view whose memory is not known: of an argument or a result of a jitted function the elements are passed, "
    "not the memory around them, which its strides {stride} for shape {shape} point to; and a view that was made a leaf has a "
    "history for its own elements only, which lie apart. Use the tensor that it is a view of, or a clone() of the view.")
BESIDE_A_LEAF = (
    "as_strided of a view that is a leaf, or has another history of its own, reaches elements {offset} to {reach} of the memory, "
    "of which the view shows {first} to {last} alone: where a gradient of the others goes is not known. Use the base's "
    "as_strided for them.")


@method()
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """A view of the storage by sizes, strides and offset, all counted in elements of this tensor's dtype."""
    size, stride = tuple(size), tuple(stride)
    offset = input.storage_offset() if storage_offset is None else storage_offset
    memory, first, last = _memory(input)
    reach = offset + sum((n - 1) * s for n, s in zip(size, stride)) + 1
    if 0 not in size and (offset < first or reach > last):
        if memory._root._base is not None:
            raise NotImplementedError(BESIDE_A_LEAF.format(first=first, last=last - 1, offset=offset, reach=reach - 1))
        needed, there = (n * input.dtype.itemsize for n in (reach, last))
        raise RuntimeError(f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
                           f"{input.dtype.itemsize} requiring a storage size of {needed} are out of bounds for storage of "
                           f"size {there}")
    made = memory._view(Elements(size, stride, offset - first), Geometry(stride, offset))
    made._detached = made._detached or input._detached
    return made


def _memory(x: Tensor) -> tuple[Tensor, int, int]:
    """A view of all elements of the storage that `x` lies in, in the order of memory, in the dtype of `x`.

    Of a part that is a leaf, or has another history of its own, that part alone: there a gradient flows to nothing else.
    Also where in the storage the view begins and ends.
    """
    root, parted = x, False
    while root._base is not None and root._graph is None and not root._requires_grad:
        root, parted = root._root, parted or root._parted
    root = root.detach() if parted else root
    order = sorted(range(root.ndim), key=lambda d: -root._strides.stride[d])
    first, trace = root._strides.offset, root._storage.trace
    passed = root._base is None and (first > 0 or (trace is not None and root._storage in trace.parts))
    if passed or not permute(root, order).is_contiguous():
        raise NotImplementedError(NOT_ITS_MEMORY.format(shape=list(root.shape), stride=root.stride()))
    flat = _in_dtype_of(x, permute(root, order).view(-1))
    first = first * root.itemsize // x.itemsize
    return flat, first, first + flat.numel()


def _in_dtype_of(x: Tensor, flat: Tensor) -> Tensor:
    if x.dtype is flat.dtype:
        return flat.conj() if x.is_conj() else flat
    if x.dtype.is_complex:
        return view_as_complex(flat.view(-1, 2))
    return view_as_real(flat).view(-1) if flat.dtype.is_complex else _view_as_type(flat, x.dtype)


def view_as_real(input: Tensor) -> Tensor:
    """A view of complex numbers as pairs of reals along a new last dimension."""
    if not input.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    places = input._strides
    return input._view(Pairs(), Geometry((*(2 * s for s in places.stride), 1), 2 * places.offset))


def view_as_complex(input: Tensor) -> Tensor:
    """A view of pairs along the last dimension as complex numbers."""
    if not input.dtype.is_floating_point:
        raise RuntimeError("view_as_complex is only supported for floating point tensors")
    if input.ndim == 0 or input._type.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    places = input._strides
    if places.stride[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 and n > 1 for s, n in zip(places.stride[:-1], input._type.shape)):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if places.offset % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    return input._view(FromPairs(), Geometry(tuple(s // 2 for s in places.stride[:-1]), places.offset // 2))


def _part(self: Tensor, imaginary: bool) -> Tensor:
    places = self._strides
    return self._view(Part(imaginary), Geometry(tuple(2 * s for s in places.stride), 2 * places.offset + imaginary))


def _real_part(self: Tensor) -> Tensor:
    return _part(self, False) if self.dtype.is_complex else self


def _imaginary_part(self: Tensor) -> Tensor:
    if not self.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _part(self, True)


_property("real", _real_part, "A view of the real parts.")
_property("imag", _imaginary_part, "A view of the imaginary parts.")


def real(input: Tensor) -> Tensor:
    """A view of the real parts."""
    return _real_part(input)


def imag(input: Tensor) -> Tensor:
    """A view of the imaginary parts."""
    return _imaginary_part(input)


# --- Joining ----------------------------------------------------------------------------------------------------------


def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors joined along an existing dimension.

    >>> import flambeau as torch
    >>> torch.cat([torch.zeros(1, 2), torch.ones(1, 2)])
    tensor([[0., 0.],
            [1., 1.]])
    """
    if not tensors:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    used = [x for x in tensors if x._type.shape != (0,)] or list(tensors[:1])  # torch skips empty vectors
    d = checked_dim(dim, used[0].ndim)
    kind, first = used[0]._type.dtype, used[0]._type.shape
    if any(x._type.dtype is not kind for x in tensors):
        kind = result_dtype(*tensors)
    for i, x in enumerate(used):
        shape = x._type.shape
        if shape == first:
            continue
        if len(shape) != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        if any(m != n for j, (m, n) in enumerate(zip(first, shape)) if j != d):
            at = next(j for j, (m, n) in enumerate(zip(first, shape)) if j != d and m != n)
            raise RuntimeError(f"Sizes of tensors must match except in dimension {d}. Expected size {first[at]} but got "
                               f"size {shape[at]} for tensor number {i} in the list.")
    values = [cast_value(x._read(), kind) for x in used]
    return into(out, wrap(OPS["concatenate"](*values, axis=d)))


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors of one shape joined along a new dimension."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0]._type.shape
    for i, x in enumerate(tensors):
        if x._type.shape != first:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                               f"{list(x._type.shape)} at entry {i}")
    d = checked_dim(dim, len(first) + 1)
    return cat([unsqueeze(x, d) for x in tensors], d, out=out)


def _at_least(x: Tensor, ndim: int, front: bool) -> Tensor:
    while x.ndim < ndim:
        x = unsqueeze(x, 0 if front or x.ndim == 0 else x.ndim)
    return x


@with_out
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the second dimension (the first for vectors)."""
    parts = [_at_least(x, 1, True) for x in tensors]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


@with_out
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the first dimension, vectors as rows."""
    return cat([_at_least(x, 2, True) for x in tensors], 0)


def atleast_1d(x: Tensor) -> Tensor:
    """With at least one dimension."""
    return _at_least(x, 1, True)


def atleast_2d(x: Tensor) -> Tensor:
    """With at least two dimensions."""
    return _at_least(x, 2, True)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids of vectors."""
    vectors = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    if indexing == "xy":
        swapped = meshgrid(*([vectors[1], vectors[0], *vectors[2:]] if len(vectors) > 1 else vectors))
        grids = tuple(transpose(g, 0, 1) if len(vectors) > 1 else g for g in swapped)
        return (grids[1], grids[0], *grids[2:]) if len(vectors) > 1 else grids
    shape = tuple(v.numel() for v in vectors)
    return tuple(expand(reshape(v, [-1 if i == j else 1 for j in range(len(shape))]), shape) for i, v in enumerate(vectors))


@method()
def flip(input: Tensor, *dims: Any) -> Tensor:
    """Dimensions reversed (a copy)."""
    return wrap(OPS["reverse"](input._read(), axes=checked_dims(shape_argument(dims), input.ndim)))


@method()
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved along dimensions, those pushed out coming back on the other side."""
    if dims is None:
        return reshape(roll(ravel(input), shifts, 0), input.shape)
    amounts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    for amount, d in zip(amounts, checked_dims(dims, input.ndim)):
        size = input._type.shape[d]
        cut = -amount % size if size else 0
        input = cat([sliced(input, d, cut, size), sliced(input, d, 0, cut)], d)
    return input


# --- Copies and conversions -------------------------------------------------------------------------------------------


@method()
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with storage of its own, through which gradients flow."""
    return laid_out(wrap(alias(input._read())), [input])


@method()
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in order, else a copy."""
    return self if self.is_contiguous() else wrap(alias(self._read()))


@method()
def to(self: Tensor, *args: Any, dtype: dtype | None = None, device: Any = None, copy: bool = False,
       non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """The tensor in another dtype or on another device; itself if it is there already and `copy` is not asked for."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, dtypes.dtype):
            dtype = arg
        elif arg is not None and not isinstance(arg, bool):  # a bool is non_blocking; copies are never waited for
            device = arg
    kind, on = dtype or self.dtype, self._device if device is None else canonical_device(str(device))
    if kind is self.dtype and on == self._device:
        return clone(self) if copy else self
    result = self if kind is self.dtype else laid_out(wrap(cast_value(self._read(), kind)), [self])
    return result if on == self._device else _moved(result, on)


def _moved(x: Tensor, on: str) -> Tensor:
    """A copy on another device. Gradients do not cross devices."""
    if x.requires_grad:
        raise NotImplementedError("moving a tensor that requires grad between devices inside a differentiated program is "
                                  "not supported: move the leaf tensors (model.to(device)) first, or detach()")
    value = x._read()
    moved = type(value)(value.type, on, np.array(host_array(value)))
    return wrap(moved)


def _conversion(name: str, kind: dtypes.dtype) -> None:
    def convert(self: Tensor) -> Tensor:
        return to(self, kind)

    convert.__name__ = name
    convert.__doc__ = f"The tensor as {kind}."
    setattr(Tensor, name, convert)


for _name, _kind in [("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16),
                     ("bfloat16", dtypes.bfloat16), ("long", dtypes.int64), ("int", dtypes.int32),
                     ("short", dtypes.int16), ("char", dtypes.int8), ("byte", dtypes.uint8), ("bool", dtypes.boolean),
                     ("cfloat", dtypes.complex64), ("cdouble", dtypes.complex128)]:
    _conversion(_name, _kind)


@method()
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """In the dtype of `other`."""
    return to(self, other.dtype)


@method("type")
def _type_method(self: Tensor, kind: dtype | None = None) -> Any:
    """The tensor in another dtype, or torch's name of its type."""
    return to(self, kind) if kind is not None else f"torch.{self.dtype.name.capitalize()}Tensor"


@method()
def cpu(self: Tensor) -> Tensor:
    """On the CPU."""
    return to(self, device="cpu")


@method()
def cuda(self: Tensor) -> Tensor:
    """On the first CUDA device."""
    return to(self, device="cuda")


@method()
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Write `src`, converted and broadcast, into this tensor."""
    value = src.to(device=self.device)._read()
    value = cast_value(value, self.dtype)
    if value.type.shape != self._type.shape:
        check_shape(self, broadcast_shapes(self._type.shape, value.type.shape))
        value = expand_value(value, self._type.shape)
    self._write(alias(value))
    return self


@method()
def fill_(self: Tensor, value: Any) -> Tensor:
    """Write one number into all elements."""
    if isinstance(value, Tensor):
        return copy_(self, value)
    new = number_value(value, self.dtype, self._type.shape, self._device)
    self._write(new, lambda: full_like(new, 1, dtypes.boolean))
    return self


@method()
def zero_(self: Tensor) -> Tensor:
    """Write zeros."""
    return fill_(self, 0)


def is_tensor(obj: Any) -> bool:
    """Whether obj is a Tensor."""
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()

