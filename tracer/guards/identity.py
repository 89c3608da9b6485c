"""When two things are the same to the code that reads them. Nobody's `__eq__` or `__hash__` is asked."""

from __future__ import annotations

import itertools
import types
import weakref
from collections import Counter
from collections.abc import Hashable, Iterable
from enum import Enum
from typing import Any

import numpy as np

from ..tensor.nested import attributes_of
from ..tensor.tensor import Tensor
from .statics import attributes, is_a, name_of, reader


class _Missing:
    """Stands for nothing where something may be."""

    def __repr__(self) -> str:
        return "<not there>"


class _Escaped:
    """Stands for any tensor that a trace left behind."""

    def __repr__(self) -> str:
        return "<a tensor that a trace left there>"


class _Hidden:
    """Stands for what code sets and never reads, while a trace is in progress: so it is seen whether the code does."""

    def __repr__(self) -> str:
        return "<what is set and never read>"


MISSING: Any = _Missing()
HIDDEN: Any = _Hidden()
_ESCAPED = _Escaped()
PLAIN = (bool, int, float, complex, str, bytes, type(None), range, slice, type(Ellipsis), np.generic, _Missing)
_EXACT = frozenset(PLAIN)
_WITH_ATTRIBUTES = (int, float, complex, str, bytes, frozenset)  # in a class of their own
_BY_VALUE = _EXACT | {tuple, list, dict, set, frozenset}


class Replacement:
    """Stands for a function or class of Python while a trace is in progress, and behaves like it.

    `stands_for` is what was in its place: `original`, or nothing where a global now hides a builtin.
    """

    def __init__(self, original: Any, stands_for: Any) -> None:
        self.original, self.stands_for = original, stands_for

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.original(*args, **kwargs)

    def __instancecheck__(self, x: Any) -> bool:
        return isinstance(x, self.original)

    def __subclasscheck__(self, kind: Any) -> bool:
        return issubclass(kind, self.original)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self.original,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)

    def __or__(self, other: Any) -> Any:
        return self.original | other

    def __ror__(self, other: Any) -> Any:
        return other | self.original

    def __eq__(self, other: object) -> bool:
        return bool(self.original == (other.original if isinstance(other, Replacement) else other))

    def __hash__(self) -> int:
        return hash(self.original)

    def __repr__(self) -> str:
        return repr(self.original)

    def __reduce__(self) -> Any:
        return _itself, (self.original,)


def _itself(x: Any) -> Any:
    return x


def real(x: Any) -> Any:
    """What is really there, where a trace in progress has put a replacement."""
    return x.stands_for if issubclass(type(x), Replacement) else x


class Weakly(weakref.ref[Any]):
    """Something that was seen somewhere, such as a tensor. It is not kept alive: once it is gone, nothing is the same as it."""

    __slots__ = ("text",)

    def __init__(self, thing: Any) -> None:
        super().__init__(thing)  # type: ignore[call-arg]
        self.text = f"a tensor {thing._type}" if is_a(thing, Tensor) else f"<{name_of(type(thing))} object>"


def kept(x: Any) -> Any:
    """What to keep of a value that is compared later."""
    return Weakly(x) if is_a(x, Tensor) and not x._escaped() else x


def kept_weakly(x: Any) -> Any:
    """What to keep of a value that must not be kept alive for being compared, if that can be."""
    if escaped(x) or is_a(x, PLAIN):
        return x
    try:
        return Weakly(x)
    except TypeError:
        return x


def same(now: Any, seen: Any) -> bool:
    """Whether a value is the very one of which this was kept."""
    if type(seen) is not Weakly:
        return now is seen
    tensor = seen()
    return tensor is now and tensor is not None


def interchangeable(a: Any, b: Any) -> bool:
    """Whether code cannot tell the two apart: one object, or values of one type that are equal and never change.

    >>> interchangeable(0.0, -0.0), interchangeable(1, True), interchangeable((1, "a"), (1, "a"))
    (False, False, True)
    """
    if a is b:
        return True
    kind = type(a)
    if kind is Weakly or type(b) is Weakly:
        x, y = (v() if type(v) is Weakly else v for v in (a, b))
        return x is y and x is not None
    if kind is not type(b):
        return False
    if kind in (float, complex) or issubclass(kind, np.generic):
        return repr(a) == repr(b)  # tells 0.0 from -0.0, and takes nan for equal to itself
    if kind is slice:
        return all(map(interchangeable, (a.start, a.stop, a.step), (b.start, b.stop, b.step)))
    if kind in _EXACT:
        return bool(a == b)
    if kind is frozenset:
        return same_members(a, b)
    if escaped(a):
        return escaped(b)
    if kind is tuple:
        return len(a) == len(b) and all(map(interchangeable, a, b))
    if kind is types.MethodType:
        return a.__func__ is b.__func__ and a.__self__ is b.__self__
    return _same_number(a, b)


