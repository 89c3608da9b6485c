"""Normalisation: https://pytorch.org/docs/stable/nn.functional.html#normalization-functions"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...tracer.autograd.modes import no_grad
from ...tracer.functions.arithmetic import add, div, mul, sub
from ...tracer.functions.dims import checked_dim, whole_list, whole_number
from ...tracer.functions.joining import cat
from ...tracer.functions.layout import as_image, in_pieces, in_rows, lies
from ...tracer.functions.operands import number_value, wrap
from ...tracer.functions.precision import rounded_once
from ...tracer.functions.reduce import mean, sum
from ...tracer.functions.refusals import FLOATING, INEXACT, refuse_gradients, require_kind
from ...tracer.functions.spelling import spelled
from ...tracer.functions.unary import rsqrt, square
from ...tracer.ir import dtypes
from ...tracer.ops.structural import reshape
from ...tracer.tensor.tensor import Tensor


def _wide(x: Tensor) -> Tensor:
    """Half-precision input in float32: statistics of it would lose their digits."""
    return x.to(dtypes.float32) if x.dtype.is_floating_point and x.dtype.itemsize < 4 else x


def _centred(x: Tensor, axes: Any, eps: float) -> Tensor:
    """(x - mean) / sqrt(variance + eps) over `axes`."""
    centred = sub(x, mean(x, axes, True))
    return mul(centred, rsqrt(add(mean(square(centred), axes, True), eps)))


def _beside(bias: Tensor | None, *others: Tensor | None) -> Tensor | None:
    """The bias, as an argument of one function with the others."""
    return None if bias is None else in_pieces(bias, *others)


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else mul(x, weight)
    return x if bias is None else add(x, bias)


def _trailing(name: str, input: Tensor, normalized_shape: Sequence[int], *others: Tensor | None) -> tuple[int, ...]:
    """The last axes, which must have the normalized shape."""
    shape = whole_list(normalized_shape, "normalized_shape")
    if not shape:
        raise RuntimeError(f"Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
                           f"element, but got normalized_shape = {list(shape)}")
    for what, other in zip(("weight", "bias"), others):
        if other is not None and other._type.shape != shape:
            raise RuntimeError(f"Expected {what} to be of same shape as normalized_shape, but got {what} of shape "
                               f"{list(other.shape)} and normalized_shape = {list(shape)}")
    if name == "rms_norm" and input.ndim < len(shape):
        raise ValueError(f"Input tensor must have at least {len(shape)} dimensions, but got {input.ndim}")
    if input._type.shape[-len(shape):] != shape:
        raise RuntimeError(f"Given normalized_shape={list(shape)}, expected input with shape [*{', ' * (name != 'rms_norm')}"
                           f"{', '.join(map(str, shape))}], but got input of size{list(input.shape)}")
    return tuple(range(input.ndim - len(shape), input.ndim))


@lies(in_rows)
def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the last dimensions.

    Source: Ba, Kiros, Hinton: "Layer normalization", https://arxiv.org/abs/1607.06450
    """
    axes = _trailing("layer_norm", input, normalized_shape, weight, bias)
    require_kind("LayerNormKernelImpl", input)
    return _scaled(_centred(_wide(input), axes, eps), weight, _beside(bias, input, weight)).to(input.dtype)


@lies(in_rows)
def rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
             eps: float | None = None) -> Tensor:
    """x / sqrt(mean(x * x) + eps) * weight, over the last dimensions; eps is the type's by default.

    Source: Zhang, Sennrich: "Root mean square layer normalization", https://arxiv.org/abs/1910.07467
    """
    axes = _trailing("rms_norm", input, normalized_shape, weight)
    require_kind("rms_norm", input, INEXACT)
    x = _wide(input)
    eps = dtypes.finfo(x.dtype).eps if eps is None else eps
    return _scaled(mul(x, rsqrt(add(mean(square(x), axes, True), eps))), weight, None).to(input.dtype)


def _require_several(size: Sequence[int]) -> None:
    """torch's ValueError for one value per channel (dimension 1), of which there is no variance."""
    if math.prod(n for i, n in enumerate(size) if i != 1) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {size}")


