"""Checks: conditions on values that a program looks at while it runs, and the errors that are raised for them.

A check leaves the program as a report (`ops/checks.py`) beside the results. What its numbers mean is kept here, outside
the graph, so that messages and lines are no part of any key.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .graph import Value
from .recorder import thread_recorder
from .source import Position, describe, user_position
from .state import state


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A place where a check stands: what is raised when it fails.

    `message` is torch's text, `detail` what is said beside it; in both `{value}` stands for the offending number, which
    is the bits of a float32 if it is `real`.
    """

    error: type[Exception]
    message: str
    op: str
    detail: str
    where: Position
    scope: str
    real: bool = False

    def failure(self, number: int, note: str = "") -> Exception:
        """The error for this number, raised later than its line: it says where that was."""
        value = self._value(number)
        return self.error(f"{self.message.format(value=value)} [{self._told(value)}{note}]")

    def failure_here(self, number: int) -> Exception:
        """The error at its line: torch's text, with the rest as a note."""
        value = self._value(number)
        error = self.error(self.message.format(value=value))
        error.add_note(self._told(value))
        return error

    def _value(self, number: int) -> float:
        found: float = struct.unpack("<f", struct.pack("<i", number))[0] if self.real else number
        return found

    def _told(self, value: float) -> str:
        scope = f" in {self.scope}" if self.scope else ""
        detail = f": {self.detail.format(value=value)}" if self.detail else ""
        return f"{self.op} at {describe(self.where)}{scope}{detail}"


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """A report in the program and, in the order of its codes, the sites that it speaks of."""

    report: Value
    sites: tuple[Site, ...]


def here(error: type[Exception], message: str, op: str, detail: str = "", real: bool = False) -> Site:
    """A site at the user's present line."""
    return Site(error, message, op, detail, user_position(2), state.scope, real)


def note(check: Check) -> None:
    """Make a check part of what this thread is recording."""
    (state.recorder or thread_recorder()).checks.append(check)
