"""Divergences of distributions of numbers of two different families.

Most are -entropy(p) - the mean, over p, of log q: what is written out is that mean. Where p has numbers that q never
gives, the divergence is infinite.
"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.choosing import where
from ..tracer.functions.creation import full_like
from ..tracer.functions.special import xlogy
from ..tracer.tensor.tensor import Tensor
from .beta import Beta
from .continuous_bernoulli import ContinuousBernoulli
from .exponential import Exponential
from .gamma import Gamma
from .gumbel import Gumbel
from .kl import register_kl
from .kl_same import EULER, log_beta
from .laplace import Laplace
from .normal import Normal
from .pareto import Pareto
from .uniform import Uniform

# --- Where p gives numbers that q does not ----------------------------------------------------------------------------

_OUTSIDE: list[tuple[type, str, tuple[type, ...]]] = [
    (Beta, "concentration1", (Pareto,)),
    (ContinuousBernoulli, "probs", (Pareto,)),
    (Exponential, "rate", (Beta, ContinuousBernoulli, Pareto, Uniform)),
    (Gamma, "concentration", (Beta, ContinuousBernoulli, Pareto, Uniform)),
    (Gumbel, "loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    (Laplace, "loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    (Normal, "loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    (Pareto, "scale", (Beta, ContinuousBernoulli, Uniform)),
]


def _infinite(family: type, parameter: str, others: tuple[type, ...]) -> None:
    def kl(p: Any, q: Any) -> Tensor:
        return full_like(getattr(p, parameter), math.inf)

    for other in others:
        register_kl(family, other)(kl)


for _row in _OUTSIDE:
    _infinite(*_row)


# --- What several have in common --------------------------------------------------------------------------------------


def _from_gamma(q: Gamma, log_mean: Tensor, mean: Tensor) -> Tensor:
    """The mean of -log q for a gamma q, from those of log x and x."""
    c = q.concentration
    return c.lgamma() - c * q.rate.log() - (c - 1) * log_mean + q.rate * mean


def _from_normal(q: Normal, mean: Tensor, variance: Tensor) -> Tensor:
    """The mean of -log q for a normal q."""
    square = q.scale.pow(2)
    return 0.5 * (2 * math.pi * square).log() + 0.5 * (variance + (mean - q.loc).pow(2)) / square


def _x_log_x(x: Tensor) -> Tensor:
    return xlogy(x, x)


def _mean_log(low: Tensor, high: Tensor) -> Tensor:
    """The mean of log x over [low, high]."""
    return (_x_log_x(high) - _x_log_x(low)) / (high - low) - 1


# --- Beta -------------------------------------------------------------------------------------------------------------


@register_kl(Beta, ContinuousBernoulli)
def _kl_beta_continuous_bernoulli(p: Beta, q: ContinuousBernoulli) -> Tensor:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._cont_bern_log_norm()


@register_kl(Beta, Exponential)
def _kl_beta_exponential(p: Beta, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _kl_beta_gamma(p: Beta, q: Gamma) -> Tensor:
    log_mean = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    return -p.entropy() + _from_gamma(q, log_mean, p.mean)


@register_kl(Beta, Normal)
def _kl_beta_normal(p: Beta, q: Normal) -> Tensor:
    return -p.entropy() + _from_normal(q, p.mean, p.variance)


@register_kl(Beta, Uniform)
def _kl_beta_uniform(p: Beta, q: Uniform) -> Tensor:
    return where((q.low > 0) | (q.high < 1), math.inf, -p.entropy() + (q.high - q.low).log())


# --- Continuous Bernoulli ---------------------------------------------------------------------------------------------


@register_kl(ContinuousBernoulli, Exponential)
def _kl_continuous_bernoulli_exponential(p: ContinuousBernoulli, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(ContinuousBernoulli, Normal)
def _kl_continuous_bernoulli_normal(p: ContinuousBernoulli, q: Normal) -> Tensor:
    return -p.entropy() + _from_normal(q, p.mean, p.variance)


@register_kl(ContinuousBernoulli, Uniform)
def _kl_continuous_bernoulli_uniform(p: ContinuousBernoulli, q: Uniform) -> Tensor:
    return where((q.low >= 0) | (q.high <= 1), math.inf, -p.entropy() + (q.high - q.low).log())


# --- Exponential ------------------------------------------------------------------------------------------------------


@register_kl(Exponential, Gamma)
def _kl_exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    ratio, c = q.rate / p.rate, q.concentration
    return -c * ratio.log() + ratio + c.lgamma() + c * EULER - (1 + EULER)


@register_kl(Exponential, Gumbel)
def _kl_exponential_gumbel(p: Exponential, q: Gumbel) -> Tensor:
    product, place = p.rate * q.scale, q.loc / q.scale
    return product.log() - 1 - place + place.exp() * product / (product + 1) + product.reciprocal()


@register_kl(Exponential, Normal)
def _kl_exponential_normal(p: Exponential, q: Normal) -> Tensor:
    return -p.entropy() + _from_normal(q, p.mean, p.variance)


# --- Gamma ------------------------------------------------------------------------------------------------------------


@register_kl(Gamma, Exponential)
def _kl_gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Gamma, Gumbel)
def _kl_gamma_gumbel(p: Gamma, q: Gumbel) -> Tensor:
    c, product, place = p.concentration, p.rate * q.scale, q.loc / q.scale
    own = (c - 1) * c.digamma() - c.lgamma() - c
    return own + product.log() + c / product + place.exp() * (1 + product.reciprocal()).pow(-c) - place


@register_kl(Gamma, Normal)
def _kl_gamma_normal(p: Gamma, q: Normal) -> Tensor:
    return -p.entropy() + _from_normal(q, p.mean, p.variance)


# --- Gumbel, Laplace, normal ------------------------------------------------------------------------------------------


@register_kl(Gumbel, Normal)
def _kl_gumbel_normal(p: Gumbel, q: Normal) -> Tensor:
    return -p.entropy() + _from_normal(q, p.mean, p.variance)


@register_kl(Laplace, Normal)
def _kl_laplace_normal(p: Laplace, q: Normal) -> Tensor:
    return -p.entropy() + _from_normal(q, p.mean, p.variance)


@register_kl(Normal, Gumbel)
def _kl_normal_gumbel(p: Normal, q: Gumbel) -> Tensor:
    apart, square = (p.loc - q.loc) / q.scale, (p.scale / q.scale).pow(2)
    return -0.5 * square.log() + apart + (-apart + 0.5 * square).exp() - 0.5 * (1 + math.log(2 * math.pi))


@register_kl(Normal, Laplace)
def _kl_normal_laplace(p: Normal, q: Laplace) -> Tensor:
    apart = p.loc - q.loc
    ratio = apart / p.scale
    away = math.sqrt(2 / math.pi) * p.scale * (-0.5 * ratio.pow(2)).exp() + apart * (math.sqrt(0.5) * ratio).erf()
    return -(p.scale / q.scale).log() + away / q.scale - 0.5 * (1 + math.log(0.5 * math.pi))


# --- Pareto -----------------------------------------------------------------------------------------------------------


@register_kl(Pareto, Exponential)
def _kl_pareto_exponential(p: Pareto, q: Exponential) -> Tensor:
    product, alpha = p.scale * q.rate, p.alpha
    result = (alpha / product).log() - alpha.reciprocal() + alpha * product / (alpha - 1) - 1
    return where(alpha <= 1, math.inf, result)


@register_kl(Pareto, Gamma)
def _kl_pareto_gamma(p: Pareto, q: Gamma) -> Tensor:
    alpha = p.alpha
    log_mean = p.scale.log() + alpha.reciprocal()
    result = alpha.log() - log_mean - 1 + _from_gamma(q, log_mean, alpha * p.scale / (alpha - 1))
    return where(alpha <= 1, math.inf, result)


@register_kl(Pareto, Normal)
def _kl_pareto_normal(p: Pareto, q: Normal) -> Tensor:
    return where(p.alpha <= 2, math.inf, -p.entropy() + _from_normal(q, p.mean, p.variance))


# --- Uniform ----------------------------------------------------------------------------------------------------------


@register_kl(Uniform, Beta)
def _kl_uniform_beta(p: Uniform, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0
    logs = (a - 1) * _mean_log(p.low, p.high) + (b - 1) * _mean_log(1 - p.high, 1 - p.low)
    result = log_beta(a, b) - logs - (p.high - p.low).log()
    return where((p.high > 1) | (p.low < 0), math.inf, result)


@register_kl(Uniform, ContinuousBernoulli)
def _kl_uniform_continuous_bernoulli(p: Uniform, q: ContinuousBernoulli) -> Tensor:
    result = -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._cont_bern_log_norm()
    return where((p.high >= 1) | (p.low <= 0), math.inf, result)


@register_kl(Uniform, Exponential)
def _kl_uniform_exponential(p: Uniform, q: Exponential) -> Tensor:
    return where(p.low < 0, math.inf, q.rate * p.mean - ((p.high - p.low) * q.rate).log())


@register_kl(Uniform, Gamma)
def _kl_uniform_gamma(p: Uniform, q: Gamma) -> Tensor:
    result = -(p.high - p.low).log() + _from_gamma(q, _mean_log(p.low, p.high), p.mean)
    return where(p.low < 0, math.inf, result)


@register_kl(Uniform, Gumbel)
def _kl_uniform_gumbel(p: Uniform, q: Gumbel) -> Tensor:
    ratio = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return ratio.log() + 0.5 * (high + low) - ratio * ((-high).exp() - (-low).exp())


@register_kl(Uniform, Normal)
def _kl_uniform_normal(p: Uniform, q: Normal) -> Tensor:
    return -p.entropy() + _from_normal(q, p.mean, p.variance)


@register_kl(Uniform, Pareto)
def _kl_uniform_pareto(p: Uniform, q: Pareto) -> Tensor:
    density = q.alpha.log() + q.alpha * q.scale.log() + (p.high - p.low).log()
    return where(p.low < q.scale, math.inf, _mean_log(p.low, p.high) * (q.alpha + 1) - density)
