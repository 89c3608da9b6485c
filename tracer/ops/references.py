"""What the arithmetic and bit instructions compute, in numpy, where numpy's own functions differ from XLA's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


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
