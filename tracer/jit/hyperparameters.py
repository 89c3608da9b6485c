"""Hyperparameters of an optimizer, which a compiled step reads at call time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..tensor.context import context
from ..tensor.tensor import Tensor

if TYPE_CHECKING:
    from ..tensor.context import Tracing


def hyper(group: dict[str, Any], key: str, index: int | None = None) -> Any:
    """`group[key]`, or `group[key][index]`, as a number that a compiled step reads anew at every call.

    Outside a trace it is the number itself; inside it is a `Scalar` (float64 always: 1 may become 0.5), so a scheduler
    causes no recompile.
    Bools, None, strings and tensors are returned as they are.
    """
    number = _stored(group, key) if index is None else _stored(group, key)[index]
    if context.trace is None or isinstance(number, bool) or not isinstance(number, (int, float)):
        return number
    if index is None:
        reading = _reading(context.trace, group, key, lambda: float(_stored(group, key)))
    else:
        reading = _reading(context.trace, group, f"{key}[{index}]", lambda: float(_stored(group, key)[index]))
    return context.trace.hyper(reading, reading.name)


def static(group: dict[str, Any], key: str) -> Any:
    """`group[key]` itself, for an option that decides which program is traced; another value retraces."""
    if context.trace is not None:
        _guard(context.trace, group, key, lambda: _stored(group, key))
    return _stored(group, key)


def enabled(group: dict[str, Any], key: str) -> bool:
    """Whether the number `group[key]` is not zero; only switching it on or off retraces, not another value."""
    if context.trace is not None:
        _guard(context.trace, group, key, lambda: bool(_stored(group, key)))
    return bool(_stored(group, key))


def option(group: dict[str, Any], key: str) -> Any:
    """`group[key]` for code that is traced and knows nothing of this: numbers are read at call time, all else is guarded.

    Tensors and lists (of parameters) are what they are: the structure of the optimizer is compared anyhow.
    """
    value = _stored(group, key)
    if isinstance(value, (list, Tensor)):
        return value
    if type(value) is tuple and any(type(x) in (int, float) for x in value):
        return tuple(hyper(group, key, i) for i in range(len(value)))
    return hyper(group, key) if type(value) in (int, float) else static(group, key)


_stored = dict.__getitem__  # whatever kind of dict it is


class _Reading:
    """Stands for a group where a trace reads something derived from an item: `reading[name]` is the present value."""

    def __init__(self, name: str, read: Callable[[], Any]) -> None:
        self.name, self._read = name, read

    def __getitem__(self, name: str) -> Any:
        return self._read()


# What each trace reads, and what it is guarded by, per group: every parameter asks again, once is enough.
_readings: WeakKeyDictionary[Tracing, dict[tuple[str, int, str], _Reading]] = WeakKeyDictionary()


def _reading(trace: Tracing, group: dict[str, Any], name: str, read: Callable[[], Any], kind: str = "number") -> _Reading:
    return _readings.setdefault(trace, {}).setdefault((kind, id(group), name), _Reading(name, read))


def _guard(trace: Tracing, group: dict[str, Any], key: str, read: Callable[[], Any]) -> None:
    if ("guard", id(group), key) not in _readings.get(trace, {}):
        reading = _reading(trace, group, key, read, "guard")
        trace.guard_item(reading, key, reading[key])
