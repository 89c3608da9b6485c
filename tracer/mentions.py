"""What a piece of code mentions: the names of globals and attributes that its bytecode reads."""

from __future__ import annotations

import dis
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
_VARIABLE = _GLOBAL | {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_GROUPS = {"globals": _GLOBAL, "attributes": _ATTRIBUTE, "modules": frozenset({"IMPORT_NAME"})}
_BUILT_TEXT = frozenset({"FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "BUILD_STRING"})
_BY_NAME = frozenset({"getattr", "hasattr", "attrgetter", "methodcaller"})  # read an attribute that a string names
_WHOLE = frozenset({"vars", "dir", "__dict__", "__getattribute__", "asdict", "fields"})  # read all attributes


_GROW = frozenset({"append", "appendleft", "extend", "add", "insert", "update"})  # methods that only put something in


@dataclass(frozen=True)
class Mentions:
    """Names that code reads, the functions and comprehensions in it included.

    `modules` are imported inside it; `dynamic` says that it may read attributes whose names are not in the code. `grown`
    are names of variables and attributes that it uses for nothing but `name.append(...)` and the like.
    """

    globals: frozenset[str]
    attributes: frozenset[str]
    modules: frozenset[str]
    dynamic: bool
    grown: frozenset[str]


@lru_cache(maxsize=4096)
def mentions(code: CodeType) -> Mentions:
    """The names that `code` reads.

    >>> found = mentions((lambda x: seen.append(x.sum() * SCALE)).__code__)
    >>> sorted(found.globals), sorted(found.attributes), sorted(found.grown)
    (['SCALE', 'seen'], ['append', 'sum'], ['seen'])
    """
    found: dict[str, set[str]] = {"globals": set(), "attributes": set(), "modules": set(), "grown": set(), "read": set()}
    computed = False
    instructions = list(dis.get_instructions(code))
    for instruction, following in zip(instructions, [*instructions[1:], None]):
        kind, name = instruction.opname, instruction.argval
        for group, opcodes in _GROUPS.items():
            if kind in opcodes:
                found[group].add(name)
        if kind in _VARIABLE or kind in _ATTRIBUTE:
            grows = following is not None and following.opname in _ATTRIBUTE and following.argval in _GROW
            found["grown" if grows else "read"].add(name)
        computed = computed or kind == "MATCH_CLASS" or kind in _BUILT_TEXT
    read = found["globals"] | found["attributes"]
    named = {c for c in code.co_consts if isinstance(c, str) and c.isidentifier()} if read & _BY_NAME else set()
    dynamic = bool(read & _WHOLE or (read & _BY_NAME and (computed or not named)))
    inner = [mentions(c) for c in code.co_consts if isinstance(c, CodeType)]
    grown = found["grown"].union(*(m.grown for m in inner)) - found["read"]
    return Mentions(frozenset(found["globals"]).union(*(m.globals for m in inner)),
                    frozenset(found["attributes"] | named).union(*(m.attributes for m in inner)),
                    frozenset(found["modules"]).union(*(m.modules for m in inner)),
                    dynamic or any(m.dynamic for m in inner),
                    frozenset(n for n in grown if all(n in m.grown or n not in m.globals | m.attributes for m in inner)))
