"""Numbers as constants of the program: their text, and values filled with one."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dtypes
from .dtypes import dtype
from .graph import Value
from .op import OPS


def with_leading(size: int, batched: bool, x: Value) -> Value:
    """`x` repeated along a new leading dimension unless it already has one."""
    if batched:
        return x
    shape = (size, *x.type.shape)
    return OPS["broadcast"](x, shape=shape, dims=tuple(range(1, len(shape))))


def full_like(x: Value, number: complex, kind: dtype | None = None) -> Value:
    """The constant `number` in the shape of `x`."""
    return OPS["constant"].on(x.device, value=literal(number, kind or x.type.dtype), shape=x.type.shape,
                              dtype=kind or x.type.dtype)


def literal(number: Any, kind: dtype) -> str:
    """The canonical text of a number in a dtype, as the `constant` op keeps it: -0.0, nan and 1 stay apart.

    OverflowError for an int that 64 bits do not hold.
    """
    if type(number) is int and number.bit_length() > 63:
        number = _in_64_bits(number, kind)
    if kind is dtypes.boolean:
        return "True" if number else "False"
    if kind.is_complex:
        number = complex(number)
        return f"{number.real!r},{number.imag!r}"
    if isinstance(number, complex):
        number = number.real  # who calls has seen to the other part
    if kind.is_floating_point:
        return repr(float(number))
    return str(int(number))


def _in_64_bits(number: int, kind: dtype) -> int:
    """A large int as torch has it: without a sign if need be, which all types but uint64 read as a negative number."""
    if not -(1 << 63) <= number < 1 << 64:
        raise OverflowError("int too big to convert" if number > 0 else "can't convert negative int to unsigned")
    wraps = number >= 1 << 63 and kind is not dtypes.uint64 and not kind.is_inexact
    return number - (1 << 64) if wraps else number


def from_literal(text: str, kind: dtype) -> Any:
    """The numpy scalar that a literal stands for."""
    if kind is dtypes.boolean:
        return np.bool_(text == "True")
    if kind.is_complex:
        real, imag = text.split(",")
        return kind.numpy.type(complex(float(real), float(imag)))
    if kind.is_floating_point:
        with np.errstate(over="ignore"):
            return np.asarray(float(text)).astype(kind.numpy)[()]
    return np.asarray(int(text)).astype(kind.numpy)[()] if int(text) < 2**63 else kind.numpy.type(int(text))
