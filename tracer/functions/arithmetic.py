"""Elementwise functions under torch's names: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import dtype
from ..graph import Value
from ..ops import OPS
from ..ops.elementwise import convert
from ..ops.record import Op
from ..tensor import Tensor
from ..types import Type
from ..views import Conjugate
from .layout import apply, keeps_layout, laid_out
from .methods import assign, in_place, into, method, pointwise, with_out
from .operands import (
    NUMBERS,
    Number,
    broadcast_shapes,
    cast_value,
    expand_value,
    float_kind,
    number_dtype,
    number_value,
    operands,
    result_dtype,
    wrap,
)

# --- Arithmetic -------------------------------------------------------------------------------------------------------


def _is_bool(x: Tensor | Number) -> bool:
    return (x._type.dtype if isinstance(x, Tensor) else number_dtype(x)) is dtypes.boolean


def _scaled_other(other: Any, alpha: Number) -> Any:
    if type(alpha) in (int, float) and alpha == 1:
        return other
    return mul(other, alpha) if isinstance(other, Tensor) else other * alpha


@in_place()
def add(input: Tensor, other: Tensor | Number, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input + alpha * other, broadcast and promoted.

    >>> import flambeau as torch
    >>> torch.add(torch.tensor([1, 2]), 0.5)
    tensor([1.5000, 2.5000])
    """
    return into(out, apply(OPS["add"], input, _scaled_other(other, alpha)))


@in_place("sub", "subtract")
def sub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input - alpha * other."""
    if _is_bool(input) and _is_bool(other):
        raise RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
                           "`logical_xor()` operator instead.")
    return into(out, apply(OPS["sub"], input, _scaled_other(other, alpha)))


subtract = sub


@in_place("mul", "multiply")
def mul(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """input * other."""
    return into(out, apply(OPS["mul"], input, other))


multiply = mul


@in_place("div", "divide", "true_divide")
def div(input: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None, out: Tensor | None = None) -> Tensor:
    """input / other; `rounding_mode` 'floor' or 'trunc' keeps integers integers.

    >>> import flambeau as torch
    >>> torch.div(torch.tensor([-7, 7]), 2, rounding_mode="floor")
    tensor([-4,  3])
    """
    if rounding_mode is None:
        kind = None if isinstance(input, Tensor) and input._type.dtype.is_inexact else float_kind(input, other)
        return into(out, apply(OPS["div"], input, other, kind=kind))
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError("div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
                           f"'{rounding_mode}'")
    x, y = operands(input, other)
    result = OPS["div"](x, y)
    if x.type.dtype.is_inexact:
        result = OPS["floor"](result) if rounding_mode == "floor" else _trunc(result)
    elif rounding_mode == "floor":
        result = _floor_quotient(x, y, result)
    return into(out, laid_out(wrap(result), (input, other)))


divide = true_divide = div


def _floor_quotient(x: Value, y: Value, quotient: Value) -> Value:
    """The integer quotient rounded down, from the one rounded toward zero."""
    if not x.type.dtype.is_signed:
        return quotient
    zero = number_value(0, x.type.dtype, x.type.shape, x.device)
    rest = OPS["rem"](x, y)
    inexact = OPS["compare"](rest, zero, direction="NE")
    opposite = OPS["compare"](OPS["xor"](x, y), zero, direction="LT")
    down = convert(OPS["and"](inexact, opposite), dtype=x.type.dtype)
    return OPS["sub"](quotient, down)


def _trunc(x: Value) -> Value:
    zero = number_value(0, x.type.dtype, x.type.shape, x.device)
    negative = OPS["compare"](x, zero, direction="LT")
    return OPS["select"](negative, OPS["ceil"](x), OPS["floor"](x))


@pointwise()
def floor_divide(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """The quotient rounded down."""
    return div(input, other, rounding_mode="floor", out=out)


@pointwise()
def remainder(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """The modulus with the divisor's sign, Python's `%`."""
    if not isinstance(input, Tensor):
        input = _tensor_like(input, other)
    x, y = operands(input, other)
    rest = OPS["rem"](x, y)
    if x.type.dtype.is_signed:
        zero = number_value(0, x.type.dtype, x.type.shape, x.device)
        wrong = OPS["and"](OPS["compare"](rest, zero, direction="NE"),
                           OPS["xor"](OPS["compare"](rest, zero, direction="LT"), OPS["compare"](y, zero, direction="LT")))
        rest = OPS["select"](wrong, OPS["add"](rest, y), rest)
    return into(out, wrap(rest))


@pointwise()
def fmod(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """The remainder with the dividend's sign, C's fmod."""
    return into(out, apply(OPS["rem"], input, other))


@pointwise()
def pow(input: Tensor | Number, exponent: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent. Small whole exponents become products.

    >>> import flambeau as torch
    >>> torch.pow(torch.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    if isinstance(input, Tensor) and type(exponent) in (int, float):
        result = _constant_power(input, exponent)  # type: ignore[arg-type]
        if result is not None:
            return into(out, result)
    return into(out, apply(OPS["pow"], input, exponent))


def _constant_power(input: Tensor, exponent: float) -> Tensor | None:
    kind = result_dtype(input, exponent)
    if not kind.is_inexact:
        if exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        return None
    x = cast_value(input._read(), kind)
    if exponent == 2:
        return wrap(OPS["mul"](x, x))
    if exponent == 3:
        return wrap(OPS["mul"](OPS["mul"](x, x), x))
    if exponent == 0.5:
        return wrap(OPS["sqrt"](x))
    if exponent == 1:
        return wrap(OPS["alias"](x))
    if exponent == -1:
        return wrap(OPS["div"](number_value(1, kind, x.type.shape, x.device), x))
    return None


@method()
def rsub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """other - alpha * input."""
    return sub(_tensor_like(other, input), input, alpha=alpha)


def _tensor_like(number: Any, like: Any) -> Tensor:
    """A number as a 0-d tensor that still promotes as a number would beside `like`."""
    if isinstance(number, Tensor):
        return number
    kind = result_dtype(number, like)
    return wrap(number_value(number, kind, (), like._device))


@pointwise("neg", "negative")
def neg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-input."""
    if input.dtype is dtypes.boolean:
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a "
                           "mask, use the `~` or `logical_not()` operator instead.")
    return into(out, wrap(OPS["neg"](input._read())))


