"""Functions with a gradient rule of their own, and the checks that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ops.custom import Flags, PassedOn, custom_gradient, transposed
from ..ops.elementwise import stop_gradient
from ..tensor.tensor import Tensor
from .layout import laid_out
from .operands import NUMBERS, Number, cast_value, float_kind, full, operands, result_dtype, wrap
from .refusals import not_implemented

Pull = Callable[..., Sequence[Tensor | None]]


@dataclass(frozen=True)
class Derivative(PassedOn):
    """The gradient rule of a function of one result: pull(g, out, *inputs) -> a cotangent or None for each input.

    `refusals` has, for inputs that torch has no derivative for, what to say when a gradient is to flow to one.
    """

    name: str = field()
    pull: Pull = field()
    refusals: tuple[str, ...] = ()

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """What `pull` says, in tensors."""
        if g[0] is None:
            return [None] * len(inputs)
        for refusal, x in zip(self.refusals, inputs):
            if x.requires_grad:
                raise NotImplementedError(refusal)
        found = self.pull(wrap(g[0]), wrap(out[0]), *map(wrap, inputs))
        return [None if c is None else c._read() for c in found]

    def push_forward(self, tangents: Sequence[Value | None], out: Sequence[Value],
                     inputs: Sequence[Value]) -> Sequence[Value | None]:
        """The transposed pull-back."""
        return transposed(self, tangents, out, inputs)

    def reads(self, out: int, inputs: int) -> tuple[Flags, Flags]:
        """Everything."""
        return (True,) * out, (True,) * inputs


def without_derivative(name: str) -> Derivative:
    """The rule of one of torch's functions that has none: a RuntimeError where a gradient is to flow through it."""
    def refuse(*_: Any) -> NoReturn:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return Derivative("".join(word.capitalize() for word in name.split("_")), refuse)


def ruled(rule: Derivative, function: Callable[..., Tensor], *xs: Any, kind: dtype) -> Tensor:
    """function(*xs) on broadcast operands of `kind`, with the gradient that the rule gives; computed in float32 at least."""
    values = operands(*xs, kind=kind)  # to which torch rounds numbers too
    values = [cast_value(v, dtypes.float32) for v in values] if kind.itemsize < 4 else values
    result = function(*(wrap(stop_gradient(v)) for v in values))._read()
    result = custom_gradient(*values, result, outputs=1, rule=rule)[0]
    return laid_out(wrap(cast_value(result, kind)), xs)


# --- Checks -----------------------------------------------------------------------------------------------------------


def check_tensor(function: str, argument: str, position: int, x: Any) -> None:
    """torch's TypeError for a number where only a tensor will do."""
    if isinstance(x, NUMBERS):
        raise TypeError(f"{function}(): argument '{argument}' (position {position}) must be Tensor, not {type(x).__name__}")


def check_number(function: str, x: Any, *xs: Any) -> None:
    """TypeError unless one of the operands is a tensor."""
    if not any(isinstance(t, Tensor) for t in (x, *xs)):
        raise TypeError(f"{function}() requires a Tensor among its operands, got "
                        f"({', '.join(type(t).__name__ for t in (x, *xs))})")


def floating_kind(function: str, *xs: Any, whole: bool = False) -> dtype:
    """The result type, which must be a floating one; the default floating type for whole numbers if these are allowed."""
    kind = float_kind(*xs) if whole else result_dtype(*xs)
    if not kind.is_floating_point:
        raise not_implemented(f"{function}_cpu", kind)
    return kind


def check_bool(function: str, out: Tensor | None) -> None:
    """torch's RuntimeError for an `out` that cannot hold bools."""
    if out is not None and out.dtype is not dtypes.boolean:
        raise RuntimeError(f"{function} does not support non-boolean outputs.")


def constant_like(x: Tensor, number: Number, kind: dtype) -> Tensor:
    """A constant of the shape of `x`."""
    return wrap(full(x._type.shape, number, kind, x._device))
