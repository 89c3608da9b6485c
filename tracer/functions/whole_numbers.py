"""Integers: their bits, divisors and multiples: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

from typing import Any

from ..ir import dtypes
from ..ops import OPS
from ..ops.elementwise import not_
from ..tensor.tensor import Tensor
from .arithmetic import div, fmod
from .checks import unchecked
from .choosing import where
from .control import while_loop
from .layout import apply, laid_out
from .methods import FOUND, named, pointwise, with_out, with_out_of
from .operands import Number, operands, result_dtype, wrap
from .refusals import not_implemented
from .ruled import check_tensor
from .unary import abs as absolute

# --- Bits -------------------------------------------------------------------------------------------------------------


_KERNELS = {"bitwise_left_shift": "lshift", "bitwise_right_shift": "rshift"}  # as torch's errors call them


def _bitwise(name: str, op: str) -> Any:
    @named(name, f"Bitwise {op} of integers or bools.")
    @with_out
    def function(input: Tensor | Number, other: Tensor | Number) -> Tensor:
        kind = result_dtype(input, other)
        if kind.is_inexact or (kind is dtypes.boolean and name in _KERNELS):
            raise not_implemented(f"{_KERNELS.get(name, name)}_cpu", kind)
        return apply(OPS[op], input, other)

    return pointwise(name)(function)


bitwise_and = _bitwise("bitwise_and", "and")
bitwise_or = _bitwise("bitwise_or", "or")
bitwise_xor = _bitwise("bitwise_xor", "xor")
bitwise_left_shift = _bitwise("bitwise_left_shift", "shift_left")
bitwise_right_shift = _bitwise("bitwise_right_shift", "shift_right_arithmetic")


@pointwise()
@with_out_of(FOUND)
def bitwise_not(input: Tensor) -> Tensor:
    """The complement of each bit, or of each bool."""
    if input.dtype.is_inexact:
        raise not_implemented("bitwise_not_cpu", input.dtype)
    return wrap(not_(input._read()))


# --- Divisors and multiples -------------------------------------------------------------------------------------------


def _whole_operands(function: str, input: Tensor, other: Tensor) -> list[Tensor]:
    check_tensor(function, "other", 2, other)
    kind = result_dtype(input, other)
    if kind.category != dtypes.INTEGRAL:
        raise not_implemented(f"{function}_cpu", kind)
    return [wrap(v) for v in operands(input, other, kind=kind)]


def _magnitude(x: Tensor) -> Tensor:
    return absolute(x) if x.dtype.is_signed else x


def _euclid(x: Tensor, y: Tensor) -> Tensor:
    """The last remainder that is not 0, all elements at once until every one has found its own."""
    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        done = x == 0
        return where(done, x, fmod(y, where(done, 1, x))), where(done, y, x)

    with unchecked():
        found: Tensor = while_loop(lambda x, y: (x != 0).any(), step, (_magnitude(x), _magnitude(y)))[1]
    return found


@pointwise()
@with_out
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor of integers, by Euclid's algorithm; gcd(0, 0) is 0.

    >>> import flambeau as torch
    >>> torch.gcd(torch.tensor([12, -9, 0]), torch.tensor(6))
    tensor([6, 3, 6])
    """
    return laid_out(_euclid(*_whole_operands("gcd", input, other)), (input, other))


@pointwise()
@with_out
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple of integers; 0 if one is 0.

    >>> import flambeau as torch
    >>> torch.lcm(torch.tensor([4, -3, 0]), torch.tensor(6))
    tensor([12,  6,  0])
    """
    x, y = _whole_operands("lcm", input, other)
    kind = x.dtype
    divisor = _euclid(x, y)
    if kind.is_signed and kind.itemsize < 4:  # C computes in int, and takes the absolute value before it narrows
        x, y, divisor = (t.to(dtypes.int32) for t in (x, y, divisor))
    none = divisor == 0
    with unchecked():
        multiple = div(x, where(none, 1, divisor), rounding_mode="trunc") * y
    return laid_out(where(none, 0, _magnitude(multiple)).to(kind), (input, other))
