"""One call's arguments: the tensors, numbers and containers in them, and a key for all the rest."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from ..guards.identity import static_key
from ..guards.parameters import NOTHING_KNOWN, Parameters
from ..guards.texts import Text
from ..ir.dtypes import dtype
from ..tensor.appended import STANDS_FOR, bound_of
from ..tensor.device import Size, device
from ..tensor.nested import Attribute, children, holds_items, is_open, item, step_to, vars_of
from ..tensor.operations import NUMBERS
from ..tensor.strides import notable_stride
from ..tensor.tensor import Tensor
from .nests import Path

GROWING = frozenset({list, deque, dict, OrderedDict, defaultdict})
Held = dict[Path, dict[Any, Path]]
_NOTHING: dict[Any, Any] = {}
LARGEST = 1000  # items of a container in an object of a user's class up to which that is compared by what it holds


def is_input(x: Any) -> bool:
    """Whether a number, given or outside, may be another one at each call: Python's and numpy's, and no subclass of these."""
    return type(x) in NUMBERS


def may_be_unread(x: Any) -> bool:
    """Whether something in the arguments is a value that a function need not read: a text, or a scalar of numpy."""
    return type(x) in (str, bytes) or isinstance(x, np.generic)


class Signature:
    """One call's arguments: the tensors and numbers in them, and a hashable description of all the rest.

    `containers` are those that code may change, in the order in which they are met; one that comes twice is met once. `tuples`
    are those that it cannot change, each as often as it comes.
    `grown` are the arguments, with their numbers among these, into which it only puts things, `by_key` those whose order
    means nothing to it. `lists` are the paths, by number, of those inside that it only appends to, `unread` the values that it
    never reads, and `unread_at` their paths.
    """

    __slots__ = ("tensors", "numbers", "containers", "tuples", "values", "gradients", "key", "args", "kwargs", "parameters",
                 "grown", "by_key", "lists", "unread", "unread_at", "_appended", "_unread", "_met", "_inside")
    gradients: list[Any]  # the `.grad`s before the call that leave it as they are; known once it runs

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], parameters: Parameters = NOTHING_KNOWN,
                 appended: Collection[Path] = (), unread: Held = _NOTHING) -> None:
        if parameters.named and len(kwargs) > 1:
            kwargs = {name: kwargs[name] for name in sorted(kwargs)}
        self.args, self.kwargs, self.parameters = args, kwargs, parameters
        self.describe(appended, unread)

    def describe(self, appended: Collection[Path] = (), unread: Held = _NOTHING) -> None:
        """Describe the arguments; at the paths `appended` there are lists that the function only appends to, and of what is at
        the paths `unread` it does not read what is under some keys, which have paths of their own."""
        args, kwargs, parameters = self.args, self.kwargs, self.parameters
        self.tensors: list[Tensor] = []
        self.numbers: list[Any] = []
        self.values: list[Any] = []  # what the trace that holds computes of the numbers
        self.containers: list[Any] = []
        self.tuples: list[Any] = []
        self.lists: dict[int, Path] = {}
        self.unread: list[Any] = []
        self.unread_at: list[Path] = []
        self._unread = _by_holder(args, kwargs, unread) if unread else None
        lists = [(_at(args, kwargs, path), path) for path in appended]
        self._appended = {id(x): path for x, path in lists if type(x) in STANDS_FOR} if lists else None
        self.grown: dict[int | str, int] = {}
        self.by_key: dict[int | str, int] = {}
        self._met: dict[int, int] = {}
        self._inside = 0  # how many objects of users' classes are being looked into
        parts: list[Any] = []
        if parameters.usual and not (parameters.by_key and (dict in map(type, args) or dict in map(type, kwargs.values()))):
            for x in args:
                self._walk(x, parts)
            for name, x in kwargs.items():
                parts.append(name)
                self._walk(x, parts)
        else:
            _walk_chosen(self, parts)
        if len(self.tensors) > 1:
            _note_sharing(self.tensors, parts)
        self.key = tuple(parts)

    def _walk(self, x: Any, parts: list[Any]) -> None:
        kind = type(x)
        if kind is Tensor or isinstance(x, Tensor):
            self.tensors.append(x)
            value, leaf = x._storage.value, x._requires_grad
            flows = not leaf and (value.requires_grad or x._graph is not None or x._base is not None) and x.requires_grad
            parts += (x._type, value.device, leaf, flows)
            if kind is not Tensor:
                parts.append(kind)  # which its stand-in is of, too
            if x._geometry is not None and (stride := notable_stride(x._type.shape, x._geometry.stride)) is not None:
                parts.append(("stride", stride))
            if leaf and x._hooks is not None and x._hooks.key:
                parts.append(x._hooks.key)
            if x._grad is not None:
                parts.append("grad")
                self._walk(x._accumulated(), parts)
        elif is_input(x):
            self.numbers.append(x)
            parts.append(kind)
        elif kind is np.ndarray:
            parts.append(("array", x.shape, x.dtype))
            self.tensors.append(x)
        elif kind is tuple:
            self.tuples.append(x)
            parts += (kind, len(x))
            if self._unread is None:
                for v in x:
                    self._walk(v, parts)
            else:
                _walk_each(self, x, enumerate(x), parts)
        elif kind is list or kind is deque:
            if self._appended is not None and id(x) in self._appended:
                _walk_appended(self, x, parts)
            elif self._first(x, parts, len(x) if kind is list else (len(x), x.maxlen)):
                if self._unread is None:
                    for v in x:
                        self._walk(v, parts)
                else:
                    _walk_each(self, x, enumerate(x), parts)
        elif kind is dict:
            if self._first(x, parts, tuple(x)):
                if self._unread is None:
                    for v in x.values():
                        self._walk(v, parts)
                else:
                    _walk_each(self, x, x.items(), parts)
        elif kind is set:
            self._first(x, parts, static_key(x))  # members are what they are
        elif holds_items(kind) or (dataclasses.is_dataclass(x) and not isinstance(x, type)):
            _walk_held(self, x, parts)
        elif kind not in _PLAIN and is_open(kind):
            _walk_object(self, x, parts)
        elif self._inside and kind not in _PLAIN and not isinstance(x, np.generic):
            raise _NotData
        else:
            parts.append(static_key(x))

    def left_out_of(self, x: Any) -> dict[Any, Path]:
        """The paths, by key, of what a container holds and the function never reads."""
        return _NOTHING if self._unread is None else self._unread.get(id(x), _NOTHING)

    def is_appended(self, x: Any) -> bool:
        """Whether it is a list that the function only appends to."""
        return self._appended is not None and id(x) in self._appended

    def _first(self, x: Any, parts: list[Any], described: Any) -> bool:
        """Whether a container that may be changed is met for the first time; it is told apart from one like it."""
        count = len(self.containers)
        place = self._met.setdefault(id(x), count)
        if place < count:
            parts.append(("met", place))
            return False
        if self._inside and len(x if hasattr(x, "__len__") else ()) > LARGEST:
            raise _NotData
        self.containers.append(x)
        parts += (type(x), described)
        return True

    # --- Names, for those who ask -------------------------------------------------------------------------------------

    @property
    def paths(self) -> list[str]:
        """What to call the tensors and arrays."""
        return [path for path, x in _named(self) if isinstance(x, (Tensor, np.ndarray))]

    def leaves(self, whole: bool = False) -> Iterator[tuple[str, Any]]:
        """All that is in the arguments, by path; with `whole` also those that are compiled in, as they are."""
        return _leaves_of(self, whole, {})


def _walk_chosen(call: Signature, parts: list[Any]) -> None:
    """Arguments of which some are compiled in, some never read, some asked for keys, and some only put things in.

    Of the last two it matters whether something else reads them; so they come last.
    """
    parameters = call.parameters
    grown, by_key = [], []
    for key, x in (*enumerate(call.args), *call.kwargs.items()):
        parts.append(key)
        if key in parameters.static:
            parts.append(static_key(x))
        elif key in parameters.unread:
            continue
        elif (key in parameters.grown and isinstance(x, (list, deque, dict)) and type(x) in GROWING
              and (key not in parameters.stored or isinstance(x, dict))):
            grown.append((key, x))
        elif key in parameters.by_key and type(x) is dict:
            by_key.append((key, x))
        else:
            call._walk(x, parts)
    for key, x in by_key:
        _walk_by_key(call, key, x, parts)
    for key, x in grown:
        _walk_grown(call, key, x, parts)


def _walk_each(call: Signature, x: Any, held: Iterable[tuple[Any, Any]], parts: list[Any]) -> None:
    """What is in a container, of which some may be left out."""
    left_out = call.left_out_of(x)
    for key, v in held:
        if key in left_out and may_be_unread(v):
            parts.append(("unread", type(v)))
            call.unread.append(v)
            call.unread_at.append(left_out[key])
        else:
            call._walk(v, parts)


def _walk_appended(call: Signature, x: Any, parts: list[Any]) -> None:
    count = len(call.containers)
    place = call._met.setdefault(id(x), count)
    parts.append(("appended", place, bound_of(x)))
    if place == count:
        call.containers.append(x)
        call.lists[place] = call._appended[id(x)]  # type: ignore[index]


def _walk_object(call: Signature, x: Any, parts: list[Any]) -> None:
    """An object of a user's class by what it holds, if that is data; else the object itself."""
    held = vars_of(x)
    before = [(kept, len(kept)) for kept in (parts, call.tensors, call.numbers, call.containers, call.tuples, call.unread,
                                             call.unread_at)]
    met, lists = dict(call._met), dict(call.lists)
    call._inside += 1
    try:
        if call._first(x, parts, tuple(held)):
            _walk_each(call, x, held.items(), parts)
    except _NotData:
        if call._inside > 1:
            raise
        for kept, count in before:
            del kept[count:]
        call._met, call.lists = met, lists
        parts.append(static_key(x))
    finally:
        call._inside -= 1


