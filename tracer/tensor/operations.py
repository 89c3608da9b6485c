"""What Python can do with the numbers of a trace: operators and functions, as values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

Kinds = tuple[type, ...]
EXACT = (int, float, bool)  # numbers of exactly these types are computed with; of subclasses only the value is known
# Scalars of numpy that 64 bits hold, as numbers of Python.
NUMPY: dict[type, type] = dict.fromkeys((np.float64, np.float32, np.float16), float) | dict.fromkeys(
    (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32), int)
_BINDING = (("==", "!=", "<", "<=", ">", ">="), ("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/", "//", "%"), ("**",))
NUMBERS = frozenset({int, float, *NUMPY})  # what may be another one at each call


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


def _of_python(kind: type) -> Kinds:
    return (NUMPY.get(kind, kind),)


KNOW_NUMPY = frozenset({_one_of, _of_python})
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
PLAIN = Operation(lambda x: x.item() if isinstance(x, np.generic) else x, "item", _of_python)

# --- Functions --------------------------------------------------------------------------------------------------------

_WHOLE = {"floor", "ceil", "trunc", "factorial", "gcd", "lcm", "comb", "perm", "isqrt"}
_TESTS = {"isnan", "isinf", "isfinite", "isclose"}
_OTHER = {"frexp", "modf", "prod", "sumprod"}  # give pairs, or what they were given
ROUND, ROUND_TO = Operation(round, "round", WHOLE), Operation(round, "round", lambda x, digits: _numeric(x))
LIST = Operation(lambda *xs: xs, "list", _always(tuple))


def _of_math(name: str, function: Any) -> Operation:
    kind = int if name in _WHOLE else bool if name in _TESTS else float
    return Operation(function, f"math.{name}", None if name in _OTHER else _always(kind))


def kinds_of(operation: Operation, *kinds: type) -> Kinds | None:
    """The types that the result may have for operands of these; None if they do not tell."""
    if not any(issubclass(kind, np.generic) for kind in kinds) or operation.kinds in KNOW_NUMPY:
        return None if operation.kinds is None else operation.kinds(*kinds)
    return _of_ones(operation, kinds)


@cache
def _of_ones(operation: Operation, kinds: Kinds) -> Kinds | None:
    """What numpy makes of its scalars depends on their types alone: so that of ones."""
    try:
        with np.errstate(all="ignore"):
            return (type(operation.function(*(kind(1) for kind in kinds))),)
    except Exception:
        return None


@cache
def of_ufunc(function: np.ufunc) -> Operation | None:
    """What numpy's own function does with numbers, if it gives one."""
    itself = getattr(np, function.__name__, None) is function
    return Operation(function, f"np.{function.__name__}") if itself and function.nout == 1 else None


# The functions that compute on the host when they are called with a number of a trace.
CALLS: dict[Any, Operation] = {f: _of_math(n, f) for n, f in vars(math).items() if callable(f) and n[0] != "_"} | {
    int: Operation(int, "int", WHOLE), float: Operation(float, "float", _always(float)),
    divmod: Operation(divmod, "divmod", _always(tuple)), min: Operation(min, "min", _one_of), max: Operation(max, "max", _one_of)}
