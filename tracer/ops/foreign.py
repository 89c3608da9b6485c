"""`foreign_call`: a function of another framework as one op, with the gradient and the batch rule that it brings."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type

Flags = tuple[bool, ...]


class Foreign(Hashable, Protocol):
    """A pure function of arrays, known to whoever wraps it. Those that compare equal compute the same."""

    def types(self, inputs: tuple[Type, ...]) -> tuple[Type, ...]:
        """The types of its results."""

    def run(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """Its results, as numpy arrays."""

    def stablehlo(self, inputs: tuple[Type, ...], platform: str) -> str:
        """The text of a module whose public function `main` computes it; the same text for the same function."""

    def pulled_back(self, wanted: Flags) -> Foreign:
        """The function from its arguments, and cotangents of its inexact results, to those of its `wanted` arguments."""

    def mapped(self, size: int, batched: Flags) -> Foreign:
        """The function over a leading dimension of the `batched` arguments, and of all results."""


def _infer(*xs: Type, function: Foreign) -> tuple[Type, ...]:
    return function.types(xs)


def lower_for(platform: str, h: Emitter, *xs: Operand, function: Foreign) -> tuple[Operand, ...]:
    """The rule for one platform: the function's own text, called."""
    return h.call(function.stablehlo(tuple(x.type for x in xs), platform), xs, h.outs)


def _vjp(g: Sequence[Value], out: Sequence[Value], *xs: Value, function: Foreign) -> list[Value | None]:
    wanted = tuple(x.requires_grad and x.type.dtype.is_inexact for x in xs)
    moving = [c for c in g if c.type.dtype.is_inexact]
    found = iter(foreign_call(*xs, *moving, function=function.pulled_back(wanted)))
    return [next(found) if flag else None for flag in wanted]


def _batch(size: int, batched: Sequence[bool], *xs: Value, function: Foreign) -> tuple[Value, ...]:
    return foreign_call(*xs, function=function.mapped(size, tuple(batched)))


# foreign_call(*xs; function) -> what the function returns for them.
foreign_call = register(Op(
    "foreign_call", _infer, lambda *xs, function: function.run(xs),
    lambda h, *xs, function: lower_for("cpu", h, *xs, function=function), _vjp, _batch, multiple=True))
