"""Which code ran: what no guard can see is told of code that a step called, not of all that it might have called."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Doubtful:
    """What code reads that no guard can see, each with the code that does so.

    Where code computes names (`getattr(callback, name)`) all methods of an object may be called, also those that never are.
    """

    def __init__(self, found: Mapping[str, types.CodeType]) -> None:
        self._found = found
        self._ran: set[types.CodeType] | None = set()  # None if nobody knows

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A block in which the function is traced; where it is profiled all is taken for run."""
        if not self._found or sys.getprofile() is not None:
            self._ran = None
            yield
            return
        ran = self._ran = set()

        def note(frame: types.FrameType, event: str, arg: Any) -> None:
            if event == "call":
                ran.add(frame.f_code)

        sys.setprofile(note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def read(self) -> list[str]:
        """What was read, or may have been."""
        return [what for what, code in self._found.items() if self._ran is None or code in self._ran]
