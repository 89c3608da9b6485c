"""What a function does with its parameters, read from its bytecode: some it never reads, of some it asks for keys alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from inspect import CO_VARKEYWORDS
from types import CodeType, FunctionType, MethodType
from typing import Any

from .mentions import ATTRIBUTE, GROW, instructions_of

_TESTS = frozenset({"CONTAINS_OP", "TO_BOOL", "UNARY_NOT", "POP_JUMP_IF_FALSE", "POP_JUMP_IF_TRUE", "POP_JUMP_FORWARD_IF_FALSE",
                    "POP_JUMP_FORWARD_IF_TRUE"})
_ANY = frozenset({"locals", "vars", "dir", "eval", "exec"})  # read variables by computed names


@dataclass(frozen=True)
class Parameters:
    """By position and by name: parameters that code never reads, and containers into which it only puts things.

    `stored` are those of the latter that it stores into under a key, which is a place of a list, and depends on what is
    there. Of those `by_key` it asks for what is under keys, and stores under keys, so that the order of a dict means nothing
    to it. `named` says that the order of keywords means nothing either. `static` are those that are compiled in, as whoever
    compiles the function says.
    """

    unread: frozenset[int | str] = frozenset()
    grown: frozenset[int | str] = frozenset()
    stored: frozenset[int | str] = frozenset()
    static: frozenset[int | str] = frozenset()
    by_key: frozenset[int | str] = frozenset()
    named: bool = False

    @cached_property
    def whole(self) -> frozenset[int | str]:
        """Those whose arguments nobody takes apart."""
        return self.static | self.unread

    @cached_property
    def usual(self) -> bool:
        """Whether all are taken apart, as most functions' are."""
        return not (self.whole or self.grown)


NOTHING_KNOWN = Parameters()


def parameters(function: Any) -> Parameters:
    """What the code of a Python function does with its parameters; of anything else nothing is known.

    >>> found = parameters(lambda x, name, history: history.append(x))
    >>> sorted(map(str, found.unread)), sorted(map(str, found.grown))
    (['1', 'name'], ['2', 'history'])
    >>> sorted(map(str, parameters(lambda batch: batch["x"] - batch.get("y")).by_key))
    ['0', 'batch']
    """
    bound = isinstance(function, MethodType)
    plain = function.__func__ if bound else function
    if not isinstance(plain, FunctionType) or "__wrapped__" in plain.__dict__:
        return NOTHING_KNOWN
    unread, grown, stored, by_key = _of_code(plain.__code__)
    names = plain.__code__.co_varnames[:plain.__code__.co_argcount]
    first = 1 if bound else 0

    def both(chosen: frozenset[str]) -> frozenset[int | str]:
        return chosen | {i - first for i, name in enumerate(names) if name in chosen and i >= first}

    return Parameters(both(unread), both(grown), both(stored), frozenset(), both(by_key),
                      not plain.__code__.co_flags & CO_VARKEYWORDS)


@lru_cache(maxsize=1024)
def _of_code(code: CodeType) -> tuple[frozenset[str], ...]:
    names = frozenset(code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]) - frozenset(code.co_cellvars)
    if _ANY & frozenset(code.co_names):
        return (frozenset(),) * 4
    found = list(instructions_of(code))
    read: set[str] = set()
    grown: set[str] = set()
    stored: set[str] = set()
    asked: set[str] = set()
    for i, x in enumerate(found):
        if x.argval in names and "FAST" in x.opname:
            loaded, following = x.opname.startswith("LOAD_FAST"), found[i + 1:i + 3]
            if loaded and _stores(following):
                stored.add(x.argval)
            elif loaded and _grows(following):
                grown.add(x.argval)
            else:
                (asked if loaded and _asks(following) else read).add(x.argval)
    put = grown | stored
    return names - read - put - asked, frozenset(put - read - asked), frozenset(stored - read), frozenset(asked - read - grown)


def _asks(following: list[Any]) -> bool:
    """Whether a variable is loaded for `name[key]`, `name.get(`, `key in name` or a test of whether there is anything in it."""
    if following and (following[0].opname in _TESTS or (following[0].opname in ATTRIBUTE and following[0].argval == "get")):
        return True
    return (len(following) == 2 and following[0].opname.startswith(("LOAD_CONST", "LOAD_FAST"))
            and following[1].opname == "BINARY_SUBSCR")


def _grows(following: list[Any]) -> bool:
    """Whether a variable is loaded for `name.append(`."""
    return bool(following) and following[0].opname in ATTRIBUTE and following[0].argval in GROW


def _stores(following: list[Any]) -> bool:
    """Whether a variable is loaded for `name[key] =` with a plain key."""
    return (len(following) == 2 and following[0].opname.startswith(("LOAD_CONST", "LOAD_FAST"))
            and following[1].opname == "STORE_SUBSCR")
