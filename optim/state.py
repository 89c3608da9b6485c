"""The containers that an optimizer keeps its own in; compiled steps are told when an entry of one becomes another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

from ..tracer.tensor.context import context
from ..tracer.tensor.epochs import structure_epoch


class ParameterState(dict[str, Any]):
    """The state of one parameter by name, `{"exp_avg": ..., "step": ...}`."""

    _structural = True  # part of what a step takes for given of an optimizer


class States(defaultdict[Any, dict[str, Any]]):
    """The state of all parameters."""

    _structural = True

    def __init__(self, *entries: Any) -> None:
        super().__init__(ParameterState, *[x for x in entries if not isinstance(x, type)])  # a default dict's copy gives its own

    def __missing__(self, key: Any) -> dict[str, Any]:
        """Empty state, made for real also in a trace: an optimizer may put its own there."""
        made, trace = ParameterState(), context.trace
        self[key] = made
        if trace is not None:
            trace.made.append(lambda: self.pop(key, None))
            trace.adopt(self, [key])
            trace.adopt(made, [])
        return made

    def __copy__(self) -> States:
        return States(self)

    copy = __copy__

    def __or__(self, other: Any) -> States:  # type: ignore[override]
        return States(dict(self) | other) if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: Any) -> States:  # type: ignore[override]
        return States(other | dict(self)) if isinstance(other, dict) else NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        return States, (dict(self),)

    def __repr__(self) -> str:
        return f"defaultdict({dict}, {dict(self)!r})"


class Members(list[Any]):
    """The groups of an optimizer, or the parameters of a group."""


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def change(*args: Any, **kwargs: Any) -> Any:
        structure_epoch[0] += 1
        return method(*args, **kwargs)

    return change


for _kind in (ParameterState, States):
    for _name in ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
        setattr(_kind, _name, _telling(getattr(_kind, _name)))
for _name in ("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "extend", "insert", "pop", "remove", "clear",
              "sort", "reverse"):
    setattr(Members, _name, _telling(getattr(Members, _name)))
