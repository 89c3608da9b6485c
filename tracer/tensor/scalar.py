"""A number argument of a traced function: a runtime scalar until the code looks at its value.

It is no subclass of int or float, since `math.sqrt` and the like would then read past it; looking (`if`, `range`,
`int()`, a shape, an attribute) makes the value seen a guard of the trace.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import literal
from ..ir.graph import Value
from ..ops import OPS


class Scalar:
    """`value` is a 0-d float64, int64 or bool value; `example` the number it has in the call being traced.

    `looked(number)` is told when the number itself is needed.
    """

    __slots__ = ("value", "example", "_looked")

    def __init__(self, value: Value, example: Any, looked: Callable[[], None]) -> None:
        self.value, self.example, self._looked = value, example, looked

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.example)

    def at(self, value: Value) -> Scalar:
        """The same number, held by another value."""
        return Scalar(value, self.example, self._looked)

    def look(self) -> Any:
        """The number; from now on the trace holds for this number only."""
        self._looked()
        return self.example

    def __repr__(self) -> str:
        return repr(self.look())

    def __bool__(self) -> bool:
        return bool(self.look())

    def __int__(self) -> int:
        return int(self.look())

    def __index__(self) -> int:
        return operator.index(self.look())

    def __float__(self) -> float:
        return float(self.look())

    def __complex__(self) -> complex:
        return complex(self.look())

    def __hash__(self) -> int:
        return hash(self.look())

    def __format__(self, spec: str) -> str:
        return format(self.look(), spec)

    def __invert__(self) -> int:
        return ~self.look()

    def __pos__(self) -> Scalar:
        return self

    def __trunc__(self) -> int:
        return math.trunc(self.look())

    def __floor__(self) -> int:
        return math.floor(self.look())

    def __ceil__(self) -> int:
        return math.ceil(self.look())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.look(), dtype)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.look(), digits)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.look(), name)

    def __neg__(self) -> Any:
        return Scalar(OPS["neg"](self.value), -self.example, self._looked)

    def __abs__(self) -> Any:
        return Scalar(OPS["abs"](self.value), abs(self.example), self._looked)


def _both(x: Any, y: Any) -> Callable[[], None]:
    def looked() -> None:
        for number in (x, y):
            if type(number) is Scalar:
                number._looked()

    return looked


def _lifted(name: str, op: str, compute: Callable[[Any, Any], Any]) -> None:
    """Arithmetic stays symbolic when both numbers are floats or ints; anything else looks."""

    def forward(self: Scalar, other: Any) -> Any:
        return _arithmetic(op, compute, self, other)

    def reflected(self: Scalar, other: Any) -> Any:
        return _arithmetic(op, compute, other, self)

    setattr(Scalar, f"__{name}__", forward)
    setattr(Scalar, f"__r{name}__", reflected)


def _arithmetic(op: str, compute: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    plain = [n.example if type(n) is Scalar else n for n in (x, y)]
    if not all(type(n) in (int, float) for n in plain):
        if not all(isinstance(n, (int, float, complex)) for n in plain):
            return NotImplemented
        return compute(*(n.look() if type(n) is Scalar else n for n in (x, y)))
    result = compute(*plain)
    kind = from_number(result)
    values = [as_value(n, kind) for n in (x, y)]
    return Scalar(OPS[op](*values), result, _both(x, y))


def _compared(name: str, compute: Callable[[Any, Any], bool]) -> None:
    def method(self: Scalar, other: Any) -> bool:
        return compute(self.look(), other.look() if type(other) is Scalar else other)

    setattr(Scalar, f"__{name}__", method)


def _looking(name: str, compute: Callable[[Any, Any], Any]) -> None:
    def forward(self: Scalar, other: Any) -> Any:
        return compute(self.look(), other.look() if type(other) is Scalar else other)

    def reflected(self: Scalar, other: Any) -> Any:
        return compute(other.look() if type(other) is Scalar else other, self.look())

    setattr(Scalar, f"__{name}__", forward)
    setattr(Scalar, f"__r{name}__", reflected)


def from_number(number: Any) -> Any:
    """The dtype a Python number is computed in: Python's own precision."""
    return dtypes.boolean if isinstance(number, bool) else dtypes.int64 if isinstance(number, int) else dtypes.float64


def as_value(number: Any, kind: Any) -> Value:
    """A scalar or a Python number as a 0-d value."""
    if type(number) is Scalar:
        value = number.value
        return value if value.type.dtype is kind else OPS["convert"](value, dtype=kind)
    return OPS["constant"].on("cpu", value=literal(number, kind), shape=(), dtype=kind)


for _name, _op, _compute in [("add", "add", operator.add), ("sub", "sub", operator.sub), ("mul", "mul", operator.mul),
                             ("truediv", "div", operator.truediv)]:
    _lifted(_name, _op, _compute)
for _name, _compute in [("eq", operator.eq), ("ne", operator.ne), ("lt", operator.lt), ("le", operator.le),
                        ("gt", operator.gt), ("ge", operator.ge)]:
    _compared(_name, _compute)
for _name, _compute in [("floordiv", operator.floordiv), ("mod", operator.mod), ("pow", operator.pow), ("divmod", divmod),
                        ("and", operator.and_), ("or", operator.or_), ("xor", operator.xor), ("lshift", operator.lshift),
                        ("rshift", operator.rshift)]:
    _looking(_name, _compute)
