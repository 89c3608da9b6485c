"""Convolution layers: https://pytorch.org/docs/stable/nn.html#convolution-layers"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ..tracer.functions.creation import empty
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from . import init
from .functional.convolution import same_padding
from .module import Module
from .parameter import Parameter
from .sizes import _ntuple, _reverse_repeat_tuple

Sizes = int | Sequence[int]
Ints = tuple[int, ...]
MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """Weights, bias and options that the convolutions of all ranks share; it takes sizes as tuples."""

    padding: Any
    bias: Any

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Ints, stride: Ints, padding: str | Ints, dilation: Ints,
                 transposed: bool, output_padding: Ints, groups: int, bias: bool, padding_mode: str, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        _check_options(in_channels, out_channels, groups, padding, stride, padding_mode)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.transposed, self.output_padding, self.groups, self.padding_mode = transposed, output_padding, groups, padding_mode
        # What `pad` is told: pairs from the last dimension backward.
        if padding == "same":
            pairs: Any = [n for pair in reversed(same_padding(kernel_size, dilation)) for n in pair]
        else:
            pairs = [0, 0] * len(kernel_size) if isinstance(padding, str) else _reverse_repeat_tuple(padding, 2)
        self._reversed_padding_repeated_twice = pairs
        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = Parameter(empty(first, second // groups, *kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What `forward` computes, of any weight and bias; for subclasses to define another way."""
        raise NotImplementedError(f"_conv_forward is not implemented for {type(self).__name__}")

    def __setstate__(self, saved: dict[str, Any]) -> None:
        super().__setstate__(saved)
        self.__dict__.setdefault("padding_mode", "zeros")

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform in +-1 / sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in:
                init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * len(self.padding):
            text += f", padding={self.padding}"
        if self.dilation != (1,) * len(self.dilation):
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * len(self.output_padding):
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


def _check_options(inputs: int, outputs: int, groups: int, padding: Any, stride: Sizes, mode: str) -> None:
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    if inputs % groups:
        raise ValueError("in_channels must be divisible by groups")
    if outputs % groups:
        raise ValueError("out_channels must be divisible by groups")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}")
        if padding == "same" and any(s != 1 for s in _ntuple(1)(stride)):
            raise ValueError("padding='same' is not supported for strided convolutions")
    if mode not in MODES:
        raise ValueError(f"padding_mode must be one of {set(MODES)}, but got padding_mode='{mode}'")


