"""Anomaly detection: https://pytorch.org/docs/stable/autograd.html#anomaly-detection

Every node knows the user's line, so nothing has to be noted in the forward pass. A backward walk is recorded as a whole,
run once, and its cotangents are looked at in the order of the walk.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import numpy as np

from ..ir.errors import TraceError
from ..ir.graph import Node, Value
from ..ir.recorder import thread_recorder
from ..ir.source import describe, user_position
from ..ir.state import state
from ..ir.told import tell
from ..lazy.flush import host_array, materialize
from ..tensor.context import context
from ..tensor.grad_fn import grad_fn_of

ENABLED = ("Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
           "debugging.")


class Anomaly:
    """What backward walks of this thread have computed and nobody has looked at yet."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan
        self._pending: list[tuple[Node, int, Value]] = []

    def note(self, node: Node, cotangents: Sequence[Value | None]) -> None:
        """The cotangents of a node's inputs; not those inside a graph under construction (of a loop, of `vmap`)."""
        recorder = thread_recorder()
        if context.trace is not None and recorder is context.trace.recorder and self.check_nan:
            raise TraceError(f"detect_anomaly looks at the values of gradients, and what jit traces has none (at "
                             f"{describe(user_position())}): call backward outside, or use jit(check_nan=True)")
        if not recorder.lazy or not self.check_nan:
            return
        self._pending += [(node, i, c) for i, c in enumerate(cotangents) if c is not None and c.type.dtype.is_inexact]

    def check(self) -> None:
        """Raise RuntimeError for the first NaN among what was noted."""
        pending, self._pending = self._pending, []
        materialize([c for _, _, c in pending], "anomaly detection")
        for node, i, cotangent in pending:
            if np.isnan(host_array(cotangent)).any():
                scope = f" in {node.scope}" if node.scope else ""
                name = grad_fn_of(node.output(0)).name()
                raise RuntimeError(f"Function '{name}' returned nan values in its {i}th output. It is the gradient of "
                                   f"{node.op.name} at {describe(node.where)}{scope}")


class set_detect_anomaly:
    """Turn anomaly detection on or off, at once and until the end of a `with` block.

    With `check_nan` a backward that computes NaN raises RuntimeError, which names the forward operation and its line.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = state.anomaly
        state.anomaly = Anomaly(check_nan) if mode else None

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        state.anomaly = self._before


class detect_anomaly(set_detect_anomaly):
    """In this block a backward that computes NaN raises RuntimeError, which names the forward operation and its line."""

    def __init__(self, check_nan: bool = True) -> None:
        tell(ENABLED)
        self._check_nan = check_nan
        self._before = state.anomaly

    def __enter__(self) -> None:
        super().__init__(True, self._check_nan)


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return state.anomaly is not None
