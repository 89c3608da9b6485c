"""The Dirichlet distribution: https://pytorch.org/docs/stable/distributions.html#dirichlet"""

from __future__ import annotations

from typing import Any

from ..nn.functional import one_hot
from ..tracer.functions.choosing import clamp, where
from ..tracer.functions.random import dirichlet
from ..tracer.functions.special import xlogy
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .exp_family import ExponentialFamily
from .utils import SCALAR

__all__ = ["Dirichlet"]


class Dirichlet(ExponentialFamily):
    r"""Positive numbers of sum 1, in proportion to gamma numbers of the concentrations.

    Args: `concentration` (*, k).

    >>> import flambeau as torch
    >>> torch.distributions.Dirichlet(torch.tensor([0.5, 1.5])).mean
    tensor([0.2500, 0.7500])

    Source: https://pytorch.org/docs/stable/distributions.html#dirichlet
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _batched = {"concentration": 1}

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        return dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        c = self.concentration
        return xlogy(c - 1.0, value).sum(-1) + c.sum(-1).lgamma() - c.lgamma().sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        beyond = clamp(self.concentration - 1, min=0.0)
        mode = beyond / beyond.sum(-1, True)
        corner = one_hot(mode.argmax(-1), beyond.shape[-1]).to(mode)
        return where((self.concentration < 1).all(-1, True), corner, mode)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def entropy(self) -> Tensor:
        c, k = self.concentration, self.concentration.size(-1)
        total = c.sum(-1)
        return c.lgamma().sum(-1) - total.lgamma() - (k - total) * total.digamma() - ((c - 1.0) * c.digamma()).sum(-1)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.concentration,)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x, = natural_params
        return x.lgamma().sum(-1) - x.sum(-1).lgamma()
