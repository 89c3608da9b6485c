"""What a piece of code mentions: the names of globals and attributes that its bytecode reads."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import CodeType
from typing import Any

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
# From Python 3.12 on one instruction reads attributes and methods, and its lowest bit tells which.
_CALLING = frozenset({"LOAD_ATTR", "LOAD_SUPER_ATTR"}) if sys.version_info >= (3, 12) else frozenset()
_VARIABLE = _GLOBAL | {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_GROUPS = {"globals": _GLOBAL, "attributes": ATTRIBUTE, "modules": frozenset({"IMPORT_NAME"})}
_SETS_GLOBAL = ("STORE_GLOBAL", "DELETE_GLOBAL")
_CALL = frozenset({"PRECALL", "CALL"})
_PLAIN = frozenset({"LOAD_CONST", "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_SMALL_INT", *_VARIABLE})
_NOTHING = frozenset({"KW_NAMES", "EXTENDED_ARG", "RESUME", "CACHE"})
_OF_OBJECT = frozenset({"getattr", "hasattr", "getattr_static"})  # read the attribute of an object that a string names
_GETTERS = frozenset({"attrgetter", "methodcaller"})  # make functions that do
BY_NAME = _OF_OBJECT | _GETTERS
_IMPORT = frozenset({"__import__", "import_module"})  # make a module of a string that names it
_EVERY = frozenset({"vars", "dir", "asdict", "astuple", "fields", "getmembers"})  # read all attributes
_NAME_OF_BOUND = {"setattr": 2, "__setattr__": 2, "delattr": 1, "__delattr__": 1}  # where the name is, from the last argument
_READ = BY_NAME | _EVERY | {"__dict__", "__getattribute__"}
GROW = frozenset({"append", "extend", "add", "update"})  # methods that only put something in, wherever that is by now
DESCRIBES = frozenset({"__get__", "__set__", "__delete__"})  # by which a descriptor reads or sets its attribute of an object

ANY_NAME = "<any>"  # stands for attributes whose names are not in the code
SELF = "<self>"  # stands for the first parameter of a method among the names in front of attributes


@dataclass(frozen=True)
class Mentions:
    """Names that code reads, the functions and comprehensions in it included.

    `chains` has each attribute with the name in front of it, `("optimizer", "step", True)`, or None if that is a local
    variable or an expression, and whether it is called there. `modules` are imported inside it. `computed` has the names
    in front of which it reads attributes whose names are not in the code: `SELF`, or None for any object. `asked` are
    attributes that it can do without, with the name in front: of `hasattr`, and of `getattr` with a default. `grown` are
    names of variables and attributes that it uses for nothing but `name.append(...)` and the like, `stored` are globals
    and `bound` attributes that it sets or deletes, `called` globals that it does nothing with but call them.
    `tried` are attributes that may be missing, since an error is caught, with the name in front. `advanced` are attributes
    and variables that one function both reads and sets, as in `self.calls += 1`, in brackets keys, and `name[]` for entries of
    lists of that name. `compares` says whether it asks which object something is, `searches` whether it looks for something
    among others.
    """

    globals: frozenset[str]
    chains: frozenset[tuple[str | None, str, bool]]
    modules: frozenset[str]
    computed: frozenset[str | None]
    asked: frozenset[tuple[str | None, str]]
    grown: frozenset[str]
    stored: frozenset[str]
    called: frozenset[str]
    bound: frozenset[str]
    tried: frozenset[tuple[str | None, str]]
    advanced: frozenset[str]
    compares: bool
    searches: bool

    @property
    def attributes(self) -> frozenset[str]:
        """The names of the attributes."""
        return frozenset(name for _, name, _ in self.chains)


@dataclass(frozen=True)
class _Instruction:
    """`effect` is what it does to the height of the stack."""

    opname: str
    arg: int
    argval: Any
    effect: int


def instructions_of(code: CodeType) -> Iterator[_Instruction]:
    """The instructions of `code`; one that loads two variables is two."""
    for x in dis.get_instructions(code):
        if x.opname.startswith("LOAD_FAST") and isinstance(x.argval, tuple):
            yield from (_Instruction("LOAD_FAST", 0, name, 1) for name in x.argval)
        elif x.opname not in _NOTHING:
            yield _Instruction(x.opname, x.arg or 0, x.argval, dis.stack_effect(x.opcode, x.arg, jump=False))


def _locals(code: CodeType) -> dict[str | None, str | None]:
    """The function's own variables, and what they are in front of an attribute: its first parameter is `SELF`."""
    found: dict[str | None, str | None] = dict.fromkeys((*code.co_varnames, *code.co_cellvars))
    return found | dict.fromkeys(code.co_varnames[:min(code.co_argcount, 1)], SELF)


