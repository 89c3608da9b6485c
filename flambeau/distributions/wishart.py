"""The Wishart distribution: https://pytorch.org/docs/stable/distributions.html#wishart"""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..tracer.functions.checks import can_read, check_told
from ..tracer.functions.choosing import where
from ..tracer.functions.operands import broadcast_shapes
from ..tracer.functions.ranges import arange
from ..tracer.functions.special import mvlgamma
from ..tracer.functions.systems import linalg_slogdet
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .chi2 import Chi2
from .constraints import Constraint
from .definite import cholesky, half_log_det, inverse_from, is_positive_definite, solve_lower
from .exp_family import ExponentialFamily
from .multivariate_normal import NOT_ONE, factor_from, the_one
from .utils import SCALAR, broadcast_all, is_number, lazy_property, standard_normal

__all__ = ["Wishart"]


class Wishart(ExponentialFamily):
    r"""Positive definite matrices: the sums of x x^T of df normal vectors x.

    Args: `df`, degrees of freedom greater than n - 1; one of `covariance_matrix`, `precision_matrix` and `scale_tril`.

    >>> import flambeau as torch
    >>> d = torch.distributions.Wishart(torch.tensor(2.0), covariance_matrix=torch.eye(2))
    >>> d.mean
    tensor([[2., 0.],
            [0., 2.]])

    Source: https://pytorch.org/docs/stable/distributions.html#wishart
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, df: Any, covariance_matrix: Tensor | None = None, precision_matrix: Tensor | None = None,
                 scale_tril: Tensor | None = None, validate_args: bool | None = None) -> None:
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        assert sum(x is not None for x in given.values()) == 1, NOT_ONE  # torch's kind of error, for this family
        name, matrix = the_one(given)
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        batch = Size(broadcast_shapes(matrix.shape[:-2], () if is_number(df) else df.shape))
        event = matrix.shape[-2:]
        self.df = broadcast_all(df, matrix.new_zeros(()))[0].expand(batch)
        check_told("Wishart", self.df <= event[-1] - 1, ValueError, lambda now:
                   f"Value of df={df if now else ''} expected to be greater than ndim - 1 = {event[-1] - 1}.")
        setattr(self, name, matrix.expand((*batch, *event)))
        super().__init__(batch, event, validate_args=validate_args)
        if can_read(self.df) and bool((self.df < event[-1]).any()):
            warnings.warn("Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                          stacklevel=2)
        self._unbroadcasted_scale_tril = factor_from(name, matrix)
        self._set_chi2()

    def _set_chi2(self) -> None:
        steps = arange(self._event_shape[-1], dtype=self.df.dtype, device=self.df.device)
        self._dist_chi2 = Chi2(df=self.df.unsqueeze(-1) - steps, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
                "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(self.event_shape[-1] - 1)}

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Wishart, _instance)
        batch_shape = Size(batch_shape)
        for name in ("covariance_matrix", "precision_matrix", "scale_tril"):
            if name in vars(self):
                setattr(new, name, vars(self)[name].expand(batch_shape + self.event_shape))
        new.df, new._unbroadcasted_scale_tril = self.df.expand(batch_shape), self._unbroadcasted_scale_tril
        self._validated_as(new, batch_shape)
        new._set_chi2()
        return new

    def _factor(self) -> Tensor:
        return self._unbroadcasted_scale_tril.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower factor of the covariances."""
        return self._factor()

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariances of the vectors."""
        factor = self._unbroadcasted_scale_tril
        return (factor @ factor.mT).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariances."""
        return inverse_from(self._unbroadcasted_scale_tril).expand(self._batch_shape + self._event_shape)

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        return where(factor <= 0, math.nan, factor)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett(self, sample_shape: Any) -> Tensor:
        """Draws by Bartlett's decomposition: chi numbers on the diagonal, normal ones below it."""
        shape = self._extended_shape(sample_shape)
        lower = self._dist_chi2.rsample(sample_shape).sqrt().diag_embed() + standard_normal(shape, self.df).tril(-1)
        product = self._unbroadcasted_scale_tril @ lower
        return product @ product.mT

    def rsample(self, sample_shape: Any = SCALAR, max_try_correction: int | None = None) -> Tensor:
        """Draws; singular ones are drawn again, up to `max_try_correction` times (10, and 3 in a compiled step)."""
        sample_shape = Size(sample_shape)
        tries = (10 if can_read(self.df) else 3) if max_try_correction is None else max_try_correction
        sample, told = self._bartlett(sample_shape), False
        for _ in range(tries):
            singular = ~is_positive_definite(sample)
            if can_read(self.df):
                if not bool(singular.any()):
                    break
                if not told:
                    warnings.warn("Singular sample detected.", stacklevel=2)
                told = True
            sample = where(singular[..., None, None], self._bartlett(sample_shape), sample)
        return sample

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        nu, p = self.df, self._event_shape[-1]
        factor = self._unbroadcasted_scale_tril
        trace = solve_lower(factor, solve_lower(factor, value).mT).diagonal(dim1=-2, dim2=-1).sum(-1)
        return (-nu * (p * math.log(2) / 2 + half_log_det(factor)) - mvlgamma(nu / 2, p)
                + (nu - p - 1) / 2 * linalg_slogdet(value).logabsdet - trace / 2)

    def entropy(self) -> Tensor:
        nu, p = self.df, self._event_shape[-1]
        slopes = sum(((nu - j) / 2).digamma() for j in range(p))
        return ((p + 1) * (p * math.log(2) / 2 + half_log_det(self._unbroadcasted_scale_tril)) + mvlgamma(nu / 2, p)
                - (nu - p - 1) / 2 * slopes + nu * p / 2)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x, y = natural_params
        p = self._event_shape[-1]
        half = y + (p + 1) / 2
        return half * (-2 * half_log_det(cholesky(-2 * x)) + math.log(2) * p) + mvlgamma(half, p)
