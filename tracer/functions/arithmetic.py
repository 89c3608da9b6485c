"""Sums, products, quotients, remainders and powers: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

from typing import Any

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.op import Op
from ..ops import elementwise as ops
from ..ops.custom import custom_gradient
from ..ops.pieces import piecewise
from ..tensor.scalar import Scalar, plain, whole
from ..tensor.tensor import Tensor
from .checks import check_divisor
from .layout import apply, in_pieces, keeps_layout, laid_out, meets_wider
from .methods import assign, in_place, into, method, pointwise, with_out
from .operands import (
    NUMBERS,
    Number,
    c_name,
    cast_value,
    float_kind,
    number_dtype,
    number_value,
    operands,
    result_dtype,
    scalar_name,
    wrap,
)
from .precision import fitting, is_half, rounded_once
from .refusals import not_implemented
from .ruled import check_number, without_derivative
from .spelling import with_alpha_first


def _is_bool(x: Tensor | Number) -> bool:
    return (x._type.dtype if isinstance(x, Tensor) else number_dtype(x)) is dtypes.boolean


def _with_alpha(op: Op, input: Any, other: Any, alpha: Number) -> Tensor:
    """op(input, alpha * other). Of half types it is rounded once, and alpha must fit into them."""
    if type(alpha) is int and alpha == 1:
        return apply(op, input, other)
    kind = result_dtype(input, other)
    _check_alpha(alpha, kind)
    if type(alpha) is float and alpha == 1:
        return apply(op, input, other)
    if kind is dtypes.boolean:
        return apply(op, input, other if alpha else False)
    fitting(alpha, kind)
    if not (is_half(kind) and isinstance(input, Tensor)):
        return apply(op, input, mul(wrap(cast_value(other._read(), kind)), alpha) if isinstance(other, Tensor) else other * alpha)
    x, y = operands(input, other, kind=kind)
    factor = number_value(alpha, kind, y.type.shape, y.device)
    x, y, factor = (cast_value(v, dtypes.float32) for v in (x, y, factor))
    return laid_out(wrap(cast_value(op(x, ops.mul(y, factor)), kind)), (input, other))


def _check_alpha(alpha: Number, kind: dtype) -> None:
    """torch's RuntimeError for an alpha of a category above the result's."""
    if kind.is_complex or (kind.is_inexact and type(alpha) is float):
        return
    given = number_dtype(alpha)
    if given is dtypes.boolean and kind is not dtypes.boolean:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if given.is_inexact and not kind.is_inexact:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if given.is_complex:
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")


@in_place()
def add(input: Tensor, other: Tensor | Number, *older: Any, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """The sum of two tensors, or of a tensor and a number, element by element.

    y = input + alpha * other

    Args: `input` and `other`, tensors whose shapes broadcast, or a number; `alpha`, by which `other` is multiplied
    first; `out`, a tensor to write to. `older`: torch once took `alpha` before `other`, and does so with a warning.
    Returns a tensor of the common shape and the promoted dtype. Raises RuntimeError for shapes that do not broadcast,
    or an `alpha` that the dtype cannot hold.

    >>> import flambeau as torch
    >>> torch.add(torch.tensor([1.0, 2.0]), torch.tensor([10.0]), alpha=2)
    tensor([21., 22.])

    Source: https://pytorch.org/docs/stable/generated/torch.add.html
    """
    if older:
        other, alpha = with_alpha_first("add", other, *older)
    result = _with_alpha(ops.add, input, other, alpha)
    return result if out is None else into(out, result, input, other)


def _no_difference(of_two: bool) -> RuntimeError:
    """torch's error for bools in a difference, of which it tells two apart from one."""
    return RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
                        "`logical_xor()` operator instead." if of_two else
                        "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
                        "mask, use the `~` or `logical_not()` operator instead.")


