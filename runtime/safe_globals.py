"""What a pickle may name besides torch's own: classes and functions that the user vouches for.

Source: https://pytorch.org/docs/stable/notes/serialization.html#weights-only
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_vouched: list[Any] = []  # of the process: what users added, as they gave it


def _name(entry: Any) -> str:
    """The name in a file: the object's own, or the one given with it."""
    return str(entry[1]) if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__name__}"


def vouched() -> dict[str, Any]:
    """What users added, by name."""
    return {_name(entry): entry[0] if isinstance(entry, tuple) else entry for entry in _vouched}


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Let `torch.load` make these: classes and functions that a file names and that are trusted to run.

    Args: `safe_globals`, classes and functions, or pairs of one and the name that it has in files.
    Raises TypeError for a pair that is none.

    >>> from fractions import Fraction
    >>> from flambeau.serialization import add_safe_globals, clear_safe_globals, get_safe_globals
    >>> add_safe_globals([Fraction])
    >>> get_safe_globals()
    [<class 'fractions.Fraction'>]
    >>> clear_safe_globals()

    Source: https://pytorch.org/docs/stable/notes/serialization.html#torch.serialization.add_safe_globals
    """
    added = list(safe_globals)
    for entry in added:
        if isinstance(entry, tuple) and (len(entry) != 2 or not isinstance(entry[1], str)):
            raise TypeError(f"add_safe_globals requires classes and functions, or pairs of one and its name, got {entry!r}")
    _vouched.extend(entry for entry in added if entry not in _vouched)


def get_safe_globals() -> list[Any]:
    """What was added, as it was given."""
    return list(_vouched)


def clear_safe_globals() -> None:
    """Take back all that was added."""
    _vouched.clear()


class safe_globals:
    """In this block `torch.load` makes these too.

    >>> from fractions import Fraction
    >>> from flambeau.serialization import get_safe_globals, safe_globals
    >>> with safe_globals([Fraction]):
    ...     len(get_safe_globals())
    1
    >>> get_safe_globals()
    []
    """

    def __init__(self, safe_globals: Iterable[Any]) -> None:
        self._added = list(safe_globals)
        self._before: list[Any] = []

    def __enter__(self) -> None:
        self._before = get_safe_globals()
        add_safe_globals(self._added)

    def __exit__(self, *error: object) -> None:
        _vouched[:] = self._before
