"""State in a place outside where a step binds something anew: a tensor, or a container of tensors and numbers.

`self.h = cell(x, self.h)` finds another tensor at each call, `self.h = (h, c)` another tuple. The tensors that are there at a
call are inputs of the program; of what else is there the trace knows how it is put together.
"""

from __future__ import annotations

import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MemberDescriptorType
from typing import Any

from ..guards.identity import MISSING, interchangeable, kept, token
from ..guards.owners import Owner
from ..guards.statics import attributes, defined, field, held, is_a, keys
from ..guards.texts import Change, change, shown
from ..ir.types import Type
from ..tensor.nested import leaves, step_to
from ..tensor.operations import NUMBERS
from ..tensor.storage import Storage
from ..tensor.tensor import Tensor

Path = tuple[Any, ...]  # the keys on the way to something in a container
LARGEST = 1000  # leaves of a container that is state


def parts(x: Any) -> tuple[tuple[Any, Any], dict[Any, Any]] | None:
    """What makes a container what it is beside what it holds, and that; None for a leaf."""
    kind = type(x)
    if kind in (list, tuple, deque):
        return (kind, x.maxlen if kind is deque else None), dict(enumerate(x))
    if defined(kind, "_structural") is not None:
        return None  # an optimizer's, which is looked at by itself
    if is_a(x, dict):
        factory = held(x, defaultdict, "default_factory") if is_a(x, defaultdict) else None
        return None if attributes(x) else ((kind, factory), dict(zip(keys(x), map(partial(dict.__getitem__, x), keys(x)))))
    names = defined(kind, "_fields" if is_a(x, tuple) else "__dataclass_fields__")
    if names is None or is_a(x, type):
        return None
    if is_a(x, tuple):
        return (kind, None), dict(zip(names, tuple.__iter__(x))) | attributes(x)
    found = {name: value for name in names if (value := _attribute(x, name)) is not MISSING}
    return (kind, None), found | attributes(x)


def _attribute(x: Any, name: str) -> Any:
    """What an object has under a name, in its dictionary or a slot."""
    slot = defined(type(x), name)
    return field(x, slot, MISSING) if is_a(slot, MemberDescriptorType) else attributes(x).get(name, MISSING)


def within(x: Any, path: Path) -> Any:
    """What is in a container at the end of a path; LookupError or TypeError if there is nothing."""
    for key in path:
        if type(x) in (list, tuple, deque):
            x = x[key]
        elif is_a(x, dict):
            x = dict.__getitem__(x, key)
        else:
            x = (parts(x) or (None, {}))[1][key]
    return x


def identities(x: Any) -> set[int]:
    """The ids by which what holds the values of a container may be known."""
    own = attributes(x)
    return {id(x), id(own)} if own is attributes(x) else {id(x)}


@dataclass(frozen=True)
class Spot:
    """Somewhere in what a place holds, or all of it."""

    owner: Owner
    key: Any
    path: Path

    def get(self) -> Any:
        """What is there now; MISSING where something else has come in the place of what led there."""
        try:
            return within(self.owner.get(self.key), self.path)
        except (LookupError, TypeError):
            return MISSING


@dataclass(frozen=True)
class Slot(Spot):
    """Where a step finds a tensor of this type, and another one at each call."""

    type: Type
    device: str
    twin: Slot | GradientOf | None = None  # where the very same tensor must be
    unread: bool = False  # whether the step asks nothing of it, so that it may have a history

    def storage(self) -> Storage:
        """The memory of the tensor that is there now."""
        storage: Storage = self.get()._storage
        return storage

    def changes(self) -> list[Change]:
        """Empty if there is such a tensor, which nothing else is known of."""
        now = self.get()
        if (isinstance(now, Tensor) and is_there(now, self.unread) and now._type is self.type and now._device == self.device
                and (self.twin is None or now is self.twin.get())):
            return []
        name = self.owner.name_at(self.key).step(text_of(self.owner.get(self.key), self.path))
        return [(name, f"a tensor {self.type}", shown(now))]


