"""The partial inverse of max pooling: https://pytorch.org/docs/stable/generated/torch.nn.functional.max_unpool2d.html"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ...tracer.functions.checks import check_range
from ...tracer.functions.dims import whole_list, whole_numbers
from ...tracer.functions.layout import as_image, in_pieces, in_rows, lies
from ...tracer.functions.methods import named
from ...tracer.functions.operands import number_value, scalar_name, wrap
from ...tracer.functions.refusals import FLOATING, require_kind
from ...tracer.functions.scattering import scatter
from ...tracer.functions.shape import reshape
from ...tracer.ir import dtypes
from ...tracer.ops.structural import Ints
from ...tracer.tensor.tensor import Tensor
from ..sizes import _ntuple
from .convolution import Sizes

Numbers = tuple[float, ...]


def _output_size(input: Tensor, kernel: Numbers, stride: Numbers, padding: Numbers, wanted: Any, rank: int) -> Ints:
    """The size that is asked for, if the pool could have made the input of it; else the smallest such size."""
    usual = list((n - 1) * s + k - 2 * p for n, k, s, p in zip(input._type.shape[-rank:], kernel, stride, padding))
    if wanted is None:
        return whole_list(usual, "output_size")
    wanted = whole_list(wanted, "output_size")
    if len(wanted) == rank + 2:
        wanted = wanted[2:]
    if len(wanted) != rank:
        raise ValueError(f"output_size should be a sequence containing {rank} or {rank + 2} elements, but it has a length of "
                         f"'{len(wanted)}'")
    for dim, (n, size, s) in enumerate(zip(wanted, usual, stride)):
        if not size - s < n < size + s:
            raise ValueError(f'invalid output_size "{wanted}" (dim {dim} must be between {size - s} and {size + s})')
    return wanted


def _max_unpool(name: str, rank: int) -> Callable[..., Any]:
    each = _ntuple(rank)  # any numbers, where `output_size` says how large the result is

    @lies(as_image if rank == 2 else in_rows)
    @named(name, f"""What `max_pool{rank}d` kept, back at its places; zeros elsewhere.

    Args: `input` (N, C, *) or (C, *); `indices`, the flat places that the pool returned; `kernel_size`, `stride` and
    `padding` of the pool; `output_size`, where the stride leaves the size open. Raises RuntimeError for a place outside.
    """)
    def function(input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0,
                 output_size: Sequence[int] | None = None) -> Tensor:
        kernel, paddings = each(kernel_size), each(padding)
        strides = kernel if stride is None else each(stride)
        if rank == 3:  # only here torch hands the steps on
            strides, paddings = whole_numbers(strides, "stride"), whole_numbers(paddings, "padding")
        sizes = _output_size(input, kernel, strides, paddings, output_size, rank)
        _check(input, indices, rank)
        require_kind(f"max_unpool{max(rank, 2)}d", input, FLOATING)
        return _unpooled(name, in_pieces(input), indices, sizes)

    return function


def _check(input: Tensor, indices: Tensor, rank: int) -> None:
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {scalar_name(indices.dtype)}")
    if input.ndim not in (rank + 1, rank + 2):
        least = max(rank, 2)
        raise RuntimeError(f"Input to max_unpooling{least}d should be a {least + 1}d or {least + 2}d Tensor, but got a tensor "
                           f"with {input.ndim} dimensions.")
    if indices._type.shape != input._type.shape:
        raise RuntimeError(f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got "
                           f"indices tensor with shape: {list(indices.shape)}")


def _unpooled(name: str, input: Tensor, indices: Tensor, sizes: Ints) -> Tensor:
    lead, size = input._type.shape[:-len(sizes)], math.prod(sizes)
    shown = "x".join(map(str, sizes if len(sizes) > 1 else (*sizes, 1)))
    check_range(name, indices, 0, size, RuntimeError,
                f"Found an invalid max index: {{value}} (output volumes are of size {shown})")
    zeros = wrap(number_value(0, input.dtype, (*lead, size), input._device))
    flat = (*lead, -1)
    return wrap(reshape(scatter(zeros, -1, reshape(indices, flat), reshape(input, flat)), (*lead, *sizes))._read())


max_unpool1d, max_unpool2d, max_unpool3d = (_max_unpool(f"max_unpool{rank}d", rank) for rank in (1, 2, 3))