negative = neg


@method()
def positive(input: Tensor) -> Tensor:
    """input itself."""
    return input


@pointwise("abs", "absolute")
def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The magnitude; real for complex input."""
    if not input.dtype.is_signed:
        return into(out, wrap(OPS["alias"](input._read())))
    return into(out, wrap(OPS["abs"](input._read())))


absolute = abs


@pointwise()
def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-1, 0 or 1."""
    if input.dtype is dtypes.boolean:
        return into(out, wrap(OPS["alias"](input._read())))
    if not input.dtype.is_signed:
        return into(out, (input != 0).to(input.dtype))
    return into(out, wrap(OPS["sign"](input._read())))


@pointwise()
def sgn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """sign, or z / |z| for complex input."""
    return sign(input, out=out)


@pointwise()
def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """input * input."""
    return mul(input, input, out=out)


@pointwise()
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1, out: Tensor | None = None) -> Tensor:
    """input + value * tensor1 * tensor2."""
    return into(out, add(input, mul(tensor1, tensor2), alpha=value))


@pointwise()
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1, out: Tensor | None = None) -> Tensor:
    """input + value * tensor1 / tensor2."""
    return into(out, add(input, div(tensor1, tensor2), alpha=value))


@pointwise()
@with_out
def lerp(input: Tensor, end: Tensor, weight: Tensor | Number) -> Tensor:
    """input + weight * (end - input)."""
    return add(input, mul(weight, sub(end, input)) if isinstance(weight, Tensor) else mul(sub(end, input), weight))


# --- Functions of one operand -----------------------------------------------------------------------------------------


