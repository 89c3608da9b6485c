"""What of its arguments a function does not read, so that calls need not agree in it.

There are lists to which it only appends (`taps.append(x)` in a layer), and values in a batch that it never looks at (the names
of files). What a function does with its own parameters its code says (`guards/parameters.py`); of what is inside of something
else, or is handed on, a trace tells. When a list is longer after it, or another call had another value, the function is traced
again with an empty list there, or with something that is of the class of the value. Whoever asks these for anything asks for
what is in their place; then calls are told apart by that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

from ..guards.outside import Outside
from ..guards.parameters import Parameters
from ..guards.texts import Change
from ..ir.errors import NeededFirst
from ..tensor.appended import STANDS_FOR, bound_of
from ..tensor.nested import step_to
from .appended import reads_past
from .nests import Path
from .signature import Signature, is_static, may_be_unread, opened
from .standins import StandIns, held_by


class LeftOut:
    """The paths of lists in the arguments of a function that it only appends to, and of values that it never reads."""

    def __init__(self) -> None:
        self._appended: frozenset[Path] = frozenset()
        self._unread: frozenset[Path] = frozenset()
        self._held: dict[Path, dict[Any, Path]] = {}  # the latter by where what holds them is, and the key there
        self._read: set[Path] = set()

    def signature(self, args: tuple[Any, ...], kwargs: dict[str, Any], parameters: Parameters) -> Signature:
        """That of a call, without these."""
        return Signature(args, kwargs, parameters, self._appended, self._held)

    def now(self) -> tuple[frozenset[Path], dict[Path, dict[Any, Path]]]:
        """What calls are described with."""
        return self._appended, self._held

    def _describe(self, call: Signature) -> None:
        call.describe(self._appended, self._held)

    def _know(self, appended: frozenset[Path], unread: frozenset[Path]) -> None:
        self._appended, self._unread = appended, unread
        held: dict[Path, dict[Any, Path]] = {}
        for path in unread:
            held.setdefault(path[:-1], {})[path[-1]] = path
        self._held = held

    def learn(self, call: Signature, given: StandIns, outside: Outside) -> bool:
        """Whether a trace appended to lists that were not known to be such; the call is described anew then."""
        longer = {id(call.containers[i]) for i, x in given.changed()
                  if type(x) in STANDS_FOR and (bound_of(x)[1] is not None or _at_the_end(given.given_to(i), held_by(x)))}
        if not longer or outside.looks_at_types or reads_past(outside):
            return False
        found = {path for _, path, x in _places(call) if id(x) in longer and not outside.has(x)} - self._read
        if found <= self._appended:
            return False
        self._know(self._appended | found, self._unread)
        self._describe(call)
        return True

    def suspect(self, call: Signature, changes: Collection[Change]) -> None:
        """Values that are others than at the call before may mean nothing; if so, the call is described without them."""
        names = {str(name) for name, _, _ in changes}
        found = {path for text, path, x in _places(call) if text in names and len(path) > 1 and may_be_unread(x)} - self._read
        if not found <= self._unread:
            self._know(self._appended, self._unread | found)
            self._describe(call)

    def is_read(self, call: Signature, path: Path) -> NoReturn:
        """Code asks for what is at this path."""
        raise NeededFirst(partial(self._told_apart, call, path))

    def _told_apart(self, call: Signature, path: Path) -> None:
        others = self._held.get(path[:-1], {}).values() if type(path[-1]) is int else ()  # who reads one of a list reads all
        self._forget([path, *others])
        self._describe(call)

    def _forget(self, paths: Collection[Path]) -> None:
        self._read.update(paths)
        self._know(self._appended - self._read, self._unread - self._read)

    @contextmanager
    def nothing(self, call: Signature) -> Iterator[None]:
        """The call is described by all that is in its arguments; so are others, if the block does not raise."""
        paths = [*call.lists.values(), *call.unread_at]
        if paths:
            call.describe()
        try:
            yield
        except BaseException:
            if paths:
                self._describe(call)
            raise
        self._forget(paths)


def _at_the_end(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    return len(now) > len(before) and all(now[i] is x for i, x in before.items())


def _places(call: Signature) -> Iterator[tuple[str, Path, Any]]:
    """The lists and the leaves in the arguments, each where it is met first, by what to call it and its path."""
    met = set[int]()

    def walk(x: Any, text: str, path: Path) -> Iterator[tuple[str, Path, Any]]:
        inside = opened(x)
        if inside is None or type(x) in STANDS_FOR:
            yield text, path, x
        if inside is None or (id(x) in met and not isinstance(x, tuple)):
            return
        met.add(id(x))
        for key, value in inside[1].items():
            if not is_static(key):
                yield from walk(value, text + step_to(inside[0], key), (*path, key))

    given: list[tuple[int | str, Any]] = [*enumerate(call.args), *call.kwargs.items()]
    for key, x in given:
        if key not in call.grown and key not in call.parameters.whole:
            yield from walk(x, f"args[{key}]" if isinstance(key, int) else key, (key,))
