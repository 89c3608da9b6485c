"""`torch.profiler.itt`: marks for Intel's profiler, which are accepted: it sees what XLA runs, without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def is_available() -> bool:
    """False: nobody is told of marks."""
    return False


def range_push(msg: str) -> None:
    """Begin a range: accepted."""


def range_pop() -> None:
    """End a range: accepted."""


def mark(msg: str) -> None:
    """A moment: accepted."""


@contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A block that is a range, whose name is made by `msg.format(*args, **kwargs)`."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()


__all__ = ["is_available", "mark", "range", "range_pop", "range_push"]
