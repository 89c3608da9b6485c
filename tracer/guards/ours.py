"""Objects of this package's own classes, whose code is not followed: what they hold is watched, and the methods they go by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from types import FunctionType
from typing import Any, Protocol

from ..ir.source import is_ours
from ..tensor.tensor import Tensor
from .contents import LONGEST
from .mentions import mentions
from .places import Entries, Names, Place
from .statics import attributes, is_a, mro, name_of, size
from .statics import table as names_of
from .tables import CONTAINERS, OF_STRUCTURE, Given, Table, Walk
from .whose import file_of, methods_of_ours, read_by_ours


class Way(Protocol):
    """How an object is looked at: `guarded` as a user's, `structured` if a module or an optimizer, `known` if its class was."""

    kind: type
    guarded: bool
    users: bool
    structured: bool
    known: bool


def of_library(walk: Walk, x: Any, own: dict[str, Any], path: str, way: Way) -> None:
    """An object of a class of ours, or of one that inherits from it.

    Of a distribution, a schedule, a dataset it is all that it knows; of an object of a user's class, and of an optimizer, the
    methods of ours that it hides, and if it is guarded what they read.
    """
    if way.structured:
        _of_optimizer(walk, x, own, path, way)
    if way.users or way.structured:
        _watch_inherited(walk, own, path, way)
    else:
        walk.tables.append((own, path))
        walk.watch(Entries(own, (path + ".{}").format))
        _watch_values(walk, own, own, path)
    if not way.known:
        way.known = True
        for base in mro(way.kind):
            if is_ours(file_of(base)):
                if not way.structured:
                    walk.advanced |= _advanced(base)
                walk.attributes.append(Table(names_of(base), (name_of(base) + ".{}").format, whole=False, library=way.kind))


@cache
def _advanced(kind: type) -> frozenset[str]:
    """What methods of a class count in."""
    return frozenset().union(*(mentions(f.__code__).advanced for f in names_of(kind).values() if type(f) is FunctionType))


def _of_optimizer(walk: Walk, x: Any, own: dict[str, Any], path: str, way: Way) -> None:
    """What is in options of an optimizer, and its state, where code names it."""
    for i, group in enumerate(own.get("param_groups") or ()):
        walk.later(group, f"{path}.param_groups[{i}]")
    if not way.users:
        names = [walk.aliases[id(x)]]
        walk.attributes.append(Table(Given(x, OF_STRUCTURE), (path + ".{}").format, whole=False, aliases=names,
                                     kinds=mro(way.kind)))  # what a user put on it
        walk.attributes.append(_StateOf(Given(x, OF_STRUCTURE - {"state"}), (path + ".{}").format, whole=False, aliases=names))


def _watch_inherited(walk: Walk, own: dict[str, Any], path: str, way: Way) -> None:
    methods = methods_of_ours(way.kind)
    read = (read_by_ours(way.kind) or frozenset(own)) - OF_STRUCTURE if way.guarded else frozenset[str]()
    absent = methods - own.keys()
    walk.watch(Place(lambda: (own.keys().isdisjoint(absent),), _label(f"whether a method of {path} is its own")))
    names = dict.fromkeys(sorted(own.keys() & (read | methods)))
    if names:
        walk.watch(Names(own, names, (path + ".{}").format))
        _watch_values(walk, own, names, path)


def _watch_values(walk: Walk, own: dict[str, Any], names: dict[str, Any], path: str) -> None:
    for name in names:
        value = own[name]
        if is_a(value, CONTAINERS) and size(value) > LONGEST:
            walk.seen[id(value)] = value, path  # too long to be looked at
            walk.watch(Place(partial(_size, value), _label(f"the size of {path}.{name}")))
        else:
            walk.later(value, f"{path}.{name}")


def _size(container: Any) -> tuple[int]:
    return (size(container),)


def _label(text: str) -> Callable[[int], str]:
    return lambda i: text


def options(walk: Walk, x: dict[str, Any], path: str) -> None:
    """Options of a group of parameters, of which a trace is told what is read of them, but not of what is in these."""
    for name, value in dict.items(x):
        if name != "params":
            walk.later(value, f"{path}[{name!r}]")


class _StateOf(Table):
    """The state of an optimizer, where code names it: a step makes it for real, and that is no write."""

    def look(self, walk: Walk) -> None:
        """Read it, if code mentions it by now."""
        if "state" in walk.mentioned and self._means(walk, walk.mentioned["state"]):
            self.add("state", walk, self.label("state"))

    def places(self) -> Iterator[Place]:
        """Which one it is."""
        if self.keys:
            yield Place(lambda: (self.table.get("state"),), lambda i: self.label("state"))


def tensors_of(x: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a module or an optimizer, with what to call them."""
    own = attributes(x)
    held = {**(own.get("_parameters") or {}), **(own.get("_buffers") or {})}
    for i, group in enumerate(group for group in own.get("param_groups") or () if is_a(group, dict)):
        held |= {f"param_groups[{i}]['params'][{j}]": tensor for j, tensor in enumerate(dict.get(group, "params") or ())}
    yield from ((f"{name_of(type(x))}.{name}", tensor) for name, tensor in held.items() if is_a(tensor, Tensor))
