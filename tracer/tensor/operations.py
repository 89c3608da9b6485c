"""What Python can do with the numbers of a trace: operators and functions, as values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

Kinds = tuple[type, ...]
EXACT = (int, float, bool)  # numbers of exactly these types are computed with; of subclasses only the value is known
_BINDING = (("==", "!=", "<", "<=", ">", ">="), ("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/", "//", "%"), ("**",))


class Operation(NamedTuple):
    """What is done with numbers: a function, how it is written, and the types that it may give for those of its operands.

    Without `kinds` the types do not tell: that of the result becomes a guard.
    """

    function: Callable[..., Any]
    text: str
    kinds: Callable[..., Kinds] | None = None

    def written(self, operands: list[str]) -> str:
        """The expression with these operands."""
        return self.text.format(*operands) if "{" in self.text else f"{self.text}({', '.join(operands)})"

    @property
    def infix(self) -> bool:
        """Whether it is written as an operator."""
        return "{" in self.text

    @property
    def binding(self) -> int:
        """How tightly it binds: an operand that binds no tighter is put in parentheses."""
        return next((i for i, signs in enumerate(_BINDING) if self.text[3:-3] in signs), 8) if self.infix else 9


# --- Types of results -------------------------------------------------------------------------------------------------


def _numeric(*kinds: type) -> Kinds:
    return (float,) if float in kinds else (int,)


def _bitwise(*kinds: type) -> Kinds:
    return (bool,) if set(kinds) == {bool} else (int,)


def _one_of(*kinds: type) -> Kinds:
    return kinds


def _always(kind: type) -> Callable[..., Kinds]:
    return lambda *kinds: (kind,)


WHOLE = _always(int)

# --- Operators --------------------------------------------------------------------------------------------------------


def _between(signs: dict[str, str], kinds: Callable[..., Kinds]) -> dict[str, Operation]:
    return {name: Operation(getattr(operator, f"__{name}__"), f"{{}} {sign} {{}}", kinds) for name, sign in signs.items()}


COMPARISONS = _between({"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}, _always(bool))
BINARY = (_between({"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%"}, _numeric)
          | _between({"truediv": "/"}, _always(float)) | _between({"and": "&", "or": "|", "xor": "^"}, _bitwise)
          | _between({"lshift": "<<", "rshift": ">>"}, WHOLE))
UNARY = {"neg": Operation(operator.neg, "-{}", _numeric), "pos": Operation(operator.pos, "+{}", _numeric),
         "invert": Operation(operator.invert, "~{}", WHOLE), "abs": Operation(abs, "abs", _numeric)}
POWER, POWER_OF = Operation(operator.pow, "{} ** {}"), Operation(pow, "pow", WHOLE)
ITEM = Operation(operator.getitem, "{}[{}]")

# --- Functions --------------------------------------------------------------------------------------------------------

_WHOLE = {"floor", "ceil", "trunc", "factorial", "gcd", "lcm", "comb", "perm", "isqrt"}
_TESTS = {"isnan", "isinf", "isfinite", "isclose"}
_OTHER = {"frexp", "modf", "prod", "sumprod"}  # give pairs, or what they were given
ROUND, ROUND_TO = Operation(round, "round", WHOLE), Operation(round, "round", lambda x, digits: _numeric(x))
LIST = Operation(lambda *xs: xs, "list", _always(tuple))


def _of_math(name: str, function: Any) -> Operation:
    kind = int if name in _WHOLE else bool if name in _TESTS else float
    return Operation(function, f"math.{name}", None if name in _OTHER else _always(kind))


# The functions that compute on the host when they are called with a number of a trace.
CALLS: dict[Any, Operation] = {f: _of_math(n, f) for n, f in vars(math).items() if callable(f) and n[0] != "_"} | {
    int: Operation(int, "int", WHOLE), float: Operation(float, "float", _always(float)),
    divmod: Operation(divmod, "divmod", _always(tuple)), min: Operation(min, "min", _one_of), max: Operation(max, "max", _one_of)}
