"""Ways to objects that are written in C, as a walk goes along them: bound methods, members of an enumeration, and the like."""

from __future__ import annotations

import enum
import functools
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from .code import reads_any_name
from .mentions import ANY_NAME, GROW
from .places import Place
from .statics import is_a, mro, table
from .tables import Table, Walk
from .texts import key_text
from .whose import HOLDS

BOUND = (types.BuiltinFunctionType, types.MethodWrapperType, types.WrapperDescriptorType)
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)


def bound(walk: Walk, x: Any, path: str) -> None:
    """A method that was bound to an object before: code that has it does with the object what the method does."""
    owner, name = (None if is_a(x, types.WrapperDescriptorType) else x.__self__), x.__name__
    walk.everything = walk.everything or reads_any_name(x)
    if owner is None or is_a(owner, (types.ModuleType, str)):
        return
    if name == "__getattribute__":
        walk.whole_behind.add("__self__")
    elif name in ("__setattr__", "__delattr__"):
        walk.bound.add(ANY_NAME)
    elif is_a(owner, _DESCRIPTORS):  # its `__get__`, `__set__` or `__delete__`
        walk.mentioned.setdefault(owner.__name__, set()).add(None)
        walk.bound.add(owner.__name__)
        walk.everything = walk.everything or owner.__name__ == "__dict__"
    label = f"{path}.__self__"
    if name in GROW and is_a(owner, (list, deque, dict)):
        walk.paths.setdefault(id(owner), set()).add(label)
        walk.puts_in(owner, label, lambda: owner)
        walk.attributes.append(Table({"__self__": owner}, lambda n: label, watched=False, whole=False))
    else:
        walk.later(owner, label)


def members(x: type) -> Iterator[tuple[str, Any]]:
    """The members of an enumeration, to which `Act["R"]`, `Act("r")` and a loop lead without naming them."""
    if enum.Enum in mro(x):
        named, by_value = table(x).get("_member_map_", {}), table(x).get("_value2member_map_", {})
        yield from named.items()
        known = set(map(id, named.values()))
        yield from ((key_text(value), member) for value, member in by_value.items() if id(member) not in known)  # of flags


def parts(x: functools.partial[Any], path: str) -> Place:
    """What a partial function is made of, which its `__setstate__` may exchange."""
    names = HOLDS[functools.partial]
    read = [table(functools.partial)[name].__get__ for name in names]
    return Place(lambda: [get(x) for get in read], lambda i: f"{path}.{names[i]}")