def _float_function(name: str, op: str, meaning: str, *aliases: str) -> Any:
    primitive: Op = OPS[op]

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        value = input._read()
        if not value.type.dtype.is_inexact:
            value = cast_value(value, float_kind(input))
        result = wrap(primitive(value))
        if input._geometry is not None:
            result = laid_out(result, (input,))
        return result if out is None else into(out, result)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{meaning}, of each element; integers become the default floating type."
    return in_place(name, *aliases)(function)


exp = _float_function("exp", "exp", "e to the power of x")
expm1 = _float_function("expm1", "expm1", "exp(x) - 1, precise near 0")
log = _float_function("log", "log", "The natural logarithm")
log1p = _float_function("log1p", "log1p", "log(1 + x), precise near 0")
sqrt = _float_function("sqrt", "sqrt", "The square root")
rsqrt = _float_function("rsqrt", "rsqrt", "1 / sqrt(x)")
sin = _float_function("sin", "sin", "The sine")
cos = _float_function("cos", "cos", "The cosine")
tan = _float_function("tan", "tan", "The tangent")
tanh = _float_function("tanh", "tanh", "The hyperbolic tangent")
sigmoid = _float_function("sigmoid", "sigmoid", "1 / (1 + exp(-x))")
asin = _float_function("asin", "asin", "The arc sine", "arcsin")
acos = _float_function("acos", "acos", "The arc cosine", "arccos")
atan = _float_function("atan", "atan", "The arc tangent", "arctan")
sinh = _float_function("sinh", "sinh", "The hyperbolic sine")
cosh = _float_function("cosh", "cosh", "The hyperbolic cosine")
asinh = _float_function("asinh", "asinh", "The inverse hyperbolic sine", "arcsinh")
acosh = _float_function("acosh", "acosh", "The inverse hyperbolic cosine", "arccosh")
atanh = _float_function("atanh", "atanh", "The inverse hyperbolic tangent", "arctanh")
erf = _float_function("erf", "erf", "The error function")
erfc = _float_function("erfc", "erfc", "1 - erf(x)")
erfinv = _float_function("erfinv", "erfinv", "The inverse of erf")
lgamma = _float_function("lgamma", "lgamma", "log |gamma(x)|")
digamma = _float_function("digamma", "digamma", "The derivative of lgamma")
arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh


@pointwise()
def log2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm to base 2."""
    return into(out, mul(log(input), 1 / math.log(2)))


@pointwise()
def log10(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm to base 10."""
    return into(out, mul(log(input), 1 / math.log(10)))


@pointwise()
def exp2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """2 to the power of x."""
    return into(out, exp(mul(input, math.log(2))))


@pointwise()
def reciprocal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """1 / x."""
    x = cast_value(input._read(), float_kind(input))
    return into(out, wrap(OPS["div"](number_value(1, x.type.dtype, x.type.shape, x.device), x)))


@pointwise("atan2", "arctan2")
def atan2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle of the point (other, input)."""
    return into(out, apply(OPS["atan2"], input, other, kind=float_kind(input, other)))


arctan2 = atan2


def _rounding(name: str, op: Op | None, meaning: str, *aliases: str) -> Any:
    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        value = input._read()
        if not value.type.dtype.is_floating_point:
            return into(out, wrap(OPS["alias"](value)))
        return into(out, wrap(op(value) if op is not None else _trunc(value)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = meaning
    return pointwise(name, *aliases)(function)


floor = _rounding("floor", OPS["floor"], "The largest whole number not above x.")
ceil = _rounding("ceil", OPS["ceil"], "The smallest whole number not below x.")
trunc = _rounding("trunc", None, "x without its fraction.", "fix")
fix = trunc


@pointwise()
def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """The nearest whole number, halves to even; `decimals` moves the point."""
    value = input._read()
    if not value.type.dtype.is_floating_point:
        return into(out, wrap(OPS["alias"](value)))
    if decimals:
        scale = 10.0**decimals
        return into(out, div(wrap(OPS["round_nearest_even"](mul(input, scale)._read())), scale))
    return into(out, wrap(OPS["round_nearest_even"](value)))


@pointwise()
@with_out
def frac(input: Tensor) -> Tensor:
    """The fraction of x, with its sign."""
    return sub(input, trunc(input))


@pointwise()
@with_out
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x clamped to [eps, 1 - eps] if eps is given."""
    x = clamp(input, eps, 1 - eps) if eps is not None else input
    return log(div(x, rsub(x, 1)))


