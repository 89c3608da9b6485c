"""What holds of elements, in lower rules: comparisons, and what is chosen by them."""

from __future__ import annotations

from ..ir import dtypes
from ..ir.op import Emitter, Operand


def compared(h: Emitter, direction: str, x: Operand, y: Operand, order: str = "") -> Operand:
    """Where x stands so to y, of the same type; `order` is that of floats, by default IEEE 754's."""
    named = f", compare_type = #stablehlo<comparison_type {order}>" if order else ""
    return h.op("compare", (x, y), x.type.with_dtype(dtypes.boolean),
                f"comparison_direction = #stablehlo<comparison_direction {direction}>{named}")


def both(h: Emitter, a: Operand, b: Operand) -> Operand:
    """Where two conditions hold."""
    return h.op("and", (a, b), a.type)


def either(h: Emitter, a: Operand, b: Operand) -> Operand:
    """Where one of two conditions holds."""
    return h.op("or", (a, b), a.type)


_OF_BOOLEANS = {"add": "or", "multiply": "and"}  # said as it is: XLA folds some sums of booleans as if of one bit, to false


def combined(hlo: str, h: Emitter, x: Operand, y: Operand) -> Operand:
    """An instruction on two operands of one type: of numbers this one, of booleans the one that means the same."""
    return h.op(_OF_BOOLEANS.get(hlo, hlo) if x.type.dtype is dtypes.boolean else hlo, (x, y), x.type)


def lowered_where(h: Emitter, x: Operand, direction: str, number: str, yes: Operand, no: Operand) -> Operand:
    """`yes` where x stands so to the number, else `no`."""
    return h.op("select", (compared(h, direction, x, h.constant(number, x.type)), yes, no), yes.type)
