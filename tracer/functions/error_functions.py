"""The normal distribution's functions, entropies and Hurwitz's zeta: https://pytorch.org/docs/stable/special.html"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.dtypes import dtype
from ..ops import elementwise as ops
from ..tensor.tensor import Tensor
from .chebyshev import chebyshev_sum, coefficients
from .choosing import where
from .comparing import isinf, logical_and
from .layout import keeps_layout
from .methods import with_out
from .operands import NUMBERS, Number, wrap
from .precision import is_half
from .refusals import not_implemented
from .ruled import Derivative, check_number, floating_kind, ruled
from .unary import abs as absolute
from .unary import erfc, erfinv, exp, log, log1p, sqrt

_ROOT_HALF, _ROOT_PI = math.sqrt(0.5), math.sqrt(math.pi)
_CENTRE = 3.75  # of the map of x >= 0 to [-1, 1]


def _wide_kind(name: str, *xs: Any) -> dtype:
    """The floating type of the result, which may not be a half type."""
    kind = floating_kind(name, *xs, whole=True)
    if is_half(kind):
        raise not_implemented(f"{name}_cpu", kind)
    return kind


# --- On the host: samples and series ----------------------------------------------------------------------------------


def erfcx_samples(x: Any) -> Any:
    """e**(x x) erfc(x) for x >= 0: from 1 on an integral, for which the trapezoidal rule is exact to rounding."""
    small = np.array([math.exp(v * v) * math.erfc(v) for v in np.minimum(x, 1)])
    s = np.arange(0, 6.5, 0.05)
    weight = np.exp(-s * s) * 0.05
    weight[0] /= 2
    large = np.maximum(x, 1)[:, None]
    return np.where(x < 1, small, 2 / np.pi * (weight * large / (large * large + s * s)).sum(axis=1))


@functools.cache
def _erfcx_series(kind: dtype) -> list[float]:
    """Of (1 + 2 x) erfcx(x) in (x - c) / (x + c)."""
    def scaled(t: Any) -> Any:
        x = _CENTRE * (1 + t) / (1 - t)
        return (1 + 2 * x) * erfcx_samples(x)

    return coefficients(scaled, kind)


_TAIL, _DEEP = 2.0, 8.0  # of s = sqrt(-2 log p): between, and beyond, the quantile is a series of its own


def _quantile(s: Any) -> Any:
    """The y > 0 of which a normal variable is below -y with probability e**(-s s / 2), by Newton's method."""
    y = np.sqrt(s * s - np.log(s * s) - math.log(2 * math.pi) + 0.5 / s)
    for _ in range(8):
        ratio = erfcx_samples(y * _ROOT_HALF)
        y = y + (np.log(ratio / 2) - (y - s) * (y + s) / 2) * ratio * _ROOT_PI * _ROOT_HALF
    return y


@functools.cache
def _quantile_series(kind: dtype) -> tuple[list[float], list[float]]:
    """Of s minus the quantile: in s on [2, 8], and in 8 / s on [8, 40]."""
    middle, half = (_DEEP + _TAIL) / 2, (_DEEP - _TAIL) / 2

    def deep(t: Any) -> Any:
        s = _DEEP / (0.6 + 0.4 * t)
        return s - _quantile(s)

    return coefficients(lambda t: middle + half * t - _quantile(middle + half * t), kind), coefficients(deep, kind)


# --- The scaled complement of the error function ----------------------------------------------------------------------


def _erfcx(x: Tensor) -> Tensor:
    size = where(isinf(x), 1, absolute(x))
    value = chebyshev_sum((size - _CENTRE) / (size + _CENTRE), _erfcx_series(x.dtype)) / (1 + 2 * size)
    value = where(isinf(x), 0, value)
    return where(x < 0, 2 * exp(x * x) - value, value)


_ERFCX = Derivative("Erfcx", lambda g, out, x: (g * (2 * x * out - 2 / _ROOT_PI),))


@keeps_layout
@with_out
def erfcx(input: Tensor) -> Tensor:
    """e**(x**2) (1 - erf(x)), which falls as 1 / x where its factors overflow and vanish.

    Args: `input` (*), floats or whole numbers, which become the default floating type; `out`, a tensor to write to.
    Raises NotImplementedError for half and complex types.

    >>> import flambeau as torch
    >>> torch.special.erfcx(torch.tensor([0.0, 1.0, 100.0]))
    tensor([1.0000, 0.4276, 0.0056])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.erfcx
    """
    return ruled(_ERFCX, _erfcx, input, kind=_wide_kind("erfcx", input))


# --- The normal distribution ------------------------------------------------------------------------------------------

_NDTR = Derivative("Ndtr", lambda g, out, x: (g * exp(-x * x / 2) / math.sqrt(2 * math.pi),))
_NDTRI = Derivative("Ndtri", lambda g, out, x: (g * math.sqrt(2 * math.pi) * exp(out * out / 2),))
_LOG_NDTR = Derivative("LogNdtr", lambda g, out, x: (g / erfcx(x * -_ROOT_HALF) * math.sqrt(2 / math.pi),))


@keeps_layout
@with_out
def ndtr(input: Tensor) -> Tensor:
    """The probability that a standard normal variable is below x: (1 + erf(x / sqrt(2))) / 2.

    Args: `input` (*), floats or whole numbers, which become the default floating type; `out`, a tensor to write to.
    Raises NotImplementedError for complex numbers.

    >>> import flambeau as torch
    >>> torch.special.ndtr(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.1587, 0.5000, 0.8413])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.ndtr
    """
    return ruled(_NDTR, lambda x: erfc(x * -_ROOT_HALF) / 2, input, kind=floating_kind("ndtr", input, whole=True))


