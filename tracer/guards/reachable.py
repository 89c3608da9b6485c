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
import enum
import functools
import gc
import inspect
import logging
import operator
import os
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.source import describe, is_library, is_ours
from ..tensor.device import device
from ..tensor.storage import Storage
from ..tensor.tensor import _OWN, Tensor
from .contents import CONTENTS, dictionary, each
from .identity import MISSING, PLAIN, real
from .impure import impure, unseen
from .mentions import BY_NAME, SELF, Mentions, mentions
from .module_globals import ModuleGlobals, only_grown
from .places import Attribute, Kinds, Names, Place, value_of
from .statics import attributes, defined, held, is_a, mro, name_of, table
from .tables import OF_STRUCTURE, Given, OfThread, Reads, Slots, Table, slots_of
from .whose import (
    HOLDS,
    called_by_others,
    file_of,
    file_of_module,
    followed,
    foreign_function,
    functions_of,
    looked_up,
    of_ours,
    read_by_ours,
    users_class,
)

_REMEMBERING = type(functools.lru_cache(lambda: None))
_OPAQUE = (*PLAIN, Storage, Value, dtype, device, enum.Enum, types.CodeType, types.BuiltinFunctionType,
           types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType,
           types.MemberDescriptorType)
_ANY_NAME = (getattr, hasattr, vars, dir, operator.attrgetter, operator.methodcaller, inspect.getmembers, inspect.getattr_static)


