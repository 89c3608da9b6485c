"""Elementwise primitives: all operands of one shape, one result of that shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like, literal, with_leading
from ..ir.dtypes import dtype
from ..ir.errors import OpError, requires
from ..ir.graph import Value
from ..ir.op import OPS, Emitter, Op, Operand, register, zero_gradient
from ..ir.types import Type
from . import references
from .conditions import combined, compared, lowered_where

Vjp = Callable[..., Sequence[Value | None]]

ANY = frozenset(dtypes.ALL)
REAL = frozenset(d for d in dtypes.ALL if d.is_floating_point)
COMPLEX = frozenset({dtypes.complex64, dtypes.complex128})
INEXACT = REAL | COMPLEX
INTEGER = frozenset(d for d in dtypes.ALL if d.category == dtypes.INTEGRAL)
LOGICAL = INTEGER | {dtypes.boolean}
NUMBER = INEXACT | INTEGER
ELEMENTWISE: set[str] = set()  # the names of ops that treat all elements alike, whatever the shape


# --- The family -------------------------------------------------------------------------------------------------------


def elementwise(name: str, hlo: str, reference: Callable[..., Any], vjp: Vjp, accepts: frozenset[dtype], *,
                result: Callable[[dtype], dtype] | None = None, lower: Callable[..., Operand] | None = None,
                exact: bool = False, exact_on_integers: bool = True, light: bool = True) -> Op:
    """An op on operands of one type, lowered to the single instruction `hlo` unless `lower` says more.

    `result` maps the operands' dtype to the result's (the same by default).
    """

    def infer(*types: Type) -> Type:
        same_operands(name, types)
        if types[0].dtype not in accepts:
            raise OpError(f"{name} requires an operand of type {_names(accepts)}, got {types[0].dtype.name}")
        return types[0].with_dtype(result(types[0].dtype)) if result else types[0]

    def checked(*arrays: Any) -> Any:
        with np.errstate(all="ignore"):
            return in_type(reference(*arrays), result(dtypes.from_numpy(arrays[0].dtype)) if result
                           else dtypes.from_numpy(arrays[0].dtype))

    def instruction(h: Emitter, *operands: Operand) -> Operand:
        return h.op(hlo, operands)

    return register(Op(name, infer, checked, lower or instruction, vjp, batch_elementwise(name), exact=exact,
                       exact_on_integers=exact_on_integers, light=light))


def in_type(array: Any, kind: dtype) -> Any:
    """`array` as numpy array of that dtype; numpy widens some small types."""
    return np.asarray(array).astype(kind.numpy, copy=False)


def same_operands(name: str, types: Sequence[Type]) -> None:
    """Raise unless all operand types are equal."""
    if any(t is not types[0] for t in types):
        raise OpError(f"{name} requires operands of one shape and dtype, got {', '.join(map(str, types))}")


def batch_elementwise(name: str) -> Callable[..., Any]:
    """Batch rule of an op that treats all elements alike: give every operand the leading dimension."""
    ELEMENTWISE.add(name)

    def batch(size: int, batched: Sequence[bool], *inputs: Value, **params: Any) -> Any:
        return OPS[name](*(with_leading(size, b, x) for b, x in zip(batched, inputs)), **params)

    return batch


def _names(kinds: frozenset[dtype]) -> str:
    return " or ".join(sorted(d.name for d in kinds))


# --- Helpers in which the gradient formulas are written ---------------------------------------------------------------


def scaled(x: Value, number: complex) -> Value:
    """number * x."""
    return mul(x, full_like(x, number))


def shifted(x: Value, number: complex) -> Value:
    """x + number."""
    return add(x, full_like(x, number))


def conjugate(x: Value) -> Value:
    """The complex conjugate; real values are their own. torch's gradients are conjugated (g * conj(f'(x)))."""
    if not x.type.dtype.is_complex:
        return x
    return complex_(real(x), neg(imag(x)))


def square(x: Value) -> Value:
    """x * x."""
    return mul(x, x)


def times(g: Value, factor: Value) -> Value:
    """g * conj(factor), the pull-back through multiplication by `factor`."""
    return mul(g, conjugate(factor))


def over(g: Value, divisor: Value) -> Value:
    """g / conj(divisor)."""
    return div(g, conjugate(divisor))


def where(condition: Value, x: Value, y: Value) -> Value:
    """x where the condition holds, else y."""
    return select(condition, x, y)


def _is(x: Value, direction: str, y: Value) -> Value:
    return compare(x, y, direction=direction)


def flat_gradient(g: Value, out: Value, *inputs: Value) -> tuple[Value, ...]:
    """The vjp of a step function, zero: as in torch, the result requires grad all the same."""
    return tuple(full_like(x, 0) for x in inputs)


# --- Arithmetic -------------------------------------------------------------------------------------------------------


def _add_vjp(g: Value, out: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return g, g


def _sub_vjp(g: Value, out: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return g, neg(g)


def _mul_vjp(g: Value, out: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return times(g, y), times(g, x)


def _div_vjp(g: Value, out: Value, x: Value, y: Value) -> tuple[Value, Value]:
    gx = over(g, y)
    return gx, neg(times(gx, div(x, y)))


def _neg_vjp(g: Value, out: Value, x: Value) -> tuple[Value]:
    return (neg(g),)


def _rem_vjp(g: Value, out: Value, x: Value, y: Value) -> tuple[Value, Value]:
    quotient = div(x, y)
    whole = where(_is(quotient, "LT", full_like(x, 0)), ceil(quotient), floor(quotient))
    return g, neg(mul(g, stop_gradient(whole)))


def _pow_vjp(g: Value, out: Value, x: Value, y: Value) -> tuple[Value, Value]:
    zero, one = full_like(x, 0), full_like(x, 1)
    gx = times(g, mul(y, power(x, sub(y, one))))
    gx = where(_is(y, "EQ", zero), full_like(g, 0), gx)  # 0 * 0**-1 is 0 here
    still = _is(x, "EQ", zero)  # 0**y does not move with y, unless y is negative
    if not x.type.dtype.is_complex:
        still = and_(still, _is(y, "GE", zero))
    slope = where(still, zero, mul(out, log(where(still, one, x))))
    return gx, times(g, slope)


def _max_like_vjp(direction: str) -> Vjp:
    """Of max and min: the chosen operand gets the cotangent, equal ones half each, and both all of it at NaN, as in torch."""

    def vjp(g: Value, out: Value, x: Value, y: Value) -> tuple[Value, Value]:
        half, zero = scaled(g, 0.5), full_like(g, 0)
        tied = _is(x, "EQ", y)
        gx = where(tied, half, where(_is(y, direction, x), zero, g))
        gy = where(tied, half, where(_is(x, direction, y), zero, g))
        return gx, gy

    return vjp


def _atan2_vjp(g: Value, out: Value, y: Value, x: Value) -> tuple[Value, Value]:
    distance = add(square(x), square(y))
    zero = full_like(g, 0)
    scale = where(_is(distance, "EQ", zero), zero, div(g, distance))  # at the origin torch's gradient is 0
    return mul(scale, x), neg(mul(scale, y))


add = elementwise("add", "add", references.add, _add_vjp, ANY, lower=partial(combined, "add"))
sub = elementwise("sub", "subtract", lambda x, y: x - y, _sub_vjp, NUMBER)
mul = elementwise("mul", "multiply", references.multiply, _mul_vjp, ANY, lower=partial(combined, "multiply"))
div = elementwise("div", "divide", references.truncating_divide, _div_vjp, NUMBER)
neg = elementwise("neg", "negate", lambda x: -x, _neg_vjp, NUMBER, exact=True)
rem = elementwise("rem", "remainder", references.truncating_remainder, _rem_vjp, REAL | INTEGER)
power = elementwise("pow", "power", references.power, _pow_vjp, NUMBER)
maximum = elementwise("max", "maximum", np.maximum, _max_like_vjp("GT"), REAL | LOGICAL)
minimum = elementwise("min", "minimum", np.minimum, _max_like_vjp("LT"), REAL | LOGICAL)
atan2 = elementwise("atan2", "atan2", np.arctan2, _atan2_vjp, REAL)


# --- Bits and logic ---------------------------------------------------------------------------------------------------


and_ = elementwise("and", "and", np.bitwise_and, zero_gradient, LOGICAL, exact=True)
or_ = elementwise("or", "or", np.bitwise_or, zero_gradient, LOGICAL, exact=True)
xor = elementwise("xor", "xor", np.bitwise_xor, zero_gradient, LOGICAL, exact=True)
not_ = elementwise("not", "not", np.bitwise_not, zero_gradient, LOGICAL, exact=True)
shift_left = elementwise("shift_left", "shift_left", references.shift(lambda x, n: x << n, np.zeros_like), zero_gradient,
                         INTEGER, exact=True)
shift_right_logical = elementwise(
    "shift_right_logical", "shift_right_logical", references.shift(references.logical_right, np.zeros_like), zero_gradient,
    INTEGER, exact=True)
shift_right_arithmetic = elementwise("shift_right_arithmetic", "shift_right_arithmetic",
                                     references.shift(lambda x, n: x >> n, lambda x: np.where(x < 0, -1, 0).astype(x.dtype)
                                            if x.dtype.kind == "i" else np.zeros_like(x)),
                                     zero_gradient, INTEGER, exact=True)
population_count = elementwise("population_count", "popcnt",
                               lambda x: np.bitwise_count(x.view(np.dtype(f"u{x.dtype.itemsize}"))), zero_gradient,
                               INTEGER, exact=True)
count_leading_zeros = elementwise("count_leading_zeros", "count_leading_zeros", references.count_leading_zeros, zero_gradient,
                                  INTEGER, exact=True)


# --- Real and complex functions ---------------------------------------------------------------------------------------


def unary(name: str, hlo: str, reference: Callable[..., Any], derivative: Callable[[Value, Value], Value],
          accepts: frozenset[dtype] = INEXACT, *, lower: Callable[..., Operand] | None = None, light: bool = True) -> Op:
    """A function of one operand, given by its `derivative(out, x)`; of half types it is computed in float32, rounded once."""

    def vjp(g: Value, out: Value, x: Value) -> tuple[Value]:
        if x.type.dtype.itemsize >= 4:
            return (times(g, derivative(out, x)),)
        g, out, wide_x = (convert(v, dtype=dtypes.float32) for v in (g, out, x))
        return (convert(times(g, derivative(out, wide_x)), dtype=x.type.dtype),)

    return elementwise(name, hlo, wide(reference), vjp, accepts, lower=lower, light=light)


def wide(reference: Callable[..., Any]) -> Callable[..., Any]:
    """Compute half-precision types in float32, as XLA does, and round once at the end."""

    def computed(*arrays: Any) -> Any:
        if arrays[0].dtype.itemsize < 4:
            return reference(*(a.astype(np.float32) for a in arrays))
        return reference(*arrays)

    return computed


def special(name: str) -> Callable[..., Any]:
    """scipy's special function of that name, imported on first use: it takes longer to load than all of us."""

    def call(*arrays: Any) -> Any:
        import scipy.special  # noqa: PLC0415

        return getattr(scipy.special, name)(*arrays)

    return call