def _walk_held(call: Signature, x: Any, parts: list[Any]) -> None:
    """A container of a class of its own: its items and its attributes."""
    facts = tuple(x._facts().items()) if hasattr(type(x), "_facts") else ()  # what it knows beside these, and may find out now
    held = children(x, objects=True)[1]  # type: ignore[index]
    if isinstance(x, tuple):
        call.tuples.append(x)
        parts += (type(x), facts, tuple(held))
    elif not call._first(x, parts, tuple(held)):
        return
    parts += (static_key(value) for key, value in held.items() if is_static(key))
    _walk_each(call, x, ((key, value) for key, value in held.items() if not is_static(key)), parts)


def _walk_by_key(call: Signature, key: int | str, x: dict[Any, Any], parts: list[Any]) -> None:
    """An argument whose order means nothing, unless something else reads it: that has met it before."""
    names = names_in(x)
    call.by_key[key] = -1
    if call._first(x, parts, names):
        call.by_key[key] = call._met[id(x)]
        _walk_each(call, x, ((name, x[name]) for name in names), parts)


def _walk_grown(call: Signature, key: int | str, x: Any, parts: list[Any]) -> None:
    """An argument into which code only puts things, unless something else reads it: then it is what was met there."""
    if id(x) in call._met:
        call.grown[key] = -1
        call._walk(x, parts)
    else:
        call.grown[key] = call._met[id(x)] = len(call.containers)
        call.containers.append(x)
        parts.append(type(x))


