"""Pooling layers: https://pytorch.org/docs/stable/nn.html#pooling-layers"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module
from .sizes import _single

Sizes = int | Sequence[int]


class _MaxPoolNd(Module):
    def __init__(self, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, dilation: Sizes = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")


class MaxPool1d(_MaxPoolNd):
    """Keeps the largest element of each window of sequences, which makes them shorter.

    y[n, c, i] = max over k of x[n, c, i * stride + k * dilation - padding]

    Args: `kernel_size`, the length of a window in steps; `stride`, steps between windows, a window by default;
    `padding`, steps of -inf added at both ends, at most half a window; `dilation`, steps between the elements of a
    window; `return_indices`, whether the places of the maxima are returned as well; `ceil_mode`, whether a last window
    may reach beyond the end.
    Takes (N, C, L) or (C, L). Returns length (L + 2 * padding - dilation * (kernel_size - 1) - 1) / stride + 1, rounded
    down.
    Raises RuntimeError for a padding that is too wide.

    >>> import flambeau as torch
    >>> torch.nn.MaxPool1d(2)(torch.tensor([[1.0, 5.0, 2.0, 3.0]]))
    tensor([[5., 3.]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html
    """

    def forward(self, input: Tensor) -> Any:
        """The largest element of each window."""
        return F.max_pool1d(input, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode,
                            return_indices=self.return_indices)


class MaxPool2d(_MaxPoolNd):
    """Keeps the largest element of each window of images: smaller images, in which small shifts no longer matter.

    y[n, c, i, j] = max over k, l of x[n, c, i * stride + k, j * stride + l], for padding 0 and dilation 1

    Args: `kernel_size`, of a window in pixels, an int or (height, width), as for the next three; `stride`, pixels
    between windows, a window by default; `padding`, pixels of -inf added at all sides, at most half a window;
    `dilation`, pixels between the elements of a window; `return_indices`, whether the places of the maxima are returned
    as well; `ceil_mode`, whether last windows may reach beyond the ends.
    Takes (N, C, H, W) or (C, H, W). Returns what it took, but each size n becomes (n + 2 * padding - dilation *
    (kernel_size - 1) - 1) / stride + 1, rounded down.
    Raises RuntimeError for a padding that is too wide.

    >>> import flambeau as torch
    >>> torch.nn.MaxPool2d(2)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 5.,  7.],
             [13., 15.]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
    """

    def forward(self, input: Tensor) -> Any:
        """The largest element of each window."""
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode,
                            return_indices=self.return_indices)


class MaxPool3d(_MaxPoolNd):
    """Keeps the largest element of each window of volumes.

    y[n, c, p] = max over k of x[n, c, p * stride + k], where p and k are places in space

    Args: `kernel_size`, of a window in voxels, an int or three, as for the next three; `stride`, voxels between
    windows, a window by default; `padding`, voxels of -inf added at all sides, at most half a window; `dilation`,
    voxels between the elements of a window; `return_indices`, whether the places of the maxima are returned as well;
    `ceil_mode`, whether last windows may reach beyond the ends.
    Takes (N, C, D, H, W) or (C, D, H, W). Returns what it took, in the sizes that `MaxPool2d` names. Raises
    RuntimeError for a padding that is too wide.

    >>> import flambeau as torch
    >>> torch.nn.MaxPool3d(2)(torch.ones(1, 3, 4, 4, 4)).shape
    torch.Size([1, 3, 2, 2, 2])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html
    """

    def forward(self, input: Tensor) -> Any:
        """The largest element of each window."""
        return F.max_pool3d(input, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode,
                            return_indices=self.return_indices)


class _AvgPoolNd(Module):
    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """Takes the mean of each window of sequences, which makes them shorter.

    y[n, c, i] = mean over k of x[n, c, i * stride + k - padding]

    Args: `kernel_size`, the length of a window in steps; `stride`, steps between windows, a window by default;
    `padding`, zeros added at both ends, at most half a window; `ceil_mode`, whether a last window may reach beyond the
    end; `count_include_pad`, whether the zeros count in the mean.
    Takes (N, C, L) or (C, L). Returns length (L + 2 * padding - kernel_size) / stride + 1, rounded down. Raises
    RuntimeError for a padding that is too wide.

    >>> import flambeau as torch
    >>> torch.nn.AvgPool1d(2)(torch.tensor([[1.0, 5.0, 2.0, 3.0]]))
    tensor([[3.0000, 2.5000]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html
    """

    def __init__(self, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = (_single(n) for n in (
            kernel_size, kernel_size if stride is None else stride, padding))
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """The mean of each window."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad)


class _AvgPool(_AvgPoolNd):
    def __init__(self, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override


class AvgPool2d(_AvgPool):
    """Takes the mean of each window of images.

    y[n, c, i, j] = mean over k, l of x[n, c, i * stride + k, j * stride + l], for padding 0

    Args: `kernel_size`, of a window in pixels, an int or (height, width), as for the next two; `stride`, pixels between
    windows, a window by default; `padding`, zeros added at all sides, at most half a window; `ceil_mode`, whether last
    windows may reach beyond the ends; `count_include_pad`, whether the zeros count in the mean; `divisor_override`, by
    what sums are divided instead of the number of elements.
    Takes (N, C, H, W) or (C, H, W). Returns what it took, but each size n becomes (n + 2 * padding - kernel_size) /
    stride + 1, rounded down.
    Raises RuntimeError for a padding that is too wide.

    >>> import flambeau as torch
    >>> torch.nn.AvgPool2d(2)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 2.5000,  4.5000],
             [10.5000, 12.5000]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """The mean of each window."""
        return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                            self.divisor_override)


class AvgPool3d(_AvgPool):
    """Takes the mean of each window of volumes.

    y[n, c, p] = mean over k of x[n, c, p * stride + k], where p and k are places in space

    Args: `kernel_size`, of a window in voxels, an int or three, as for the next two; `stride`, voxels between windows,
    a window by default; `padding`, zeros added at all sides, at most half a window; `ceil_mode`, whether last windows
    may reach beyond the ends; `count_include_pad`, whether the zeros count in the mean; `divisor_override`, by what
    sums are divided instead of the number of elements.
    Takes (N, C, D, H, W) or (C, D, H, W). Returns what it took, in the sizes that `AvgPool2d` names. Raises
    RuntimeError for a padding that is too wide.

    >>> import flambeau as torch
    >>> torch.nn.AvgPool3d(2)(torch.ones(1, 3, 4, 4, 4)).shape
    torch.Size([1, 3, 2, 2, 2])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AvgPool3d.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """The mean of each window."""
        return F.avg_pool3d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                            self.divisor_override)


class _AdaptiveAvgPoolNd(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Takes means of as many windows as are wanted, whatever the length of the sequence.

    y[n, c, i] = mean of x[n, c, start:end], from start = floor(i * L / output_size) to end = ceil((i + 1) * L /
    output_size)

    Args: `output_size`, how many windows; 1 is the mean of all.
    Takes (N, C, L) or (C, L). Returns (N, C, output_size). Where the length is a multiple it equals `AvgPool1d`; else
    windows overlap or differ in length by one.

    >>> import flambeau as torch
    >>> torch.nn.AdaptiveAvgPool1d(2)(torch.tensor([[1.0, 5.0, 2.0, 3.0]]))
    tensor([[3.0000, 2.5000]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """As many windows as output_size."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Takes means of as many windows as are wanted, whatever the size of the image: before a linear layer that wants
    one size.

    Window i of m, in a dimension of size n, goes from floor(i * n / m) to ceil((i + 1) * n / m)

    Args: `output_size`, how many windows, an int or (height, width), None where the size stays; 1 is the mean of all
    pixels.
    Takes (N, C, H, W) or (C, H, W). Returns (N, C, *output_size). Where sizes are multiples it equals `AvgPool2d`; else
    windows overlap or differ in size by one.

    >>> import flambeau as torch
    >>> torch.nn.AdaptiveAvgPool2d((2, None))(torch.ones(1, 3, 7, 5)).shape
    torch.Size([1, 3, 2, 5])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """As many windows as output_size."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Means of `output_size` windows that cover (N, C, D, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """As many windows as output_size."""
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPoolNd(Module):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Largest elements of `output_size` windows that cover (N, C, L)."""

    def forward(self, input: Tensor) -> Any:
        """As many windows as output_size."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Keeps the largest elements of as many windows as are wanted, whatever the size of the image.

    Window i of m, in a dimension of size n, goes from floor(i * n / m) to ceil((i + 1) * n / m)

    Args: `output_size`, how many windows, an int or (height, width), None where the size stays; 1 is the maximum of all
    pixels; `return_indices`, whether the places of the maxima are returned as well.
    Takes (N, C, H, W) or (C, H, W). Returns (N, C, *output_size). Where sizes are multiples it equals `MaxPool2d`; else
    windows overlap or differ in size by one.

    >>> import flambeau as torch
    >>> torch.nn.AdaptiveMaxPool2d(2)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 5.,  7.],
             [13., 15.]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html
    """

    def forward(self, input: Tensor) -> Any:
        """As many windows as output_size."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Largest elements of `output_size` windows that cover (N, C, D, H, W)."""

    def forward(self, input: Tensor) -> Any:
        """As many windows as output_size."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
