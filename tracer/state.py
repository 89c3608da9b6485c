"""What is true of the current thread while a program is recorded. The only module-level mutable state of `tracer`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weakref import WeakKeyDictionary

    from .batching import Map
    from .graph import Node, Value
    from .recorder import Recorder
    from .region import Region
    from .storage import Storage
    from .trace import Trace


class _ThreadState(threading.local):
    """Recorder, modes and source position of one thread.

    `recorder` takes the nodes; `trace` is the jit trace in progress, if any; `region` the body of control flow that is
    being recorded, if any; `grad` the grad mode; `scope` the path of the module whose forward runs; `of` the forward node
    a backward rule is for; `maps` the vmaps in progress, outermost first; `bodies`, for each transform in progress, the
    storages that its body wrote with what they held before (None for those it made).
    """

    recorder: Recorder | None = None
    trace: Trace | None = None
    region: Region | None = None
    grad: bool = True
    scope: str = ""
    of: Node | None = None
    maps: tuple[Map, ...] = ()
    bodies: tuple[WeakKeyDictionary[Storage, Value | None], ...] = ()


state = _ThreadState()
