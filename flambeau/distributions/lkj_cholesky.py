"""The LKJ distribution: https://pytorch.org/docs/stable/distributions.html#lkjcholesky"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.choosing import clamp
from ..tracer.functions.creation import zeros
from ..tracer.functions.joining import cat
from ..tracer.functions.ranges import arange
from ..tracer.functions.special import mvlgamma
from ..tracer.ir.dtypes import finfo
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import SCALAR, broadcast_all, standard_normal

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    r"""Lower factors of correlation matrices M, of density in proportion to |M|**(concentration - 1).

    Args: `dim`, their size; `concentration`.

    >>> import flambeau as torch
    >>> torch.distributions.LKJCholesky(3, 0.5).sample().shape
    torch.Size([3, 3])

    Source: https://pytorch.org/docs/stable/distributions.html#lkjcholesky
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        self.concentration, = broadcast_all(concentration)
        kind, on = self.concentration.dtype, self.concentration.device
        rows = cat([zeros(1, dtype=kind, device=on), arange(dim - 1, dtype=kind, device=on)])
        first = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1)
        self._beta = Beta(rows + 0.5, first - 0.5 * rows)  # of the squared length that a row has before its last number
        super().__init__(self.concentration.size(), Size((dim, dim)), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(LKJCholesky, _instance)
        batch_shape = Size(batch_shape)
        new.dim, new.concentration = self.dim, self.concentration.expand(batch_shape)
        new._beta = self._beta.expand((*batch_shape, self.dim))
        return self._validated_as(new, batch_shape)

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        """By the onion method: each row is a direction of random length, and what is missing to length 1."""
        with no_grad():
            length = self._beta.sample(sample_shape).unsqueeze(-1).sqrt()
            normal = standard_normal(self._extended_shape(sample_shape), self.concentration).tril(-1)
            norm = (normal * normal).sum(-1, keepdim=True).sqrt()
            rows = length * (normal / norm.masked_fill(norm == 0, 1))
            last = clamp(1 - (rows * rows).sum(-1), min=finfo(rows.dtype).tiny).sqrt()
            return rows + last.diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diagonal, last = value.diagonal(dim1=-1, dim2=-2)[..., 1:], self.dim - 1
        order = arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        alpha = self.concentration + 0.5 * last
        norm = 0.5 * last * math.log(math.pi) + mvlgamma(alpha - 0.5, last) - alpha.lgamma() * last
        return (order * diagonal.log()).sum(-1) - norm
