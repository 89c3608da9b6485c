"""Pooling layers that are random, of norms, or undo others: https://pytorch.org/docs/stable/nn.html#pooling-layers"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module

Sizes = int | Sequence[int]


def _spread(size: Any, rank: int) -> tuple[int, ...]:
    return tuple(size) if isinstance(size, Sequence) else (size,) * rank


class _MaxUnpool(Module):
    rank: ClassVar[int]

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size = _spread(kernel_size, self.rank)
        self.stride = _spread(kernel_size if stride is None else stride, self.rank)
        self.padding = _spread(padding, self.rank)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """What `MaxPool1d` kept, back at its places, from the indices it returned."""

    rank = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """What the pool kept, at its places; zeros elsewhere."""
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """What `MaxPool2d` kept, back at its places in images that are zero elsewhere.

    y[n, c, indices[n, c, i]] = x[n, c, i], with flat places

    Args: `kernel_size`, `stride` and `padding`, as of the pool. Takes the pool's results (N, C, H, W), its indices, and an
    `output_size` if wanted, where the stride leaves it open. RuntimeError for a place outside.

    >>> import flambeau as torch
    >>> pool, unpool = torch.nn.MaxPool2d(2, return_indices=True), torch.nn.MaxUnpool2d(2)
    >>> unpool(*pool(torch.arange(4.0).view(1, 1, 2, 2)))
    tensor([[[[0., 0.],
              [0., 3.]]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html
    """

    rank = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """What the pool kept, at its places; zeros elsewhere."""
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpool):
    """What `MaxPool3d` kept, back at its places, from the indices it returned."""

    rank = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """What the pool kept, at its places; zeros elsewhere."""
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _LPPool(Module):
    def __init__(self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def extra_repr(self) -> str:
        return (f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
                f"ceil_mode={self.ceil_mode}")


class LPPool1d(_LPPool):
    """The p-norms of windows of sequences: see `LPPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """The norm of each window."""
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """The p-norms of windows of images, between a sum (p = 1) and a maximum (p infinite).

    y = (sum over the window of x ** p) ** (1 / p)

    Args: `norm_type`, p; `kernel_size`, of a window; `stride`, pixels between windows, a window by default; `ceil_mode`,
    whether a last window may reach beyond the end. Takes (N, C, H, W) or (C, H, W), returns as many channels.

    >>> import flambeau as torch
    >>> torch.nn.LPPool2d(2, (1, 2))(torch.tensor([[[3.0, 4.0]]]))
    tensor([[[5.]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LPPool2d.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """The norm of each window."""
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPool):
    """The p-norms of windows of volumes: see `LPPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """The norm of each window."""
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class _FractionalMaxPool(Module):
    rank: ClassVar[int]

    def __init__(self, kernel_size: Sizes, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
                 _random_samples: Tensor | None = None) -> None:
        super().__init__()
        rank, name = self.rank, type(self).__name__
        self.kernel_size, self.return_indices = _spread(kernel_size, rank), return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else _spread(output_size, rank)
        self.output_ratio = None if output_ratio is None else _spread(output_ratio, rank)
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")


class FractionalMaxPool2d(_FractionalMaxPool):
    """Keeps the largest elements of windows whose starts are random, so that sizes shrink by any factor.

    Args: `kernel_size`, of a window; `output_size`, how many windows, or `output_ratio`, how many for each pixel, between 0
    and 1; `return_indices`, whether the places of the maxima are returned as well. Takes (N, C, H, W) or (C, H, W).
    ValueError unless just one of both sizes is given.

    >>> import flambeau as torch
    >>> torch.nn.FractionalMaxPool2d(2, output_ratio=0.7)(torch.ones(1, 3, 10, 10)).shape
    torch.Size([1, 3, 7, 7])

    Source: Graham: "Fractional max-pooling", https://arxiv.org/abs/1412.6071;
    https://pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool2d.html
    """

    rank = 2

    def forward(self, input: Tensor) -> Any:
        """The largest element of each window."""
        return F.fractional_max_pool2d(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
                                       _random_samples=self._random_samples)


class FractionalMaxPool3d(_FractionalMaxPool):
    """Keeps the largest elements of windows of volumes whose starts are random: see `FractionalMaxPool2d`."""

    rank = 3

    def forward(self, input: Tensor) -> Any:
        """The largest element of each window."""
        return F.fractional_max_pool3d(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
                                       _random_samples=self._random_samples)
