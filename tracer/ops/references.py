"""What the arithmetic and bit instructions compute, in numpy, where numpy's own functions differ from XLA's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype


def truncating_divide(x: Any, y: Any) -> Any:
    """Division as XLA does it: toward zero for integers; by zero gives -1 (all ones), and min / -1 gives min."""
    if not np.issubdtype(x.dtype, np.integer):
        return x / y
    safe = np.where(y == 0, np.ones_like(y), y)
    quotient = x // safe
    quotient = quotient + ((quotient < 0) & (quotient * safe != x)).astype(x.dtype)
    return np.where(y == 0, np.array(-1).astype(x.dtype), quotient)


def truncating_remainder(x: Any, y: Any) -> Any:
    """Remainder with the dividend's sign; by zero gives the dividend for integers."""
    if not np.issubdtype(x.dtype, np.integer):
        return np.fmod(x, y)
    safe = np.where(y == 0, np.ones_like(y), y)
    return np.where(y == 0, x, np.fmod(x, safe))


def power(x: Any, y: Any) -> Any:
    """x ** y; of integers with a negative exponent what is left of 1 / x ** -y."""
    if not np.issubdtype(x.dtype, np.integer):
        return np.power(x, y)
    negative = y < 0
    result = np.power(x, np.where(negative, 0, y))
    ones = np.where(x == 1, 1, np.where(x == -1, np.where(y % 2 == 0, 1, -1), 0)) if x.dtype.kind == "i" \
        else np.where(x == 1, 1, 0)
    return np.where(negative, ones, result)


def add(x: Any, y: Any) -> Any:
    """x + y, of bools or."""
    return np.logical_or(x, y) if x.dtype == np.bool_ else x + y


def multiply(x: Any, y: Any) -> Any:
    """x * y, of bools and."""
    return np.logical_and(x, y) if x.dtype == np.bool_ else x * y


def shift(reference: Callable[[Any, Any], Any], beyond: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A shift that is defined for any count: XLA gives `beyond(x)` from the type's width on."""

    def shifted(x: Any, count: Any) -> Any:
        width = x.dtype.itemsize * 8
        outside = (count < 0) | (count >= width) if x.dtype.kind == "i" else count >= width
        return np.where(outside, beyond(x), reference(x, np.where(outside, 0, count).astype(x.dtype)))

    return shifted


def logical_right(x: Any, count: Any) -> Any:
    """A shift that brings zeros in."""
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    return (x.view(unsigned) >> count.view(unsigned)).view(x.dtype)


def count_leading_zeros(x: Any) -> Any:
    """The number of zero bits above the highest one."""
    width = x.dtype.itemsize * 8
    left = x.view(np.dtype(f"u{x.dtype.itemsize}")).astype(np.uint64)
    length = np.zeros(x.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        big = left >= (1 << step)
        length += np.where(big, step, 0)
        left = np.where(big, left >> np.uint64(step), left)
    return width - length - (left > 0)


# --- Conversions ------------------------------------------------------------------------------------------------------


def through(source: dtype, kind: dtype) -> dtype | None:
    """The integer type that a float goes through on its way to `kind`, as PyTorch's code does on x86: what it cannot hold, and
    NaN, becomes its least number, of which a narrower type has the last bits. None for no such way.

    Through 64 bits go what has more than 31 and a byte without a sign: of a float32 beyond 2**31 its last bits are zeros
    anyhow.
    """
    if not source.is_floating_point or kind.category != dtypes.INTEGRAL or kind is dtypes.uint64:
        return None
    return dtypes.int64 if kind in (dtypes.int64, dtypes.uint32) or (kind is dtypes.uint8 and source.itemsize == 8) \
        else dtypes.int32


def converted(x: Any, *, dtype: dtype) -> Any:
    """x in another dtype: what a float that is too large for an integer becomes is said by `through`."""
    source = dtypes.from_numpy(x.dtype)
    wide = through(source, dtype)
    with np.errstate(all="ignore"):
        if wide is not None:
            least = dtypes.iinfo(wide).min
            wider = x.astype(np.float64)
            inside = np.abs(wider) < -float(least)
            return np.where(inside, np.where(inside, wider, 0).astype(np.int64), least).astype(dtype.numpy)
        if dtype is dtypes.uint64 and source.is_floating_point:
            return _saturated(x.astype(np.float64), dtype)
        if dtype is dtypes.boolean:
            return x != 0
        return x.astype(dtype.numpy)


def _saturated(x: Any, kind: dtype) -> Any:
    """As XLA converts a float: to the nearest number that there is, NaN to 0; numpy would leave it undefined."""
    info = dtypes.iinfo(kind)
    inside = np.clip(np.nan_to_num(x, nan=0.0, posinf=np.inf, neginf=-np.inf), float(info.min), float(info.max))
    result = np.where(inside >= float(info.max), 0, inside).astype(kind.numpy)
    return np.where(inside >= float(info.max), np.array(info.max, kind.numpy), result)
