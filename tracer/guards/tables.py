"""Tables of names, globals and attributes, and which of their names code reads."""

from __future__ import annotations

import functools
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

from ..tensor.tensor import _OWN, Tensor
from .identity import MISSING
from .places import Entries, Keys, Names, Place
from .statics import attributes, defined, field, is_a, mro
from .statics import table as names_of
from .whose import SIGNATURES, is_method, read_by_library, read_by_ours, users_class

CONTAINERS = (list, dict, set, deque)
_NOT_HIDDEN = (property, functools.cached_property, types.MemberDescriptorType)  # win over attributes of the object
_FIELDS = (types.MemberDescriptorType, types.GetSetDescriptorType)
# What a module or an optimizer is made of: guarded as its structure.
OF_STRUCTURE = frozenset({"_parameters", "_buffers", "_modules", "_hooks", "_non_persistent_buffers_set",
                          "state", "param_groups"})


class Walk(Protocol):
    """What is known of the code that was found so far.

    `mentioned` and `called` are attributes with the names in front of them, `computed` names in front that may stand for
    any object, `grown` attributes that are containers which code only puts things in, `doubted` attributes that it can do
    without, with the names in front or the id of the class of whose instances it reads them, `advanced` what it counts in (see
    `Mentions`). `texts` are those that it may read. `makes` says that it may make instances of any class it has an instance of.
    `keys` are tensors that are keys of dictionaries, or members of sets. `attributes` are the tables it was looked at in,
    `aliases` the names under which objects were found, `paths` the ways to them, `whole_behind` names in front of
    attributes whose names code computes, `everything` says that it does so of any object,
    `tables` what users' objects hold, `seen` what was looked at.
    """

    mentioned: dict[str, set[str | None]]
    called: dict[str, set[str | None]]
    computed: set[str | None]
    grown: set[str]
    bound: set[str]
    advanced: set[str]
    doubted: dict[str, set[str | int | None]]
    texts: set[str]
    makes: bool
    keys: dict[Tensor, None]
    attributes: list[Table]
    paths: dict[int, set[str]]
    whole_behind: set[str]
    everything: bool
    aliases: dict[int, set[str]]
    tables: list[tuple[dict[str, Any], str]]
    seen: dict[int, tuple[Any, str]]

    def later(self, value: Any, path: str) -> None:
        """Look at a value when its turn comes."""

    def puts_in(self, container: Any, path: str, find: Callable[[], Any]) -> None:
        """Code only puts things in this container, or in another one that `find` gives later."""

    def weakly(self, value: Any, path: str) -> None:
        """The same of what a weak reference leads to: it must not be kept alive, nor what it leads to."""

    def watch(self, place: Place) -> tuple[Any, ...]:
        """Look at a place again at each call; gives what is there now."""

    def is_whole(self, kinds: Iterable[type], aliases: Iterable[set[str]]) -> bool:
        """Whether code reads attributes of such an object by names that are not in it."""


@dataclass(frozen=True)
class Reads:
    """The attributes that code reads: `names`, those of them it can do without, and where it computes some.

    It does so of any object if `everything`, else of instances of the classes in `whole_of`. `by_us` are those that methods
    of ours read of the modules and optimizers that were found.
    """

    names: frozenset[str]
    asked: frozenset[str]
    everything: bool
    whole_of: frozenset[int]
    by_us: frozenset[str] | None

    def of_module(self, kind: type) -> frozenset[str] | None:
        """The attributes of modules of a class that are read by users' code or by methods of ours; None for all."""
        ours = read_by_ours(kind)
        if ours is None or self.everything or any(id(base) in self.whole_of for base in mro(kind)):
            return None
        return ours | self.names

    def by_users(self, kind: type) -> frozenset[str] | None:
        """Those of them that users' code reads."""
        return None if self.of_module(kind) is None else self.names

    def may_read(self, name: Any) -> bool:
        """Whether code may read an attribute of this name."""
        return self.everything or bool(self.whole_of) or self.by_us is None or name in self.names or name in self.by_us

    def of_tensor(self, x: Tensor) -> list[str]:
        """The attributes that a user gave to a tensor, or that code can do without, of those that code reads."""
        given = [n for n in x.__dict__ if n not in _OWN and (self.everything or n in self.names)]
        return given + [n for n in self.asked if n not in given and defined(type(x), n, MISSING) is MISSING]


