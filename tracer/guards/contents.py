"""What is in containers, buffers, arrays and the like: where it is read again, and what is walked on to."""

from __future__ import annotations

import array
import operator
import sys
import types
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, MappingView
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import partial
from typing import Any

import numpy as np

from ..ir.errors import TraceError
from ..tensor.tensor import Tensor
from .places import Contents, Entries, Members, Objects, Place, Sequence, Variable
from .statics import held, is_a, plain_dict, reader, referent, size
from .tables import Walk
from .texts import key_text

LONGEST = 10_000  # items of one container that are compared at each call
LARGEST = 1 << 20  # bytes of one numpy array that are compared at each call


def each(walk: Walk, items: Iterable[Any], path: str) -> None:
    """Look at all of these later."""
    for i, value in enumerate(items):
        walk.later(value, f"{path}[{i}]")


def _fixed(walk: Walk, x: Any, path: str) -> None:
    each(walk, reader(x)(), path)


def _sequence(walk: Walk, x: Any, path: str) -> None:
    _refuse_long(x, path)
    each(walk, walk.watch(Sequence(x, lambda i: f"{path}[{i}]")), path)


def _set(walk: Walk, x: set[Any], path: str) -> None:
    _refuse_long(x, path)
    members = walk.watch(Members(x, lambda i: path))
    walk.keys.update(dict.fromkeys(member for member in members if is_a(member, Tensor)))
    each(walk, members, path)


def dictionary(walk: Walk, x: dict[Any, Any], path: str) -> None:
    """All entries; of `sys.modules` none, since every import adds to it."""
    if x is not sys.modules:
        _refuse_long(x, path)
        _entries(walk, x, x, path)
    if is_a(x, defaultdict):
        walk.later(held(x, defaultdict, "default_factory"), f"{path}.default_factory")


def _shown(walk: Walk, x: Any, path: str) -> None:
    """A proxy or a view of a dictionary, or of something else."""
    inside = plain_dict(x)
    if is_a(inside, dict):
        _entries(walk, x, inside, path)
    else:
        walk.later(inside, path)


def _entries(walk: Walk, x: Any, inside: dict[Any, Any], path: str) -> None:
    walk.watch(Entries(x, lambda key: f"{path}[{key_text(key)}]"))
    for key, value in dict.items(inside):
        label = f"{path}[{key_text(key)}]"
        if is_a(key, Tensor):
            walk.keys[key] = None
        walk.later(key, label)
        walk.later(value, label)


def _mapping(walk: Walk, x: MappingView, path: str) -> None:
    walk.later(held(x, MappingView, "_mapping"), path)


def _bytes(walk: Walk, x: Any, path: str) -> None:
    _refuse_large(memoryview(x).nbytes, "buffer", path)
    walk.watch(Contents(x, lambda: (memoryview(x).tobytes(),), partial(_put_bytes, x), lambda i: f"the contents of {path}"))


def _put_bytes(x: Any, seen: tuple[bytes]) -> None:
    """Let a buffer hold what it held."""
    if is_a(x, array.array):
        array.array.__setitem__(x, slice(None), array.array(x.typecode, seen[0]))
    elif is_a(x, bytearray):
        bytearray.__setitem__(x, slice(None), seen[0])
    else:
        x.cast("B")[:] = seen[0]


def _variable(walk: Walk, x: ContextVar[Any], path: str) -> None:
    each(walk, walk.watch(Variable(x, f"the value of {path}")), path)
    with suppress(LookupError):
        walk.later(Context().run(x.get), f"{path}.get()")  # its default


def _context(walk: Walk, x: Context, path: str) -> None:
    each(walk, walk.watch(Place(x.values, lambda i: f"{path}[{i}]")), path)


def _weak(walk: Walk, x: Any, path: str) -> None:
    walk.watch(Place(lambda: (referent(x) is None,), lambda i: f"whether what {path} refers to is gone"))
    walk.weakly(referent(x), path)
    if is_a(x, weakref.WeakMethod):
        walk.weakly(referent(held(x, weakref.WeakMethod, "_func_ref")), path)


