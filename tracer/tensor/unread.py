"""What stands for a value of which a trace knows the class alone, and hears when code asks for more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

_ASK = ("str", "repr", "format", "bytes", "eq", "ne", "lt", "le", "gt", "ge", "hash", "len", "iter", "next", "getitem",
        "contains", "bool", "int", "float", "complex", "index", "round", "trunc", "floor", "ceil", "neg", "pos", "abs", "invert",
        "array", "reduce_ex", "sizeof", "dir")
_WITH_ANOTHER = ("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "and", "or", "xor", "lshift", "rshift",
                 "matmul")


class Unread:
    """Says that it is of a class; all else that code may ask `ask` is called for, which raises.

    A copy is itself: values of the classes that it stands for cannot be changed.
    """

    __slots__ = ("_ask", "_kind")

    def __init__(self, kind: type, ask: Callable[[], NoReturn]) -> None:
        self._kind, self._ask = kind, ask

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return self._kind

    def __getattr__(self, name: str) -> Any:
        if name == "__dict__" or not hasattr(self._kind, name):  # instances of the classes that it stands for have none
            raise AttributeError(f"'{self._kind.__name__}' object has no attribute '{name}'")
        self._ask()

    def __copy__(self) -> Unread:
        return self

    def __deepcopy__(self, memo: Any) -> Unread:
        return self

    def close(self) -> None:
        """The trace is over."""
        self._ask = _over


def _over() -> NoReturn:
    raise RuntimeError("what stood for a value while a function was traced was kept and is used now; return the value, or keep "
                       "it in an attribute or a container")


def _asking(name: str) -> Callable[..., Any]:
    def asked(self: Unread, *args: Any, **kwargs: Any) -> Any:
        self._ask()

    asked.__name__ = name
    return asked


for _name in (*_ASK, *_WITH_ANOTHER, *(f"r{_name}" for _name in _WITH_ANOTHER)):
    setattr(Unread, f"__{_name}__", _asking(f"__{_name}__"))
