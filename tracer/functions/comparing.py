"""Comparison and logic, and which numbers are what: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

import functools
import math
from typing import Any

from ..ir import dtypes
from ..ir.errors import OpError
from ..ir.recorder import grad_mode
from ..ops import OPS
from ..ops.elementwise import compare, convert, imag, is_finite, not_, real
from ..tensor.tensor import Tensor
from .layout import apply, keeps_layout
from .methods import into, method, named, pointwise, with_out
from .operands import Number, number_value, operands, wrap
from .refusals import not_implemented
from .ruled import check_bool, constant_like
from .unary import abs

# --- Comparison -------------------------------------------------------------------------------------------------------


def _comparison(name: str, direction: str, sign_: str, *aliases: str) -> Any:
    @named(name, f"input {sign_} other, elementwise, as bools.")
    def function(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
        x, y = operands(input, other)
        try:
            return into(out, wrap(compare(x, y, direction=direction)))
        except OpError:
            raise not_implemented(f"{name}_cpu", x.type.dtype) from None

    return pointwise(name, *aliases)(function)


eq = _comparison("eq", "EQ", "==")
ne = _comparison("ne", "NE", "!=", "not_equal")
lt = _comparison("lt", "LT", "<", "less")
le = _comparison("le", "LE", "<=", "less_equal")
gt = _comparison("gt", "GT", ">", "greater")
ge = _comparison("ge", "GE", ">=", "greater_equal")
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge


# --- Logic ------------------------------------------------------------------------------------------------------------


def _as_bool(x: Tensor) -> Tensor:
    if x.dtype is dtypes.boolean:
        return x
    return ne(x, 0) if x.dtype.is_complex else wrap(convert(x._read(), dtype=dtypes.boolean))


def _without_history(name: str) -> None:
    """Let the in-place form write past autograd, as torch's does: leaves may be written, and gradients flow as before."""
    written = getattr(Tensor, f"{name}_")

    @method(f"{name}_")
    @functools.wraps(written)
    def update(*args: Any, **kwargs: Any) -> Tensor:
        with grad_mode(False):
            return written(*args, **kwargs)


@pointwise()
@with_out
def logical_not(input: Tensor) -> Tensor:
    """Whether each element is zero."""
    return wrap(not_(_as_bool(input)._read()))


def _logical(name: str, op: str) -> Any:
    @named(name, f"{op} of the operands taken as bools.")
    @with_out
    def function(input: Tensor, other: Tensor) -> Tensor:
        return apply(OPS[op], _as_bool(input), _as_bool(other))

    return pointwise(name)(function)


logical_and = _logical("logical_and", "and")
logical_or = _logical("logical_or", "or")
logical_xor = _logical("logical_xor", "xor")
for _name in ("logical_not", "logical_and", "logical_or", "logical_xor"):
    _without_history(_name)


# --- Which numbers are what -------------------------------------------------------------------------------------------


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
        return logical_or(isinf(wrap(real(input._read()))), isinf(wrap(imag(input._read()))))
    return eq(abs(input), math.inf) if input.dtype.is_floating_point else isnan(input)


@method()
@keeps_layout
def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither infinite nor NaN."""
    if input.dtype.is_complex:
        return logical_and(isfinite(wrap(real(input._read()))), isfinite(wrap(imag(input._read()))))
    if input.dtype.is_floating_point:
        return wrap(is_finite(input._read()))
    return logical_not(isnan(input))


def _infinity(name: str, number: float, meaning: str) -> Any:
    @named(name, meaning)
    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if input.dtype.is_complex:
            raise RuntimeError(f"{name} does not support complex inputs.")
        check_bool(name, out)
        found = input == number if input.dtype.is_floating_point else constant_like(input, False, dtypes.boolean)
        return into(out, found)

    return method(name)(keeps_layout(function))


isposinf = _infinity("isposinf", math.inf, "Whether each element is infinite and positive.")
isneginf = _infinity("isneginf", -math.inf, "Whether each element is infinite and negative.")


@method()
@keeps_layout
def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part of each element is 0.

    >>> import flambeau as torch
    >>> torch.isreal(torch.tensor([1 + 1j, 2 + 0j]))
    tensor([False,  True])
    """
    if not input.dtype.is_complex:
        return constant_like(input, True, dtypes.boolean)
    return wrap(imag(input._read())) == 0
