"""Turning, mirroring and moving round: https://pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.errors import no_dimensions
from ..ops.structural import reverse
from ..tensor.context import context
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from .dims import checked_dim, checked_dims, shape_argument, whole_list, whole_number, whole_numbers, whole_place
from .joining import cat
from .layout import as_image, as_input, lies
from .methods import method
from .operands import wrap
from .shape import ravel, reshape, transpose
from .slicing import block, sliced
from .spelling import spelled


@method()
@spelled
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A copy turned k times by 90 degrees in the plane of two dimensions, from the first towards the second.

    >>> import flambeau as torch
    >>> torch.rot90(torch.tensor([[0, 1], [2, 3]]))
    tensor([[1, 3],
            [0, 2]])
    """
    k, dims = whole_number(k, "k"), whole_list(dims, "dims")
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
@spelled
def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns (the second dimension) reversed."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@method()
@spelled
def flipud(input: Tensor) -> Tensor:
    """A copy with the rows (the first dimension) reversed."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@method()
@spelled
@lies(as_input)
def flip(input: Tensor, *chosen: Any, dims: Any = None) -> Tensor:
    """Dimensions reversed (a copy)."""
    if not chosen and dims is None:
        raise TypeError('flip() missing 1 required positional arguments: "dims"')
    axes = checked_dims(shape_argument(chosen, dims, "dims"), input.ndim)
    return wrap(reverse(input._read(), axes=axes if input.ndim else ()))


def _shifts(given: Any) -> tuple[Any, ...]:
    """The amounts as ints, but numbers of the traced function as they are."""
    if type(given) is Scalar:
        return (whole_place(given, "shifts"),)
    if isinstance(given, (tuple, list)) and any(type(x) is Scalar for x in given):
        return tuple(whole_place(x, "shifts") for x in given)
    return whole_numbers(given, "shifts")


@method()
@lies(as_image)
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved along dimensions, one after the other, those pushed out coming back on the other side."""
    amounts = _shifts(shifts)
    if not amounts:
        raise RuntimeError("`shifts` required")
    chosen = () if dims is None else whole_numbers(dims, "dims")
    if not chosen:
        return reshape(roll(ravel(input), amounts, 0), input.shape)
    if len(amounts) != len(chosen):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(amounts)}, dims:{len(chosen)}")
    for amount, given in zip(amounts, chosen):
        d = checked_dim(given, input.ndim)
        if not input.ndim:
            raise no_dimensions(given)
        size = input._type.shape[d]
        cut = -amount % size if size else 0
        if type(cut) is Scalar:
            input = wrap(block(cat([input, input], d), d, cut, size)._read())
        elif context.trace is None and not input.requires_grad:  # one program for all amounts: only the start is another
            input = wrap(sliced(cat([input, input], d), d, cut, cut + size)._read())
        else:
            input = cat([sliced(input, d, cut, size), sliced(input, d, 0, cut)], d)
    return input
