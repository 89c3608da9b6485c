"""A guard: one thing outside the arguments that a trace depended on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..guards.identity import interchangeable
from ..guards.places import Where


@dataclass(frozen=True)
class Guard:
    """Something outside the arguments that the trace depended on: the trace holds while `read()` equals `value`."""

    name: str
    read: Callable[[], Any]
    value: Any
    where: str
    place: Where | None = None

    def holds(self) -> bool:
        """Whether the value is still the one traced with."""
        try:
            now = self.read()
        except Exception:
            return False
        return interchangeable(now, self.value)
