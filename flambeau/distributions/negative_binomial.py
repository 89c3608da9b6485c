"""The negative binomial distribution: https://pytorch.org/docs/stable/distributions.html#negativebinomial"""

from __future__ import annotations

from typing import Any

from ..nn.functional import logsigmoid
from ..tracer.autograd.modes import no_grad
from ..tracer.functions.choosing import clamp, where
from ..tracer.functions.random import poisson
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .gamma import Gamma
from .odds import Odds, check_one
from .utils import SCALAR, broadcast_all, lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(Odds):
    r"""How many trials of probability p succeed before `total_count` fail.

    Args: `total_count`, not negative; `probs`, p; or `logits`, log(p / (1 - p)).

    >>> import flambeau as torch
    >>> torch.distributions.NegativeBinomial(3.0, torch.tensor(0.5)).mean
    tensor(3.)

    Source: https://pytorch.org/docs/stable/distributions.html#negativebinomial
    """

    arg_constraints = {"total_count": constraints.greater_than_eq(0), "probs": constraints.half_open_interval(0.0, 1.0),
                       "logits": constraints.real}
    support = constraints.nonnegative_integer
    _batched = {"total_count": 0, "probs": 0, "logits": 0, "_param": 0}

    def __init__(self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        check_one(probs, logits)
        count, given = broadcast_all(total_count, logits if probs is None else probs)
        self.total_count = count.type_as(given)
        self._set(*((None, given) if probs is None else (given, None)))
        super().__init__(given.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return clamp(((self.total_count - 1) * self.logits.exp()).floor(), min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    @lazy_property
    def _gamma(self) -> Gamma:
        return Gamma(concentration=self.total_count, rate=(-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        with no_grad():
            return poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        powers = n * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        ways = (n + value).lgamma() - (1.0 + value).lgamma() - n.lgamma()
        return powers + where(n + value == 0.0, 0.0, ways)