class Reachable:
    """Everything that `function`, and arguments of it that are no tensors, can lead it to.

    `structures` are the modules and optimizers on the way, `tensors` the tensors; `impure` names what it mentions that
    gives another value each time without a trace of it.
    """

    def __init__(self, function: Callable[..., Any], arguments: Iterable[tuple[str, Any]] = ()) -> None:
        self.structures: dict[int, Any] = {}
        self.tensors: dict[Tensor, str] = {}  # with what to call each
        self.impure: dict[str, None] = {}
        self.mentioned: dict[str, set[str | None]] = {}  # attributes that code reads, with the names in front of them
        self.called: dict[str, set[str | None]] = {}  # those that it calls as methods
        self.computed: set[str | None] = {None}  # names in front that may stand for any object
        self.aliases: dict[int, set[str]] = {}  # the names under which each object was found
        self.paths: dict[int, set[str]] = {}  # and the ways to it, of a tensor too
        self.of_instances: dict[int, list[set[str]]] = {}  # for each class those of itself and of all its instances
        self.grown: set[str] = set()  # attributes that are containers which code only puts things in
        self.asked: dict[str, set[str | None]] = {}  # attributes that code can do without, with the names in front of them
        self.doubted: dict[str, set[str | int | None]] = {}  # the same and those of which it catches errors; ids are of classes
        self.everything = False  # whether code reads attributes of any object by names that are not in it
        self.whole_of: set[int] = set()  # the classes of which it does so
        self.whole_behind: set[str] = set()  # and the names in front of the objects
        self._methods: dict[int, type] = {}  # functions that classes define
        self._contents: list[Place] = []
        self._functions: list[tuple[str, Any]] = []
        self._defaults: list[tuple[str, Any]] = []
        self._instances: list[tuple[str, Any]] = []
        self.globals: dict[int, ModuleGlobals] = {}
        self._attributes: list[Table] = []
        self._classes: dict[int, Table] = {}
        self.classes: list[tuple[type, Table]] = []  # the same, with the classes
        self.makes = False  # whether code may make instances of any class it has an instance of
        self._ways: dict[int, _Way] = {}  # by class
        self.looks_at_types = False  # whether code asks for `type(x)`, to which no stand-in for a number can give the answer
        self.tables: list[tuple[dict[str, Any], str]] = []  # the attributes of users' objects
        self.only_grown: dict[int, tuple[Any, str, Callable[[], Any]]] = {}  # containers that code only puts things in
        self.foreign: set[int] = set()  # the ids of attributes of objects of Python's or another package's
        self.caches: list[Any] = []  # functions that remember their results
        self.bound: set[str] = set()  # attributes that code sets
        self.seen: dict[int, tuple[Any, str]] = {}  # what was looked at, by id, with what to call it
        self._todo: deque[tuple[Any, str]] = deque()
        self.later(function, getattr(function, "__name__", type(function).__name__))
        for name, value in arguments:
            self.later(value, name)
        self._of_ours(Tensor)
        self._follow()

    def reads(self) -> Reads:
        """The attributes that code reads."""
        behind = {id(type(x)) for x in self.structures.values() if not self.whole_behind.isdisjoint(self.aliases[id(x)])}
        asked = frozenset(n for n, owners in self.asked.items() if None in owners)
        return Reads(frozenset(self.mentioned.keys() | self.called.keys()), asked, self.everything,
                     frozenset(self.whole_of | behind), _read_by_ours(set(map(type, self.structures.values()))))

    def is_whole(self, kinds: Iterable[type], aliases: Iterable[set[str]] = ()) -> bool:
        """Whether code reads attributes of such an object by names that are not in it."""
        return (self.everything or any(id(kind) in self.whole_of for kind in kinds)
                or any(not self.whole_behind.isdisjoint(names) for names in aliases))

    def places(self) -> list[Place]:
        """Where all that was found can be read again."""
        tables = [place for names in (*(g.names for g in self.globals.values()), *self._attributes) for place in names.places()]
        code = [Attribute(name, functions) for name, functions in (
            ("__code__", self._functions), ("__defaults__", self._defaults)) if functions]
        kinds = [Kinds(self._instances)] if self._instances else []
        return [*tables, *self._contents, *self._of_tensors(), *code, *kinds]

    def later(self, value: Any, path: str) -> None:
        """Look at a value when its turn comes."""
        if is_a(value, Tensor):
            self._tensor(value, path)
            self.paths.setdefault(id(value), set()).add(path)
        elif self._way(type(value)).followed:
            self._todo.append((value, path))
            self.aliases.setdefault(id(value), set()).add(path.rpartition(".")[2])
            self.paths.setdefault(id(value), set()).add(path)

    def _follow(self) -> None:
        while self._todo:
            while self._todo:
                value, path = self._todo.popleft()
                if id(value) not in self.seen:
                    self.seen[id(value)] = value, path
                    self._visit(value, path)
            for names in self._attributes:  # code that was found meanwhile may mention more of them
                names.look(self)

    def _way(self, kind: type) -> _Way:
        found = self._ways.get(id(kind))
        if found is None:
            found = self._ways[id(kind)] = _Way.of(kind)
        return found

    def _visit(self, x: Any, path: str) -> None:
        way = self._way(type(x))
        if way.visit is not None:
            way.visit(self, x, path)
        if way.visit is None or way.adds:
            self._object(x, path, way)

    def watch(self, place: Place) -> tuple[Any, ...]:
        """Look at a place again at each call; gives what is there now."""
        self._contents.append(place)
        return tuple(map(real, place.read()))

    # --- Code ---------------------------------------------------------------------------------------------------------

    def _function(self, f: types.FunctionType, path: str) -> None:
        self.later(f.__dict__.get("__wrapped__"), path)
        if not followed(f.__code__.co_filename, f.__globals__):
            self._kept_by(f, path)
            return
        self._functions.append((f"the code of {path}", f))
        self._attributes.append(Table(f.__dict__, lambda n: f"{path}.{n}", behind=[self.aliases[id(f)]]))
        found = mentions(f.__code__)
        self._note(found, f)
        known = self.globals.setdefault(id(f.__globals__), ModuleGlobals(f.__globals__))
        read, grown, anew = known.note(found)
        variables = {name: f.__globals__.get(name) for name in read}
        for name, value in variables.items():
            known.names.add(name, self, name)
            if name in anew:
                self.only_grown.pop(id(value), None)
        for name in grown:
            self.puts_in(f.__globals__[name], name, partial(dict.get, f.__globals__, name))
        variables |= {n: sys.modules.get(n) for n in found.modules} | self._closure(f, path, found)
        for name, value in variables.items():
            self.later(value, name)
            self._judge(name, value, found.attributes, f)
        if f.__defaults__:
            self._defaults.append((f"a default of {path}", f))
            each(self, f.__defaults__, f"the defaults of {path}")
        if f.__kwdefaults__:
            dictionary(self, f.__kwdefaults__, f"a default of {path}")

    def _note(self, found: Mentions, f: types.FunctionType) -> None:
        """Remember what the code of a function mentions."""
        for owner, name, is_called in found.chains:
            if name not in found.grown:
                (self.called if is_called else self.mentioned).setdefault(name, set()).add(owner)
        self.grown |= found.attributes & found.grown
        self.bound |= found.bound
        kind = self._methods.get(id(f))  # the class of its first parameter
        for owner, name in found.asked:
            if owner != SELF or kind is None:  # else it is no tensor
                self.asked.setdefault(name, set()).add(None if owner == SELF else owner)
            self.doubted.setdefault(name, set()).add(owner if owner != SELF else None if kind is None else id(kind))
        for owner, name in found.tried:
            self.doubted.setdefault(name, set()).add(owner)
        for owner in found.computed:
            if owner == SELF and kind is not None:
                self.whole_of.add(id(kind))
            elif owner is None or owner == SELF:
                self.everything = True
            else:
                self.whole_behind.add(owner)
        self.looks_at_types = self.looks_at_types or "type" in found.globals
        self.makes = self.makes or self.looks_at_types or "__class__" in found.attributes
        for what in unseen(found.globals, f.__globals__):
            self.impure[f"what {what} gives, at {describe((f.__code__, 0))}"] = None

    def _kept_by(self, f: types.FunctionType, path: str) -> None:
        """What a function that is not followed was made with: the one that it decorates, those that it chooses among."""
        for cell in f.__closure__ or ():
            value = value_of(cell, "cell_contents")
            if callable(value):
                self.later(value, path)
        self.later(f.__dict__.get("registry"), f"{path}.registry")  # of functools.singledispatch

    def _closure(self, f: types.FunctionType, path: str, found: Mentions) -> dict[str, Any]:
        cells = {n: c for n, c in zip(f.__code__.co_freevars, f.__closure__ or ()) if n != "__class__"}
        for name in [n for n, c in cells.items() if only_grown(n, value_of(c, "cell_contents"), found)]:
            cell = cells.pop(name)
            self.puts_in(cell.cell_contents, name, partial(value_of, cell, "cell_contents"))
        if not cells:
            return {}
        named = [(f"{n} (closure of {path})", c) for n, c in cells.items()]
        return dict(zip(cells, self.watch(Attribute("cell_contents", named))))

    def puts_in(self, container: Any, path: str, find: Callable[[], Any]) -> None:
        """Code only puts things in this container, or in another one that `find` gives later."""
        self.only_grown.setdefault(id(container), (container, path, find))

    def _judge(self, name: str, value: Any, attributes: frozenset[str], f: types.FunctionType) -> None:
        """Note what the trace must not depend on, and what is read another way than by its name."""
        texts: list[Any] = [f.__globals__.get("__name__"), *(c for c in f.__code__.co_consts if type(c) is str)]
        if value is os and attributes & {"environ", "getenv"}:
            self.later(os.environ.__dict__["_data"], "os.environ")
        if (value is logging and "getLogger" in attributes) or value is logging.getLogger:
            for logger in (logging.root, *(logging.root.manager.loggerDict.get(text) for text in texts)):
                self.later(logger, f"the logger {getattr(logger, 'name', None)!r}")
        if value is sys and "modules" in attributes:
            for text in texts:
                self.later(sys.modules.get(text), str(text))
        self.everything = self.everything or (name not in BY_NAME and any(value is read for read in _ANY_NAME))
        for what in impure(name, value, attributes):
            self.impure[f"{what}, at {describe((f.__code__, 0))}"] = None

    def _method(self, x: types.MethodType, path: str) -> None:
        if users_class(type(x.__self__)):
            self._kind(x.__self__)
        self.later(x.__func__, path)
        self.later(x.__self__, f"{path}.__self__")

    def _members(self, x: Any, path: str) -> None:
        """What a wrapper of functions holds."""
        kind = next(kind for kind in HOLDS if is_a(x, kind))
        if kind is functools.partial:
            self._attributes.append(Table(attributes(x), lambda n: f"{path}.{n}", behind=[self.aliases[id(x)]]))
        for name in HOLDS[kind]:
            value = held(x, kind, name)
            self.later(value, path)
            self.everything = self.everything or any(value is read for read in _ANY_NAME)

    # --- Objects ------------------------------------------------------------------------------------------------------

    def _module(self, x: types.ModuleType, path: str) -> None:
        names, file = attributes(x), file_of_module(x)
        known = followed(file, names)
        if known:
            self.later(names.get("__getattr__"), path)
        # Of other modules that is read which code names behind theirs: it may be another function by now.
        self._attributes.append(Table(names, lambda n: f"{path}.{n}", strict=not known, whole=known,
                                       aliases=None if known else [self.aliases[id(x)]], behind=[self.aliases[id(x)]]))

    def _class(self, x: type, path: str) -> None:
        """A class that code mentions: it may make instances."""
        if users_class(type(x)):  # properties of classes are there
            self._kind(x)
        for base in mro(x):
            if users_class(base):
                self._class_table(base).makes = True

    def _kind(self, x: Any) -> None:
        """The class of an instance: what it has is meant where attributes of the instance are."""
        for base in mro(type(x)):
            if users_class(base):
                self._class_table(base)
            self.of_instances.setdefault(id(base), []).append(self.aliases.setdefault(id(x), set()))

    def _class_table(self, x: type) -> Table:
        found = self._classes.get(id(x))
        if found is None:
            name, own = name_of(x), table(x)
            named = self.of_instances.setdefault(id(x), [])
            named.append(self.aliases.setdefault(id(x), {name}))
            inherited = frozenset(n for base in mro(x)[1:] if users_class(base) for n in table(base))
            found = self._classes[id(x)] = Table(own, lambda n: f"{name}.{n}", always=called_by_others(x), aliases=named,
                                                  may_come=inherited - own.keys(), kinds=(x,))
            self._attributes.append(found)
            self.classes.append((x, found))
            self._methods |= {id(f): x for v in own.values() for f in functions_of(v)}
            self.computed |= {n for n, v in own.items() if is_a(v, (property, functools.cached_property))}
            if "__getattr__" in own or "__getattribute__" in own:
                self.computed = _Anything()
        return found

    def _object(self, x: Any, path: str, way: _Way) -> None:
        kind, own, structured = way.kind, attributes(x), way.structured
        if structured:
            self.structures[id(x)] = x
            parts = [*(own.get("_modules") or {}).items(), *((n, v) for n, v in own.items() if callable(v))]
            for name, part in parts:
                self.later(part, f"{path}.{name}")
            for f in x._called():
                self.later(f, f"a hook of {path}")
            for name, tensor in _tensors_of(x):
                if not tensor.__dict__.keys() <= _OWN:
                    self._tensor(tensor, name)
            if "_parameters" not in own and not way.users:  # what a user put on an optimizer
                self._attributes.append(Table(Given(x, OF_STRUCTURE), lambda n: f"{path}.{n}", whole=False,
                                               aliases=[self.aliases[id(x)]], kinds=mro(kind)))
            if not way.known:
                way.known = True
                self._kind_of_ours(kind)
        elif "__wrapped__" in own:
            self.later(own["__wrapped__"], path)
            if is_a(x, _REMEMBERING):
                self.caches.append(x)
            return
        if way.users:
            self._kind(x)
            self._attributes_of(x, own, path, structured)
            if not structured:
                self._instances.append((f"the class of {path}", x))
        elif is_a(x, logging.Logger):
            self._logger(x, own, path)
        elif not structured and own is attributes(x) and (of_ours(kind, "_guarded") or not is_ours(file_of(kind))):
            self._foreign(x, own, path)
        if not (own or structured or way.users):
            for value in gc.get_referents(x):  # what an object made in C calls
                if is_a(value, (types.FunctionType, types.MethodType)):
                    self.later(value, path)

    def _kind_of_ours(self, kind: type) -> None:
        """What users may have put into our classes: methods that they added, forwards that they exchanged."""
        for base in mro(kind):
            if id(base) not in self._classes and is_ours(file_of(base)):
                self._of_ours(base)
        for owner, name, label in looked_up(kind):
            self.later(foreign_function(owner, name), label)

    def _of_ours(self, x: type) -> None:
        name = name_of(x)
        self._classes[id(x)] = found = Table(table(x), lambda n: f"{name}.{n}", whole=False)
        self.classes.append((x, found))
        self._attributes.append(found)

    def _foreign(self, x: Any, own: dict[str, Any], path: str) -> None:
        """An object of Python's or another package's: also what methods read that are not followed."""
        kind = type(x)
        library = is_library(file_of(kind)) and kind not in NAMESPACES
        self.foreign |= {id(own)} if kind not in NAMESPACES else set()
        # All that a schedule knows, or what a container of another package holds.
        inside = frozenset(own) if of_ours(kind, "_guarded") or is_a(x, Collection) else frozenset[str]()
        self._attributes.append(Table(OfThread(x) if is_a(x, threading.local) else own, lambda n: f"{path}.{n}",
                                       always=frozenset() if library else inside, whole=kind in NAMESPACES,
                                       aliases=[self.aliases[id(x)]], kinds=mro(kind), library=kind if library else None))

    def _logger(self, x: logging.Logger, own: dict[str, Any], path: str) -> None:
        """A logger: whether it is enabled for a level hangs on it, on those above it, and on `logging.disable`."""
        state = frozenset({"level", "disabled", "parent"})
        self._attributes.append(Table(own, lambda n: f"{path}.{n}", always=state, whole=False, strict=True))
        manager = attributes(logging.root.manager)
        self.foreign |= {id(own), id(manager)}
        if id(manager) not in self.seen:
            self.seen[id(manager)] = manager, "logging"
            self._attributes.append(Table(manager, lambda n: "logging.disable", always=frozenset({"_disable"}), whole=False,
                                          strict=True))

    def _attributes_of(self, x: Any, own: dict[str, Any], path: str, structured: bool) -> None:
        """Attributes of a user's object. Those of modules are in their snapshots, and only their contents are watched."""
        classes = [table(base) for base in mro(type(x)) if users_class(base)]
        hidden = frozenset(n for names in classes for n, v in names.items() if not is_a(v, _NOT_HIDDEN))
        aliases = [self.aliases[id(x)]]
        if not structured and not is_a(x, threading.local):
            self.tables.append((own, path))
        self._attributes.append(Table(OfThread(x) if is_a(x, threading.local) else own, lambda n: f"{path}.{n}",
                                       watched=not structured or "_parameters" not in own, structured=structured,
                                       may_come=hidden, aliases=aliases, kinds=mro(type(x))))
        if slots := slots_of(mro(type(x))[0]):
            self._attributes.append(Table(Slots(x, slots), lambda n: f"{path}.{n}", aliases=aliases, kinds=mro(type(x))))
        if is_a(x, enum.Enum):
            self.later(own.get("_value_"), f"{path}.value")

    # --- Tensors ------------------------------------------------------------------------------------------------------

    def _tensor(self, x: Tensor, path: str) -> None:
        """A tensor, and what a user put on it."""
        names = self.aliases.setdefault(id(x), set())
        names.add(path.rpartition(".")[2])
        if x not in self.tensors:
            self.tensors[x] = path
            if not x.__dict__.keys() <= _OWN:
                self._attributes.append(Table(Given(x), lambda n: f"{path}.{n}", behind=[names]))

    def _of_tensors(self) -> Iterator[Place]:
        """Attributes that code would read of tensors, if they were there; those that modules have are meant for these."""
        missing = self.asked.keys() - {n for n in self.asked if defined(Tensor, n, MISSING) is not MISSING}
        owns = [attributes(x) for x in self.structures.values()] if missing else []
        tables = [*owns, *(own[name] for own in owns for name in ("_parameters", "_buffers", "_modules") if name in own)]
        missing -= {n for n in missing if any(n in names for names in tables)}
        missing -= {n for n in missing if any(defined(type(x), n, MISSING) is not MISSING for x in self.structures.values())}
        if missing:
            for x in self.structures.values():
                self.tensors |= {tensor: name for name, tensor in _tensors_of(x) if tensor not in self.tensors}
            for tensor, path in self.tensors.items():
                names = {n for n in missing - tensor.__dict__.keys() if self.asked[n] & {None, *self.aliases.get(id(tensor), ())}}
                if names:
                    yield Names(tensor.__dict__, names, f"{path}.{{}}".format)


