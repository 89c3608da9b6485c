"""Activations along a dimension: https://pytorch.org/docs/stable/nn.html#non-linear-activations-other"""

from __future__ import annotations

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .activation_base import Activation
from .module import Module


class Softmax(Activation, options={"dim": None}):
    """Turns scores into probabilities: positive, and of sum 1 along a dimension.

    y[i] = exp(x[i]) / sum over j of exp(x[j])

    Args: `dim`, the dimension of which the sum is 1; without it torch's old rule chooses one, with a warning.
    Takes and returns any shape (*). The largest score is subtracted first, so that nothing overflows. For a loss take
    `CrossEntropyLoss` on the scores themselves.

    >>> import flambeau as torch
    >>> torch.nn.Softmax(dim=-1)(torch.tensor([[0.0, 0.0], [1.0, 1000.0]]))
    tensor([[0.5000, 0.5000],
            [0.0000, 1.0000]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Softmax.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(Activation, options={"dim": None}):
    """softmax(-x)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(Activation, options={"dim": None}):
    """The logarithm of `Softmax`, computed without ever taking the logarithm of a number that has become zero.

    y[i] = x[i] - log(sum over j of exp(x[j]))

    Args: `dim`, the dimension along which the probabilities sum to 1; without it torch's old rule chooses one, with a
    warning.
    Takes and returns any shape (*). With `NLLLoss` it makes the cross entropy.

    >>> import flambeau as torch
    >>> torch.nn.LogSoftmax(dim=-1)(torch.tensor([[0.0, 0.0], [0.0, 1000.0]]))[1]
    tensor([-1000.,     0.])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """softmax over the channels of (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """The shape stays."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3, _stacklevel=5)
