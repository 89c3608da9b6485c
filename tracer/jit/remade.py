"""Things that a traced function makes, taken apart, so that each call makes others like them.

What a step returns, or leaves outside, is the step's own at each call: a set that its caller changes, an object with a number
in it, a function with variables of its own. So all that the trace made is made again from its parts, which may be tensors
and numbers of the call. What was there before the trace is itself.
"""

from __future__ import annotations

import array
import copy
import functools
import gc
import io
import operator
import random
import sys
import types
from collections import ChainMap, OrderedDict, UserDict, UserList, UserString, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import is_dataclass
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..ir.source import is_installed, is_library, is_ours
from ..ir.stand_in import StandIn
from ..tensor.nested import (
    Attribute,
    attributes_of,
    children,
    container_of,
    empty_like,
    holds_items,
    is_module,
    refill,
    slots_of,
    vars_of,
)
from ..tensor.scalar import Scalar, as_key
from ..tensor.tensor import Tensor
from ..tensor.unread import Unread
from .trace import Trace

Parts = dict[Any, Any]


class Recipe:
    """How to make a thing of its parts, which are `held`; `kind` is equal for things that differ in these alone.

    `finish(thing, parts)` gives the thing. One that may be changed, and so may hold itself, is begun by `start`, which is
    told how to get a part that is begun; of others (None) `finish` makes one at once.
    """

    __slots__ = ("kind", "held", "start", "finish")

    def __init__(self, kind: Any, held: Parts, start: Callable[[Callable[[Any], Any]], Any] | None,
                 finish: Callable[[Any, Parts], Any]) -> None:
        self.kind, self.held, self.start, self.finish = kind, held, start, finish


class Making:
    """Makes things by their recipes, each once: `look` gives the recipe of one, or the thing itself. `made` is told of each."""

    def __init__(self, look: Callable[[Any], Any], made: Callable[[Any], None] | None = None) -> None:
        self._look, self._tell = look, made
        self._made: dict[int, Any] = {}
        self._finished: set[int] = set()

    def __call__(self, x: Any) -> Any:
        """The thing, with all that it holds."""
        found = self._look(x)
        return self._of(x, found) if isinstance(found, Recipe) else found

    def _of(self, x: Any, recipe: Recipe) -> Any:
        at = id(x)
        if at in self._finished:
            return self._made[at]
        thing = None
        if recipe.start is not None:
            thing = self._begun(x, recipe)
            self._finished.add(at)  # before its parts: it may be among them
        parts = {}
        for key, part in recipe.held.items():
            found = self._look(part)
            parts[key] = self._of(part, found) if isinstance(found, Recipe) else found
        thing = self._made[at] = recipe.finish(thing, parts)
        self._finished.add(at)
        if self._tell is not None:
            self._tell(thing)
        return thing

    def _begun(self, x: Any, recipe: Recipe) -> Any:
        """The thing, which can be had without its parts."""
        if id(x) not in self._made and recipe.start is not None:
            self._made[id(x)] = recipe.start(lambda key: self._part(recipe.held[key]))
        return self._made.get(id(x))

    def _part(self, x: Any) -> Any:
        found = self._look(x)
        return self._begun(x, found) if isinstance(found, Recipe) else found


