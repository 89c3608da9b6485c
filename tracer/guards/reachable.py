"""What a traced function reads of the world outside its arguments, so that a change is seen at the next call.

Code can read only what it mentions. So the walk starts at the function and goes along the names in its bytecode: to
globals, closure cells and defaults, to the attributes of what it finds there, into containers, and into the code of
functions on the way. Every place where a value was found is remembered with the value. Nothing is executed: properties
and `__getattr__` are followed as code, not called.

What it does not see: code written in C, files and other resources, `eval` and `globals()`, the inner state of iterators
and of foreign random generators, and code of installed packages that do not use this one.
"""

from __future__ import annotations

import argparse
import array
import enum
import functools
import operator
import os
import random
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..ir.dtypes import dtype
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.source import describe, is_installed, is_library, is_ours
from ..tensor.device import device
from ..tensor.storage import Storage
from ..tensor.tensor import Tensor
from .identity import MISSING, PLAIN
from .mentions import Mentions, mentions
from .places import Attribute, Entries, Names, Place, Sequence, value_of

LONGEST = 10_000  # items of one container that are compared at each call
LARGEST = 1 << 20  # bytes of one numpy array that are compared at each call

_OPAQUE = (*PLAIN, Storage, Value, dtype, device, enum.Enum, types.CodeType, types.BuiltinFunctionType,
           types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType,
           types.MemberDescriptorType)
_CONTAINERS = (list, dict, set, deque)
_METHODS = (types.FunctionType, property, classmethod, staticmethod, functools.cached_property)


