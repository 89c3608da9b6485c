"""Whose code it is that reads something, and what the code that is not followed reads."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ..ir.source import is_installed, is_library, is_ours
from .mentions import SELF, mentions
from .statics import attributes, defined, held, home_of, is_a, mro, name_of, table

_IN_C = "<frozen>"  # modules without a file
_MADE = "<made>"  # those that code of users made
_MADE_BY_STATEMENT = 1 << 9  # of the flags of classes, as CPython has them: not one of the interpreter's own, written in C
_using_us: dict[str, bool] = {}  # of modules, by name
_homes: dict[str, tuple[str, bool]] = {}  # where modules are, and whether they are followed

HOLDS: dict[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"), classmethod: ("__func__",), staticmethod: ("__func__",),
    property: ("fget", "fset"), functools.cached_property: ("func",)}
METHODS = (types.FunctionType, property, classmethod, staticmethod, functools.cached_property)
SIGNATURES = frozenset({"__new__", "__init__", "__post_init__", "__init_subclass__", "__set_name__"})
_NOT_READING = frozenset({"__init__", "__new__", "__repr__", "__str__", "__del__", "__reduce__", "__getstate__", "__setstate__",
                          "__copy__", "__deepcopy__"})


def followed(file: str, names: Mapping[str, Any]) -> bool:
    """Whether what code in `file` mentions may change: users' own code, and that of installed packages that use us."""
    if is_ours(file) or is_library(file):
        return False
    return not is_installed(file) or _uses_us(str(names.get("__name__")), names)


def _uses_us(name: str, names: Mapping[str, Any]) -> bool:
    found = _using_us.get(name)
    if found is None:
        found = _using_us[name] = any(map(of_us, list(names.values())))
    return found


def of_us(x: Any) -> bool:
    """Whether it is a module, class, function or object that this package defines."""
    return home_of(x).partition(".")[0] == __name__.partition(".")[0]


def file_of_module(x: Any) -> str:
    """Where a module's code is; one that was not imported, `ModuleType("name")`, is where the package is that it is in."""
    names = attributes(x)
    if isinstance(file := names.get("__file__"), str):
        return file
    if names.get("__spec__") is not None:
        return _IN_C
    package = sys.modules.get(str(names.get("__name__")).rpartition(".")[0])
    return file_of_module(package) if is_a(package, types.ModuleType) else _MADE


def _home(name: str) -> tuple[str, bool]:
    """Where a module is, and whether it is followed."""
    found = _homes.get(name)
    if found is None:
        module = sys.modules.get(name)
        if not is_a(module, types.ModuleType):
            return _IN_C, name == "__main__"
        file = file_of_module(module)
        found = _homes[name] = file, name == "__main__" or followed(file, attributes(module))
    return found


def file_of(kind: type) -> str:
    """Where a class was written."""
    return _home(home_of(kind))[0]


def users_class(kind: type) -> bool:
    """Whether a class is followed; one whose module is in no table, as after `exec`, by where its functions are written.

    One that has none, and that a class statement made, is.
    """
    home = home_of(kind)
    if _home(home)[1] or home in sys.modules:
        return _home(home)[1]
    functions = [f for f in map(_innermost, table(kind).values()) if is_a(f, types.FunctionType)]
    if not functions:
        return bool(held(kind, type, "__flags__") & _MADE_BY_STATEMENT)
    return any(followed(f.__code__.co_filename, f.__globals__) for f in functions)


def _innermost(x: Any) -> Any:
    """What decorators stand around."""
    while is_a(x, types.FunctionType) and "__wrapped__" in attributes(x):
        x = attributes(x)["__wrapped__"]
    return x


def of_ours(kind: type, name: str) -> bool:
    """Whether a class has an attribute that one of ours defines."""
    return any(name in table(base) and is_ours(file_of(base)) for base in mro(kind))


def called_by_others(kind: type) -> frozenset[str]:
    """Methods that code which is not followed calls: special ones, and those that a base of other origin defines too."""
    others = [table(base) for base in mro(kind) if not users_class(base)]
    return frozenset(n for n, v in table(kind).items()
                     if is_a(v, METHODS) and (n.startswith("__") or any(n in names for names in others)))


def answers(kind: type) -> bool:
    """Whether something that is none of ours gives attributes of an object that are nowhere."""
    return any("__getattr__" in names or functions_of(names.get("__getattribute__"))
               for names in (table(base) for base in mro(kind) if not is_ours(file_of(base))))


def is_method(x: Any) -> bool:
    """Whether it can be called as an attribute of an object: a function, or what gives one."""
    return callable(x) or defined(type(x), "__get__") is not None


