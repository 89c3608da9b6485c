"""The multivariate normal distribution: https://pytorch.org/docs/stable/distributions.html#multivariatenormal"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.operands import broadcast_shapes
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .definite import cholesky, factor_of_inverse, half_log_det, inverse_from, mahalanobis
from .definite import factor_of_inverse as _precision_to_scale_tril  # noqa: F401  (under the name that others import)
from .definite import mahalanobis as _batch_mahalanobis  # noqa: F401
from .distribution import Distribution
from .utils import SCALAR, lazy_property, standard_normal

__all__ = ["MultivariateNormal"]

NOT_ONE = "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."


def _batch_mv(bmat: Tensor, bvec: Tensor) -> Tensor:
    """Products of matrices and vectors, whose leading dimensions broadcast."""
    return (bmat @ bvec.unsqueeze(-1)).squeeze(-1)


class MultivariateNormal(Distribution):
    r"""Vectors of density in proportion to exp(-(x - loc)^T covariance^-1 (x - loc) / 2).

    Args: `loc` (*, n); one of `covariance_matrix`, `precision_matrix` and `scale_tril`, its lower factor, (*, n, n).

    >>> import flambeau as torch
    >>> d = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    >>> d.log_prob(torch.zeros(2))
    tensor(-1.8379)

    Source: https://pytorch.org/docs/stable/distributions.html#multivariatenormal
    """

    arg_constraints = {"loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
                       "precision_matrix": constraints.positive_definite, "scale_tril": constraints.lower_cholesky}
    support = constraints.real_vector
    has_rsample = True
    _batched = {"loc": 1, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2}
    _kept = ("_unbroadcasted_scale_tril",)

    def __init__(self, loc: Tensor, covariance_matrix: Tensor | None = None, precision_matrix: Tensor | None = None,
                 scale_tril: Tensor | None = None, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        name, matrix = the_one(given)
        if matrix.dim() < 2:
            plural = "" if name == "scale_tril" else " "
            raise ValueError(f"{name} {'matrix ' if not plural else ''}must be at least two-dimensional, with optional "
                             "leading batch dimensions")
        batch = Size(broadcast_shapes(matrix.shape[:-2], loc.shape[:-1]))
        setattr(self, name, matrix.expand((*batch, *matrix.shape[-2:])))
        self.loc = loc.expand((*batch, loc.shape[-1]))
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor_from(name, matrix)

    def _factor(self) -> Tensor:
        n = self._event_shape
        return self._unbroadcasted_scale_tril.expand((*self._batch_shape, *n, *n))

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower factor of the covariances."""
        return self._factor()

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariances."""
        factor = self._unbroadcasted_scale_tril
        return (factor @ factor.mT).expand(self._factor().shape)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariances."""
        return inverse_from(self._unbroadcasted_scale_tril).expand(self._factor().shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        normal = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + (self._unbroadcasted_scale_tril @ normal.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        factor = self._unbroadcasted_scale_tril
        distance = mahalanobis(factor, value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - half_log_det(factor)

    def entropy(self) -> Tensor:
        entropy = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + half_log_det(self._unbroadcasted_scale_tril)
        return entropy.expand(self._batch_shape)


def the_one(given: dict[str, Tensor | None]) -> tuple[str, Tensor]:
    """The name and the matrix that is given; ValueError unless it is one."""
    found = [(name, matrix) for name, matrix in given.items() if matrix is not None]
    if len(found) != 1:
        raise ValueError(NOT_ONE)
    return found[0]


def factor_from(name: str, matrix: Tensor) -> Tensor:
    """The lower factor of the covariances, from what was given."""
    if name == "scale_tril":
        return matrix
    return cholesky(matrix) if name == "covariance_matrix" else factor_of_inverse(matrix)
