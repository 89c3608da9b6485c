"""Evenly spaced numbers, and the identity: https://pytorch.org/docs/stable/torch.html#creation-ops"""

from __future__ import annotations

import math
import operator
from typing import Any, Final

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.told import tell
from ..ops.elementwise import add, compare, div, mul, power, select, sub
from ..ops.structural import iota
from ..tensor.layouts import check_layout, layout
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from .defaults import Defaults, device_name
from .dims import whole_number
from .fits import check_fits
from .methods import CREATED, RANGED, into, out_kind, with_out_typed
from .operands import c_name, cast_value, expand_value, number_value, scalar_name, wrap
from .precision import fitting
from .refusals import not_implemented

# --- Ranges -----------------------------------------------------------------------------------------------------------

_COUNTED: Final = RANGED._replace(resized=(
    "The number of elements in the out tensor of shape {out} is {count} which does not match the computed number of elements "
    "{needed}. Note that this may occur as a result of rounding error. The out tensor will be resized to a tensor of shape "
    "({needed},)."))


@with_out_typed(_COUNTED)
def arange(start: Any = None, end: Any = None, step: Any = 1, *, dtype: dtype | None = None, device: Any = None,
           requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Evenly spaced numbers, from a start up to but not including an end.

    y[i] = start + i * step, for i from 0 to ceil((end - start) / step) - 1

    Args: `start`, 0 if only one number is given, which then is the `end`; `step`, the distance; `dtype`, by default
    int64 if all three are ints, else the default dtype; `device`, where it lives; `requires_grad`, whether gradients
    reach it; `out`, a tensor to write to. `layout` is strided, `pin_memory` changes nothing.
    Returns a vector. Raises RuntimeError for a step of zero or of the wrong sign.

    >>> import flambeau as torch
    >>> torch.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])

    Source: https://pytorch.org/docs/stable/generated/torch.arange.html
    """
    if start is None and end is None:
        raise TypeError("arange() received an invalid combination of arguments. Required is an end, or a start and an end")
    if start is None or end is None:
        start, end = 0, start if end is None else end
    start, end, step = (_number(x) for x in (start, end, step))
    _refuse_kernel("arange_cpu", dtype)
    check_layout(layout)
    _check_range(start, end, step)
    whole = dtype is not None and dtype.category == dtypes.INTEGRAL
    if dtype is dtypes.int64:
        start, end, step = (int(fitting(x, dtypes.int64)) for x in (start, end, step))
        if step == 0:
            raise ValueError("step must be nonzero")
    kind = dtype or (dtypes.int64 if all(isinstance(x, (int, np.integer)) for x in (start, end, step))
                     else Defaults.dtype)
    count = (end - start) / step
    if count >= 2.0 ** 63:
        raise RuntimeError("invalid size, possible overflow?")
    if whole:  # in torch the numbers given decide how many there are, but for int64, and their whole parts where they lie
        start, step = (int(fitting(x, dtypes.int64)) for x in (start, step))
    return _ramp(max(0, int(np.ceil(count))), start, step, kind, device_name(device), requires_grad)


def _number(x: Any) -> Any:
    """A number or that of a tensor, as a real one; torch's RuntimeError for one that is not."""
    number = x.item() if isinstance(x, Tensor) else x
    return fitting(number, dtypes.float64).real if isinstance(number, complex) else number


def _refuse_kernel(kernel: str, kind: dtype | None) -> None:
    """torch's error for a range in bools, or in complex numbers if its kernel has none."""
    if kind is dtypes.boolean or (kind is not None and kind.is_complex and "space" not in kernel):
        raise not_implemented(kernel, kind)


def _check_range(start: Any, end: Any, step: Any) -> None:
    """torch's errors for numbers that no range goes through."""
    if not (step > 0 or step < 0):
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if (step > 0) != (end >= start) and end != start:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")


def _ramp(count: int, start: Any, step: Any, kind: dtype, on: str, requires_grad: bool) -> Tensor:
    """start + step * [0, 1, ...]: integers in their own type, floats in double precision, rounded once."""
    exact = kind.category == dtypes.INTEGRAL and isinstance(start, int) and isinstance(step, int)
    work = dtypes.int64 if exact else dtypes.float64
    value = iota.on(on, shape=(count,), axis=0, dtype=work)
    if step != 1:
        value = mul(value, number_value(step, work, (count,), on))
    if type(start) is Scalar or start != 0 or step < 0:  # 0 * step is -0.0 then
        value = add(value, number_value(start, work, (count,), on))
    made = wrap(cast_value(value, kind))
    return made.requires_grad_() if requires_grad else made


