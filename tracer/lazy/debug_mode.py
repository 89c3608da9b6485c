"""Debug mode, in which each operation outside jit runs at once when it is recorded.

So an error, or a NaN, shows at the line that makes it, and a clock around a line tells what that line costs. The
results are those of lazy mode to rounding, since nothing is fused; everything is slower.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType

import numpy as np

from ..ir.graph import Node, Value
from ..ir.recorder import thread_recorder
from ..ir.source import describe
from ..ir.state import Watcher, everywhere
from ..tensor.context import context
from .flush import UNREPORTED, flush, host_array


class _AtOnce(Watcher):
    """What is called after each operation; with `nans`, it refuses the first NaN."""

    def __init__(self, nans: bool) -> None:
        self.nans = nans

    def __call__(self, node: Node, outputs: Sequence[Value]) -> None:
        recorder = thread_recorder()
        if not recorder.lazy or context.trace is not None:
            return  # recorded for jit or a transform: there is nothing to run yet
        inputs = node.inputs  # before the node, done, lets go of them
        try:
            flush(outputs, UNREPORTED)
        except BaseException:
            recorder.nodes = [n for n in recorder.nodes if n is not node]  # it would fail again at every line
            raise
        if self.nans and any(map(_has_nan, outputs)) and not any(map(_has_nan, inputs)):
            raise FloatingPointError(f"{node.op.name} at {describe(node.where)} gave a NaN; none of its inputs has one")


def _has_nan(value: Value) -> bool:
    return value.type.dtype.is_inexact and bool(np.isnan(host_array(value)).any())


class debug_mode:
    """Run each operation outside jit as it is called, in all threads; at once, and until the end of a `with` block.

    Args: `enabled`, False for what is usual; `nans=True` raises FloatingPointError at the first operation that gives a
    NaN out of inputs without one. `FLAMBEAU_DEBUG=1` in the environment starts with it on, `FLAMBEAU_DEBUG=nan` with
    `nans` too. Compilations in this mode do not appear in `report()`.

    >>> import flambeau as torch
    >>> with torch.debug_mode(nans=True):
    ...     torch.tensor([1.0, -1.0]).log()
    Traceback (most recent call last):
    FloatingPointError: log at <doctest flambeau.tracer.lazy.debug_mode.debug_mode[1]>:2 gave a NaN; none of its inputs has one
    """

    def __init__(self, enabled: bool = True, *, nans: bool = False) -> None:
        self._before = everywhere.debug
        everywhere.debug = _AtOnce(nans) if enabled else None

    def __enter__(self) -> None:
        """The mode is on, or off, already."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        everywhere.debug = self._before


if (_asked := os.environ.get("FLAMBEAU_DEBUG", "0")) not in ("", "0"):
    debug_mode(nans=_asked == "nan")
