"""What a piece of code mentions: the names of globals and attributes that its bytecode reads."""

from __future__ import annotations

import dis
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
_BUILT_TEXT = frozenset({"FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC", "BUILD_STRING"})
_BY_NAME = frozenset({"getattr", "hasattr", "attrgetter", "methodcaller"})  # read an attribute that a string names
_WHOLE = frozenset({"vars", "dir", "__dict__", "__getattribute__", "asdict", "fields"})  # read all attributes


@dataclass(frozen=True)
class Mentions:
    """Names that code reads, the functions and comprehensions in it included.

    `modules` are imported inside it; `dynamic` says that it may read attributes whose names are not in the code.
    """

    globals: frozenset[str]
    attributes: frozenset[str]
    modules: frozenset[str]
    dynamic: bool


@lru_cache(maxsize=4096)
def mentions(code: CodeType) -> Mentions:
    """The names that `code` reads.

    >>> found = mentions((lambda x: x.sum() * SCALE).__code__)
    >>> sorted(found.globals), sorted(found.attributes)
    (['SCALE'], ['sum'])
    """
    globals, attributes, modules, text = set(), set(), set(), False
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name in _GLOBAL:
            globals.add(instruction.argval)
        elif name in _ATTRIBUTE:
            attributes.add(instruction.argval)
        elif name == "IMPORT_NAME":
            modules.add(instruction.argval)
        elif name == "MATCH_CLASS" or name in _BUILT_TEXT:
            text = True
    read = globals | attributes
    named = {c for c in code.co_consts if isinstance(c, str) and c.isidentifier()} if read & _BY_NAME else set()
    dynamic = bool(read & _WHOLE or (read & _BY_NAME and (text or not named)))
    inner = [mentions(c) for c in code.co_consts if isinstance(c, CodeType)]
    return Mentions(frozenset(globals).union(*(m.globals for m in inner)),
                    frozenset(attributes | named).union(*(m.attributes for m in inner)),
                    frozenset(modules).union(*(m.modules for m in inner)),
                    dynamic or any(m.dynamic for m in inner))
