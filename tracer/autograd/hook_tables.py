"""Tables of hooks under torch's names for them, for code that looks into these: what is done to one is done to the hooks."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from ..tensor.context import context
from ..tensor.epochs import structure_epoch


class LiveTable(MutableMapping[int, Any]):
    """Functions by the numbers of their handles, in the order they are called."""

    @abstractmethod
    def now(self) -> Mapping[int, Any]:
        """The hooks that there are."""

    @abstractmethod
    def kept(self) -> OrderedDict[int, Any]:
        """The table itself, which is about to change."""

    def told(self, hook: Any) -> Any:
        """What is seen of a hook: itself."""
        return hook

    def made(self, value: Any, before: Any) -> Any:
        """The hook that a function becomes, in place of another one or None."""
        return value

    def __getitem__(self, key: int) -> Any:
        return self.told(self.now()[key])

    def __iter__(self) -> Iterator[int]:
        return iter(list(self.now()))

    def __len__(self) -> int:
        return len(self.now())

    def __setitem__(self, key: int, value: Any) -> None:
        table = self._changing()
        table[key] = self.made(value, table.get(key))

    def __delitem__(self, key: int) -> None:
        if key not in self:
            raise KeyError(key)
        del self._changing()[key]

    def move_to_end(self, key: int, last: bool = True) -> None:
        """As `OrderedDict.move_to_end`."""
        self._changing().move_to_end(key, last)

    def copy(self) -> OrderedDict[int, Any]:
        """What is in it, apart from it."""
        return OrderedDict(self)

    def _changing(self) -> OrderedDict[int, Any]:
        table = self.kept()
        if context.trace is not None:
            context.trace.note_hooks(table)
        structure_epoch[0] += 1
        return table

    def __repr__(self) -> str:
        return repr(OrderedDict(self))


class Table(LiveTable):
    """The functions of a table as they are."""

    def __init__(self, table: OrderedDict[int, Any]) -> None:
        self._table = table

    def now(self) -> Mapping[int, Any]:
        """The table."""
        return self._table

    def kept(self) -> OrderedDict[int, Any]:
        """The table."""
        return self._table
