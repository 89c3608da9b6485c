"""`torch.cuda.nvtx`: marks for NVIDIA's profiler, which are accepted: XLA marks its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_depth = [0]


def range_push(msg: str) -> int:
    """Begin a range; its depth."""
    _depth[0] += 1
    return _depth[0] - 1


def range_pop() -> int:
    """End a range; its depth."""
    _depth[0] = max(_depth[0] - 1, 0)
    return _depth[0]


def range_start(msg: str) -> int:
    """Begin a range that may end in another thread."""
    return 0


def range_end(range_id: int) -> None:
    """End such a range."""


def mark(msg: str) -> None:
    """A moment."""


@contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A block that is a range."""
    range_push(msg)
    try:
        yield
    finally:
        range_pop()


__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]