def reciprocal(x: Value) -> Value:
    """1 / x."""
    return div(full_like(x, 1), x)


def _abs_vjp(g: Value, out: Value, x: Value) -> tuple[Value | None]:
    if not x.type.dtype.is_complex:
        return (mul(g, sign(x)),)
    return (mul(complex_(g, full_like(g, 0)), sign(x)),)


def _sign_vjp(g: Value, out: Value, x: Value) -> tuple[Value, ...]:
    if not x.type.dtype.is_complex:
        return flat_gradient(g, out, x)
    # z / |z| turns but does not stretch: only the part of g across the direction of z survives.
    norm = abs_(x)
    along = add(mul(real(g), real(out)), mul(imag(g), imag(out)))
    across = sub(g, mul(out, complex_(along, full_like(along, 0))))
    safe = where(_is(norm, "EQ", full_like(norm, 0)), full_like(norm, 1), norm)
    across = div(across, complex_(safe, full_like(safe, 0)))
    return (where(_is(norm, "EQ", full_like(norm, 0)), full_like(g, 0), across),)


def _sign_reference(x: Any) -> Any:
    if x.dtype.kind != "c":
        return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)
    norm = np.abs(x)
    return np.where(norm == 0, 0, x / np.where(norm == 0, 1, norm))


def _sign_lower(h: Emitter, x: Operand) -> Operand:
    """XLA's own sign keeps NaN and -0.0; torch's gives 0."""
    if not x.type.dtype.is_floating_point:
        return h.op("sign", (x,))
    one, zero, less = (h.constant(literal(n, x.type.dtype), x.type) for n in (1, 0, -1))
    return lowered_where(h, x, "GT", "0.0", one, lowered_where(h, x, "LT", "0.0", less, zero))


