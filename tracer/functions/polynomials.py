"""Orthogonal polynomials by recurrence: https://dlmf.nist.gov/18

Each is p[k + 1] = a(k, x) p[k] - b(k) p[k - 1] from p[0] = 1 and a p[1] of its own. The degree may be a tensor: the recurrence
then runs to the largest one, and elements of lower degree stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..ir import dtypes
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from .bessel import without_gradient
from .choosing import where
from .comparing import logical_and
from .control import while_loop
from .methods import named, with_out
from .operands import NUMBERS, full, wrap
from .ruled import check_number
from .unary import abs as absolute
from .unary import acos, cos, sin, trunc

_UNROLLED = 64  # degrees up to which a recurrence of a known degree is written out


@dataclass(frozen=True)
class _Family:
    """What tells one kind of polynomial from another, as functions of x and of the degree."""

    first: Callable[[Tensor], Tensor]
    step: Callable[[Any, Tensor, Tensor, Tensor], Tensor]  # (k, x, p[k], p[k - 1]) -> p[k + 1]
    wave: Callable[[Tensor, Tensor], Tensor] | None = None  # (n, angle): inside (-1, 1), for high degrees
    most: tuple[float, float] = (math.inf, math.inf)  # degrees of float32 and float64 beyond which torch says NaN


def _degree(n: Tensor | Any) -> int | None:
    """The degree, if it is a plain number that the recurrence can be written out for."""
    known = not isinstance(n, (Tensor, Scalar)) and math.isfinite(n) and n <= _UNROLLED
    return max(int(n), -1) if known else None


def _raised(family: _Family, x: Tensor, n: Tensor) -> Tensor:
    """The recurrence with a degree for each element."""
    one = wrap(full(x._type.shape, 1, x.dtype, x._device))

    def step(k: Tensor, at: Tensor, before: Tensor) -> tuple[Tensor, ...]:
        active = n > k
        return k + 1, where(active, family.step(k, x, at, before), at), where(active, at, before)

    first = wrap(full((), 1, x.dtype, x._device))
    start = first, where(n >= 1, family.first(x), one), one
    result = while_loop(lambda k, at, before: (n > k).any(), step, start)[1]
    return where(n < 0, 0, result)


def _written_out(family: _Family, x: Tensor, n: int) -> Tensor:
    before, at = x * 0 + 1, family.first(x)
    if n <= 0:
        return wrap(full(x._type.shape, int(n == 0), x.dtype, x._device))
    for k in range(1, n):
        before, at = at, family.step(k, x, at, before)
    return at


def _value(family: _Family, x: Tensor, n: Tensor, degree: int | None) -> Tensor:
    if degree is not None and (family.wave is None or degree <= 8):
        value = _written_out(family, x, degree)
    elif family.wave is None:
        value = _raised(family, x, n)
    else:
        high = logical_and(n > 8, absolute(x) < 1)
        inside = where(high, x, 0)
        value = where(high, family.wave(n, acos(inside)), _raised(family, x, where(high, 0, n)))
    most = family.most[x.dtype is dtypes.float64]
    return value if most == math.inf or (degree is not None and degree <= most) else where(n > most, math.nan, value)


def _chebyshev(first: Callable[[Tensor], Tensor], wave: Callable[[Tensor, Tensor], Tensor]) -> _Family:
    return _Family(first, lambda k, x, at, before: 2 * x * at - before, wave)


_FAMILIES = {
    "chebyshev_polynomial_t": _chebyshev(lambda x: x, lambda n, a: cos(n * a)),
    "chebyshev_polynomial_u": _chebyshev(lambda x: 2 * x, lambda n, a: sin((n + 1) * a) / sin(a)),
    "chebyshev_polynomial_v": _chebyshev(lambda x: 2 * x - 1, lambda n, a: cos((n + 0.5) * a) / cos(a / 2)),
    "chebyshev_polynomial_w": _chebyshev(lambda x: 2 * x + 1, lambda n, a: sin((n + 0.5) * a) / sin(a / 2)),
    "hermite_polynomial_h": _Family(lambda x: 2 * x, lambda k, x, at, before: 2 * x * at - 2 * k * before, None, (128, 512)),
    "hermite_polynomial_he": _Family(lambda x: x, lambda k, x, at, before: x * at - k * before, None, (128, 512)),
    "laguerre_polynomial_l": _Family(
        lambda x: 1 - x, lambda k, x, at, before: ((2 * k + 1 - x) * at - k * before) / (k + 1)),
    "legendre_polynomial_p": _Family(
        lambda x: x, lambda k, x, at, before: ((2 * k + 1) * x * at - k * before) / (k + 1)),
}


_MEANINGS = {
    "chebyshev_polynomial_t": "Chebyshev's polynomial of the first kind",
    "chebyshev_polynomial_u": "Chebyshev's polynomial of the second kind",
    "chebyshev_polynomial_v": "Chebyshev's polynomial of the third kind",
    "chebyshev_polynomial_w": "Chebyshev's polynomial of the fourth kind",
    "hermite_polynomial_h": "Hermite's polynomial as physicists have it",
    "hermite_polynomial_he": "Hermite's polynomial as it belongs to the normal distribution",
    "laguerre_polynomial_l": "Laguerre's polynomial",
    "legendre_polynomial_p": "Legendre's polynomial",
}


def _polynomial(name: str, at: str) -> Any:
    shifted = name.startswith("shifted_")
    chosen, meaning = _FAMILIES[name.removeprefix("shifted_")], _MEANINGS[name.removeprefix("shifted_")]

    @named(name, f"""{meaning}{' of 2 x - 1' if shifted else ''}, of degree n, of each element.

    Args: `input` and `n`, tensors that broadcast, one of which may be a number; `n` counts without its fraction; `out`, a
    tensor to write to.
    Returns zeros where n is negative; no gradient flows to the result. Raises NotImplementedError for half and complex
    types, TypeError for two numbers.

    >>> import flambeau as torch
    >>> torch.special.{name}(torch.tensor([0.5, 2.0]), 2)
    tensor([{at}])

    Source: https://pytorch.org/docs/stable/special.html#torch.special.{name}
    """)
    @with_out
    def function(input: Any, n: Any) -> Tensor:
        if isinstance(input, NUMBERS) and isinstance(n, NUMBERS):
            check_number(f"special_{name}", input, n)
        degree = _degree(n)
        return without_gradient(
            name, lambda x, d: _value(chosen, 2 * x - 1 if shifted else x, trunc(where(d == d, d, -1)), degree), input, n)

    return function


chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t", "-0.5000,  7.0000")
chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u", " 0., 15.")
chebyshev_polynomial_v = _polynomial("chebyshev_polynomial_v", "-1., 11.")
chebyshev_polynomial_w = _polynomial("chebyshev_polynomial_w", " 1., 19.")
hermite_polynomial_h = _polynomial("hermite_polynomial_h", "-1., 14.")
hermite_polynomial_he = _polynomial("hermite_polynomial_he", "-0.7500,  3.0000")
laguerre_polynomial_l = _polynomial("laguerre_polynomial_l", " 0.1250, -1.0000")
legendre_polynomial_p = _polynomial("legendre_polynomial_p", "-0.1250,  5.5000")
shifted_chebyshev_polynomial_t = _polynomial("shifted_chebyshev_polynomial_t", "-1., 17.")
shifted_chebyshev_polynomial_u = _polynomial("shifted_chebyshev_polynomial_u", "-1., 35.")
shifted_chebyshev_polynomial_v = _polynomial("shifted_chebyshev_polynomial_v", "-1., 29.")
shifted_chebyshev_polynomial_w = _polynomial("shifted_chebyshev_polynomial_w", "-1., 41.")
