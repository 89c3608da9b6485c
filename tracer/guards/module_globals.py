"""What the functions of one Python module do with its globals: read, call, set, or put things in."""

from __future__ import annotations

import types
from typing import Any

from .identity import MISSING
from .mentions import Mentions
from .statics import home_of, is_a
from .tables import CONTAINERS, Table


class ModuleGlobals:
    """A table of globals, `names` of it that code reads, and which names code calls, holds, and sets."""

    def __init__(self, table: dict[str, Any]) -> None:
        module = table.get("__name__")
        self.table = table
        self.names = Table(table, lambda n: f"{n} (global of {module})")
        self.called: set[str] = set()
        self.held: set[str] = set()
        self.stored: set[str] = set()
        self._grown: set[str] = set()  # containers that some code does nothing with but put things in

    @property
    def only_called(self) -> set[str]:
        """The names that code does nothing with but call."""
        return self.called - self.held

    def note(self, found: Mentions) -> tuple[set[str], set[str], set[str]]:
        """Add what another function mentions. Gives what it reads, what it only puts things in, and what of that is read after
        all, since a function binds the name to another container.
        """
        self.called |= found.called
        self.held |= found.globals - found.called
        self.stored |= found.stored
        grown = {n for n in found.globals if only_grown(n, self.table.get(n), found)}
        self._grown |= grown
        anew = self._grown & self.stored
        return set(found.globals - grown) | anew, grown - self.stored, anew


def only_grown(name: str, value: Any, found: Mentions) -> bool:
    """Whether code only puts things in this container: what is in it, and which one it is, means nothing to a trace."""
    return name in found.grown and is_a(value, CONTAINERS)


def put_into_builtins(name: str, builtins: dict[str, Any]) -> bool:
    """Whether what a name means in `builtins` is not Python's: somebody has put it there, or may do so."""
    value = builtins.get(name, MISSING)
    return not (is_a(value, (types.BuiltinFunctionType, type(NotImplemented), type(Ellipsis))) or name.startswith("__")
                or (is_a(value, type) and home_of(value) == "builtins"))