def _finalizer(walk: Walk, x: weakref.finalize[Any, Any], path: str) -> None:
    registry = weakref.finalize._registry  # type: ignore[attr-defined]
    walk.watch(Place(lambda: (dict.__contains__(registry, x),), lambda i: f"{path}.alive"))


def _getter(walk: Walk, x: Any, path: str) -> None:
    """What `operator` makes of names: it reads attributes of anything, and gives a method what it was given."""
    made, names = x.__reduce__()
    if type(x) is operator.methodcaller:
        args, keywords = (names[1:], {}) if made is operator.methodcaller else (names, made.keywords)
        names = names[:1] if made is operator.methodcaller else made.args
        each(walk, (*args, *keywords.values()), path)
        walk.everything = walk.everything or names[0] == "__getattribute__"
    for name in (part for text in names for part in text.split(".")):
        walk.mentioned.setdefault(name, set()).add(None)


_ARRAY: list[Callable[..., Any]] = [
    *(np.ndarray.__dict__[name].__get__ for name in ("shape", "dtype", "nbytes")), np.ndarray.tobytes]


def _array(walk: Walk, x: np.ndarray[Any, Any], path: str) -> None:
    shape, kind, nbytes, copy = (partial(read, x) for read in _ARRAY)
    _refuse_large(nbytes(), "numpy array", path)
    label = f"the contents of {path}"
    if kind().hasobject:
        each(walk, walk.watch(Objects(x, lambda i: label)), path)
    walk.watch(Contents(x, lambda: (shape(), kind().str, b"" if kind().hasobject else copy()),
                        lambda seen: _put_array(x, kind(), seen), lambda i: label))


def _put_array(x: np.ndarray[Any, Any], kind: np.dtype[Any], seen: tuple[Any, ...]) -> None:
    """Let an array have the shape that it had, and hold the same numbers."""
    shape, _, data = seen
    if _ARRAY[0](x) != shape:
        np.ndarray.resize(x, shape, refcheck=False)
    if not kind.hasobject:
        np.ndarray.__setitem__(x, ..., np.frombuffer(data, kind).reshape(shape))


def _refuse_large(nbytes: int, what: str, path: str) -> None:
    if nbytes > LARGEST:
        raise TraceError(f"{path} is a {what} of {nbytes} bytes that the function reads from outside: too large to be compared "
                         "at each call. Pass it as an argument, or make it a tensor outside.")


def too_large(x: Any) -> bool:
    """Whether a thing is refused where it is read from outside, or holds one that is."""
    todo, seen = [x], set[int]()
    while todo:
        x = todo.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if is_a(x, (list, dict, deque, set)) and size(x) > LONGEST:
            return True
        if is_a(x, np.ndarray) and np.ndarray.__dict__["nbytes"].__get__(x) > LARGEST:
            return True
        if is_a(x, (bytearray, memoryview, array.array)) and memoryview(x).nbytes > LARGEST:
            return True
        todo += dict.values(x) if is_a(x, dict) else reader(x)() if is_a(x, (list, deque, set, tuple, frozenset)) else ()
    return False


def _refuse_long(x: Any, path: str) -> None:
    if size(x) > LONGEST:
        raise TraceError(f"{path} is a {type(x).__name__} of {size(x)} items that the function reads from outside: too long to "
                         "be compared at each call. Pass what is needed as an argument, or make it a tuple, which cannot "
                         "change.")


CONTENTS: list[tuple[Any, Callable[[Walk, Any, str], None]]] = [
    ((tuple, frozenset), _fixed), ((list, deque), _sequence), (set, _set), (dict, dictionary),
    ((types.MappingProxyType, type({}.keys()), type({}.values()), type({}.items())), _shown), (MappingView, _mapping),
    ((bytearray, memoryview, array.array), _bytes), (ContextVar, _variable), (Context, _context),
    ((weakref.ref, weakref.ProxyType, weakref.CallableProxyType), _weak),
    (weakref.finalize, _finalizer), ((operator.attrgetter, operator.methodcaller), _getter), (np.ndarray, _array)]
