"""Mutable things outside a traced function, as they were before the trace: what it does to them is found, and undone."""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import is_
from typing import Any

import numpy as np

from .identity import MISSING, token
from .places import Attribute, Contents, Entries, Members, Names, Objects, Place, Sequence, Variable, Where, holder_of
from .tables import OfReferent
from .texts import Label


class Owner:
    """Something that holds values under keys; `before` is what it held."""

    grown = False  # whether code only puts things in, so that what it holds means nothing to a trace
    copied = False  # whether what it holds is no thing of the user's, but a copy made to be compared
    placed = True  # whether a key is a place, where the next call finds what this one left
    named = False  # whether a key is the name of an attribute, which code reads as one or not at all
    fresh = False  # whether it came to be in the trace, and stays with a function that remembers its results

    def __init__(self, thing: Any, label: Callable[[Any], str]) -> None:
        self.thing, self.label = thing, label
        self.before = self.held()
        self.hidden: dict[Any, Any] = {}  # of this, what a mark stands for now
        self.order: tuple[Any, ...] = ()  # of the keys after the trace

    @property
    def moved(self) -> tuple[Any, ...]:
        """The keys that the trace took out and put in again: the last ones, where they do not come by edits alone."""
        return ()

    @property
    def identity(self) -> int:
        """The same whenever the function is looked at."""
        return id(self.thing)

    def where(self, key: Any) -> Where:
        """What tells what is under a key from all others that may be called like it."""
        return self.identity, token(key)

    def name_at(self, key: Any) -> Label:
        """What to call what is under a key, with where it is."""
        return Label.of(self.label(key), self.where(key))

    def held(self) -> dict[Any, Any]:
        """What it holds now."""
        raise NotImplementedError

    def hold(self, values: Mapping[Any, Any]) -> None:
        """Let it hold these values and nothing else."""
        raise NotImplementedError

    def get(self, key: Any) -> Any:
        """What is under a key, or MISSING."""
        return self.held().get(key, MISSING)

    def put_last(self, keys: Iterable[Any]) -> None:
        """Let these keys be the last, in this order; only where keys have an order of their own."""

    def edits(self) -> dict[Any, Any]:
        """What became other than before, with MISSING for what is gone; undone now."""
        now = self.held()
        self.order = tuple(now)
        if self.order == tuple(self.before) and all(a is b for a, b in zip(now.values(), self.before.values())):
            found = {}
        else:
            found = {k: v for k, v in now.items() if v is not self.before.get(k, MISSING)}
            found.update(dict.fromkeys((k for k in self.before if k not in now), MISSING))
        if self.hidden:
            self.before, self.hidden = {**self.before, **self.hidden}, {}
        elif not found and len(now) == len(self.before) and all(map(is_, now, self.before)):
            return {}  # under the very same keys: a scalar is equal to its number
        self.hold(self.before)
        return found

    def adopt(self, key: Any, value: Any) -> None:
        """What is under a key was made for real: it is no edit."""
        self.before = {**self.before, key: value}

    def hide(self, marks: Mapping[Any, Any]) -> None:
        """Put marks under these keys until `edits()`: so it is seen also if they are set to what was there."""
        self.hidden |= {key: self.before[key] for key in marks}
        self.before = {**self.before, **marks}
        self.edit(marks)

    def edit(self, edits: Mapping[Any, Any]) -> None:
        """Let it hold other values under some keys, MISSING for nothing."""
        values = {**self.held(), **edits}
        self.hold({k: v for k, v in values.items() if v is not MISSING})


class Table(Owner):
    """A dictionary, or with `keys` some entries of one, read and written past the methods of its class."""

    def __init__(self, thing: dict[Any, Any], label: Callable[[Any], str], keys: tuple[Any, ...] | None = None) -> None:
        self.keys = keys
        self.kind: Any = OrderedDict if isinstance(thing, OrderedDict) else dict
        super().__init__(thing, label)

    def held(self) -> dict[Any, Any]:
        """The entries, in their order."""
        if self.keys is None:
            held = dict(dict.items(self.thing))
            return held if self.kind is dict else {key: held[key] for key in OrderedDict.__iter__(self.thing)}
        keys = frozenset(self.keys)
        return {k: v for k, v in dict.items(self.thing) if k in keys}

    def get(self, key: Any) -> Any:
        """The entry."""
        return dict.get(self.thing, key, MISSING)

    @property
    def moved(self) -> tuple[Any, ...]:
        """The keys that do not come where editing leaves or puts them, and those behind."""
        after = set(self.order)
        edited = [*(k for k in self.before if k in after), *(k for k in self.order if k not in self.before)]
        places = {id(key): place for place, key in enumerate(edited)}
        found = [places.get(id(key), -1) for key in self.order]
        return next((self.order[i:] for i in range(1, len(found)) if found[i] < found[i - 1]), ())

    def put_last(self, keys: Iterable[Any]) -> None:
        """Let these be the last, in this order."""
        for key in keys:
            value = dict.get(self.thing, key, MISSING)
            if value is not MISSING:
                self.kind.__delitem__(self.thing, key)
                self.kind.__setitem__(self.thing, key, value)

    def hold(self, values: Mapping[Any, Any]) -> None:
        """Entries that stay keep their places, if they are in this order, under the very same keys."""
        held, wanted = list(self.held()), list(values)
        stay = [k for k in held if k in values]
        in_order = len(stay) <= len(wanted) and all(map(is_, stay, wanted))
        gone = [k for k in held if k not in values] if in_order else held
        for key in gone:
            self.kind.__delitem__(self.thing, key)
        for key, value in values.items():
            if dict.get(self.thing, key, MISSING) is not value:
                self.kind.__setitem__(self.thing, key, value)

    def edit(self, edits: Mapping[Any, Any]) -> None:
        """The entries that are meant alone."""
        for key, value in edits.items():
            if value is not MISSING:
                self.kind.__setitem__(self.thing, key, value)
            elif dict.__contains__(self.thing, key):
                self.kind.__delitem__(self.thing, key)


