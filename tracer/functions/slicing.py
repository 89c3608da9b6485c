"""Parts of tensors as views: https://pytorch.org/docs/stable/tensor_view.html"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from ..ir import dtypes
from ..ir.errors import no_dimensions
from ..ops.structural import Ints
from ..tensor.operations import WHOLE, Operation
from ..tensor.scalar import Scalar, on_host
from ..tensor.steps import Slice, Window, block_of
from ..tensor.strides import Geometry
from ..tensor.tensor import Tensor
from .checks import check_range
from .dims import checked_dim, is_whole, whole_list, whole_number, whole_place
from .methods import Out, method, with_out_of
from .operands import from_front, scalar_name, wrap
from .shape import squeezed
from .spelling import spelled

_COPIED: Final = Out("Expected self.dtype() == output.dtype() to be true, but got false.  (Could this error message be "
              "improved?  If so, please report an enhancement request to PyTorch.)")


# --- Slices as views --------------------------------------------------------------------------------------------------


def sliced(input: Tensor, dim: int, start: int, limit: int, step: int = 1) -> Tensor:
    """The view input[..., start:limit:step, ...] along `dim`."""
    shape, geometry = input._type.shape, input._strides
    starts, limits, steps = [0] * len(shape), list(shape), [1] * len(shape)
    starts[dim], limits[dim], steps[dim] = start, max(limit, start), step
    strides = tuple(s * k for s, k in zip(geometry.stride, steps))
    return input._view(Slice(tuple(starts), tuple(limits), tuple(steps)),
                       Geometry(strides, geometry.offset + start * geometry.stride[dim]))


def windowed(x: Tensor, start: Sequence[Any], sizes: Ints, offset: Any) -> Tensor:
    """The view of a block whose start holds numbers of the trace in progress or 0-d tensors: see `Window`."""
    for a in start:
        if type(a) is Scalar:
            a.value  # noqa: B018  # an input of the program, whoever reads the view
    stride = x._strides.stride
    return seen_through(x, block_of(sizes, tuple(n * x.itemsize for n in stride), *start), Geometry(stride, offset))


def seen_through(x: Tensor, window: Slice | Window, geometry: Geometry | None = None) -> Tensor:
    """The view through a block, whose start may be computed at each call."""
    zeros = (0,) * x.ndim
    sizes = window.sizes if isinstance(window, Window) else window.shape_of(x._type.shape)
    view = x._view(Slice(zeros, sizes, (1,) * x.ndim), geometry)  # has the same type, and may be kept in a table
    view._steps = (*view._steps[:-1], window)
    return view


def block(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` elements along `dim` from a start within range: also a number of the trace in progress, or a 0-d tensor."""
    shape, geometry = input._type.shape, input._strides
    known = type(start) is not Scalar and not isinstance(start, Tensor)
    if known or length in (0, shape[dim]):
        first = start if known else 0
        return sliced(input, dim, first, first + length)
    starts: list[Any] = [0] * len(shape)
    sizes = [*shape]
    starts[dim], sizes[dim] = start, length
    moved = start * geometry.stride[dim] if type(start) is Scalar else 0
    return windowed(input, starts, tuple(sizes), moved + geometry.offset)


def _narrowed(start: int, length: int, size: int) -> int:
    """Where the part that `narrow` gives begins."""
    if start < -size or start > size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return start


def _selected(index: int, d: int, *shape: int) -> int:
    """The position that `select` shows."""
    size = shape[d]
    if not -size <= index < size:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(shape)} at dimension {d}")
    return index % size


_NARROWED, _SELECTED = Operation(_narrowed, "start of narrow", WHOLE), Operation(_selected, "position of select", WHOLE)


def _is_place(x: Tensor) -> bool:
    """Whether the numbers of a tensor may count elements."""
    return not (x.dtype.is_inexact or x.dtype is dtypes.boolean)


def _narrowed_at(start: Tensor, length: int, size: int, on: str) -> Tensor:
    """Where the part that `narrow` gives begins, if a tensor says so."""
    if start.ndim or not _is_place(start):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    check_range("narrow", start, -size, size + 1, IndexError,
                f"start out of range (expected to be in range of [{-size}, {size}], but got {{value}})")
    place = wrap(from_front(start, size, on))
    check_range("narrow", place, 0, size - length + 1, RuntimeError,
                f"start ({{value}}) + length ({length}) exceeds dimension size ({size}).")
    return place


def _selected_at(index: Tensor, d: int, *shape: int, on: str) -> Tensor:
    """The position that `select` shows, if a tensor says so."""
    if index.numel() != 1 or not _is_place(index):
        raise TypeError("select(): argument 'index' (position 2) must be int, not Tensor")
    size, index = shape[d], index.reshape(())
    message = f"select(): index {{value}} out of range for tensor of size {list(shape)} at dimension {d}"
    if size == 0:
        raise IndexError(message.format(value=0))
    check_range("select", index, -size, size, IndexError, message)
    return wrap(from_front(index, size, on))


@method()
def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """`length` elements along `dim` from `start`, which may be a 0-d tensor of integers."""
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = checked_dim(dim, input.ndim)
    length, size = whole_number(length, "length"), input._type.shape[d]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if isinstance(start, Tensor):
        return block(input, d, _narrowed_at(start, length, size, input._device), length)
    return block(input, d, on_host(_NARROWED, whole_place(start, "start"), length, size), length)


@method()
def select(input: Tensor, dim: int, index: int | Tensor) -> Tensor:
    """The slice at `index`, which may be a 0-d tensor of integers, of dimension `dim`, which goes away."""
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d, shape = checked_dim(dim, input.ndim), input._type.shape
    at = (_selected_at(index, d, *shape, on=input._device) if isinstance(index, Tensor) else
          on_host(_SELECTED, whole_place(index, "index"), d, *shape))
    return squeezed(block(input, d, at, 1), (d,))


