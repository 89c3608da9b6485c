"""The von Mises distribution: https://pytorch.org/docs/stable/distributions.html#vonmises"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.choosing import where
from ..tracer.functions.random import von_mises
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import SCALAR, broadcast_all

# The modified Bessel functions of orders 0 and 1: https://personal.math.ubc.ca/~cbm/aands/page_378.htm (9.8.1 to 9.8.4)
_NEAR = ((1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
         (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3))
_FAR = ((0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2, -0.2057706e-1, 0.2635537e-1, -0.1647633e-1,
         0.392377e-2),
        (0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1, 0.2282967e-1, -0.2895312e-1, 0.1787654e-1,
         -0.420059e-2))
_BREAK = 3.75


def _polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    total = coefficients[-1] + 0 * x
    for c in reversed(coefficients[:-1]):
        total = c + x * total
    return total


def _log_bessel(x: Tensor, order: int) -> Tensor:
    """log I0(x) or log I1(x), for x > 0."""
    near = _polynomial((x / _BREAK)**2, _NEAR[order])
    near = (x.abs() * near if order else near).log()
    far = x - 0.5 * x.log() + _polynomial(_BREAK / x, _FAR[order]).log()
    return where(x < _BREAK, near, far)

__all__ = ["VonMises"]


class VonMises(Distribution):
    r"""Angles around `loc`, of density in proportion to exp(concentration cos(x - loc)).

    Args: `loc`, an angle in radians; `concentration`, how close to it.

    >>> import flambeau as torch
    >>> d = torch.distributions.VonMises(torch.tensor(1.0), torch.tensor(4.0))
    >>> d.mean
    tensor(1.)

    Source: https://pytorch.org/docs/stable/distributions.html#vonmises
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    _batched = {"loc": 0, "concentration": 0}

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, SCALAR, validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        cosine = self.concentration * (value - self.loc).cos()
        return cosine - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        with no_grad():
            around = von_mises(self.concentration.double().expand(self._extended_shape(sample_shape)))
            angle = (around + math.pi + self.loc.double()) % (2 * math.pi) - math.pi
            return angle.to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 1 - (_log_bessel(self.concentration, 1) - _log_bessel(self.concentration, 0)).exp()
