"""The Poisson distribution: https://pytorch.org/docs/stable/distributions.html#poisson"""

from __future__ import annotations

from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.random import poisson
from ..tracer.functions.special import xlogy
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .exp_family import ExponentialFamily
from .utils import SCALAR, broadcast_all, is_number

__all__ = ["Poisson"]


class Poisson(ExponentialFamily):
    r"""Whole numbers k of probability rate**k exp(-rate) / k!.

    Args: `rate`, the mean.

    >>> import flambeau as torch
    >>> torch.distributions.Poisson(torch.tensor([0.0, 4.5])).mode
    tensor([0., 4.])

    Source: https://pytorch.org/docs/stable/distributions.html#poisson
    """

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    _batched = {"rate": 0}

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self.rate, = broadcast_all(rate)
        super().__init__(SCALAR if is_number(rate) else self.rate.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        with no_grad():
            return poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return xlogy(value, rate) - rate - (value + 1).lgamma()

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.rate.log(),)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        return natural_params[0].exp()
