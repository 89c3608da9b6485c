"""Bessel functions J, Y and K of the orders 0 and 1, and Airy's Ai: https://dlmf.nist.gov/10

Near 0 each is a power series (and a logarithm times one); between, a Chebyshev series; far out an exponential or a
wave times a Chebyshev series in 1 / x. The series are found from integrals, once and on the host.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ops.elementwise import stop_gradient
from ..tensor.tensor import Tensor
from .chebyshev import chebyshev_sum, coefficients, power_sum
from .choosing import where
from .comparing import isfinite, isinf
from .layout import laid_out
from .methods import named, with_out
from .operands import operands, wrap
from .precision import is_half
from .refusals import not_implemented
from .ruled import check_tensor, floating_kind
from .special import first_modified
from .unary import abs as absolute
from .unary import cos, exp, log, sin, sqrt

_NEAR, _FAR = 2.0, 8.0  # of J and Y: the power series are below, the waves beyond
_NEAR_K, _NEAR_AIRY = 1.0, 1.0

# --- On the host: samples and series ----------------------------------------------------------------------------------


def hankel_factor(order: float, z: Any, turn: complex) -> Any:
    """What remains of a Hankel function (turn 1j) or of K (turn 1) without its wave: https://dlmf.nist.gov/10.32.E8

    The integral of e**-u u**(order - 1/2) (1 + turn u / 2z)**(order - 1/2) over u > 0, divided by gamma(order + 1/2); with
    u = s**m it is smooth and even in s, for which the trapezoidal rule is exact to rounding.
    """
    m = 2 if order in (0, 1) else 6
    s = np.arange(0, 6.5 if m == 2 else 2.2, 0.02 if m == 2 else 0.004)
    u = s**m
    weight = m * np.exp(-u) * s**round(m * (order + 0.5) - 1) * (s[1] - s[0])
    weight[0] /= 2
    return (weight * (1 + turn * u / (2 * np.asarray(z)[:, None]))**(order - 0.5)).sum(axis=1) / math.gamma(order + 0.5)


def _wave(order: int, x: Any) -> Any:
    """J + i Y, of x well above 0."""
    return np.sqrt(2 / (np.pi * x)) * np.exp(1j * (x - (order / 2 + 0.25) * np.pi)) * hankel_factor(order, x, 1j)


@functools.cache
def _power_series(order: int, sign: int, kind: dtype) -> tuple[list[float], list[float]]:
    """Of J or I (over (x/2)**order), and of what K and Y add to a logarithm times those, in sign * x**2 / 4."""
    count = 24 if kind is dtypes.float64 else 12
    first, second, harmonic = [], [], Fraction(0)
    for k in range(count):
        weight = Fraction(sign**k, math.factorial(k) * math.factorial(k + order))
        first.append(float(weight))
        digamma = 2 * harmonic + (Fraction(1, k + 1) if order else 0)  # of k + 1 and k + order + 1 together, and 2 gamma
        second.append(float(weight) * (float(digamma) / 2 - float(np.euler_gamma)))
        harmonic += Fraction(1, k + 1)
    return first, second


@functools.cache
def _between(order: int, second: bool, kind: dtype) -> list[float]:
    middle, half = (_FAR + _NEAR) / 2, (_FAR - _NEAR) / 2
    wave = (lambda t: _wave(order, middle + half * t).imag) if second else (lambda t: _wave(order, middle + half * t).real)
    return coefficients(wave, kind)


@functools.cache
def _beyond(order: int, kind: dtype) -> tuple[list[float], list[float]]:
    """P and x Q for x beyond, in 2 (8 / x)**2 - 1."""
    def factor(t: Any) -> Any:
        return hankel_factor(order, _FAR / np.sqrt((t + 1) / 2), 1j)

    return (coefficients(lambda t: factor(t).real, kind),
            coefficients(lambda t: factor(t).imag * (_FAR / np.sqrt((t + 1) / 2)), kind))


@functools.cache
def _decay(order: float, start: float, kind: dtype) -> list[float]:
    """K e**x sqrt(2 x / pi), for x beyond `start`, in 2 start / x - 1."""
    return coefficients(lambda t: hankel_factor(order, 2 * start / (t + 1), 1.0), kind)


# --- J and Y ----------------------------------------------------------------------------------------------------------


def _far_wave(order: int, second: bool, x: Tensor) -> Tensor:
    """P and Q by turns of x without rounding it: cos(x - pi / 4) is (cos x + sin x) / sqrt 2."""
    p, q = _beyond(order, x.dtype)
    ratio = _FAR / x
    t = 2 * ratio * ratio - 1
    even, odd = chebyshev_sum(t, p), chebyshev_sum(t, q) / x
    up, down = cos(x) + sin(x), sin(x) - cos(x)
    if order:  # a quarter of a turn behind
        up, down = down, -up
    return (even * down + odd * up if second else even * up - odd * down) / sqrt(math.pi * x)


def _first_kind(order: int, x: Tensor) -> Tensor:
    size = absolute(x)
    near, far = size <= _NEAR, size > _FAR
    inner = where(near, x, 0)
    start = power_sum(inner * inner / 4, _power_series(order, -1, x.dtype)[0])
    middle = chebyshev_sum((where(near | far, _FAR, size) - (_FAR + _NEAR) / 2) / ((_FAR - _NEAR) / 2),
                           _between(order, False, x.dtype))
    end = _far_wave(order, False, where(size <= _FAR, _FAR, size))
    outer = where(far, end, middle)
    if order:
        return where(near, inner / 2 * start, where(x < 0, -outer, outer))
    return where(near, start, outer)


def _second_kind(order: int, x: Tensor) -> Tensor:
    near, far = x <= _NEAR, x > _FAR
    inner = where(near & (x > 0), x, 1)
    first, second = (power_sum(inner * inner / 4, s) for s in _power_series(order, -1, x.dtype))
    scale = inner / 2 if order else 1
    start = 2 / math.pi * (scale * (log(inner / 2) * first - second) - (1 / inner if order else 0))
    middle = chebyshev_sum((where(near | far, _FAR, x) - (_FAR + _NEAR) / 2) / ((_FAR - _NEAR) / 2),
                           _between(order, True, x.dtype))
    end = _far_wave(order, True, where(x <= _FAR, _FAR, x))
    value = where(near, start, where(far, end, middle))
    return where(x > 0, value, where(x == 0, -math.inf, math.nan))


# --- K and Ai ---------------------------------------------------------------------------------------------------------


def _decaying(order: int, scaled: bool, x: Tensor) -> Tensor:
    """K, or K times e**x."""
    near = x <= _NEAR_K
    inner, outer = where(near & (x > 0), x, 1), where(near, _NEAR_K, x)
    first, second = (power_sum(inner * inner / 4, s) for s in _power_series(order, 1, x.dtype))
    start = inner / 2 * (log(inner / 2) * first - second) + 1 / inner if order else second - log(inner / 2) * first
    end = chebyshev_sum(2 * _NEAR_K / outer - 1, _decay(order, _NEAR_K, x.dtype)) * sqrt(math.pi / 2 / outer)
    value = where(near, start * exp(inner) if scaled else start, end if scaled else exp(-outer) * end)
    return where(x > 0, value, where(x == 0, math.inf, math.nan))


_AI, _AI_SLOPE = Fraction("0.355028053887817239260063186004183"), Fraction("0.258819403792806798405183560189204")


def _airy_powers(count: int) -> tuple[list[Fraction], list[Fraction]]:
    """Ai as a sum of x**3k and one of x**(3k + 1): https://dlmf.nist.gov/9.4.E1"""
    even, odd = [_AI], [-_AI_SLOPE]
    for k in range(1, count):
        even.append(even[-1] / (3 * k * (3 * k - 1)))
        odd.append(odd[-1] / (3 * k * (3 * k + 1)))
    return even, odd