def range(start: Any, end: Any = None, step: Any = 1, *, out: Tensor | None = None, dtype: dtype | None = None,
          device: Any = None, requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """`arange` with its end, which torch keeps for old code and warns of.

    >>> import flambeau as torch, warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     torch.range(1, 3)
    tensor([1., 2., 3.])
    """
    tell("torch.range is deprecated and will be removed: use torch.arange, which leaves its end out as Python's range does")
    check_layout(layout)
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (_number(x) for x in (start, end, step))
    kind = out_kind(out, dtype, RANGED) if out is not None else dtype or Defaults.dtype
    _refuse_kernel("range_cpu", kind)
    _check_range(start, end, step)
    count = int(np.floor((end - start) / step)) + 1
    made = _ramp(count, start, step, kind, device_name(device), requires_grad)
    return into(out, made, rule=RANGED)


# --- Between two ends -------------------------------------------------------------------------------------------------


@with_out_typed(RANGED)
def linspace(start: Any, end: Any, steps: int, *, dtype: dtype | None = None, device: Any = None,
             requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Evenly spaced numbers, both ends included.

    y[i] = start + i * (end - start) / (steps - 1)

    Args: `start` and `end`, the first and the last number, or 0-d tensors; `steps`, how many; `dtype`, by default the
    default dtype; `device`, where it lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to.
    `layout` is strided, `pin_memory` changes nothing.
    Returns a vector of `steps` numbers, whose halves are computed from their own ends, so that both are exact; `start` alone
    for one step. Raises RuntimeError for a negative number of steps, or a tensor that is not 0-d.

    >>> import flambeau as torch
    >>> torch.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])

    Source: https://pytorch.org/docs/stable/generated/torch.linspace.html
    """
    check_layout(layout)
    _check_steps("linspace", start, end, steps)
    kind = _kind("linspace", dtype, start, end)
    made = cast_value(_spaced("linspace", start, end, steps, kind, device_name(device)), kind)
    return wrap(made).requires_grad_() if requires_grad else wrap(made)


@with_out_typed(RANGED)
def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: dtype | None = None, device: Any = None,
             requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """`base` to the power of evenly spaced numbers."""
    check_layout(layout)
    _check_steps("logspace", start, end, steps)
    on, kind = device_name(device), _kind("logspace", dtype, start, end)
    exponents = _spaced("logspace", start, end, steps, kind, on)
    value = power(number_value(base, exponents.type.dtype, exponents.type.shape, on), exponents)
    made = wrap(cast_value(value, kind))
    return made.requires_grad_() if requires_grad else made


def _check_steps(name: str, start: Any, end: Any, steps: Any) -> None:
    if isinstance(steps, (bool, float, complex, str)) or isinstance(start, str) or isinstance(end, str):
        raise TypeError(f"{name}() received an invalid combination of arguments - got "
                        f"({', '.join(type(x).__name__ for x in (start, end, steps))}), but expected a start, an end, each a "
                        "Number or a Tensor, and int steps")


def _kind(name: str, kind: dtype | None, *ends: Any) -> dtype:
    """The dtype of the numbers; torch's RuntimeError where the ends are complex and it is not."""
    if any(isinstance(x, complex) or (isinstance(x, Tensor) and x.dtype.is_complex) for x in ends):
        found = Defaults.dtype.complex_form
        if kind is not None and not kind.is_complex:
            raise RuntimeError(f"torch.{name}(): inferred dtype {c_name(found)} can't be safely cast to passed dtype "
                               f"{scalar_name(kind)}")
        return kind or found
    return kind or Defaults.dtype


def _end(name: str, which: str, x: Any, work: dtype, on: str, kind: dtype | None) -> Value:
    """An end as a value; torch's RuntimeError unless `kind`, if there is one, holds it."""
    if isinstance(x, Tensor):
        if x.ndim:
            raise RuntimeError(f"{name} only supports 0-dimensional start and end tensors, but got {which} with {x.ndim} "
                               "dimension(s).")
        return cast_value((x if kind is None else check_fits(name, x, kind)).detach()._read(), work)
    return number_value(x if kind is None else fitting(x, kind), work, (), on)


def _spaced(name: str, start: Any, end: Any, steps: int, kind: dtype, on: str) -> Value:
    """The numbers in double precision, each half from its own end."""
    steps = operator.index(steps)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    complexes = any(isinstance(x, complex) or (isinstance(x, Tensor) and x.dtype.is_complex) for x in (start, end))
    work = dtypes.complex128 if complexes or kind.is_complex else dtypes.float64
    first = _end(name, "start", start, work, on, kind if steps > (name == "logspace") else None)
    last = _end(name, "end", end, work, on, kind if steps > 1 else None)
    if steps > 1:
        _refuse_kernel(f"{name}_cpu", kind)
    if kind.category == dtypes.INTEGRAL:  # ends that are no integers are cut first
        first, last = (cast_value(cast_value(v, kind), work) for v in (first, last))
    if steps <= 1:
        return expand_value(first, (steps,))
    shape = (steps,)
    step = div(sub(last, first), number_value(steps - 1, work, (), on))
    count = iota.on(on, shape=shape, axis=0, dtype=dtypes.int64)
    rest = sub(number_value(steps - 1, dtypes.int64, shape, on), count)
    up, down = (mul(cast_value(n, work), expand_value(step, shape)) for n in (count, rest))
    up, down = add(expand_value(first, shape), up), sub(expand_value(last, shape), down)
    lower = compare(count, number_value(steps // 2, dtypes.int64, shape, on), direction="LT")
    return select(lower, up, down)


@with_out_typed(CREATED)
def eye(n: int, m: int | None = None, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
        layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    check_layout(layout)
    n = whole_number(n, "n")
    shape, on = (n, n if m is None else whole_number(m, "m")), device_name(device)
    for name, size in zip("nm", shape):
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    rows, columns = (iota.on(on, shape=shape, axis=axis, dtype=dtypes.int64) for axis in (0, 1))
    made = wrap(cast_value(compare(rows, columns, direction="EQ"), dtype or Defaults.dtype))
    return made.requires_grad_() if requires_grad else made
