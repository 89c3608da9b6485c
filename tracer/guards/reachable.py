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
import logging
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.source import is_library, is_ours
from ..tensor.device import device
from ..tensor.storage import Storage
from ..tensor.tensor import _OWN, Tensor
from .code import Code, hooks_of_all, reads_any_name
from .contents import CONTENTS, each, too_large
from .identity import MISSING, PLAIN, real
from .in_c import BOUND, bound, members, parts
from .ours import of_library, options, tensors_of
from .places import Dictionaries, Kinds, Names, Place, Special
from .remembered import results_of
from .statics import attributes, defined, held, is_a, mro, name_of, table
from .tables import Given, Reads, Slots, Table, fields_of, may_be_hidden, one_before_another, table_of
from .whose import (
    HOLDS,
    answers,
    called_by_others,
    file_of,
    file_of_module,
    followed,
    foreign_function,
    functions_of,
    inherits_from_library,
    looked_up,
    of_ours,
    read_by_ours_of_all,
    users_class,
)

_REMEMBERING = type(functools.lru_cache(lambda: None))
_OPAQUE = (*PLAIN, Storage, Value, dtype, device, enum.Enum, types.CodeType,
           types.MethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType)


class Reachable(Code):
    """Everything that `function` can lead to, and its arguments: of tensors their hooks, of `holders`, what holds all, the class.

    `structures` are the modules and optimizers on the way, `tensors` the tensors; `impure` names what it mentions that
    gives another value each time without a trace of it.
    """

    def __init__(self, function: Callable[..., Any], arguments: Iterable[tuple[str, Any]] = (),
                 holders: Iterable[tuple[str, Any]] = (), hooks_run: bool = False) -> None:
        super().__init__()
        self.hooks: dict[int, Any] = {}  # those that are not looked at unless `hooks_run`, since no backward may come to them
        self._hooks_run = hooks_run
        self.structures: dict[int, Any] = {}
        self._hooks_of_ours: set[type] = set()  # classes of objects that modules may be given to
        self.tensors: dict[Tensor, str] = {}  # with what to call each
        self.aliases: dict[int, set[str]] = {}  # the names under which each object was found
        self.paths: dict[int, set[str]] = {}  # and the ways to it, of a tensor too
        self.of_instances: dict[int, list[set[str]]] = {}  # for each class those of itself and of all its instances
        self._contents: list[Place] = []
        self._instances: list[tuple[str, Any]] = []
        self._referents: list[tuple[str, Any]] = []  # the same, of those that are not kept alive
        self._weak = False  # whether what is looked at was found behind a weak reference
        self.attributes: list[Table] = []
        self._classes: dict[int, Table] = {}
        self.classes: list[tuple[type, Table]] = []  # the same, with the classes
        self._ways: dict[int, _Way] = {}  # by class
        self._ordered: set[int] = set()  # classes of which is known what one of their bases may hide of another
        self._branched: set[int] = set()  # classes of which the classes below are looked at
        self.tables: list[tuple[dict[str, Any], str]] = []  # the attributes of users' objects
        self.foreign: set[int] = set()  # the ids of attributes of objects of Python's or another package's
        self.caches: list[Any] = []  # functions that remember their results
        self.seen: dict[int, tuple[Any, str]] = {}  # what was looked at, by id, with what to call it
        self._todo: deque[tuple[Any, str, bool]] = deque()
        self.later(function, getattr(function, "__name__", type(function).__name__))
        for name, value in arguments:
            if is_a(value, Tensor):
                self._code_of(value, name)
            else:
                self.later(value, name)
        given = list(holders)
        for name, value in given:
            self._class_of(value, name)
        for hook in hooks_of_all():
            self._hook(hook, "a hook of all modules or optimizers")
        self._of_ours(Tensor)
        self._follow()
        for _, value in given:
            if id(value) in self.only_grown:  # whoever is given it may look into it, too
                thing, path, _ = self.only_grown.pop(id(value))
                self.later(thing, path)
        if self._todo:
            self._follow()

    def reads(self) -> Reads:
        """The attributes that code reads."""
        behind = {id(type(x)) for x in self.structures.values() if not self.whole_behind.isdisjoint(self.aliases[id(x)])}
        asked = frozenset(n for n, owners in self.asked.items() if None in owners)
        by_hooks = read_by_ours_of_all(self._hooks_of_ours)
        names = frozenset(self.mentioned.keys() | self.called.keys() | (by_hooks or frozenset()))
        return Reads(names, asked, self.everything or by_hooks is None, frozenset(self.whole_of | behind),
                     read_by_ours_of_all(set(map(type, self.structures.values()))))

    def places(self) -> list[Place]:
        """Where all that was found can be read again."""
        tables = [place for names in (*(g.names for g in self.globals.values()), *self.attributes) for place in names.places()]
        kinds = [Kinds(self._instances), Dictionaries(self._instances)] if self._instances else []
        labels, found = [label for label, _ in self._referents], [ref for _, ref in self._referents]
        gone = [Place(lambda: [type(ref()) for ref in found], lambda i: f"the class of {labels[i]}")] if found else []
        return [*tables, *self._contents, *self._of_tensors(), *self.places_of_code(), *kinds, *gone, *self._names_of_classes()]

    def later(self, value: Any, path: str) -> None:
        """Look at a value when its turn comes."""
        if type(value) is str:
            self.texts.add(value)
        elif is_a(value, Tensor):
            self._tensor(value, path)
            self.paths.setdefault(id(value), set()).add(path)
        elif self._way(type(value)).followed:
            self._todo.append((value, path, self._weak))
            self.aliases.setdefault(id(value), set()).add(path.rpartition(".")[2])
            self.paths.setdefault(id(value), set()).add(path)

    def weakly(self, value: Any, path: str) -> None:
        """Look at what a weak reference leads to: it is not kept alive, nor what it leads to (but for containers)."""
        before, self._weak = self._weak, True
        self.later(value, path)
        self._weak = before

    def _follow(self) -> None:
        known = -1
        while self._todo or len(self.texts) > known:
            known = len(self.texts)
            while self._todo:
                value, path, self._weak = self._todo.popleft()
                if id(value) not in self.seen:
                    self.seen[id(value)] = value, path
                    self._visit(value, path)
            for names in self.attributes:  # code that was found meanwhile may mention more of them
                self._weak = names.weak
                names.look(self)
            self._weak = False
            if "__subclasses__" in self.mentioned or "__subclasses__" in self.called:
                self._subclasses()
            for kind, _ in self.classes if self.makes else ():  # `type(member)["R"]`
                self._members_of(kind)
            self.look_at_annotations()

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
        self._contents.append(place.let_go() if self._weak else place)
        return tuple(map(real, place.read()))

    def look_at(self, names: Table) -> None:
        """Look at these attributes."""
        names.weak = self._weak
        self.attributes.append(names)

    def _names_of_classes(self) -> Iterator[Place]:
        """What users' classes are called, if code asks."""
        kinds = [kind for kind, _ in self.classes if users_class(kind)]
        for name, asked in (("__name__", {"__name__", "_get_name"}), ("__qualname__", {"__qualname__"})):
            if kinds and (self.computes(name) or not asked.isdisjoint(self.mentioned.keys() | self.called.keys())):
                read = type.__dict__[name].__get__
                yield Place(lambda read=read: map(read, kinds), lambda i, name=name: f"{name_of(kinds[i])}.{name}")  # type: ignore[misc]

    def _subclasses(self) -> None:
        """The classes below those of users that were found; they are not kept alive."""
        for kind, _ in list(self.classes):
            if id(kind) not in self._branched and users_class(kind):
                self._branched.add(id(kind))
                path = f"{name_of(kind)}.__subclasses__()"
                place = Place(partial(type.__subclasses__, kind), lambda i, path=path: path)  # type: ignore[misc]
                each(self, self.watch(place.let_go()), path)

    def _method(self, x: types.MethodType, path: str) -> None:
        if users_class(type(x.__self__)):
            self._kind(x.__self__)
        self.later(x.__func__, path)
        self.later(x.__self__, f"{path}.__self__")

    def _members(self, x: Any, path: str) -> None:
        """What a wrapper of functions holds."""
        kind = next(kind for kind in HOLDS if is_a(x, kind))
        if kind is functools.partial:
            if not self._weak:
                self.watch(parts(x, path))
            self.look_at(Table(attributes(x), lambda n: f"{path}.{n}", behind=[self.aliases[id(x)]]))
        for name in HOLDS[kind]:
            value = held(x, kind, name)
            self.later(value, path)
            self.everything = self.everything or reads_any_name(value)

    # --- Objects ------------------------------------------------------------------------------------------------------

    def _module(self, x: types.ModuleType, path: str) -> None:
        names, file = attributes(x), file_of_module(x)
        known = followed(file, names)
        # Of other modules that is read which code names behind theirs: it may be another function by now.
        self.look_at(Table(names, lambda n: f"{path}.{n}", strict=not known, whole=known,
                           aliases=None if known else [self.aliases[id(x)]], behind=[self.aliases[id(x)]],
                           always=frozenset({"__getattr__"} if known else ()), answered="__getattr__" in names))

    def _class(self, x: type, path: str) -> None:
        """A class that code mentions: it may make instances, and has what its bases have."""
        for found in self._looked_up_in(x, x):
            found.makes = True
        self._members_of(x)

    def _members_of(self, x: type) -> None:
        for name, member in members(x):
            if id(member) not in self.seen:
                self.later(member, f"{name_of(x)}.{name}")

    def _kind(self, x: Any) -> None:
        """The class of an instance: what it has is meant where attributes of the instance are."""
        self._looked_up_in(type(x), x)

    def _looked_up_in(self, kind: type, x: Any) -> list[Table]:
        """The tables of users' classes in which attributes of `x` are looked up, which `kind` begins."""
        for base in mro(kind):
            self.of_instances.setdefault(id(base), []).append(self.aliases.setdefault(id(x), set()))
        found = [self._class_table(base) for base in mro(kind) if users_class(base)]
        if id(kind) not in self._ordered:
            self._ordered.add(id(kind))
            one_before_another(found, kind, self._way(kind).answers or self._way(type(kind)).answers)
        return found

    def _class_table(self, x: type) -> Table:
        found = self._classes.get(id(x))
        if found is None:
            name, own = name_of(x), table(x)
            named = self.of_instances.setdefault(id(x), [])
            named.append(self.aliases.setdefault(id(x), {name}))
            found = self._classes[id(x)] = Table(own, lambda n: f"{name}.{n}", always=called_by_others(x), aliases=named,
                                                 kinds=(x,))
            self.look_at(found)
            self.watch(Special(own, lambda n: f"{name}.{n}"))
            self.classes.append((x, found))
            if users_class(type(x)):
                self._kind(x)
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
            for name, tensor in tensors_of(x):
                if not tensor.__dict__.keys() <= _OWN or self._way(type(tensor)).users:
                    self._tensor(tensor, name)
                self._code_of(tensor, name)
            if not way.known:
                way.known = True
                self._kind_of_ours(kind)
        elif "__wrapped__" in own:
            self.later(own["__wrapped__"], path)
            if is_a(x, _REMEMBERING):
                self.caches.append(x)
                each(self, [result for result in results_of(x) if not too_large(result)], f"{path}()")
            return
        if way.users:
            self._kind(x)
            self._attributes_of(x, own, path, way)
            if not structured or "_parameters" not in own:  # those of modules are in their snapshots
                ref = self._reference(x)
                (self._instances if ref is None else self._referents).append((path, x if ref is None else ref))
        elif is_a(x, logging.Logger):
            self._logger(x, own, path)
        elif not structured and own is attributes(x) and not is_ours(file_of(kind)):
            self._foreign(x, own, path)
        if slots := fields_of(mro(kind)[0]):
            always = frozenset({"args"} if is_a(x, BaseException) else ())  # `str(error)` reads them, too
            self.look_at(Table(Slots(x, slots, self._reference(x)), lambda n: f"{path}.{n}", always=always,
                               aliases=[self.aliases[id(x)]], kinds=mro(kind)))
        if own is attributes(x) and (way.guarded or (structured and "_parameters" not in own)):
            of_library(self, x, own, path, way)
            if callable(x):
                self._hooks_of_ours.add(kind)
        if not (own or structured or way.users):
            for value in gc.get_referents(x):  # what an object made in C calls
                if is_a(value, (types.FunctionType, types.MethodType, *BOUND)):
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
        self.look_at(found)

    def _foreign(self, x: Any, own: dict[str, Any], path: str) -> None:
        """An object of Python's or another package's: also what methods read that are not followed."""
        kind = type(x)
        library = is_library(file_of(kind)) and kind not in NAMESPACES
        self.foreign |= {id(own)} if kind not in NAMESPACES else set()
        inside = frozenset(own) if is_a(x, Collection) else frozenset[str]()  # what a container of another package holds
        self.look_at(Table(table_of(x, own, self._reference(x)), lambda n: f"{path}.{n}",
                                       always=frozenset() if library else inside, whole=kind in NAMESPACES,
                                       aliases=[self.aliases[id(x)]], kinds=mro(kind), library=kind if library else None))

    def _reference(self, x: Any) -> weakref.ref[Any] | None:
        """A reference to what must not be kept alive, if there can be one."""
        try:
            return weakref.ref(x) if self._weak else None
        except TypeError:
            return None

    def _logger(self, x: logging.Logger, own: dict[str, Any], path: str) -> None:
        """A logger: whether it is enabled for a level hangs on it, on those above it, and on `logging.disable`."""
        state = frozenset({"level", "disabled", "parent"})
        self.look_at(Table(own, lambda n: f"{path}.{n}", always=state, whole=False, strict=True))
        manager = attributes(logging.root.manager)
        self.foreign |= {id(own), id(manager)}
        if id(manager) not in self.seen:
            self.seen[id(manager)] = manager, "logging"
            self.look_at(Table(manager, lambda n: "logging.disable", always=frozenset({"_disable"}), whole=False,
                                          strict=True))

    def _attributes_of(self, x: Any, own: dict[str, Any], path: str, way: _Way) -> None:
        """Attributes of a user's object. Those of modules are in their snapshots, and only their contents are watched."""
        aliases = [self.aliases[id(x)]]
        if not way.structured and not is_a(x, threading.local):
            self.tables.append((own, path))
        self.look_at(Table(table_of(x, own, self._reference(x)), lambda n: f"{path}.{n}",
                           watched=not way.structured or "_parameters" not in own, structured=way.structured,
                           may_come=may_be_hidden(way.kind), aliases=aliases, kinds=mro(way.kind),
                           library=way.kind if way.inherits else None, answered=way.answers))
        if is_a(x, enum.Enum):
            self.later(own.get("_value_"), f"{path}.value")

    # --- Tensors ------------------------------------------------------------------------------------------------------

    def _tensor(self, x: Tensor, path: str) -> None:
        """A tensor, and what a user put on it."""
        names = self.aliases.setdefault(id(x), set())
        names.add(path.rpartition(".")[2])
        if x not in self.tensors:
            self.tensors[x] = path
            way = self._way(type(x))
            if not x.__dict__.keys() <= _OWN or way.users:
                self.look_at(Table(Given(x), lambda n: f"{path}.{n}", behind=[names], may_come=may_be_hidden(way.kind),
                                   kinds=mro(way.kind), answered=way.answers))
            self._code_of(x, path)

    def _class_of(self, x: Any, path: str) -> None:
        """Only the class of an object, where that is a user's: what it holds is looked at by others."""
        if self._way(type(x)).users:
            self.aliases.setdefault(id(x), set()).add(path.rpartition(".")[2])
            self._kind(x)

    def _code_of(self, x: Tensor, path: str) -> None:
        """What a tensor runs of users' code: a class of its own, hooks of a leaf, which a backward walk calls."""
        self._class_of(x, path)
        for hook in x._hooks.all() if x._hooks is not None else ():
            self._hook(hook, f"a hook of {path}")

    def _hook(self, x: Any, path: str) -> None:
        """A function that is called if a trace comes to it, which no code says."""
        if self._hooks_run:
            self.later(x, path)
        else:
            self.hooks[id(x)] = x

    def _of_tensors(self) -> Iterator[Place]:
        """Attributes that code would read of tensors, if they were there; those that modules have are meant for these."""
        missing = self.asked.keys() - {n for n in self.asked if defined(Tensor, n, MISSING) is not MISSING}
        owns = [attributes(x) for x in self.structures.values()] if missing else []
        tables = [*owns, *(own[name] for own in owns for name in ("_parameters", "_buffers", "_modules") if name in own)]
        missing -= {n for n in missing if any(n in names for names in tables)}
        missing -= {n for n in missing if any(defined(type(x), n, MISSING) is not MISSING for x in self.structures.values())}
        if missing:
            for x in self.structures.values():
                self.tensors |= {tensor: name for name, tensor in tensors_of(x) if tensor not in self.tensors}
            for tensor, path in self.tensors.items():
                names = {n for n in missing - tensor.__dict__.keys() if self.asked[n] & {None, *self.aliases.get(id(tensor), ())}}
                if names:
                    yield Names(tensor.__dict__, names, f"{path}.{{}}".format)


