"""Operations that numpy does at once: where a data set makes its samples, a graph of each would cost more than the sample.

PyTorch's samples are made so, too. Whatever numpy would do slowly, or what a gradient flows through, is recorded as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from ..backend import backend
from ..ir.graph import Value
from ..ir.op import Op
from ..ir.recorder import result_types
from ..ir.state import everywhere, state
from ..ir.types import Type
from ..ops.structural import constant, reshape, reverse, slice_, transpose
from ..tensor.packs import PackedSlice
from .flush import contents

SMALL, LIGHT = 1 << 12, 1 << 18  # elements of the operands up to which any operation is done here, and up to which a light one is
_PARTS = frozenset({slice_, reshape, transpose, reverse})  # numpy reads of the operand no more than they give


@contextmanager
def at_once() -> Iterator[None]:
    """What this thread does in this block with tensors in the host's memory is done when it is called."""
    before = state.at_once
    state.at_once = True
    _blocks.append(None)
    everywhere.at_once = done_at_once
    try:
        yield
    finally:
        state.at_once = before
        _blocks.pop()
        if not _blocks:
            everywhere.at_once = None
            if _blocks:  # another thread has entered one between these two lines
                everywhere.at_once = done_at_once


_blocks: list[None] = []  # one for each such block that some thread is in


def done_at_once(op: Op, inputs: tuple[Value, ...], params: dict[str, Any], device: str | None) -> Any:
    """What an operation gives, as `Op.__call__` does; None where it must be recorded."""
    recorder = state.recorder
    if not state.at_once or everywhere.debug is not None or (recorder is not None and not recorder.lazy):
        return None
    if not inputs:
        return _filled(**params) if op is constant and device == "cpu" else None
    arrays, size = [], 0
    for value in inputs:
        array = value.buffer
        if value.device != "cpu" or (value.requires_grad and state.grad):
            return None
        if not isinstance(array, np.ndarray):
            if array is None or type(array) is PackedSlice or not backend().ready(array):
                return None  # as ever, without waiting
            array = contents(value)
        arrays.append(array)
        size += value.type.size
    types = result_types(op, inputs, params)
    if op in _PARTS:
        size = types[0].size
    if size > (LIGHT if op.light else SMALL):
        return None
    results = op.reference(*arrays, **params)
    if op.multiple or len(types) > 1:
        return tuple(_value(kind, array, arrays) for kind, array in zip(types, results))
    return _value(types[0], results, arrays)


def _value(kind: Type, array: Any, operands: list[Any]) -> Value:
    """The value with that content, in memory that nothing else writes to."""
    if type(array) is not np.ndarray or array.base is not None or any(array is x for x in operands):
        array = np.array(array)
    return Value(kind, "cpu", array)


def _filled(value: str, shape: tuple[int, ...], dtype: Any) -> Value | None:
    kind = Type.of(shape, dtype)
    if kind.size > LIGHT:
        return None
    array = _constant(value, kind).copy() if kind.size <= SMALL else _constant.__wrapped__(value, kind)
    return Value(kind, "cpu", array)


@lru_cache(maxsize=256)
def _constant(value: str, kind: Type) -> Any:
    return constant.reference(value=value, shape=kind.shape, dtype=kind.dtype)
