"""Half types: what is computed in float32 and rounded once, and which numbers a type can hold.

How torch's kernels take a number beside a half tensor differs by operation. Products and quotients compute with the number as
it is; sums, remainders, powers and comparisons round it to the tensor's type first; what fills a tensor, and bounds, refuse
a number that would overflow.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

from ..ir import dtypes
from ..ir.constants import literal
from ..ir.dtypes import dtype
from ..tensor.operations import Operation
from ..tensor.scalar import Scalar, on_host
from ..tensor.tensor import Tensor
from .operands import cast_value, result_dtype, wrap

F = TypeVar("F", bound=Callable[..., Any])


def is_half(kind: dtype) -> bool:
    """Whether the floating type is narrower than float32, in which torch then computes."""
    return kind.is_floating_point and kind.itemsize < 4


def rounded_once(function: F) -> F:
    """Let a function of half tensors compute in float32; only its results are rounded, and the gradients on their way out.

    Without it every step of a composition would round, and a sum overflow that is divided afterwards.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for x in args:
            if isinstance(x, Tensor) and is_half(x._type.dtype):
                return _in_float32(function, args, kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def _in_float32(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    kind = result_dtype(*(x for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and x.dtype.is_inexact))
    if not is_half(kind) or any(isinstance(x, dtype) for x in (*args, *kwargs.values())):
        return function(*args, **kwargs)
    result = function(*map(_wide, args), **{name: _wide(x) for name, x in kwargs.items()})
    if isinstance(result, tuple):
        narrow = [_narrow(r, kind) for r in result]
        return type(result)(*narrow) if hasattr(result, "_fields") else tuple(narrow)
    return _narrow(result, kind)


def _wide(x: Any) -> Any:
    if isinstance(x, Tensor) and is_half(x._type.dtype):
        return wrap(cast_value(x._read(), dtypes.float32))
    return x


def _narrow(x: Any, kind: dtype) -> Any:
    if isinstance(x, Tensor) and x._type.dtype is dtypes.float32:
        return wrap(cast_value(x._read(), kind))
    return x


_C_NAMES = {"float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double", "int8": "int8_t",
            "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int", "uint32": "uint32_t",
            "int64": "int64_t", "uint64": "uint64_t", "complex64": "c10::complex<float>"}


def overflow(kind: dtype, name: str | None = None) -> str:
    """torch's text for a number that a dtype cannot hold."""
    return f"value cannot be converted to type {name or _C_NAMES.get(kind.name, kind.name)} without overflow"


def fitting(number: Any, kind: dtype) -> Any:
    """The number, for a place in a tensor of that type; torch's RuntimeError if it would become another one, or infinite."""
    if type(number) in (int, float, complex, Scalar) and not fits(number, kind):
        if type(number) is int:
            literal(number, kind)  # OverflowError for an int beyond 64 bits
        raise RuntimeError(overflow(kind))
    return number


def fits(number: Any, kind: dtype) -> bool:
    """Whether a number stays what it is in a dtype; of one that a traced function was given the answer is a guard."""
    return kind.name not in _C_NAMES or bool(on_host(_fits_into(kind), number))


@functools.lru_cache
def _fits_into(kind: dtype) -> Operation:
    """The question as an operation on numbers: of one that a traced function was given it is asked at each call."""
    return Operation(functools.partial(_fits, kind=kind), f"{kind.name} holds", lambda number: (bool,))


@functools.lru_cache(maxsize=256, typed=True)
def _fits(number: complex, kind: dtype) -> bool:
    if isinstance(number, complex):
        if number.imag and not (kind.is_complex and _fits(number.imag, kind)):
            return False
        number = number.real
    if not kind.is_inexact:
        return holds(kind, number, number)
    return not math.isfinite(number) or abs(number) <= dtypes.finfo(kind).max


def holds(kind: dtype, low: float, high: float) -> bool:
    """Whether an integer type holds all from `low` to `high`; whole numbers below zero wrap in one without a sign."""
    info = dtypes.iinfo(kind)
    least = info.min if kind.is_signed or isinstance(low, float) else -info.max
    return math.isfinite(low) and math.isfinite(high) and least <= low and high <= info.max
