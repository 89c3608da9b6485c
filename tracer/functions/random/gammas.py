"""Gamma and Dirichlet numbers, with gradients to their parameters.

A draw x of a distribution with parameter a and distribution function F(x; a) moves with a as dx/da = -(dF/da) / (dF/dx)
(implicit reparametrisation: M. Figurnov, S. Mohamed, A. Mnih, "Implicit Reparameterization Gradients", 2018). The
integral in dF/da is taken outwards from x, to the side where its integrand keeps one sign, over a variable in which the
density is log-concave; there the rule of H. Takahasi and M. Mori ("Double exponential formulas for numerical
integration", 1974) converges fast, whatever the parameters.

Gamma numbers come from G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM TOMS 26, 2000.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from ...ir import dtypes
from ...tensor.tensor import Tensor
from ..activation import softmax
from ..choosing import clamp, maximum, where
from ..creation import tensor
from ..operands import scalar_name, wrap
from ..ruled import Derivative, ruled
from ..unary import digamma, exp, expm1, log, log1p, sqrt
from .counts import repeat
from .generator import Generator, generator_on
from .values import normal_value, open_uniform

# --- Integrals --------------------------------------------------------------------------------------------------------


@functools.cache
def _nodes(wide: bool) -> tuple[list[float], list[float]]:
    """Places r and weights of the integral over (0, inf) of what decays as exp(-r): r = exp(t - exp(-t)), t in steps."""
    step = 0.075 if wide else 0.15
    times = [step * k for k in range(round(-4.2 / step), round(4.5 / step) + 1)]
    places = [math.exp(t - math.exp(-t)) for t in times]
    return places, [step * r * (1 + math.exp(-t)) for t, r in zip(times, places)]


def _outwards(scale: Tensor, integrand: Callable[[Tensor], Tensor]) -> Tensor:
    """The integral of integrand(r) over r > 0, which decays over about `scale`."""
    places, weights = (tensor(x, dtype=scale.dtype, device=scale.device) for x in _nodes(scale.dtype is dtypes.float64))
    scale = scale.detach()  # on which the integral does not depend
    return scale * (weights * integrand(scale.unsqueeze(-1) * places)).sum(-1)


def _decay(slope: Tensor, bend: Tensor, far: Tensor) -> Tensor:
    """Where slope r - bend r**2 / 2 has fallen to -1; `far` where that is beyond 1, where other terms count."""
    near = 2 / maximum(sqrt(slope * slope + 2 * bend) - slope, bend * 0 + dtypes.finfo(bend.dtype).tiny)
    return where(near < 1, near, far)


def _series(a: Tensor, x: Tensor, log_mean: Tensor, factor: Callable[[int], Any], terms: int) -> Tensor:
    """The integral over t in (0, x) of (log t - m) t**(a - 1) (c[0] + c[1] t + ...), over x**a; factor(n) = c[n] / c[n - 1].

    m is log_mean + digamma(a), so that nothing cancels where a is small.
    """
    total = (log(x) - digamma(a + 1) - log_mean) / a
    beyond, power = log(x) - digamma(a) - log_mean, 1.0 + a * 0
    for n in range(1, terms):
        power = power * x * factor(n)
        total = total + power * (beyond - 1 / (a + n)) / (a + n)
    return total


def _gamma_slope(a: Tensor, x: Tensor) -> Tensor:
    """dx/da of a gamma number x of concentration a: near 0 by a series, else by an integral."""
    x = clamp(x, min=dtypes.finfo(x.dtype).tiny)
    small = x < 0.5
    y = where(small, x, 0.5)
    series = -y * exp(y) * _series(a, y, a * 0, lambda n: -1 / n, 18 if x.dtype is dtypes.float64 else 11)
    return where(small, series, _gamma_integral(a, where(small, 1, x)))


def _gamma_integral(a: Tensor, x: Tensor) -> Tensor:
    """dx/da of a gamma number that is not small.

    It is s x times the integral of (log x + s r - digamma(a)) exp(s a r - x (exp(s r) - 1)) over r > 0, where the sign s is
    that of log x - digamma(a).
    """
    above = log(x) - digamma(a)
    side = where(above > 0, 1.0, -1.0).to(a.dtype)
    scale = _decay(side * (a - x), x, where(above > 0, log1p(1 / x), (1 + x) / a))
    a, x, above, side = (t.unsqueeze(-1) for t in (a, x, above, side))

    def integrand(r: Tensor) -> Tensor:
        moved = side * r
        return (above + moved) * exp(a * moved - x * expm1(moved))

    return (side * x).squeeze(-1) * _outwards(scale, integrand)


def _dirichlet_slope(a: Tensor, total: Tensor, x: Tensor) -> Tensor:
    """dx/da / (1 - x) of a number x of a Dirichlet sample, a beta number of concentrations a and b = total - a."""
    info, b = dtypes.finfo(x.dtype), total - a
    x = clamp(x, min=info.tiny, max=1 - info.eps / 2)
    small = (x < 0.3) & (x * b < 0.5)
    y = where(small, x, 0)
    logs = where(small, x, 0.25)
    sums = _series(a, logs, -digamma(total), lambda n: (n - b) / n, 32 if x.dtype is dtypes.float64 else 16)
    return where(small, -y * exp(-b * log1p(-y)) * sums, _dirichlet_integral(a, b, where(small, 0.5, x)))


def _dirichlet_integral(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """`_dirichlet_slope` of a number that is not small.

    With u = log(x / (1 - x)) and v = u + s r, it is s x times the integral over r > 0 of
    (log sigmoid(v) - digamma(a) + digamma(a + b)) exp(a (log sigmoid(v) - log x) + b (log sigmoid(-v) - log(1 - x))).
    """
    above = log(x) - digamma(a) + digamma(a + b)
    up = above > 0
    side = where(up, 1.0, -1.0).to(a.dtype)
    far = where(up, log1p(1 / (b * x)) + 1 / b, log1p(1 / (a * (1 - x))) + 1 / a)
    scale = _decay(side * (a * (1 - x) - b * x), (a + b) * x * (1 - x), far)
    behind, ahead = where(up, x, 1 - x).unsqueeze(-1), where(up, 1 - x, x).unsqueeze(-1)
    a, b, above, up = (t.unsqueeze(-1) for t in (a, b, above, up))

    def integrand(r: Tensor) -> Tensor:
        fallen = ahead * expm1(-r)
        near = fallen > -0.5
        slow = -where(near, log1p(where(near, fallen, 0)), log(behind + ahead * exp(-r)))
        fast = slow - r
        first, second = where(up, slow, fast), where(up, fast, slow)
        return (above + first) * exp(a * first + b * second)

    return side * x * _outwards(scale, integrand)


# --- Draws ------------------------------------------------------------------------------------------------------------


def _log_gamma_numbers(a: Tensor, generator: Generator) -> Tensor:
    """Logarithms of gamma numbers, which do not vanish where a is small: log g(a) = log g(a + 1) + log(u) / a."""
    shape, kind = a._type.shape, a.dtype
    valid, small = a > 0, a < 1
    d = where(valid, where(small, a + 1, a), 1) - 1 / 3
    c = 1 / (3 * sqrt(d))

    def step(source: Generator, going: Tensor, chosen: Tensor) -> tuple[Tensor, ...]:
        normal = wrap(normal_value(shape, kind, source))
        u = open_uniform(shape, kind, source)
        root = 1 + c * normal
        inside = root > 0
        log_cube = 3 * log(where(inside, root, 1))
        fits = inside & (log(u) < 0.5 * normal * normal + d * (log_cube - expm1(log_cube)))
        return going & ~fits, where(going & fits, log_cube, chosen)

    log_cube = repeat(step, generator, valid, d * 0)[1]
    boost = log(open_uniform(shape, kind, generator)) / where(valid, a, 1)
    drawn = log(d) + log_cube + where(small, boost, 0)
    return where(valid, drawn, where(a == 0, -math.inf, math.nan))


def _check(name: str, x: Tensor) -> None:
    if not x.dtype.is_floating_point:
        raise NotImplementedError(f'"{name}" not implemented for \'{scalar_name(x.dtype)}\'')


def _gamma_pull(g: Tensor, out: Tensor, a: Tensor) -> Sequence[Tensor]:
    return (g * _gamma_slope(a, out),)


def _dirichlet_pull(g: Tensor, out: Tensor, a: Tensor) -> Sequence[Tensor]:
    total = a.sum(-1, keepdim=True)
    return (_dirichlet_slope(a, total, out) * (g - (out * g).sum(-1, keepdim=True)),)


_GAMMA, _DIRICHLET = Derivative("StandardGamma", _gamma_pull), Derivative("Dirichlet", _dirichlet_pull)


def standard_gamma(concentration: Tensor, generator: Generator | None = None) -> Tensor:
    """Gamma numbers of rate 1, each of the concentration that `concentration` has there, at least the least positive number.

    Gradients flow to the concentration, by implicit reparametrisation; a negative concentration gives NaN.
    Raises NotImplementedError for a dtype that is not floating.

    >>> from flambeau.tracer.functions.random.gammas import standard_gamma
    >>> import flambeau as torch
    >>> bool((standard_gamma(torch.tensor([0.1, 3.0])) > 0).all())
    True
    """
    _check("gamma_cpu", concentration)
    source = generator_on(concentration._device, generator)
    tiny = dtypes.finfo(concentration.dtype).tiny
    return ruled(_GAMMA, lambda a: maximum(exp(_log_gamma_numbers(a, source)), a * 0 + tiny), concentration,
                 kind=concentration.dtype)


def dirichlet(concentration: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of sum 1 along the last dimension, in proportion to gamma numbers of these concentrations.

    Gradients flow to the concentrations: each moves its own number, and the others in proportion.
    Raises NotImplementedError for a dtype that is not floating.

    >>> from flambeau.tracer.functions.random.gammas import dirichlet
    >>> import flambeau as torch
    >>> dirichlet(torch.tensor([0.5, 2.0, 1.0])).shape
    torch.Size([3])
    """
    _check("dirichlet", concentration)
    source = generator_on(concentration._device, generator)
    return ruled(_DIRICHLET, lambda a: softmax(_log_gamma_numbers(a, source), -1), concentration, kind=concentration.dtype)


def gamma_grad(concentration: Tensor, sample: Tensor) -> Tensor:
    """The derivative of a gamma number `sample` with respect to its concentration.

    >>> from flambeau.tracer.functions.random.gammas import gamma_grad
    >>> import flambeau as torch
    >>> gamma_grad(torch.tensor(2.0), torch.tensor(1.0))
    tensor(0.7508)
    """
    return _gamma_slope(concentration, sample)


def dirichlet_grad(sample: Tensor, concentration: Tensor, total: Tensor) -> Tensor:
    """The derivative of a number of a Dirichlet sample with respect to its concentration, over 1 - sample.

    >>> from flambeau.tracer.functions.random.gammas import dirichlet_grad
    >>> import flambeau as torch
    >>> dirichlet_grad(torch.tensor(0.5), torch.tensor(1.0), torch.tensor(2.0))
    tensor(0.6931)
    """
    return _dirichlet_slope(concentration, total, sample)
