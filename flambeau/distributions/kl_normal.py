"""Divergences of normal distributions of vectors."""

from __future__ import annotations

from typing import Any

from ..tracer.functions.operands import broadcast_shapes
from ..tracer.tensor.tensor import Tensor
from .definite import half_log_det, mahalanobis, solve_lower, trace_of_square
from .kl import register_kl
from .lowrank_multivariate_normal import LowRankMultivariateNormal, low_rank_distance, low_rank_log_det
from .multivariate_normal import MultivariateNormal


def _check_events(p: Any, q: Any, names: str) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(f"KL-divergence between two {names} with different event shapes cannot be computed")


def _log_det(p: Any) -> Tensor:
    """log |covariances|."""
    if isinstance(p, LowRankMultivariateNormal):
        return low_rank_log_det(p._unbroadcasted_cov_diag, p._capacitance_tril)
    return 2 * half_log_det(p._unbroadcasted_scale_tril)


def _distance(q: Any, x: Tensor) -> Tensor:
    """x^T covariances^-1 x."""
    if isinstance(q, LowRankMultivariateNormal):
        return low_rank_distance(q._unbroadcasted_cov_factor, q._unbroadcasted_cov_diag, x, q._capacitance_tril)
    return mahalanobis(q._unbroadcasted_scale_tril, x)


def _half(q: LowRankMultivariateNormal) -> Tensor:
    """A with covariances^-1 = D^-1 - A^T A."""
    return solve_lower(q._capacitance_tril, q._unbroadcasted_cov_factor.mT / q._unbroadcasted_cov_diag.unsqueeze(-2))


def _trace_in(q: Any, root: Tensor) -> Tensor:
    """The trace of q's covariances^-1 R R^T."""
    if isinstance(q, LowRankMultivariateNormal):
        return trace_of_square(root * q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1)) - trace_of_square(_half(q) @ root)
    batch = broadcast_shapes(q._unbroadcasted_scale_tril.shape[:-2], root.shape[:-2])
    return trace_of_square(solve_lower(q._unbroadcasted_scale_tril, root.expand((*batch, *root.shape[-2:]))))


def _trace(p: Any, q: Any) -> Tensor:
    """The trace of q's covariances^-1 times p's covariances."""
    if isinstance(p, LowRankMultivariateNormal):
        return _trace_in(q, p._unbroadcasted_cov_factor) + _trace_in(q, p._unbroadcasted_cov_diag.sqrt().diag_embed())
    return _trace_in(q, p._unbroadcasted_scale_tril)


def _divergence(p: Any, q: Any) -> Tensor:
    size = p.event_shape[0]
    return 0.5 * (_log_det(q) - _log_det(p) + _trace(p, q) + _distance(q, q.loc - p.loc) - size)


@register_kl(MultivariateNormal, MultivariateNormal)
def _kl_full(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    _check_events(p, q, "Multivariate Normals")
    return _divergence(p, q)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _kl_low_rank(p: LowRankMultivariateNormal, q: LowRankMultivariateNormal) -> Tensor:
    _check_events(p, q, "Low Rank Multivariate Normals")
    return _divergence(p, q)


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _kl_mixed(p: Any, q: Any) -> Tensor:
    _check_events(p, q, "(Low Rank) Multivariate Normals")
    return _divergence(p, q)
