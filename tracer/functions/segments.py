"""Reductions of consecutive segments of several lengths."""

from __future__ import annotations

import math
from typing import Any

from ..ir import dtypes
from ..tensor.tensor import Tensor
from .arithmetic import add, div, sub
from .checks import check_none
from .choosing import where
from .creation import zeros
from .cumulative import cumsum
from .ranges import arange
from .reduce import sum
from .refusals import not_implemented
from .scattering import scatter_add, scatter_reduce
from .shape import reshape, unsqueeze

# What reduces, and where it begins.
_KINDS = {"sum": ("sum", 0.0), "mean": ("sum", 0.0), "prod": ("prod", 1.0), "max": ("amax", -math.inf), "min": ("amin", math.inf)}


def segment_reduce(data: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None,
                   offsets: Tensor | None = None, axis: int = 0, unsafe: bool = False, initial: Any = None) -> Tensor:
    """Sums, means, products or extremes of consecutive segments along a dimension.

    Args: `data` (*, L, *); `reduce`, "sum", "mean", "prod", "max" or "min"; `lengths` (*, n) of the segments, or `offsets`
    (*, n + 1), where they begin and end; `axis`, the last dimension of these, along which segments lie; `initial`, what a
    segment begins with. Returns (*, n, *); an empty segment is what it began with, NaN for means that began with nothing.
    Raises RuntimeError for an unknown reduction, or without lengths and offsets.

    >>> import flambeau as torch
    >>> torch.segment_reduce(torch.tensor([1.0, 2.0, 3.0]), "sum", lengths=torch.tensor([1, 2]))
    tensor([1., 5.])

    Source: https://pytorch.org/docs/stable/generated/torch.segment_reduce.html
    """
    if reduce not in _KINDS:
        raise RuntimeError(f"segment_reduce(): reduce argument must be one of {', '.join(_KINDS)}, got {reduce}")
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    given: Any = lengths if offsets is None else offsets
    if axis % data.ndim != given.ndim - 1:
        raise RuntimeError("segment_reduce(): Expected axis to be the last dimension of lengths or offsets, got "
                           f"axis={axis} and {given.ndim} dimension(s)")
    if not data.dtype.is_floating_point:
        raise not_implemented("_segment_reduce_cpu", data.dtype)
    if lengths is not None and offsets is None and not unsafe:
        _check_lengths(lengths, data._type.shape[given.ndim - 1])
    counts = lengths if offsets is None else sub(offsets[..., 1:], offsets[..., :-1])
    starts = sub(cumsum(counts, -1), counts) if offsets is None else offsets[..., :-1]  # type: ignore[arg-type]
    return _reduced(data, reduce, counts, starts, given.ndim - 1, initial)  # type: ignore[arg-type]


def _check_lengths(lengths: Tensor, size: int) -> None:
    check_none("segment_reduce", lengths < 0, RuntimeError, "lengths contains negative value!", lengths, "{value}")
    total = sum(lengths, -1)
    check_none("segment_reduce", total != size, RuntimeError, "segment_reduce(): Expected all rows of lengths along axis to sum "
               "to data.size(lengths.dim()-1) when !unsafe.", total, f"{{value}} is not {size}")


def _reduced(data: Tensor, reduce: str, counts: Tensor, starts: Tensor, axis: int, initial: Any) -> Tensor:
    how, first = _KINDS[reduce]
    shape, n = data._type.shape, counts._type.shape[-1]
    lead, size, rest = math.prod(shape[:axis]), shape[axis], shape[axis + 1:]
    rows = reshape(data, (lead, size, -1))
    index = unsqueeze(_segment_of_each(reshape(starts, (lead, n)), reshape(counts, (lead, n)), size, n), -1).expand(rows.shape)
    begun = rows.new_full((lead, n + 1, rows._type.shape[-1]), first if initial is None else initial)
    made = scatter_reduce(begun, 1, index, rows, how)[:, :n]
    if reduce == "mean":
        length = reshape(counts, (lead, n, 1)).to(data.dtype)
        empty = math.nan if initial is None else initial
        made = where(length == 0, empty, div(made, where(length == 0, 1.0, length)))
    return reshape(made, (*shape[:axis], n, *rest))


def _segment_of_each(starts: Tensor, counts: Tensor, size: int, n: int) -> Tensor:
    """For each place the segment that it lies in; `n` where it lies in none."""
    marks = zeros(starts._type.shape[0], size + 1, dtype=dtypes.int64, device=starts.device)
    begun = cumsum(scatter_add(marks, 1, starts.to(dtypes.int64), marks.new_ones(starts.shape)), 1)[:, :size]
    ends = add(starts, counts)[:, -1:] if n else marks[:, :1]
    inside = arange(size, device=starts.device) < ends
    return where(inside & (begun > 0), begun - 1, n)
