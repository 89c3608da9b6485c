"""Tensors of one number that stand for it: whether a dtype holds it, as `precision.fitting` looks for numbers."""

from __future__ import annotations

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..tensor.tensor import Tensor
from .checks import check_none
from .comparing import isfinite, logical_and, logical_not
from .precision import overflow
from .unary import abs as absolute


def check_fits(op: str, value: Tensor, kind: dtype, name: str | None = None) -> Tensor:
    """The tensor; torch's RuntimeError if its number would become another one, or infinite, in a tensor of that dtype.

    `name` is what torch's text calls the dtype, where that is not C's name.
    """
    number, text = value.detach(), overflow(kind, name)
    if number.dtype.is_complex:
        of_part = _beyond(number.imag, kind) if kind.is_complex else number.imag != 0
        if of_part is not None:
            check_none(op, of_part, RuntimeError, text, number.imag)
        number = number.real
    wrong = _beyond(number, kind)
    if wrong is not None:
        check_none(op, wrong, RuntimeError, text, number)
    return value


def _beyond(x: Tensor, kind: dtype) -> Tensor | None:
    """Where a dtype does not hold a real number; None if it holds all of that type."""
    source, kind = x.dtype, kind.real_form
    if source is kind or dtypes.boolean in (source, kind):
        return None
    if kind.is_floating_point:
        if source.is_floating_point and dtypes.finfo(source).max <= dtypes.finfo(kind).max:
            return None
        x = x.double()
        return logical_and(isfinite(x), absolute(x) > dtypes.finfo(kind).max)
    info = dtypes.iinfo(kind)
    if source.is_floating_point:
        x = x.double()
        return logical_not(logical_and(x >= float(info.min), x <= float(info.max)))
    low, high = info.min if kind.is_signed else -info.max, info.max  # whole numbers below zero wrap in one without a sign
    known = dtypes.iinfo(source)
    if (low <= known.min and known.max <= high) or source is dtypes.uint64 or kind is dtypes.uint64:
        return None
    x = x.long()
    return logical_not(logical_and(x >= low, x <= high))
