"""Views by strides: diagonals, windows, any strides over the memory.

Source: https://pytorch.org/docs/stable/tensor_view.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops.structural import Ints
from ..tensor.offsets import offset
from ..tensor.steps import Elements
from ..tensor.strides import Geometry, contiguous_stride
from ..tensor.tensor import Tensor
from .complex_numbers import view_as_complex, view_as_real
from .dims import checked_dim, whole_list, whole_number
from .methods import method
from .shape import permute, view_as_type

# --- Diagonals and windows --------------------------------------------------------------------------------------------


@method()
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of two dimensions, as the last dimension."""
    a, b = checked_dim(dim1, input.ndim), checked_dim(dim2, input.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    offset = whole_number(offset, "offset")
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
    size, step = whole_number(size, "size"), whole_number(step, "step")
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if self.ndim == 0:
        if size > 1:
            raise RuntimeError(f"maximum size for tensor at dimension 0 is 1 but size is {size}")
        return self._view(Elements((size,), (1,), 0), Geometry((1,), self._strides.offset))
    shape, strides = self._type.shape, contiguous_stride(self._type.shape)
    if size > shape[d]:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {shape[d]} but size is {size}")
    count = (shape[d] - size) // step + 1
    own = self._strides
    return self._view(
        Elements((*shape[:d], count, *shape[d + 1:], size),
                 (*strides[:d], strides[d] * step, *strides[d + 1:], strides[d]), 0),
        Geometry((*own.stride[:d], own.stride[d] * step, *own.stride[d + 1:], own.stride[d]), own.offset))


# --- Any strides over the memory --------------------------------------------------------------------------------------

NOT_ITS_MEMORY = (
    "as_strided of a view whose memory is not known: of an argument or a result of a jitted function the elements are passed, "
    "not the memory around them, which its strides {stride} for shape {shape} point to; and a view that was made a leaf has a "
    "history for its own elements only, which lie apart. Use the tensor that it is a view of, or a clone() of the view.")
BESIDE_A_LEAF = (
    "as_strided of a view that is a leaf, or has another history of its own, reaches elements {offset} to {reach} of the memory, "
    "of which the view shows {first} to {last} alone: where a gradient of the others goes is not known. Use the base's "
    "as_strided for them.")


def _check_places(size: Ints, stride: Ints, offset: int) -> None:
    """torch's RuntimeErrors for sizes, strides and an offset that no view has, whatever the memory."""
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    if any(n < 0 for n in size):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}")
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")


@method()
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """A view of the storage by sizes, strides and offset, all counted in elements of this tensor's dtype."""
    size, stride = whole_list(size, "size"), whole_list(stride, "stride")
    offset = input.storage_offset() if storage_offset is None else whole_number(storage_offset, "storage_offset")
    _check_places(size, stride, offset)
    memory, first, last = _memory(input)
    reach = offset + sum((n - 1) * s for n, s in zip(size, stride)) + 1
    if 0 not in size and (offset < first or reach > last):
        root = memory._root
        if root._base is not None:
            raise NotImplementedError(BESIDE_A_LEAF.format(first=first, last=last - 1, offset=offset, reach=reach - 1))
        if _is_passed(root):
            raise NotImplementedError(NOT_ITS_MEMORY.format(shape=list(input.shape), stride=input.stride()))
        needed, there = (n * input.dtype.itemsize for n in (reach, last))
        raise RuntimeError(f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
                           f"{input.dtype.itemsize} requiring a storage size of {needed} are out of bounds for storage of "
                           f"size {there}")
    made = memory._view(Elements(size, stride, offset - first), Geometry(stride, memory._strides.offset + offset - first))
    made._detached = made._detached or input._detached
    return made


def _memory(x: Tensor) -> tuple[Tensor, int, int]:
    """A view of all elements of the storage that `x` lies in, in the order of memory, in the dtype of `x`.

    Of a part that is a leaf, or has another history of its own, or was passed, that part alone: a gradient flows to nothing
    else, and nothing else is there. Also where in the storage the view begins and ends.
    """
    root, parted = x, False
    while root._base is not None and root._graph is None and not root._requires_grad:
        root, parted = root._root, parted or root._parted
    root = root.detach() if parted else root
    order = sorted(range(root.ndim), key=lambda d: -root._strides.stride[d])
    if not permute(root, order).is_contiguous():
        raise NotImplementedError(NOT_ITS_MEMORY.format(shape=list(root.shape), stride=root.stride()))
    flat = _in_dtype_of(x, permute(root, order).view(-1))
    first = root.storage_offset() * root.itemsize // x.itemsize
    return flat, first, first + flat.numel()


def _is_passed(root: Tensor) -> bool:
    """Whether it has the elements of a view alone: an argument or a result of a jitted function."""
    trace = root._storage.trace
    return offset(root) > 0 or (trace is not None and trace.is_part(root._storage))


def _in_dtype_of(x: Tensor, flat: Tensor) -> Tensor:
    if x.dtype is flat.dtype:
        return flat.conj() if x.is_conj() else flat
    if x.dtype.is_complex:
        return view_as_complex(flat.view(-1, 2))
    return view_as_real(flat).view(-1) if flat.dtype.is_complex else view_as_type(flat, x.dtype)