@functools.cache
def _airy_between(kind: dtype) -> list[float]:
    """Ai from -8 to -1: its power series in exact numbers, since its terms cancel."""
    even, odd = _airy_powers(60)

    def at(t: float) -> float:
        x = Fraction(float(t)) * Fraction(7, 2) - Fraction(9, 2)
        x = Fraction(round(x * 2**60), 2**60)
        cube, power, total = x**3, Fraction(1), Fraction(0)
        for a, b in zip(even, odd):
            total += power * (a + b * x)
            power = Fraction(round(power * cube * 2**160), 2**160)
        return float(total)

    return coefficients(lambda t: np.array([at(x) for x in t]), kind)


@functools.cache
def _airy_beyond(kind: dtype) -> tuple[list[float], list[float]]:
    start = 2 / 3 * _FAR**1.5

    def factor(t: Any) -> Any:
        return hankel_factor(1 / 3, start / np.sqrt((t + 1) / 2), 1j)

    return (coefficients(lambda t: factor(t).real, kind),
            coefficients(lambda t: factor(t).imag * (start / np.sqrt((t + 1) / 2)), kind))


def _airy_wave(size: Tensor) -> Tensor:
    """Ai(-size) for size beyond 8: https://dlmf.nist.gov/9.6.E6"""
    p, q = _airy_beyond(size.dtype)
    root = sqrt(size)
    zeta = 2 / 3 * size * root
    ratio = 2 / 3 * _FAR**1.5 / zeta
    t = 2 * ratio * ratio - 1
    up, down = cos(zeta) + sin(zeta), sin(zeta) - cos(zeta)
    return (chebyshev_sum(t, p) * up - chebyshev_sum(t, q) / zeta * down) / sqrt(2 * math.pi * root)


