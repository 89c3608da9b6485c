"""Dropout: https://pytorch.org/docs/stable/nn.functional.html#dropout-functions"""

from __future__ import annotations

from collections.abc import Callable

from ...tracer.functions.arithmetic import add, mul
from ...tracer.functions.methods import assign
from ...tracer.functions.operands import number_value, wrap
from ...tracer.functions.random import chance_value, generator_on
from ...tracer.ops import OPS
from ...tracer.ops.structural import Ints
from ...tracer.tensor.tensor import Tensor


def _checked(p: float) -> float:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def _kept(x: Tensor, p: float, shape: Ints) -> Tensor:
    """Bools, true with probability 1 - p, one for each element of `shape` and broadcast from there to x."""
    keep = chance_value(shape, 1 - p, x._device, generator_on(x._device))
    return wrap(keep).expand(x.shape)


def _dropped(x: Tensor, p: float, shape: Ints) -> Tensor:
    if not x.dtype.is_inexact:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {x.dtype.name}: dropout "
                           "requires floating-point or complex elements")
    if p == 1.0 or x.numel() == 0:
        return mul(x, 0.0)
    scaled = mul(x, 1 / (1 - p))._read()
    nothing = number_value(0, x.dtype, x._type.shape, x._device)
    return wrap(OPS["select"](_kept(x, p, shape)._read(), scaled, nothing))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """While training each element is 0 with probability p, else divided by 1 - p.

    Source: Hinton et al.: "Improving neural networks by preventing co-adaptation of feature detectors",
    https://arxiv.org/abs/1207.0580
    """
    if _checked(p) == 0.0 or not training:
        return input
    result = _dropped(input, p, input._type.shape)
    return assign(input, result) if inplace else result


def _by_channel(name: str, ndims: Ints, spatial: int) -> Callable[..., Tensor]:
    def function(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if input.ndim not in ndims:
            raise RuntimeError(f"{name} requires {' or '.join(map(str, ndims))} dimensions, got {input.ndim}")
        if _checked(p) == 0.0 or not training:
            return input
        lead = input._type.shape[:input.ndim - spatial]
        result = _dropped(input, p, (*lead, *(1,) * spatial))
        return assign(input, result) if inplace else result

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Dropout of whole channels: all their elements or none."
    return function


dropout1d = _by_channel("dropout1d", (2, 3), 1)
dropout2d = _by_channel("dropout2d", (3, 4), 2)
dropout3d = _by_channel("dropout3d", (4, 5), 3)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 after SELU: dropped elements take its negative limit.

    Source: Klambauer et al.: "Self-normalizing neural networks", https://arxiv.org/abs/1706.02515
    """
    return _alpha_dropped(input, p, training, inplace, input._type.shape)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout of whole channels (N, C, ...): all their elements or none."""
    if input.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return _alpha_dropped(input, p, training, inplace, (*input._type.shape[:2], *(1,) * (input.ndim - 2)))


def _alpha_dropped(input: Tensor, p: float, training: bool, inplace: bool, shape: Ints) -> Tensor:
    if _checked(p) == 0.0 or not training:
        return input
    if p == 1.0:
        return mul(input, 0.0)
    limit = -1.7580993408473766
    scale = ((1 - p) * (1 + p * limit**2)) ** -0.5
    keep = _kept(input, p, shape)
    result = add(mul(input.where(keep, limit), scale), -scale * limit * p)
    return assign(input, result) if inplace else result
