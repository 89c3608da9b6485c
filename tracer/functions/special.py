"""Special functions, element by element: Bessel's, gamma functions, sinc, logarithms of odds, sums and products.

https://pytorch.org/docs/stable/special.html. The Bessel functions are Chebyshev series, found from an integral:
https://dlmf.nist.gov/10.32.E2
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ops import elementwise as ops
from ..tensor.tensor import Tensor
from .arithmetic import div, mul, rsub, sub
from .chebyshev import chebyshev_sum, coefficients
from .choosing import maximum, where
from .comparing import gt, logical_and, logical_or, lt
from .defaults import Defaults
from .dims import whole_number
from .layout import in_rows, keeps_layout, lies
from .methods import Out, in_place, method, named, pointwise, with_out, with_out_of
from .operands import Number, cast_value, float_kind, number_value, result_dtype, wrap
from .precision import fitting, rounded_once
from .refusals import not_implemented
from .ruled import Derivative, check_number, check_tensor, floating_kind, ruled
from .unary import abs as absolute
from .unary import cos, digamma, exp, lgamma, log, log1p, neg, sigmoid, sign, sin, sqrt

_MVLGAMMA: Final = Out("mvlgamma: result type {result} can't be cast to the desired output type {result}", exact=False)

# --- Logarithms of odds, sums and products ----------------------------------------------------------------------------


@pointwise()
@with_out
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x clamped to [eps, 1 - eps] if eps is given."""
    input = input if input.dtype.is_inexact else input.to(Defaults.dtype)
    if eps is None:
        return _logit(input)
    low = wrap(number_value(fitting(eps, input.dtype), input.dtype, (), input._device))
    return _logit(input, low, rsub(low, 1))


@rounded_once
def _logit(input: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if low is None or high is None:
        x, inside = input, where(logical_or(lt(input, 0), gt(input, 1)), math.nan, 1.0)
    else:  # a clamp through which NaN passes
        x, inside = where(lt(input, low), low, where(gt(input, high), high, input)), None
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
def _bessel_series(order: int, kind: dtype) -> tuple[list[float], list[float]]:
    """Chebyshev coefficients for x in [0, 8], and those for x beyond times x**(order + 1/2), in 16 / x - 1."""
    def beyond(t: Any) -> Any:
        x = 2 * _BREAK / (t + 1)
        return _bessel_samples(order, x) * x**(order + 0.5)

    return coefficients(lambda t: _bessel_samples(order, _BREAK / 2 * (t + 1)), kind), coefficients(beyond, kind)


def first_modified(order: int, x: Tensor, scaled: bool = False) -> Tensor:
    """I0(x) or I1(x), times e**-|x| if scaled, by Clenshaw's recurrence for the series of either side."""
    size = absolute(x)
    near = size <= _BREAK
    safe = where(near, _BREAK, size)
    low, high = _bessel_series(order, x.dtype)
    total = where(near, chebyshev_sum(where(near, size, 0) * (2 / _BREAK) - 1, low), chebyshev_sum(2 * _BREAK / safe - 1, high))
    scale = where(near, x if order else 1, (sign(x) if order else 1) / sqrt(safe))
    return total * scale if scaled else exp(size) * total * scale


def _i1_pull(g: Tensor, out: Tensor, x: Tensor) -> Sequence[Tensor]:
    zero = x == 0
    return (g * (i0(x) - where(zero, 0.5, out / where(zero, 1, x))),)


def _i1e_pull(g: Tensor, out: Tensor, x: Tensor) -> Sequence[Tensor]:
    zero = x == 0
    safe = where(zero, 1, x)
    return (g * where(zero, 0.5, i0e(x) - out * (sign(safe) + 1 / safe)),)


_I0 = Derivative("I0", lambda g, out, x: (g * i1(x),))
_I1 = Derivative("I1", _i1_pull)
_I0E = Derivative("I0e", lambda g, out, x: (g * (i1e(x) - sign(x) * out),))
_I1E = Derivative("I1e", _i1e_pull)


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
    return ruled(_I0, lambda x: first_modified(0, x), input, kind=kind)


def _modified(name: str, meaning: str, rule: Derivative, order: int, scaled: bool, at_one: str) -> Any:
    @named(name, f"""{meaning}, of each element.

    Args: `input` (*), floats or whole numbers, which become the default floating type; `out`, a tensor to write to.
    Raises NotImplementedError for complex numbers.

    >>> import flambeau as torch
    >>> torch.special.{name}(torch.tensor([1.0]))
    tensor([{at_one}])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.{name}
    """)
    @keeps_layout
    @with_out
    def function(input: Tensor) -> Tensor:
        kind = floating_kind(name, input, whole=True)
        return ruled(rule, lambda x: first_modified(order, x, scaled), input, kind=kind)

    return function


i0e: Any = _modified("i0e", "The modified Bessel function of order 0, times e**-|x|", _I0E, 0, True, "0.4658")
i1: Any = _modified("i1", "The modified Bessel function of the first kind of order 1", _I1, 1, False, "0.5652")
i1e: Any = _modified("i1e", "The modified Bessel function of order 1, times e**-|x|", _I1E, 1, True, "0.2079")


# --- Gamma functions --------------------------------------------------------------------------------------------------


@in_place()
@lies(in_rows)
@keeps_layout
@with_out_of(_MVLGAMMA)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """log of the gamma function of p dimensions: p (p - 1) / 4 log(pi) + the sum of lgamma(x - j / 2) for j < p.

    >>> import flambeau as torch
    >>> torch.mvlgamma(torch.tensor([2.0, 5.0]), 2)
    tensor([0.4516, 6.2042])
    """
    if input.dtype is dtypes.boolean:
        raise RuntimeError("The input tensor may not be a boolean tensor.")
    p = whole_number(p, "p", "mvlgamma", 2)
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
    n = whole_number(n, "n", "polygamma", 1)
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    kind = floating_kind("polygamma", input, whole=True)
    if n == 0:
        return digamma(input)
    x = cast_value(input._read(), dtypes.float32 if kind.itemsize < 4 else kind)
    return wrap(cast_value(ops.polygamma_of(n, x), kind))


@in_place("polygamma")
def _polygamma_method(input: Tensor, n: int) -> Tensor:
    """The derivative of order n of digamma."""
    return polygamma(n, input)
