"""Normalisations that return their statistics too, and constant padding, under torch's low-level names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...tracer.functions.arithmetic import add, sub
from ...tracer.functions.dims import whole_list
from ...tracer.functions.methods import with_out
from ...tracer.functions.reduce import mean
from ...tracer.functions.unary import rsqrt, square
from ...tracer.tensor.tensor import Tensor
from .normalization import batch_norm_of_any_eps, group_norm_of_any_size, layer_norm
from .padding import pad as padded


def _statistics(x: Tensor, axes: Any, eps: float) -> tuple[Tensor, Tensor]:
    """The mean, and one over the root of the variance."""
    centre = mean(x, axes, True)
    return centre, rsqrt(add(mean(square(sub(x, centre)), axes, True), eps))


def _detached(statistics: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Statistics through which torch lets no gradient flow."""
    return statistics[0].detach(), statistics[1].detach()


def native_layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None,
                      eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, with the mean and one over the standard deviation."""
    shape = whole_list(normalized_shape, "normalized_shape")
    made = layer_norm(input, shape, weight, bias, eps)
    return made, *_detached(_statistics(input, tuple(range(input.ndim - len(shape), input.ndim)), eps))


def native_group_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int,
                      eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """`group_norm`, with the mean and one over the standard deviation of each group."""
    centre, scale = _statistics(input.reshape(N, group, C // group * HxW), 2, eps)
    return group_norm_of_any_size(input, group, weight, bias, eps), centre.reshape(N, group), scale.reshape(N, group)


@with_out
def native_batch_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
                      running_var: Tensor | None, training: bool, momentum: float, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """`batch_norm`, with the mean and one over the standard deviation of each channel; without them when not training."""
    made = batch_norm_of_any_eps(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return made, input.new_zeros(0), input.new_zeros(0)
    centre, scale = _detached(_statistics(input, (0, *range(2, input.ndim)), eps))
    return made, centre.reshape(-1), scale.reshape(-1)


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """`pad` with one number."""
    return padded(input, pad, "constant", value)
