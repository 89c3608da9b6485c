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
    """Sets single elements to zero by chance while training, so that no unit can rely on another one.

    y = x * m / (1 - p), where each element of m is 1 with probability 1 - p, else 0; y = x after `eval()`

    Args: `p`, the probability of a zero; `inplace`, whether the input is overwritten. The division keeps the
    expectation, so nothing is scaled in evaluation. Takes and returns any shape (*). ValueError unless 0 <= p <= 1,
    RuntimeError for integers.

    >>> import flambeau as torch
    >>> torch.nn.Dropout(0.5).eval()(torch.ones(3))
    tensor([1., 1., 1.])

    Source: Hinton et al.: "Improving neural networks by preventing co-adaptation of feature detectors",
    https://arxiv.org/abs/1207.0580; https://pytorch.org/docs/stable/generated/torch.nn.Dropout.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with zeros while training."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Dropout of whole channels of sequences: where neighbours are much alike, dropping single elements would hide
    nothing.

    y[n, c, :] = x[n, c, :] * m[n, c] / (1 - p), where m[n, c] is 1 with probability 1 - p, else 0; y = x after `eval()`

    Args: `p`, the probability that a channel is dropped; `inplace`, whether the input is overwritten.
    Takes and returns (N, C, L) or (C, L). ValueError unless 0 <= p <= 1, RuntimeError for another number of dimensions.

    >>> import flambeau as torch
    >>> y = torch.nn.Dropout1d(0.5)(torch.ones(4, 8, 16))
    >>> bool((y.amax(-1) == y.amin(-1)).all())  # a channel is kept or dropped as a whole
    True

    Source: Tompson et al.: "Efficient object localization using convolutional networks",
    https://arxiv.org/abs/1411.4280; https://pytorch.org/docs/stable/generated/torch.nn.Dropout1d.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with zeros while training."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Dropout of whole channels of images: where neighbours are much alike, dropping single pixels would hide nothing.

    y[n, c, :, :] = x[n, c, :, :] * m[n, c] / (1 - p), where m[n, c] is 1 with probability 1 - p, else 0

    Args: `p`, the probability that a channel is dropped; `inplace`, whether the input is overwritten.
    Takes and returns (N, C, H, W); after `eval()` the input is returned. Of three dimensions the first is taken for the
    batch. ValueError unless 0 <= p <= 1; UserWarning for another number of dimensions, of which the first two count as
    N and C.

    >>> import flambeau as torch
    >>> y = torch.nn.Dropout2d(0.5)(torch.ones(4, 8, 3, 3))
    >>> bool((y.amax((2, 3)) == y.amin((2, 3))).all())  # a channel is kept or dropped as a whole
    True

    Source: Tompson et al.: "Efficient object localization using convolutional networks",
    https://arxiv.org/abs/1411.4280; https://pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with zeros while training."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Dropout of whole channels of volumes: where neighbours are much alike, dropping single voxels would hide nothing.

    y[n, c, :, :, :] = x[n, c, :, :, :] * m[n, c] / (1 - p), where m[n, c] is 1 with probability 1 - p, else 0

    Args: `p`, the probability that a channel is dropped; `inplace`, whether the input is overwritten.
    Takes and returns (N, C, D, H, W), or (C, D, H, W) without a batch; after `eval()` the input is returned. ValueError
    unless 0 <= p <= 1; UserWarning for another number of dimensions.

    >>> import flambeau as torch
    >>> torch.nn.Dropout3d(0.2).eval()(torch.ones(1, 2, 3, 3, 3)).shape
    torch.Size([1, 2, 3, 3, 3])

    Source: Tompson et al.: "Efficient object localization using convolutional networks",
    https://arxiv.org/abs/1411.4280; https://pytorch.org/docs/stable/generated/torch.nn.Dropout3d.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with zeros while training."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout for networks of `SELU` units, which leaves mean 0 and variance 1 as they are.

    y = a * (x where kept, else alpha') + b, with alpha' = -1.7581, the negative limit of SELU, and a, b chosen such
    that mean and variance are kept

    Args: `p`, the probability that an element is dropped; `inplace`, which torch's layer takes and leaves aside.
    Takes and returns any shape (*); after `eval()` the input is returned. ValueError unless 0 <= p <= 1.

    >>> import flambeau as torch
    >>> torch.nn.AlphaDropout(0.2)(torch.zeros(3, 4)).shape
    torch.Size([3, 4])

    Source: Klambauer et al.: "Self-normalizing neural networks", https://arxiv.org/abs/1706.02515;
    https://pytorch.org/docs/stable/generated/torch.nn.AlphaDropout.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with dropped elements while training."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels (N, C, ...); `inplace` is left aside, as by torch."""

    def forward(self, input: Tensor) -> Tensor:
        """x, or x with dropped channels while training."""
        return F.feature_alpha_dropout(input, self.p, self.training)
