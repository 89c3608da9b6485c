"""Ctrl-C, put off while it would leave state half old and half new."""

from __future__ import annotations

import _signal
import signal
import threading
from typing import Any

_SIGINT = int(signal.SIGINT)
_MAIN_THREAD = threading.main_thread().ident


class Uninterrupted:
    """Puts Ctrl-C off while buffers are donated and rebound, so that state is never half old, half new.

    Goes to `_signal` itself: the `signal` module converts enums for microseconds at each call.
    """

    __slots__ = ("_before", "_pending")

    def __enter__(self) -> None:
        self._before = _signal.getsignal(_SIGINT) if threading.get_ident() == _MAIN_THREAD else None
        if callable(self._before):
            self._pending: Any = None
            _signal.signal(_SIGINT, self._note)

    def _note(self, number: int, frame: Any) -> None:
        self._pending = (number, frame)

    def __exit__(self, *error: Any) -> None:
        before = self._before
        if callable(before):
            _signal.signal(_SIGINT, before)
            if self._pending is not None:
                before(*self._pending)
