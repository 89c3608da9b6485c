"""Numbers of a traced function that something holds which outlives the trace, such as the gradient of a function."""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np

from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ops import OPS
from ..ops.elementwise import convert
from .operations import BINARY, EXACT, UNARY, Operation
from .scalar import Host, Scalar, constant, from_number

_IN_THE_PROGRAM = {BINARY["add"]: "add", BINARY["sub"]: "sub", BINARY["mul"]: "mul", BINARY["truediv"]: "div",
                   UNARY["neg"]: "neg", UNARY["abs"]: "abs"}
_AS_IN_PYTHON = frozenset({*EXACT, np.float64})


class Kept:
    """A scalar as something may hold it that outlives the trace, such as the gradient of a function that was given it."""

    __slots__ = ("text", "_scalar", "_example", "_kinds")

    def __init__(self, scalar: Scalar) -> None:
        self.text, self._scalar, self._example, self._kinds = scalar.text(), ref(scalar), scalar.example, scalar.kinds

    def at(self, value: Value) -> Scalar:
        """The number where a program holds it in this value."""
        scalar = self._scalar()
        if scalar is not None and scalar.host.holds(scalar, value):
            return scalar
        return Scalar(Inside(self, value), self._example, self._kinds)

    def look(self) -> None:
        """Make the trace depend on the number; there is none any more if it is over."""
        scalar = self._scalar()
        if scalar is None or scalar.host.closed:
            raise TraceError(f"the backward of a function looks at {self.text}, a number that the function was given in a "
                             "compiled step, after that step: the number may be another one then. Look at it in the forward.")
        scalar.look()


class Inside(Host):
    """Computes with a number that some program holds in a value, where its host's expressions do not reach."""

    def __init__(self, of: Kept, value: Value) -> None:
        super().__init__()
        self.of, self.held = of, value

    def apply(self, operation: Operation, *operands: Any) -> Any:
        """Arithmetic as Python does it is recorded in the program; anything else looks."""
        op, kinds = _IN_THE_PROGRAM.get(operation), {k for x in operands for k in (x.kinds if type(x) is Scalar else (type(x),))}
        if op is None or not kinds <= _AS_IN_PYTHON:
            return operation.function(*(x.look() if type(x) is Scalar else x for x in operands))
        example = operation.function(*(x.example if type(x) is Scalar else x for x in operands))
        kind = from_number(example)
        value = OPS[op](*(x.value if type(x) is Scalar and x.value.type.dtype is kind else
                          convert(x.value, dtype=kind) if type(x) is Scalar else constant(x, kind) for x in operands))
        return Scalar(Inside(self.of, value), example, (type(example),))

    def guard(self, about: str, scalar: Scalar, seen: Any) -> None:
        """Only while the trace is in progress in which the number was seen."""
        self.of.look()

    def input(self, scalar: Scalar) -> Value:
        """The value itself."""
        return self.held

    def holds(self, scalar: Scalar, value: Value) -> bool:
        """Of the very value there is this scalar already."""
        return value is self.held
