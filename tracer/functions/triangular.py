"""Triangles and diagonals of matrices: https://pytorch.org/docs/stable/torch.html#other-operations"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ops.elementwise import compare, select, sub
from ..ops.structural import Ints, broadcast, iota, pad
from ..tensor.layouts import check_layout, layout
from ..tensor.tensor import Tensor
from .creation import tensor
from .dims import checked_dim, whole_number, whole_place
from .methods import EXACT, in_place, method, with_out_of
from .operands import Number, number_value, wrap
from .reduce import sum as sum_
from .refusals import NUMBER, require_kind
from .shape import movedim
from .spelling import spelled
from .strided import diagonal


def _columns_minus_rows(shape: Ints, on: str) -> Value:
    """For each element of a matrix, how far right of the main diagonal it lies."""
    rows, columns = (iota.on(on, shape=shape[-2:], axis=axis, dtype=dtypes.int64) for axis in (0, 1))
    return sub(columns, rows)


def _triangle(name: str, input: Tensor, diagonal: int, direction: str) -> Tensor:
    shape, diagonal = input._type.shape, whole_place(diagonal, "diagonal")
    if len(shape) < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    value = input._read()
    place = _columns_minus_rows(shape, value.device)
    inside = compare(place, number_value(diagonal, dtypes.int64, shape[-2:], value.device), direction=direction)
    mask = broadcast(inside, shape=shape, dims=(len(shape) - 2, len(shape) - 1))
    return wrap(select(mask, value, full_like(value, 0)))


@in_place()
@with_out_of(EXACT)
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrices with zeros above a diagonal.

    >>> import flambeau as torch
    >>> torch.tril(torch.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return _triangle("tril", input, diagonal, "LE")


@in_place()
@with_out_of(EXACT)
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrices with zeros below a diagonal."""
    return _triangle("triu", input, diagonal, "GE")


def _positions(found: Any, kind: dtype | None, device: Any, layout: layout | None, requires_grad: bool) -> Tensor:
    check_layout(layout)
    return tensor(np.stack(found).astype(np.int64), dtype=kind or dtypes.int64, device=device, requires_grad=requires_grad)


def _integers(**given: Any) -> list[int]:
    numbers = {name: whole_number(x, name) for name, x in given.items()}
    for name, n in numbers.items():
        if n < 0 and name != "offset":
            raise RuntimeError(f"{name} must be non-negative, got{n}")
    return [*numbers.values()]


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: dtype | None = None, device: Any = None,
                 layout: layout | None = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """Rows and columns of the lower triangle of a row by col matrix, an integer tensor [2, n]."""
    row, col, offset = _integers(row=row, col=col, offset=offset)
    return _positions(np.tril_indices(row, offset, col), dtype, device, layout, requires_grad)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: dtype | None = None, device: Any = None,
                 layout: layout | None = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """Rows and columns of the upper triangle of a row by col matrix, an integer tensor [2, n]."""
    row, col, offset = _integers(row=row, col=col, offset=offset)
    return _positions(np.triu_indices(row, offset, col), dtype, device, layout, requires_grad)


@method()
@with_out_of(EXACT)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with the vector on a diagonal; or a copy of the matrix's diagonal."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return diag_embed(input, diagonal) if input.ndim == 1 else _diagonal(input, diagonal).clone()


def _diagonal(input: Tensor, offset: int) -> Tensor:
    return diagonal(input, offset, 0, 1)


@method()
def fill_diagonal_(self: Tensor, fill_value: Number, wrap: bool = False) -> Tensor:
    """Write a number on the main diagonal; with `wrap`, that of a tall matrix begins again after each square."""
    shape = self._type.shape
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step = int(np.sum(np.cumprod(shape[:0:-1]))) + 1
    end = self.numel() if wrap or len(shape) > 2 else min(self.numel(), shape[1] * shape[1])
    places = np.arange(0, end, step)
    mask = np.zeros(self.numel(), np.bool_)
    mask[places] = True
    return self.masked_fill_(tensor(mask.reshape(shape), device=self.device), fill_value)


@method()
@spelled
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices in two new dimensions, with the last dimension of the input on a diagonal and zeros elsewhere."""
    ndim = input.ndim + 1
    a, b = checked_dim(dim1, ndim), checked_dim(dim2, ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    value, offset = input._read(), whole_number(offset, "offset")
    *lead, n = value.type.shape
    side, rank = n + abs(offset), len(lead)
    zero = number_value(0, input.dtype, (), value.device)
    # Of every column the one element that is not zero: the vector, behind `offset` zeros.
    edges = {"low": (*[0] * rank, max(offset, 0)), "high": (*[0] * rank, max(-offset, 0))}
    padded = pad(value, zero, **edges, interior=(0,) * (rank + 1))
    shape = (*lead, side, side)
    spread = broadcast(padded, shape=shape, dims=(*range(rank), rank + 1))
    place = _columns_minus_rows(shape, value.device)
    on_diagonal = compare(place, full_like(place, offset), direction="EQ")
    mask = broadcast(on_diagonal, shape=shape, dims=(rank, rank + 1))
    made = wrap(select(mask, spread, full_like(spread, 0)))
    return made if (a, b) == (rank, rank + 1) else wrap(movedim(made, (-2, -1), (a, b))._read())


@method()
@spelled
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements of the input on a diagonal."""
    return diag_embed(input.reshape(-1), offset)


@method()
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    require_kind("trace", input, NUMBER)
    return sum_(_diagonal(input, 0))
