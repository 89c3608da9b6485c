"""The Fisher-Snedecor distribution: https://pytorch.org/docs/stable/distributions.html#fishersnedecor"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.choosing import clamp, where
from ..tracer.ir.dtypes import finfo
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .distribution import Distribution
from .gamma import Gamma
from .utils import SCALAR, broadcast_all, is_number

__all__ = ["FisherSnedecor"]


class FisherSnedecor(Distribution):
    r"""Ratios of two chi-squared numbers, each over its degrees of freedom.

    Args: `df1` and `df2`, the degrees of freedom of the two.

    >>> import flambeau as torch
    >>> torch.distributions.FisherSnedecor(1.0, 4.0).mean
    tensor(2.)

    Source: https://pytorch.org/docs/stable/distributions.html#fishersnedecor
    """

    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = broadcast_all(df1, df2)
        self._gamma1 = Gamma(self.df1 * 0.5, self.df1)
        self._gamma2 = Gamma(self.df2 * 0.5, self.df2)
        number = is_number(df1) and is_number(df2)
        super().__init__(SCALAR if number else self.df1.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(FisherSnedecor, _instance)
        batch_shape = Size(batch_shape)
        new.df1, new.df2 = self.df1.expand(batch_shape), self.df2.expand(batch_shape)
        new._gamma1, new._gamma2 = self._gamma1.expand(batch_shape), self._gamma2.expand(batch_shape)
        return self._validated_as(new, batch_shape)

    @property
    def mean(self) -> Tensor:
        df2 = where(self.df2 <= 2, math.nan, self.df2)
        return df2 / (df2 - 2)

    @property
    def mode(self) -> Tensor:
        mode = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return where(self.df1 <= 2, math.nan, mode)

    @property
    def variance(self) -> Tensor:
        df1, df2 = self.df1, where(self.df2 <= 4, math.nan, self.df2)
        return 2 * df2.pow(2) * (df1 + df2 - 2) / (df1 * (df2 - 2).pow(2) * (df2 - 4))

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        shape, tiny = self._extended_shape(sample_shape), finfo(self.df1.dtype).tiny
        top, bottom = (g.rsample(sample_shape).reshape(shape) for g in (self._gamma1, self._gamma2))
        return clamp(top / clamp(bottom, min=tiny), min=tiny)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a, b = self.df1 * 0.5, self.df2 * 0.5
        ratio = self.df1 / self.df2
        start = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return start + a * ratio.log() + (a - 1) * value.log() - (a + b) * (ratio * value).log1p()