def _by_holder(args: tuple[Any, ...], kwargs: dict[str, Any], unread: Held) -> dict[int, dict[Any, Path]]:
    """The same by the id of what is there."""
    found: dict[int, dict[Any, Path]] = {}
    for path, keys in unread.items():
        holder = _at(args, kwargs, path)
        if holder is not None:
            found.setdefault(id(holder), {}).update(keys)
    return found


def _at(args: tuple[Any, ...], kwargs: dict[str, Any], path: Path) -> Any:
    """What is at a path that begins with an argument's number or name; None if there is no such place."""
    first, *rest = path
    try:
        x: Any = args[first] if isinstance(first, int) else kwargs[first]
        for key in rest:
            x = item(x, key)
    except (LookupError, AttributeError, TypeError):
        return None
    return x


def _note_sharing(tensors: list[Any], parts: list[Any]) -> None:
    """Which tensors share storage with an earlier one."""
    storages = [id(x._storage) if isinstance(x, Tensor) else id(x) for x in tensors]
    if len(set(storages)) < len(storages):
        parts.append(tuple(storages.index(s) for s in storages))


def leaves_and_holders(call: Signature) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """All leaves in the arguments, also those that are compiled in, and what holds them, by path."""
    met: dict[int, tuple[str, Any]] = {}
    return list(_leaves_of(call, True, met)), list(met.values())


