"""Channels and pixels exchanged: https://pytorch.org/docs/stable/nn.functional.html#vision-functions"""

from __future__ import annotations

from ...tracer.functions.conversions import in_own_memory
from ...tracer.functions.dims import whole_number
from ...tracer.functions.layout import as_image, lies
from ...tracer.functions.operands import wrap
from ...tracer.functions.shape import permute, reshape, unflatten
from ...tracer.tensor.tensor import Tensor


def _check(name: str, input: Tensor, factor: int, what: str) -> None:
    if input.ndim < 3:
        raise RuntimeError(f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} "
                           "dimension(s)")
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {what}, but got {factor}")


@lies(as_image)
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels laid out as pixels: (*, C * r * r, H, W) to (*, C, H * r, W * r).

    y[c, h * r + i, w * r + j] = x[c * r * r + i * r + j, h, w]

    Args: `upscale_factor`, r. Raises RuntimeError for fewer than 3 dimensions, or channels that r * r does not divide.

    >>> import flambeau as torch
    >>> torch.nn.functional.pixel_shuffle(torch.arange(4.0).view(4, 1, 1), 2)
    tensor([[[0., 1.],
             [2., 3.]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.pixel_shuffle.html
    """
    r = whole_number(upscale_factor, "upscale_factor")
    _check("pixel_shuffle", input, r, "upscale_factor")
    *lead, channels, height, width = input._type.shape
    if channels % (r * r):
        raise RuntimeError("pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
                           f"upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}")
    n, c = len(lead), channels // (r * r)
    split = reshape(input, (*lead, c, r, r, height, width))
    mixed = permute(split, (*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return in_own_memory(reshape(mixed, (*lead, c, height * r, width * r)), input)


@lies(as_image)
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels laid out as channels: (*, C, H * r, W * r) to (*, C * r * r, H, W), the inverse of `pixel_shuffle`.

    y[c * r * r + i * r + j, h, w] = x[c, h * r + i, w * r + j]

    Args: `downscale_factor`, r. Raises RuntimeError for fewer than 3 dimensions, or sizes that r does not divide.

    >>> import flambeau as torch
    >>> torch.nn.functional.pixel_unshuffle(torch.arange(4.0).view(1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.pixel_unshuffle.html
    """
    r = whole_number(downscale_factor, "downscale_factor")
    _check("pixel_unshuffle", input, r, "downscale_factor")
    *lead, channels, height, width = input._type.shape
    for what, dim, size in (("height", -2, height), ("width", -1, width)):
        if size % r:
            raise RuntimeError(f"pixel_unshuffle expects {what} to be divisible by downscale_factor, but "
                               f"input.size({dim})={size} is not divisible by {r}")
    n = len(lead)
    split = reshape(input, (*lead, channels, height // r, r, width // r, r))
    mixed = permute(split, (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return in_own_memory(reshape(mixed, (*lead, channels * r * r, height // r, width // r)), input)


@lies(as_image)
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels dealt out, one of each group in turn: (N, C, *) with channel g * C / groups + i at place i * groups + g.

    Args: `groups`, which must divide C. Raises RuntimeError if it does not, or for fewer than 3 dimensions.

    >>> import flambeau as torch
    >>> torch.nn.functional.channel_shuffle(torch.arange(4.0).view(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])

    Source: Zhang et al.: "ShuffleNet", https://arxiv.org/abs/1707.01083;
    https://pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html
    """
    if input.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    groups = whole_number(groups, "groups")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    channels = input._type.shape[1]
    if channels % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {channels} channels and {groups} "
                           "groups.")
    split = unflatten(input, 1, (groups, channels // groups))
    return wrap(reshape(split.transpose(1, 2), input._type.shape)._read())


native_channel_shuffle = channel_shuffle
