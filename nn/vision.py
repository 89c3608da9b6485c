"""Layers that move pixels: https://pytorch.org/docs/stable/nn.html#vision-layers"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module

Size = int | Sequence[int] | None
Scale = float | Sequence[float] | None


class PixelShuffle(Module):
    """Lays channels out as pixels, so that a convolution before it makes larger images.

    y[c, h * r + i, w * r + j] = x[c * r * r + i * r + j, h, w]

    Args: `upscale_factor`, r. Takes (*, C * r * r, H, W), returns (*, C, H * r, W * r). RuntimeError for channels that r * r
    does not divide.

    >>> import flambeau as torch
    >>> torch.nn.PixelShuffle(2)(torch.ones(1, 8, 3, 3)).shape
    torch.Size([1, 2, 6, 6])

    Source: Shi et al.: "Real-time single image and video super-resolution", https://arxiv.org/abs/1609.05158;
    https://pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(*, C * r * r, H, W) to (*, C, H * r, W * r)."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Lays pixels out as channels, the inverse of `PixelShuffle`.

    y[c * r * r + i * r + j, h, w] = x[c, h * r + i, w * r + j]

    Args: `downscale_factor`, r. Takes (*, C, H * r, W * r), returns (*, C * r * r, H, W). RuntimeError for sizes that r does
    not divide.

    >>> import flambeau as torch
    >>> torch.nn.PixelUnshuffle(2)(torch.ones(1, 2, 6, 6)).shape
    torch.Size([1, 8, 3, 3])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(*, C, H * r, W * r) to (*, C * r * r, H, W)."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Deals channels out, one of each group in turn, so that grouped convolutions hear of each other.

    Args: `groups`, into which the channels are parted. Takes and returns (N, C, *). RuntimeError if it does not divide C.

    >>> import flambeau as torch
    >>> torch.nn.ChannelShuffle(2)(torch.arange(4.0).view(1, 4, 1)).flatten()
    tensor([0., 2., 1., 3.])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """The shape stays."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class Unfold(Module):
    """Lays each window of images out as a column, as a convolution reads them.

    Args: ints or (height, width): `kernel_size`, of a window; `dilation`, pixels between its elements; `padding`, zeros at
    all sides; `stride`, pixels between windows. Takes (N, C, H, W), returns (N, C * kernel elements, windows).

    >>> import flambeau as torch
    >>> torch.nn.Unfold((2, 3))(torch.ones(2, 5, 3, 4)).shape
    torch.Size([2, 30, 4])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Unfold.html
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C * kernel elements, windows)."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
                f"stride={self.stride}")


class Fold(Module):
    """Adds columns up where their windows lie, the transpose of `Unfold`.

    Args: `output_size`, (H, W) of the images; the rest as for `Unfold`. Takes (N, C * kernel elements, windows), returns
    (N, C, H, W). RuntimeError if the columns are not as many as the windows.

    >>> import flambeau as torch
    >>> torch.nn.Fold((4, 5), (2, 2))(torch.ones(1, 12, 12)).shape
    torch.Size([1, 3, 4, 5])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Fold.html
    """

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """(N, C * kernel elements, windows) to (N, C, H, W)."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
                f"padding={self.padding}, stride={self.stride}")


class Upsample(Module):
    """Makes sequences, images or volumes larger, or smaller, by interpolation.

    Args: `size` of the output or `scale_factor`, each one for all dimensions or one for each; `mode`, "nearest", "linear",
    "bilinear", "bicubic" or "trilinear"; `align_corners`, whether the centres of the corner pixels stay where they are;
    `recompute_scale_factor`, whether the factor is that of the rounded size. Takes (N, C, *), returns (N, C, *size).

    >>> import flambeau as torch
    >>> torch.nn.Upsample(scale_factor=2)(torch.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Upsample.html
    """

    def __init__(self, size: Size = None, scale_factor: Scale = None, mode: str = "nearest",
                 align_corners: bool | None = None, recompute_scale_factor: bool | None = None) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor: Any = tuple(map(float, scale_factor)) if isinstance(scale_factor, tuple) else (
            float(scale_factor) if scale_factor else None)  # type: ignore[arg-type]
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to (N, C, *size)."""
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners,
                             self.recompute_scale_factor)

    def extra_repr(self) -> str:
        size = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images by the nearest pixel."""

    def __init__(self, size: Size = None, scale_factor: Scale = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images by bilinear weights, with aligned corners."""

    def __init__(self, size: Size = None, scale_factor: Scale = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