class _Conv(_ConvNd):
    rank: ClassVar[int]

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        each = _ntuple(self.rank)
        around = padding if isinstance(padding, str) else each(padding)
        super().__init__(in_channels, out_channels, each(kernel_size), each(stride), around, each(dilation), False, each(0),
                         groups, bias, padding_mode, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to (N, O, *)."""
        return self._conv_forward(input, self.weight, self.bias)

    def _padded(self, input: Tensor) -> Tensor:
        """The input with what `padding_mode` puts around it."""
        return F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)


class Conv1d(_Conv):
    """Slides learnt kernels along sequences: each output is a weighted sum of a window of all channels of its group.

    y[n, o, i] = bias[o] + sum over c, k of weight[o, c, k] * x[n, c, i * stride + k * dilation - padding]

    Args: `in_channels` and `out_channels`, C and O; `kernel_size`, the length of a window in steps; `stride`, steps
    between windows; `padding`, steps added at both ends, or "valid" (none) or "same" (the length stays); `dilation`,
    steps between the elements of a window; `groups`, into which channels are parted, each with kernels of its own;
    `bias`; `padding_mode`, "zeros", "reflect", "replicate" or "circular"; `device` and `dtype`, of the parameters.
    Attributes: `weight` (O, C / groups, kernel_size) and `bias` (O,) or None, drawn uniformly from +-1 / sqrt(fan in).
    Takes (N, C, L) or (C, L). Returns O channels of length (L + 2 * padding - dilation * (kernel_size - 1) - 1) //
    stride + 1.
    Raises ValueError for channels that `groups` does not divide, or an unknown padding.

    >>> import flambeau as torch
    >>> torch.nn.Conv1d(3, 8, 3, padding=1)(torch.ones(1, 3, 5)).shape
    torch.Size([1, 8, 5])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv1d.html
    """

    rank = 1

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros":
            return F.conv1d(self._padded(input), weight, bias, self.stride, (0,) * 1, self.dilation, self.groups)
        return F.conv1d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Slides learnt kernels over images: each output is a weighted sum of a window of all channels of its group.

    y[n, o, i, j] = bias[o] + sum over c, k, l of weight[o, c, k, l] * x[n, c, i * stride + k, j * stride + l], for
    padding 0 and dilation 1

    Args: `in_channels` and `out_channels`, C and O; `kernel_size`, of a window in pixels, an int or (height, width), as
    for the next three; `stride`, pixels between windows; `padding`, pixels added at all sides, or "valid" (none) or
    "same" (the size stays); `dilation`, pixels between the elements of a window; `groups`, into which channels are
    parted, each with kernels of its own; `bias`; `padding_mode`, "zeros", "reflect", "replicate" or "circular";
    `device` and `dtype`, of the parameters.
    Attributes: `weight` (O, C / groups, *kernel_size) and `bias` (O,) or None, drawn uniformly from +-1 / sqrt(fan in).
    Takes (N, C, H, W) or (C, H, W). Returns O channels, of which each size n becomes (n + 2 * padding - dilation *
    (kernel_size - 1) - 1) // stride + 1.
    Raises ValueError for channels that `groups` does not divide, or an unknown padding.

    >>> import flambeau as torch
    >>> torch.nn.Conv2d(3, 8, 3, padding=1)(torch.ones(1, 3, 5, 5)).shape
    torch.Size([1, 8, 5, 5])

    Source: LeCun et al.: "Gradient-based learning applied to document recognition", https://doi.org/10.1109/5.726791;
    https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """

    rank = 2

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros":
            return F.conv2d(self._padded(input), weight, bias, self.stride, (0,) * 2, self.dilation, self.groups)
        return F.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class Conv3d(_Conv):
    """Slides learnt kernels through volumes: each output is a weighted sum of a window of all channels of its group.

    y[n, o, p] = bias[o] + sum over c, k of weight[o, c, k] * x[n, c, p * stride + k], where p and k are places in space

    Args: `in_channels` and `out_channels`, C and O; `kernel_size`, of a window in voxels, an int or three, as for the
    next three; `stride`, voxels between windows; `padding`, voxels added at all sides, or "valid" (none) or "same" (the
    size stays); `dilation`, voxels between the elements of a window; `groups`, into which channels are parted, each
    with kernels of its own; `bias`; `padding_mode`, "zeros", "reflect", "replicate" or "circular"; `device` and
    `dtype`, of the parameters.
    Attributes: `weight` (O, C / groups, *kernel_size) and `bias` (O,) or None, drawn uniformly from +-1 / sqrt(fan in).
    Takes (N, C, D, H, W) or (C, D, H, W). Returns O channels, of the sizes that `Conv2d` names.
    Raises ValueError for channels that `groups` does not divide, or an unknown padding.

    >>> import flambeau as torch
    >>> torch.nn.Conv3d(1, 4, 3, stride=2)(torch.ones(1, 1, 7, 7, 7)).shape
    torch.Size([1, 4, 3, 3, 3])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv3d.html
    """

    rank = 3

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros":
            return F.conv3d(self._padded(input), weight, bias, self.stride, (0,) * 3, self.dilation, self.groups)
        return F.conv3d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class _ConvTransposeNd(_ConvNd):
    """What transposed convolutions share; `forward` takes an `output_size`, among those that a stride leaves open."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints,
                 transposed: bool, output_padding: Ints, groups: int, bias: bool, padding_mode: str, device: Any = None,
                 dtype: Any = None) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, transposed, output_padding, groups,
                         bias, padding_mode, device, dtype)

    def _output_padding(self, input: Tensor, output_size: Sequence[int] | None, stride: Ints, padding: Ints, kernel_size: Ints,
                        num_spatial_dims: int, dilation: Ints | None = None) -> Ints:
        """What is added at the ends for an output of that size; the layer's own without one."""
        if output_size is None:
            return _ntuple(num_spatial_dims)(self.output_padding)
        wanted, lead = tuple(output_size), input.ndim - num_spatial_dims
        if len(wanted) not in (num_spatial_dims, num_spatial_dims + lead):
            raise ValueError(f"ConvTranspose{num_spatial_dims}D: for {input.ndim}D input, output_size must have "
                             f"{num_spatial_dims} or {num_spatial_dims + lead} elements (got {len(wanted)})")
        sizes, chosen = input._type.shape[-num_spatial_dims:], wanted[-num_spatial_dims:]
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in zip(
            sizes, stride, padding, dilation or (1,) * num_spatial_dims, kernel_size)]
        most = [n + s - 1 for n, s in zip(least, stride)]
        if any(not low <= n <= high for low, n, high in zip(least, chosen, most)):
            raise ValueError(f"requested an output size of {list(chosen)}, but valid sizes range from {least} to "
                             f"{most} (for an input of {tuple(sizes)})")
        return tuple(n - low for n, low in zip(chosen, least))


