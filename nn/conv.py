"""Convolution layers: https://pytorch.org/docs/stable/nn.html#convolution-layers"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..tracer.functions.creation import empty
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from . import init
from .functional.convolution import same_padding
from .module import Module
from .parameter import Parameter

Sizes = int | Sequence[int]
MODES = ("zeros", "reflect", "replicate", "circular")


def _tuple(size: Sizes, rank: int) -> tuple[int, ...]:
    return (size,) * rank if isinstance(size, int) else tuple(size)


class _ConvNd(Module):
    """Weights, bias and options that the convolutions of all ranks share."""

    rank: ClassVar[int]
    transposed: ClassVar[bool] = False
    function: ClassVar[Callable[..., Tensor]]
    padding: Any
    bias: Any

    def _set_up(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes, padding: str | Sizes,
                dilation: Sizes, output_padding: Sizes, groups: int, bias: bool, padding_mode: str, device: Any,
                dtype: Any) -> None:
        _check_options(in_channels, out_channels, groups, padding, stride, padding_mode)
        rank = self.rank
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = _tuple(kernel_size, rank), _tuple(stride, rank)
        self.padding = padding if isinstance(padding, str) else _tuple(padding, rank)
        self.dilation, self.output_padding = _tuple(dilation, rank), _tuple(output_padding, rank)
        self.groups, self.padding_mode = groups, padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(empty(first, second // groups, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform in +-1 / sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in:
                init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.rank:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.rank:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.rank:
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
        if padding == "same" and any(s != 1 for s in _tuple(stride, 1)):
            raise ValueError("padding='same' is not supported for strided convolutions")
    if mode not in MODES:
        raise ValueError(f"padding_mode must be one of {set(MODES)}, but got padding_mode='{mode}'")


class _Conv(_ConvNd):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode,
                     device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) to (N, O, *)."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._pad_counts(), self.padding_mode), 0
        return type(self).function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _pad_counts(self) -> list[int]:
        """What `pad` is told: pairs from the last dimension backward."""
        if self.padding == "same":
            pairs = same_padding(self.kernel_size, self.dilation)
        else:
            pairs = tuple((p, p) for p in ((0,) * self.rank if self.padding == "valid" else self.padding))
        return [n for pair in reversed(pairs) for n in pair]


class Conv1d(_Conv):
    """Cross-correlation of (N, C, L) with `out_channels` kernels."""

    rank = 1
    function = staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Cross-correlation of (N, C, H, W) with `out_channels` kernels.

    >>> import flambeau as torch
    >>> torch.nn.Conv2d(3, 8, 3, padding=1)(torch.ones(1, 3, 5, 5)).shape
    torch.Size([1, 8, 5, 5])
    """

    rank = 2
    function = staticmethod(F.conv2d)


class Conv3d(_Conv):
    """Cross-correlation of (N, C, D, H, W) with `out_channels` kernels."""

    rank = 3
    function = staticmethod(F.conv3d)


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes = 0,
                 output_padding: Sizes = 0, groups: int = 1, bias: bool = True, dilation: Sizes = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
                     padding_mode, device, dtype)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(N, C, *) to (N, O, *); `output_size` chooses among the sizes that the stride leaves open."""
        extra = self.output_padding if output_size is None else self._extra(input, tuple(output_size))
        return type(self).function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
                                   self.dilation)

    def _extra(self, input: Tensor, wanted: tuple[int, ...]) -> tuple[int, ...]:
        sizes = input._type.shape[-self.rank:]
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in zip(
            sizes, self.stride, self.padding, self.dilation, self.kernel_size)]
        most = [n + s - 1 for n, s in zip(least, self.stride)]
        chosen = wanted[-self.rank:]
        if any(not low <= n <= high for low, n, high in zip(least, chosen, most)):
            raise ValueError(f"requested an output size of {list(chosen)}, but valid sizes range from {least} to "
                             f"{most} (for an input of {tuple(sizes)})")
        return tuple(n - low for n, low in zip(chosen, least))


class ConvTranspose1d(_ConvTranspose):
    """The gradient of Conv1d with respect to its input, as a layer."""

    rank = 1
    function = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The gradient of Conv2d with respect to its input, as a layer."""

    rank = 2
    function = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """The gradient of Conv3d with respect to its input, as a layer."""

    rank = 3
    function = staticmethod(F.conv_transpose3d)
