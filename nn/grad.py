"""Gradients of convolutions as functions: https://pytorch.org/docs/stable/nn.functional.html#convolution-functions"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tracer.functions.methods import named
from ..tracer.tensor.tensor import Tensor
from ..tracer.transforms.reverse import vjp
from . import functional as F

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def _input(name: str, conv: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @named(name, f"The gradient of `{conv.__name__}` with respect to its input, of the size `input_size`.")
    def function(input_size: Sequence[int], weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1) -> Tensor:
        pull = vjp(lambda x: conv(x, weight, None, stride, padding, dilation, groups), weight.new_zeros(tuple(input_size)))[1]
        return pull(grad_output)[0]

    return function


def _weight(name: str, conv: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @named(name, f"The gradient of `{conv.__name__}` with respect to its weight, of the size `weight_size`.")
    def function(input: Tensor, weight_size: Sequence[int], grad_output: Tensor, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1) -> Tensor:
        pull = vjp(lambda w: conv(input, w, None, stride, padding, dilation, groups), input.new_zeros(tuple(weight_size)))[1]
        return pull(grad_output)[0]

    return function


conv1d_input, conv2d_input, conv3d_input = (_input(f"{conv.__name__}_input", conv) for conv in (F.conv1d, F.conv2d, F.conv3d))
conv1d_weight, conv2d_weight, conv3d_weight = (
    _weight(f"{conv.__name__}_weight", conv) for conv in (F.conv1d, F.conv2d, F.conv3d))