def _tensors_of(x: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a module or an optimizer, with what to call them."""
    own = attributes(x)
    held = {**(own.get("_parameters") or {}), **(own.get("_buffers") or {})}
    for i, group in enumerate(group for group in own.get("param_groups") or () if is_a(group, dict)):
        held |= {f"param_groups[{i}]['params'][{j}]": tensor for j, tensor in enumerate(dict.get(group, "params") or ())}
    yield from ((f"{name_of(type(x))}.{name}", tensor) for name, tensor in held.items() if is_a(tensor, Tensor))


def _read_by_ours(kinds: set[type]) -> frozenset[str] | None:
    """The attributes of modules and optimizers of these classes that methods of ours read; None if they compute some names."""
    found = [read_by_ours(kind) for kind in kinds]
    return None if None in found else frozenset[str]().union(*(names for names in found if names))


class _Anything(set[str | None]):
    """All names."""

    def __contains__(self, name: object) -> bool:
        return True


NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
_EXTENDED = (int, float, complex, str, bytes, enum.Enum)  # may have attributes in a class of a user's
_NOT_HIDDEN = (property, functools.cached_property, types.MemberDescriptorType)  # win over attributes of the object
_VISITS: list[tuple[Any, Callable[[Reachable, Any, str], None]]] = [
    (types.FunctionType, Reachable._function), (types.MethodType, Reachable._method), (tuple(HOLDS), Reachable._members),
    (types.ModuleType, Reachable._module), (type, Reachable._class), *CONTENTS]


@dataclass
class _Way:
    """How to look at objects of a class.

    `visit` is for what Python makes of it, `adds` says that a user's class may add to that; `structured` are modules and
    optimizers; `known` that the class was looked at.
    """

    kind: type
    followed: bool
    visit: Callable[[Reachable, Any, str], None] | None
    users: bool
    adds: bool
    structured: bool
    known: bool = False

    @classmethod
    def of(cls, kind: type) -> _Way:
        """What there is to know of a class."""
        users = kind not in PLAIN and users_class(kind)
        visit = next((visit for kinds, visit in _VISITS if issubclass(kind, kinds)), None)
        followed = not (issubclass(kind, _OPAQUE) or of_ours(kind, "_tells")) or (users and issubclass(kind, _EXTENDED))
        return cls(kind, followed, visit, users,
                   users and not issubclass(kind, (types.ModuleType, type)), of_ours(kind, "_snapshot"))
