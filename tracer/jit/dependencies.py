"""What a trace depends on beside its arguments, as it is told: guards, numbers that are read at each call, modules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from ..guards.owners import ModuleTable, OptionsTable, Owner, RegisteredTable, StateTable, module_owners
from ..ir.errors import NeededFirst
from ..ir.source import describe, user_position
from ..ir.state import Ambient
from ..tensor.appended import Noting
from ..tensor.scalar import Host, Scalar, Source
from .guard import Guard


class Dependencies:
    """The part of a trace that is told what it depends on. Abstract."""

    def __init__(self) -> None:
        self.host = Host()  # what is computed with numbers
        self.scalars: dict[tuple[int, str], Scalar] = {}  # hyperparameters
        self.guards: list[Guard] = []
        self.counted: dict[tuple[int, Any], tuple[Owner, Scalar]] = {}  # places outside where scalars stand in for numbers
        self.lists: dict[tuple[int, Any], tuple[Owner, Any, Noting]] = {}  # places of lists, with what stands for these
        self.appended: dict[tuple[int, Any], tuple[Owner, int]] = {}  # those of them that nobody reads, with the ids of the lists
        self.nested: dict[tuple[int, Any], dict[tuple[Any, ...], Scalar]] = {}  # the same in containers there, by path
        self.inside: dict[int, dict[str, Any]] = {}  # attributes of modules that were made in the trace
        self.own_hooks: dict[int, dict[int, Any]] = {}  # tables of hooks of values of the trace
        self.noted: dict[int, Owner] = {}  # what makes modules what they are, as it was before the trace changed it
        self.options: dict[int, OptionsTable] = {}  # of groups of parameters, as they were before the first was set
        self.adopted: list[tuple[dict[Any, Any], Any, Any]] = []  # what optimizers made for real: table, key and value
        self.ambient: list[tuple[Ambient, Any]] = []  # settings that the function changed, and to what
        self.modules: dict[Any, None] = {}
        self.called: dict[Any, None] = {}
        self.unknown: Collection[int] = ()  # hooks that nobody looked at before the trace, by id
        self.know_hooks: Callable[[], None] = lambda: None  # lets that be done the next time

    # --- Attributes of modules ----------------------------------------------------------------------------------------

    def note_made(self, table: dict[str, Any]) -> None:
        """A module with these attributes is made in the trace: what becomes of them means nothing outside."""
        self.inside[id(table)] = table

    def note_change(self, module: Any, table: dict[str, Any] | None = None, name: str = "") -> None:
        """A module is about to change, in `table[name]` if that is told."""
        own = module.__dict__
        if self.is_made(module):
            return
        if id(own) not in self.noted:
            for owner in module_owners(own, f"{type(module).__name__}.{{}}".format):
                self.noted.setdefault(owner.identity, owner)
        self.modules[module] = None
        noted = self.noted[id(own if table is None else table)]
        if table is not None and isinstance(noted, ModuleTable):
            noted.keys_set.add(name)

    def note_hooks(self, table: dict[int, Any]) -> None:
        """A table of hooks is about to change; unless it is of a module or a value that the trace made, what it was is kept."""
        if id(table) in self.own_hooks:
            return
        made = (hooks.tables.values() for own in self.inside.values() if (hooks := own.get("_hooks")) is not None)
        if id(table) not in self.noted and not any(table is x for tables in made for x in tables):
            self.noted[id(table)] = RegisteredTable(table, "hooks[{}]".format)

    def note_own_hooks(self, table: dict[int, Any]) -> None:
        """A table of hooks is that of a value of the trace: it means nothing outside."""
        self.own_hooks[id(table)] = table

    def is_made(self, module: Any) -> bool:
        """Whether the trace made this module."""
        return id(module.__dict__) in self.inside

    # --- Options of groups of parameters ------------------------------------------------------------------------------

    def note_option(self, group: dict[str, Any], key: str) -> None:
        """`group[key]`, an option of a group of parameters, is about to be set or taken out."""
        if id(group) not in self.options:
            self.options[id(group)] = OptionsTable(group, lambda key: f"param_groups[...][{key!r}]")
        self.options[id(group)].keys_set.add(key)

    def options_set(self, group: dict[str, Any]) -> Collection[str]:
        """The options of a group that the trace itself has set."""
        table = self.options.get(id(group))
        return () if table is None else table.keys_set

    # --- State of optimizers ------------------------------------------------------------------------------------------

    def adopt(self, table: dict[Any, Any], keys: Iterable[Any]) -> None:
        """What a dictionary of an optimizer holds under these keys was made for real in the trace."""
        self.adopted += [(table, key, dict.__getitem__(table, key)) for key in keys]
        if hasattr(type(table), "_structural"):
            self.noted.setdefault(id(table), StateTable(table, "state[...][{}]".format))

    # --- Numbers and guards -------------------------------------------------------------------------------------------

    def hyper(self, group: dict[str, Any], key: str) -> Scalar:
        """An optimizer's hyperparameter as a number that is read at every call."""
        slot = (id(group), key)
        found = self.scalars.get(slot)
        if found is None:
            source = Source(key, read=lambda: group[key])
            found = self.scalars[slot] = self.host.source(source, group[key])
        return found

    def guard_item(self, group: dict[str, Any], key: str, value: Any) -> None:
        """The trace depends on `group[key]`."""
        self.guards.append(Guard(f"param_groups[...][{key!r}]", lambda: group[key], value, self.position()))

    def guard(self, name: str, read: Callable[[], Any]) -> Any:
        """What `read()` gives; the trace depends on it."""
        value = read()
        if all(guard.name != name for guard in self.guards):
            self.guards.append(Guard(name, read, value, self.position()))
        return value

    def follow(self, function: Any) -> None:
        """A function of the user's that no code mentions, such as a hook, is called in this trace."""
        if id(function) in self.unknown:
            raise NeededFirst(self.know_hooks)
        self.called[function] = None

    def saw(self, module: Any) -> None:
        """A module's forward ran in this trace."""
        self.modules[module] = None

    def position(self) -> str:
        """Where in the user's code the trace is now."""
        return describe(user_position(2))
