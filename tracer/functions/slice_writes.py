"""Copies with one of their views written: `select_scatter` and its kin.

Source: https://pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops.elementwise import alias
from ..ops.structural import Ints
from ..tensor.tensor import Tensor
from .dims import checked_dim, whole_number, whole_place
from .layout import as_input, lies
from .methods import EXACT, method, with_out_of
from .operands import wrap
from .spelling import spelled
from .strided import as_strided


def _changed(input: Tensor, view: Any, src: Tensor) -> Tensor:
    copy = wrap(alias(input._read()))
    part = view(copy)
    _check_source(src, part._type.shape)
    part.copy_(src)
    return copy


def _check_source(src: Tensor, size: Sequence[int]) -> None:
    """torch's error for a source that a write would broadcast."""
    if src._type.shape != tuple(size):
        raise RuntimeError(f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
                           f"slice size = {list(size)}")


@method()
@spelled
@lies(as_input)
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of the input whose slice at `index` along `dim` is src."""
    return _changed(input, lambda x: x.select(dim, index), src)


@method()
@with_out_of(EXACT)
@lies(as_input)
def slice_scatter(input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
                  step: int = 1) -> Tensor:
    """A copy of the input whose elements start:end:step along `dim` are src."""
    axis = checked_dim(dim, input.ndim)
    if not input.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    bounds = [None if n is None else whole_place(n, name) for name, n in (("start", start), ("end", end), ("step", step))]
    return _changed(input, lambda x: x[(*[slice(None)] * axis, slice(*bounds))], src)


@method()
@lies(as_input)
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of the input whose diagonal is src."""
    return _changed(input, lambda x: x.diagonal(offset, dim1, dim2), src)


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
    offset = own if storage_offset is None else whole_number(storage_offset, "storage_offset")
    _check_source(src, as_strided(input, size, stride, offset)._type.shape)
    shape: Ints = input._type.shape
    start, strides = min(own, offset), input.stride()
    end = max(_reach(shape, strides, own), _reach(size, stride, offset))
    memory = as_strided(input, (end - start,), (1,), start).clone()
    as_strided(memory, size, stride, offset - start).copy_(src)
    return as_strided(memory, shape, strides, own - start)
