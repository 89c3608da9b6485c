"""Places outside a traced function that it read from, and whether they still hold what it found there."""

from __future__ import annotations

import types
import weakref
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from itertools import compress, count, repeat, zip_longest
from operator import is_
from typing import Any

import numpy as np

from .identity import MISSING, Weakly, interchangeable, kept, kept_weakly, real, same, same_members, token
from .statics import attributes, is_a, keys, plain_dict, reader, reader_of_attributes
from .texts import Change, Label, Text, change, short, shown

Where = tuple[int, Hashable]  # what holds a value, by its id, and what tells the key there from others


def holder_of(table: Any) -> int:
    """The id of what holds the values under some keys: the same whenever it is looked at."""
    if is_a(table, types.MappingProxyType):
        return id(plain_dict(table))
    if is_a(table, (dict, list, deque, set, tuple, frozenset)):
        return id(table)
    return id(getattr(table, "own_table", getattr(table, "owner", table)))


class Place:
    """Somewhere values are read from: `read()` gives all of them, `label(i)` names the one at i.

    Those of the numbers `open` are looked at by somebody else.
    """

    def __init__(self, read: Callable[[], Iterable[Any]], label: Callable[[int], str]) -> None:
        self.read, self.label = read, label
        self.keep = kept
        self.holder = 0  # the id of what holds all the values, if it is one thing
        self.open: frozenset[int] = frozenset()
        self.seen = self.now()

    def where(self, i: int) -> Where:
        """What tells the value at i from all others that may be called like it."""
        return id(self), i

    def leave(self, open: Collection[Where]) -> None:
        """Do not look at what is in these places."""
        self.open = frozenset(i for i in range(len(self.seen)) if self.where(i) in open) if open else frozenset()
        self.seen = self._closed(self.seen)

    def _closed(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """These without what is looked at by somebody else, which is not kept either."""
        return tuple([MISSING if i in self.open else x for i, x in enumerate(values)]) if self.open else values

    def now(self) -> tuple[Any, ...]:
        """What to keep of what is there."""
        return self._closed(tuple([self.keep(real(x)) for x in self.read()]))

    def let_go(self) -> Place:
        """Keep nothing alive that was seen here."""
        self.keep = kept_weakly
        self.seen = self.now()
        return self

    def test(self, name: str) -> str:
        """An expression that is true if the very same objects are there. `bind` gives what `name` and its like mean."""
        return f"len({name}_now := tuple({name}())) == {len(self.seen)} and {self._all(f'{name}_now', name)}"

    def bind(self, name: str) -> dict[str, Any]:
        """What the names in the expression stand for."""
        return {name: self.read} | self._bound(name, False)

    def changes(self) -> list[Change]:
        """What is there now that is not as it was, but for what is `open`."""
        now = self.now()
        if len(now) == len(self.seen) and all(map(is_, now, self.seen)):
            return []
        found = self.differences(now)
        if not found:
            self.seen = now  # equal values in new objects: the next test is for those
        return found

    def differences(self, now: tuple[Any, ...]) -> list[Change]:
        """What differs between `now` and what was seen. A change names what differs inside: that may be what a label names."""
        return [change(Label.of(self.label(i), self.where(i)), old, new)
                for i, (old, new) in enumerate(zip_longest(self.seen, now, fillvalue=MISSING))
                if i not in self.open and not interchangeable(old, new)]

    def _each(self, tests: Iterable[str]) -> str:
        """All of these tests, one for each value, but for those that are `open`."""
        return " and ".join(test for i, test in enumerate(tests) if i not in self.open) or "True"

    def _all(self, now: str, name: str) -> str:
        """The test that all that is there now is what was seen."""
        how = "same" if any(type(x) is Weakly for x in self.seen) else "is_"
        sides = [f"compress({x}, {name}_closed)" if self.open else x for x in (now, f"{name}_seen")]
        return f"all(map({how}, {', '.join(sides)}))"

    def _bound(self, name: str, alone: bool) -> dict[str, Any]:
        """The values that were seen, together and one by one."""
        closed = {f"{name}_closed": [i not in self.open for i in range(len(self.seen))]} if self.open else {}
        return {f"{name}_seen": self.seen} | closed | (
            {f"{name}_{i}": value for i, value in enumerate(self.seen) if i not in self.open} if alone else {})


class Contents(Place):
    """What is in a buffer or an array of numbers: `read` copies it, and the copies are compared; `write` puts one back."""

    def __init__(self, thing: Any, read: Callable[[], tuple[Any, ...]], write: Callable[[tuple[Any, ...]], None],
                 label: Callable[[Any], str]) -> None:
        super().__init__(read, label)
        self.thing, self.copy, self.write = thing, read, write
        self.holder = id(thing)

    def where(self, i: int) -> Where:
        """By the buffer, which is one value."""
        return id(self.thing), token("")

    def test(self, name: str) -> str:
        """Bytes and the like, which are equal without asking anybody."""
        return f"tuple({name}()) == {name}_seen"


class Objects(Place):
    """The items of a numpy array of objects."""

    def __init__(self, array: Any, label: Callable[[Any], str]) -> None:
        super().__init__(lambda: np.ndarray.flatten(array).tolist(), label)
        self.array = array
        self.holder = id(array)

    def where(self, i: int) -> Where:
        """By the array and the position."""
        return id(self.array), token(i)


class Sequence(Place):
    """The items of a list or the like."""

    def __init__(self, items: Any, label: Callable[[int], str]) -> None:
        self.items = items
        super().__init__(reader(items), label)
        self.holder = id(items)

    def where(self, i: int) -> Where:
        """By the list and the position."""
        return id(self.items), (int, i)

    def test(self, name: str) -> str:
        """As long, and all the same."""
        kind = type(self.items)
        if kind not in (list, deque, set):
            return super().test(name)
        if not self.seen:
            return f"not {name}"
        alone = kind is list and len(self.seen) <= _ALONE
        each = self._each(_one(f"{name}[{i}]", name, i, x) for i, x in enumerate(self.seen)) if alone else self._all(name, name)
        return f"len({name}) == {len(self.seen)} and {each}"

    def bind(self, name: str) -> dict[str, Any]:
        """The items now and then."""
        exact = type(self.items) in (list, deque, set)
        return {name: self.items if exact else self.read} | self._bound(name, type(self.items) is list)


class Members(Sequence):
    """The members of a set: one that was not touched gives them in the same order."""

    def let_go(self) -> Place:
        """They are compared by what they are."""
        return self

    def differences(self, now: tuple[Any, ...]) -> list[Change]:
        """One for all of them."""
        if len(now) == len(self.seen) and same_members(now, self.seen):
            return []
        return [(self.label(0), short(self.seen), short(now))]


class Variable(Place):
    """What a context variable is set to."""

    def __init__(self, variable: ContextVar[Any], label: str) -> None:
        self.variable = variable
        super().__init__(lambda: (variable.get(MISSING),), lambda i: label)
        self.holder = id(variable)

    def where(self, i: int) -> Where:
        """By the variable."""
        return id(self.variable), token("")


class Keys(Place):
    """The names in a table, whatever is under them."""

    def __init__(self, table: Mapping[str, Any], label: str) -> None:
        super().__init__(table.__iter__, lambda i: label)
        self.table = table

    def test(self, name: str) -> str:
        """The same in the same order."""
        return f"tuple({name}) == {name}_seen"

    def bind(self, name: str) -> dict[str, Any]:
        """The table, and the names that were in it."""
        return {name: self.table, f"{name}_seen": self.seen}

    def differences(self, now: tuple[Any, ...]) -> list[Change]:
        """One for all of them."""
        return [] if now == self.seen else [(self.label(0), shown(self.seen), shown(now))]


class Special(Place):
    """The special methods that a class has: one that comes later means something to Python, whether code names it or not."""

    def __init__(self, names: Mapping[str, Any], label: Callable[[str], str]) -> None:
        self.names, self.size = names, len(names)
        super().__init__(self._now, lambda i: label("__*__"))

    def _now(self) -> tuple[str, ...]:
        self.size = len(self.names)
        return tuple(n for n, x in self.names.items()
                     if n.startswith("__") and n not in _NO_METHODS and (callable(x) or x is None))

    def test(self, name: str) -> str:
        """As many names as there were: what another one stands for is seen elsewhere, if it matters."""
        return f"len({name}) == {name}_size"

    def bind(self, name: str) -> dict[str, Any]:
        """All names, and how many there were."""
        return {name: self.names, f"{name}_size": self.size}

    def changes(self) -> list[Change]:
        """One for all of them; if there is none, other names are there."""
        now = self._now()
        if sorted(now) != sorted(self.seen):
            return [(self.label(0), shown(self.seen), shown(now))]
        self.seen = now
        return []


_NO_METHODS = frozenset({"__doc__", "__slotnames__", "__module__", "__annotate__", "__annotations__"})


class _Entered(Place):
    """Values that are under keys of a table."""

    keys: tuple[Any, ...]

    def __init__(self, table: Any, read: Callable[[], Iterable[Any]], label: Callable[[Any], str]) -> None:
        super().__init__(read, lambda i: label(self.keys[i]))
        self.table, self.by_key = table, label
        self.holder = self.identity = holder_of(table)

    def where(self, i: int) -> Where:
        """By the table and the key."""
        return self.identity, token(self.keys[i])


class Entries(_Entered):
    """All entries of a dictionary, read past what its class may have made of it."""

    def __init__(self, table: Any, label: Callable[[Any], str]) -> None:
        self.dict: dict[Any, Any] = table if is_a(table, dict) else plain_dict(table)
        self.keys, self.order = tuple(dict.keys(self.dict)), tuple(keys(self.dict))
        shown = table if is_a(table, types.MappingProxyType) else self.dict
        super().__init__(shown, dict.values(self.dict).__iter__, label)

    def test(self, name: str) -> str:
        """The same keys in the same order, and the same values."""
        named = all(type(key) is str for key in self.order)
        order = f"tuple({name}_keys) == {name}_order" if named else f"all(map(is_, {name}_keys, {name}_order))"
        if named and type(self.dict) is dict and len(self.seen) <= _ALONE:
            each = self._each(_one(f"{name}_dict[{key!r}]", name, i, x) for i, (key, x) in enumerate(zip(self.keys, self.seen)))
        else:
            each = self._all(name, name)
        return " and ".join([f"len({name}) == {len(self.seen)}", *([order, each] if self.seen else [])])

    def bind(self, name: str) -> dict[str, Any]:
        """The dictionary now and then."""
        return {name: dict.values(self.dict), f"{name}_keys": keys(self.dict), f"{name}_order": self.order,
                f"{name}_dict": self.dict} | self._bound(name, type(self.dict) is dict)

    def changes(self) -> list[Change]:
        """Keys that have another value, or that came or went; else another order."""
        there, order = tuple(dict.keys(self.dict)), tuple(keys(self.dict))
        now = tuple(map(self.keep, dict.values(self.dict)))
        now = self._closed(now) if len(now) == len(self.seen) else now
        if len(now) == len(self.seen) and all(map(is_, order, self.order)) and all(map(is_, now, self.seen)):
            return []
        old, new = (dict(zip(map(token, names), zip(names, values)))
                    for names, values in ((self.keys, self.seen), (there, now)))
        pairs = {key: (old.get(key, (None, MISSING)), new.get(key, (None, MISSING))) for key in (*old, *new)}
        open = {token(self.keys[i]) for i in self.open}
        found = [change(Label.of(self.by_key(a[0] if key in old else b[0]), (self.identity, key)), a[1], b[1])
                 for key, (a, b) in pairs.items() if key not in open and not interchangeable(a[1], b[1])]
        if not found and tuple(map(token, order)) != tuple(map(token, self.order)):
            return [("the order of " + self.by_key(Text("...")), shown(list(self.order)), shown(list(order)))]
        if not found:
            self.seen, self.keys, self.order = now, there, order
        return found


class Names(_Entered):
    """Some entries of a table of names: globals or attributes."""

    def __init__(self, table: Any, names: Iterable[str], label: Callable[[str], str]) -> None:
        self.keys, self.get = tuple(names), partial(dict.get, table) if is_a(table, dict) else table.get
        super().__init__(table, lambda: map(self.get, self.keys, repeat(MISSING)), label)

    def test(self, name: str) -> str:
        """Each entry is the same; raises KeyError for one that is gone."""
        there = list(enumerate(zip(self.keys, self.seen)))
        if type(self.table) not in (dict, types.MappingProxyType):
            return self._each(_one(f"{name}({key!r}, MISSING)", name, i, value) for i, (key, value) in there)
        return self._each(f"{key!r} not in {name}_table" if value is MISSING else _one(f"{name}_table[{key!r}]", name, i, value)
                          for i, (key, value) in there)

    def bind(self, name: str) -> dict[str, Any]:
        """The table, its `get`, and the objects that were there."""
        return {name: self.get, f"{name}_table": self.table} | self._bound(name, True)


def _one(now: str, name: str, i: int, value: Any) -> str:
    """The test that what is there now is what was seen at i."""
    return f"{now} is {name}_{i}() is not None" if type(value) is Weakly else f"{now} is {name}_{i}"


_ALONE = 256  # up to so many values of one place are compared one by one, which takes half as long as a loop in C


class Attribute(Place):
    """One attribute of several objects, each with what to call it: what is in cells, the code of functions."""

    def __init__(self, name: str, objects: Iterable[tuple[str, Any]]) -> None:
        labels, self.objects = zip(*objects, strict=True)
        self.name = name
        super().__init__(lambda: (value_of(x, name) for x in self.objects), lambda i: labels[i])

    def where(self, i: int) -> Where:
        """By the object: it has one such attribute."""
        return id(self.objects[i]), token("" if self.name == "cell_contents" else self.name)

    def test(self, name: str) -> str:
        """Each object has the same; raises ValueError at a cell that is empty by now."""
        return self._each("True" if value is MISSING else _one(f"{name}_o{i}.{self.name}", name, i, value)
                          for i, value in enumerate(self.seen))

    def bind(self, name: str) -> dict[str, Any]:
        """The objects and what they had."""
        return {f"{name}_o{i}": x for i, x in enumerate(self.objects)} | self._bound(name, True)


def of_referents(name: str, objects: Iterable[tuple[str, Any]]) -> Place:
    """The same of objects that are not kept alive."""
    labels, found = zip(*((label, weakref.ref(x)) for label, x in objects), strict=True)
    return Place(lambda: [value_of(ref(), name) for ref in found], lambda i: labels[i]).let_go()


class Kinds(Place):
    """The classes of several objects, each with what to call it."""

    def __init__(self, objects: Iterable[tuple[str, Any]]) -> None:
        labels, self.objects = zip(*objects, strict=True)
        super().__init__(lambda: map(type, self.objects), lambda i: f"the class of {labels[i]}")

    def test(self, name: str) -> str:
        """Each is of the same class."""
        return " and ".join(f"type({name}_o{i}) is {name}_{i}" for i in range(len(self.seen)))

    def bind(self, name: str) -> dict[str, Any]:
        """The objects and their classes."""
        return {f"{name}_o{i}": x for i, x in enumerate(self.objects)} | self._bound(name, True)


class Dictionaries(Place):
    """Which dictionaries several objects have their attributes in, each object with what to call it, while `Kinds` holds."""

    def __init__(self, objects: Iterable[tuple[str, Any]]) -> None:
        there = [(label, get, x) for label, x in objects if (get := reader_of_attributes(type(x))) is not None]
        self.reads = [partial(get, x) for _, get, x in there]
        super().__init__(lambda: [attributes(x) for _, _, x in there], lambda i: f"{there[i][0]}.__dict__")

    def test(self, name: str) -> str:
        """Each has the very same one."""
        return self._each(f"{name}_r{i}() is {name}_{i}" for i in range(len(self.seen)))

    def bind(self, name: str) -> dict[str, Any]:
        """What reads them, and the dictionaries."""
        return {f"{name}_r{i}": read for i, read in enumerate(self.reads)} | self._bound(name, True)

    def differences(self, now: tuple[Any, ...]) -> list[Change]:
        """Another one is another one, be it equal: what is read of the object would be read of the first."""
        return [change(self.label(i), old, new) for i, (old, new) in enumerate(zip(self.seen, now)) if old is not new]


def value_of(x: Any, name: str) -> Any:
    """An attribute, if there is anything in it: a cell may be empty."""
    try:
        return getattr(x, name)
    except (AttributeError, ValueError):
        return MISSING


_MEANT = {"is_": is_, "same": same, "MISSING": MISSING, "compress": compress}  # what every test may name


class Watch:
    """Places that a trace depends on.

    `_same` tests for the same objects, and raises LookupError for an entry that is gone, ValueError at an empty cell. It is
    part of every call, so it is put together as one expression: a loop over places takes three times as long.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._places: dict[str, Place] = {}
        self._names: dict[str, Any] = dict(_MEANT)
        self._same: Callable[[], bool] = bool
        self._count = count()
        self.open: set[Where] = set()  # of values that are looked at by somebody else
        self.add(places)

    def add(self, places: Iterable[Place]) -> None:
        """Watch these too."""
        more = {f"p{i}": place for i, place in zip(self._count, places)}
        self._places |= more
        if more or not self._places:
            self._put_together()
        for name, place in more.items():
            self._names.update(place.bind(name))

    def _put_together(self) -> None:
        tests = [place.test(name) for name, place in self._places.items()]
        self._same = eval(f"lambda: {' and '.join(tests) or True}", self._names)

    def leave_open(self) -> None:
        """From now on look past what is `open`."""
        self._names = dict(_MEANT)
        for name, place in self._places.items():
            place.leave(self.open)
            self._names.update(place.bind(name))
        self._put_together()

    def changes(self) -> list[Change]:
        """All that has changed, but for what is `open`."""
        found = []
        for name, place in self._places.items():
            before = place.seen
            found += place.changes()
            if place.seen is not before:  # equal values in new objects
                self._names.update(place.bind(name))
        return found

    def take_out(self, holders: Collection[int]) -> None:
        """Do not watch these places any more, by the ids of what holds the values."""
        for name in [name for name, place in self._places.items() if place.holder in holders]:
            del self._places[name]

    def places(self) -> Collection[Place]:
        """All of them."""
        return self._places.values()