def _leaves_of(call: Signature, whole: bool, met: dict[int, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    given: list[tuple[int | str, str, Any]] = [(i, f"args[{i}]", x) for i, x in enumerate(call.args)]
    given += ((name, name, x) for name, x in call.kwargs.items())
    for key, path, x in given:
        if key in call.grown or key in call.by_key:
            continue
        if key not in call.parameters.whole:
            yield from _leaves(x, path, met, call)
        elif whole and key in call.parameters.static:
            yield path, x
    for key, path, x in given:
        if key in call.by_key and id(x) not in met:
            met[id(x)] = path, x
            for name in names_in(x):
                yield from _leaves(x[name], path + step_to(dict, name), met, call)


def _named(call: Signature) -> Iterator[tuple[str, Any]]:
    for path, x in call.leaves():
        yield path, x
        while isinstance(x, Tensor) and x._grad is not None:
            path, x = f"{path}.grad", x._grad
            yield path, x


def _leaves(x: Any, path: str, met: dict[int, tuple[str, Any]], call: Signature) -> Iterator[tuple[str, Any]]:
    """What a signature meets in `x`, by path; each container but tuples is entered once, and noted in `met`.

    Lists that are only appended to are not entered.
    """
    inside = opened(x)
    if inside is None:
        yield path, x
        return
    if (id(x) in met and not isinstance(x, tuple)) or call.is_appended(x):
        return
    met[id(x)] = path, x
    if type(x) is set:
        yield from ((f"{path}[{member!r}]", Text(repr(member)) if is_input(member) else member) for member in x
                    if not isinstance(member, Tensor))
        return
    left_out = call.left_out_of(x)
    for key, value in inside[1].items():
        if key in left_out and may_be_unread(value):
            continue
        if is_static(key):
            yield path + step_to(inside[0], key), value
        else:
            yield from _leaves(value, path + step_to(inside[0], key), met, call)
    if hasattr(type(x), "_facts"):
        yield from ((f"{path}.{name}", fact) for name, fact in x._facts().items())


def is_static(key: Any) -> bool:
    """Whether what a container holds under a key is compiled in: what a `defaultdict` makes its items with."""
    return type(key) is Attribute and key.name == "default_factory"


def opened(x: Any) -> tuple[Any, dict[Any, Any]] | None:
    """The kind of a container among arguments and what it holds; None for what is taken as it is."""
    if is_open(type(x)) and not is_data(x):
        return None
    return children(x, objects=True)


def is_data(x: Any) -> bool:
    """Whether an object of a user's class holds tensors, arrays, plain values and containers of them, and not too many.

    What holds modules, functions and objects with a life of their own is that very object, and no two are alike.
    """
    todo, seen = [x], set[int]()
    while todo:
        inside = children(todo.pop(), objects=True)
        for key, value in inside[1].items() if inside is not None else ():
            if isinstance(value, (Tensor, np.ndarray)) or type(value) in _PLAIN or is_static(key):
                continue
            if children(value, objects=True) is None and not isinstance(value, np.generic):
                return False
            if hasattr(value, "__len__") and not isinstance(value, tuple) and len(value) > LARGEST:
                return False
            if id(value) not in seen:
                seen.add(id(value))
                todo.append(value)
    return True


def names_in(x: dict[Any, Any]) -> tuple[Any, ...]:
    """The keys of a dict in an order that does not depend on its own, if all are texts or numbers."""
    kinds = set(map(type, x))
    return tuple(sorted(x)) if len(kinds) == 1 and (str in kinds or int in kinds) else tuple(x)


class _NotData(Exception):
    """An object holds something with a life of its own."""


_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), Size, dtype, device})