class Reachable:
    """Everything that `function`, and arguments of it that are no tensors, can lead it to.

    `structures` are the modules and optimizers on the way, `tensors` the tensors; `impure` names what it mentions that
    gives another value each time without a trace of it.
    """

    def __init__(self, function: Callable[..., Any], arguments: Iterable[tuple[str, Any]] = ()) -> None:
        self.structures: dict[int, Any] = {}
        self.tensors: dict[Tensor, None] = {}
        self.impure: dict[str, None] = {}
        self.mentioned: dict[str, set[str | None]] = {}  # attributes that code reads, with the names in front of them
        self.called: dict[str, set[str | None]] = {}  # those that it calls as methods
        self.computed: set[str | None] = {None}  # names in front that may stand for any object
        self.aliases: dict[int, set[str]] = {}  # the names under which each object was found
        self.of_instances: dict[int, list[set[str]]] = {}  # for each class those of itself and of all its instances
        self.grown: set[str] = set()  # attributes that are containers which code only puts things in
        self.dynamic = False
        self._contents: list[Place] = []
        self._functions: list[tuple[str, Any]] = []
        self._instances: list[tuple[str, Any]] = []
        self._globals: dict[int, _Table] = {}
        self._attributes: list[_Table] = []
        self._classes: dict[int, _Table] = {}
        self.makes = False  # whether code may make instances of any class it has an instance of
        self.looks_at_types = False  # whether code asks for `type(x)`, to which no stand-in for a number can give the answer
        self._seen: dict[int, Any] = {}
        self._todo: deque[tuple[Any, str]] = deque()
        self.later(function, getattr(function, "__name__", type(function).__name__))
        for name, value in arguments:
            self.later(value, name)
        self._follow()

    @property
    def names(self) -> frozenset[str] | None:
        """The attributes that users' code reads; None if it computes some of the names."""
        return None if self.dynamic else frozenset(self.mentioned) | frozenset(self.called)

    def places(self) -> list[Place]:
        """Where all that was found can be read again."""
        tables = [place for names in (*self._globals.values(), *self._attributes) for place in names.places()]
        kept = [Attribute(name, things) for name, things in (("__code__", self._functions), ("__class__", self._instances))
                if things]
        return [*tables, *self._contents, *kept]

    def later(self, value: Any, path: str) -> None:
        """Look at a value when its turn comes."""
        if isinstance(value, Tensor):
            self.tensors[value] = None
        elif not isinstance(value, _OPAQUE):
            self._todo.append((value, path))
            self.aliases.setdefault(id(value), set()).add(path.rpartition(".")[2])

    def _follow(self) -> None:
        while self._todo:
            while self._todo:
                value, path = self._todo.popleft()
                if id(value) not in self._seen:
                    self._seen[id(value)] = value
                    self._visit(value, path)
            for names in self._attributes:  # code that was found meanwhile may mention more of them
                names.look(self)

    def _visit(self, x: Any, path: str) -> None:
        for kind, visit in _VISITS:
            if isinstance(x, kind):
                visit(self, x, path)
                return
        self._object(x, path)

    def _watch(self, place: Place) -> tuple[Any, ...]:
        self._contents.append(place)
        return place.seen

    # --- Code ---------------------------------------------------------------------------------------------------------

    def _function(self, f: types.FunctionType, path: str) -> None:
        self.later(f.__dict__.get("__wrapped__"), path)
        if not _followed(f.__code__.co_filename, f.__globals__):
            return
        self._functions.append((f"the code of {path}", f))
        if f.__dict__:
            self._attributes.append(_Table(f.__dict__, lambda n: f"{path}.{n}"))
        found = mentions(f.__code__)
        for owner, name, called in found.chains:
            if name not in found.grown:
                (self.called if called else self.mentioned).setdefault(name, set()).add(owner)
        self.grown |= found.attributes & found.grown
        self.dynamic = self.dynamic or found.dynamic
        self.looks_at_types = self.looks_at_types or "type" in found.globals
        self.makes = self.makes or self.looks_at_types or "__class__" in found.attributes
        module = f.__globals__.get("__name__")
        table = self._globals.setdefault(id(f.__globals__), _Table(f.__globals__, lambda n: f"{n} (global of {module})"))
        variables = {n: v for n in found.globals if not _only_grown(n, v := f.__globals__.get(n), found)}
        for name in variables:
            table.add(name, self, name)
        variables |= {n: sys.modules.get(n) for n in found.modules} | self._closure(f, path, found)
        for name, value in variables.items():
            self.later(value, name)
            self._judge(name, value, found.attributes, f.__code__)
        if f.__defaults__ or f.__kwdefaults__:
            self._items(self._watch(Place(lambda: (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()),
                                          lambda i: f"a default of {path}")), f"the defaults of {path}")

    def _closure(self, f: types.FunctionType, path: str, found: Mentions) -> dict[str, Any]:
        cells = {n: c for n, c in zip(f.__code__.co_freevars, f.__closure__ or ())
                 if n != "__class__" and not _only_grown(n, value_of(c, "cell_contents"), found)}
        if not cells:
            return {}
        named = [(f"{n} (closure of {path})", c) for n, c in cells.items()]
        return dict(zip(cells, self._watch(Attribute("cell_contents", named))))

    def _judge(self, name: str, value: Any, attributes: frozenset[str], code: types.CodeType) -> None:
        """Note what the trace must not depend on."""
        if value is os and attributes & {"environ", "getenv"}:
            self.later(os.environ.__dict__["_data"], "os.environ")
        for what in _impure(name, value, attributes):
            self.impure[f"{what}, at {describe((code, 0))}"] = None

    def _method(self, x: types.MethodType, path: str) -> None:
        self.later(x.__func__, path)
        self.later(x.__self__, f"{path}.__self__")

    def _members(self, x: Any, path: str) -> None:
        """What a wrapper of functions holds."""
        for name in _HOLDS[next(kind for kind in type(x).__mro__ if kind in _HOLDS)]:
            self.later(getattr(x, name), path)

    # --- Containers ---------------------------------------------------------------------------------------------------

    def _items(self, x: Iterable[Any], path: str) -> None:
        for i, value in enumerate(x):
            self.later(value, f"{path}[{i}]")

    def _sequence(self, x: Any, path: str) -> None:
        _refuse_long(x, path)
        self._items(self._watch(Sequence(x, lambda i: f"{path}[{i}]")), path)

    def _set(self, x: set[Any], path: str) -> None:
        _refuse_long(x, path)
        self._watch(Place(lambda: (frozenset(x),), lambda i: path))

    def _dict(self, x: dict[Any, Any], path: str) -> None:
        _refuse_long(x, path)
        self._watch(Entries(x, lambda key: f"{path}[{key!r}]"))
        for key, value in x.items():
            self.later(value, f"{path}[{key!r}]")

    def _bytes(self, x: Any, path: str) -> None:
        self._refuse_large(memoryview(x).nbytes, "buffer", path)
        self._watch(Place(lambda: (bytes(x),), lambda i: f"the contents of {path}"))

    def _variable(self, x: ContextVar[Any], path: str) -> None:
        self._items(self._watch(Place(lambda: (x.get(MISSING),), lambda i: f"the value of {path}")), path)

    def _weak(self, x: weakref.ref[Any], path: str) -> None:
        self.later(x(), path)

    def _getter(self, x: Any, path: str) -> None:
        """What `operator` makes of names: it reads attributes of anything."""
        for name in (part for text in x.__reduce__()[1] if isinstance(text, str) for part in text.split(".")):
            self.mentioned.setdefault(name, set()).add(None)

    def _array(self, x: np.ndarray[Any, Any], path: str) -> None:
        self._refuse_large(x.nbytes, "numpy array", path)
        self._watch(Place(lambda: (x.shape, x.dtype.str, x.tobytes()), lambda i: f"the contents of {path}"))

    def _refuse_large(self, size: int, what: str, path: str) -> None:
        if size > LARGEST:
            raise TraceError(f"{path} is a {what} of {size} bytes that the function reads from outside: too large to be "
                             "compared at each call. Pass it as an argument, or make it a tensor outside.")

    # --- Objects ------------------------------------------------------------------------------------------------------

    def _module(self, x: types.ModuleType, path: str) -> None:
        if _followed(getattr(x, "__file__", None) or _IN_C, vars(x)):
            self._attributes.append(_Table(vars(x), lambda n: f"{path}.{n}"))

    def _class(self, x: type, path: str) -> None:
        """A class that code mentions: it may make instances."""
        if _users_class(type(x)):  # properties of classes are there
            self._kind(x)
        for base in x.__mro__:
            if _users_class(base):
                self._class_table(base).makes = True

    def _kind(self, x: Any) -> None:
        """The class of an instance: what it has is meant where attributes of the instance are."""
        for base in type(x).__mro__:
            if _users_class(base):
                self._class_table(base)
            self.of_instances.setdefault(id(base), []).append(self.aliases.setdefault(id(x), set()))

    def _class_table(self, x: type) -> _Table:
        table = self._classes.get(id(x))
        if table is None:
            name = x.__name__
            named = self.of_instances.setdefault(id(x), [])
            named.append(self.aliases.setdefault(id(x), {name}))
            table = self._classes[id(x)] = _Table(x.__dict__, lambda n: f"{name}.{n}", always=_called_by_others(x), aliases=named)
            self._attributes.append(table)
            self.computed |= {n for n, v in x.__dict__.items() if isinstance(v, (property, functools.cached_property))}
            if "__getattr__" in x.__dict__ or "__getattribute__" in x.__dict__:
                self.computed = _Anything()
        return table

    def _object(self, x: Any, path: str) -> None:
        kind, own = type(x), getattr(x, "__dict__", {})
        structured = hasattr(kind, "_snapshot")  # a module or an optimizer
        if structured:
            self.structures[id(x)] = x
            parts = [*(own.get("_modules") or {}).items(), *((n, v) for n, v in own.items() if callable(v))]
            for name, part in parts:
                self.later(part, f"{path}.{name}")
        elif "__wrapped__" in own:
            self.later(own["__wrapped__"], path)
            return
        if _users_class(kind):
            self._kind(x)
            self._attributes_of(x, own, path, structured)
            if not structured:
                self._instances.append((f"the class of {path}", x))
        elif own and not structured and (hasattr(kind, "_guarded") or not is_ours(_file_of(kind))):
            # What methods read that are not followed: all that a schedule knows, or what a container of a library holds.
            inside = frozenset(own) if hasattr(kind, "_guarded") or isinstance(x, Collection) else frozenset[str]()
            self._attributes.append(_Table(own, lambda n: f"{path}.{n}", always=inside, whole=kind in _NAMESPACES,
                                           aliases=[self.aliases[id(x)]]))

    def _attributes_of(self, x: Any, own: dict[str, Any], path: str, structured: bool) -> None:
        """Attributes of a user's object. Those of modules are in their snapshots, and only their contents are watched."""
        classes = [base.__dict__ for base in type(x).__mro__ if _users_class(base)]
        hidden = frozenset(n for names in classes for n, v in names.items() if not isinstance(v, _METHODS))
        aliases = [self.aliases[id(x)]]
        self._attributes.append(_Table(own, lambda n: f"{path}.{n}", watched=not structured, may_come=hidden, aliases=aliases))
        slots = {n: v for names in classes for n, v in names.items() if isinstance(v, types.MemberDescriptorType)}
        if slots:
            self._attributes.append(_Table(_Slots(x, slots), lambda n: f"{path}.{n}", aliases=aliases))