# --- Extremes and choice ----------------------------------------------------------------------------------------------


@method()
@keeps_layout
def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The larger of two elements; NaN if either is."""
    return into(out, apply(OPS["max"], input, other))


@method()
@keeps_layout
def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of two elements; NaN if either is."""
    return into(out, apply(OPS["min"], input, other))


@method()
@keeps_layout
@with_out
def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements, ignoring a NaN."""
    return where(isnan(input), other, where(isnan(other), input, maximum(input, other)))


@method()
@keeps_layout
@with_out
def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements, ignoring a NaN."""
    return where(isnan(input), other, where(isnan(other), input, minimum(input, other)))


@pointwise("clamp", "clip")
def clamp(input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """Elements forced into [min, max]; either bound may be missing.

    >>> import flambeau as torch
    >>> torch.tensor([-1.0, 0.5, 2.0]).clamp(0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    bounds = [b for b in (min, max) if b is not None]
    kind = result_dtype(input, *bounds)
    if min is None:
        return into(out, _clamped_above(input, max, kind))
    if max is None:
        x, low = operands(input, min, kind=kind)
        below = OPS["compare"](x, low, direction="LT")
        return into(out, wrap(OPS["select"](below, low, x)))
    low, x, high = operands(min, input, max, kind=kind)
    return into(out, wrap(OPS["clamp"](low, x, high)))


clip = clamp


def _clamped_above(input: Tensor, bound: Any, kind: dtype) -> Tensor:
    x, high = operands(input, bound, kind=kind)
    return wrap(OPS["select"](OPS["compare"](x, high, direction="GT"), high, x))


@pointwise()
def clamp_min(input: Tensor, min: Tensor | Number) -> Tensor:
    """Elements not below `min`."""
    return clamp(input, min=min)


@pointwise()
def clamp_max(input: Tensor, max: Tensor | Number) -> Tensor:
    """Elements not above `max`."""
    return clamp(input, max=max)


@keeps_layout
def where(condition: Tensor, input: Tensor | Number, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """input where the condition holds, else other; all three broadcast.

    >>> import flambeau as torch
    >>> x = torch.tensor([-1.0, 2.0])
    >>> torch.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if condition.dtype is not dtypes.boolean:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}")
    kind = result_dtype(input, other)
    tensors = [t._type.shape for t in (condition, input, other) if isinstance(t, Tensor)]
    shape = broadcast_shapes(*tensors)
    (test,) = operands(condition, shape=shape)
    on = condition._device
    x, y = (operands(t, kind=kind, shape=shape)[0] if isinstance(t, Tensor)
            else number_value(t, kind, shape, on) for t in (input, other))
    return into(out, wrap(OPS["select"](test, x, y)))


@method("where")
def _where_method(input: Tensor, condition: Tensor, other: Tensor | Number) -> Tensor:
    """input where the condition holds, else other."""
    return where(condition, input, other)


