"""Looking at objects without running anybody's code: no property, no `__getattr__`, no metaclass, no lazy module.

Guards look at everything that a step may read, at each call. Reading `x.name` may load a module, make an object, or raise.
"""

from __future__ import annotations

import gc
import threading
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

_table: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_FIELD = (types.GetSetDescriptorType, types.MemberDescriptorType)


def is_a(x: Any, kinds: type | tuple[type, ...]) -> bool:
    """`isinstance`, by the object's own type: one that pretends to be of another class is not asked."""
    return issubclass(type(x), kinds)


def mro(kind: type) -> tuple[type, ...]:
    """A class and its bases."""
    return _mro(kind)


def table(kind: type) -> Mapping[str, Any]:
    """What a class defines itself."""
    return _table(kind)


def defined(kind: type, name: str, default: Any = None) -> Any:
    """What a class or the first of its bases defines under a name, as it is written there."""
    for base in _mro(kind):
        if name in _table(base):
            return _table(base)[name]
    return default


def attributes(x: Any) -> dict[str, Any]:
    """The attributes that an object has of its own; empty if it cannot have any.

    >>> class Lazy:
    ...     def __getattribute__(self, name):
    ...         raise ImportError(name)
    >>> attributes(Lazy())
    {}
    """
    if is_a(x, threading.local):
        return threading.local.__getattribute__(x, "__dict__")  # of this thread
    for base in _mro(type(x)):
        found = _table(base).get("__dict__")
        if isinstance(found, _FIELD):
            return field(x, found, {})
    return {}


def reader_of_attributes(kind: type) -> Callable[[Any], dict[str, Any]] | None:
    """What gives the `attributes` of an object of a class; None if it cannot have any, or has others in each thread."""
    own = (_table(base).get("__dict__") for base in _mro(kind))
    found = None if issubclass(kind, threading.local) else next((x for x in own if isinstance(x, _FIELD)), None)
    return None if found is None else found.__get__


def field(x: Any, descriptor: Any, default: Any = None) -> Any:
    """What a slot, or a field of an object made in C, holds."""
    try:
        return descriptor.__get__(x, type(x))
    except (AttributeError, ValueError):
        return default


def held(x: Any, kind: type, name: str) -> Any:
    """An attribute that instances of a class of Python's have, in C or not."""
    descriptor = _table(kind).get(name)
    return field(x, descriptor) if isinstance(descriptor, _FIELD) else attributes(x).get(name)


def name_of(x: Any) -> str:
    """The `__name__` of a class, a function or a module."""
    if is_a(x, type):
        return str(type.__dict__["__name__"].__get__(x))
    if is_a(x, types.ModuleType):
        return str(attributes(x).get("__name__"))
    return str(x.__name__) if is_a(x, (types.FunctionType, types.BuiltinFunctionType)) else name_of(type(x))


def home_of(x: Any) -> str:
    """The name of the module that a module is, or where a function, a class or that of an object was made."""
    if is_a(x, types.ModuleType):
        found = attributes(x).get("__name__")
    elif is_a(x, (types.FunctionType, types.BuiltinFunctionType)):
        found = x.__module__
    else:
        found = type.__getattribute__(x if is_a(x, type) else type(x), "__module__")
    return found if isinstance(found, str) else ""


# --- Containers, whatever their class makes of them -------------------------------------------------------------------


def plain_dict(x: Any) -> Any:
    """The dictionary itself behind what shows one: a proxy, or a view of it."""
    if is_a(x, types.MappingProxyType):
        return next(iter(gc.get_referents(x)), None)  # the only way to it that asks nobody
    return plain_dict(x.mapping)


def keys(x: dict[Any, Any]) -> Iterable[Any]:
    """A view of the keys in their order: of an `OrderedDict`, its own."""
    return OrderedDict.keys(x) if isinstance(x, OrderedDict) else dict.keys(x)


def reader(x: Any) -> Callable[[], Iterable[Any]]:
    """A function that goes through the items of a list, a deque, a set, a tuple or a frozenset."""
    for kind in (list, deque, set, tuple, frozenset):
        if is_a(x, kind):
            return partial(kind.__iter__, x)
    raise TypeError(type(x))


def size(x: Any) -> int:
    """How many items a container has."""
    for kind in (list, dict, deque, set):
        if is_a(x, kind):
            return kind.__len__(x)
    raise TypeError(type(x))


def referent(x: Any) -> Any:
    """What a weak reference or a proxy leads to; None if that is gone."""
    if is_a(x, weakref.ref):
        return weakref.ref.__call__(x)
    try:
        return x.__repr__.__self__  # of a proxy, there is no other way
    except ReferenceError:
        return None
