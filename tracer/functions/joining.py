"""Tensors put together, turned and mirrored.

Source: https://pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops import OPS
from ..tensor import Tensor
from .dims import checked_dim, checked_dims, shape_argument
from .methods import into, method, with_out
from .operands import cast_value, result_dtype, wrap
from .shape import expand, ravel, reshape, transpose, unsqueeze
from .slicing import sliced

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