def _airy(x: Tensor) -> Tensor:
    near = absolute(x) <= _NEAR_AIRY
    even, odd = ([float(c) for c in series] for series in _airy_powers(10))
    inner = where(near, x, 0)
    start = power_sum(inner * inner * inner, even) + inner * power_sum(inner * inner * inner, odd)
    outer = where(x > _NEAR_AIRY, x, _NEAR_AIRY)
    root = sqrt(outer)
    zeta = 2 / 3 * outer * root
    begin = 2 / 3 * _NEAR_AIRY**1.5
    right = exp(-zeta) * chebyshev_sum(2 * begin / zeta - 1, _decay(1 / 3, begin, x.dtype)) / (2 * sqrt(math.pi * root))
    between = where((x < -1) & (x >= -_FAR), x, -1)
    left = chebyshev_sum((between + 4.5) / 3.5, _airy_between(x.dtype))
    end = _airy_wave(where(x < -_FAR, -x, _FAR))
    value = where(near, start, where(x > 0, right, where(x < -_FAR, end, left)))
    return where(isfinite(x), value, math.nan)


def _spherical(x: Tensor) -> Tensor:
    zero = x == 0
    return where(isinf(x), 0, where(zero, 1, sin(x) / where(zero, 1, x)))


# --- The functions ----------------------------------------------------------------------------------------------------


def without_gradient(name: str, function: Callable[..., Tensor], *xs: Any) -> Tensor:
    """A function that torch has no gradient of, on broadcast operands of a floating type; halves are refused."""
    kind = floating_kind(name, *xs, whole=True)
    if is_half(kind):
        raise not_implemented(f"{name}_cpu", kind)
    return laid_out(function(*(wrap(stop_gradient(v)) for v in operands(*xs, kind=kind))), xs)


def _function(name: str, meaning: str, apply: Callable[[Tensor], Tensor], at_one: str) -> Any:
    @named(name, f"""{meaning}, of each element.

    Args: `input` (*), floats or whole numbers, which become the default floating type; `out`, a tensor to write to.
    Returns a tensor of that shape, to which no gradient flows. Raises NotImplementedError for half and complex types.

    >>> import flambeau as torch
    >>> torch.special.{name}(torch.tensor([1.0]))
    tensor([{at_one}])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.{name}
    """)
    @with_out
    def function(input: Tensor) -> Tensor:
        check_tensor(f"special_{name}", "input", 1, input)
        return without_gradient(name, apply, input)

    return function


bessel_j0 = _function("bessel_j0", "The Bessel function of the first kind of order 0", lambda x: _first_kind(0, x), "0.7652")
bessel_j1 = _function("bessel_j1", "The Bessel function of the first kind of order 1", lambda x: _first_kind(1, x), "0.4401")
bessel_y0 = _function("bessel_y0", "The Bessel function of the second kind of order 0", lambda x: _second_kind(0, x), "0.0883")
bessel_y1 = _function("bessel_y1", "The Bessel function of the second kind of order 1", lambda x: _second_kind(1, x), "-0.7812")
modified_bessel_k0 = _function("modified_bessel_k0", "The modified Bessel function of the second kind of order 0",
                               lambda x: _decaying(0, False, x), "0.4210")
modified_bessel_k1 = _function("modified_bessel_k1", "The modified Bessel function of the second kind of order 1",
                               lambda x: _decaying(1, False, x), "0.6019")
scaled_modified_bessel_k0 = _function("scaled_modified_bessel_k0", "e**x K0(x)", lambda x: _decaying(0, True, x), "1.1445")
scaled_modified_bessel_k1 = _function("scaled_modified_bessel_k1", "e**x K1(x)", lambda x: _decaying(1, True, x), "1.6362")
modified_bessel_i0 = _function("modified_bessel_i0", "The modified Bessel function of the first kind of order 0",
                               lambda x: first_modified(0, x), "1.2661")
modified_bessel_i1 = _function("modified_bessel_i1", "The modified Bessel function of the first kind of order 1",
                               lambda x: first_modified(1, x), "0.5652")
airy_ai = _function("airy_ai", "Airy's function Ai", _airy, "0.1353")
spherical_bessel_j0 = _function("spherical_bessel_j0", "sin(x) / x", _spherical, "0.8415")