@method()
@keeps_layout
def masked_fill(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """`value` where the mask holds, else input; the dtype stays input's."""
    number = value.to(input.dtype) if isinstance(value, Tensor) else value
    shape = broadcast_shapes(mask._type.shape, input._type.shape)
    (test,), (x,) = operands(mask, shape=shape), operands(input, shape=shape)
    new = operands(number, kind=input.dtype, shape=shape)[0] if isinstance(number, Tensor) else number_value(
        number, input.dtype, shape, x.device)
    return wrap(OPS["select"](test, new, x))


@method()
def masked_fill_(self: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """In-place form of `masked_fill`."""
    result = masked_fill(self, mask, value)
    return assign(self, result, lambda: expand_value(mask._read(), self._type.shape))


@pointwise()
def relu(input: Tensor) -> Tensor:
    """max(x, 0). The gradient at 0 is 0, and NaN stays NaN."""
    return where(le(input, 0), 0, input)


# --- Comparison and logic ---------------------------------------------------------------------------------------------


def _comparison(name: str, direction: str, sign_: str, *aliases: str) -> Any:
    def function(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
        x, y = operands(input, other)
        return into(out, wrap(OPS["compare"](x, y, direction=direction)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"input {sign_} other, elementwise, as bools."
    return pointwise(name, *aliases)(function)


eq = _comparison("eq", "EQ", "==")
ne = _comparison("ne", "NE", "!=", "not_equal")
lt = _comparison("lt", "LT", "<", "less")
le = _comparison("le", "LE", "<=", "less_equal")
gt = _comparison("gt", "GT", ">", "greater")
ge = _comparison("ge", "GE", ">=", "greater_equal")
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge


@method()
@keeps_layout
def isnan(input: Tensor) -> Tensor:
    """Whether each element is NaN."""
    return ne(input, input) if input.dtype.is_inexact else wrap(number_value(
        False, dtypes.boolean, input._type.shape, input._device))


@method()
@keeps_layout
def isinf(input: Tensor) -> Tensor:
    """Whether each element is infinite."""
    if input.dtype.is_complex:
        return logical_or(isinf(wrap(OPS["real"](input._read()))), isinf(wrap(OPS["imag"](input._read()))))
    return eq(abs(input), math.inf) if input.dtype.is_floating_point else isnan(input)


@method()
@keeps_layout
def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither infinite nor NaN."""
    if input.dtype.is_complex:
        return logical_and(isfinite(wrap(OPS["real"](input._read()))), isfinite(wrap(OPS["imag"](input._read()))))
    if input.dtype.is_floating_point:
        return wrap(OPS["is_finite"](input._read()))
    return logical_not(isnan(input))


@pointwise()
@with_out
def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and infinities replaced, the latter by the type's extremes unless given."""
    if not input.dtype.is_inexact:
        return wrap(OPS["alias"](input._read()))
    info = dtypes.finfo(input.dtype)
    result = where(isnan(input), nan, input)
    result = where(eq(result, math.inf), info.max if posinf is None else posinf, result)
    return where(eq(result, -math.inf), info.min if neginf is None else neginf, result)


def _as_bool(x: Tensor) -> Tensor:
    if x.dtype is dtypes.boolean:
        return x
    return ne(x, 0) if x.dtype.is_complex else wrap(convert(x._read(), dtype=dtypes.boolean))


@pointwise()
@with_out
def logical_not(input: Tensor) -> Tensor:
    """Whether each element is zero."""
    return wrap(OPS["not"](_as_bool(input)._read()))


def _logical(name: str, op: str) -> Any:
    def function(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        return into(out, apply(OPS[op], _as_bool(input), _as_bool(other)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{op} of the operands taken as bools."
    return pointwise(name)(function)


logical_and = _logical("logical_and", "and")
logical_or = _logical("logical_or", "or")
logical_xor = _logical("logical_xor", "xor")


def _bitwise(name: str, op: str) -> Any:
    def function(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
        kind = result_dtype(input, other)
        if kind.is_inexact:
            raise RuntimeError(f'"{name}_cpu" not implemented for {kind}')
        return into(out, apply(OPS[op], input, other))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Bitwise {op} of integers or bools."
    return pointwise(name)(function)


bitwise_and = _bitwise("bitwise_and", "and")
bitwise_or = _bitwise("bitwise_or", "or")
bitwise_xor = _bitwise("bitwise_xor", "xor")
bitwise_left_shift = _bitwise("bitwise_left_shift", "shift_left")
bitwise_right_shift = _bitwise("bitwise_right_shift", "shift_right_arithmetic")


@pointwise()
@with_out
def bitwise_not(input: Tensor) -> Tensor:
    """The complement of each bit, or of each bool."""
    if input.dtype.is_inexact:
        raise RuntimeError(f'"bitwise_not_cpu" not implemented for {input.dtype}')
    return wrap(OPS["not"](input._read()))


# --- Complex numbers --------------------------------------------------------------------------------------------------


@keeps_layout
@with_out
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """real + i imag, from two tensors of one floating type."""
    return apply(OPS["complex"], real, imag)


@keeps_layout
@with_out
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """abs * exp(i angle)."""
    return complex(mul(abs, cos(angle)), mul(abs, sin(angle)))


@method()
def conj(input: Tensor) -> Tensor:
    """A view of the complex conjugates; real tensors themselves."""
    return input._view(Conjugate(), input._geometry) if input.dtype.is_complex else input


@pointwise()
@with_out
def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugates, in memory of their own."""
    return wrap(OPS["alias"](conj(input)._read()))


@method()
def is_conj(input: Tensor) -> bool:
    """Whether the tensor shows the conjugates of what is in memory."""
    return bool(sum(type(step) is Conjugate for step in input._steps) % 2)


@method()
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself, or a copy if it shows the conjugates of what is in memory."""
    return wrap(OPS["alias"](input._read())) if is_conj(input) else input


@method()
@keeps_layout
def angle(input: Tensor) -> Tensor:
    """The argument of complex numbers; 0 or pi for real ones."""
    if input.dtype.is_complex:
        value = input._read()
        return wrap(OPS["atan2"](OPS["imag"](value), OPS["real"](value)))
    kind = float_kind(input)
    result = where(lt(input, 0), math.pi, 0.0).to(kind)
    return where(isnan(input), math.nan, result).to(kind)


# --- Operators --------------------------------------------------------------------------------------------------------


def _operator(name: str, function: Any, reflected: Any = None) -> None:
    def forward(self: Tensor, other: Any) -> Any:
        if isinstance(other, (Tensor, *NUMBERS)):
            return function(self, other)
        if isinstance(other, np.ndarray):
            return function(self, as_tensor_like(other, self))
        return NotImplemented

    def backward(self: Tensor, other: Any) -> Any:
        if isinstance(other, NUMBERS):
            return (reflected or _swapped(function))(self, other)
        if isinstance(other, np.ndarray):
            return function(as_tensor_like(other, self), self)
        return NotImplemented

    setattr(Tensor, f"__{name}__", forward)
    if reflected is not None or name in ("mod", "floordiv", "truediv", "pow", "lshift", "rshift"):
        setattr(Tensor, f"__r{name}__", backward)


def _swapped(function: Any) -> Any:
    return lambda self, number: function(_tensor_like(number, self), self)


def as_tensor_like(array: Any, like: Tensor) -> Tensor:
    """A numpy operand as a tensor on `like`'s device."""
    return wrap(Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), like._device, np.array(array)))


def _in_place_operator(name: str, update: str) -> None:
    def operate(self: Tensor, other: Any) -> Any:
        return getattr(self, update)(other)

    setattr(Tensor, f"__i{name}__", operate)


_operator("add", add, lambda self, number: add(self, number))
_operator("sub", sub, rsub)
_operator("mul", mul, lambda self, number: mul(self, number))
_operator("truediv", div)
_operator("floordiv", floor_divide)
_operator("mod", remainder)
_operator("pow", lambda x, y: pow(x, y))  # looked up at the call, by when it casts in autocast
_operator("and", bitwise_and, lambda self, number: bitwise_and(self, number))
_operator("or", bitwise_or, lambda self, number: bitwise_or(self, number))
_operator("xor", bitwise_xor, lambda self, number: bitwise_xor(self, number))
_operator("lshift", bitwise_left_shift)
_operator("rshift", bitwise_right_shift)
for _name, _function in [("eq", eq), ("ne", ne), ("lt", lt), ("le", le), ("gt", gt), ("ge", ge)]:
    _operator(_name, _function)
for _name, _update in [("add", "add_"), ("sub", "sub_"), ("mul", "mul_"), ("truediv", "div_"),
                       ("floordiv", "floor_divide_"), ("mod", "remainder_"), ("pow", "pow_"), ("and", "bitwise_and_"),
                       ("or", "bitwise_or_"), ("xor", "bitwise_xor_"), ("lshift", "bitwise_left_shift_"),
                       ("rshift", "bitwise_right_shift_")]:
    _in_place_operator(_name, _update)
method("__neg__")(neg)
method("__pos__")(positive)
method("__abs__")(abs)
method("__invert__")(bitwise_not)
