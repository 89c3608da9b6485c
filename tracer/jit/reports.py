"""What a compiled step tells at each call: the lines of `debug.print`, and where the first NaN came from.

What they need leaves the program as outputs more, so they work on every device, with donation, and cost no callback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..ir.errors import NanError, TraceError
from ..ir.graph import Node, Value
from ..ir.recorder import record
from ..ir.source import describe, user_position
from ..ir.state import state
from ..lazy.flush import host_array
from ..ops.elementwise import compare, imag, is_finite, not_, or_, real, select
from ..ops.reduction import reduce_or
from ..ops.structural import broadcast, concatenate, reshape
from ..tensor.context import context
from ..tensor.nested import leaves, map_structure
from ..tensor.tensor import Tensor


class Report(Protocol):
    """Something that is told after each run."""

    values: list[Value]

    def tell(self, values: Sequence[Value]) -> None:
        """Use what `values` came to be in the run."""


# --- debug.print ------------------------------------------------------------------------------------------------------


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


# --- check_nan --------------------------------------------------------------------------------------------------------


class NanCheck:
    """Flags for every input and node of a traced program: whether its values are finite, and whether there is a NaN."""

    def __init__(self, inputs: Mapping[Value, str], nodes: Iterable[Node]) -> None:
        origins: list[tuple[Value, str | Node]] = [*inputs.items()]
        origins += [(v, node) for node in nodes if not node.op.exact for v in node.outputs]  # exact ones only move data
        flagged = [(v, origin) for v, origin in origins if v.type.dtype.is_inexact and v.type.size]
        self.origins = [origin for _, origin in flagged]
        values = [v for v, _ in flagged]
        self.values: list[Value] = [_joined(_has_nan, values), _joined(_has_infinity, values)] if values else []

    def kept(self, before: Sequence[Value], after: Sequence[Value]) -> list[Value]:
        """`after`, or `before` if there was a NaN: a step that fails leaves its state as it was."""
        if not self.values:
            return list(after)
        bad = reduce_or(self.values[0], axes=(0,))
        return [select(broadcast(bad, shape=x.type.shape, dims=()), x, y) if x.type is y.type else y
                for x, y in zip(before, after)]

    def tell(self, values: Sequence[Value]) -> None:
        """Raise NanError that names the first NaN, if there is one."""
        if not values:
            return
        nan, infinite = (np.asarray(host_array(v)) for v in values)
        if not nan.any():
            return
        first = int(nan.argmax())
        text = f"{_described(self.origins[first])} {'holds' if isinstance(self.origins[first], str) else 'gave'} the first NaN"
        if infinite[:first].any():
            text += f"; before it, the first infinity came from {_described(self.origins[int(infinite.argmax())])}"
        raise NanError(f"{text}. State was left as it was before the call.")


def _described(origin: str | Node) -> str:
    if isinstance(origin, str):
        return f"the input {origin}"
    scope = f" in {origin.scope}" if origin.scope else ""
    backward = f"the backward of {origin.of.op.name}: " if origin.of is not None else ""
    return f"{backward}{origin.op.name} at {describe(origin.where)}{scope}"


def _joined(flag: Callable[[Value], Value], values: Sequence[Value]) -> Value:
    """One flag per value, where the first of them is: numbers among them are on no device."""
    flags = [reshape(_any(flag(v)), shape=(1,)) for v in values]
    return record(concatenate, tuple(flags), {"axis": 0}, flags[0].device).output(0)


def _any(flags: Value) -> Value:
    return reduce_or(flags, axes=tuple(range(flags.type.ndim))) if flags.type.ndim else flags


def _has_nan(x: Value) -> Value:
    return compare(x, x, direction="NE")


def _has_infinity(x: Value) -> Value:
    if x.type.dtype.is_complex:
        return or_(_has_infinity(real(x)), _has_infinity(imag(x)))
    return not_(or_(is_finite(x), _has_nan(x)))
