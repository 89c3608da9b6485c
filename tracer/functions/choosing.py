"""One of several elements: extremes, bounds, choice by a condition: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

import math
from typing import Any, Final

from ..ir import dtypes
from ..ir.told import tell
from ..ops import elementwise as ops
from ..ops.custom import custom_gradient
from ..tensor.tensor import Tensor
from .comparing import eq, ge, isnan, le, logical_or
from .fits import check_fits
from .layout import apply, in_rows, keeps_layout, laid_out, lies
from .methods import FOUND, Out, assign, method, pointwise, with_out, with_out_of
from .operands import Number, c_name, common_shape, expand_value, number_value, operands, result_dtype, wrap
from .precision import fitting, is_half
from .refusals import not_implemented, unordered
from .ruled import check_tensor, without_derivative

_CLAMPED: Final = FOUND._replace(alone=True)
_CHOSEN: Final = Out("Expected out type to be {result} but got {out}")
_REPLACED: Final = Out("nan_to_num: dtype of out: {out} should be same as input: {result}")
_STEP: Final = Out("heaviside is not yet implemented for tensors with different dtypes.")

# --- Extremes ---------------------------------------------------------------------------------------------------------


@method()
@keeps_layout
@with_out
def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements; NaN if either is."""
    return apply(ops.maximum, input, other)


@method()
@keeps_layout
@with_out
def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements; NaN if either is."""
    return apply(ops.minimum, input, other)


@method()
@keeps_layout
@with_out
def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements, ignoring a NaN; the first of equal ones, which gets the gradient."""
    _check_ordered("fmax", input, other)
    return where(logical_or(ge(input, other), isnan(other)), input, other)


@method()
@keeps_layout
@with_out
def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements, ignoring a NaN; the first of equal ones, which gets the gradient."""
    _check_ordered("fmin", input, other)
    return where(logical_or(le(input, other), isnan(other)), input, other)


def _check_ordered(function: str, x: Tensor, y: Tensor) -> None:
    if x.dtype.is_complex or y.dtype.is_complex:
        raise unordered(function)


# --- Bounds -----------------------------------------------------------------------------------------------------------


@pointwise("clamp", "clip")
@with_out_of(_CLAMPED)
def clamp(input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None) -> Tensor:
    """Elements forced into an interval.

    y = min(max(x, min), max)

    Args: `input` (*); `min` and `max`, the bounds, numbers or tensors that broadcast, either of which may be missing;
    `out`, a tensor to write to.
    Returns a tensor of the common shape; where the bounds cross, `max` wins. The gradient is 1 inside and 0 outside.
    Raises RuntimeError without any bound, TypeError for a vector beside a number.

    >>> import flambeau as torch
    >>> torch.clamp(torch.tensor([-2.0, 0.5, 3.0]), min=0.0, max=1.0)
    tensor([0.0000, 0.5000, 1.0000])

    Source: https://pytorch.org/docs/stable/generated/torch.clamp.html
    """
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if input._type.dtype.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    min, max = _real_bound(input, min), _real_bound(input, max)
    if min is None:
        return _clamped(input, max, "LE")
    if max is None:
        return _clamped(input, min, "GE")
    tensors = [bound for bound in (min, max) if isinstance(bound, Tensor)]
    if len(tensors) == 1 and tensors[0].ndim:
        raise TypeError("clamp() received an invalid combination of arguments: `min` and `max` are both tensors, or both numbers")
    kind = result_dtype(input, min, max)
    if kind.is_complex or kind is dtypes.boolean:
        raise not_implemented("clamp_cpu" if isinstance(min, Tensor) else "clamp_scalar_cpu", kind)
    for bound in (min, max):
        fitting(bound, kind)
    low, x, high = operands(min, input, max, kind=kind)
    return wrap(ops.clamp(low, x, high))


clip = clamp


def _real_bound(input: Tensor, bound: Any) -> Any:
    """A bound, of which a floating tensor takes a complex number if it is a real one; torch's error for another."""
    if type(bound) is not complex:
        return bound
    if not input._type.dtype.is_floating_point:
        raise NotImplementedError("clamp is not supported for complex types")
    return fitting(bound, dtypes.float64).real


def _clamped(input: Tensor, bound: Any, direction: str) -> Tensor:
    """x where it compares with the bound in that direction, else the bound; NaN if either is, and then without a gradient."""
    if type(bound) is complex:
        raise NotImplementedError("clamp is not supported for complex types")
    kind = result_dtype(input, bound)
    if kind.is_complex:
        raise not_implemented("maximum_cpu" if direction == "GE" else "minimum_cpu", kind)
    fitting(bound, kind)
    x, limit = operands(input, bound, kind=kind)
    inside = ops.compare(x, limit, direction=direction)
    if kind.is_floating_point:
        ordered = ops.compare(limit, x, direction=direction)
        limit = ops.select(ordered, limit, number_value(math.nan, kind, x.type.shape, x.device))
    return wrap(ops.select(inside, x, limit))


