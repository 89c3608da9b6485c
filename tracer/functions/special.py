"""Special functions, element by element: Bessel's, gamma functions, sinc, logarithms of odds, sums and products.

https://pytorch.org/docs/stable/special.html. The Bessel functions are Chebyshev series, found from an integral:
https://dlmf.nist.gov/10.32.E2
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ops import elementwise as ops
from ..tensor.tensor import Tensor
from .arithmetic import div, mul, rsub, sub
from .choosing import maximum, where
from .comparing import gt, logical_and, logical_or, lt
from .defaults import Defaults
from .layout import keeps_layout
from .methods import in_place, method, pointwise, with_out
from .operands import Number, cast_value, float_kind, full, number_value, result_dtype, wrap
from .precision import fitting, rounded_once
from .ruled import Derivative, check_number, check_tensor, floating_kind, not_implemented, ruled
from .unary import abs as absolute
from .unary import cos, digamma, exp, lgamma, log, log1p, neg, sigmoid, sin, sqrt

# --- Logarithms of odds, sums and products ----------------------------------------------------------------------------


@pointwise()
@with_out
@rounded_once
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x clamped to [eps, 1 - eps] if eps is given."""
    input = input if input.dtype.is_inexact else input.to(Defaults.dtype)
    if eps is None:
        x, inside = input, where(logical_or(lt(input, 0), gt(input, 1)), math.nan, 1.0)
    else:  # a clamp through which NaN passes
        fitting(eps, input.dtype)
        x, inside = where(lt(input, eps), eps, where(gt(input, 1 - eps), 1 - eps, input)), None
    value = log(div(x, rsub(x, 1)))
    slope = sub(log(x), log1p(neg(x)))  # the same, with a gradient also at 0 and 1; outside of [0, 1] that is NaN
    slope = slope if inside is None else mul(slope, inside)
    return wrap(ops.with_value(slope._read(), value._read()))


