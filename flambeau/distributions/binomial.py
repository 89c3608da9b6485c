"""The binomial distribution: https://pytorch.org/docs/stable/distributions.html#binomial"""

from __future__ import annotations

from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.choosing import clamp
from ..tracer.functions.random import binomial
from ..tracer.functions.ranges import arange
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .constraints import Constraint
from .odds import Odds, check_one
from .utils import SCALAR, broadcast_all

__all__ = ["Binomial"]


class Binomial(Odds):
    r"""How many of `total_count` trials succeed, each with probability p.

    Args: `total_count`, a number or a tensor; `probs`, p; or `logits`, log(p / (1 - p)).

    >>> import flambeau as torch
    >>> torch.distributions.Binomial(100, torch.tensor([0.0, 0.25])).mean
    tensor([ 0., 25.])

    Source: https://pytorch.org/docs/stable/distributions.html#binomial
    """

    arg_constraints = {"total_count": constraints.nonnegative_integer, "probs": constraints.unit_interval,
                       "logits": constraints.real}
    has_enumerate_support = True
    _batched = {"total_count": 0, "probs": 0, "logits": 0, "_param": 0}
    _kept = ("_count",)

    def __init__(self, total_count: Any = 1, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        check_one(probs, logits)
        count, given = broadcast_all(total_count, logits if probs is None else probs)
        self.total_count = count.type_as(given)
        self._count = total_count if type(total_count) is int else None
        self._set(*((None, given) if probs is None else (given, None)))
        super().__init__(given.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return clamp(((self.total_count + 1) * self.probs).floor(), max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return value * logits + ways - n * _above_zero(logits) - n * (-logits.abs()).exp().log1p()

    def _same_count(self, name: str) -> int:
        """The number of trials; NotImplementedError if it is not the same for all."""
        if self._count is not None:
            return self._count
        most = int(self.total_count.max())
        if not self.total_count.min() == most:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{name}`.")
        return most

    def entropy(self) -> Tensor:
        self._same_count("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count = self._same_count("enumerate_support")
        values = arange(1 + count, dtype=self._param.dtype, device=self._param.device)
        values = values.reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


def _above_zero(x: Tensor) -> Tensor:
    """max(x, 0), with the slope 1 / 2 at 0."""
    return (clamp(x, min=0) + x - clamp(x, max=0)) / 2