class Table:
    """A table of names, globals or attributes, of which those are read that code mentions.

    `always` are read by code that is not followed, of a class of Python's, `library`, by those of its methods that are
    called; `may_come` are names that mean something else until they are there; `whole` says that all are read where code
    computes some names, of objects of the classes `kinds` or `behind` these names; `aliases` are the names of the objects
    whose attributes these are, so that `optimizer.step` means nothing to another object's `step`; None stands for any.
    `strict` takes these alone for the object's names; of `answered` ones a `__getattr__` gives those that are nowhere, until
    they come. Of `structured` ones, what they are made of is guarded elsewhere.
    """

    def __init__(self, table: Any, label: Callable[[str], str], watched: bool = True, always: frozenset[str] = frozenset(),
                 may_come: frozenset[str] = frozenset(), whole: bool = True, aliases: list[set[str]] | None = None,
                 behind: list[set[str]] | None = None, kinds: tuple[type, ...] = (), strict: bool = False,
                 library: type | None = None, structured: bool = False, answered: bool = False) -> None:
        self.table, self.label, self.watched, self.always, self.may_come = table, label, watched, always, may_come
        self.aliases, self.behind, self.kinds, self.strict, self.library = aliases, behind, kinds, strict, library
        self.left_out = OF_STRUCTURE if structured else frozenset[str]()
        self.keys: dict[str, None] = {}
        self.may_be_whole, self.whole = whole, False
        self.answered = answered
        self.makes = False  # of a class: whether code may call it
        self.weak = False  # whether it was found behind a weak reference: then nothing is kept alive

    def add(self, name: str, walk: Walk, path: str) -> None:
        """Read this name."""
        if name not in self.keys:
            self.keys[name] = None
            walk.later(self.table.get(name), path)

    def look(self, walk: Walk) -> None:
        """Read the names that code mentions by now."""
        self.whole = self.may_be_whole and walk.is_whole(self.kinds, self.behind or self.aliases or ())
        there = self.table.keys()
        meant = {n for n in walk.mentioned.keys() & (there | self.may_come) if self._means(walk, walk.mentioned[n])}
        meant |= {n for n in walk.called.keys() & (there | self.may_come) if self._means(walk, walk.called[n])
                  and (is_method(self.table.get(n)) or n in self.may_come)}
        grown = set() if self.strict else walk.grown & there
        meant |= {n for n in grown if n in walk.bound or not is_a(self.table.get(n), CONTAINERS)}
        for name in grown - meant:
            walk.puts_in(self.table.get(name), self.label(name), partial(self.table.get, name))
        whole = {n for n in there if not n.startswith("__")} if self.whole else set()
        if self.whole or (not self.may_be_whole and walk.is_whole(self.kinds, self.behind or self.aliases or ())):
            whole |= walk.texts & there  # a name that is computed is likely to be one of the texts that code reads
        whole -= self.left_out
        for name in (meant | whole | self._always(walk, there) | self._missing(walk, there)) - self.keys.keys():
            self.add(name, walk, self.label(name))

    def _missing(self, walk: Walk, there: Collection[str]) -> set[str]:
        """Names that code looks for and can do without, or that are made up for it."""
        ours = [{id(kind) for kind in self.kinds}, *(self.behind or self.aliases or ())]
        kind = self.kinds[0] if self.kinds else object
        read = (walk.doubted, walk.mentioned, walk.called) if self.answered else (walk.doubted,)
        return {n for names in read for n, owners in names.items() if n not in there and defined(kind, n, MISSING) is MISSING
                and (None in owners or any(not owners.isdisjoint(own) for own in ours))}

    def _always(self, walk: Walk, there: Collection[str]) -> set[str]:
        if self.library is not None:
            read = read_by_library(self.library, frozenset(walk.called.keys() | walk.mentioned.keys()))
            return {n for n in there if read is None or n in read}
        return {n for n in self.always if n in there and (self.makes or walk.makes or n not in SIGNATURES)}

    def _means(self, walk: Walk, owners: set[str | None]) -> bool:
        """Whether an attribute behind one of these names may be one of this object."""
        return (self.aliases is None or any(not owners.isdisjoint(names) for names in self.aliases)
                or (not self.strict and any(owner in walk.computed for owner in owners)))

    def places(self) -> Iterator[Place]:
        """Where the values are read again."""
        if self.watched and self.whole and self.keys.keys() >= self.table.keys() and is_a(self.table, dict):
            yield Entries(self.table, self.label)
            return
        if self.watched and self.keys.keys() - self.left_out:
            names = Names(self.table, [n for n in self.keys if n not in self.left_out], self.label)
            yield names.let_go() if self.weak else names
        if self.watched and self.whole:
            yield Keys(self.table, self.label("*"))


def one_before_another(found: Iterable[Table], kind: type, answered: bool) -> None:
    """What a class in the order of `kind` has, or the class of `kind`, may come in each before it, be that above it or not.

    So may what a `__getattr__` gives.
    """
    behind: dict[type, frozenset[str]] = {}
    names = may_be_hidden(type(kind))
    for base in reversed(mro(kind)):
        behind[base] = names
        names |= {n for n in names_of(base) if users_class(base) or not n.startswith("__")}
    for one in found:
        one.may_come |= behind[one.kinds[0]] - one.table.keys()
        one.answered = one.answered or answered


