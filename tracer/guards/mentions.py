"""What a piece of code mentions: the names of globals and attributes that its bytecode reads."""

from __future__ import annotations

import dis
import sys
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
# From Python 3.12 on one instruction reads attributes and methods, and its lowest bit tells which.
_CALLING = frozenset({"LOAD_ATTR", "LOAD_SUPER_ATTR"}) if sys.version_info >= (3, 12) else frozenset()
_VARIABLE = _GLOBAL | {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_GROUPS = {"globals": _GLOBAL, "attributes": _ATTRIBUTE, "modules": frozenset({"IMPORT_NAME"})}
_BUILT_TEXT = frozenset({"FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "BUILD_STRING"})
_BY_NAME = frozenset({"getattr", "hasattr", "attrgetter", "methodcaller"})  # read an attribute that a string names
_IMPORT = frozenset({"__import__", "import_module"})  # make a module of a string that names it
_WHOLE = frozenset({"vars", "dir", "__dict__", "__getattribute__", "asdict", "fields"})  # read all attributes
_GROW = frozenset({"append", "appendleft", "extend", "add", "insert", "update"})  # methods that only put something in


@dataclass(frozen=True)
class Mentions:
    """Names that code reads, the functions and comprehensions in it included.

    `chains` has each attribute with the name in front of it, `("optimizer", "step", True)`, or None if that is a local
    variable or an expression, and whether it is called there. `modules` are imported inside it; `dynamic` says that it may
    read attributes whose names are not in the code. `grown` are names of variables and attributes that it uses for nothing
    but `name.append(...)` and the like.
    """

    globals: frozenset[str]
    chains: frozenset[tuple[str | None, str, bool]]
    modules: frozenset[str]
    dynamic: bool
    grown: frozenset[str]

    @property
    def attributes(self) -> frozenset[str]:
        """The names of the attributes."""
        return frozenset(name for _, name, _ in self.chains)


@lru_cache(maxsize=4096)
def mentions(code: CodeType) -> Mentions:
    """The names that `code` reads.

    >>> found = mentions((lambda x: seen.append(x.sum() * SCALE)).__code__)
    >>> sorted(found.globals), sorted(found.chains, key=str), sorted(found.grown)
    (['SCALE', 'seen'], [('seen', 'append', True), (None, 'sum', True)], ['seen'])
    """
    found: dict[str, set[str]] = {"globals": set(), "attributes": set(), "modules": set(), "grown": set(), "read": set()}
    chains: set[tuple[str | None, str, bool]] = set()
    computed = False
    instructions = list(dis.get_instructions(code))
    for before, instruction, following in zip([None, *instructions], instructions, [*instructions[1:], None]):
        kind, name = instruction.opname, instruction.argval
        if kind in _ATTRIBUTE:
            named_before = before is not None and (before.opname in _ATTRIBUTE or before.opname in _VARIABLE)
            called = kind == "LOAD_METHOD" or (kind in _CALLING and bool((instruction.arg or 0) & 1))
            chains.add((before.argval if before is not None and named_before else None, name, called))
        for group, opcodes in _GROUPS.items():
            if kind in opcodes:
                found[group].add(name)
        if kind in _VARIABLE or kind in _ATTRIBUTE:
            grows = following is not None and following.opname in _ATTRIBUTE and following.argval in _GROW
            found["grown" if grows else "read"].add(name)
        computed = computed or kind == "MATCH_CLASS" or kind in _BUILT_TEXT
    read = found["globals"] | found["attributes"]
    if read & _IMPORT:
        found["modules"] |= {c for c in code.co_consts if isinstance(c, str)}
    named = {c for c in code.co_consts if isinstance(c, str) and c.isidentifier()} if read & _BY_NAME else set()
    dynamic = bool(read & _WHOLE or (read & _BY_NAME and (computed or not named)))
    inner = [mentions(c) for c in code.co_consts if isinstance(c, CodeType)]
    grown = found["grown"].union(*(m.grown for m in inner)) - found["read"]
    return Mentions(frozenset(found["globals"]).union(*(m.globals for m in inner)),
                    frozenset(chains | {(None, n, False) for n in named}).union(*(m.chains for m in inner)),
                    frozenset(found["modules"]).union(*(m.modules for m in inner)),
                    dynamic or any(m.dynamic for m in inner),
                    frozenset(n for n in grown if all(n in m.grown or n not in m.globals | m.attributes for m in inner)))
