"""Lists that stand for others while a function is traced, and note whether code does more than put things at their end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any


class Noting:
    """A list or deque that holds what another one holds, or nothing; `read` says that code asked for any of it.

    Then `ask` is called, if there is one. `new` items were put at its end, some of which a bound may have pushed out again.
    """

    read, new = False, 0
    ask: Callable[[], None] | None = None

    def note(self) -> None:
        """Code asks for what is in it."""
        self.read = True
        if self.ask is not None:
            self.ask()


class Appended(Noting, list[Any]):
    """Stands for a list."""


class AppendedDeque(Noting, deque[Any]):
    """Stands for a deque, and has its bound."""


STANDS_FOR: dict[type, type] = {list: Appended, deque: AppendedDeque}
BASES: dict[type, Any] = {made: kind for kind, made in STANDS_FOR.items()}


def standing_for(x: list[Any] | deque[Any], empty: bool = False) -> Any:
    """What stands for a list or a deque, and holds what it holds, or nothing."""
    items = () if empty else tuple(x)
    return AppendedDeque(items, x.maxlen) if isinstance(x, deque) else Appended(items)


def added(x: Noting) -> list[Any]:
    """What was put at the end of one that nobody read, and is there."""
    items = list(BASES[type(x)].__iter__(x))
    return items[max(len(items) - x.new, 0):]


def bound_of(x: Any) -> tuple[type, int | None]:
    """What appending depends on: that it is a list, or how much a deque holds at most."""
    return type(x), x.maxlen if isinstance(x, deque) else None


def _noting(kind: type, name: str) -> Callable[..., Any]:
    method = getattr(kind, name)

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.note()
        return method(self, *args, **kwargs)

    noted.__name__ = name
    return noted


_OF_BOTH = ("__len__", "__iter__", "__getitem__", "__contains__", "__setitem__", "__delitem__", "__add__", "__mul__", "__rmul__",
            "__imul__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__reversed__", "__repr__", "__sizeof__",
            "index", "count", "copy", "pop", "insert", "remove", "reverse", "clear")
_DEQUES = ("appendleft", "extendleft", "popleft", "rotate")
for _kind, _others in ((list, ("sort",)), (deque, _DEQUES)):
    for _name in (*_OF_BOTH, *_others):
        setattr(STANDS_FOR[_kind], _name, _noting(_kind, _name))


def _counting(kind: Any) -> dict[str, Callable[..., Any]]:
    """The methods that put things at the end."""
    def append(self: Any, item: Any) -> None:
        self.new += 1
        kind.append(self, item)

    def extend(self: Any, items: Any) -> None:
        more = list(items)
        self.new += len(more)
        kind.extend(self, more)

    def iadd(self: Any, items: Any) -> Any:
        self.extend(items)
        return self

    return {"append": append, "extend": extend, "__iadd__": iadd}


for _made, _base in BASES.items():
    for _name, _method in _counting(_base).items():
        setattr(_made, _name, _method)


def _of_plain(name: str) -> Callable[..., Any]:
    """What is made of a deque is of its class."""
    def made(self: AppendedDeque, *args: Any) -> Any:
        self.note()
        return getattr(deque, name)(deque(self, self.maxlen), *args)

    return made


for _name in ("__repr__", "__copy__", "copy", "__add__", "__mul__", "__rmul__"):
    setattr(AppendedDeque, _name, _of_plain(_name))


def _as_list(self: Appended, protocol: Any) -> Any:
    """What a copy or a pickle is made of: that of a list."""
    self.note()
    return list, (list.copy(self),)


def _as_deque(self: AppendedDeque, protocol: Any) -> Any:
    self.note()
    return deque, (list(deque.__iter__(self)), self.maxlen)


def _behind(self: Appended, other: Any) -> Any:
    """`other + self`: a list that stands on the right is read past its methods."""
    self.note()
    return list.__add__(other, list.copy(self)) if isinstance(other, list) else NotImplemented


setattr(Appended, "__reduce_ex__", _as_list)  # noqa: B010
setattr(Appended, "__radd__", _behind)  # noqa: B010
setattr(AppendedDeque, "__reduce_ex__", _as_deque)  # noqa: B010
