"""What is true of the current thread while a program is recorded. The only module-level mutable state of `tracer`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from weakref import WeakKeyDictionary

    from .anomaly import Anomaly
    from .batching import Map
    from .dtypes import dtype
    from .graph import Node, Value
    from .recorder import Recorder
    from .region import Region
    from .storage import Storage
    from .trace import Trace


class Watcher(Protocol):
    """Told of every operation after it was recorded."""

    def __call__(self, node: Node, outputs: Sequence[Value]) -> None:
        """`node` was recorded, and gave `outputs`."""


class _ThreadState(threading.local):
    """Recorder, modes and source position of one thread.

    `recorder` takes the nodes; `trace` is the jit trace in progress, if any; `region` the body of control flow that is
    being recorded, if any; `grad` the grad mode; `autocast` the (kind of device, dtype) pairs for which autocast is on,
    `autocast_dtypes` what it defaults to; `scope` the path of the module whose forward runs; `of` the forward node a
    backward rule is for; `maps` the vmaps in progress, outermost first; `bodies`, for each transform in progress, the
    storages that its body wrote with what they held before (None for those it made); `in_body` is set where `region`,
    `maps` or `bodies` may be, so that elsewhere one look does for all three; `anomaly` what looks for NaN in gradients,
    if it is on.
    """

    recorder: Recorder | None = None
    trace: Trace | None = None
    region: Region | None = None
    grad: bool = True
    autocast: tuple[tuple[str, dtype], ...] = ()
    autocast_dtypes: Mapping[str, dtype] = MappingProxyType({})
    scope: str = ""
    of: Node | None = None
    maps: tuple[Map, ...] = ()
    bodies: tuple[WeakKeyDictionary[Storage, Value | None], ...] = ()
    in_body: bool = False
    anomaly: Anomaly | None = None


class _Everywhere:
    """What is true in all threads: `debug` is called after each operation; `autocast` was on somewhere, once."""

    debug: Watcher | None = None
    autocast = False


state = _ThreadState()
everywhere = _Everywhere()