def functions_of(x: Any) -> list[types.FunctionType]:
    """The functions that an attribute of a class is made of."""
    kind = next((k for k in HOLDS if is_a(x, k)), None)
    parts = [x] if kind is None else [held(x, kind, name) for name in HOLDS[kind]]
    return [f for f in parts if isinstance(f, types.FunctionType)]


# --- Code that is not followed ----------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def read_by_ours(kind: type) -> frozenset[str] | None:
    """The attributes of an instance that methods of ours read; None if they compute some of the names."""
    names: set[str] = set()
    for base in mro(kind):
        for name, attribute in table(base).items():
            for f in map(_innermost, functions_of(attribute)):
                if is_a(f, types.FunctionType) and is_ours(f.__code__.co_filename):
                    found = mentions(f.__code__)
                    if name in _RUN and found.computed & {SELF, None}:
                        return None
                    names |= found.attributes
    return frozenset(names)


@lru_cache(maxsize=4096)
def methods_of_ours(kind: type) -> frozenset[str]:
    """What classes of ours define of an instance's and an attribute of its own would hide, names in two underscores apart."""
    return frozenset(n for base in mro(kind) if is_ours(file_of(base)) for n, v in table(base).items()
                     if not n.startswith("__") and is_method(v) and defined(type(v), "__set__") is None)


def read_by_ours_of_all(kinds: set[type]) -> frozenset[str] | None:
    """The attributes of modules and optimizers of these classes that methods of ours read; None if they compute some names."""
    found = [read_by_ours(kind) for kind in kinds]
    return None if None in found else frozenset[str]().union(*(names for names in found if names))


_RUN = frozenset({"forward"})


@lru_cache(maxsize=4096)
def read_by_library(kind: type, called: frozenset[str]) -> frozenset[str] | None:
    """The attributes of an instance that a class of Python's reads in those of its methods that are called."""
    methods = dict(_not_followed(kind))
    todo = [n for n in methods if n in called or (n.startswith("__") and n not in _NOT_READING)]
    names: set[str] = set()
    while todo:
        method = _innermost(methods.pop(todo.pop(), None))
        if is_a(method, types.FunctionType):
            found = mentions(method.__code__)
            if SELF in found.computed:
                return None
            names |= found.attributes
            todo += found.attributes & methods.keys()
    return frozenset(names)


def inherits_from_library(kind: type) -> bool:
    """Whether objects of a user's class have methods of Python's that are not written in C."""
    return bool(_not_followed(kind)) and any(is_library(file_of(base)) for base in mro(kind)[:-1])


@lru_cache(maxsize=4096)
def _not_followed(kind: type) -> dict[str, types.FunctionType]:
    """The methods of an instance that are no users', which are followed; also those that users' hide, and go on to."""
    return {n: f for base in reversed(mro(kind)) if not users_class(base) for n, v in table(base).items()
            if not is_a(v, (classmethod, staticmethod)) for f in functions_of(v)[:1]}


@lru_cache(maxsize=4096)
def looked_up(kind: type) -> tuple[tuple[Any, str, str], ...]:
    """What code of ours looks up to run a module or an optimizer, and may be exchanged: owner, name, and what to call it."""
    found: dict[tuple[int, str], tuple[Any, str, str]] = {}
    run = list(_run(kind))
    parts = [name for name, _ in run] if defined(kind, "forward") is not None else []  # what a forward of ours leaves to methods
    for name in dict.fromkeys(("__call__", "forward", "step", *parts)):
        if defined(kind, name) is not None:
            for base in mro(kind):
                found[id(base), name] = base, name, f"{name_of(base)}.{name}"
                if name in table(base):
                    break
    for _, f in run:
        found |= {(id(x[0]), x[1]): x for x in _functions_named(f)}
    return tuple(found.values())


def foreign_function(owner: Any, name: str) -> types.FunctionType | None:
    """What stands in the place of a function of ours, if it is none of ours."""
    found = (table(owner) if is_a(owner, type) else attributes(owner)).get(name)
    return found if isinstance(found, types.FunctionType) and not is_ours(found.__code__.co_filename) else None


def _run(kind: type) -> Iterator[tuple[str, types.FunctionType]]:
    """The methods of ours that a forward or an update goes through, with their names."""
    todo, seen = ["forward", "step"], set[str]()
    while todo:
        name = todo.pop()
        seen.add(name)
        for f in functions_of(defined(kind, name)):
            if is_ours(f.__code__.co_filename):
                yield name, f
                todo += mentions(f.__code__).attributes - seen


def _functions_named(f: types.FunctionType) -> Iterator[tuple[Any, str, str]]:
    for owner, name, _ in mentions(f.__code__).chains:
        module = f.__globals__.get(owner) if owner is not None else None
        if is_a(module, types.ModuleType) and is_ours(file_of_module(module)) and callable(attributes(module).get(name)):
            yield module, name, f"{owner}.{name}"
