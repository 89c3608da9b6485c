"""The gamma distribution: https://pytorch.org/docs/stable/distributions.html#gamma"""

from __future__ import annotations

from typing import Any

from ..tracer.functions.choosing import clamp
from ..tracer.functions.creation import as_tensor
from ..tracer.functions.incomplete_gamma import igamma
from ..tracer.functions.random import standard_gamma
from ..tracer.functions.special import xlogy
from ..tracer.ir.dtypes import finfo
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .exp_family import ExponentialFamily
from .utils import SCALAR, broadcast_all, is_number

__all__ = ["Gamma"]


class Gamma(ExponentialFamily):
    r"""Numbers x > 0 of density rate**c x**(c - 1) exp(-rate x) / gamma(c), c the concentration.

    Args: `concentration`, the shape; `rate`, the inverse of the scale.

    >>> import flambeau as torch
    >>> torch.distributions.Gamma(3.0, 2.0).mean
    tensor(1.5000)

    Source: https://pytorch.org/docs/stable/distributions.html#gamma
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0
    _batched = {"concentration": 0, "rate": 0}

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        number = is_number(concentration) and is_number(rate)
        super().__init__(SCALAR if number else self.concentration.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return clamp((self.concentration - 1) / self.rate, min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        shape = self._extended_shape(sample_shape)
        value = standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        value.detach().clamp_(min=finfo(value.dtype).tiny)  # the value alone: gradients pass
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        value = as_tensor(value, dtype=self.rate.dtype, device=self.rate.device)
        if self._validate_args:
            self._validate_sample(value)
        c = self.concentration
        return xlogy(c, self.rate) + xlogy(c - 1, value) - self.rate * value - c.lgamma()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return igamma(self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        c = self.concentration
        return c - self.rate.log() + c.lgamma() + (1.0 - c) * c.digamma()

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return self.concentration - 1, -self.rate

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x, y = natural_params
        return (x + 1).lgamma() + (x + 1) * (-y.reciprocal()).log()
