"""Sums of embeddings: https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding_bag.html"""

from __future__ import annotations

import math
from typing import Any

from ...tracer.functions.arithmetic import add, div, mul, sub
from ...tracer.functions.checks import check_none, check_range, first_of, known
from ...tracer.functions.choosing import clamp, where
from ...tracer.functions.cumulative import cumsum
from ...tracer.functions.dims import whole_place
from ...tracer.functions.linear import sums_of
from ...tracer.functions.operands import number_value, scalar_name, wrap
from ...tracer.functions.ranges import arange
from ...tracer.functions.reduce import sum
from ...tracer.functions.scattering import gather, index_add, scatter_reduce
from ...tracer.ir import dtypes
from ...tracer.ir.told import tell
from ...tracer.ops.indexing import take
from ...tracer.tensor.tensor import Tensor
from .linear import by_frequency, renormalize

MODES = ("sum", "mean", "max")


def embedding_bag(input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None,
                  norm_type: float = 2, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                  per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Tensor:
    """Sums, means or maxima of bags of rows: y[b] = sum over i in bag b of weight[x[i]].

    Args: `input`, integers (B, L), a bag in each row, or (L,) with `offsets` (B,), where each bag starts; `weight` (V, D);
    `max_norm`, rows that are read are first scaled down to this `norm_type`-norm; `scale_grad_by_freq`, divide gradients by
    how often a row was read; `mode`, "sum", "mean" or "max"; `sparse` is accepted, gradients are dense;
    `per_sample_weights`, factors in the shape of the input, for sums; `include_last_offset`, whether the last offset is
    the end of the last bag; `padding_idx`, a row that counts for nothing. Returns (B, D), zeros for empty bags.
    Raises ValueError or RuntimeError for arguments that do not go together.

    >>> import flambeau as torch
    >>> weight = torch.tensor([[1.0], [10.0], [100.0]])
    >>> torch.nn.functional.embedding_bag(torch.tensor([0, 2, 1]), weight, torch.tensor([0, 2]), mode="sum")
    tensor([[101.],
            [ 10.]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding_bag.html
    """
    if weight.dtype is dtypes.int64 and input.dtype.is_floating_point:
        tell("Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
             "deprecated, and should now be `embedding_bag(input, weight, ...)`.")
        input, weight = weight, input
    in_order = mode != "max" and padding_idx is None and weight.dtype is not dtypes.float64  # for which torch has a kernel
    _check_kinds(input, weight, offsets, mode, scale_grad_by_freq, sparse, per_sample_weights)
    if offsets is not None and in_order:
        _check_order(offsets)
    rows = weight._type.shape[0]
    if padding_idx is not None:
        padding_idx = whole_place(padding_idx, "padding_idx")
        if not -rows <= padding_idx < rows:
            raise RuntimeError(f"padding_idx must be within the number of embeddings, -{rows} through {rows - 1}, but got "
                               f"{padding_idx}")
        padding_idx %= rows
    check_range("embedding_bag", input, 0, rows, RuntimeError,
                f"Index of input takes value {{value}} which is not in the valid range [0, {rows})")
    if max_norm is not None:
        renormalize(weight, input, max_norm, norm_type)
    counts = None if padding_idx is None else input != padding_idx
    found = wrap(take(weight._read(), input._read(), 0))
    found = by_frequency(found, input, rows) if scale_grad_by_freq else found
    found = found.to(sums_of(found.dtype) or found.dtype)  # half types are summed in float32
    if per_sample_weights is not None:
        found = mul(found, per_sample_weights.unsqueeze(-1))
    if input.ndim == 2:
        return _rows(found, counts, mode).to(weight.dtype)
    assert offsets is not None
    bags = offsets._type.shape[0] - bool(include_last_offset)
    if bags < 0:
        raise RuntimeError("include_last_offset: number of offset should be at least 1")
    if include_last_offset and in_order:
        found = _before_end(found, offsets)
    return _pieces(found, counts, _bag_of_each(offsets, input._type.shape[0], bags), bags, mode).to(weight.dtype)


def _check_kinds(input: Tensor, weight: Tensor, offsets: Any, mode: str, by_freq: bool, sparse: bool,
                 factors: Tensor | None) -> None:
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError("Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
                           f"but got torch.{scalar_name(input.dtype)}Tensor instead (while checking arguments for "
                           "embedding_bag)")
    if factors is not None and factors._type.shape != input._type.shape:
        raise ValueError(f"embedding_bag: If per_sample_weights ({factors.shape}) is not None, then it must have the same "
                         f"shape as the input ({input.shape})")
    if weight.ndim != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    _check_offsets(input, offsets)
    if mode not in MODES:
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if factors is not None and mode != "sum":
        raise NotImplementedError("embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for "
                                  f"mode='sum' (got mode='{mode}'). Please open a feature request on GitHub.")
    if factors is not None and factors.dtype is not weight.dtype:
        raise RuntimeError("Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 "
                           f"'per_sample_weights'; but type torch.{scalar_name(weight.dtype)}Tensor does not equal "
                           f"torch.{scalar_name(factors.dtype)}Tensor (while checking arguments for embedding_bag)")


def _check_offsets(input: Tensor, offsets: Any) -> None:
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed "
                             f"length sequences. However, found offsets of type {type(offsets)}")
    elif input.ndim != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    elif not isinstance(offsets, Tensor):
        raise ValueError(f"offsets has to be a 1D Tensor but got {offsets}")
    elif offsets.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    else:
        _check_ends(offsets, input._type.shape[0])