@spelled
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces along `dim`, of one size (the last may be smaller) or of the given sizes."""
    if tensor.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = checked_dim(dim, tensor.ndim)
    size = tensor._type.shape[d]
    if is_whole(split_size_or_sections):
        step = whole_number(split_size_or_sections, "split_size")
        if step < 0 or (step == 0 and size):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}")
        lengths = [min(step, size - at) for at in range(0, size, step)] if size else [0]
    else:
        lengths = list(whole_list(split_size_or_sections, "split_size"))
        if sum(lengths) != size:
            raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's size at "
                               f"dimension {d}), but got split_sizes={lengths}")
    ends = np.cumsum(lengths).tolist()
    return tuple(sliced(tensor, d, end - n, end) for n, end in zip(lengths, ends))


@method("split")
@spelled
def _split_method(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`split`, whose second argument has another name here."""
    return split(self, split_size, dim)


@method()
@spelled
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of the given sizes."""
    return split(input, whole_list(split_sizes, "split_sizes"), dim)


@method()
@spelled
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size, the last perhaps smaller; that many empty ones of an empty dimension."""
    chunks = whole_number(chunks, "chunks")
    if input.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = input._type.shape[checked_dim(dim, input.ndim)]
    return split(input, -(-size // chunks) if size else [0] * chunks, dim)


@method()
@spelled
def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """numpy's array_split: sections of nearly equal sizes, or cut at indices."""
    if input.ndim == 0:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = checked_dim(dim, input.ndim)
    size = input._type.shape[d]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = _told_cuts(indices_or_sections)
    if is_whole(indices_or_sections):
        sections = whole_number(indices_or_sections, "sections")
        if sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
        base, extra = divmod(size, sections)
        return split(input, [base + (i < extra) for i in range(sections)], d)
    places = whole_list(indices_or_sections, "indices")
    cuts = [0, *(min(max(i + size if i < 0 else i, 0), size) for i in places), size]
    return tuple(sliced(input, d, a, max(a, b)) for a, b in pairwise(cuts))


def _told_cuts(cuts: Tensor) -> Any:
    """Sections or indices that a tensor holds: its values are read."""
    if cuts.dtype is not dtypes.int64:
        raise RuntimeError(f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got "
                           f"{scalar_name(cuts.dtype)}")
    if cuts.ndim > 1:
        raise RuntimeError("tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, "
                           f"but got a tensor with {cuts.ndim} dims")
    return cuts.tolist()


def _all_cuts(first: Any, more: tuple[int, ...]) -> Any:
    """Indices may be given one by one."""
    return (first, *more) if more else first


def _stacked_split(name: str, input: Tensor, cuts: int | Sequence[int], dim: int, least: int) -> tuple[Tensor, ...]:
    if input.ndim < least:
        raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension, but got a "
                           f"tensor with {input.ndim} dimensions!")
    if not is_whole(cuts) and not isinstance(cuts, (list, tuple, Tensor)):
        raise TypeError(f"{name}() received an invalid combination of arguments. Required are an int of sections, or a sequence "
                        f"of ints, got {type(cuts).__name__}")
    if isinstance(cuts, (int, np.integer)) and (cuts < 1 or input._type.shape[dim] % cuts):
        raise RuntimeError(f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
                           f"{input._type.shape[dim]} is not divisible by the split_size {cuts}!")
    return tensor_split(input, cuts, dim)


@method()
@spelled
def hsplit(input: Tensor, indices_or_sections: int | Sequence[int], *more: int) -> tuple[Tensor, ...]:
    """Views of pieces along the second dimension, along the first of a vector."""
    return _stacked_split("hsplit", input, _all_cuts(indices_or_sections, more), 0 if input.ndim == 1 else 1, 1)


@method()
@spelled
def vsplit(input: Tensor, indices_or_sections: int | Sequence[int], *more: int) -> tuple[Tensor, ...]:
    """Views of pieces along the first dimension."""
    return _stacked_split("vsplit", input, _all_cuts(indices_or_sections, more), 0, 2)


@method()
@spelled
def dsplit(input: Tensor, indices_or_sections: int | Sequence[int], *more: int) -> tuple[Tensor, ...]:
    """Views of pieces along the third dimension."""
    return _stacked_split("dsplit", input, _all_cuts(indices_or_sections, more), 2, 3)


@method()
@spelled
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all slices along `dim`, which goes away."""
    d = checked_dim(dim, input.ndim)
    if input.ndim == 0:
        raise no_dimensions(d)
    return tuple(select(input, d, i) for i in range(input._type.shape[d]))


# --- Copies, and torch's unchecked forms ------------------------------------------------------------------------------


@method()
@with_out_of(_COPIED)
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A copy of `length` elements along `dim` from `start`; `narrow` gives a view of them."""
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if dim >= input.ndim:
        raise RuntimeError("Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  (Could this error "
                           "message be improved?  If so, please report an enhancement request to PyTorch.)")
    if whole_number(length, "length") < 0:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({input._type.shape[dim]}).")
    return narrow(input, dim, start, length).contiguous().clone()


@method()
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunk`. What torch leaves unchecked in this one, that a piece and the input are not both written, is safe here."""
    return chunk(input, chunks, dim)


@method()
def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split` into pieces of one size. What torch leaves unchecked in this one is safe here."""
    return split(input, split_size, dim)


@method()
def unsafe_split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`split_with_sizes`. What torch leaves unchecked in this one is safe here."""
    return split_with_sizes(input, split_sizes, dim)