class Remaking:
    """Knows which things are made again at each call, and of what. `is_known` says what was there before the trace."""

    def __init__(self, trace: Trace, is_known: Callable[[Any], bool], given: Collection[int] = ()) -> None:
        self._trace, self._is_known, self._given = trace, is_known, given
        self._recipes: dict[int, tuple[Any, Recipe | None]] = {}

    def of(self, x: Any) -> Recipe | None:
        """The recipe of a thing that the trace made; None for tensors, plain values and what is itself at each call."""
        recipe = None if self._is_leaf(x) else self.apart(x)
        return recipe if recipe is None or _is_always_made(x) or self.holds(x) else None

    def apart(self, x: Any) -> Recipe | None:
        """The recipe of any thing that can be made."""
        if id(x) not in self._recipes:
            self._recipes[id(x)] = x, self._apart(x)
        return self._recipes[id(x)][1]

    def _apart(self, x: Any) -> Recipe | None:
        kind = type(x)
        if is_module(kind):
            return _object(x) if id(vars_of(x)) in self._trace.inside else None
        if issubclass(kind, dict):
            return self._dict(x)
        return next((take(x) for kinds, take in _TAKEN_APART if issubclass(kind, kinds)), None)

    def _is_leaf(self, x: Any) -> bool:
        return type(x) in _PLAIN or issubclass(type(x), (StandIn, Tensor, Unread)) or self._is_known(x)

    def holds(self, x: Any) -> bool:
        """Whether it leads to anything of the trace."""
        return any(type(v) is Scalar or id(v) in self._given
                   or (isinstance(v, Tensor) and (v._storage.trace is self._trace or v._inside is self._trace.mark))
                   for v in self._all(x, self.apart))

    def leaves(self, x: Any) -> Iterator[Any]:
        """All in it, each once, that is not made again."""
        return (v for v in self._all(x, self.of) if self._is_leaf(v) or self.of(v) is None)

    def _all(self, x: Any, recipe: Callable[[Any], Recipe | None]) -> Iterator[Any]:
        todo, seen = [x], dict[int, Any]()
        while todo:
            x = todo.pop()
            if id(x) not in seen:
                seen[id(x)] = x
                yield x
                inside = None if self._is_leaf(x) else recipe(x)
                todo += () if inside is None else reversed(inside.held.values())

    def is_made(self, key: Any) -> bool:
        """Whether a key is another object at each call."""
        recipe = None if type(key) in _PLAIN else self.of(key)
        return recipe is not None and (recipe.start is not None or any(map(self.is_made, recipe.held.values())))

    def _dict(self, x: dict[Any, Any]) -> Recipe:
        inside: Parts = children(x, objects=True)[1]  # type: ignore[index]
        like, held = empty_like(x), {as_key(key): value for key, value in inside.items()}
        if not any(type(key) is not Attribute and self.is_made(key) for key in held):
            return Recipe(dict, held, _no_items, _updated) if type(x) is dict else Recipe(
                type(x), held, lambda begun: empty_like(like), refill)
        pairs = {(i, place): part for i, pair in enumerate(held.items()) for place, part in enumerate(pair)}
        return Recipe(type(x), pairs, lambda begun: empty_like(like), lambda thing, parts: refill(
            thing, {parts[i, 0]: parts[i, 1] for i in range(len(parts) // 2)}))


# --- Which things are made again though they hold nothing of the trace ---------------------------------------------------


def _is_always_made(x: Any) -> bool:
    kind = type(x)
    if kind is types.FunctionType:
        return x.__closure__ is not None and _is_users_file(x.__code__.co_filename)
    found = _always.get(kind)
    if found is None:
        found = _always[kind] = is_module(kind) or (
            not issubclass(kind, (BaseException, types.MappingProxyType))
            and (not _is_object(kind) or is_dataclass(kind) or _is_data(kind)))
    return found


_always: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def _is_object(kind: type) -> bool:
    return not issubclass(kind, tuple(base for kinds, _ in _TAKEN_APART[:-1] for base in kinds)) and not issubclass(kind, dict)


def _is_data(kind: type) -> bool:
    """Whether it is a user's class, or one of Python's that is there to hold something."""
    return issubclass(kind, (types.SimpleNamespace, UserDict, UserList, UserString, ChainMap)) or is_of_users(kind)


def is_of_users(kind: type) -> bool:
    """Whether a class was made by a `class` statement in code of users."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return bool(kind.__flags__ & _MADE_BY_CLASS) and kind.__module__ != "builtins" and (file is None or _is_users_file(file))


def _is_users_file(file: str) -> bool:
    return not (is_ours(file) or is_library(file) or is_installed(file))


# --- Taking apart -------------------------------------------------------------------------------------------------------


def _items(x: Any) -> Recipe | None:
    """A list, a tuple, a deque, or a user's kind of one; also a named tuple."""
    kind = type(x)
    if not holds_items(kind):  # a shape, say
        numbers = issubclass(kind, tuple) and any(type(n) is Scalar for n in x)
        return Recipe(kind, dict(enumerate(x)), None, lambda thing, parts: tuple.__new__(kind, parts.values())
                      ) if numbers else None
    held: Parts = children(x, objects=True)[1]  # type: ignore[index]
    if kind is tuple:
        return Recipe(tuple, held, None, lambda thing, parts: tuple(parts.values()))
    if issubclass(kind, tuple):
        like = container_of(x, dict.fromkeys(held))
        return Recipe(kind, held, None, lambda thing, parts: container_of(like, parts))
    like = empty_like(x)
    return Recipe(kind, held, lambda begun: empty_like(like), refill)


def _no_items(begun: Any) -> dict[Any, Any]:
    return {}


def _updated(thing: dict[Any, Any], parts: Parts) -> dict[Any, Any]:
    thing.update(parts)
    return thing


def _without_attributes(parts: Parts) -> list[Any]:
    return [part for key, part in parts.items() if type(key) is not Attribute]


def _with_attributes(thing: Any, parts: Parts) -> Any:
    for key, part in parts.items():
        if type(key) is Attribute:
            object.__setattr__(thing, key.name, part)
    return thing


def _set(x: Any) -> Recipe:
    kind: Any = type(x)

    def filled(thing: Any, parts: Parts) -> Any:
        set.update(thing, _without_attributes(parts))
        return _with_attributes(thing, parts)

    held = dict(enumerate(map(as_key, set.__iter__(x)))) | attributes_of(x)
    return Recipe(kind, held, lambda begun: set.__new__(kind), filled)


def _frozenset(x: Any) -> Recipe:
    kind: Any = type(x)
    held = dict(enumerate(map(as_key, frozenset.__iter__(x)))) | attributes_of(x)
    return Recipe(kind, held, None, lambda thing, parts: _with_attributes(
        frozenset.__new__(kind, _without_attributes(parts)), parts))


def _slice(x: slice) -> Recipe:
    return Recipe(slice, {0: x.start, 1: x.stop, 2: x.step}, None, lambda thing, parts: slice(*parts.values()))


def _cell(x: types.CellType) -> Recipe:
    def filled(thing: Any, parts: Parts) -> Any:
        for part in parts.values():
            thing.cell_contents = part
        return thing

    try:
        held = {"": x.cell_contents}
    except ValueError:
        held = {}
    return Recipe(types.CellType, held, lambda begun: types.CellType(), filled)


def _function(x: types.FunctionType) -> Recipe:
    code, names, name, count = x.__code__, x.__globals__, x.__name__, len(x.__closure__ or ())
    beside = {"__qualname__": x.__qualname__, "__module__": x.__module__, "__doc__": x.__doc__, "__type_params__": getattr(
        x, "__type_params__", ())}

    def begun(begin: Callable[[Any], Any]) -> Any:
        made = types.FunctionType(code, names, name, None, tuple(map(begin, range(count))))
        for key, value in beside.items():
            if hasattr(made, key):
                setattr(made, key, value)
        return made

    def filled(thing: Any, parts: Parts) -> Any:
        thing.__defaults__, thing.__kwdefaults__, thing.__annotations__ = (parts[key] for key in _OF_A_FUNCTION)
        thing.__dict__.update({key.name: part for key, part in parts.items() if type(key) is Attribute})
        return thing

    held = {**dict(enumerate(x.__closure__ or ())), **{key: getattr(x, key) for key in _OF_A_FUNCTION}, **attributes_of(x)}
    return Recipe(code, held, begun, filled)


_OF_A_FUNCTION = ("__defaults__", "__kwdefaults__", "__annotations__")


def _partial(x: Any) -> Recipe:
    kind, count = type(x), len(x.args)

    def made(thing: Any, parts: Parts) -> Any:
        arguments = [parts[i] for i in range(count)]
        return _with_attributes(kind.__new__(kind, parts["func"], *arguments, **{
            key[0]: part for key, part in parts.items() if type(key) is tuple}), parts)

    named = {(name,): value for name, value in x.keywords.items()}
    return Recipe(kind, {"func": x.func, **dict(enumerate(x.args)), **named, **attributes_of(x)}, None, made)


def _method(x: types.MethodType) -> Recipe:
    return Recipe(types.MethodType, {0: x.__func__, 1: x.__self__}, None, lambda thing, parts: types.MethodType(*parts.values()))


def _built_in(x: Any) -> Recipe | None:
    """A method in C of an object."""
    name = x.__name__
    if x.__self__ is None or isinstance(x.__self__, (type, types.ModuleType)):
        return None
    return Recipe((type(x), name), {0: x.__self__}, None, lambda thing, parts: getattr(parts[0], name))


def _view(x: Any) -> Recipe:
    """A view of a dictionary."""
    how, inside = _VIEWS[type(x)], gc.get_referents(x)[0]
    return Recipe(type(x), {0: inside}, None, lambda thing, parts: how(parts[0]))


_DICTS: tuple[dict[Any, Any], ...] = ({}, OrderedDict())
_VIEWS: dict[type, Callable[[Any], Any]] = {type(view(empty)): view for empty in _DICTS for view in (
    operator.methodcaller("keys"), operator.methodcaller("values"), operator.methodcaller("items"))}
_VIEWS[types.MappingProxyType] = types.MappingProxyType


def _exception(x: BaseException) -> Recipe:
    """Without where it was raised: that leads to the variables of the trace."""
    kind: Any = type(x)
    base = next(b for b in kind.__mro__ if b.__module__ == "builtins")

    def made(thing: Any, parts: Parts) -> Any:
        arguments = [part for key, part in parts.items() if type(key) is int]
        thing = base.__new__(kind, *arguments)
        base.__init__(thing, *arguments)
        thing.__cause__ = parts["cause"]
        return _with_attributes(thing, parts)

    held: dict[Any, Any] = {**dict(enumerate(x.args)), "cause": x.__cause__}
    held |= {Attribute(name): value for name, value in vars_of(x).items()}
    return Recipe(kind, held, None, made)


def _copied(x: Any) -> Recipe:
    """Contents in C that may be changed."""
    like = copy.copy(x)
    kind = type(x), bytes(x) if isinstance(x, (bytearray, array.array)) else id(x)
    return Recipe(kind, {}, lambda begun: copy.copy(like), lambda thing, parts: thing)


def _array(x: np.ndarray[Any, Any]) -> Recipe:
    if x.dtype.hasobject and x.dtype == object:
        return Recipe((np.ndarray, x.shape), dict(enumerate(x.ravel().tolist())), lambda begun: np.empty(x.shape, object),
                      _refilled)
    base = x.base
    if type(base) is np.ndarray and base.base is None and base.flags.c_contiguous and type(x) is np.ndarray:
        shape, kind, strides = x.shape, x.dtype, x.strides
        offset = x.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        return Recipe((np.ndarray, shape, strides, offset), {0: base}, None, lambda thing, parts: np.ndarray(
            shape, kind, parts[0], offset, strides))
    like = x.copy("K")
    return Recipe((type(x), x.dtype, x.shape, x.tobytes()), {}, lambda begun: like.copy("K"), lambda thing, parts: thing)


def _refilled(thing: Any, parts: Parts) -> Any:
    for i, part in parts.items():
        thing.flat[i] = part
    return thing


def _object(x: Any) -> Recipe | None:
    """An object that is no more than its attributes."""
    kind = type(x)
    if not (is_module(kind) or is_dataclass(x) or issubclass(kind, types.SimpleNamespace) or _is_made_of_attributes(kind)):
        return None
    inside = children(x) if is_dataclass(x) and not is_module(kind) else None
    held = inside[1] if inside is not None else {**vars_of(x), **{n: getattr(x, n) for n in slots_of(kind) if hasattr(x, n)}}
    return Recipe(kind, held, lambda begun: _empty(kind), refill)


def _empty(kind: Any) -> Any:
    return kind._blank() if is_module(kind) else (
        types.SimpleNamespace if issubclass(kind, types.SimpleNamespace) else object).__new__(kind)


def _is_made_of_attributes(kind: type) -> bool:
    """Whether each of its classes was made by a `class` statement, and none has a life of its own."""
    found = _made_of_attributes.get(kind)
    if found is None:
        bases = kind.__mro__[:-1]
        found = _made_of_attributes[kind] = not issubclass(kind, (type, types.ModuleType, Enum)) and not hasattr(
            kind, "_snapshot") and all(base.__flags__ & _MADE_BY_CLASS and not isinstance(
                vars(base).get("__new__"), types.BuiltinFunctionType) for base in bases) and (
                    kind.__basicsize__ <= object.__basicsize__ + 8 * (2 + len(slots_of(kind))))
    return found


_made_of_attributes: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
_MADE_BY_CLASS = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, type})

_TAKEN_APART: list[tuple[tuple[type, ...], Callable[[Any], Recipe | None]]] = [
    ((list, tuple, deque), _items), ((set,), _set), ((frozenset,), _frozenset),
    ((slice,), _slice), ((types.CellType,), _cell), ((types.FunctionType,), _function), ((functools.partial,), _partial),
    ((types.MethodType,), _method), ((types.BuiltinMethodType,), _built_in), (tuple(_VIEWS), _view),
    ((BaseException,), _exception), ((bytearray, array.array, io.BytesIO, io.StringIO, random.Random), _copied),
    ((np.ndarray,), _array), ((object,), _object)]
