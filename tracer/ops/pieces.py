"""Functions of straight pieces: what links their gradient to their argument, of which it is no function that has slopes."""

from __future__ import annotations

from ..ir.constants import full_like
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.state import state
from ..ir.types import Type
from .elementwise import batch_elementwise


def _linked_infer(x: Type, to: Type) -> Type:
    requires(x.dtype.is_inexact and to.dtype.is_inexact, "linked", "inexact operands", (x, to))
    return x


# The first operand, with zeros as the second one's gradient.
linked = register(Op("linked", _linked_infer, lambda x, to: x, lambda h, x, to: x, lambda g, out, x, to: (g, full_like(to, 0)),
                     batch_elementwise("linked"), exact=True, light=True))


def linked_to(value: Value, *others: Value | None) -> Value:
    """The value, with zeros as the gradient of the others, which a gradient can flow to."""
    for v in others:
        value = linked(value, v) if v is not None and v.type.dtype.is_inexact else value
    return value


def zero_slope(x: Value, *others: Value | None) -> Value:
    """Zeros as the cotangent of x, which a second order finds linked to x and to the others, as torch's kernels leave it."""
    zeros = full_like(x, 0)
    return linked_to(zeros, x, *others) if state.grad else zeros


def _infer(x: Type, *others: Type) -> Type:
    return x


def _lower(h: Emitter, x: Operand, *others: Operand) -> Operand:
    return x


def _piecewise_vjp(g: Value, out: Value, x: Value, *others: Value) -> tuple[Value | None, ...]:
    return (linked_to(g, x, *others) if state.grad else g, *(None for _ in others))


# x, as the argument of a function of pieces without a curve in it (a ReLU, a pool, the bias of a convolution): the gradient of
# its gradient is zeros, with respect to the other arguments too, and not none, as that of torch's backward kernels is. Only a
# gradient that may be differentiated in its turn is told, so that others cost nothing.
piecewise = register(Op("piecewise", _infer, lambda x, *others: x, _lower, _piecewise_vjp,
                        batch_elementwise("piecewise"), exact=True, light=True))