def _same_number(a: Any, b: Any) -> bool:
    """Whether two numbers or texts of a class of their own are equal, and have the same attributes."""
    base: Any = next((kind for kind in (int, float, complex, str, bytes) if is_a(a, kind)), None)
    if base is None or not interchangeable(base.__getnewargs__(a)[0], base.__getnewargs__(b)[0]):
        return False
    ours, theirs = attributes(a), attributes(b)
    return ours.keys() == theirs.keys() and all(map(interchangeable, ours.values(), theirs.values()))


def same_members(a: Iterable[Any], b: Iterable[Any]) -> bool:
    """Whether two sets have the same members."""
    ours, theirs = (Counter(map(token, reader(x)())) for x in (a, b))
    return ours == theirs


def token(x: Any) -> Hashable:
    """What tells an object from others without asking it: its value if that is plain, else which one it is."""
    kind = type(x)
    if kind in (bool, int, str, bytes, type(None)):
        return kind, x
    if kind in (float, complex) or issubclass(kind, np.generic):
        return kind, repr(x)
    return (tuple, *map(token, x)) if kind is tuple else (object, id(x))


def escaped(x: Any) -> bool:
    """Whether it is a tensor that a trace left behind: one is like the other, since none can be used."""
    return is_a(x, Tensor) and x._escaped()


class Identity:
    """A key for an object compared by identity. It keeps the object alive only if that cannot be referred to weakly."""

    __slots__ = ("_thing", "_hash")

    def __init__(self, thing: Any) -> None:
        try:
            self._thing: Any = weakref.ref(thing)
        except TypeError:
            self._thing = lambda: thing
        self._hash = id(thing)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity):
            return False
        thing = self._thing()
        return thing is not None and thing is other._thing()

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        thing = self._thing()
        return "<an object that is gone>" if thing is None else f"<{type(thing).__name__} object>"


_numbers = itertools.count()


class Equal:
    """A key for an object whose class says which others are equal to it. Of two keys the class is asked once."""

    __slots__ = ("_number", "_told", "thing")

    def __init__(self, thing: Any) -> None:
        self.thing, self._number = thing, next(_numbers)
        self._told: dict[int, bool] = {}  # of those that were there before, by number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Equal) or type(other.thing) is not type(self.thing):
            return False
        older, younger = (self, other) if self._number < other._number else (other, self)
        told = younger._told.get(older._number)
        if told is None:
            told = younger._told[older._number] = self.thing is other.thing or bool(self.thing == other.thing)
        return told

    def __hash__(self) -> int:
        return hash(type(self.thing))

    def __repr__(self) -> str:
        return f"<{type(self.thing).__name__} object>"


class Plain:
    """A value that is compared with another one as code would see it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and interchangeable(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return repr(self.value)


def comparable(value: Any) -> Plain | Identity:
    """What stands for an attribute that is compared later: a plain value, or the identity of an object."""
    if escaped(value):
        return Plain(_ESCAPED)
    return Plain(value) if is_a(value, (*PLAIN, tuple, frozenset, types.MethodType)) else Identity(value)


def static_key(x: Any) -> Any:
    """What stands for a value that is not traced: equal values of one type give equal keys."""
    kind = type(x)
    if kind in (bool, str, bytes, type(None), int):
        return kind, x
    if kind in (float, complex) or isinstance(x, np.generic):
        return kind, repr(x)  # tells 0.0 from -0.0, and takes nan for equal to itself
    if kind in (tuple, list):
        return kind, tuple(map(static_key, x))
    if kind is dict:
        return kind, tuple((static_key(k), static_key(v)) for k, v in x.items())
    if kind in (set, frozenset):
        return kind, frozenset(map(static_key, x))
    if kind is slice:
        return kind, tuple(map(static_key, (x.start, x.stop, x.step)))
    if kind.__dict__.get("__hash__", object.__hash__) is None or getattr(kind, "__eq__") is object.__eq__:  # noqa: B009
        return Equal(x) if "__eq__" in {n for base in kind.__mro__[:-1] for n in vars(base)} else Identity(x)
    try:
        hash(x)
    except TypeError:
        return Identity(x)
    own = attributes_of(x) if issubclass(kind, _WITH_ATTRIBUTES) and not issubclass(kind, Enum) else None
    if own:
        return kind, x, tuple((name, static_key(v) if type(v) in _BY_VALUE else Identity(v)) for name, v in own.items())
    return kind, x
