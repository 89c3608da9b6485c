"""The incomplete gamma functions P(a, x) and Q(a, x): https://dlmf.nist.gov/8

Three methods, each where it converges fast: a power series, a continued fraction, and for large a and x near it Temme's
uniform expansion. All of them are recorded, on operands that are harmless where another method's result is taken.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..tensor.tensor import Tensor
from .choosing import maximum, where
from .comparing import isfinite, logical_and, logical_or
from .control import while_loop
from .methods import pointwise, with_out
from .operands import full, wrap
from .ruled import Derivative, check_tensor, floating_kind, ruled
from .unary import abs as absolute
from .unary import erfc, exp, expm1, lgamma, log, log1p, sqrt

_LARGE, _AROUND = 20.0, 0.3  # the uniform expansion holds for a > 20 and |x / a - 1| < 0.3
_STEPS = 400  # more than any element takes


@functools.cache
def _temme(smallest: float) -> tuple[tuple[float, ...], ...]:
    """d[k][n], the coefficients of eta**n / a**k, as far as they matter: https://dlmf.nist.gov/8.12.E11"""
    count = 60
    alpha = [Fraction(0), Fraction(1)]
    for n in range(2, count):
        inner = sum((j * alpha[j] * alpha[n - j + 1] for j in range(2, n)), Fraction(0))
        alpha.append((alpha[n - 1] - inner) / (n + 1))
    first = [Fraction(-1, 3), *((n + 2) * alpha[n + 2] for n in range(1, count - 2))]
    rows, row, odd = [first], first, 1
    for k in range(1, 14):
        odd *= 2 * k + 1
        row = [(-1)**k * odd * alpha[2 * k + 1] * first[n] + (n + 2) * row[n + 2] for n in range(len(row) - 2)]
        rows.append(row)
    bound = 0.36  # of |eta| there
    kept = [[n for n, c in enumerate(r) if abs(float(c)) * bound**n / _LARGE**k > smallest] for k, r in enumerate(rows)]
    return tuple(tuple(map(float, r[:max(k) + 1])) for r, k in zip(rows, kept) if k)


