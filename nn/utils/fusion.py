"""A normalisation folded into the layer before it: https://pytorch.org/docs/stable/nn.html#utilities"""

from __future__ import annotations

import copy
from typing import Any

from ...tracer.functions.arithmetic import add, mul, sub
from ...tracer.functions.creation import ones_like, zeros_like
from ...tracer.functions.unary import rsqrt
from ...tracer.tensor.tensor import Tensor
from ..module import Module
from ..parameter import Parameter


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what `conv` and then `bn` do in evaluation.

    weight' = weight * s, bias' = (bias - mean) * s + shift, with s = scale / sqrt(var + eps)

    Args: both modules, in evaluation; `transpose`, whether the convolution is a transposed one. Returns a new module.
    Raises AssertionError for modules in training.

    >>> import flambeau as torch
    >>> conv, bn = torch.nn.Conv2d(3, 4, 1).eval(), torch.nn.BatchNorm2d(4).eval()
    >>> x = torch.ones(1, 3, 2, 2)
    >>> torch.nn.utils.fuse_conv_bn_eval(conv, bn)(x).allclose(bn(conv(x)), atol=1e-6)
    True

    Source: https://pytorch.org/docs/stable/generated/torch.nn.utils.fuse_conv_bn_eval.html
    """
    _check_eval(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps,
                                                    bn.weight, bn.bias, transpose)
    return fused


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A linear layer that does what `linear` and then `bn` do in evaluation. AssertionError for sizes that do not fit.

    >>> import flambeau as torch
    >>> linear, bn = torch.nn.Linear(3, 4).eval(), torch.nn.BatchNorm1d(4).eval()
    >>> x = torch.ones(2, 3)
    >>> torch.nn.utils.fuse_linear_bn_eval(linear, bn)(x).allclose(bn(linear(x)), atol=1e-6)
    True

    Source: https://pytorch.org/docs/stable/generated/torch.nn.utils.fuse_linear_bn_eval.html
    """
    _check_eval(linear, bn)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps,
                                                      bn.weight, bn.bias)
    return fused


def _check_eval(*modules: Module) -> None:
    if any(module.training for module in modules):
        raise AssertionError("Fusion only for eval!")


def fuse_conv_bn_weights(conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                         bn_w: Tensor | None, bn_b: Tensor | None, transpose: bool = False) -> tuple[Parameter, Parameter]:
    """Weight and bias of the convolution that both make."""
    shape = (1, -1) if transpose else (-1, 1)
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (*shape, *(1,) * (conv_w.ndim - 2)))


def fuse_linear_bn_weights(linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
                           bn_w: Tensor, bn_b: Tensor) -> tuple[Parameter, Parameter]:
    """Weight and bias of the linear layer that both make."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (-1, 1))


def _fused(weight: Tensor, bias: Tensor | None, centre: Tensor, spread: Tensor, eps: float, scale: Tensor | None,
           shift: Tensor | None, shape: tuple[int, ...]) -> tuple[Parameter, Parameter]:
    bias = zeros_like(centre) if bias is None else bias
    scale = ones_like(centre) if scale is None else scale
    shift = zeros_like(centre) if shift is None else shift
    factor = mul(scale, rsqrt(add(spread, eps)))
    made = mul(weight, factor.reshape(shape)), add(mul(sub(bias, centre), factor), shift)
    return (Parameter(made[0].detach().to(weight.dtype), weight.requires_grad),
            Parameter(made[1].detach().to(bias.dtype), bias.requires_grad))