@lru_cache(maxsize=4096)
def mentions(code: CodeType) -> Mentions:
    """The names that `code` reads.

    >>> found = mentions((lambda x: seen.append(x.sum() * SCALE)).__code__)
    >>> sorted(found.globals), sorted(found.chains, key=str), sorted(found.grown)
    (['SCALE', 'seen'], [('seen', 'append', True), (None, 'sum', True)], ['seen'])
    """
    found: dict[str, set[str]] = {"globals": set(), "attributes": set(), "modules": set(), "grown": set(), "read": set(),
                                  "called": set(), "held": set()}
    chains: set[tuple[str | None, str, bool]] = set()
    instructions = list(instructions_of(code))
    local = _locals(code)
    for before, instruction, following in zip([None, *instructions], instructions, [*instructions[1:], None]):
        kind, name = instruction.opname, instruction.argval
        if kind in ATTRIBUTE:
            named_before = before is not None and (before.opname in ATTRIBUTE or before.opname in _VARIABLE)
            called = kind == "LOAD_METHOD" or (kind in _CALLING and bool(instruction.arg & 1))
            owner = before.argval if before is not None and named_before else None
            chains.add((None if owner in local else owner, name, called))
        for group, opcodes in _GROUPS.items():
            if kind in opcodes:
                found[group].add(name)
        if kind in _GLOBAL:
            found["called" if kind == "LOAD_GLOBAL" and (instruction.arg or 0) & 1 else "held"].add(name)
        if kind in _VARIABLE or kind in ATTRIBUTE:
            grows = following is not None and following.opname in ATTRIBUTE and following.argval in GROW
            found["grown" if grows else "read"].add(name)
    if (found["globals"] | found["attributes"]) & _IMPORT:
        found["modules"] |= {c for c in code.co_consts if isinstance(c, str)}
    named, asked, computed = _by_name(instructions)
    inner = [mentions(c) for c in code.co_consts if isinstance(c, CodeType)]
    grown = found["grown"].union(*(m.grown for m in inner)) - found["read"] - _set_anew(code)
    held = found["held"].union(*(m.globals - m.called for m in inner))
    return Mentions(frozenset(found["globals"]).union(*(m.globals for m in inner)),
                    frozenset(chains | {(None if o in local or o == SELF else o, n, False) for o, n in named}).union(
                        *({(None if o in local else o, n, c) for o, n, c in m.chains} for m in inner)),
                    frozenset(found["modules"]).union(*(m.modules for m in inner)),
                    frozenset(local.get(o, o) for o in computed).union(
                        *({None if o == SELF else local.get(o, o) for o in m.computed} for m in inner)),
                    frozenset((local.get(o, o), n) for o, n in asked).union(
                        *({(None if o == SELF else local.get(o, o), n) for o, n in m.asked} for m in inner)),
                    frozenset(n for n in grown if all(n in m.grown or n not in m.globals | m.attributes for m in inner)),
                    frozenset(x.argval for x in instructions if x.opname in _SETS_GLOBAL).union(*(m.stored for m in inner)),
                    frozenset(found["called"].union(*(m.called for m in inner)) - held),
                    frozenset(_bound(instructions)).union(*(m.bound for m in inner)),
                    frozenset((None if o in local else o, n) for o, n, _ in chains if _catches(instructions)).union(
                        *({(None if o in local else o, n) for o, n in m.tried} for m in inner)),
                    frozenset(_advanced(instructions, {n for _, n in named})).union(*(m.advanced for m in inner)),
                    _compares(instructions, {*code.co_varnames[:code.co_name == "__eq__"]}) or any(m.compares for m in inner),
                    _searches(instructions) or any(m.searches for m in inner))


