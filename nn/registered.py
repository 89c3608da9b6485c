"""What a module has under names: parameters, buffers, children."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tracer.tensor.epochs import structure_epoch


def _telling(name: str) -> Callable[..., Any]:
    """A method of dicts that changes one, and tells compiled steps."""
    change: Callable[..., Any] = getattr(dict, name)

    def changed(self: Registered, *args: Any, **kwargs: Any) -> Any:
        structure_epoch[0] += 1
        return change(self, *args, **kwargs)

    changed.__name__, changed.__doc__ = name, change.__doc__
    return changed


class Registered(dict[str, Any]):
    """A dict of which compiled steps see each change, also `module._buffers["mean"] = t`. A copy or pickle is a dict."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


for _name in ("__setitem__", "__delitem__", "__ior__", "update", "setdefault", "pop", "popitem", "clear"):
    setattr(Registered, _name, _telling(_name))
