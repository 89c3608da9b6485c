"""Places outside a traced function that it read from, and whether they still hold what it found there."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat, zip_longest
from operator import is_
from typing import Any

from ..tensor.tensor import Tensor
from .identity import MISSING, PLAIN, Plain, interchangeable

Change = tuple[str, Any, Any]  # path or name, what was there, what is there now


class Text(str):
    """A text that stands for a value: it is shown without quotes."""

    def __repr__(self) -> str:
        return str(self)


def shown(value: Any) -> Any:
    """The value if it is plain, else a short text: what is kept of it to be looked at."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Plain):
        return shown(value.value)
    if isinstance(value, Tensor):
        return Text(f"a tensor {value._type}")
    try:
        return Text(reprlib.repr(value))
    except Exception:  # of a user's own __repr__
        return Text(f"<{type(value).__name__} object>")


class Place:
    """Somewhere values are read from: `read()` gives all of them, `label(i)` names the one at i."""

    def __init__(self, read: Callable[[], Iterable[Any]], label: Callable[[int], str]) -> None:
        self.read, self.label = read, label
        self.seen: tuple[Any, ...] = tuple(read())

    def test(self, name: str) -> str:
        """An expression that is true if the very same objects are there. `bind` gives what `name` and its like mean."""
        return f"len({name}_now := tuple({name}())) == {len(self.seen)} and all(map(is_, {name}_now, {name}_seen))"

    def bind(self, name: str) -> dict[str, Any]:
        """What the names in the expression stand for."""
        return {name: self.read, f"{name}_seen": self.seen}

    def put(self, i: int, value: Any) -> None:
        """Put a value back that was at i."""

    def changes(self) -> list[Change]:
        """What is there now that is not as it was."""
        now = tuple(self.read())
        found = [(self.label(i), shown(old), shown(new))
                 for i, (old, new) in enumerate(zip_longest(self.seen, now, fillvalue=MISSING))
                 if not interchangeable(old, new)]
        if not found:
            self.seen = now  # equal values in new objects: the next test is for those
        return found


class Sequence(Place):
    """The items of a list or the like."""

    def __init__(self, items: Any, label: Callable[[int], str]) -> None:
        super().__init__(items.__iter__, label)
        self.items = items

    def test(self, name: str) -> str:
        """As long, and all the same."""
        return f"len({name}) == {len(self.seen)} and all(map(is_, {name}, {name}_seen))"

    def put(self, i: int, value: Any) -> None:
        """Into the list."""
        self.items[i] = value

    def bind(self, name: str) -> dict[str, Any]:
        """The items now and then."""
        return {name: self.items, f"{name}_seen": self.seen}


class Entries(Place):
    """All entries of a dictionary."""

    def __init__(self, table: Mapping[Any, Any], label: Callable[[Any], str]) -> None:
        super().__init__(table.values, lambda i: label(self.keys[i]))
        self.table, self.keys, self.by_key = table, tuple(table), label

    def test(self, name: str) -> str:
        """The same keys in the same order, and the same values."""
        return (f"len({name}) == {len(self.seen)} and all(map(is_, {name}, {name}_keys)) "
                f"and all(map(is_, {name}.values(), {name}_seen))")

    def put(self, i: int, value: Any) -> None:
        """Into the dictionary, if it is one that can be written."""
        if isinstance(self.table, dict):
            self.table[self.keys[i]] = value

    def bind(self, name: str) -> dict[str, Any]:
        """The dictionary now and then."""
        return {name: self.table, f"{name}_keys": self.keys, f"{name}_seen": self.seen}

    def changes(self) -> list[Change]:
        """Keys that have another value, or that came or went; else another order."""
        old, new = dict(zip(self.keys, self.seen)), dict(self.table)
        found = [(self.by_key(key), shown(old.get(key, MISSING)), shown(new.get(key, MISSING)))
                 for key in dict.fromkeys((*old, *new))
                 if not interchangeable(old.get(key, MISSING), new.get(key, MISSING))]
        if not found and tuple(new) != self.keys:
            return [("the order of " + self.by_key("..."), shown(list(self.keys)), shown(list(new)))]
        if not found:
            self.seen, self.keys = tuple(new.values()), tuple(new)
        return found


class Names(Place):
    """Some entries of a table of names: globals or attributes."""

    def __init__(self, table: Mapping[str, Any], keys: Iterable[str], label: Callable[[str], str]) -> None:
        self.table, self.keys, self.get = table, tuple(keys), table.get
        super().__init__(lambda: map(self.get, self.keys, repeat(MISSING)), lambda i: label(self.keys[i]))

    def test(self, name: str) -> str:
        """Each entry is the same."""
        return " and ".join(f"{name}({key!r}, MISSING) is {name}_{i}" for i, key in enumerate(self.keys))

    def put(self, i: int, value: Any) -> None:
        """Under its name; a class's own table cannot be written."""
        if isinstance(self.table, dict):
            self.table[self.keys[i]] = value

    def bind(self, name: str) -> dict[str, Any]:
        """The table's `get` and the objects that were there."""
        return {name: self.get} | {f"{name}_{i}": value for i, value in enumerate(self.seen)}


class Attribute(Place):
    """One attribute of several objects, each with what to call it: what is in cells, the code of functions."""

    def __init__(self, name: str, objects: Iterable[tuple[str, Any]]) -> None:
        labels, self.objects = zip(*objects, strict=True)
        self.name = name
        super().__init__(lambda: (value_of(x, name) for x in self.objects), lambda i: labels[i])

    def test(self, name: str) -> str:
        """Each object has the same; raises ValueError at a cell that is empty by now."""
        return " and ".join("True" if value is MISSING else f"{name}_o{i}.{self.name} is {name}_{i}"
                            for i, value in enumerate(self.seen))

    def put(self, i: int, value: Any) -> None:
        """Into the object."""
        setattr(self.objects[i], self.name, value)

    def bind(self, name: str) -> dict[str, Any]:
        """The objects and what they had."""
        return ({f"{name}_o{i}": x for i, x in enumerate(self.objects)}
                | {f"{name}_{i}": value for i, value in enumerate(self.seen)})


def value_of(x: Any, name: str) -> Any:
    """An attribute, if there is anything in it: a cell may be empty."""
    try:
        return getattr(x, name)
    except (AttributeError, ValueError):
        return MISSING


class Watch:
    """Places that a trace depends on.

    `_same` tests for the same objects, and raises ValueError at an empty cell. It is part of every call, so it is put
    together as one expression: a loop over places takes three times as long.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._places: dict[str, Place] = {}
        self._names: dict[str, Any] = {"is_": is_, "MISSING": MISSING}
        self._same: Callable[[], bool] = bool
        self.add(places)

    def add(self, places: Iterable[Place]) -> None:
        """Watch these too."""
        more = {f"p{i}": place for i, place in enumerate(places, len(self._places))}
        self._places |= more
        if more or not self._places:
            tests = [place.test(name) for name, place in self._places.items()]
            self._same = eval(f"lambda: {' and '.join(tests) or True}", self._names)
            self._bind()

    def _bind(self) -> None:
        for name, place in self._places.items():
            self._names.update(place.bind(name))

    def changes(self) -> list[Change]:
        """All that has changed."""
        found = [change for place in self._places.values() for change in place.changes()]
        if not found:
            self._bind()
        return found