def _per_channel(x: Tensor | None, ndim: int) -> Tensor | None:
    """A vector of channels, shaped to go along dimension 1."""
    return None if x is None else x.reshape(-1, *(1,) * (ndim - 2))


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-5) -> Tensor:
    """Normalised over each sample's groups of channels, then scaled per channel.

    Source: Wu, He: "Group normalization", https://arxiv.org/abs/1803.08494
    """
    if input.ndim > 1:
        batch, channels, *spatial = input._type.shape
        _require_several([batch * channels // num_groups, num_groups, *spatial])
    return group_norm_of_any_size(input, num_groups, weight, bias, eps)


@lies(as_image)
def group_norm_of_any_size(input: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    if input.ndim < 2:
        raise RuntimeError("Expected at least 2 dimensions for input tensor but received " + str(input.ndim))
    batch, channels, *spatial = input._type.shape
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if channels % num_groups:
        raise RuntimeError(f"Expected number of channels in input to be divisible by num_groups, but got input of "
                           f"shape {list(input.shape)} and num_groups={num_groups}")
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector._type.shape != (channels,):
            raise RuntimeError(f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} "
                               f"of shape {list(vector.shape)} and input of shape {list(input.shape)}")
    require_kind("GroupNormKernelImpl", input)
    x = _wide(input).reshape(batch, num_groups, channels // num_groups * math.prod(spatial))
    x = wrap(reshape(_centred(x, 2, eps)._read(), shape=input._type.shape))
    return _scaled(x, _per_channel(weight, input.ndim), _per_channel(bias, input.ndim)).to(input.dtype)


def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
               bias: Tensor | None = None, training: bool = False, momentum: Any = 0.1, eps: float = 1e-5) -> Tensor:
    """Normalised per channel (dimension 1): over batch and space while training, by the running statistics else.

    Training updates the running statistics in place: running += momentum * (new - running), with the unbiased variance.
    Source: Ioffe, Szegedy: "Batch normalization", https://arxiv.org/abs/1502.03167
    """
    if training:
        _require_several(input.shape)
    if eps <= 0.0 if training else eps < 0.0:
        raise ValueError(f"batch_norm eps must be {'positive during training' if training else 'non-negative'}, but got {eps}")
    return batch_norm_of_any_eps(input, running_mean, running_var, weight, bias, training, momentum, eps)


@lies(as_image)
def batch_norm_of_any_eps(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
                          bias: Tensor | None, training: bool, momentum: Any, eps: float) -> Tensor:
    axes = (0, *range(2, input.ndim))
    count = math.prod(input._type.shape[a] for a in axes)
    x = _wide(input)
    if not input.numel():  # torch looks at no channel then, not even whether there are any, and learns nothing
        return _scaled(input.clone(), *(None if x is None else x.select(0, 0) for x in (weight, bias)))
    if not training:
        _check_defined(running_mean=running_mean, running_var=running_var)
    _check_channels(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    refuse_gradients("native_batch_norm", running_mean=running_mean, running_var=running_var)
    require_kind("batch_norm", input)
    if training:
        centre = mean(x, axes, True)
        centred = sub(x, centre)
        spread = mean(square(centred), axes, True)
        _update(running_mean, centre, momentum)
        _update(running_var, spread, momentum, count / (count - 1) if count > 1 else math.inf)
    else:
        centred = sub(x, _per_channel(running_mean, input.ndim))  # type: ignore[arg-type]
        spread = _per_channel(running_var, input.ndim)  # type: ignore[assignment]
    x, bias = mul(centred, rsqrt(add(spread, eps))), _beside(bias, input, weight)
    return _scaled(x, _per_channel(weight, input.ndim), _per_channel(bias, input.ndim)).to(input.dtype)


def _check_defined(**running: Tensor | None) -> None:
    for name, x in running.items():
        if x is None:
            raise RuntimeError(f"{name} must be defined in evaluation mode")


def _check_channels(input: Tensor, **given: Tensor | None) -> None:
    """torch's RuntimeError for statistics, weights or biases that are not one for each channel; IndexError without channels."""
    channels = input._type.shape[1] if input.ndim > 1 else 0
    for name, x in given.items():
        if x is not None and x.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {x.numel()}")
    checked_dim(1, input.ndim)


def _update(running: Tensor | None, new: Tensor, momentum: Any, factor: float = 1.0) -> None:
    if running is not None:
        with no_grad():
            new = new.detach().reshape(-1)
            new = new if factor == 1.0 else mul(new, factor)
            running.copy_(add(running, mul(sub(new, running), momentum)))


@spelled
def instance_norm(input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
                  weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """Normalised over the space of each channel of each sample.

    Source: Ulyanov, Vedaldi, Lempitsky: "Instance normalization", https://arxiv.org/abs/1607.08022
    """
    if use_input_stats and math.prod(input._type.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    return instance_norm_of_any_size(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


@lies(in_rows)
def instance_norm_of_any_size(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
                              bias: Tensor | None, use_input_stats: bool, momentum: Any, eps: float) -> Tensor:
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    batch, channels = input.size(0), input.size(1)
    new_mean, new_var, weight, bias = (None if x is None else x.repeat(batch) for x in (running_mean, running_var, weight, bias))
    made = batch_norm_of_any_eps(input.reshape(1, batch * channels, *input.shape[2:]), new_mean, new_var, weight, bias,
                                 use_input_stats, momentum, eps)
    for running, new in ((running_mean, new_mean), (running_var, new_var)):
        if use_input_stats and running is not None and new is not None:
            with no_grad():
                running.copy_(mean(new.view(batch, channels), 0))
    return made.reshape(input.shape)


@rounded_once
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of squares of `size` neighbouring channels) ** beta."""
    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if input.numel() == 0:
        return input
    require_kind("avg_pool2d", input, FLOATING | {dtypes.int64})
    size = whole_number(size, "size")
    if size < 1:
        window = f"kH: {size} kW: 1" if input.ndim == 3 else f"kT: {size} kH: 1 kW: 1"  # of the pooling that torch does it by
        raise RuntimeError(f"kernel size should be greater than zero, but got {window}")
    before, after = size // 2, (size - 1) // 2
    squares, shape = square(input), input._type.shape
    edges = [wrap(number_value(0, input.dtype, (shape[0], n, *shape[2:]), input._device)) for n in (before, after)]
    total = sum(cat([edges[0], squares, edges[1]], 1).unfold(1, size, 1), -1)
    mean_square = div(total, size) if total.dtype.is_inexact else div(total, size, rounding_mode="trunc")
    return div(input, add(mul(mean_square, alpha), k).pow(beta))
