"""Sums, products, quotients, remainders and powers: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

from typing import Any

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ops import OPS
from ..ops.elementwise import convert
from ..tensor.tensor import Tensor
from .layout import apply, keeps_layout, laid_out
from .methods import assign, in_place, into, method, pointwise, with_out
from .operands import Number, cast_value, float_kind, number_dtype, number_value, operands, result_dtype, scalar_name, wrap
from .ruled import check_number


def _is_bool(x: Tensor | Number) -> bool:
    return (x._type.dtype if isinstance(x, Tensor) else number_dtype(x)) is dtypes.boolean


def _scaled_other(other: Any, alpha: Number) -> Any:
    if type(alpha) in (int, float) and alpha == 1:
        return other
    return mul(other, alpha) if isinstance(other, Tensor) else other * alpha


@in_place()
def add(input: Tensor, other: Tensor | Number, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """The sum of two tensors, or of a tensor and a number, element by element.

    y = input + alpha * other

    Args: `input` and `other`, tensors whose shapes broadcast, or a number; `alpha`, by which `other` is multiplied
    first; `out`, a tensor to write to.
    Returns a tensor of the common shape and the promoted dtype. Raises RuntimeError for shapes that do not broadcast,
    or an `alpha` that the dtype cannot hold.

    >>> import flambeau as torch
    >>> torch.add(torch.tensor([1.0, 2.0]), torch.tensor([10.0]), alpha=2)
    tensor([21., 22.])

    Source: https://pytorch.org/docs/stable/generated/torch.add.html
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
        result = OPS["floor"](result) if rounding_mode == "floor" else truncated(result)
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


def truncated(x: Value) -> Value:
    zero = number_value(0, x.type.dtype, x.type.shape, x.device)
    negative = OPS["compare"](x, zero, direction="LT")
    return OPS["select"](negative, OPS["ceil"](x), OPS["floor"](x))


@pointwise()
@with_out
def floor_divide(input: Tensor, other: Tensor | Number) -> Tensor:
    """The quotient rounded down."""
    return div(input, other, rounding_mode="floor")


@pointwise()
@with_out
def remainder(input: Tensor, other: Tensor | Number) -> Tensor:
    """The modulus with the divisor's sign, Python's `%`."""
    if not isinstance(input, Tensor):
        input = tensor_like(input, other)
    x, y = operands(input, other)
    rest = OPS["rem"](x, y)
    if x.type.dtype.is_signed:
        zero = number_value(0, x.type.dtype, x.type.shape, x.device)
        wrong = OPS["and"](OPS["compare"](rest, zero, direction="NE"),
                           OPS["xor"](OPS["compare"](rest, zero, direction="LT"), OPS["compare"](y, zero, direction="LT")))
        rest = OPS["select"](wrong, OPS["add"](rest, y), rest)
    return wrap(rest)


@pointwise()
@with_out
def fmod(input: Tensor, other: Tensor | Number) -> Tensor:
    """The remainder with the dividend's sign, C's fmod."""
    return apply(OPS["rem"], input, other)


@pointwise()
@with_out
def pow(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """input ** exponent. Small whole exponents become products.

    >>> import flambeau as torch
    >>> torch.pow(torch.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    if isinstance(input, Tensor) and type(exponent) in (int, float):
        result = _constant_power(input, exponent)  # type: ignore[arg-type]
        if result is not None:
            return result
    return apply(OPS["pow"], input, exponent)


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
    return sub(tensor_like(other, input), input, alpha=alpha)


def tensor_like(number: Any, like: Any) -> Tensor:
    """A number as a 0-d tensor that still promotes as a number would beside `like`."""
    if isinstance(number, Tensor):
        return number
    kind = result_dtype(number, like)
    return wrap(number_value(number, kind, (), like._device))


@pointwise()
@with_out
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    return add(input, mul(tensor1, tensor2), alpha=value)


@pointwise()
@with_out
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value * tensor1 / tensor2."""
    return add(input, div(tensor1, tensor2), alpha=value)


@pointwise()
@with_out
def lerp(input: Tensor, end: Tensor, weight: Tensor | Number) -> Tensor:
    """input + weight * (end - input)."""
    return add(input, mul(weight, sub(end, input)) if isinstance(weight, Tensor) else mul(sub(end, input), weight))


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