def _xlogy_pull(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Sequence[Tensor]:
    masked = logical_and(x == 0, y <= 0)
    return where(masked, 0, g * log(where(masked, 1, y))), g * x / y


_XLOGY = Derivative("Xlogy", _xlogy_pull)


def _xlogy(x: Tensor, y: Tensor) -> Tensor:
    zero = x == 0
    return where(y != y, math.nan, where(zero, 0, x * log(where(zero, 1, y))))


@pointwise()
@with_out
def xlogy(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """input * log(other), which is 0 where input is 0, unless `other` is NaN.

    >>> import flambeau as torch
    >>> torch.xlogy(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    check_number("xlogy", input, other)
    return ruled(_XLOGY, _xlogy, input, other, kind=floating_kind("xlogy", input, other, whole=True))


def _log_sum(x: Tensor, y: Tensor, unit: float) -> Tensor:
    """log(e**(unit x) + e**(unit y)) / unit: the larger one, and what the smaller one adds."""
    if x.dtype.is_complex:
        first = wrap(ops.real(x._read())) >= wrap(ops.real(y._read()))
        larger, apart = where(first, x, y), where(first, y - x, x - y)
    else:
        larger, apart = maximum(x, y), neg(absolute(x - y))
    added = larger + log1p(exp(apart * unit)) / unit
    return where(logical_and(x == y, logical_or(absolute(x) == math.inf, x != x)), x, added)


def _log_sum_rule(name: str, unit: float) -> Derivative:
    def pull(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Sequence[Tensor]:
        return g * sigmoid((x - y) * unit).conj(), g * sigmoid((y - x) * unit).conj()

    return Derivative(name, pull)


_LOGADDEXP, _LOGADDEXP2 = _log_sum_rule("Logaddexp", 1.0), _log_sum_rule("Logaddexp2", math.log(2))


@method()
@keeps_layout
@with_out
def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(input) + exp(other)), without overflow.

    >>> import flambeau as torch
    >>> torch.logaddexp(torch.tensor([0.0, 1000.0]), torch.tensor([0.0, 1000.0]))
    tensor([6.9315e-01, 1.0007e+03])
    """
    check_tensor("logaddexp", "other", 2, other)
    kind = result_dtype(input, other)
    kind = kind if kind.is_complex else floating_kind("logaddexp", input, other)
    return ruled(_LOGADDEXP, lambda x, y: _log_sum(x, y, 1.0), input, other, kind=kind)


@method()
@keeps_layout
@with_out
def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2**input + 2**other), without overflow.

    >>> import flambeau as torch
    >>> torch.logaddexp2(torch.tensor(1000.0), torch.tensor(1000.0))
    tensor(1001.)
    """
    check_tensor("logaddexp2", "other", 2, other)
    kind = floating_kind("logaddexp2", input, other)
    return ruled(_LOGADDEXP2, lambda x, y: _log_sum(x, y, math.log(2)), input, other, kind=kind)


# --- sinc -------------------------------------------------------------------------------------------------------------


def _sinc(x: Tensor) -> Tensor:
    angle = x * math.pi
    zero = angle == 0
    return where(zero, 1, sin(angle) / where(zero, 1, angle))


def _sinc_pull(g: Tensor, out: Tensor, x: Tensor) -> Sequence[Tensor]:
    """(cos z - sin z / z) / x with z = pi x; near 0, where that cancels, by its Taylor series."""
    z = x * math.pi
    near = absolute(z) < 0.1
    square = z * z
    series = z * (-1 / 3 + square * (1 / 30 + square * (-1 / 840 + square * (1 / 45360 - square / 3991680))))
    safe = where(near, 1, z)
    return (g * (where(near, series, (cos(safe) - sin(safe) / safe) / safe) * math.pi).conj(),)


_SINC = Derivative("Sinc", _sinc_pull)


@pointwise()
@with_out
def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0.

    >>> import flambeau as torch
    >>> torch.sinc(torch.tensor([0.0, 0.5]))
    tensor([1.0000, 0.6366])
    """
    return ruled(_SINC, _sinc, input, kind=float_kind(input))


# --- Modified Bessel functions of the first kind ----------------------------------------------------------------------

_BREAK = 8.0  # below it the series is in x, above it in 1 / x


def _bessel_samples(order: int, x: Any) -> Any:
    """exp(-x) I0(x), or exp(-x) I1(x) / x: the mean over an angle of what is periodic in it, hence exact to rounding."""
    angle = (np.arange(8192) + 0.5) * (np.pi / 8192)
    decay = np.exp(-2 * x[:, None] * np.sin(angle / 2)**2)
    return (decay * np.sin(angle)**(2 * order)).mean(axis=1)


@functools.cache
def _bessel_series(order: int, smallest: float) -> tuple[list[float], list[float]]:
    """Chebyshev coefficients for x in [0, 8], and those for x beyond times x**(order + 1/2), in 16 / x - 1."""
    count = 40
    angle = (np.arange(count) + 0.5) * (np.pi / count)
    node = np.cos(angle)
    near = _bessel_samples(order, _BREAK / 2 * (node + 1))
    x = 2 * _BREAK / (node + 1)
    samples = np.stack([near, _bessel_samples(order, x) * x**(order + 0.5)])
    found = samples @ np.cos(np.outer(angle, np.arange(count))) * (2 / count)
    found[:, 0] /= 2
    kept = int(np.flatnonzero(np.abs(found).max(axis=0) > smallest)[-1]) + 1
    return found[0, :kept].tolist(), found[1, :kept].tolist()


def _bessel(order: int, x: Tensor) -> Tensor:
    """I0(x) or I1(x), by Clenshaw's recurrence for the series of either side."""
    size = absolute(x)
    near = size <= _BREAK
    safe = where(near, _BREAK, size)
    t = where(near, size * (2 / _BREAK) - 1, 2 * _BREAK / safe - 1)
    last, before = t * 0, t * 0
    for low, high in reversed(list(zip(*_bessel_series(order, dtypes.finfo(x.dtype).eps / 64)))):
        coefficient = where(near, *(wrap(full(x._type.shape, c, x.dtype, x._device)) for c in (low, high)))
        last, before = 2 * t * last - before + coefficient, last
    total = last - t * before
    scale = where(near, x if order else 1, (x / safe if order else 1) / sqrt(safe))
    return exp(size) * total * scale


def _i1_pull(g: Tensor, out: Tensor, x: Tensor) -> Sequence[Tensor]:
    zero = x == 0
    return (g * (i0(x) - where(zero, 0.5, out / where(zero, 1, x))),)


_I1 = Derivative("I1", _i1_pull)
_I0 = Derivative("I0", lambda g, out, x: (g * ruled(_I1, lambda x: _bessel(1, x), x, kind=x.dtype),))


@pointwise()
@with_out
def i0(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 0: the sum of (x**2 / 4)**k / (k!)**2.

    >>> import flambeau as torch
    >>> torch.i0(torch.tensor([0.0, 1.0, -4.0]))
    tensor([ 1.0000,  1.2661, 11.3019])
    """
    kind = float_kind(input)
    if kind.is_complex:
        raise not_implemented("i0_vml_cpu", kind)
    return ruled(_I0, lambda x: _bessel(0, x), input, kind=kind)


# --- Gamma functions --------------------------------------------------------------------------------------------------


@pointwise()
@with_out
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """log of the gamma function of p dimensions: p (p - 1) / 4 log(pi) + the sum of lgamma(x - j / 2) for j < p.

    >>> import flambeau as torch
    >>> torch.mvlgamma(torch.tensor([2.0, 5.0]), 2)
    tensor([0.4516, 6.2042])
    """
    if input.dtype is dtypes.boolean:
        raise RuntimeError("The input tensor may not be a boolean tensor.")
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    floating_kind("mvlgamma", input, whole=True)
    terms = [lgamma(input - j / 2) for j in range(p)]
    return functools.reduce(lambda x, y: x + y, terms) + p * (p - 1) / 4 * math.log(math.pi)


@keeps_layout
@with_out
def polygamma(n: int, input: Tensor) -> Tensor:
    """The derivative of order n of digamma.

    >>> import flambeau as torch
    >>> torch.polygamma(1, torch.tensor([1.0, 0.5]))
    tensor([1.6449, 4.9348])
    """
    if not isinstance(n, int):
        raise TypeError(f"polygamma(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    kind = floating_kind("polygamma", input, whole=True)
    if n == 0:
        return digamma(input)
    x = cast_value(input._read(), dtypes.float32 if kind.itemsize < 4 else kind)
    order = number_value(n, x.type.dtype, x.type.shape, x.device)
    return wrap(cast_value(ops.polygamma(order, x), kind))


@in_place("polygamma")
def _polygamma_method(input: Tensor, n: int) -> Tensor:
    """The derivative of order n of digamma."""
    return polygamma(n, input)
