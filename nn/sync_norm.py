"""Norms across devices and channels: https://pytorch.org/docs/stable/generated/torch.nn.SyncBatchNorm.html"""

from __future__ import annotations

from typing import Any

from ..tracer.functions.arithmetic import add, div, mul
from ..tracer.functions.choosing import where
from ..tracer.functions.ranges import arange
from ..tracer.functions.reduce import sum
from ..tracer.functions.unary import square
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module
from .normalization import _BatchNorm


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all devices; on one device it is `BatchNorm`.

    Args: as for `BatchNorm2d`, and `process_group`, which is kept. Takes (N, C, *) of any number of dimensions from 2 on.

    >>> import flambeau as torch
    >>> torch.nn.SyncBatchNorm.convert_sync_batchnorm(torch.nn.Sequential(torch.nn.BatchNorm2d(3)))
    Sequential(
      (0): SyncBatchNorm(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    )

    Source: https://pytorch.org/docs/stable/generated/torch.nn.SyncBatchNorm.html
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, process_group: Any = None, device: Any = None, dtype: Any = None, *,
                 bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")

    def _check_non_zero_input_channels(self, input: Tensor) -> None:
        if input._type.shape[1] == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *), the shape stays."""
        self._check_input_dim(input)
        self._check_non_zero_input_channels(input)
        return super().forward(input)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with every `BatchNorm` in it replaced by one of this class that has its parameters and buffers."""
        result: Any = module
        if isinstance(module, _BatchNorm):
            result = cls(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                         process_group, bias=module.bias is not None)
            result._parameters.update(module._parameters)
            result._buffers.update(module._buffers)
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


class CrossMapLRN2d(Module):
    """Normalises each pixel by the squares of its neighbouring channels, as Torch of old did: see `LocalResponseNorm`.

    y[c] = x[c] / (k + alpha / size * sum of squares of channel 0 and those at most (size - 1) // 2 away) ** beta

    Args: `size`, how many channels; `alpha`, `beta` and `k`. Takes and returns (N, C, H, W).

    >>> import flambeau as torch
    >>> torch.nn.CrossMapLRN2d(3, alpha=3.0)(torch.ones(1, 1, 1, 1)).item()  # 2 ** -0.75
    0.5946035385131836
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """The shape stays."""
        reach, squares = (self.size - 1) // 2, square(input)
        window = sum(F.pad(squares, (0, 0, 0, 0, reach, reach)).unfold(1, 2 * reach + 1, 1), -1)
        # torch never takes the first channel out of its running sum
        later = arange(input._type.shape[1], device=input.device).reshape(-1, 1, 1) > reach
        window = add(window, where(later, squares.narrow(1, 0, 1), 0.0))
        return div(input, add(mul(window, self.alpha / self.size), self.k).pow(self.beta))

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
