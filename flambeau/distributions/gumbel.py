"""The Gumbel distribution: https://pytorch.org/docs/stable/distributions.html#gumbel"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tracer.functions.creation import full_like, ones_like
from ..tracer.ir.dtypes import finfo
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, ExpTransform
from .uniform import Uniform
from .utils import broadcast_all, is_number

__all__ = ["Gumbel"]


class Gumbel(TransformedDistribution):
    r"""loc - scale log(-log(u)) for u uniform in (0, 1): the limit of maxima.

    Args: `loc`, the mode; `scale`.

    >>> import flambeau as torch
    >>> torch.distributions.Gumbel(1.0, 2.0).mode
    tensor(1.)

    Source: https://pytorch.org/docs/stable/distributions.html#gumbel
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        info = finfo(self.loc.dtype)
        low, high = info.tiny, 1 - info.eps
        base = Uniform(full_like(self.loc, low), full_like(self.loc, high), validate_args=validate_args)
        if is_number(loc) and is_number(scale):
            base = Uniform(low, high, validate_args=validate_args)
        transforms = [ExpTransform().inv, AffineTransform(loc=0, scale=-ones_like(self.scale)), ExpTransform().inv,
                      AffineTransform(loc=loc, scale=-self.scale)]
        super().__init__(base, transforms, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Gumbel, _instance)
        new.loc, new.scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        return super().expand(batch_shape, _instance=new)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * float(np.euler_gamma)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev.pow(2)

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + float(np.euler_gamma))