def _digamma_reference(x: Any) -> Any:
    return np.where(x == 0, -1 / x, special("psi")(x))


def _digamma_lower(h: Emitter, x: Operand) -> Operand:
    """The pole at 0 is infinite, with the sign of the side that zero is on; CHLO's is NaN."""
    pole = h.op("divide", (h.constant("-1.0", x.type), x))
    return lowered_where(h, x, "EQ", "0.0", pole, h.op("chlo.digamma", (x,)))


def _acosh_derivative(out: Value, x: Value) -> Value:
    if x.type.dtype.is_complex:
        return mul(rsqrt(shifted(x, -1)), rsqrt(shifted(x, 1)))
    return rsqrt(shifted(square(x), -1))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


abs_ = elementwise("abs", "abs", np.abs, _abs_vjp, NUMBER, result=lambda d: d.real_form)
sign = elementwise("sign", "sign", _sign_reference, _sign_vjp, NUMBER, lower=_sign_lower)
exp = unary("exp", "exponential", np.exp, lambda out, x: out)
expm1 = unary("expm1", "exponential_minus_one", np.expm1, lambda out, x: shifted(out, 1))
log = unary("log", "log", np.log, lambda out, x: reciprocal(x))
log1p = unary("log1p", "log_plus_one", np.log1p, lambda out, x: reciprocal(shifted(x, 1)))
sqrt = unary("sqrt", "sqrt", np.sqrt, lambda out, x: div(full_like(x, 0.5), out))
rsqrt = unary("rsqrt", "rsqrt", lambda x: 1 / np.sqrt(x), lambda out, x: scaled(mul(square(out), out), -0.5))
cbrt = unary("cbrt", "cbrt", np.cbrt, lambda out, x: reciprocal(scaled(square(out), 3)), REAL)
sin = unary("sin", "sine", np.sin, lambda out, x: cos(x))
cos: Op = unary("cos", "cosine", np.cos, lambda out, x: neg(sin(x)))
tan = unary("tan", "tan", np.tan, lambda out, x: shifted(square(out), 1))
tanh = unary("tanh", "tanh", np.tanh, lambda out, x: sub(full_like(x, 1), square(out)))
sigmoid = unary("sigmoid", "logistic", _sigmoid, lambda out, x: mul(out, sub(full_like(x, 1), out)))
asin = unary("asin", "chlo.asin", np.arcsin, lambda out, x: rsqrt(sub(full_like(x, 1), square(x))))
acos = unary("acos", "chlo.acos", np.arccos, lambda out, x: neg(rsqrt(sub(full_like(x, 1), square(x)))))
atan = unary("atan", "chlo.atan", np.arctan, lambda out, x: reciprocal(shifted(square(x), 1)))
sinh = unary("sinh", "chlo.sinh", np.sinh, lambda out, x: cosh(x))
cosh: Op = unary("cosh", "chlo.cosh", np.cosh, lambda out, x: sinh(x))
asinh = unary("asinh", "chlo.asinh", np.arcsinh, lambda out, x: rsqrt(shifted(square(x), 1)))
acosh = unary("acosh", "chlo.acosh", np.arccosh, _acosh_derivative)
atanh = unary("atanh", "chlo.atanh", np.arctanh, lambda out, x: reciprocal(sub(full_like(x, 1), square(x))))
erf = unary("erf", "chlo.erf", special("erf"), lambda out, x: scaled(exp(neg(square(x))), 2 / math.sqrt(math.pi)), REAL)
erfc = unary("erfc", "chlo.erfc", special("erfc"), lambda out, x: scaled(exp(neg(square(x))), -2 / math.sqrt(math.pi)), REAL)
erfinv = unary("erfinv", "chlo.erf_inv", lambda x: np.where(x == 0, x, special("erfinv")(x)),
               lambda out, x: scaled(exp(square(out)), math.sqrt(math.pi) / 2), REAL)
