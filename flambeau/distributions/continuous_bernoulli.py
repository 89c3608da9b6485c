"""The continuous Bernoulli distribution: https://pytorch.org/docs/stable/distributions.html#continuousbernoulli"""

from __future__ import annotations

import math
from typing import Any

from ..nn.functional import binary_cross_entropy_with_logits
from ..tracer.autograd.modes import no_grad
from ..tracer.functions.checks import check_told
from ..tracer.functions.choosing import clamp, where
from ..tracer.functions.random import rand
from ..tracer.functions.reduce import all as all_
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .exp_family import ExponentialFamily
from .odds import Odds, check_one
from .utils import SCALAR, broadcast_all, clamp_probs, is_number, lazy_property, logits_to_probs

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Odds, ExponentialFamily):
    r"""Numbers x of [0, 1] of density in proportion to p**x (1 - p)**(1 - x) (Loaiza-Ganem and Cunningham, 2019).

    Args: `probs`, p; or `logits`, log(p / (1 - p)); `lims`, between which p counts as near 1 / 2, where series are used.

    >>> import flambeau as torch
    >>> torch.distributions.ContinuousBernoulli(torch.tensor(0.5)).mean
    tensor(0.5000)

    Source: https://pytorch.org/docs/stable/distributions.html#continuousbernoulli
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    _mean_carrier_measure = 0
    has_rsample = True
    _batched = {"probs": 0, "logits": 0, "_param": 0}
    _kept = ("_lims",)

    def __init__(self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
                 validate_args: bool | None = None) -> None:
        check_one(probs, logits)
        given, = broadcast_all(logits if probs is None else probs)
        if probs is not None and validate_args:
            check_told("ContinuousBernoulli", ~all_(constraints.unit_interval.check(given)), ValueError,
                       lambda now: "The parameter probs has invalid values")
        self._set(*((None, given) if probs is None else (clamp_probs(given), None)))
        self._lims = lims
        number = is_number(logits if probs is None else probs)
        super().__init__(SCALAR if number else self._param.size(), validate_args=validate_args)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside_unstable_region(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self) -> Tensor:
        return where(self._outside_unstable_region(), self.probs, self._lims[0])

    def _stable(self, exact: Tensor, series: Tensor) -> Tensor:
        return where(self._outside_unstable_region(), exact, series)

    def _cont_bern_log_norm(self) -> Tensor:
        """The logarithm of the constant of the density."""
        cut = self._cut_probs()
        below, above = where(cut <= 0.5, cut, 0), where(cut >= 0.5, cut, 1)
        log_norm = ((-cut).log1p() - cut.log()).abs().log() - where(cut <= 0.5, (-2 * below).log1p(), (2 * above - 1).log())
        x = (self.probs - 0.5).pow(2)
        return self._stable(log_norm, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Tensor:
        cut, x = self._cut_probs(), self.probs - 0.5
        exact = cut / (2 * cut - 1.0) + 1.0 / ((-cut).log1p() - cut.log())
        return self._stable(exact, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def mode(self) -> Tensor:
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def variance(self) -> Tensor:
        cut, x = self._cut_probs(), (self.probs - 0.5).pow(2)
        exact = cut * (cut - 1.0) / (1.0 - 2.0 * cut).pow(2) + 1.0 / ((-cut).log1p() - cut.log()).pow(2)
        return self._stable(exact, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def _uniform(self, sample_shape: Any) -> Tensor:
        return rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        with no_grad():
            return self.icdf(self._uniform(sample_shape))

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        return self.icdf(self._uniform(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._cont_bern_log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        cut = self._cut_probs()
        exact = (cut.pow(value) * (1.0 - cut).pow(1.0 - value) + cut - 1.0) / (2.0 * cut - 1.0)
        return clamp(self._stable(exact, value), 0.0, 1.0)

    def icdf(self, value: Tensor) -> Tensor:
        cut = self._cut_probs()
        exact = ((-cut + value * (2.0 * cut - 1.0)).log1p() - (-cut).log1p()) / (cut.log() - (-cut).log1p())
        return self._stable(exact, value)

    def entropy(self) -> Tensor:
        first, second = (-self.probs).log1p(), self.probs.log()
        return self.mean * (first - second) - self._cont_bern_log_norm() - first

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.logits,)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        """log((exp(x) - 1) / x)."""
        x, = natural_params
        outside = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = where(outside, x, self._lims[0] - 0.5)
        exact = cut.expm1().abs().log() - cut.abs().log()
        return where(outside, exact, 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0)