def _ndtri(p: Tensor) -> Tensor:
    inside = logical_and(p > 0, p < 1)
    upper = p > 0.5
    side = where(inside, where(upper, 1 - p, p), 0.5)
    s = sqrt(-2 * log(side))
    tail, deep = s > _TAIL, s > _DEEP
    near, far = _quantile_series(p.dtype)
    middle, half = (_DEEP + _TAIL) / 2, (_DEEP - _TAIL) / 2
    between = where(logical_and(tail, ~deep), s, _DEEP)
    less = where(deep, chebyshev_sum((_DEEP / where(deep, s, _DEEP) - 0.6) / 0.4, far),
                 chebyshev_sum((between - middle) / half, near))
    value = where(upper, s - less, less - s)
    value = where(tail, value, math.sqrt(2) * erfinv(where(tail, 0, 2 * p - 1)))
    return where(inside, value, where(p == 0, -math.inf, where(p == 1, math.inf, math.nan)))


@keeps_layout
@with_out
def ndtri(input: Tensor) -> Tensor:
    """The x below which a standard normal variable is with the given probability, the inverse of `ndtr`.

    Args: `input` (*), floats or whole numbers, which become the default floating type; `out`, a tensor to write to.
    Returns infinities at 0 and 1, NaN outside. Raises NotImplementedError for half and complex types.

    >>> import flambeau as torch
    >>> torch.special.ndtri(torch.tensor([0.0, 0.25, 0.5, 1e-10]))
    tensor([   -inf, -0.6745,  0.0000, -6.3613])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.ndtri
    """
    return ruled(_NDTRI, _ndtri, input, kind=_wide_kind("ndtri", input))


def _log_ndtr(x: Tensor) -> Tensor:
    t = x * _ROOT_HALF
    low = x < -1
    return where(low, log(_erfcx(where(low, -t, 1)) / 2) - t * t, log1p(erfc(where(low, 1, t)) * -0.5))


@keeps_layout
@with_out
def log_ndtr(input: Tensor) -> Tensor:
    """log(ndtr(x)), precise also where that vanishes.

    Args: `input` (*), floats or whole numbers, which become the default floating type; `out`, a tensor to write to.
    Raises NotImplementedError for half and complex types.

    >>> import flambeau as torch
    >>> torch.special.log_ndtr(torch.tensor([-100.0, 0.0]))
    tensor([-5.0055e+03, -6.9315e-01])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.log_ndtr
    """
    return ruled(_LOG_NDTR, _log_ndtr, input, kind=_wide_kind("log_ndtr", input))


# --- Entropies and zeta -----------------------------------------------------------------------------------------------


def _entr(x: Tensor) -> Tensor:
    positive = x > 0
    return where(positive, -x * log(where(positive, x, 1)), where(x == 0, 0, where(x < 0, -math.inf, math.nan)))


_ENTR = Derivative("Entr", lambda g, out, x: (g * (-log(x) - 1),))


@keeps_layout
@with_out
def entr(input: Tensor) -> Tensor:
    """-x log(x): 0 at 0, and minus infinity below.

    Args: `input` (*), floats or whole numbers, which become the default floating type; `out`, a tensor to write to.
    Raises NotImplementedError for complex numbers.

    >>> import flambeau as torch
    >>> torch.special.entr(torch.tensor([-1.0, 0.0, 0.5]))
    tensor([  -inf, 0.0000, 0.3466])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.entr
    """
    return ruled(_ENTR, _entr, input, kind=floating_kind("entr", input, whole=True))


def _xlog1py(x: Tensor, y: Tensor) -> Tensor:
    zero = x == 0
    return where(y != y, math.nan, where(zero, 0, x * log1p(where(zero, 0, y))))


def _xlog1py_pull(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Sequence[Tensor]:
    masked = logical_and(x == 0, y <= -1)
    return where(masked, 0, g * log1p(where(masked, 0, y))), g * x / (y + 1)


_XLOG1PY = Derivative("SpecialXlog1Py", _xlog1py_pull)


def _numbers_refused(name: str, *xs: Any) -> None:
    if all(isinstance(x, NUMBERS) for x in xs):
        check_number(name, *xs)


@keeps_layout
@with_out
def xlog1py(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """input * log(1 + other), which is 0 where input is 0, unless `other` is NaN.

    Args: `input` and `other`, tensors that broadcast, one of which may be a number; `out`, a tensor to write to.
    Raises NotImplementedError for complex numbers, TypeError for two numbers.

    >>> import flambeau as torch
    >>> torch.special.xlog1py(torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 1.0]))
    tensor([0.0000, 1.3863])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.xlog1py
    """
    _numbers_refused("special_xlog1py", input, other)
    return ruled(_XLOG1PY, _xlog1py, input, other, kind=floating_kind("xlog1py", input, other, whole=True))


def _zeta_pull(g: Tensor, out: Tensor, s: Tensor, q: Tensor) -> Sequence[Tensor | None]:
    return None, g * -s * zeta(s + 1, q)


_ZETA = Derivative("SpecialZeta", _zeta_pull, ("the derivative for 'zeta' is not implemented.",))


@keeps_layout
@with_out
def zeta(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """Hurwitz's zeta function, the sum of (k + other)**-input over k = 0, 1, ...

    Args: `input` and `other`, tensors that broadcast, one of which may be a number; `out`, a tensor to write to.
    Raises NotImplementedError for half and complex types, and where a gradient is to flow to `input`; TypeError for two
    numbers.

    >>> import flambeau as torch
    >>> torch.special.zeta(torch.tensor([2.0]), torch.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.zeta
    """
    _numbers_refused("special_zeta", input, other)
    kind = _wide_kind("zeta", input, other)
    return ruled(_ZETA, lambda s, q: wrap(ops.zeta(s._read(), q._read())), input, other, kind=kind)