@in_place("sub", "subtract")
def sub(input: Tensor, other: Tensor | Number, *older: Any, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input - alpha * other."""
    if older:
        other, alpha = with_alpha_first("sub", other, *older)
    first = input._type.dtype if isinstance(input, Tensor) else type(input)
    second = other._type.dtype if isinstance(other, Tensor) else type(other)
    if first is dtypes.boolean or second is dtypes.boolean or first is bool or second is bool:
        raise _no_difference(_is_bool(input) and _is_bool(other))
    result = _with_alpha(ops.sub, input, other, alpha)
    return result if out is None else into(out, result, input, other)


subtract = sub


@in_place("mul", "multiply")
def mul(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """The product of two tensors, or of a tensor and a number, element by element.

    y = input * other

    Args: `input` and `other`, tensors whose shapes broadcast, or a number; `out`, a tensor to write to.
    Returns a tensor of the common shape and the promoted dtype. Raises RuntimeError for shapes that do not broadcast.
    For the product of matrices there is `matmul`.

    >>> import flambeau as torch
    >>> torch.mul(torch.tensor([1.0, 2.0]), torch.tensor([[10.0], [20.0]]))
    tensor([[10., 20.],
            [20., 40.]])

    Source: https://pytorch.org/docs/stable/generated/torch.mul.html
    """
    result = apply(ops.mul, input, other)
    return result if out is None else into(out, result, input, other)


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
        quotient = apply(ops.div, input, other, kind=kind)
        return quotient if out is None else into(out, quotient, input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError("div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
                           f"'{rounding_mode}'")
    kind = result_dtype(input, other)
    if kind.is_complex or kind is dtypes.boolean:
        raise not_implemented(f"div_{rounding_mode}_cpu", kind)
    _check_divisor("div", input, other)
    wide = is_half(kind) and (rounding_mode == "floor" or meets_wider(kind, input, other))
    x, y = operands(input, other, kind=dtypes.float32 if wide else kind)
    if kind.is_inexact:
        result = cast_value(_whole_quotient(x, y, rounding_mode), kind)
    else:
        result = ops.div(x, y)
        result = _floor_quotient(x, y, result) if rounding_mode == "floor" else result
    made = laid_out(wrap(result), (input, other))
    return made if out is None else into(out, made, input, other)


divide = true_divide = div


def _check_divisor(op: str, input: Tensor | Number, divisor: Any) -> None:
    """ZeroDivisionError for integers, as torch has it: a RuntimeError."""
    kinds = [x._type.dtype if isinstance(x, Tensor) else number_dtype(x) for x in (input, divisor)]
    if not (kinds[0].is_inexact or kinds[1].is_inexact or (isinstance(input, Tensor) and not input._type.size)):
        kind = result_dtype(input, divisor)
        if kind is dtypes.boolean:
            return  # the op will refuse it
        if type(divisor) is int and -2**63 <= divisor < 2**63 and divisor % (1 << 8 * kind.itemsize) == 0:
            divisor = 0  # in the type of the tensor
        check_divisor(op, wrap(divisor.value) if type(divisor) is Scalar else divisor)


def _floor_quotient(x: Value, y: Value, quotient: Value) -> Value:
    """The integer quotient rounded down, from the one rounded toward zero."""
    if not x.type.dtype.is_signed:
        return quotient
    zero = number_value(0, x.type.dtype, x.type.shape, x.device)
    rest = ops.rem(x, y)
    inexact = ops.compare(rest, zero, direction="NE")
    opposite = ops.compare(ops.xor(x, y), zero, direction="LT")
    down = ops.convert(ops.and_(inexact, opposite), dtype=x.type.dtype)
    return ops.sub(quotient, down)


def _whole_quotient(x: Value, y: Value, rounding_mode: str) -> Value:
    """The quotient of floats as a whole number; its gradient is zero, also where y is."""
    still_x, still_y = ops.stop_gradient(x), ops.stop_gradient(y)
    quotient = ops.div(still_x, still_y)
    whole = _exact_floor(still_x, still_y, quotient) if rounding_mode == "floor" else truncated(quotient)
    return ops.with_value(ops.add(ops.floor(x), ops.floor(y)), whole)


def _exact_floor(x: Value, y: Value, quotient: Value) -> Value:
    """floor(x / y) of the real numbers, by the remainder: 1.0 / 0.1 is 10 when rounded, but 0.1 fits only 9 times into 1.0.

    As Python and torch do it. Dividing by zero gives the quotient itself; a result of zero has the quotient's sign.
    """
    zero, half, one = (number_value(n, x.type.dtype, x.type.shape, x.device) for n in (0, 0.5, 1))
    rest = ops.rem(x, y)
    exact = ops.div(ops.sub(x, rest), y)  # whole, up to rounding
    exact = ops.select(_has_wrong_sign(rest, y), ops.sub(exact, one), exact)
    whole = ops.floor(exact)
    missed = ops.compare(ops.sub(exact, whole), half, direction="GT")
    whole = ops.select(missed, ops.add(whole, one), whole)
    signed = ops.mul(quotient, zero)
    whole = ops.select(ops.compare(exact, zero, direction="EQ"), signed, whole)
    return ops.select(ops.compare(y, zero, direction="EQ"), quotient, whole)


def _has_wrong_sign(rest: Value, y: Value) -> Value:
    """Where a remainder is not zero and has not the divisor's sign."""
    zero = number_value(0, y.type.dtype, y.type.shape, y.device)
    return ops.and_(ops.compare(rest, zero, direction="NE"),
                    ops.xor(ops.compare(rest, zero, direction="LT"), ops.compare(y, zero, direction="LT")))


def truncated(x: Value) -> Value:
    """x without its fraction."""
    zero = number_value(0, x.type.dtype, x.type.shape, x.device)
    negative = ops.compare(x, zero, direction="LT")
    return ops.select(negative, ops.ceil(x), ops.floor(x))


_FLOOR_DIVIDE = without_derivative("floor_divide")


@pointwise()
@with_out
def floor_divide(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The quotient rounded down. It has no derivative, unlike `div(rounding_mode="floor")`, whose derivative is zero."""
    result = div(tensor_like(input, other), other, rounding_mode="floor")
    if not result.requires_grad:
        return result
    value = result._read()
    return wrap(custom_gradient(value, ops.stop_gradient(value), outputs=1, rule=_FLOOR_DIVIDE)[0])


@pointwise()
@with_out
def remainder(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The modulus with the divisor's sign, Python's `%`."""
    if not isinstance(input, Tensor):
        input = tensor_like(input, other)
    _check_divisor("remainder", input, other)
    x, y = operands(input, other)
    rest = ops.rem(x, y)
    if x.type.dtype.is_signed:
        rest = ops.select(_has_wrong_sign(rest, y), ops.add(rest, y), rest)
    if rest.requires_grad:  # the gradient is that of x - floor(x / y) * y
        whole = ops.stop_gradient(_whole_quotient(x, y, "floor"))
        rest = ops.with_value(ops.sub(x, ops.mul(piecewise(y, x) if y.requires_grad else y, whole)), rest)
    return wrap(rest)


@pointwise()
@with_out
def fmod(input: Tensor, other: Tensor | Number) -> Tensor:
    """The remainder with the dividend's sign, C's fmod."""
    _check_divisor("fmod", input, other)
    if isinstance(other, Tensor) and other.requires_grad:  # torch's gradient is -whole(input / other), which has slope 0
        other = in_pieces(other, input if isinstance(input, Tensor) else None)
    return apply(ops.rem, input, other)


@pointwise()
@with_out
def pow(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """input ** exponent. Small whole exponents become products.

    >>> import flambeau as torch
    >>> torch.pow(torch.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    if isinstance(input, Tensor) and type(exponent) in (int, float, Scalar):
        kind = result_dtype(input, exponent)
        if not kind.is_inexact or is_half(kind):
            fitting(exponent, kind)
        if not kind.is_inexact and exponent < 0:  # type: ignore[operator]
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if kind.is_inexact and type(exponent) is Scalar and isinstance(exponent, float) and abs(exponent) == 0.5:
            exponent = 0.5 if exponent > 0 else -0.5  # the roots are other functions than powers at -0.0 and -inf
        result = _constant_power(input, exponent, kind) if kind.is_inexact and type(exponent) in (int, float) else None
        if result is not None:
            return result
    elif (exponent is True or exponent is False) and isinstance(input, Tensor) and input._type.dtype is dtypes.boolean:
        return wrap(ops.alias(input._read()) if exponent else full_like(input._read(), True))
    return apply(ops.power, input, exponent)


def power_of_size(input: Tensor, exponent: Any) -> Tensor:
    """`pow` of what is never below zero, where roots are powers: a number that a traced function was given is an input."""
    return apply(ops.power, input, exponent) if type(exponent) is Scalar else pow(input, exponent)


def _constant_power(input: Tensor, exponent: Any, kind: dtype) -> Tensor | None:
    x = cast_value(input._read(), kind)
    if exponent == 2:
        return wrap(ops.mul(x, x))
    if exponent == 3:
        return wrap(ops.mul(ops.mul(x, x), x))
    if abs(exponent) == 0.5 and kind is not dtypes.float16:  # of which torch takes the power, of -0.0 and -inf too
        return wrap(ops.sqrt(x) if exponent > 0 else ops.rsqrt(x))
    if exponent == 1:
        return wrap(piecewise(x))
    if exponent == -1:
        return wrap(ops.div(number_value(1, kind, x.type.shape, x.device), x))
    return None


@method()
def rsub(input: Tensor, other: Tensor | Number, alpha: Number = 1) -> Tensor:
    """other - alpha * input."""
    if not isinstance(input, Tensor):
        raise TypeError("rsub() received an invalid combination of arguments - got "
                        f"({type(input).__name__}, {type(other).__name__}), but expected a Tensor first")
    if other is True or other is False:
        raise _no_difference(_is_bool(input))
    return sub(tensor_like(other, input), input, alpha=alpha)


def tensor_like(number: Any, like: Any) -> Tensor:
    """A number as a 0-d tensor that still promotes as a number would beside `like`."""
    if isinstance(number, Tensor):
        return number
    kind = result_dtype(number, like)
    return wrap(number_value(number, kind, (), like._device))


@pointwise()
@with_out
@rounded_once
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    if input.dtype is tensor1.dtype is tensor2.dtype is dtypes.boolean:
        raise not_implemented("addcmul_cpu_out", input.dtype)
    product = mul(tensor1, tensor2)
    kind = result_dtype(input, product)
    return add(input, product, alpha=value if kind.is_inexact else whole(fitting(value, kind)))


@pointwise()
@with_out
@rounded_once
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value * tensor1 / tensor2."""
    if not (tensor1.dtype.is_inexact or tensor2.dtype.is_inexact):
        raise RuntimeError("Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform "
                           "a true division of tensor1 and tensor2.\n(It requires a floating tensor1 or tensor2, got "
                           f"{scalar_name(tensor1.dtype)} and {scalar_name(tensor2.dtype)}: divide by `div`, then add.)")
    return add(input, div(tensor1, tensor2), alpha=value)


@pointwise()
@with_out
def lerp(input: Tensor, end: Tensor, weight: Tensor | Number) -> Tensor:
    """input + weight * (end - input), and from the other end for weights of 0.5 and more: `end` itself for 1."""
    if isinstance(weight, Tensor) and not weight._type.ndim and input._type.dtype is end._type.dtype:
        kind = result_dtype(input, end, weight)
        input, end, weight = input.to(kind), end.to(kind), weight.to(kind)
    if not isinstance(weight, (Tensor, *NUMBERS)):
        raise TypeError(f"lerp(): argument 'weight' must be Number or Tensor, not {type(weight).__name__}")
    _check_lerp(input, end, weight)
    result = _between(input, end, weight)
    if result._geometry is not None and result._base is None:  # of operands that lie otherwise the first one tells
        result._geometry = None
    return result


@rounded_once
def _between(input: Tensor, end: Tensor, weight: Tensor | Number) -> Tensor:
    way = sub(end, input)
    if isinstance(weight, (Tensor, Scalar)):
        part = tensor_like(weight, way)
        x, y = operands(add(input, mul(part, way)), sub(end, mul(way, rsub(part, 1))))
        size, half = operands(wrap(ops.abs_(part._read())), 0.5, shape=x.type.shape)
        return wrap(ops.select(ops.compare(size, half, direction="LT"), x, y))
    number: Any = plain(weight)  # a scalar of numpy may have no 1 - weight
    return add(input, mul(way, number)) if abs(number) < 0.5 else sub(end, mul(way, 1 - number))


def _check_lerp(input: Tensor, end: Tensor, weight: Any) -> None:
    """torch's errors: nothing is promoted but a weight without dimensions, and whole numbers have no halfway."""
    kind = input._type.dtype
    for name, x in (("end", end), ("weight", weight)):
        if isinstance(x, Tensor) and x._type.dtype is not kind and (name == "end" or x._type.ndim):
            raise RuntimeError(f"expected dtype {c_name(kind)} for `{name}` but got dtype {c_name(x._type.dtype)}")
    if not kind.is_inexact:
        raise not_implemented(f"lerp_kernel_{'tensor' if isinstance(weight, Tensor) else 'scalar'}", kind)


def _power_kind(*xs: Any) -> dtype:
    return dtypes.complex128 if result_dtype(*xs).is_complex else dtypes.float64


def _check_power(what: str, given: dtype, wanted: dtype) -> None:
    if given is not wanted:
        raise RuntimeError(f"the {what} has dtype {scalar_name(given)} but the operation's result requires dtype "
                           f"{scalar_name(wanted)}")


@method()
@keeps_layout
def float_power(input: Tensor | Number, exponent: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent, computed in float64, or in complex128 if either is complex.

    >>> import flambeau as torch
    >>> torch.float_power(torch.tensor([2, 4]), -1)
    tensor([0.5000, 0.2500], dtype=torch.float64)
    """
    check_number("float_power", input, exponent)
    kind = _power_kind(input, exponent)
    if out is not None:
        _check_power("output given to float_power", out.dtype, kind)
    x, y = (t.to(kind) if isinstance(t, Tensor) else t for t in (input, exponent))
    return into(out, pow(x, y))


@method("float_power_")
def _float_power_in_place(self: Tensor, exponent: Tensor | Number) -> Tensor:
    """In-place form of `float_power`."""
    _check_power("base given to float_power_", self.dtype, _power_kind(self, exponent))
    return assign(self, float_power(self, exponent))
