"""What is true of the current thread while a program is recorded. The only module-level mutable state of `tracer`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .anomaly import Anomaly
    from .graph import Node
    from .recorder import Recorder
    from .trace import Trace


class _ThreadState(threading.local):
    """Recorder, modes and source position of one thread.

    `recorder` takes the nodes; `trace` is the jit trace in progress, if any; `grad` the grad mode;
    `scope` the path of the module whose forward runs; `of` the forward node a backward rule is for; `anomaly` what looks
    for NaN in gradients, if it is on.
    """

    recorder: Recorder | None = None
    trace: Trace | None = None
    grad: bool = True
    scope: str = ""
    of: Node | None = None
    anomaly: Anomaly | None = None


state = _ThreadState()
