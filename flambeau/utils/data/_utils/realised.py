"""A dataset's tensors on their way through a fork: computed before it, and read in the child as host memory.

The child has the numpy engine: XLA's threads stay behind in the parent, and so do the threads that hold locks.
"""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from ....tracer.backend import NumpyBackend, install, started
from ....tracer.ir.errors import TraceError
from ....tracer.ir.graph import Value
from ....tracer.ir.recorder import thread_recorder
from ....tracer.lazy.flush import contents, materialize
from ....tracer.lazy.shared import SharedStorage
from ....tracer.tensor.tensor import Tensor

Realised = dict[Value, Any]
_LEAVES = (type, ModuleType, np.ndarray)
_kept: list[Any] = []  # buffers of an engine that this process must not touch, nor free


def realised(*roots: Any) -> Realised:
    """Host arrays of all tensors that can be reached from some objects; waits for all that was started."""
    values = [v for v in (_value(tensor) for tensor in tensors_in(roots)) if v is not None]
    materialize(values, "a DataLoader forks its workers")
    engine = started()
    if engine is not None:
        engine.wait()
    return {v: contents(v) for v in values}


def _value(tensor: Tensor) -> Value | None:
    storage = tensor._storage
    if isinstance(storage, SharedStorage):
        return None  # numpy's memory, which the child reads as it is
    try:
        return storage.read()
    except (RuntimeError, TraceError):  # lost, or of a trace: who reads it is told so
        return None


def tensors_in(roots: Any) -> list[Tensor]:
    """The tensors that can be reached from some objects, not through modules, classes and global names."""
    found: list[Tensor] = []
    seen: dict[int, Any] = {}
    stack = [roots]
    while stack:
        x = stack.pop()
        if id(x) in seen or isinstance(x, _LEAVES):
            continue
        seen[id(x)] = x
        if isinstance(x, Tensor):
            found.append(x)
        elif isinstance(x, FunctionType):
            stack += [x.__closure__, x.__defaults__, x.__kwdefaults__, x.__dict__]
        else:
            stack += filter(gc.is_tracked, gc.get_referents(x))
    return found


def start_clean(arrays: Realised | None) -> None:
    """In a worker, before anything else: the numpy engine, and of a fork host memory in the place of buffers."""
    install(NumpyBackend)
    if arrays is None:
        return
    gc.freeze()  # what the parent left to the collector is not this process's to free
    recorder = thread_recorder()
    recorder.nodes, recorder.storages, recorder.checks = [], [], []
    for value, array in arrays.items():
        _kept.append(value.buffer)
        value.buffer = array
