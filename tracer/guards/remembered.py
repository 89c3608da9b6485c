"""Functions under `functools.lru_cache` and `cache`: what they remember, and whether they still do.

The implementation in C shows its entries to the collector of garbage alone, and takes none. So what a trace leaves there
stays where it is, and its tensors become real in place.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Any

from ..tensor.nested import all_leaves
from ..tensor.tensor import Tensor
from .identity import MISSING, token
from .places import Place
from .statics import is_a, name_of
from .texts import Change, Text, shown

_LINK = "_lru_list_elem"  # what the C implementation keeps results in, if their number has a bound


class Remembering:
    """A function that remembers its results, as it was before the trace."""

    def __init__(self, function: Any, names_read: Callable[[Any], Collection[str] | None]) -> None:
        self.function, self._names_read = function, names_read
        self._names: Any = MISSING  # looked up when they are asked for, which is seldom
        self.before = {key: id(result) for key, _, result in self.entries()}

    def may_read(self, name: str) -> bool:
        """Whether the function reads a variable, an attribute or a key of this name, or may."""
        if self._names is MISSING:
            self._names = self._names_read(self.function.__wrapped__)
        return self._names is None or name in self._names

    @property
    def name(self) -> str:
        """What to call it."""
        return str(getattr(self.function, "__name__", name_of(type(self.function))))

    def entries(self) -> Iterator[tuple[Hashable, Any, Any]]:
        """What is remembered: a token of the arguments, the key, and the result; of two under one key, the newer one last."""
        links, table = self._inside()
        if table and name_of(next(iter(table.values()))) == _LINK:
            there = {id(key) for key in table}
            yield from ((token(key), key, result) for key, result in links if id(key) in there)
        else:
            yield from ((token(key), key, result) for key, result in table.items())

    def _inside(self) -> tuple[list[tuple[Any, Any]], dict[Any, Any]]:
        """Keys and results in the order of their use, if their number has a bound, and the table of all keys."""
        inside, at = gc.get_referents(self.function), 1
        while at + 2 < len(inside) and is_a(inside[at + 2], type) and name_of(inside[at + 2]) == _LINK:
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
        keys = [key for place, key, _ in self.entries() if place in gone]
        if len(keys) == len(table):
            self.function.cache_clear()
        else:
            for key in keys:
                table.pop(key, None)


def tensors_of(result: Any) -> list[Tensor]:
    """The tensors in a result."""
    return [x for x in all_leaves(result) if is_a(x, Tensor)]


class Results(Place):
    """Results that are remembered under some arguments, by the tensors in them, which this keeps alive no longer."""

    def __init__(self, function: Remembering, places: Iterable[Hashable], there: bool) -> None:
        self.function, self.places = function, list(places)
        super().__init__(self._now, lambda i: f"what {function.name} remembers")
        self.there = [[weakref.ref(t) for t in tensors or ()] if there else None for tensors in self._now()]
        self.seen = ()

    def _now(self) -> list[list[Tensor] | None]:
        found = {place: result for place, _, result in self.function.entries()}
        return [tensors_of(found[place]) if place in found else None for place in self.places]

    def same(self) -> bool:
        """Whether all is as it was."""
        for then, now in zip(self.there, self._now()):
            if then is None or now is None:
                if then is not now:
                    return False
            elif len(then) != len(now) or any(ref() is not tensor for ref, tensor in zip(then, now)):
                return False
        return True

    def test(self, name: str) -> str:
        """Ask."""
        return f"{name}()"

    def bind(self, name: str) -> dict[str, Any]:
        """What to ask."""
        return {name: self.same}

    def changes(self, open: Collection[str] = ()) -> list[Change]:
        """One for all of them."""
        if self.same():
            return []
        return [(self.label(0), Text("other results"), shown([MISSING if x is None else x for x in self._now()]))]