lgamma = unary("lgamma", "chlo.lgamma", lambda x: np.where(np.isinf(x), np.inf, special("gammaln")(x)),
               lambda out, x: digamma(x), REAL, light=False)
digamma: Op = unary("digamma", "chlo.digamma", _digamma_reference, lambda out, x: polygamma_of(1, x), REAL,
                    lower=_digamma_lower, light=False)


def _polygamma_vjp(g: Value, out: Value, order: Value, x: Value) -> tuple[None, Value]:
    return None, mul(g, polygamma(shifted(order, 1), x))


def _zeta_vjp(g: Value, out: Value, s: Value, x: Value) -> tuple[None, Value]:
    return None, mul(g, neg(mul(s, zeta(shifted(s, 1), x))))


polygamma: Op = elementwise("polygamma", "chlo.polygamma", special("polygamma"), _polygamma_vjp,
                            frozenset({dtypes.float32, dtypes.float64}), light=False)
zeta = elementwise("zeta", "chlo.zeta", special("zeta"), _zeta_vjp, frozenset({dtypes.float32, dtypes.float64}), light=False)


def _pi_cot(turn: Value) -> Value:
    """pi cot(pi t) for t from -1/2 to 1/2, infinite at 0, to the last bits also near 0, its pole, and near 1/2, its zero."""
    pole = _is(turn, "EQ", full_like(turn, 0))
    safe = where(pole, full_like(turn, 0.25), turn)
    inner = _is(abs_(safe), "LE", full_like(turn, 0.25))
    angle = scaled(where(inner, safe, sub(full_like(turn, 0.5), abs_(safe))), math.pi)
    near = div(div(angle, where(inner, tan(angle), full_like(turn, 1))), safe)  # the error of the angle cancels
    cot = where(inner, near, mul(scaled(tan(angle), math.pi), sign(safe)))
    return where(pole, full_like(turn, math.inf), cot)


