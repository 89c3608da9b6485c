"""The code on the way of a walk: what functions mention, and where what makes them what they are is read again."""

from __future__ import annotations

import inspect
import logging
import operator
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from ..ir.source import describe
from ..tensor.tensor import Tensor
from .contents import dictionary, each
from .impure import impure, unseen
from .mentions import BY_NAME, DESCRIBES, GROW, SELF, Mentions, mentions
from .module_globals import ModuleGlobals, only_grown, put_into_builtins
from .places import Attribute, Names, Place, of_referents, value_of
from .tables import Table
from .whose import followed

_ANY_NAME = (getattr, hasattr, vars, dir, operator.attrgetter, operator.methodcaller, inspect.getmembers, inspect.getattr_static)
# To what is known elsewhere.
_WAYS_ON = ("__class__", "__base__", "__func__", "__self__", "__wrapped__", "__call__", "func", "fget", "fset")
_OF_FUNCTIONS = ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__")
_OF_LISTS = frozenset(dir(list)) - frozenset(dir(object)) - GROW  # methods by which something is asked of a list
HOOKS_OF_ALL: list[Callable[[], Iterable[Any]]] = []  # what gives the hooks that run with any module, any optimizer


def hooks_of_all() -> tuple[Any, ...]:
    """These hooks."""
    return tuple(hook for give in HOOKS_OF_ALL for hook in give())


