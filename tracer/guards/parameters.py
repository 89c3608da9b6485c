"""What a function does with its parameters, read from its bytecode: some it never reads, into some it only puts things."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import CodeType, FunctionType, MethodType
from typing import Any

from .mentions import ATTRIBUTE, GROW, instructions_of

_PUTS = GROW - {"insert", "appendleft"}  # these depend on what is there
_ANY = frozenset({"locals", "vars", "dir", "eval", "exec"})  # read variables by computed names


@dataclass(frozen=True)
class Parameters:
    """By position and by name: parameters that code never reads, and containers into which it only puts things.

    `static` are those that are compiled in, as whoever compiles the function says.
    """

    unread: frozenset[int | str] = frozenset()
    grown: frozenset[int | str] = frozenset()
    static: frozenset[int | str] = frozenset()

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
    """
    bound = isinstance(function, MethodType)
    plain = function.__func__ if bound else function
    if not isinstance(plain, FunctionType) or "__wrapped__" in plain.__dict__:
        return NOTHING_KNOWN
    unread, grown = _of_code(plain.__code__)
    names = plain.__code__.co_varnames[:plain.__code__.co_argcount]
    first = 1 if bound else 0

    def both(chosen: frozenset[str]) -> frozenset[int | str]:
        return chosen | {i - first for i, name in enumerate(names) if name in chosen and i >= first}

    return Parameters(both(unread), both(grown))


@lru_cache(maxsize=1024)
def _of_code(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    names = frozenset(code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]) - frozenset(code.co_cellvars)
    if _ANY & frozenset(code.co_names):
        return frozenset(), frozenset()
    found = list(instructions_of(code))
    read: set[str] = set()
    grown: set[str] = set()
    for i, x in enumerate(found):
        if x.argval in names and "FAST" in x.opname:
            (grown if x.opname.startswith("LOAD_FAST") and _puts(found[i + 1:i + 3]) else read).add(x.argval)
    return names - read - grown, frozenset(grown - read)


def _puts(following: list[Any]) -> bool:
    """Whether a variable is loaded for `name.append(` or for `name[key] =` with a plain key."""
    if following and following[0].opname in ATTRIBUTE and following[0].argval in _PUTS:
        return True
    return (len(following) == 2 and following[0].opname.startswith(("LOAD_CONST", "LOAD_FAST"))
            and following[1].opname == "STORE_SUBSCR")