# The second operand, with the gradient of the first one's polygamma function: that of its branches is none at the poles.
with_polygamma: Op = register(Op(
    "with_polygamma", lambda x, value, order: _with_value_infer(x, value), lambda x, value, order: value,
    lambda h, x, value, order: value, lambda g, out, x, value, order: (mul(g, polygamma_of(order + 1, x)), None),
    batch_elementwise("with_polygamma"), exact=True, light=True))


def polygamma_of(order: int, x: Value) -> Value:
    """The derivative of digamma of an order, also below zero, where CHLO's stops too early: https://dlmf.nist.gov/5.15.E6

    There it is that of 1 - x, reflected, less a polynomial in pi cot(pi x), the derivative of which is -(pi**2 + its square).
    """
    below = _is(x, "LE", full_like(x, 0))
    above = polygamma(full_like(x, order), where(below, sub(full_like(x, 1), x), x))
    cot = _pi_cot(where(below, sub(x, round_nearest_even(x)), full_like(x, 0.25)))
    factors = np.array([0.0, 1.0])
    for _ in range(order):
        factors = np.polynomial.polynomial.polymul(np.polynomial.polynomial.polyder(factors), [-math.pi**2, 0.0, -1.0])
    *lower, highest = map(float, factors)
    total = full_like(x, highest)
    for factor in reversed(lower):
        total = shifted(mul(total, cot), factor)
    result = where(below, sub(scaled(above, (-1)**order), total), above)
    end = full_like(x, 0 if order == 1 else math.nan)  # as torch has it
    return with_polygamma(x, where(_is(x, "EQ", full_like(x, math.inf)), end, result), order=order)


floor = elementwise("floor", "floor", np.floor, flat_gradient, REAL)
ceil = elementwise("ceil", "ceil", np.ceil, flat_gradient, REAL)
round_nearest_even = elementwise("round_nearest_even", "round_nearest_even", np.rint, flat_gradient, REAL)
nextafter = elementwise("nextafter", "chlo.next_after", np.nextafter, zero_gradient,
                        frozenset({dtypes.float32, dtypes.float64}), exact=True)
