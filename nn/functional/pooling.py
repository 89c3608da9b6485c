"""Pooling: https://pytorch.org/docs/stable/nn.functional.html#pooling-functions"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...tracer.functions.arithmetic import div, mul, pow, power_of_size
from ...tracer.functions.creation import tensor as make_tensor
from ...tracer.functions.dims import whole_place
from ...tracer.functions.layout import as_images, in_pieces, in_rows, laid_out_by, lies
from ...tracer.functions.methods import EXACT, named, with_out_of
from ...tracer.functions.operands import wrap
from ...tracer.functions.refusals import FLOATING, REAL, require_kind
from ...tracer.functions.unary import abs as absolute
from ...tracer.functions.unary import neg, sign
from ...tracer.ir import dtypes
from ...tracer.ir.state import state
from ...tracer.ops import structural as ops
from ...tracer.ops.convolution import Pairs, dilated
from ...tracer.ops.window import Slide, reduce_window, select_and_gather
from ...tracer.tensor.scalar import real
from ...tracer.tensor.tensor import Tensor
from .activation import relu
from .convolution import Sizes, spread
from .pooling_checks import check_dims, check_empty, check_padding, check_result, check_steps


def _output_size(n: int, k: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit; with ceil_mode also one that hangs over, if it starts inside."""
    room = n + 2 * pad - dilated(k, dilation)
    size = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (size - 1) * stride >= n + pad:
        size -= 1
    return size


class _Window:
    """The windows of a pool: sizes per spatial axis, and the slide that walks over the whole input."""

    def __init__(self, name: str, input: Tensor, rank: int, kernel_size: Sizes, stride: Any, padding: Sizes, dilation: Sizes,
                 ceil_mode: bool, indices: bool = False) -> None:
        check_dims(name, rank, input, indices)
        self.kernel = spread(kernel_size, rank, "kernel_size")
        none = stride is None or (isinstance(stride, (tuple, list)) and not stride)
        self.stride = self.kernel if none else spread(stride, rank, "stride")
        self.padding, self.dilation = spread(padding, rank, "padding"), spread(dilation, rank, "dilation")
        self.rank, self.sizes = rank, input._type.shape[-rank:]
        check_steps(name, indices, self.kernel, self.stride, self.padding, self.dilation)
        check_empty(name, rank, input)
        check_padding(self.kernel, self.padding)
        self.out = tuple(_output_size(n, k, s, p, d, ceil_mode) for n, k, s, p, d in zip(
            self.sizes, self.kernel, self.stride, self.padding, self.dilation))
        check_result(name, indices, input, self.kernel, self.sizes, self.out)

    def slide(self) -> Slide:
        """Over (N, C, *space); the high padding is the low one, or more where the last window hangs over."""
        pairs: Pairs = tuple((p, max(p, (o - 1) * s + dilated(k, d) - n - p)) for n, o, k, s, p, d in zip(
            self.sizes, self.out, self.kernel, self.stride, self.padding, self.dilation))
        return Slide((1, 1, *self.kernel), (1, 1, *self.stride), ((0, 0), (0, 0), *pairs), (1,) * (self.rank + 2),
                     (1, 1, *self.dilation))

    def counts(self, include_pad: bool) -> Any:
        """How many elements (with `include_pad` also zeros of the padding) each window averages."""
        total = np.ones(self.out)
        for axis, (n, o, k, s, p) in enumerate(zip(self.sizes, self.out, self.kernel, self.stride, self.padding)):
            start = np.arange(o) * s - p
            end = np.minimum(start + k, n + p)
            inside = end - start if include_pad else np.minimum(end, n) - np.maximum(start, 0)
            total = total * inside.reshape([-1 if i == axis else 1 for i in range(self.rank)])
        return total


def _pooled(input: Tensor, window: _Window, kind: str) -> Tensor:
    alone, x = input.ndim == window.rank + 1, in_pieces(input)
    x = x.unsqueeze(0) if alone else x
    result = wrap(reduce_window(x._read(), kind=kind, **window.slide()._asdict()))
    return result.squeeze(0) if alone else result


# --- Max --------------------------------------------------------------------------------------------------------------