class _Table:
    """A table of names, globals or attributes, of which those are read that code mentions.

    `always` are read by code that is not followed; `may_come` are names that mean something else until they are there;
    `whole` says that all are read where code computes some names; `aliases` are the names of the objects whose attributes
    these are, so that `optimizer.step` means nothing to another object's `step`; None stands for any.
    """

    def __init__(self, table: Mapping[str, Any], label: Callable[[str], str], watched: bool = True,
                 always: frozenset[str] = frozenset(), may_come: frozenset[str] = frozenset(), whole: bool = True,
                 aliases: list[set[str]] | None = None) -> None:
        self.table, self.label, self.watched, self.always, self.may_come = table, label, watched, always, may_come
        self.aliases = aliases
        self.keys: dict[str, None] = {}
        self.may_be_whole, self.whole = whole, False
        self.makes = False  # of a class: whether code may call it

    def add(self, name: str, walk: Reachable, path: str) -> None:
        """Read this name."""
        if name not in self.keys:
            self.keys[name] = None
            walk.later(self.table.get(name), path)

    def look(self, walk: Reachable) -> None:
        """Read the names that code mentions by now."""
        self.whole = self.may_be_whole and walk.dynamic
        there = self.table.keys()
        meant = {n for n in walk.mentioned.keys() & (there | self.may_come) if self._means(walk, walk.mentioned[n])}
        meant |= {n for n in walk.called.keys() & there if self._means(walk, walk.called[n])
                  and (callable(v := self.table.get(n)) or isinstance(v, _METHODS))}
        meant |= {n for n in walk.grown & there if not isinstance(self.table.get(n), _CONTAINERS)}
        whole = {n for n in there if not n.startswith("__")} if self.whole else set()
        always = self.always & there if self.makes or walk.makes else (self.always - _MAKING) & there
        for name in (meant | whole | always) - self.keys.keys():
            self.add(name, walk, self.label(name))

    def _means(self, walk: Reachable, owners: set[str | None]) -> bool:
        """Whether an attribute behind one of these names may be one of this object."""
        return (self.aliases is None or any(not owners.isdisjoint(names) for names in self.aliases)
                or any(owner in walk.computed for owner in owners))

    def places(self) -> Iterator[Place]:
        """Where the values are read again."""
        if self.watched and self.keys:
            yield Names(self.table, self.keys, self.label)
        if self.watched and self.whole:
            yield Place(lambda: (tuple(self.table),), lambda i: self.label("*"))