def _horner(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    total = x * 0 + coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def _uniform(a: Tensor, x: Tensor, side: int) -> Tensor:
    """Q for side 1 and P for side -1: half the error function of a normal variable eta, and a correction."""
    mu = (x - a) / a
    half = maximum(mu - log1p(mu), mu * 0)  # eta**2 / 2
    eta = where(mu < 0, -1.0, 1.0).to(a.dtype) * sqrt(2 * half)
    rows = [_horner(eta, row) for row in _temme(dtypes.finfo(a.dtype).eps / 64)]
    total = rows[-1]
    for row in reversed(rows[:-1]):
        total = total / a + row
    rest = exp(-a * half) / sqrt(2 * math.pi * a) * total
    return 0.5 * erfc(side * eta * sqrt(a / 2)) + side * rest


def _log_weight(a: Tensor, x: Tensor) -> Tensor:
    """log(x**a e**-x / gamma(a + 1)); for a >= 10 by Stirling's series, so that large terms do not cancel."""
    large = a >= 10
    b, ratio = where(large, a, 10), x / a
    mu = (x - a) / a
    close = absolute(mu) < 0.5
    bend = where(close, log1p(where(close, mu, 0)), log(ratio)) - mu
    square = 1 / (b * b)
    stirling = _horner(square, [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]) / b
    return where(large, b * bend - 0.5 * log(2 * math.pi * b) - stirling, a * log(x) - x - lgamma(where(large, 1, a) + 1))


def _series(a: Tensor, x: Tensor) -> Tensor:
    """1 + x / (a + 1) + x**2 / ((a + 1) (a + 2)) + ..."""
    eps = dtypes.finfo(a.dtype).eps / 4

    def step(n: Tensor, term: Tensor, total: Tensor) -> tuple[Tensor, ...]:
        term = term * (x / (a + n))
        return n + 1, term, total + term

    one = x * 0 + 1
    return _repeat(lambda n, term, total: term > total * eps, step, one, one)[1]


def _fraction(a: Tensor, x: Tensor) -> Tensor:
    """The continued fraction 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), by Lentz's method."""
    eps = dtypes.finfo(a.dtype).eps / 2

    def step(n: Tensor, up: Tensor, down: Tensor, factor: Tensor, total: Tensor) -> tuple[Tensor, ...]:
        top, bottom = n * (a - n), x + 1 - a + 2 * n
        down = 1 / (top * down + bottom)
        up = bottom + top / up
        return n + 1, up, down, up * down, total * (up * down)

    down = 1 / (x + 1 - a)
    far = a * 0 + 1 / dtypes.finfo(dtypes.float32).tiny
    start = far, down, a * 0 + 2, down
    return _repeat(lambda n, up, down, factor, total: absolute(factor - 1) > eps, step, *start)[3]


def _small_series(a: Tensor, x: Tensor) -> Tensor:
    """The sum of a (-x)**n / (n! (a + n)) for n > 0."""
    eps = dtypes.finfo(a.dtype).eps / 4

    def step(n: Tensor, power: Tensor, total: Tensor) -> tuple[Tensor, ...]:
        power = power * (-x / n)
        return n + 1, power, total + power * (a / (a + n))

    return _repeat(lambda n, power, total: absolute(power) > eps, step, x * 0 + 1, x * 0)[1]


def _repeat(going: Any, step: Any, *start: Tensor) -> tuple[Tensor, ...]:
    """step(n, *carried) for n = 1, 2, ..., until no element is still `going`."""
    first = wrap(full((), 1, start[0].dtype, start[0]._device))
    results = while_loop(lambda n, *rest: logical_and(going(n, *rest).any(), n < _STEPS), step, (first, *start))
    return tuple(results[1:])


@functools.cache
def _zeta_minus_one(k: int) -> float:
    """The sum of n**-k for n > 1, by the formula of Euler and Maclaurin from 30 on."""
    n = 30.0
    tail = n**(1 - k) / (k - 1) + n**-k / 2 + k * n**(-k - 1) / 12 - k * (k + 1) * (k + 2) * n**(-k - 3) / 720
    tail += k * (k + 1) * (k + 2) * (k + 3) * (k + 4) * n**(-k - 5) / 30240
    return math.fsum([m**-k for m in range(2, 30)]) + tail


def _log_gamma_one_plus(a: Tensor) -> Tensor:
    """lgamma(1 + a) for a > 0, precise near 0."""
    small = a < 0.5
    b = where(small, a, 0)
    terms = [0.0, 1 - float(np.euler_gamma), *((-1)**k * _zeta_minus_one(k) / k for k in range(2, 28))]
    return where(small, _horner(b, terms) - log1p(b), lgamma(1 + a))


def _small(a: Tensor, x: Tensor) -> Tensor:
    """Q for small a and x, where 1 - P would cancel."""
    power = a * log(where(x == 0, 1, x)) - _log_gamma_one_plus(a)
    return -expm1(power) - exp(power) * _small_series(a, x)


def _regular(a: Tensor, x: Tensor, side: int) -> Tensor:
    """P for side -1, Q for side 1, of finite positive operands."""
    uniform = logical_and(a > _LARGE, absolute(x - a) < _AROUND * a)
    beyond = logical_and(~uniform, logical_and(x > 1.1, x > a))
    below = ~logical_or(uniform, beyond)
    weight = exp(_log_weight(a, x))
    lower = weight * _series(a, where(below, x, 0))
    upper = weight * a * _fraction(where(beyond, a, 1), where(beyond, x, 2))
    middle = _uniform(where(uniform, a, 2 * _LARGE), where(uniform, x, 2 * _LARGE), side)
    if side < 0:
        return where(uniform, middle, where(beyond, 1 - upper, lower))
    near = logical_and(below, where(x <= 0.5, a * log(x) >= -0.4, logical_and(x <= 1.1, a <= 1.1 * x)))
    small = _small(where(near, a, 1), where(near, x, 0))
    return where(uniform, middle, where(beyond, upper, where(near, small, 1 - lower)))


def _incomplete(a: Tensor, x: Tensor, side: int) -> Tensor:
    regular = logical_and(logical_and(a > 0, x > 0), logical_and(isfinite(a), isfinite(x)))
    at_zero, at_infinity = (0.0, 1.0) if side < 0 else (1.0, 0.0)  # of P and Q, as functions of x
    edge = where(logical_or(x == 0, a == math.inf), at_zero, at_infinity)  # a = 0, or one of both is infinite or x is 0
    both = logical_or(logical_and(a == 0, x == 0), logical_and(a == math.inf, x == math.inf))
    outside = logical_or(logical_or(a < 0, x < 0), logical_or(a != a, x != x))
    edge = where(logical_or(both, outside), math.nan, edge).to(a.dtype)
    return where(regular, _regular(where(regular, a, 1), where(regular, x, 1), side), edge)


def _incomplete_rule(name: str, side: int) -> Derivative:
    def pull(g: Tensor, out: Tensor, a: Tensor, x: Tensor) -> Sequence[Tensor | None]:
        return None, g * exp((a - 1) * log(x) - x - lgamma(a)) * -side

    return Derivative(name.capitalize(), pull, (f"the derivative for '{name}: input' is not implemented.",))


_RULES = {"igamma": _incomplete_rule("igamma", -1), "igammac": _incomplete_rule("igammac", 1)}


def _gamma_ratio(name: str, input: Tensor, other: Tensor, side: int) -> Tensor:
    check_tensor(name, "other", 2, other)
    kind: dtype = floating_kind(name, input, other)
    return ruled(_RULES[name], lambda a, x: _incomplete(a, x, side), input, other, kind=kind)


@pointwise()
@with_out
def igamma(input: Tensor, other: Tensor) -> Tensor:
    """P(a, x), the integral of t**(a - 1) e**-t from 0 to x, over gamma(a); a is input and x is `other`.

    Gradients flow to `other` only, as in torch. Source: https://dlmf.nist.gov/8.2.E4

    >>> import flambeau as torch
    >>> torch.igamma(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 2.0]))
    tensor([0.6321, 0.1429])
    """
    return _gamma_ratio("igamma", input, other, -1)


@pointwise()
@with_out
def igammac(input: Tensor, other: Tensor) -> Tensor:
    """Q(a, x) = 1 - P(a, x), precise where P is near 1. See `igamma`.

    >>> import flambeau as torch
    >>> torch.igammac(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 20.0]))
    tensor([3.6788e-01, 3.2037e-06])
    """
    return _gamma_ratio("igammac", input, other, 1)
