"""The Student's t distribution: https://pytorch.org/docs/stable/distributions.html#studentt"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.choosing import where
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .utils import SCALAR, broadcast_all, standard_normal

__all__ = ["StudentT"]


class StudentT(Distribution):
    r"""loc + scale * (a normal number) / sqrt(a chi-squared number over its degrees of freedom).

    Args: `df`, the degrees of freedom; `loc`; `scale`.

    >>> import flambeau as torch
    >>> torch.distributions.StudentT(4.0).variance
    tensor(2.)

    Source: https://pytorch.org/docs/stable/distributions.html#studentt
    """

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(StudentT, _instance)
        batch_shape = Size(batch_shape)
        new.df, new.loc, new.scale = (x.expand(batch_shape) for x in (self.df, self.loc, self.scale))
        new._chi2 = self._chi2.expand(batch_shape)
        return self._validated_as(new, batch_shape)

    @property
    def mean(self) -> Tensor:
        return where(self.df <= 1, math.nan, self.loc)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        df = self.df
        finite = self.scale.pow(2) * df / (where(df > 2, df, 3) - 2)
        return where(df > 2, finite, where(df <= 1, math.nan, where(df <= 2, math.inf, df)))

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        x = standard_normal(self._extended_shape(sample_shape), self.df)
        return self.loc + self.scale * x * (self._chi2.rsample(sample_shape) / self.df).rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        df, y = self.df, (value - self.loc) / self.scale
        start = self.scale.log() + 0.5 * df.log() + 0.5 * math.log(math.pi) + (0.5 * df).lgamma()
        return -0.5 * (df + 1.0) * (y**2.0 / df).log1p() - (start - (0.5 * (df + 1.0)).lgamma())

    def entropy(self) -> Tensor:
        df, half = self.df, 0.5 * (self.df + 1)
        log_beta = (0.5 * df).lgamma() + 0.5 * math.log(math.pi) - half.lgamma()
        return self.scale.log() + half * (half.digamma() - (0.5 * df).digamma()) + 0.5 * df.log() + log_beta