class _Anything(set[str | None]):
    """All names."""

    def __contains__(self, name: object) -> bool:
        return True


class _Slots(dict[str, Any]):
    """The slots of an object, by name."""

    def __init__(self, owner: Any, slots: Mapping[str, Any]) -> None:
        super().__init__(slots)
        self.owner = owner

    def __setitem__(self, name: str, value: Any) -> None:
        """Put something into a slot."""
        self[name].__set__(self.owner, value)

    def get(self, name: str, default: Any = None) -> Any:
        """What a slot holds."""
        try:
            return self[name].__get__(self.owner)
        except AttributeError:
            return default


_HOLDS: dict[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"), classmethod: ("__func__",), staticmethod: ("__func__",),
    property: ("fget", "fset"), functools.cached_property: ("func",)}
_MAKING = frozenset({"__new__", "__init__", "__post_init__", "__init_subclass__", "__set_name__"})
_NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
_VISITS: list[tuple[Any, Callable[[Reachable, Any, str], None]]] = [
    (types.FunctionType, Reachable._function), (types.MethodType, Reachable._method),
    (tuple(_HOLDS), Reachable._members), ((tuple, frozenset), Reachable._items), ((list, deque), Reachable._sequence),
    (set, Reachable._set), ((dict, types.MappingProxyType), Reachable._dict),
    ((bytearray, memoryview, array.array), Reachable._bytes), (ContextVar, Reachable._variable),
    (weakref.ref, Reachable._weak),
    ((operator.attrgetter, operator.methodcaller), Reachable._getter), (np.ndarray, Reachable._array),
    (types.ModuleType, Reachable._module), (type, Reachable._class)]


