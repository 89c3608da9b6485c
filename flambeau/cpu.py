"""`torch.cpu`: the device that is always there. https://pytorch.org/docs/stable/cpu.html"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .lazy_report import synchronize as _synchronize


def is_available() -> bool:
    """True."""
    return True


def device_count() -> int:
    """One, with all cores."""
    return 1


def current_device() -> str:
    """Its name."""
    return "cpu"


def set_device(device: Any) -> None:
    """Accepted: there is one."""


def synchronize(device: Any = None) -> None:
    """Wait until everything is computed."""
    _synchronize()


class Stream:
    """The one stream."""

    def __init__(self, priority: int = -1) -> None:
        pass

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for."""

    def synchronize(self) -> None:
        """Wait until everything is computed."""
        _synchronize()


def current_stream(device: Any = None) -> Stream:
    """The one stream."""
    return Stream()


@contextmanager
def stream(stream: Any) -> Iterator[None]:
    """A block on it."""
    yield


__all__ = ["Stream", "current_device", "current_stream", "device_count", "is_available", "set_device", "stream", "synchronize"]
