"""Functions under `functools.lru_cache` and `cache`: what they remember, and whether they still do.

The implementation in C shows its entries to the collector of garbage alone, and takes none. So what a trace leaves there
stays where it is, and its tensors become real in place.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Any

from ..tensor.nested import all_leaves
from ..tensor.tensor import Tensor
from .identity import MISSING, interchangeable, kept_weakly, token
from .places import Place
from .statics import is_a, name_of, reader
from .texts import Change, Text, shown

_INFO: Callable[[Any], tuple[int, ...]] = type(functools.lru_cache(lambda: None)).__dict__["cache_info"]
_LINK = "_lru_list_elem"  # what the C implementation keeps results in, if their number has a bound


class Remembering:
    """A function that remembers its results, as it was before the trace."""

    def __init__(self, function: Any, names_read: Callable[[Any], Collection[str] | None]) -> None:
        self.function, self._names_read = function, names_read
        self._names: Any = MISSING  # looked up when they are asked for, which is seldom
        self.before = {key: id(result) for key, _, result in self.entries()}
        self._asked = self._counts()

    def may_read(self, name: str) -> bool:
        """Whether the function reads a variable, an attribute or a key of this name, or may."""
        if self._names is MISSING:
            self._names = self._names_read(self.function.__wrapped__)
        return self._names is None or name in self._names

    @property
    def name(self) -> str:
        """What to call it."""
        return str(getattr(self.function, "__name__", name_of(type(self.function))))

    def _counts(self) -> tuple[int, int]:
        hits, misses, *_ = _INFO(self.function)
        return hits, misses

    def found(self) -> set[Hashable]:
        """What was there before and may have been asked for since: if their number has a bound, of those used last."""
        (hits, misses), (hits_before, misses_before) = self._counts(), self._asked
        asked = hits + misses - hits_before - misses_before
        if hits == hits_before and asked >= 0:
            return set()
        there = [place for place, _, result in self.entries() if self.before.get(place) == id(result)]
        fresh = len(self.fresh())
        return set(there[-max(asked - fresh, 1):] if asked > 0 and self._bounded() else there)

    def _bounded(self) -> bool:
        table = self._inside()[1]
        return bool(table) and name_of(next(iter(table.values()))) == _LINK

    def entries(self) -> Iterator[tuple[Hashable, Any, Any]]:
        """What is remembered: a token of the arguments, the key, and the result; what was used last comes last."""
        yield from ((token(key), key, result) for key, result in self._pairs())

    def by_key(self) -> dict[int, tuple[Any, Any]]:
        """Key and result, by the id of the key."""
        return {id(pair[0]): pair for pair in self._pairs()}

    def _pairs(self) -> Iterable[tuple[Any, Any]]:
        links, table = self._inside()
        if not table or name_of(next(iter(table.values()))) != _LINK:
            return table.items()
        there = set(map(id, table))
        found: dict[int, tuple[Any, Any]] = {}
        for pair in links:  # one that was forgotten and came again is among them twice
            if id(pair[0]) in there:
                found.pop(id(pair[0]), None)
                found[id(pair[0])] = pair
        return found.values()

    def _inside(self) -> tuple[list[tuple[Any, Any]], dict[Any, Any]]:
        """Keys and results in the order of their use, if their number has a bound, and the table of all keys."""
        inside, at = gc.get_referents(self.function), 1
        link = inside[3] if len(inside) > 3 and is_a(inside[3], type) and name_of(inside[3]) == _LINK else self
        while at + 2 < len(inside) and inside[at + 2] is link:
            at += 3
        table = inside[at] if at < len(inside) else None
        return list(zip(inside[1:at:3], inside[2:at:3])), table if isinstance(table, dict) else {}

    def fresh(self) -> dict[Hashable, tuple[Any, Any]]:
        """What came since: key and result."""
        return {place: (key, result) for place, key, result in self.entries() if self.before.get(place) != id(result)}

    def results_before(self) -> Iterator[Any]:
        """What was remembered before and still is."""
        return (result for place, _, result in self.entries() if self.before.get(place) == id(result))

    def forget(self, places: Iterable[Hashable]) -> None:
        """Remember these no longer."""
        gone, table = set(places), self._inside()[1]
        keys = [key for place, key, _ in self.entries() if place in gone] if gone else []
        if keys and len(keys) == len(table):
            self.function.cache_clear()
        else:
            for key in keys:
                table.pop(key, None)


def tensors_of(result: Any) -> list[Tensor]:
    """The tensors in a result."""
    return [x for x in all_leaves(result) if is_a(x, Tensor)]


def results_of(function: Any) -> list[Any]:
    """What such a function remembers."""
    return [result for _, _, result in Remembering(function, lambda _: None).entries()]


class Results(Place):
    """Results that are remembered under some arguments, which this does not keep alive."""

    def __init__(self, function: Remembering, places: Iterable[Hashable]) -> None:
        self.function, self.places = function, list(places)
        super().__init__(self._now, lambda i: f"what {function.name} remembers")
        self.there, self.seen = self._now(), ()

    def _now(self) -> list[Any]:
        found = {place: (key, result) for place, key, result in self.function.entries()}
        self._keys = [id(found[place][0]) if place in found else 0 for place in self.places]
        return [_portrait(found[place][1]) if place in found else MISSING for place in self.places]

    def same(self) -> bool:
        """Whether all is as it was: under the keys that were found last, whose ids say where to look, or others like them."""
        now = self.function.by_key()
        for at, place, then in zip(self._keys, self.places, self.there):
            key, result = now.get(at, (MISSING, MISSING))
            if token(key) != place or not (result is then or interchangeable(then, _portrait(result))):
                return all(map(interchangeable, self.there, self._now()))
        return True

    def test(self, name: str) -> str:
        """Ask."""
        return f"{name}()"

    def bind(self, name: str) -> dict[str, Any]:
        """What to ask."""
        return {name: self.same}

    def changes(self, open: Collection[str] = ()) -> list[Change]:
        """One for all of them."""
        return [] if self.same() else [(self.label(0), Text("other results"), shown(self._now()))]


class Missed(Results):
    """Results that came to be remembered in the trace: a call that finds none must run the function, which no program does."""

    def __init__(self, function: Remembering, places: Iterable[Hashable]) -> None:
        super().__init__(function, places)
        self.there = []  # nothing of the trace is kept

    def same(self) -> bool:
        """Never."""
        return False


def _portrait(x: Any) -> Any:
    """What to keep of a result: what is in a tuple, since a tuple cannot be referred to weakly."""
    return (type(x), *map(_portrait, reader(x)())) if is_a(x, (tuple, frozenset)) else kept_weakly(x)
