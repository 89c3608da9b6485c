"""Functions of straight pieces: what links their gradient to their argument, of which it is no function that has slopes."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.constants import full_like, with_leading
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


def zero_slope(x: Value, *others: Value | None) -> Value:
    """Zeros as the cotangent of x, which a second order finds linked to x and to the others, as torch's kernels leave it."""
    zeros = full_like(x, 0)
    for v in (x, *others) if state.grad else ():
        zeros = linked(zeros, v) if v is not None and v.type.dtype.is_inexact else zeros
    return zeros


def _infer(x: Type, *others: Type) -> Type:
    return x


def _lower(h: Emitter, x: Operand, *others: Operand) -> Operand:
    return x


def _piecewise_vjp(g: Value, out: Value, x: Value, *others: Value) -> tuple[Value | None, ...]:
    for v in (x, *others) if state.grad else ():
        g = linked(g, v) if v.type.dtype.is_inexact else g
    return (g, *(None for _ in others))


def _batch(size: int, batched: Sequence[bool], *inputs: Value) -> Value:
    return piecewise(*(with_leading(size, b, x) for b, x in zip(batched, inputs)))


# x, as the argument of a function of pieces without a curve in it (a ReLU, a pool, the bias of a convolution): the gradient of
# its gradient is zeros, with respect to the other arguments too, and not none, as that of torch's backward kernels is. Only a
# gradient that may be differentiated in its turn is told, so that others cost nothing.
piecewise: Op = register(Op("piecewise", _infer, lambda x, *others: x, _lower, _piecewise_vjp, _batch, exact=True, light=True))