_FIRST = ("offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got "
          "{value}\n[ torch.LongTensor{{}} ]")


def _check_ends(offsets: Tensor, length: int) -> None:
    there = known(offsets)
    if there is None and offsets._type.size:  # the program will find it
        first, last = offsets[0], offsets[-1]
        check_none("embedding_bag", first != 0, RuntimeError, _FIRST, first)
        check_none("embedding_bag", last > length, RuntimeError,
                   f"offsets[-1] can not be greater than input's length {length} but got offsets[-1] of {{value}}", last)
    if there is None or not there.size:
        return
    if there[0] != 0:
        raise first_of(RuntimeError(_FIRST.format(value=there[0])))
    if there[-1] > length:
        raise first_of(RuntimeError(f"offsets[-1] can not be greater than input's length {length} but got offsets[-1] of "
                                    f"{there[-1]}"))


_ORDER = "Expected i < index_size to be true, but got false.  (bags must follow each other: offsets may not decrease)"


def _check_order(offsets: Tensor) -> None:
    if offsets._type.shape[0] > 1:
        count = offsets._type.shape[0] - 1
        check_none("embedding_bag", offsets.narrow(0, 1, count) < offsets.narrow(0, 0, count), RuntimeError, _ORDER)


def _before_end(found: Tensor, offsets: Tensor) -> Tensor:
    """The rows up to the last offset, zeros behind it, which torch counts in means all the same."""
    there, length = known(offsets), found._type.shape[0]
    if there is not None and there[-1] == length:
        return found
    return where((arange(length, device=offsets.device) < offsets[-1]).unsqueeze(-1), found, 0.0)


def _bag_of_each(offsets: Tensor, length: int, bags: int) -> Tensor:
    """The number of the bag that each of `length` places is in: how many bags have started by then."""
    starts = wrap(number_value(0, dtypes.int64, (length + 1,), offsets._device))
    ones = wrap(number_value(1, dtypes.int64, (bags,), offsets._device))
    started = cumsum(index_add(starts, 0, offsets.narrow(0, 0, bags), ones), 0)
    return sub(started.narrow(0, 0, length), 1)


def _rows(found: Tensor, counts: Tensor | None, mode: str) -> Tensor:
    """Bags of one length, (B, L, D)."""
    if not found._type.shape[1]:
        return sum(found, 1)
    kept = None if counts is None else counts.unsqueeze(-1)
    if mode == "max":
        if kept is None:
            return found.max(1).values
        top = where(kept, found, -math.inf).max(1).values
        return where(kept.any(1), top, 0.0)
    total = sum(found if kept is None else where(kept, found, 0.0), 1)
    if mode == "sum":
        return total
    return div(total, found._type.shape[1] if kept is None else clamp(sum(kept, 1), min=1))


def _pieces(found: Tensor, counts: Tensor | None, bag: Tensor, bags: int, mode: str) -> Tensor:
    """Bags that follow each other in (L, D)."""
    zeros = wrap(number_value(0, found.dtype, (bags, found._type.shape[1]), found._device))
    if not bags or not found._type.shape[0]:
        return add(zeros, mul(sum(found), 0))
    kept = None if counts is None else counts.unsqueeze(-1)
    if mode == "max":
        return _largest(found, kept, bag, zeros)
    total = index_add(zeros, 0, bag, found if kept is None else where(kept, found, 0.0))
    if mode == "sum":
        return total
    each = bag.new_ones(bag.shape) if counts is None else counts.to(dtypes.int64)
    sizes = index_add(bag.new_zeros(bags), 0, bag, each)
    return div(total, clamp(sizes, min=1).unsqueeze(-1))


def _largest(found: Tensor, kept: Tensor | None, bag: Tensor, zeros: Tensor) -> Tensor:
    """The gradient goes to the first of equal ones, as in torch."""
    index = bag.unsqueeze(-1).expand(*found.shape)
    values = found if kept is None else where(kept, found, -math.inf)
    top = scatter_reduce(zeros, 0, index, values.detach(), "amax", include_self=False)
    numbers = found.new_ones(found._type.shape[0], dtype=dtypes.int64).cumsum(0).unsqueeze(-1) - 1
    last = found._type.shape[0]
    at = where(values.detach() == gather(top, 0, index), numbers, last)
    none = bag.new_full(zeros.shape, last)
    first = scatter_reduce(none, 0, index, at, "amin")
    chosen = gather(found, 0, clamp(first, max=last - 1))
    return where(first < last, chosen, 0.0)
