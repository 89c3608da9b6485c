"""`torch.cpu`: the device that is always there. https://pytorch.org/docs/stable/cpu.html"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ..lazy_report import synchronize as _synchronize
from . import amp as amp


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


class Event:
    """A moment on the host: all that was started before is computed then."""

    def record(self, stream: Any = None) -> None:
        """Wait for what was started."""
        _synchronize()

    def query(self) -> bool:
        """True: recording waited."""
        return True

    def synchronize(self) -> None:
        """Nothing to wait for: recording waited."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for: recording waited."""


class Stream:
    """The one stream."""

    def __init__(self, priority: int = -1) -> None:
        pass

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for: there is one."""

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for: there is one stream."""

    def record_event(self, event: Event | None = None) -> Event:
        """An event that is recorded now."""
        event = event or Event()
        event.record()
        return event

    def synchronize(self) -> None:
        """Wait until everything is computed."""
        _synchronize()


def current_stream(device: Any = None) -> Stream:
    """The one stream."""
    return Stream()


class StreamContext(nullcontext[None]):
    """A block on a stream: there is one."""

    def __init__(self, stream: Any) -> None:
        super().__init__()


@contextmanager
def stream(stream: Any) -> Iterator[None]:
    """A block on it."""
    yield


def is_initialized() -> bool:
    """True."""
    return True


def get_capabilities() -> dict[str, Any]:
    """What kind of processor it is."""
    return {"architecture": platform.machine()}


__all__ = ["Event", "Stream", "StreamContext", "amp", "current_device", "current_stream", "device_count", "get_capabilities",
           "is_available", "is_initialized", "set_device", "stream", "synchronize"]
