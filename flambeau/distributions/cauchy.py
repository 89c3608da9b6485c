"""The Cauchy distribution: https://pytorch.org/docs/stable/distributions.html#cauchy"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.creation import full
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import SCALAR, broadcast_all, is_number

__all__ = ["Cauchy"]


class Cauchy(Distribution):
    r"""Numbers of density 1 / (pi scale (1 + ((x - loc) / scale)**2)), without mean and variance.

    Args: `loc`, the median; `scale`, half the width at half the height.

    >>> import flambeau as torch
    >>> torch.distributions.Cauchy(0.0, 1.0).cdf(torch.tensor(1.0))
    tensor(0.7500)

    Source: https://pytorch.org/docs/stable/distributions.html#cauchy
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _batched = {"loc": 0, "scale": 0}

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        number = is_number(loc) and is_number(scale)
        super().__init__(SCALAR if number else self.loc.size(), validate_args=validate_args)

    def _everywhere(self, number: float) -> Tensor:
        return full(self._extended_shape(), number, dtype=self.loc.dtype, device=self.loc.device)

    @property
    def mean(self) -> Tensor:
        return self._everywhere(math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self._everywhere(math.inf)

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        return self.loc + self.loc.new_empty(self._extended_shape(sample_shape)).cauchy_() * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return -math.log(math.pi) - self.scale.log() - (((value - self.loc) / self.scale)**2).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()
