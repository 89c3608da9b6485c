"""What a compiled step tells at each call: the lines of `debug.print`.

What they need leaves the program as outputs more, so they work on every device, with donation, and cost no callback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.source import describe, user_position
from ..ir.state import state
from ..tensor.context import context
from ..tensor.nested import leaves, map_structure
from ..tensor.tensor import Tensor


class Line:
    """A line to print: a format, and arguments of which the tensors are known only when the program has run."""

    def __init__(self, format: str, arguments: Any) -> None:
        self.format, self.arguments = format, arguments
        self.values: list[Value] = [x._read() for x in leaves(arguments) if isinstance(x, Tensor)]

    def tell(self, values: Sequence[Value]) -> None:
        """Print the line."""
        given = iter(values)
        args, kwargs = map_structure(self.arguments, lambda x, _: Tensor._of(next(given)) if isinstance(x, Tensor) else x)
        print(self.format.format(*args, **kwargs))


def debug_print(format: str, *args: Any, **kwargs: Any) -> None:
    """Print a line each time this place is passed, also in a compiled step, where `print` runs at the trace only.

    `format` is a format string for the arguments, of which any may be tensors, also inside containers. Lines come when
    the program has run, in the order of the calls. RuntimeError inside `vmap` and the bodies of control flow.

    >>> import flambeau as torch
    >>> @torch.jit
    ... def step(x):
    ...     torch.debug.print("sum {}", x.sum())
    ...     return x * 2
    >>> for k in (1.0, 2.0):
    ...     _ = step(torch.full((2,), k))
    sum 2.0
    sum 4.0
    """
    trace = context.trace
    inner = state.recorder is not None and not state.recorder.lazy if trace is None else state.recorder is not trace.recorder
    if inner:
        raise TraceError(f"debug.print at {describe(user_position())} is inside vmap or the body of cond, while_loop or scan, "
                         "where there is no one value to print. Return the tensor and print it outside.")
    line = Line(format, (args, kwargs))
    if trace is None:
        line.tell(line.values)
    else:
        trace.reports.append(line)
