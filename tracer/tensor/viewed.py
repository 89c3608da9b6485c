"""What is seen through the steps of a view: its type, and its value."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.graph import Value
from ..ir.recorder import recording
from ..ir.types import Type
from .context import context
from .steps import Reshape, Slice, Step

COPIED = 1 << 12  # bytes of a view that are read as a copy where the memory is at hand, without an operation
_COPIABLE = frozenset((Slice, Reshape))
REMEMBERED = 4096  # types of views: there are as many slices as a data set has samples
view_types: dict[tuple[Step, Any], Any] = {}


def viewed_type(step: Step, base: Any) -> Any:
    """The type a step gives: what the step says, or what is found by recording it on a stand-in."""
    known = view_types.get((step, base))
    if known is not None:
        return known
    shape = step.shape_of(base.shape)
    if shape is None:
        found = view_types[step, base] = _probe(step, base)
        return found
    found = Type.of(shape, base.dtype)
    if len(view_types) < REMEMBERED:
        view_types[step, base] = found
    return found


def _probe(step: Step, base: Any) -> Any:
    with recording():
        return step.read(Value(base, "cpu")).type


def read_through(steps: tuple[Step, ...], value: Value, kind: Any) -> Value:
    """The value of a view of this type: a small one of host memory is copied, any other is recorded."""
    array = value.buffer
    if (isinstance(array, np.ndarray) and kind.nbytes <= COPIED and not value.requires_grad and value.device == "cpu"
            and context.trace is None and not context.in_body and _COPIABLE.issuperset(map(type, steps))):
        return Value(kind, "cpu", _copied(array, steps))
    for step in steps:
        value = step.read(value)
    return value


def _copied(array: Any, steps: tuple[Any, ...]) -> Any:
    """The elements of a view of a host array, which later writes do not change."""
    for step in steps:
        array = array.reshape(step.shape) if type(step) is Reshape else array[step.slices()]
    return array.copy()