class Code:
    """The part of a walk that knows functions. Abstract."""

    aliases: dict[int, set[str]]  # the names under which each object was found
    attributes: list[Table]
    paths: dict[int, set[str]]  # the ways to each
    tables: list[tuple[dict[str, Any], str]]
    seen: dict[int, tuple[Any, str]]
    _weak: bool  # whether what is looked at was found behind a weak reference

    def __init__(self) -> None:
        self.impure: dict[str, types.CodeType] = {}  # with the code that reads it
        self.mentioned: dict[str, set[str | None]] = {}  # attributes that code reads, with the names in front of them
        self.called: dict[str, set[str | None]] = {}  # those that it calls as methods
        self.computed: set[str | None] = {None, *_WAYS_ON}  # names in front that may stand for any object
        self.grown: set[str] = set()  # attributes that are containers which code only puts things in
        self.asked: dict[str, set[str | None]] = {}  # attributes that code can do without, with the names in front of them
        self.doubted: dict[str, set[str | int | None]] = {}  # the same and those of which it catches errors; ids are of classes
        self.everything = False  # whether code reads attributes of any object by names that are not in it
        self.whole_of: set[int] = set()  # the classes of which it does so
        self.whole_behind: set[str] = set()  # and the names in front of the objects
        self._methods: dict[int, type] = {}  # functions that classes define
        self._functions: list[tuple[str, Any]] = []
        self._let_go: set[int] = set()  # the ids of those of them that are not kept alive
        self._defaults: list[tuple[str, Any]] = []
        self._named_defaults: list[tuple[str, Any]] = []
        self.globals: dict[int, ModuleGlobals] = {}
        self.makes = False  # whether code may make instances of any class it has an instance of
        self.texts: set[str] = set()  # that code may read
        self._imported: dict[str, None] = {}  # names of modules that functions import
        self._annotated: set[int] = set()  # functions of which the annotations are looked at
        self.compares = self.searches = False  # whether code asks which object something is, looks for something among others
        self.unbound = False  # whether code has methods of the class, as in `list.index(x, 3)`, which no other list takes over
        self.looks_at_types = False  # whether code asks for `type(x)`, to which no stand-in for a number can give the answer
        self.only_grown: dict[int, tuple[Any, str, Callable[[], Any]]] = {}  # containers that code only puts things in
        self.bound: set[str] = set()  # attributes that code sets
        self.advanced: set[str] = set()  # attributes, variables and keys that one function reads and sets
        self.keys: dict[Tensor, None] = {}  # tensors that are keys of dictionaries or members of sets

    def later(self, value: Any, path: str) -> None:
        """Look at a value when its turn comes."""
        raise NotImplementedError

    def leave(self, value: Any, path: str) -> None:
        """This is not looked into."""
        raise NotImplementedError

    def weakly(self, value: Any, path: str) -> None:
        """The same of what must not be kept alive."""
        raise NotImplementedError

    def watch(self, place: Place) -> tuple[Any, ...]:
        """Look at a place again at each call; gives what is there now."""
        raise NotImplementedError

    def look_at(self, names: Table) -> None:
        """Look at these attributes."""
        raise NotImplementedError

    def function(self, f: types.FunctionType, path: str) -> None:
        """Look at a function: what it mentions, its variables and defaults."""
        self.later(f.__dict__.get("__wrapped__"), path)
        if not followed(f.__code__.co_filename, f.__globals__):
            self._kept_by(f, path)
            return
        self._functions.append((f"the code of {path}", f))
        if self._weak:
            self._let_go.add(id(f))
        self.look_at(Table(f.__dict__, lambda n: f"{path}.{n}", behind=[self.aliases[id(f)]]))
        found = mentions(f.__code__)
        self._note(found, f)
        known = self.globals.setdefault(id(f.__globals__), ModuleGlobals(f.__globals__))
        read, grown, anew = known.note(found)
        variables = {name: f.__globals__.get(name) for name in read}
        for name, value in variables.items():
            known.names.add(name, self, name)
            if name in anew:
                self.only_grown.pop(id(value), None)
        shared = f.__builtins__
        for name in [n for n in read if n not in f.__globals__ and put_into_builtins(n, shared)]:
            self.globals.setdefault(id(shared), ModuleGlobals(shared)).names.add(name, self, name)
            variables[name] = shared.get(name)
        for name in grown:
            self.puts_in(f.__globals__[name], name, partial(dict.get, f.__globals__, name))
        variables |= self._imports(found.modules) | self._closure(f, path, found)
        for name, value in variables.items():
            self.later(value, name)
            self._judge(name, value, found.attributes, f)
        if f.__defaults__:
            self._defaults.append((f"a default of {path}", f))
            each(self, f.__defaults__, f"the defaults of {path}")
        if f.__code__.co_kwonlyargcount:
            self._named_defaults.append((f"a default of {path}", f))
        if f.__kwdefaults__:
            dictionary(self, f.__kwdefaults__, f"a default of {path}")

    def _imports(self, names: Iterable[str]) -> dict[str, Any]:
        """The modules of these names that are there: code that imports one gets what `sys.modules` has by then."""
        found = {name: sys.modules[name] for full in names for name in (full, full.partition(".")[0]) if name in sys.modules}
        self._imported |= dict.fromkeys(found)
        return found

    def _whose(self, name: str) -> Iterator[tuple[str, types.FunctionType]]:
        """The functions of which code reads an attribute that every function has; of methods it says which."""
        owners = {*_WAYS_ON} if self.computes(name) else self.mentioned.get(name, set())
        yield from ((f"{path.removeprefix('the code of ')}.{name}", f) for path, f in self._functions if owners
                    and ((None in owners and id(f) not in self._methods) or not owners.isdisjoint(self.aliases[id(f)])
                         or not owners.isdisjoint(_WAYS_ON)))

    def _note(self, found: Mentions, f: types.FunctionType) -> None:
        """Remember what the code of a function mentions."""
        of_a_class = "__class__" in found.attributes and not _OF_LISTS.isdisjoint(found.attributes)
        self.unbound = self.unbound or of_a_class or any(owner in ("list", "deque") for owner, _, _ in found.chains)
        for owner, name, is_called in found.chains:
            if name not in found.grown:
                (self.called if is_called else self.mentioned).setdefault(name, set()).add(owner)
            if name in DESCRIBES and owner is not None:  # `Point.x.__get__(p)` reads what `p.x` does
                self.mentioned.setdefault(owner, set()).add(None)
                self.bound |= {owner} if name != "__get__" else set()
        self.grown |= found.attributes & found.grown
        self.bound |= found.bound
        self.advanced |= found.advanced
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
        self.texts |= {c for c in f.__code__.co_consts if type(c) is str}
        if "type" in found.globals and not _of_frozen_dataclass(f, kind):
            self.looks_at_types = True
        self.compares, self.searches = self.compares or found.compares, self.searches or found.searches
        self.makes = self.makes or self.looks_at_types or "__class__" in found.attributes
        for what in unseen(found.globals, f.__globals__):
            self.impure[f"what {what} gives, at {describe((f.__code__, 0))}"] = f.__code__

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
            for text, module in self._imports(text for text in texts if type(text) is str).items():
                self.later(module, text)
        self.everything = self.everything or (name not in BY_NAME and reads_any_name(value))
        for what in impure(name, value, attributes):
            self.impure[f"{what}, at {describe((f.__code__, 0))}"] = f.__code__

    def is_whole(self, kinds: Iterable[type], aliases: Iterable[set[str]] = ()) -> bool:
        """Whether code reads attributes of such an object by names that are not in it."""
        return (self.everything or any(id(kind) in self.whole_of for kind in kinds)
                or any(not self.whole_behind.isdisjoint(names) for names in aliases))

    def computes(self, name: str) -> bool:
        """Whether code may read an attribute of this name which it computes."""
        return name in self.texts and (self.everything or bool(self.whole_behind))

    def look_at_annotations(self) -> None:
        """Those of the functions of which code reads any."""
        for path, f in self._whose("__annotations__"):
            if id(f) not in self._annotated:
                self._annotated.add(id(f))
                dictionary(self, f.__annotations__, path)

    def places_of_code(self) -> Iterator[Place]:
        """Where the code of functions, their defaults and names, and modules that they import are read again."""
        named = [(name, list(self._whose(name))) for name in _OF_FUNCTIONS]
        for name, functions in (("__code__", self._functions), ("__defaults__", self._defaults),
                                ("__kwdefaults__", self._named_defaults), *named):
            if kept := [(label, f) for label, f in functions if id(f) not in self._let_go]:
                yield Attribute(name, kept)
            if others := [(label, f) for label, f in functions if id(f) in self._let_go]:
                yield of_referents(name, others)
        if self._imported:
            yield Names(sys.modules, self._imported, "sys.modules[{!r}]".format)


def _of_frozen_dataclass(f: types.FunctionType, kind: type | None) -> bool:
    """Whether `dataclass(frozen=True)` wrote this method: it asks for the type of the instance, and of no number."""
    return (hasattr(kind, "__dataclass_params__") and f.__code__.co_filename == "<string>"
            and f.__name__ in ("__setattr__", "__delattr__"))


def reads_any_name(x: Any) -> bool:
    """Whether it is a function of Python's that reads attributes by names which it is given."""
    return any(x is read for read in _ANY_NAME) or (type(x) is types.WrapperDescriptorType and x.__name__ == "__getattribute__")