def _only_grown(name: str, value: Any, found: Mentions) -> bool:
    """Whether code only puts things in this container: what is in it, and which one it is, means nothing to a trace."""
    return name in found.grown and isinstance(value, _CONTAINERS)


def _refuse_long(x: Any, path: str) -> None:
    if len(x) > LONGEST:
        raise TraceError(f"{path} is a {type(x).__name__} of {len(x)} items that the function reads from outside: too long to "
                         "be compared at each call. Pass what is needed as an argument, or make it a tuple, which cannot "
                         "change.")


# --- Whose code -------------------------------------------------------------------------------------------------------

_IN_C = "<frozen>"  # modules without a file
_using_us: dict[str, bool] = {}


def _followed(file: str, names: Mapping[str, Any]) -> bool:
    """Whether what code in `file` mentions may change: users' own code, and that of installed packages that use us."""
    if is_ours(file) or is_library(file):
        return False
    return not is_installed(file) or _uses_us(str(names.get("__name__")), names)


def _uses_us(name: str, names: Mapping[str, Any]) -> bool:
    found = _using_us.get(name)
    if found is None:
        found = _using_us[name] = any(map(_of_us, list(names.values())))
    return found


def _of_us(value: Any) -> bool:
    name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return isinstance(name, str) and name.split(".")[0] == __name__.split(".")[0]


def _file_of(kind: type) -> str:
    return getattr(sys.modules.get(kind.__module__), "__file__", None) or _IN_C


def _users_class(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    return kind.__module__ == "__main__" or (module is not None and _followed(_file_of(kind), vars(module)))


def _called_by_others(kind: type) -> frozenset[str]:
    """Methods that code which is not followed calls: special ones, and those that a base of other origin defines too."""
    others = [base.__dict__ for base in kind.__mro__ if not _users_class(base)]
    return frozenset(n for n, v in kind.__dict__.items()
                     if isinstance(v, _METHODS) and (n.startswith("__") or any(n in names for names in others)))


def read_by_ours(kind: type) -> frozenset[str]:
    """The attributes that methods of ours read, of a class or of what it derives from."""
    found = _read_by_ours.get(kind)
    if found is None:
        functions = [f for base in kind.__mro__ for v in base.__dict__.values() for f in _functions_of(v)
                     if is_ours(f.__code__.co_filename)]
        found = _read_by_ours[kind] = frozenset().union(*(mentions(f.__code__).attributes for f in functions))
    return found


_read_by_ours: dict[type, frozenset[str]] = {}


def _functions_of(attribute: Any) -> list[types.FunctionType]:
    parts = [getattr(attribute, name) for name in _HOLDS.get(type(attribute), ())] or [attribute]
    return [f for f in parts if isinstance(f, types.FunctionType)]


# --- What no guard can see --------------------------------------------------------------------------------------------

_CHANGING = {
    "time": {"time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time"},
    "random": {"random", "randint", "randrange", "uniform", "gauss", "normalvariate", "choice", "choices", "sample",
               "shuffle", "getrandbits"},
    "datetime": {"now", "today", "utcnow"}, "numpy": {"random"}, "os": {"urandom"}, "uuid": {"uuid1", "uuid4"},
    "secrets": {"token_bytes", "token_hex", "randbelow", "randbits", "choice"}}
_SEEDED = {"default_rng", "RandomState", "Generator"}  # generators that the code makes for itself
_BOUND = (types.MethodType, types.BuiltinMethodType)
_NAMED = (*_BOUND, types.FunctionType)
_DRAWS = (random.Random, np.random.Generator, np.random.RandomState)


def _impure(name: str, value: Any, attributes: frozenset[str]) -> Iterator[str]:
    """What gives another value at each use, among the things that code mentions under `name`."""
    if isinstance(value, (types.ModuleType, type)):
        home = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
        if not (home == "numpy" and attributes & _SEEDED):
            yield from (f"{name}.{used}" for used in attributes & _CHANGING.get(home, set()))
    elif isinstance(value, _DRAWS) or (isinstance(value, _BOUND) and isinstance(value.__self__, _DRAWS)):
        yield f"{name}, which draws from a random generator of numpy or Python"
    elif isinstance(value, _NAMED) and value.__name__ in _CHANGING.get(str(value.__module__), set()):
        yield name
    elif hasattr(type(value), "__next__"):
        yield f"{name}, an iterator"
