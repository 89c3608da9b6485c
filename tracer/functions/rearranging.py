"""Turning, mirroring and copying parts: https://pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops.structural import Ints
from ..tensor import Tensor
from .dims import checked_dim, shape_argument
from .joining import flip
from .methods import method, with_out
from .reduce import sum as total
from .shape import reshape, transpose
from .slicing import chunk, narrow, split, split_with_sizes
from .strided import as_strided

# --- Turns and mirrors ------------------------------------------------------------------------------------------------


@method()
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A copy turned k times by 90 degrees in the plane of two dimensions, from the first towards the second.

    >>> import flambeau as torch
    >>> torch.rot90(torch.tensor([[0, 1], [2, 3]]))
    tensor([[1, 3],
            [0, 2]])
    """
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    a, b = (checked_dim(d, input.ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    turns = k % 4
    if turns % 2 == 0:
        return flip(input, a, b) if turns else input.contiguous().clone()
    return transpose(flip(input, b if turns == 1 else a), a, b)


@method()
def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns (the second dimension) reversed."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@method()
def flipud(input: Tensor) -> Tensor:
    """A copy with the rows (the first dimension) reversed."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


# --- Parts ------------------------------------------------------------------------------------------------------------


@method()
@with_out
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A copy of `length` elements along `dim` from `start`; `narrow` gives a view of them."""
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
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


@method()
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed to a shape that broadcasts to its own, the transpose of `expand`; itself if it has that shape.

    >>> import flambeau as torch
    >>> torch.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    if not size:
        raise TypeError('sum_to_size() missing 1 required positional arguments: "size"')
    wanted, shape = shape_argument(size), self._type.shape
    lead = len(shape) - len(wanted)
    if lead < 0 or any(n not in (1, m) for n, m in zip(wanted, shape[lead:])):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    if wanted == shape:
        return self
    axes = [d for d, m in enumerate(shape) if d < lead or (wanted[d - lead] == 1 and m != 1)]
    return reshape(total(self, axes, True) if axes else self, wanted)


# --- Writing by strides -----------------------------------------------------------------------------------------------


def _reach(size: Sequence[int], stride: Sequence[int], offset: int) -> int:
    """The first element of the memory that a view by strides does not need."""
    return offset + sum((n - 1) * s for n, s in zip(size, stride)) + 1 if 0 not in size else offset


@method()
def as_strided_scatter(input: Tensor, src: Tensor, size: Sequence[int], stride: Sequence[int],
                       storage_offset: int | None = None) -> Tensor:
    """A copy of the input, and of the memory around it, in which as_strided(size, stride, storage_offset) is src.

    >>> import flambeau as torch
    >>> torch.as_strided_scatter(torch.zeros(2, 2), torch.ones(2), (2,), (3,))
    tensor([[1., 0.],
            [0., 1.]])
    """
    own = input.storage_offset()
    offset = own if storage_offset is None else storage_offset
    if as_strided(input, size, stride, offset).shape != src.shape:
        raise RuntimeError(f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
                           f"slice size = {list(size)}")
    shape: Ints = input._type.shape
    start, strides = min(own, offset), input.stride()
    end = max(_reach(shape, strides, own), _reach(size, stride, offset))
    memory = as_strided(input, (end - start,), (1,), start).clone()
    as_strided(memory, size, stride, offset - start).copy_(src)
    return as_strided(memory, shape, strides, own - start)