is_finite = elementwise("is_finite", "is_finite", np.isfinite, zero_gradient, REAL, result=lambda d: dtypes.boolean, exact=True)


# --- Complex parts ----------------------------------------------------------------------------------------------------


def _real_vjp(g: Value, out: Value, x: Value) -> tuple[Value]:
    return (complex_(g, full_like(g, 0)),)


def _imag_vjp(g: Value, out: Value, x: Value) -> tuple[Value]:
    return (complex_(full_like(g, 0), g),)


def _complex_vjp(g: Value, out: Value, x: Value, y: Value) -> tuple[Value, Value]:
    return real(g), imag(g)


def _complex_reference(x: Any, y: Any) -> Any:
    result = np.empty(x.shape, np.result_type(x.dtype, np.complex64))
    result.real, result.imag = x, y  # x + 1j * y would make NaNs of infinities
    return result


real = elementwise("real", "real", np.real, _real_vjp, COMPLEX, result=lambda d: d.real_form, exact=True)
imag = elementwise("imag", "imag", np.imag, _imag_vjp, COMPLEX, result=lambda d: d.real_form, exact=True)
complex_ = elementwise("complex", "complex", _complex_reference, _complex_vjp,
                       frozenset({dtypes.float32, dtypes.float64}), result=lambda d: d.complex_form, exact=True)


# --- Compare, select, clamp, convert ----------------------------------------------------------------------------------

_COMPARE = {"EQ": np.equal, "NE": np.not_equal, "LT": np.less, "LE": np.less_equal, "GT": np.greater,
            "GE": np.greater_equal}


def _compare_infer(x: Type, y: Type, *, direction: str) -> Type:
    same_operands("compare", (x, y))
    requires(direction in _COMPARE, "compare", f"a direction of {', '.join(_COMPARE)}", direction)
    requires(not x.dtype.is_complex or direction in ("EQ", "NE"), "compare", "real operands to order", x)
    return x.with_dtype(dtypes.boolean)


def _compare_lower(h: Emitter, x: Operand, y: Operand, *, direction: str) -> Operand:
    return compared(h, direction, x, y)


compare = register(Op(
    "compare", _compare_infer, lambda x, y, *, direction: np.asarray(_COMPARE[direction](x, y)).astype(np.bool_),
    _compare_lower, zero_gradient, batch_elementwise("compare"), exact_on_integers=True, light=True))


def _select_infer(condition: Type, x: Type, y: Type) -> Type:
    same_operands("select", (x, y))
    requires(condition is x.with_dtype(dtypes.boolean), "select", f"a bool condition of shape {x.shape}", condition)
    return x


def _select_vjp(g: Value, out: Value, condition: Value, x: Value, y: Value) -> tuple[None, Value, Value]:
    zero = full_like(g, 0)
    return None, select(condition, g, zero), select(condition, zero, g)


select = register(Op(
    "select", _select_infer, lambda c, x, y: np.asarray(np.where(c, x, y)).astype(x.dtype, copy=False),
    lambda h, c, x, y: h.op("select", (c, x, y)), _select_vjp, batch_elementwise("select"), exact=True, light=True))


def _clamp_infer(low: Type, x: Type, high: Type) -> Type:
    same_operands("clamp", (low, x, high))
    requires(not x.dtype.is_complex, "clamp", "real operands", x)
    return x


