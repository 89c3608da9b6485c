"""Angles around a mean direction.

Source: D. J. Best and N. I. Fisher, "Efficient simulation of the von Mises distribution", Applied Statistics 28, 1979.
"""

from __future__ import annotations

import math

from ...tensor.tensor import Tensor
from ..choosing import clamp, where
from ..operands import wrap
from ..unary import acos, cos, log, sign, sqrt
from .counts import repeat
from .generator import Generator, generator_on
from .values import open_symmetric_value, open_uniform

_BROAD = 1e-2  # concentrations below it, for which the bound of the rejection is given by a series


def _proposal(concentration: Tensor) -> Tensor:
    """The parameter r of the wrapped Cauchy distribution from which angles are proposed."""
    broad = concentration < _BROAD
    k = where(broad, 1.0, concentration)
    tau = 1 + sqrt(1 + 4 * k * k)
    rho = (tau - sqrt(2 * tau)) / (2 * k)
    small = where(broad & (concentration > 0), concentration, 1.0)
    return where(broad, 1 / small + small, (1 + rho * rho) / (2 * rho))


def von_mises(concentration: Tensor, generator: Generator | None = None) -> Tensor:
    """Angles in (-pi, pi), around 0, of density in proportion to exp(concentration * cos(angle)).

    >>> from flambeau.tracer.functions.random.directions import von_mises
    >>> import flambeau as torch
    >>> bool((von_mises(torch.ones(4)).abs() < 3.15).all())
    True
    """
    shape, kind = concentration._type.shape, concentration.dtype
    source = generator_on(concentration._device, generator)
    k, r = concentration.detach(), _proposal(concentration.detach())

    def step(stream: Generator, going: Tensor, chosen: Tensor) -> tuple[Tensor, ...]:
        u, height = open_uniform(shape, kind, stream), open_uniform(shape, kind, stream)
        side = sign(wrap(open_symmetric_value(shape, kind, stream)))
        z = cos(math.pi * u)
        f = (1 + r * z) / (r + z)
        c = k * (r - f)
        fits = (c * (2 - c) - height > 0) | (log(c / height) + 1 - c >= 0)
        return going & ~fits, where(going & fits, side * acos(clamp(f, -1.0, 1.0)), chosen)

    return repeat(step, source, k == k, k * 0)[1]