def _max_pool(name: str, rank: int) -> Callable[..., Any]:
    @named(name, f"The largest element of each window over {rank} dimensions; the stride is the "
                 "kernel size by default. `return_indices` adds their flat places in the input.")
    def function(input: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, dilation: Sizes = 1,
                 ceil_mode: bool = False, return_indices: bool = False) -> Any:
        window = _Window(name, input, rank, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        require_kind("max_pool1d_impl" if rank == 1 else name if rank == 2 else "max_pool3d_cpu", input,
                     FLOATING if rank == 1 and not return_indices else REAL)
        # torch has another kernel for maxima of sequences of which neither a gradient nor places are asked
        rule = as_images(rank) if rank > 1 or return_indices or (state.grad and input.requires_grad) else in_rows
        result = laid_out_by(rule, _pooled(input, window, "max"), input)
        return (result, laid_out_by(rule, _places(input, window), input)) if return_indices else result

    return function


def _places(input: Tensor, window: _Window) -> Tensor:
    """Where in its plane each window's largest element is."""
    x = input.unsqueeze(0) if input.ndim == window.rank + 1 else input
    size = math.prod(window.sizes)
    numbers = ops.iota.on(x._device, shape=(size,), axis=0, dtype=dtypes.int64)
    numbers = ops.reshape(numbers, shape=window.sizes)
    numbers = ops.broadcast(numbers, shape=x._type.shape, dims=tuple(range(2, x.ndim)))
    found = wrap(select_and_gather(x.detach()._read(), numbers, kind="max", **window.slide()._asdict()))
    return found.squeeze(0) if x is not input else found


def _with_indices(name: str, pool: Callable[..., Any]) -> Callable[..., Any]:
    @named(name, f"`{pool.__name__}` with `return_indices`.")
    def function(input: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, dilation: Sizes = 1,
                 ceil_mode: bool = False, return_indices: bool = False) -> tuple[Tensor, Tensor]:
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    return function


max_pool1d, max_pool2d, max_pool3d = (_max_pool(f"max_pool{rank}d", rank) for rank in (1, 2, 3))
max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = (
    _with_indices(f"{pool.__name__}_with_indices", pool) for pool in (max_pool1d, max_pool2d, max_pool3d))


# --- Average ----------------------------------------------------------------------------------------------------------


def _shared(total: Tensor, count: Any) -> Tensor:
    """total / count; whole numbers stay whole."""
    if total.dtype.is_inexact:
        return div(total, count)
    return div(total, count, rounding_mode="trunc")


def _avg_pool(name: str, rank: int) -> Callable[..., Any]:
    @lies(in_rows if rank == 3 else as_images(rank))
    @named(name, f"The mean of each window over {rank} dimensions; `count_include_pad` counts the "
                 "zeros of the padding too.")
    def function(input: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
        window = _Window(name, input, rank, kernel_size, stride, padding, 1, ceil_mode)
        require_kind("avg_pool3d_out_frame" if rank == 3 else "avg_pool2d", input, FLOATING | {dtypes.int64})
        total = _pooled(input, window, "add")
        if divisor_override is not None:
            divisor_override = whole_place(divisor_override, "divisor_override")
            if divisor_override == 0:
                raise RuntimeError("divisor must be not zero")
            return _shared(total, divisor_override)
        counts = window.counts(count_include_pad)
        if (counts == counts.flat[0]).all():
            return _shared(total, int(counts.flat[0]))
        return _shared(total, make_tensor(counts, dtype=input.dtype, device=input.device))

    return with_out_of(EXACT)(function) if rank > 1 else function


avg_pool1d, avg_pool2d, avg_pool3d = (_avg_pool(f"avg_pool{rank}d", rank) for rank in (1, 2, 3))


def _lp_pool(name: str, rank: int) -> Callable[..., Any]:
    @named(name, f"""The p-norm of each window over {rank} dimensions: (sum of x ** p) ** (1 / p).

    A window that `ceil_mode` lets hang over counts as if all of it were like the part inside, as in torch.
    """)
    def function(input: Tensor, norm_type: float, kernel_size: Sizes, stride: Any = None, ceil_mode: bool = False) -> Tensor:
        if norm_type in (math.inf, -math.inf):
            size = absolute(input)
            if norm_type > 0:
                return MAXIMA[rank](size, kernel_size, stride, 0, 1, ceil_mode)
            return neg(MAXIMA[rank](neg(size), kernel_size, stride, 0, 1, ceil_mode))
        mean_power = AVERAGES[rank](pow(input, real(norm_type)), kernel_size, stride, 0, ceil_mode)
        total = mul(mul(sign(mean_power), relu(absolute(mean_power))), math.prod(spread(kernel_size, rank, "kernel_size")))
        return power_of_size(total, 1.0 / norm_type)

    return function


MAXIMA = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}
AVERAGES = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}
lp_pool1d, lp_pool2d, lp_pool3d = (_lp_pool(f"lp_pool{rank}d", rank) for rank in (1, 2, 3))