@pointwise()
@with_out_of(_CLAMPED)
def clamp_min(input: Tensor, min: Tensor | Number) -> Tensor:
    """Elements not below `min`."""
    return _clamped(input, min, "GE")


@pointwise()
@with_out_of(_CLAMPED)
def clamp_max(input: Tensor, max: Tensor | Number) -> Tensor:
    """Elements not above `max`."""
    return _clamped(input, max, "LE")


# --- Choice by a condition --------------------------------------------------------------------------------------------


@keeps_layout
@with_out_of(_CHOSEN)
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """A choice between two tensors, element by element.

    y = input where the condition holds, else other

    Args: `condition`, a tensor of bools; `input` and `other`, tensors or numbers; the shapes of all three broadcast;
    `out`, a tensor to write to.
    Returns a tensor of the common shape and the promoted dtype of `input` and `other`; for a condition alone the positions
    where it holds, a vector per dimension. Both sides are computed: a NaN that was not chosen does not show, but it does in a
    gradient. Raises RuntimeError for shapes that do not broadcast.

    >>> import flambeau as torch
    >>> x = torch.tensor([-1.0, 2.0])
    >>> torch.where(x > 0, x, 0.0)
    tensor([0., 2.])

    Source: https://pytorch.org/docs/stable/generated/torch.where.html
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition.dtype is dtypes.uint8:
        tell("where received a uint8 condition tensor. This behavior is deprecated and will be removed in a future version of "
             "PyTorch. Use a boolean condition instead.")
        condition = condition.bool()
    elif condition.dtype is not dtypes.boolean:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}")
    kind = result_dtype(input, other)
    tensors = [t._type.shape for t in (condition, input, other) if isinstance(t, Tensor)]
    shape = common_shape(*tensors)
    (test,) = operands(condition, shape=shape)
    on = condition._device
    for number in (input, other):
        if not is_half(kind):
            fitting(number, kind)
    x, y = (operands(t, kind=kind, shape=shape)[0] if isinstance(t, Tensor)
            else number_value(t, kind, shape, on) for t in (input, other))
    return wrap(ops.select(test, x, y))


@method("where")
def _where_method(input: Tensor, condition: Tensor, other: Tensor | Number) -> Tensor:
    """input where the condition holds, else other."""
    return where(condition, input, other)


@method()
@lies(in_rows)
@keeps_layout
def masked_fill(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """`value` where the mask holds, else input; the dtype stays input's."""
    if mask.dtype is not dtypes.boolean:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {c_name(mask.dtype)}")
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError("masked_fill only supports a 0-dimensional value tensor, but got tensor with "
                           f"{value.ndim} dimension(s).")
    number = (check_fits("masked_fill", value, input.dtype).to(input.dtype) if isinstance(value, Tensor) else
              fitting(value, input.dtype))
    shape = common_shape(mask._type.shape, input._type.shape)
    (test,), (x,) = operands(mask, shape=shape), operands(input, shape=shape)
    new = operands(number, kind=input.dtype, shape=shape)[0] if isinstance(number, Tensor) else number_value(
        number, input.dtype, shape, x.device)
    return wrap(ops.select(test, new, x))


@method()
def masked_fill_(self: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """In-place form of `masked_fill`."""
    result = masked_fill(self, mask, value)
    return assign(self, result, lambda: expand_value(mask._read(), self._type.shape))


@pointwise()
@with_out_of(_REPLACED)
def nan_to_num(input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and infinities replaced, NaN by 0 and the others by the type's extremes unless given."""
    if not input.dtype.is_inexact:
        return wrap(ops.alias(input._read()))
    if input.dtype.is_complex:
        value = input._read()
        parts = (nan_to_num(wrap(part(value)), nan, posinf, neginf)._read() for part in (ops.real, ops.imag))
        return wrap(ops.complex_(*parts))
    info = dtypes.finfo(input.dtype)
    result = where(eq(input, math.inf), info.max if posinf is None else posinf, input)
    result = where(eq(input, -math.inf), info.min if neginf is None else neginf, result)
    return where(isnan(input), 0.0 if nan is None else nan, result)


_HEAVISIDE = without_derivative("heaviside")


@pointwise()
@with_out_of(_STEP)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """The unit step: 0 below 0, 1 above, and `values` at 0. It has no gradient.

    >>> import flambeau as torch
    >>> torch.heaviside(torch.tensor([-2.0, 0.0, 3.0]), torch.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    check_tensor("heaviside", "values", 2, values)
    if input.dtype.is_complex or values.dtype.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    x, y = operands(input, values)
    fixed = wrap(ops.stop_gradient(x))
    result = where(fixed == 0, wrap(ops.stop_gradient(y)), (fixed > 0).to(input.dtype))._read()
    if input.dtype.is_floating_point:
        result = custom_gradient(x, y, result, outputs=1, rule=_HEAVISIDE)[0]
    return laid_out(wrap(result), (input, values))