def _compares(code: list[_Instruction], itself: set[str]) -> bool:
    """Whether code asks `x is y`, where neither is a constant, a class or `itself`, or for `id(x)`, be it by `operator.is_`."""
    return any((x.opname == "IS_OP" and not _has_constant(code, i)
                and {"__class__", *itself}.isdisjoint((code[i - 1].argval, code[i - 2].argval)))
               or (x.opname in _GLOBAL and x.argval == "id") or x.argval in ("is_", "is_not") for i, x in enumerate(code))


def _searches(code: list[_Instruction]) -> bool:
    """Whether code asks `x in y`, where x is no constant."""
    return any(x.opname == "CONTAINS_OP" and not _has_constant(code, i) for i, x in enumerate(code))


def _has_constant(code: list[_Instruction], i: int) -> bool:
    """Whether one of the two operands of an instruction is a constant; the key of an entry, as in `h["a"] is h["b"]`, is none."""
    second, first = code[i - 1].opname, code[i - 2].opname
    return second == "LOAD_CONST" or (first == "LOAD_CONST" and second in _PLAIN)


_SETS_ANEW = (*_SETS_GLOBAL, "STORE_DEREF", "DELETE_DEREF")


def _set_anew(code: CodeType) -> set[str]:
    """Variables, of globals and of functions around it, that code and what is in it bind to other things."""
    own = {x.argval for x in instructions_of(code) if x.opname in _SETS_ANEW}
    return own.union(*(_set_anew(c) for c in code.co_consts if isinstance(c, CodeType)))


def _catches(code: list[_Instruction]) -> bool:
    """Whether an error that is raised in some of the code need not come out of it."""
    names = [x.opname for x in code]
    return names.count("PUSH_EXC_INFO") > names.count("WITH_EXCEPT_START") or any(x.argval == "suppress" for x in code)


def _bound(code: list[_Instruction]) -> Iterator[str]:
    """Attributes that code sets or deletes, also those that `setattr` or `__setattr__` names; `ANY_NAME` for computed ones."""
    for i, x in enumerate(code):
        if x.opname in ("STORE_ATTR", "DELETE_ATTR"):
            yield x.argval
        elif (x.opname in _GLOBAL or x.opname in ATTRIBUTE) and (behind := _NAME_OF_BOUND.get(x.argval)):
            yield _constant([[], [], *(_arguments(code, i) or ())][-behind]) or ANY_NAME


def _advanced(code: list[_Instruction], named: Iterable[str]) -> Iterator[str]:
    """Attributes and variables that code reads and sets, and what of containers: `[key]`, and `name[]` for entries of lists.

    Those `named` are attributes that it reads by texts.
    """
    yield from {*_bound(code)} & {*named, *(x.argval for x in code if x.opname in ATTRIBUTE)}
    for reads, sets in ((_GLOBAL, "STORE_GLOBAL"), (_VARIABLE, "STORE_DEREF")):
        yield from {x.argval for x in code if x.opname == sets} & {x.argval for x in code if x.opname in reads}
    read, written = set[str | None](), set[str | None]()
    for i, x in enumerate(code):
        if x.opname == "BINARY_SUBSCR" and code[i - 1].opname == code[i - 2].opname == "COPY":  # holder[key] += ...
            yield from filter(None, _entry(code, i - 2))
        elif x.opname == "STORE_SLICE" or (x.opname == "STORE_SUBSCR" and code[i - 1].opname == "BUILD_SLICE"):
            at = i - (2 if x.opname == "STORE_SLICE" else 3)  # holder[:] = ...
            yield f"{_owner(code[at - 1:at])}[]"
        elif x.opname in ("BINARY_SUBSCR", "STORE_SUBSCR"):
            (read if x.opname == "BINARY_SUBSCR" else written).update(_entry(code, i))
    yield from filter(None, read & written)


