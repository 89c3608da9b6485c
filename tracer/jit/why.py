"""What a jitted function tells of its traces: their reasons, and warnings about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MANY = 8  # traces for one and the same reason, after which a warning says so


class RetraceWarning(UserWarning):
    """A traced function depends on something that it should take as an argument."""


@dataclass(frozen=True)
class Retrace:
    """Why a trace was made: `changes` are (path or name, old, new)."""

    reason: str
    changes: tuple[tuple[str, Any, Any], ...]
    where: str
    seconds: float


class Why(list[Retrace]):
    """A list of traces that prints as text."""

    def __str__(self) -> str:
        lines = []
        for i, trace in enumerate(self, 1):
            changes = "; ".join(f"{name}: {old!r} -> {new!r}" for name, old, new in trace.changes)
            lines.append(f"{i}. {trace.reason}{' (' + changes + ')' if changes else ''} at {trace.where}, "
                         f"{trace.seconds:.2f} s")
        return "\n".join(lines)

    __repr__ = __str__