class _ConvTranspose(_ConvTransposeNd):
    rank: ClassVar[int]

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes = 0,
                 output_padding: Sizes = 0, groups: int = 1, bias: bool = True, dilation: Sizes = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        each = _ntuple(self.rank)
        super().__init__(in_channels, out_channels, each(kernel_size), each(stride), each(padding), each(dilation), True,
                         each(output_padding), groups, bias, padding_mode, device, dtype)


class ConvTranspose1d(_ConvTranspose):
    """The transpose of `Conv1d`: each input adds a scaled kernel to the output, which makes sequences longer.

    y[n, o, i * stride + k * dilation - padding] += weight[c, o, k] * x[n, c, i], summed over c, i, k; then bias[o] is
    added

    Args: `in_channels` and `out_channels`, C and O; `kernel_size`, the length of a kernel; `stride`, steps between the
    kernels of neighbouring inputs; `padding`, steps cut off at both ends; `output_padding`, steps added at the end,
    where a stride leaves the length open; `groups`, into which channels are parted; `bias`; `dilation`, steps between
    the elements of a kernel; `padding_mode`, "zeros" only; `device` and `dtype`, of the parameters.
    Attributes: `weight` (C, O / groups, kernel_size) and `bias` (O,) or None.
    Takes (N, C, L), and an `output_size` if wanted; returns length (L - 1) * stride - 2 * padding + dilation *
    (kernel_size - 1) + output_padding + 1. ValueError for a size that cannot be.

    >>> import flambeau as torch
    >>> torch.nn.ConvTranspose1d(4, 2, 2, stride=2)(torch.ones(1, 4, 5)).shape
    torch.Size([1, 2, 10])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html
    """

    rank = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self._output_padding(input, output_size, self.stride, self.padding, self.kernel_size, 1, self.dilation)
        return F.conv_transpose1d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of `Conv2d`, its gradient with respect to the input: each input adds a scaled kernel, so that
    images grow.

    y[n, o, i * stride + k - padding] += weight[c, o, k] * x[n, c, i], summed over c and the places i, k; then bias[o]
    is added

    Args: `in_channels` and `out_channels`, C and O; `kernel_size`, of a kernel in pixels, an int or (height, width), as
    for the next three and `dilation`; `stride`, pixels between the kernels of neighbouring inputs; `padding`, pixels
    cut off at all sides; `output_padding`, pixels added at the ends, where a stride leaves the size open; `groups`,
    into which channels are parted; `bias`; `dilation`, pixels between the elements of a kernel; `padding_mode`, "zeros"
    only; `device` and `dtype`, of the parameters.
    Attributes: `weight` (C, O / groups, *kernel_size) and `bias` (O,) or None.
    Takes (N, C, H, W), and an `output_size` if wanted. Returns O channels, of which each size n becomes (n - 1) *
    stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1. ValueError for a size that cannot be.

    >>> import flambeau as torch
    >>> torch.nn.ConvTranspose2d(4, 2, 2, stride=2)(torch.ones(1, 4, 5, 5)).shape
    torch.Size([1, 2, 10, 10])

    Source: Zeiler et al.: "Deconvolutional networks", https://doi.org/10.1109/CVPR.2010.5539957;
    https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html
    """

    rank = 2

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self._output_padding(input, output_size, self.stride, self.padding, self.kernel_size, 2, self.dilation)
        return F.conv_transpose2d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose3d(_ConvTranspose):
    """The transpose of `Conv3d`, its gradient with respect to the input: each input adds a scaled kernel, so that
    volumes grow.

    y[n, o, i * stride + k - padding] += weight[c, o, k] * x[n, c, i], summed over c and the places i, k; then bias[o]
    is added

    Args: `in_channels` and `out_channels`, C and O; `kernel_size`, `stride`, `padding`, `output_padding` and
    `dilation`, ints or one for each of three dimensions, as `ConvTranspose2d` explains them; `groups`, into which
    channels are parted; `bias`; `padding_mode`, "zeros" only; `device` and `dtype`, of the parameters.
    Attributes: `weight` (C, O / groups, *kernel_size) and `bias` (O,) or None.
    Takes (N, C, D, H, W), and an `output_size` if wanted. Returns O channels, of the sizes that `ConvTranspose2d`
    names.
    Raises ValueError for a size that cannot be.

    >>> import flambeau as torch
    >>> torch.nn.ConvTranspose3d(4, 2, 2, stride=2)(torch.ones(1, 4, 3, 3, 3)).shape
    torch.Size([1, 2, 6, 6, 6])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html
    """

    rank = 3

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self._output_padding(input, output_size, self.stride, self.padding, self.kernel_size, 3, self.dilation)
        return F.conv_transpose3d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)