class ObjectTable(Table):
    """Attributes of an object."""

    named = True


class ModuleTable(ObjectTable):
    """Attributes of a module, which are part of a structure; `keys_set` are those that the trace set."""

    def __init__(self, thing: dict[Any, Any], label: Callable[[Any], str], keys: tuple[Any, ...] | None = None) -> None:
        super().__init__(thing, label, keys)
        self.keys_set: set[Any] = set()


class RegisteredTable(ModuleTable):
    """Parameters, children or hooks, which code also goes through without naming them."""

    named = False


class StateTable(Table):
    """The state of an optimizer, or of one of its parameters, which is part of a structure."""


class OptionsTable(Table):
    """Options of a group of parameters. What a step reads of them it knows by itself, number by number.

    What it sets (`keys_set`) it sets at each call, also where it found the very same.
    """

    placed = False

    def __init__(self, thing: dict[Any, Any], label: Callable[[Any], str]) -> None:
        super().__init__(thing, label)
        self.keys_set: set[Any] = set()

    def edits(self) -> dict[Any, Any]:
        """What it set; undone now."""
        now = self.held()
        self.order = tuple(now)
        self.hold(self.before)
        return {key: now.get(key, MISSING) for key in (*now, *self.keys_set - now.keys()) if key in self.keys_set}


class ClassTable(Owner):
    """The attributes of a class, seen through the proxy that is its `__dict__`; what has a special name is Python's own."""

    named = True

    def __init__(self, kind: type, thing: Any, label: Callable[[Any], str]) -> None:
        self.kind = kind
        super().__init__(thing, label)

    @property
    def identity(self) -> int:
        """That of the table itself: each look at it makes another proxy."""
        return holder_of(self.thing)

    def held(self) -> dict[Any, Any]:
        """The attributes that are there."""
        return {k: v for k, v in self.thing.items() if not k.startswith("__")}

    def get(self, key: Any) -> Any:
        """The attribute, not asked for what it gives instead of itself."""
        return self.thing.get(key, MISSING)

    def hold(self, values: Mapping[Any, Any]) -> None:
        """These."""
        self.edit({**dict.fromkeys(self.held().keys() - values.keys(), MISSING), **values})

    def edit(self, edits: Mapping[Any, Any]) -> None:
        """Set those that are others, past what a class of the class makes of it."""
        for key, value in edits.items():
            if value is MISSING and key in self.thing:
                type.__delattr__(self.kind, key)
            elif self.get(key) is not value:
                type.__setattr__(self.kind, key, value)


class Items(Owner):
    """A list or a deque."""

    def held(self) -> dict[Any, Any]:
        """The items by position."""
        return dict(enumerate(self.thing))

    def get(self, key: Any) -> Any:
        """The item."""
        return self.thing[key] if key < len(self.thing) else MISSING

    def hold(self, values: Mapping[Any, Any]) -> None:
        """These, in order."""
        if isinstance(self.thing, list):
            list.__setitem__(self.thing, slice(None), values.values())
        else:
            deque.clear(self.thing)
            deque.extend(self.thing, values.values())


class Fields(Owner):
    """Attributes of an object, some or all, that are in no dictionary of their own: slots, or those of one thread."""

    named = True

    def __init__(self, thing: Any, label: Callable[[Any], str], keys: tuple[Any, ...] | None) -> None:
        self.keys = keys
        super().__init__(thing, label)

    @property
    def identity(self) -> int:
        """That of the object: what reads its attributes is made anew."""
        return holder_of(self.thing)

    def held(self) -> dict[Any, Any]:
        """The attributes that are there."""
        keys = self.thing.keys() if self.keys is None else self.keys
        return {k: v for k in keys if (v := self.thing.get(k, MISSING)) is not MISSING}

    def hold(self, values: Mapping[Any, Any]) -> None:
        """Set those that are others."""
        for key in self.held().keys() - values.keys():
            del self.thing[key]
        for key, value in values.items():
            if self.thing.get(key, MISSING) is not value:
                self.thing[key] = value


