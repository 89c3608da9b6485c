"""Dropout layers: https://pytorch.org/docs/stable/nn.html#dropout-layers"""

from __future__ import annotations

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module


class _DropoutNd(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """While training each element is 0 with probability p, else divided by 1 - p."""

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with zeros while training."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Dropout of whole channels (N, C, L)."""

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with zeros while training."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Dropout of whole channels (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with zeros while training."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Dropout of whole channels (N, C, D, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with zeros while training."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean and variance after SELU."""

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with dropped elements while training."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels (N, C, ...)."""

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with dropped channels while training."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
