"""What an optimizer needs of the tracer: hyperparameters that are read at call time, and state made before the trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .state import state


def hyper(group: dict[str, Any], key: str) -> Any:
    """`group[key]`, as a number that a compiled step reads anew at every call.

    Outside a trace it is the number itself; inside it is a `Scalar` (float64), so a scheduler causes no recompile.
    Bools, None, strings and tensors are returned as they are.
    """
    number = group[key]
    if state.trace is None or isinstance(number, bool) or not isinstance(number, (int, float)):
        return number
    return state.trace.hyper(group, key)


@contextmanager
def outside_trace() -> Iterator[None]:
    """In this block tensors are made for real, even while a step is being traced.

    State that an optimizer creates in its first step is made so: it exists before the step runs, and the first step
    is compiled just as all others.
    """
    trace, recorder, grad = state.trace, state.recorder, state.grad
    state.trace, state.grad = None, False
    if trace is not None:
        state.recorder = trace.outer
    try:
        yield
    finally:
        state.trace, state.recorder, state.grad = trace, recorder, grad
