"""Lists among the arguments to which a step only appends (`taps.append(x)` in a layer): nothing depends on what is in them.

What a function does with its own parameters its code says (`guards/parameters.py`); of a list that is inside of something else,
or that is handed on, a trace tells: where one is longer after it, the function is traced again with an empty list there.
Whoever asks that one for anything asks for what is in it; then it is told apart by that as all others are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..guards.outside import Outside
from ..ir.errors import NeededFirst
from .appended import reads_past
from .nests import Path
from .signature import Signature, is_static, opened
from .standins import StandIns, held_by


class GivenLists:
    """What is known of the lists among the arguments of a function, by their paths: those that it only appends to."""

    def __init__(self) -> None:
        self.paths: frozenset[Path] = frozenset()
        self._read: set[Path] = set()

    def learn(self, call: Signature, given: StandIns, outside: Outside) -> bool:
        """Whether a trace appended to lists that were not known to be such; the call is described anew then."""
        longer = {id(call.containers[i]) for i, x in given.changed()
                  if type(x) is list and _at_the_end(given.given_to(i), held_by(x))}
        if not longer or outside.looks_at_types or reads_past(outside):
            return False
        found = {path for path, x in _lists(call) if id(x) in longer and not outside.has(x)} - self._read
        if found <= self.paths:
            return False
        self.paths |= found
        call.describe(self.paths)
        return True

    def is_read(self, call: Signature, path: Path) -> None:
        """Code asks for what is in the list at this path."""
        raise NeededFirst(partial(self._told_apart, call, path))

    def _told_apart(self, call: Signature, path: Path) -> None:
        self._forget([path])
        call.describe(self.paths)

    def _forget(self, paths: Collection[Path]) -> None:
        self._read.update(paths)
        self.paths -= self._read

    @contextmanager
    def left_out(self, call: Signature) -> Iterator[None]:
        """The call is described by all that is in its lists; so are others, if the block does not raise."""
        paths = list(call.lists.values())
        if paths:
            call.describe()
        try:
            yield
        except BaseException:
            call.describe(self.paths)
            raise
        self._forget(paths)


def _at_the_end(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    return len(now) > len(before) and all(now[i] is x for i, x in before.items())


def _lists(call: Signature) -> Iterator[tuple[Path, list[Any]]]:
    """The lists among the arguments, each where it is met first."""
    met = set[int]()

    def walk(x: Any, path: Path) -> Iterator[tuple[Path, list[Any]]]:
        inside = opened(x)
        if inside is None or (id(x) in met and not isinstance(x, tuple)):
            return
        met.add(id(x))
        if type(x) is list:
            yield path, x
        for key, value in inside[1].items():
            if not is_static(key):
                yield from walk(value, (*path, key))

    for key, x in (*enumerate(call.args), *call.kwargs.items()):
        if key not in call.grown and key not in call.parameters.whole:
            yield from walk(x, (key,))
