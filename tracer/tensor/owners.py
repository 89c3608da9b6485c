"""Who holds a value or a buffer: what nobody else holds may be replaced without anybody seeing it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..ir.dtypes import float32
from ..ir.graph import Value
from ..ir.types import Type

references = sys.getrefcount


def _sole_counts() -> tuple[int, int]:
    """The counts that are seen of a value and a buffer which nobody else holds, in lists of both; measured, not assumed."""
    class Cell:
        __slots__ = ("value",)

    value = Value(Type.of((), float32), "cpu", np.zeros(()))
    cell = Cell()
    cell.value = value  # type: ignore[attr-defined]
    del value
    values = [c.value for c in [cell]]  # type: ignore[attr-defined]
    buffers = [v.buffer for v in values]
    return max(map(references, values)), max(map(references, buffers))


SOLE_VALUE, SOLE_BUFFER = _sole_counts()
_kept = [object()]
IN_LIST = references(_kept[0])  # the count that is seen of what only a list holds, by its place


def claimed(value: Value) -> Value:
    """The value, which a storage is about to hold as its only one."""
    value.owned = True
    return value


def owned(type: Type, device: str, buffer: Any) -> Value:
    """A new value for a storage to hold."""
    return claimed(Value(type, device, buffer))
