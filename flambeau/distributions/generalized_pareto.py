"""The generalized Pareto distribution: https://pytorch.org/docs/stable/distributions.html#generalizedpareto"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.choosing import where
from ..tracer.functions.creation import zeros_like
from ..tracer.functions.random import rand
from ..tracer.functions.reduce import isclose
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .constraints import Constraint
from .distribution import Distribution
from .utils import SCALAR, broadcast_all, is_number

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    r"""Numbers x >= loc that exceed it by more than scale z with probability (1 + c z)**(-1 / c), c the concentration.

    Args: `loc`, the least number; `scale`; `concentration`, 0 for exponential numbers, below 0 for bounded ones.

    >>> import flambeau as torch
    >>> torch.distributions.GeneralizedPareto(0.0, 1.0, 0.5).mean
    tensor(2.)

    Source: https://pytorch.org/docs/stable/distributions.html#generalizedpareto
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True
    _batched = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        number = all(is_number(x) for x in (loc, scale, concentration))
        super().__init__(SCALAR if number else self.loc.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Constraint:
        most = where(self.concentration >= 0, math.inf, self.loc - self.scale / self.concentration)
        return constraints.interval(self.loc, most)

    def _split(self) -> tuple[Tensor, Tensor]:
        """Whether the concentration is 0, and one that is not."""
        zero = isclose(self.concentration, zeros_like(self.concentration))
        return zero, where(zero, 1, self.concentration)

    def _z(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        u = rand(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.icdf(u)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z, (zero, c) = self._z(value), self._split()
        power = 1 / c + 1
        return -where(zero, z, where(power == 0, power, power * (c * z).log1p())) - self.scale.log()

    def log_survival_function(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of more than `value`."""
        if self._validate_args:
            self._validate_sample(value)
        z, (zero, c) = self._z(value), self._split()
        return where(zero, -z, -(c * z).log1p() / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of `cdf`."""
        if self._validate_args:
            self._validate_sample(value)
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        (zero, c), log_left = self._split(), (-value).log1p()
        return where(zero, self.loc - self.scale * log_left, self.loc + self.scale / c * (-c * log_left).expm1())

    @property
    def mean(self) -> Tensor:
        valid = self.concentration < 1
        return where(valid, self.loc + self.scale / (1 - where(valid, self.concentration, 0.5)), math.nan)

    @property
    def variance(self) -> Tensor:
        valid = self.concentration < 0.5
        c = where(valid, self.concentration, 0.25)
        return where(valid, self.scale**2 / ((1 - c)**2 * (1 - 2 * c)), math.nan)

    def entropy(self) -> Tensor:
        return (self.scale.log() + self.concentration + 1).expand(self._batch_shape)

    @property
    def mode(self) -> Tensor:
        return self.loc
