"""Tensors put together: https://pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..ir.dtypes import dtype
from ..lazy.at_once import SMALL, at_once
from ..ops import structural as ops
from ..tensor.tensor import Tensor
from .dims import checked_dim
from .layout import as_image, suggested_format
from .methods import Out, with_out_of
from .operands import cast_value, result_dtype, wrap
from .shape import atleast_1d, atleast_2d, atleast_3d, reshape, unsqueeze

_JOINED: Final = Out("torch.cat(): input types can't be cast to the desired output type {out}", exact=False, apart=True,
                    error=TypeError)


def check_sequence(name: str, tensors: Any) -> None:
    """torch's TypeErrors for one tensor, and for what is none among several."""
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")


@with_out_of(_JOINED)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along a dimension that they have.

    Args: `tensors`, a sequence of tensors whose shapes agree but in `dim`, vectors of size 0 excepted; `dim`, the
    dimension along which they are joined; `out`, a tensor to write to.
    Returns a copy, of the promoted dtype, whose size along `dim` is the sum of theirs. Raises RuntimeError for shapes
    that do not agree, IndexError for a dimension that is not there.

    >>> import flambeau as torch
    >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])

    Source: https://pytorch.org/docs/stable/generated/torch.cat.html
    """
    check_sequence("cat", tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    used = [x for x in tensors if x._type.shape != (0,)] or list(tensors[:1])  # torch skips empty vectors
    if used[0].ndim == 0:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    d = checked_dim(dim, used[0].ndim)
    kind, first = used[0]._type.dtype, used[0]._type.shape
    if any(x._type.dtype is not kind for x in tensors):
        kind = result_dtype(*tensors)
    for i, x in enumerate(used):
        shape = x._type.shape
        if shape == first:
            continue
        if not shape:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
        if len(shape) != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        if any(m != n for j, (m, n) in enumerate(zip(first, shape)) if j != d):
            at = next(j for j, (m, n) in enumerate(zip(first, shape)) if j != d and m != n)
            raise RuntimeError(f"Sizes of tensors must match except in dimension {d}. Expected size {first[at]} but got "
                               f"size {shape[at]} for tensor number {i} in the list.")
    if len(used) > 1 and sum(x._type.size for x in used) <= SMALL:
        with at_once():  # a program would depend on which of them are the same tensor, which in a batch of samples is chance
            result = _joined(used, kind, d)
    else:
        result = _joined(used, kind, d)
    if used[0]._geometry is not None:
        form = suggested_format(used[0])
        if all(x.ndim == result.ndim and suggested_format(x) is form for x in tensors):
            as_image(result, used[0])
    return result


def _joined(tensors: Sequence[Tensor], kind: dtype, dim: int) -> Tensor:
    return wrap(ops.concatenate(*[cast_value(x._read(), kind) for x in tensors], axis=dim))


concat = concatenate = cat


@with_out_of(_JOINED)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension.

    y.select(dim, i) = tensors[i]

    Args: `tensors`, a sequence of tensors of one shape; `dim`, where the new dimension is to be; `out`, a tensor to
    write to.
    Returns a copy with one dimension more, of the size of the sequence. Raises RuntimeError for an empty sequence, or
    shapes that differ.

    >>> import flambeau as torch
    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])

    Source: https://pytorch.org/docs/stable/generated/torch.stack.html
    """
    check_sequence("stack", tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0]._type.shape
    for i, x in enumerate(tensors):
        if x._type.shape != first:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                               f"{list(x._type.shape)} at entry {i}")
    d = checked_dim(dim, len(first) + 1)
    if d == 0 and len(tensors) > 1 and len(first) == 1 and first[0]:  # one operation, not one for each tensor
        return reshape(cat(tensors), (len(tensors), *first))
    return cat([unsqueeze(x, d) for x in tensors], d)


def _some(name: str, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    check_sequence(name, tensors)
    if not tensors:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return tensors


@with_out_of(_JOINED)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the second dimension (the first for vectors)."""
    parts = [atleast_1d(x) for x in _some("hstack", tensors)]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


@with_out_of(_JOINED)
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the first dimension, vectors as rows."""
    return cat([atleast_2d(x) for x in _some("vstack", tensors)], 0)


row_stack = vstack


@with_out_of(_JOINED)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the third dimension, vectors as rows of one matrix."""
    return cat([atleast_3d(x) for x in _some("dstack", tensors)], 2)


@with_out_of(_JOINED)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Joined along the second dimension, vectors as columns.

    >>> import flambeau as torch
    >>> torch.column_stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return cat([reshape(x, (x.numel(), 1)) if x.ndim < 2 else x for x in _some("column_stack", tensors)], 1)