def identified(found: Reachable) -> dict[Tensor, None]:
    """The tensors that code may tell from others: by what `is` says, by searching among things, as keys."""
    tensors = dict(found.keys)
    if found.compares or found.searches:
        tensors |= dict.fromkeys(found.tensors)
    if found.compares:
        tensors |= {tensor: None for x in found.structures.values() for _, tensor in tensors_of(x)}
    return tensors


def names_read(function: Any) -> set[str] | None:
    """The names in the code that a function leads to, texts among them; None if it computes some."""
    found = Reachable(function)
    names = set(found.texts)
    todo = [f.__code__ for f, _ in found.seen.values() if type(f) is types.FunctionType]
    while todo:
        code = todo.pop()
        names.update(code.co_names, code.co_freevars)
        todo += [c for c in code.co_consts if type(c) is types.CodeType]
    return None if found.everything else names


class _Anything(set[str | None]):
    """All names."""

    def __contains__(self, name: object) -> bool:
        return True


NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
_EXTENDED = (int, float, complex, str, bytes, enum.Enum)  # may have attributes in a class of a user's
_VISITS: list[tuple[Any, Callable[[Reachable, Any, str], None]]] = [
    (types.FunctionType, Reachable.function), (types.MethodType, Reachable._method), (BOUND, bound),
    (tuple(HOLDS), Reachable._members), (types.ModuleType, Reachable._module), (type, Reachable._class), *CONTENTS]


@dataclass
class _Way:
    """How to look at objects of a class.

    `guarded` are those of ours whose objects are watched as users' are. `visit` is for what Python makes of it, `adds` says
    that a user's class may add to that; `structured` are modules and optimizers; `inherits` says that a user's class has
    methods of Python's, `answers` that a `__getattr__` gives what is nowhere, `known` that the class was looked at.
    """

    kind: type
    followed: bool
    guarded: bool
    visit: Callable[[Reachable, Any, str], None] | None
    users: bool
    adds: bool
    structured: bool
    inherits: bool
    answers: bool
    known: bool = False

    @classmethod
    def of(cls, kind: type) -> _Way:
        """What there is to know of a class."""
        users = kind not in PLAIN and users_class(kind)
        visit = next((visit for kinds, visit in _VISITS if issubclass(kind, kinds)), None)
        if of_ours(kind, "_tells"):
            visit = options
        followed = not issubclass(kind, _OPAQUE) or (users and issubclass(kind, _EXTENDED))
        return cls(kind, followed, of_ours(kind, "_guarded"), visit, users,
                   users and not issubclass(kind, (types.ModuleType, type)), of_ours(kind, "_snapshot"),
                   users and inherits_from_library(kind), answers(kind))
