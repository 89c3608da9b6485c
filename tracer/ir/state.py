"""What is true of the current thread while nodes are recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from .graph import Node, Value
    from .op import Op
    from .recorder import Recorder


class Watcher(Protocol):
    """Told of every operation after it was recorded."""

    def __call__(self, node: Node, outputs: Sequence[Value]) -> None:
        """`node` was recorded, and gave `outputs`."""


class AnomalyCheck(Protocol):
    """Told of what backward walks compute, while anomaly detection is on."""

    def note(self, node: Node, cotangents: Sequence[Value | None]) -> None:
        """The cotangents of a node's inputs."""

    def check(self) -> None:
        """Raise for the first NaN among what was noted."""


class _ThreadState(threading.local):
    """Recorder, modes and source position of one thread.

    `recorder` takes the nodes; `at_once` says that what numpy can do at once is not recorded; `grad` is the grad mode; `scope`
    the path of the module whose forward runs; `of` the forward node a backward rule is for; `anomaly` what looks for NaN in
    gradients, if it is on; `checks` says whether conditions on values are made part of what is recorded; `stands_for` tells, of
    the operands on which a jitted forward is recorded again for its gradient, which values outside they are.
    """

    recorder: Recorder | None = None
    at_once: bool = False
    grad: bool = True
    scope: str = ""
    of: Node | None = None
    anomaly: AnomalyCheck | None = None
    checks: bool = True
    stands_for: Mapping[Value, Value] = MappingProxyType({})


class Eager(Protocol):
    """Asked before an operation is recorded."""

    def __call__(self, op: Op, inputs: tuple[Value, ...], params: dict[str, Any], device: str | None) -> Any:
        """What the operation gives; None if it must be recorded."""


class _Everywhere:
    """What is true in all threads: `debug` is called after each operation, `at_once` asked before."""

    debug: Watcher | None = None
    at_once: Eager | None = None


class Ambient(NamedTuple):
    """A setting that code may change for all that comes after, by name: how to look at it, and how to set it."""

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], None]


state = _ThreadState()
everywhere = _Everywhere()
# What a step that sets one of them sets at each call; each is added where it is defined.
ambients = [Ambient("the grad mode", lambda: state.grad, partial(setattr, state, "grad")),
            Ambient("anomaly detection", lambda: state.anomaly, partial(setattr, state, "anomaly"))]
