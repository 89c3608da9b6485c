"""Warnings at the user's line."""

from __future__ import annotations

import warnings
from typing import Any

from .source import file_and_line, user_position

_registries: dict[str, dict[Any, Any]] = {}  # by file, as each of Python's modules has one: once for each line


def tell(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside the package; Python's filters decide about it as about any other warning."""
    file, line = file_and_line(user_position(2))
    warnings.warn_explicit(message, category, file, line, registry=_registries.setdefault(file, {}))


def tell_of_successor(name: str, successor: str) -> None:
    """torch's warning for a name that it keeps for old code."""
    tell(f"{name} is deprecated in favor of {successor} and will be removed in a future PyTorch release.")
