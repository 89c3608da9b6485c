"""Hyperparameters of an optimizer, which a compiled step reads at call time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from ..guards.identity import kept
from ..ir.errors import TraceError
from ..ir.source import describe, user_position
from ..tensor.context import context
from ..tensor.scalar import Scalar

if TYPE_CHECKING:
    from ..tensor.context import Tracing


def hyper(group: dict[str, Any], key: str, index: int | None = None) -> Any:
    """`group[key]`, or `group[key][index]`, as a number that a compiled step reads anew at every call.

    Outside a trace it is the number itself; inside it is a `Scalar` (float64 always: 1 may become 0.5), so a scheduler
    causes no recompile. So are numpy's numbers. Anything else is guarded: a value, or which tensor it is.
    """
    trace = context.trace
    number = _stored(group, key) if index is None else _stored(group, key)[index]
    if trace is None or key in trace.options_set(group):
        return number
    if not _is_number(number):
        _guard(trace, group, key, partial(_stored, group, key))
        return number
    if index is None:
        reading = _reading(trace, group, key, lambda: _as_float(_stored(group, key)))
    else:
        reading = _reading(trace, group, f"{key}[{index}]", lambda: _as_float(_stored(group, key)[index]))
    return trace.hyper(reading, reading.name)


def _is_number(x: Any) -> bool:
    return type(x) in (int, float) or isinstance(x, (np.floating, np.integer))


def _as_float(x: Any) -> Any:
    """A number as one type; what is none as it is, so that a trace with a number there does not hold."""
    return float(x) if _is_number(x) else x


def static(group: dict[str, Any], key: str) -> Any:
    """`group[key]` itself, for an option that decides which program is traced; another value retraces."""
    if context.trace is not None and key not in context.trace.options_set(group):
        _guard(context.trace, group, key, partial(_stored, group, key))
    value = _stored(group, key)
    return value.look() if type(value) is Scalar else value


def enabled(group: dict[str, Any], key: str) -> bool:
    """Whether the number `group[key]` is not zero; only switching it on or off retraces, not another value."""
    if context.trace is not None and key not in context.trace.options_set(group):
        _guard(context.trace, group, key, lambda: bool(_stored(group, key)), "enabled")
    return bool(_stored(group, key))


def option(group: dict[str, Any], key: str) -> Any:
    """`group[key]` for code that is traced and knows nothing of this: numbers are read at call time, all else is guarded.

    What is in a list, a dictionary or the like is watched where the step finds the group. An int is read as one
    (`group["calls"] += 1`), as long as it is one.
    """
    value, trace = _stored(group, key), context.trace
    if trace is None or key in trace.options_set(group) or key == "params":
        return value  # parameters are part of the structure of the optimizer
    if type(value) is int:
        _guard(trace, group, key, lambda: type(_stored(group, key)), "type")
        reading = _reading(trace, group, key, partial(_stored, group, key), "int")
        return trace.hyper(reading, key)
    if type(value) is float or type(value) is np.float64:
        return hyper(group, key)
    if type(value) is tuple and any(map(_is_number, value)):
        _guard(trace, group, key, lambda: _but_numbers(_stored(group, key)), "tuple")
        return tuple(hyper(group, key, i) if _is_number(x) else x for i, x in enumerate(value))
    return static(group, key)


def _but_numbers(x: Any) -> Any:
    """What a tuple holds beside numbers."""
    return tuple(float if _is_number(v) else kept(v) for v in x) if type(x) is tuple else x


def is_there(group: dict[str, Any], key: str) -> bool:
    """Whether the group has an option; the trace depends on it."""
    if context.trace is not None and key not in context.trace.options_set(group):
        _guard(context.trace, group, key, lambda: dict.__contains__(group, key), "presence")
    return dict.__contains__(group, key)


def names(group: dict[str, Any]) -> list[str]:
    """The names of the options; the trace depends on those that it did not set itself."""
    if context.trace is not None:
        own = frozenset(context.trace.options_set(group))
        _guard(context.trace, group, "names", lambda: tuple(k for k in dict.keys(group) if k not in own), "names")
    return list(dict.keys(group))


def setting(group: dict[str, Any], key: str) -> None:
    """`group[key]` is about to be set or taken out: in a trace that is what the step does at each call."""
    trace = context.trace
    if trace is None:
        return
    if key == "params":
        raise TraceError(f"param_groups[...]['params'] requires to be set outside of jit, got a write at "
                         f"{describe(user_position(2))} while a function is traced: a program is made for these parameters. "
                         "Exchange parameters before the call of the jitted step.")
    trace.note_option(group, key)


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


def _guard(trace: Tracing, group: dict[str, Any], key: str, read: Callable[[], Any], kind: str = "guard") -> None:
    if (kind, id(group), key) not in _readings.get(trace, {}):
        reading = _reading(trace, group, key, read, kind)
        trace.guard_item(reading, key, kept(reading[key]))
