"""Elements repeated in place, all alike or each as often as a tensor says."""

from __future__ import annotations

from typing import Any

from ..ir import dtypes
from ..ir.errors import no_dimensions
from ..ops import structural as ops
from ..tensor.tensor import Tensor
from .checks import check_none
from .creation import zeros
from .cumulative import cumsum
from .dims import checked_dim, whole_number
from .methods import method
from .operands import wrap
from .scattering import index_add, index_select
from .shape import expand, ravel
from .spelling import spelled


@method()
@spelled
def repeat_interleave(input: Tensor | None = None, repeats: Any = None, dim: int | None = None, *,
                      output_size: int | None = None) -> Tensor:
    """Each element, or slice along `dim`, repeated in place.

    Args: `input` (*), which is flat without a `dim`; `repeats`, how often: an int, or integers, one or as many as there are
    slices; `output_size`, their sum: without it, the values of a tensor of `repeats` are read. A tensor alone is taken for
    `repeats`, and what is repeated are positions. Raises RuntimeError for negative repeats, and where there are too few.

    >>> import flambeau as torch
    >>> torch.repeat_interleave(torch.tensor([5, 7, 9]), torch.tensor([2, 0, 1]))
    tensor([5, 5, 9])
    >>> torch.repeat_interleave(torch.tensor([2, 0, 1]))
    tensor([0, 0, 2])

    Source: https://pytorch.org/docs/stable/generated/torch.repeat_interleave.html
    """
    if input is None or repeats is None:
        return _positions(_checked(input if repeats is None else repeats), output_size)
    x = ravel(input) if dim is None else input
    axis = checked_dim(0 if dim is None else dim, x.ndim)
    if not x.ndim:
        raise no_dimensions(dim)
    output_size = None if output_size is None else whole_number(output_size, "output_size")
    if not isinstance(repeats, Tensor):
        return _evenly(x, whole_number(repeats, "repeats"), axis, output_size)
    size, repeats = x._type.shape[axis], _checked(repeats)
    if repeats.numel() == 1:
        repeats = expand(ravel(repeats), (size,))
    if repeats._type.shape[0] != size:
        raise RuntimeError(f"repeats must have the same size as input along dim, but got repeats.size(0) = "
                           f"{repeats._type.shape[0]} and input.size({axis}) = {size}")
    return index_select(x, axis, _positions(repeats, output_size))


def _evenly(x: Tensor, times: int, d: int, output_size: int | None) -> Tensor:
    shape = x._type.shape
    if times < 0:
        raise RuntimeError("Repeats must be non-negative")
    if output_size is not None and output_size != shape[d] * times:
        raise RuntimeError("repeat_interleave: Invalid output_size, expected "
                           f"{shape[d] * times} but got {output_size}")
    spread = (*shape[:d + 1], times, *shape[d + 1:])
    dims = (*range(d + 1), *range(d + 2, len(spread)))
    value = ops.broadcast(x._read(), shape=spread, dims=dims)
    return wrap(ops.reshape(value, shape=(*shape[:d], shape[d] * times, *shape[d + 1:])))


def _checked(repeats: Any) -> Tensor:
    if repeats.ndim > 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if repeats.dtype not in (dtypes.int32, dtypes.int64):
        raise RuntimeError("repeats has to be Long or Int tensor")
    return repeats


def _positions(repeats: Tensor, size: int | None) -> Tensor:
    """At each place of the result the slice that stands there: how many slices have ended before it."""
    if repeats.ndim == 0:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    check_none("repeat_interleave", repeats < 0, RuntimeError, "repeats can not be negative")
    ends = cumsum(repeats, 0)
    total = (int(ends[-1]) if repeats.numel() else 0) if size is None else size
    marks = zeros(total + 1, dtype=dtypes.int64, device=repeats.device)
    ended = cumsum(index_add(marks, 0, ends.clamp(max=total), repeats.new_ones(repeats.shape, dtype=dtypes.int64)), 0)
    return ended[:total].to(repeats.dtype)
