"""Functions of Python that read past a `Scalar`, taken over while a trace is in progress.

`int(n)`, `float(n)`, `min`, `max` and `math.sqrt(n)` must give plain numbers or compare what they are given, so that no
method of a `Scalar` can make them record an expression. While a trace is in progress something else stands in their place:
in `math`, and in the globals of those functions that the trace follows. It behaves as the original unless it is called with
a `Scalar`, which no other thread has. Names are taken over only where all code that was followed does nothing with them but
call them. (Rejected: to exchange them in `builtins`, where `type(x) is int` is said in other people's code; and to rewrite
the code of functions, which guards look at.)
"""

from __future__ import annotations

import builtins
import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..guards.identity import MISSING, Replacement
from ..ir.locks import open_after_fork
from ..tensor.operations import CALLS, EXACT
from ..tensor.scalar import Scalar, on_host

_TAKEN = {name: getattr(builtins, name) for name in ("int", "float", "min", "max")}
_OF_MATH = {name: f for name, f in vars(math).items() if callable(f) and not name.startswith("_")}
_lock = open_after_fork(threading.Lock())
_places: dict[tuple[int, str], int] = {}  # how many traces in progress have taken over a name of a table


class Call(Replacement):
    """Stands in the place of `original`, where `stands_for` was (nothing, if a global now hides the builtin)."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for x in args:
            if type(x) is Scalar or type(x) in (list, tuple):
                return self._of_numbers(args, kwargs)
        return self.original(*args, **kwargs)

    def _of_numbers(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        chosen = self.original in (min, max)
        given = args[0] if chosen and len(args) == 1 and type(args[0]) in (list, tuple) else args
        flat = [y for x in given for y in (x if type(x) in (list, tuple) else (x,))]
        if kwargs or not any(type(x) is Scalar for x in flat) or (chosen and any(type(x) in (list, tuple) for x in given)):
            return self.original(*args, **kwargs)
        if not all(type(x) is Scalar or type(x) in EXACT for x in flat):
            return self.original(*args, **kwargs)
        return on_host(CALLS[self.original], *given)


@contextmanager
def taken_over(tables: Iterable[tuple[dict[str, Any], Iterable[str]]]) -> Iterator[None]:
    """In this block numbers of the trace are computed with in these tables of names, and in `math`."""
    replaced = [(vars(math), name, f) for name, f in _OF_MATH.items()]
    for table, names in tables:
        for name in names:
            value = table.get(name, getattr(builtins, name, None))
            original = value.original if type(value) is Call else value
            if original in _callable:
                replaced.append((table, name, original))
    done: list[tuple[dict[str, Any], str]] = []
    try:
        for table, name, original in replaced:
            _put(table, name, original)
            done.append((table, name))
        yield
    finally:
        for table, name in done:
            _take_away(table, name)


class _Originals(dict[int, Any]):
    """The functions that can be taken over, by identity: what is looked for may be of any kind."""

    def __contains__(self, function: object) -> bool:
        return id(function) in self.keys()


_callable = _Originals({id(f): f for f in (*_TAKEN.values(), *_OF_MATH.values())})


def _put(table: dict[str, Any], name: str, original: Any) -> None:
    with _lock:
        at = id(table), name
        now = table.get(name, MISSING)
        if type(now) is not Call:
            table[name] = Call(original, now)
            _places[at] = 0
        _places[at] = _places.get(at, 0) + 1


def _take_away(table: dict[str, Any], name: str) -> None:
    with _lock:
        at = id(table), name
        _places[at] -= 1
        if _places[at]:
            return
        del _places[at]
        now = table.get(name)
        if type(now) is Call and now.stands_for is MISSING:
            del table[name]
        elif type(now) is Call:
            table[name] = now.stands_for
