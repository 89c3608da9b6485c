"""Functions of one operand: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

import math
from typing import Any

from ..ir import dtypes
from ..ir.op import Op
from ..ops import OPS
from ..ops import elementwise as ops
from ..tensor.tensor import Tensor
from .arithmetic import div, mul, sub, truncated
from .dims import whole_place
from .layout import laid_out
from .masked_reads import MaskedRead, over
from .methods import FOUND, in_place, into, method, named, pointwise, with_out, with_out_of
from .operands import cast_value, float_kind, number_value, wrap
from .precision import rounded_once
from .refusals import FLOATING, NUMBER, REAL, not_implemented, require_kind
from .spelling import check_tensors

# --- Signs and squares ------------------------------------------------------------------------------------------------


@pointwise("neg", "negative")
@with_out_of(FOUND)
def neg(input: Tensor) -> Tensor:
    """-input."""
    if input.dtype is dtypes.boolean:
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a "
                           "mask, use the `~` or `logical_not()` operator instead.")
    return wrap(ops.neg(input._read()))


negative = neg


@method()
def positive(input: Tensor) -> Tensor:
    """input itself."""
    if input.dtype is dtypes.boolean:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@with_out_of(FOUND)
def _magnitude(input: Tensor) -> Tensor:
    require_kind("abs_cpu", input, NUMBER)
    if not input.dtype.is_signed:
        return wrap(ops.alias(input._read()))
    return wrap(ops.abs_(input._read()))


@pointwise("abs", "absolute")
def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The magnitude; real for complex input, into a tensor of another type too."""
    if out is not None and input.dtype.is_complex:
        return into(out, _magnitude(input), input)
    return _magnitude(input) if out is None else _magnitude(input, out=out)  # type: ignore[call-arg]


absolute = abs


@pointwise()
@with_out_of(FOUND)
def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1."""
    if input.dtype.is_complex:
        raise NotImplementedError("Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn "
                                  "instead.")
    return _sign(input)


def _sign(input: Tensor) -> Tensor:
    if input.dtype is dtypes.boolean:
        return wrap(ops.alias(input._read()))
    if not input.dtype.is_signed:
        return (input != 0).to(input.dtype)
    return wrap(ops.sign(input._read()))


@pointwise()
@with_out_of(FOUND)
def sgn(input: Tensor) -> Tensor:
    """sign, or z / |z| for complex input."""
    return _sign(input)


@pointwise()
@with_out
def square(input: Tensor) -> Tensor:
    """input * input; of bools as int64."""
    x = input if input._type.dtype is not dtypes.boolean else input.to(dtypes.int64)
    return mul(x, x)


# --- Functions with floating results ----------------------------------------------------------------------------------


def _float_function(name: str, op: str, meaning: str, *aliases: str) -> Any:
    primitive: Op = OPS[op]
    real = op in ("erf", "erfc", "erfinv", "lgamma", "digamma")

    @named(name, f"{meaning}, of each element; integers become the default floating type.")
    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        try:
            geometry = input._geometry
        except AttributeError:
            check_tensors(function, (input,), 1)
            raise
        if geometry is not None and type(input) is MaskedRead:
            return over(function, input, out=out)
        value = input._read()
        if not value.type.dtype.is_inexact:
            value = cast_value(value, float_kind(input))
        if real and value.type.dtype.is_complex:
            raise not_implemented(name if name == "digamma" else f"{name}_vml_cpu", value.type.dtype)
        result = wrap(primitive(value))
        if geometry is not None:
            result = laid_out(result, (input,))
        return result if out is None else into(out, result, input)

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


def _times(x: Tensor, number: float) -> Tensor:
    """x times a real number, of complex numbers by parts: of an infinite one there is no NaN then."""
    if not x.dtype.is_complex:
        return mul(x, number)
    value = x._read()
    return wrap(ops.complex_(*(mul(wrap(part(value)), number)._read() for part in (ops.real, ops.imag))))


@pointwise()
@with_out
@rounded_once
def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2."""
    return _times(log(input), 1 / math.log(2))


@pointwise()
@with_out
@rounded_once
def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10."""
    return _times(log(input), 1 / math.log(10))


@pointwise()
@with_out
@rounded_once
def exp2(input: Tensor) -> Tensor:
    """2 to the power of x."""
    return exp(_times(input, math.log(2)))


@pointwise()
@with_out
def reciprocal(input: Tensor) -> Tensor:
    """1 / x."""
    x = cast_value(input._read(), float_kind(input))
    return wrap(ops.div(number_value(1, x.type.dtype, x.type.shape, x.device), x))


# --- Whole numbers ----------------------------------------------------------------------------------------------------


def _rounding(name: str, op: Op | None, meaning: str, *aliases: str) -> Any:
    @named(name, meaning)
    @with_out_of(FOUND)
    def function(input: Tensor) -> Tensor:
        value = input._read()
        if value.type.dtype.is_complex:
            raise NotImplementedError(f"{name} is not supported for complex inputs")
        require_kind(f"{name}_vml_cpu", input, REAL)
        if not value.type.dtype.is_floating_point:
            return wrap(ops.alias(value))
        return wrap(op(value) if op is not None else truncated(value))

    return pointwise(name, *aliases)(function)


floor = _rounding("floor", ops.floor, "The largest whole number not above x.")
ceil = _rounding("ceil", ops.ceil, "The smallest whole number not below x.")
trunc = _rounding("trunc", None, "x without its fraction.", "fix")
fix = trunc


@pointwise()
@with_out_of(FOUND)
@rounded_once
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number, halves to even; `decimals` moves the point."""
    value = input._read()
    if type(decimals) is not int:
        decimals = whole_place(decimals, "decimals")
    require_kind("round_cpu" if decimals else "round_vml_cpu", input, FLOATING if decimals else REAL)
    if not value.type.dtype.is_floating_point:
        return wrap(ops.alias(value))
    if decimals:
        scale = 10.0**decimals
        return div(wrap(ops.round_nearest_even(mul(input, scale)._read())), scale)
    return wrap(ops.round_nearest_even(value))


@pointwise()
@with_out_of(FOUND)
def frac(input: Tensor) -> Tensor:
    """The fraction of x, with its sign."""
    require_kind("frac_cpu", input)
    return sub(input, trunc(input))