def _entry(code: list[_Instruction], at: int) -> tuple[str | None, str | None]:
    """The key that is loaded before `at`, and the name of what is loaded before that, each if that is plain to see."""
    key, holder = _constant(code[at - 1:at]), _owner(code[at - 2:at - 1]) if code[at - 1].opname in _PLAIN else None
    return key and f"[{key}]", holder and f"{holder}[]"


_Named = tuple[str | None, str]

# --- Attributes that are read by a name -------------------------------------------------------------------------------


def _by_name(code: list[_Instruction]) -> tuple[set[_Named], set[_Named], set[str | None]]:
    """Names that are constants of the code, those of them it can do without, and what is in front of computed ones."""
    named: set[_Named] = set()
    asked: set[_Named] = set()
    computed: set[str | None] = set()
    for i, x in enumerate(code):
        name = x.argval
        if x.opname == "MATCH_CLASS":
            named |= {(None, attribute) for attribute in code[i - 1].argval}
            asked |= {(None, attribute) for attribute in code[i - 1].argval}
            computed |= {None} if x.arg else set()
        elif (x.opname not in _VARIABLE and x.opname not in ATTRIBUTE) or name not in _READ:
            continue
        elif name == "__dict__":
            computed.add(_owner(code[i - 1:i]))
        else:
            arguments = _arguments(code, i) or []
            if name == "__getattribute__" and len(arguments) == 1:
                arguments = [code[i - 3:i] if _is_super(code[i - 3:i]) else code[i - 1:i], *arguments]
            texts = [_constant(a) for a in (arguments if name in _GETTERS else arguments[1:2])]
            owner = _owner(arguments[0]) if arguments and name not in _GETTERS else None
            if name in _EVERY or not texts or None in texts:
                computed.add(owner)
            else:
                named |= {(owner, part) for text in texts for part in str(text).split(".")}
                asked |= {(owner, str(texts[0]))} if name == "hasattr" or (name == "getattr" and len(arguments) > 2) else set()
    return named, asked, computed


def _arguments(code: list[_Instruction], at: int) -> list[list[_Instruction]] | None:
    """The instructions that give each argument of the call of what is loaded at `at`; None if that is not plain to see."""
    ends: dict[int, int] = {}  # the height of the stack above the function, and where it was that high last
    height = 0
    if sys.version_info >= (3, 13) and code[at + 1].opname == "PUSH_NULL":  # before, it comes in front of the function
        at += 1
    for i in range(at + 1, len(code)):
        x = code[i]
        if x.opname in _CALL and x.arg == height > 0:
            bounds = [at, *(ends.get(k, -1) for k in range(1, height)), i - 1]
            return [code[a + 1:b + 1] for a, b in pairwise(bounds)] if bounds == sorted(bounds) else None
        height += x.effect
        if height < 0:
            return None
        ends[height] = i
    return None


def _constant(argument: list[_Instruction]) -> str | None:
    text = argument[0].argval if len(argument) == 1 and argument[0].opname == "LOAD_CONST" else None
    return text if isinstance(text, str) else None


def _is_super(argument: list[_Instruction]) -> bool:
    return bool(argument) and argument[0].argval == "super" and argument[-1].opname == "CALL" and argument[-1].arg == 0


def _owner(argument: list[_Instruction]) -> str | None:
    """The name in front, of a variable or an attribute; None for anything else."""
    if _is_super(argument):
        return SELF
    last = argument[-1]
    simple = last.opname in ATTRIBUTE or last.opname in _VARIABLE or (len(argument) == 1 and last.opname.startswith("LOAD_FAST"))
    return str(last.argval) if simple else None