class MembersOf(Owner):
    """A set."""

    placed = False

    def held(self) -> dict[Any, Any]:
        """Its members, as keys."""
        return dict.fromkeys(self.thing, True)

    def hold(self, values: Mapping[Any, Any]) -> None:
        """These."""
        set.clear(self.thing)
        set.update(self.thing, values)


class Buffer(Owner):
    """What is in a buffer or an array of numbers, as a whole."""

    copied = True

    def __init__(self, place: Contents) -> None:
        self.place = place
        super().__init__(place.thing, place.label)

    def held(self) -> dict[Any, Any]:
        """A copy of it."""
        return {"": self.place.copy()}

    def hold(self, values: Mapping[Any, Any]) -> None:
        """This."""
        self.place.write(values[""])

    def edits(self) -> dict[Any, Any]:
        """All of it, if it became other than before; undone now."""
        now = self.place.copy()
        if now == self.before[""]:
            return {}
        self.hold(self.before)
        return {"": now}


class ObjectArray(Owner):
    """A numpy array of objects."""

    def held(self) -> dict[Any, Any]:
        """The items, by position."""
        return dict(enumerate(np.ndarray.flatten(self.thing).tolist()))

    def hold(self, values: Mapping[Any, Any]) -> None:
        """These."""
        items = np.empty(len(values), object)
        for i, value in values.items():
            items[i] = value
        np.ndarray.__setitem__(self.thing, ..., items.reshape(np.shape(self.thing)))


class ClassOf(Owner):
    """The class that an object is of."""

    @property
    def identity(self) -> int:
        """Not that of the object, which others know."""
        return -id(self.thing)

    def held(self) -> dict[Any, Any]:
        """It."""
        return {"__class__": type(self.thing)}

    def hold(self, values: Mapping[Any, Any]) -> None:
        """Let it be of this class."""
        object.__setattr__(self.thing, "__class__", values["__class__"])


class Cell(Owner):
    """A variable of a closure."""

    def held(self) -> dict[Any, Any]:
        """What is in it."""
        try:
            return {"": self.thing.cell_contents}
        except ValueError:
            return {}

    def hold(self, values: Mapping[Any, Any]) -> None:
        """This."""
        if values:
            self.thing.cell_contents = values[""]
        else:
            del self.thing.cell_contents


class VariableOf(Owner):
    """A context variable; one that was set does not become one that was not."""

    def held(self) -> dict[Any, Any]:
        """What it is set to."""
        value = self.thing.get(MISSING)
        return {} if value is MISSING else {"": value}

    def hold(self, values: Mapping[Any, Any]) -> None:
        """This."""
        if values and self.get("") is not values[""]:
            self.thing.set(values[""])


def module_owners(own: dict[str, Any], label: Callable[[Any], str]) -> Iterator[Owner]:
    """What holds all that makes a module with these attributes what it is."""
    yield ModuleTable(own, label)
    if "_parameters" in own:
        yield ModuleTable(own["_buffers"], label)
        yield RegisteredTable(own["_parameters"], label)
        yield RegisteredTable(own["_modules"], label)
        yield MembersOf(own["_non_persistent_buffers_set"], label)
        if own["_hooks"] is not None:
            for kind, table in own["_hooks"].tables.items():
                yield RegisteredTable(table, lambda key, kind=kind: label(f"hooks.{kind}[{key}]"))  # type: ignore[misc]


def owners_of(places: Iterable[Place]) -> Iterable[Owner]:
    """What holds the values that were seen at these places."""
    for place in places:
        if isinstance(place, Entries):
            yield (StateTable if hasattr(type(place.dict), "_structural") else Table)(place.dict, place.by_key)
        elif isinstance(place, Members):
            if type(place.items) is set:
                yield MembersOf(place.items, lambda key, place=place: place.label(0))  # type: ignore[misc]
        elif isinstance(place, Sequence):
            if isinstance(place.items, (list, deque)):
                yield Items(place.items, place.label)
        elif isinstance(place, Contents):
            yield Buffer(place)
        elif isinstance(place, Objects):
            if place.array.dtype == object:
                yield ObjectArray(place.array, place.label)
        elif isinstance(place, Variable):
            yield VariableOf(place.variable, lambda key, place=place: place.label(0))  # type: ignore[misc]
        elif isinstance(place, Names):
            if isinstance(place.table, dict):
                yield Table(place.table, place.by_key, place.keys)
            elif not isinstance(place.table, (types.MappingProxyType, OfReferent)):
                yield Fields(place.table, place.by_key, place.keys)
        elif isinstance(place, Attribute) and place.name == "cell_contents":
            for i, cell in enumerate(place.objects):
                if isinstance(cell, types.CellType):
                    yield Cell(cell, lambda key, i=i, place=place: place.label(i))  # type: ignore[misc]
