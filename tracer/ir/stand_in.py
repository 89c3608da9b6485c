"""What stands for a Python object while a trace is in progress, and must not outlive it."""

from __future__ import annotations

from typing import Any


class StandIn:
    """Behaves like the object it stands for; `look()` gives that object, on which the trace depends from then on."""

    __slots__ = ()

    def look(self) -> Any:
        """The object itself."""
        raise NotImplementedError


def known(x: Any) -> Any:
    """`x`, or what it stands for; tuples with every stand-in inside looked at.

    Types, parameters of nodes and whatever is a key of a table outlive the trace: they are made of what this gives.
    """
    kind = type(x)
    if kind is tuple:
        return x if all(type(item) is int for item in x) else tuple(map(known, x))
    return x.look() if issubclass(kind, StandIn) else x


def known_parameters(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a node without stand-ins."""
    for value in params.values():
        if type(value) is tuple or issubclass(type(value), StandIn):
            return {name: known(value) for name, value in params.items()}
    return params