def _clamp_reference(low: Any, x: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


def _clamp_vjp(g: Value, out: Value, low: Value, x: Value, high: Value) -> tuple[Value, Value, Value]:
    zero = full_like(g, 0)
    inside = and_(_is(x, "GE", low), _is(x, "LE", high))  # so not at NaN
    to_low = and_(_is(x, "LT", low), _is(low, "LT", high))
    to_high = or_(_is(x, "GT", high), _is(high, "LT", low))
    return where(to_low, g, zero), where(inside, g, zero), where(to_high, g, zero)


clamp = register(Op("clamp", _clamp_infer, _clamp_reference, lambda h, low, x, high: h.op("clamp", (low, x, high)),
                    _clamp_vjp, batch_elementwise("clamp"), exact_on_integers=True, light=True))


def _convert_infer(x: Type, *, dtype: dtype) -> Type:
    requires(not x.dtype.is_complex or dtype.is_complex, "convert", "a complex target for complex values", dtype.name)
    return x.with_dtype(dtype)


def _convert_lower(h: Emitter, x: Operand, *, dtype: dtype) -> Operand:
    if dtype is dtypes.boolean:
        zero = h.constant("0.0" if x.type.dtype.is_inexact else "0", x.type)
        return compared(h, "NE", x, zero)
    if x.type.dtype is dtypes.boolean and dtype.is_floating_point:  # XLA takes a converted bool times NaN for 0
        return h.op("select", (x, h.constant("1.0", h.out), h.constant("0.0", h.out)))
    through = references.through(x.type.dtype, dtype)
    return h.op("convert", (x,)) if through is None else _lowered_whole(h, x, through)


def _lowered_whole(h: Emitter, x: Operand, through: dtype) -> Operand:
    least, wide = dtypes.iinfo(through).min, x.type.with_dtype(through)
    limit = repr(-float(least) if -least <= dtypes.finfo(x.type.dtype).max else math.inf)
    whole = lowered_where(h, x, "LT", limit, h.op("convert", (x,), wide), h.constant(str(least), wide))
    return whole if wide is h.out else h.op("convert", (whole,))


def _convert_vjp(g: Value, out: Value, x: Value, *, dtype: dtype) -> tuple[Value | None]:
    if not x.type.dtype.is_inexact:
        return (None,)
    if g.type.dtype.is_complex and not x.type.dtype.is_complex:
        g = real(g)
    return (g if g.type.dtype is x.type.dtype else convert(g, dtype=x.type.dtype),)


convert = register(Op("convert", _convert_infer, references.converted, _convert_lower, _convert_vjp,
                      batch_elementwise("convert"), exact=True, light=True))


def _reduce_precision_infer(x: Type, *, exponent: int, mantissa: int) -> Type:
    requires(x.dtype.is_floating_point, "reduce_precision", "a floating operand", x)
    return x


def _reduce_precision_reference(x: Any, *, exponent: int, mantissa: int) -> Any:
    kinds = {(8, 7): ml_dtypes.bfloat16, (5, 10): np.float16, (8, 23): np.float32, (5, 2): ml_dtypes.float8_e5m2}
    return x.astype(kinds[exponent, mantissa]).astype(x.dtype)


def _reduce_precision_vjp(g: Value, out: Value, x: Value, **params: Any) -> tuple[Value]:
    return (reduce_precision(g, **params),)


reduce_precision = register(Op(
    "reduce_precision", _reduce_precision_infer, _reduce_precision_reference,
    lambda h, x, *, exponent, mantissa: h.op("reduce_precision", (x,), attributes=(
        f"exponent_bits = {exponent} : i32, mantissa_bits = {mantissa} : i32")),
    _reduce_precision_vjp, batch_elementwise("reduce_precision"), exact=True, light=True))


# --- Values that only gradients see -----------------------------------------------------------------------------------


def _identity_infer(x: Type) -> Type:
    return x


def _identity_lower(h: Emitter, x: Operand) -> Operand:
    return x


# A new value equal to x: what a leaf is, so that its cotangent has a place of its own.
alias = register(Op("alias", _identity_infer, lambda x: x, _identity_lower, lambda g, out, x: (g,),
                    batch_elementwise("alias"), exact=True, light=True))
# x, through which no gradient flows.
stop_gradient = register(Op("stop_gradient", _identity_infer, lambda x: x, _identity_lower, zero_gradient,
                            batch_elementwise("stop_gradient"), exact=True, light=True))


def _with_value_infer(x: Type, value: Type) -> Type:
    same_operands("with_value", (x, value))
    return x


# The second operand, with the first one's gradient: what a tensor is after its `.data` was written.
with_value = register(Op("with_value", _with_value_infer, lambda x, value: value, lambda h, x, value: value,
                         lambda g, out, x, value: (g, None), batch_elementwise("with_value"), exact=True, light=True))