def may_be_hidden(kind: type) -> frozenset[str]:
    """What users' classes define of an object and an attribute of its own would hide."""
    return frozenset(n for base in mro(kind) if users_class(base) for n, v in names_of(base).items() if not is_a(v, _NOT_HIDDEN))


@lru_cache(maxsize=4096)
def slots_of(kind: type) -> dict[str, Any]:
    """The slots that users' classes give to objects of a class."""
    return {n: v for base in mro(kind) if users_class(base) for n, v in names_of(base).items()
            if is_a(v, types.MemberDescriptorType)}


@lru_cache(maxsize=4096)
def fields_of(kind: type) -> dict[str, Any]:
    """The same, and of exceptions what they keep in C: `args` and the like."""
    kept = {n: v for base in reversed(mro(kind)) if BaseException in mro(base) and not users_class(base)
            for n, v in names_of(base).items() if is_a(v, _FIELDS) and n not in ("__dict__", "__traceback__")}
    return kept | slots_of(kind)


class Slots:
    """The slots of an object, by name; `refers` leads to the object."""

    def __init__(self, owner: Any, slots: Mapping[str, Any], refers: Callable[[], Any] | None = None) -> None:
        self._owner, self._refers, self.slots = None if refers else owner, refers, slots

    @property
    def owner(self) -> Any:
        """The object."""
        return self._owner if self._refers is None else self._refers()

    def keys(self) -> Collection[str]:
        """The names of the slots."""
        return self.slots.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.slots)

    def __len__(self) -> int:
        return len(self.slots)

    def __setitem__(self, name: str, value: Any) -> None:
        """Put something into a slot."""
        self.slots[name].__set__(self.owner, value)

    def __delitem__(self, name: str) -> None:
        """Empty a slot."""
        self.slots[name].__delete__(self.owner)

    def get(self, name: str, default: Any = None) -> Any:
        """What a slot holds."""
        return default if (owner := self.owner) is None or name not in self.slots else field(owner, self.slots[name], default)


class OfThread:
    """The attributes that a `threading.local` has in the thread that asks."""

    def __init__(self, owner: threading.local) -> None:
        self.owner = owner

    def keys(self) -> Collection[str]:
        """The names that are there."""
        return attributes(self.owner).keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __setitem__(self, name: str, value: Any) -> None:
        """Set one."""
        attributes(self.owner)[name] = value

    def __delitem__(self, name: str) -> None:
        """Delete one."""
        del attributes(self.owner)[name]

    def get(self, name: str, default: Any = None) -> Any:
        """What is under a name."""
        return attributes(self.owner).get(name, default)


class Given:
    """The attributes that a user gave to a tensor, or to another thing that has these of its own. It keeps neither alive."""

    def __init__(self, owner: Any, own: frozenset[str] = _OWN) -> None:
        self._owner, self.own = weakref.ref(owner), own

    @property
    def owner(self) -> Any:
        """The thing, or None."""
        return self._owner()

    @property
    def table(self) -> dict[str, Any]:
        """All its attributes; none if it is gone."""
        return attributes(self._owner())

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute."""
        return self.table.get(name, default)

    def keys(self) -> Collection[str]:
        """The names that are there."""
        return self.table.keys() - self.own

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __setitem__(self, name: str, value: Any) -> None:
        """Set one."""
        self.table[name] = value

    def __delitem__(self, name: str) -> None:
        """Delete one."""
        del self.table[name]


class OfReferent(Given):
    """The attributes of an object that a weak reference leads to, which others write through its dictionary."""

    def __init__(self, owner: Any) -> None:
        super().__init__(owner, frozenset())

    @property
    def own_table(self) -> dict[str, Any]:
        """This dictionary."""
        return self.table


def table_of(x: Any, own: dict[str, Any], ref: weakref.ref[Any] | None) -> Any:
    """The attributes of an object, as they are read at each call; of one that must not be kept alive, by a reference to it."""
    if is_a(x, threading.local):
        return OfThread(x)
    return OfReferent(x) if own and ref is not None else own


def attributes_to_set(x: Any) -> Iterator[Any]:
    """What holds the attributes of an object: its own dictionary, its slots; of classes and modules others know."""
    if is_a(x, threading.local):
        yield OfThread(x)
    elif is_a(x, Tensor):
        yield Given(x)
    elif not is_a(x, type):
        own = attributes(x)
        if own is attributes(x) and "_parameters" not in own:  # else it has none
            yield own
        slots = fields_of(mro(type(x))[0])
        if slots:
            yield Slots(x, slots)
