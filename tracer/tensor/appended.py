"""A list that stands for another one while a function is traced, and notes whether code does more than put things at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Appended(list[Any]):
    """Holds what the list holds, or nothing; `read` says that code asked for any of it. Then `ask` is called, if there is one."""

    read = False
    ask: Callable[[], None] | None = None

    def note(self) -> None:
        """Code asks for what is in it."""
        self.read = True
        if self.ask is not None:
            self.ask()


def _noting(name: str) -> Callable[..., Any]:
    method = getattr(list, name)

    def noted(self: Appended, *args: Any, **kwargs: Any) -> Any:
        self.note()
        return method(self, *args, **kwargs)

    noted.__name__ = name
    return noted


for _name in ("__len__", "__iter__", "__getitem__", "__contains__", "__setitem__", "__delitem__", "__add__", "__mul__",
              "__rmul__", "__imul__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__reversed__", "__repr__",
              "__sizeof__", "index", "count", "copy", "pop", "insert", "remove", "sort", "reverse", "clear"):
    setattr(Appended, _name, _noting(_name))


def _as_list(self: Appended, protocol: Any) -> Any:
    """What a copy or a pickle is made of: that of a list."""
    self.note()
    return list, (list.copy(self),)


def _behind(self: Appended, other: Any) -> Any:
    """`other + self`: a list that stands on the right is read past its methods."""
    self.note()
    return list.__add__(other, list.copy(self)) if isinstance(other, list) else NotImplemented


setattr(Appended, "__reduce_ex__", _as_list)  # noqa: B010
setattr(Appended, "__radd__", _behind)  # noqa: B010