class GradientOf:
    """Where a tensor has its `.grad`."""

    def __init__(self, tensor: Tensor) -> None:
        self._of = weakref.ref(tensor)

    def get(self) -> Tensor | None:
        """What is there now."""
        tensor = self._of()
        return None if tensor is None else tensor._grad


def text_of(x: Any, path: Path) -> str:
    """How code goes from something to the end of a path."""
    text = ""
    for key in path:
        text += step_to(dict if is_a(x, dict) else type(x), key)
        x = within(x, (key,))
    return text


@dataclass(frozen=True)
class _Again:
    """The container that was met at another path already."""

    path: Path


@dataclass(frozen=True)
class _Shape:
    """A container: what it is, and the shapes of what it holds by the tokens of keys."""

    kind: tuple[Any, Any]
    held: dict[Any, Any]
    text: Any


_TENSOR = object()


class Nest:
    """What a place held before the trace, and holds another one of at each call.

    `leaves` and `containers` are by path, `slots` those leaves that are state. It is `fixed` if what a step leaves there is like
    it, and it `counts` if other numbers are in that.
    """

    def __init__(self, owner: Owner, key: Any, now: Any) -> None:
        self.owner, self.key, self.before, self.now = owner, key, owner.before[key], now
        self.leaves: dict[Path, Any] = {}
        self.containers: dict[Path, Any] = {}
        _walk(self.before, now, (), self.leaves, self.containers)
        self.slots: dict[Path, Slot] = {}
        self.fixed = _alike(self.before, now)
        self.counts = any(not interchangeable(x, self.now_at(path)) for path, x in self.numbers().items())
        self.inner = {i for x in self.containers.values() if not isinstance(x, tuple) for i in identities(x)}
        self._shape: Any = _TENSOR

    @property
    def with_history(self) -> bool:
        """Whether a tensor in the container that a step leaves came to be with a history, which it has no use for."""
        return not self.is_tensor and any(is_a(x, Tensor) and not x._requires_grad and x.requires_grad for x in leaves(self.now))

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor and no container."""
        return not self.containers

    def now_at(self, path: Path) -> Any:
        """What the trace left there; None if that is not like what was there before."""
        try:
            return within(self.now, path)
        except (LookupError, TypeError):
            return None

    def numbers(self) -> dict[Path, Any]:
        """The numbers in it."""
        return {path: x for path, x in self.leaves.items() if type(x) in NUMBERS}

    def spots(self) -> Iterator[tuple[Any, Spot]]:
        """The tensors that are state and the containers that may change, each with where a call finds what it is there."""
        yield from ((self.leaves[path], slot) for path, slot in self.slots.items())
        yield from ((x, Spot(self.owner, self.key, path)) for path, x in self.containers.items() if not isinstance(x, tuple))

    def may_stay(self, chosen: Collection[int], known: Callable[[Any], bool], made: Callable[[Tensor], bool]) -> bool:
        """Whether what the step binds is its own: tensors that it `made` or that were in such places, no `known` container."""
        found: dict[Path, Any] = {}
        containers: dict[Path, Any] = {}
        _walk(self.now, self.before, (), found, containers)
        return (all(not known(x) for x in containers.values() if not isinstance(x, tuple))
                and all(made(x) or id(x) in chosen or self.leaves.get(path) is x for path, x in found.items() if is_a(x, Tensor)))

    def expect(self, numbers: Mapping[Path, frozenset[type]]) -> None:
        """From now on it is looked at: what is there is to be like this, with any number of these types in these places."""
        again: dict[int, Path] = {}

        def shape(x: Any, path: Path) -> Any:
            if path in self.slots:
                return _TENSOR
            if path in numbers:
                return numbers[path]
            if path not in self.containers:
                return _Again(again[id(x)]) if id(x) in again else kept(x)
            again[id(x)] = path
            kind, inside = parts(x) or ((None, None), {})
            return _Shape(kind, {token(k): shape(v, (*path, k)) for k, v in inside.items()}, shown(x))

        self._shape = shape(self.before, ())
        self.before = self.now = None
        self.leaves, self.containers = {}, {}

    def changes(self) -> list[Change]:
        """Empty if what is there is like what was, with tensors that nothing else is known of."""
        now = self.owner.get(self.key)
        found = None if self._shape is _TENSOR else _difference(self._shape, now, now, "")
        if found is not None:
            path, old, new = found
            return [change(self.owner.name_at(self.key).step(path), old, new)]
        return [change for slot in self.slots.values() for change in slot.changes()]

    def holders(self) -> set[int]:
        """The ids of the containers that are there now."""
        containers: dict[Path, Any] = {}
        _walk(self.owner.get(self.key), None, (), {}, containers)
        return set(map(id, containers.values()))


def _walk(x: Any, other: Any, path: Path, found: dict[Path, Any], containers: dict[Path, Any]) -> None:
    """Find what is in `x`, by path. A container that is met again, or that is in `other` at the same place, is a leaf."""
    stays = bool(path) and x is other
    inside = None if stays or any(x is y for y in containers.values() if not isinstance(y, tuple)) else parts(x)
    if inside is None:
        found[path] = x
        return
    containers[path] = x
    others = _held(other) if type(x) is type(other) and x is not other else {}
    for key, value in inside[1].items():
        if len(found) > LARGEST:
            return
        _walk(value, others.get(key), (*path, key), found, containers)


def _held(x: Any) -> dict[Any, Any]:
    inside = parts(x)
    return {} if inside is None else inside[1]


def _alike(x: Any, y: Any, met: frozenset[tuple[int, int]] = frozenset()) -> bool:
    """Whether one may come in the place of the other; those `met` on the way hold them."""
    if (id(x), id(y)) in met:
        return True
    if is_a(x, Tensor) or is_a(y, Tensor):
        return y is None or y is MISSING or (is_a(x, Tensor) and is_a(y, Tensor) and x._type is y._type)
    ours, theirs = parts(x), parts(y)
    if ours is None or theirs is None:
        return ours is theirs
    met |= {(id(x), id(y))}
    return (ours[0] == theirs[0] and [*map(token, ours[1])] == [*map(token, theirs[1])]
            and all(_alike(a, b, met) for a, b in zip(ours[1].values(), theirs[1].values())))


def _difference(shape: Any, x: Any, top: Any, path: str) -> tuple[str, Any, Any] | None:
    """Where something is not of a shape, what was there, and what is."""
    if type(shape) is _Shape:
        inside = parts(x)
        if (inside is None or inside[0][0] is not shape.kind[0] or inside[0][1] is not shape.kind[1]
                or len(inside[1]) != len(shape.held) or any(a != token(b) for a, b in zip(shape.held, inside[1]))):
            return path, shape.text, shown(x)
        for (key, value), part in zip(inside[1].items(), shape.held.values()):
            found = _difference(part, value, top, path + step_to(dict if is_a(x, dict) else type(x), key))
            if found is not None:
                return found
        return None
    if type(shape) is frozenset:
        same = type(x) in shape
    elif type(shape) is _Again:
        same = within(top, shape.path) is x
    else:
        same = shape is _TENSOR or interchangeable(shape, kept(x))
    return None if same else (path, shown(shape), shown(x))


def is_plain(x: Tensor) -> bool:
    """Whether a tensor is its memory and nothing more: no view, no leaf, without history."""
    return x._base is None and not x._requires_grad and x._graph is None and not x._storage.value.requires_grad


def is_there(x: Tensor, unread: bool = False) -> bool:
    """Whether a tensor is plain, but for a history if it is `unread`, and has contents outside of any trace."""
    plain = x._base is None and not x._requires_grad if unread else is_plain(x)
    return plain and x._storage.trace is None and not x._storage.lost
