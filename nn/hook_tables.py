"""`module._forward_hooks` and its like: the hooks of a module under torch's names, which libraries read and clear."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..tracer.autograd.hook_tables import LiveTable
from .hooks import Hook, Hooks

if TYPE_CHECKING:
    from .module import Module


class OfModule(LiveTable):
    """The hooks of one kind, or those among them that have a flag."""

    def __init__(self, module: Module, kind: str, flag: str = "") -> None:
        self._module, self._kind, self._flag = module, kind, flag

    def now(self) -> Mapping[int, Hook]:
        """Those that there are."""
        hooks = self._module.__dict__.get("_hooks")
        table = {} if hooks is None else hooks.tables[self._kind]
        return {key: hook for key, hook in table.items() if getattr(hook, self._flag)} if self._flag else table

    def kept(self) -> OrderedDict[int, Hook]:
        """The module's table, which it gets with the first hook."""
        self._module._about_to_change()
        hooks = self._module.__dict__["_hooks"]
        if hooks is None:
            hooks = self._module.__dict__["_hooks"] = Hooks()
        table: OrderedDict[int, Hook] = hooks.tables[self._kind]
        return table

    def told(self, hook: Hook) -> Any:
        """Its function, or that it has the flag."""
        return True if self._flag else hook.call

    def made(self, value: Any, before: Hook | None) -> Hook:
        """A hook with this function, or this flag, that is otherwise as it was."""
        if self._flag and before is None:
            raise KeyError("a flag of a hook that is not there")
        flags = {} if before is None else {k: v for k, v in vars(before).items() if k != "call"}
        return Hook(before.call, **flags | {self._flag: bool(value)}) if self._flag and before else Hook(value, **flags)

    def __delitem__(self, key: int) -> None:
        if not self._flag:
            super().__delitem__(key)
        elif key in self:
            self[key] = False
        else:
            raise KeyError(key)


def hook_table(kind: str, flag: str = "") -> property:
    """An attribute of modules that is such a table; what is assigned replaces what is in it."""
    def read(self: Any) -> OfModule:
        return OfModule(self, kind, flag)

    def write(self: Any, given: Mapping[int, Any]) -> None:
        table, new = OfModule(self, kind, flag), dict(given)
        table.clear()
        table.update(new)

    return property(read, write, doc=f"The hooks `{kind}`" + (f" that have the flag `{flag}`." if flag else "."))


def _kind_of_backward_hooks(self: Any) -> bool | None:
    """None without backward hooks, else whether they are full ones."""
    hooks = self.__dict__.get("_hooks")
    return None if hooks is None else next((hook.full for hook in hooks.tables["backward"].values()), None)


def _set_kind(self: Any, full: bool | None) -> None:
    hooks = self.__dict__.get("_hooks")
    for hook in () if hooks is None or full is None else hooks.tables["backward"].values():
        hook.full = full


is_full_backward_hook = property(_kind_of_backward_hooks, _set_kind)
