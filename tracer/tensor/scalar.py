"""Numbers of a traced function: arguments, hyperparameters and what is computed with them, on the host.

A `Scalar` stands for a number that may be another one at the next call. Arithmetic on it records an expression, which
Python evaluates at each call on exact ints and floats; only where a `Scalar` meets a tensor does its value become an input
of the program. What the code decides by such a number (`if`, `range`, a shape) is a guard. Expressions and guards keep the
order of the trace: an expression behind a guard is evaluated only if that holds, as in the code itself.

A `Scalar` is no subclass of int or float, since `math.sqrt` and the like would then read past it.
"""

from __future__ import annotations

import enum
import math
import operator
import sys
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from numbers import Number
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..ir import dtypes
from ..ir.constants import literal
from ..ir.graph import Value
from ..ir.recorder import placeholder, record
from ..ir.source import Position, looked_for_in, user_position
from ..ir.stand_in import StandIn
from ..ir.types import Type
from ..ops import structural as ops
from ..ops.elementwise import alias
from .nested import children, container_of
from .operations import (
    BINARY,
    CALLS,
    COMPARISONS,
    EXACT,
    ITEM,
    LIST,
    NUMPY,
    PLAIN,
    POWER,
    POWER_OF,
    ROUND,
    ROUND_TO,
    UNARY,
    Kinds,
    Operation,
    kinds_of,
    of_ufunc,
)

# Modules that ask whether something is a tensor or a container, and take all numbers alike; where it matters: `kind()`.
_ALIKE = frozenset({"operators", "operands", "layout", "methods", "autocast", "arithmetic", "nested", "results",
                    "remade", "dataclasses"})
SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1


class Source(NamedTuple):
    """Where a number comes from at each call: the number at this position among the arguments, or what `read()` gives."""

    name: str
    position: int | None = None
    read: Callable[[], Any] | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """What must be as it was: a number's `value`, its `truth`, its `type`, that it `fits` into 64 bits, the `error` of it."""

    about: str
    scalar: Scalar
    seen: Any
    where: Position


class Scalar(StandIn):
    """`example` is the number in the call being traced; `kinds` the types that it may have at other calls.

    `source` says where it comes from, or `operation` and `operands` what it is computed of.
    """

    __slots__ = ("host", "source", "operation", "operands", "kinds", "example", "settled", "__weakref__")

    def __init__(self, host: Host, example: Any, kinds: Kinds, source: Source | None = None,
                 operation: Operation | None = None, operands: tuple[Any, ...] = ()) -> None:
        self.host, self.source, self.operation, self.operands = host, source, operation, operands
        self.example, self.kinds = example, kinds
        self.settled: set[str] = set()  # what the trace depends on by now

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        if len(self.kinds) > 1 and sys._getframe(1).f_globals["__name__"].rpartition(".")[2] in _ALIKE:
            return Scalar
        return self.kind()

    def kind(self) -> type:
        """The type of the number; where it may be one of several it is guarded."""
        self.settled.add("kind")
        if len(self.kinds) > 1:
            self.host.guard("type", self, type(self.example))
            self.kinds = (type(self.example),)
        return self.kinds[0]

    def look(self) -> Any:
        """The number; from now on the trace holds for this number only."""
        self.host.guard("value", self, self.example)
        return self.example

    @property
    def value(self) -> Value:
        """The number as a 0-d float64, int64 or bool value: an input of the program."""
        return self.host.input(self)

    def fits(self) -> bool:
        """Whether the number fits into the 64 bits of an input of the program; the trace depends on it."""
        if self.kinds != (int,):
            return True
        found: bool = SMALLEST <= self.example <= LARGEST
        self.host.guard("fits", self, found)
        return found

    def on(self, device: str) -> Value:
        """`value` on a device: a number is on none until it meets a tensor."""
        value = self.value
        return value if value.device == device else record(alias, (value,), {}, device).output(0)

    def text(self, above: int = -1) -> str:
        """The expression as the code has it, as an operand of what binds this tightly."""
        if self.source is not None:
            return self.source.name
        if self.operation is None:
            return repr(self.example)
        binding = self.operation.binding
        parts = [x.text(-1 if binding == 9 else binding) if type(x) is Scalar else repr(x) for x in self.operands]
        text = self.operation.written(parts)
        return f"({text})" if binding <= above else text

    # --- Looked at ----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return repr(self.look())

    def __str__(self) -> str:
        return str(self.look())

    def __bool__(self) -> bool:
        self.host.guard("truth", self, bool(self.example))
        return bool(self.example)

    def __int__(self) -> int:
        whole = self.host.apply(CALLS[int], self)
        return int(whole.look() if type(whole) is Scalar else whole)

    def __index__(self) -> int:
        return operator.index(self.look())

    def __float__(self) -> float:
        return float(self.look())

    def __complex__(self) -> complex:
        return complex(self.look())

    def __hash__(self) -> int:
        caller = sys._getframe(1)
        if caller.f_globals.get("__name__") == "enum" and isinstance(caller.f_locals.get("cls"), enum.EnumMeta):
            with suppress(Exception):  # it makes and keeps members for combinations of flags: for the number, not for this
                caller.f_locals["cls"](self.example)
        numbers = looked_for_in(caller.f_code, caller.f_lasti)
        if numbers is None:
            return hash(self.look())
        any(self == x for x in numbers)  # which is guarded as it is for `in (2, 4)`
        return hash(self.example)

    def __format__(self, spec: str) -> str:
        return format(self.look(), spec)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.look(), dtype)

    def __array_ufunc__(self, function: np.ufunc, method: str, *given: Any, **options: Any) -> Any:
        """A function of numpy of numbers alone is computed at each call; to arrays this is a number of Python's, not an array."""
        operation = of_ufunc(function) if method == "__call__" and not options and all(map(_is_number, given)) else None
        if operation is not None:
            return self.host.apply(operation, *given)
        return getattr(function, method)(*_looked(given), **_looked(options))

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        """Any other function of numpy is given the number."""
        return function(*_looked(given), **_looked(options))

    def __getattr__(self, name: str) -> Any:
        if not hasattr(self.kind(), name):
            raise AttributeError(f"'{self.kind().__name__}' object has no attribute '{name}'")
        if name in _OF_A_DTYPE:
            return getattr(self.example, name)
        if name == "item":
            return partial(plain, self)
        return getattr(self.look(), name)

    def __copy__(self) -> Scalar:
        return self

    def __deepcopy__(self, memo: Any) -> Scalar:
        return self

    def __reduce__(self) -> Any:
        return self.kind(), (self.look(),)

    if TYPE_CHECKING:  # attached below
        def __add__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...

    # --- Computed with ------------------------------------------------------------------------------------------------

    def __round__(self, digits: Any = None) -> Any:
        if digits is None:
            return self.host.apply(ROUND, self)
        return self.host.apply(ROUND_TO, self, digits) if type(digits) in (int, Scalar) else round(self.look(), digits)

    def __trunc__(self) -> Any:
        return self.host.apply(CALLS[math.trunc], self)

    def __floor__(self) -> Any:
        return self.host.apply(CALLS[math.floor], self)

    def __ceil__(self) -> Any:
        return self.host.apply(CALLS[math.ceil], self)

    def __divmod__(self, other: Any) -> Any:
        return _both(divmod, self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return _both(divmod, other, self)

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if modulus is not None:
            return self.host.apply(POWER_OF, self, other, modulus)
        return _computed(POWER, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _computed(POWER, other, self)


def _looked(x: Any) -> Any:
    """What numpy is given, with the numbers themselves."""
    kind = type(x)
    if kind is dict:
        return {key: _looked(value) for key, value in x.items()}
    return x.look() if kind is Scalar else kind(map(_looked, x)) if kind is tuple or kind is list else x


class Host:
    """What a trace computes with numbers, in order: `lines` are scalars to be computed, and guards.

    `inputs` are the numbers that became inputs of the program, with these. After the trace it is `closed`: what is left of
    it in the user's hands is as good as the numbers that it saw.
    """

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.inputs = ByIdentity()
        self.closed = False
        self._made: dict[Hashable, Scalar] = {}

    def source(self, source: Source, number: Any, kind: type | None = None) -> Scalar:
        """A number that is read at each call."""
        return Scalar(self, number, (kind or type(number),), source)

    def apply(self, operation: Operation, *operands: Any) -> Any:
        """The result of an operation on numbers: an expression unless it is the same at all calls."""
        plain = [x.example if type(x) is Scalar else x for x in operands]
        if self.closed or all("value" in x.settled for x in operands if type(x) is Scalar):
            return operation.function(*plain)
        operands = tuple(x if type(x) is not Scalar or x.host is self else x.look() for x in operands)
        key = (operation.text, *map(_key, operands))
        made = self._made.get(key)
        return self._computed(key, operation, operands, plain) if made is None else made

    def _computed(self, key: Hashable, operation: Operation, operands: tuple[Any, ...], plain: list[Any]) -> Any:
        try:
            example = operation.function(*plain)
        except Exception as error:
            failed = Scalar(self, None, (), None, operation, operands)
            self.lines.append(Guard("error", failed, type(error), user_position(3)))
            raise
        kinds = _kinds(operation, operands)
        made = Scalar(self, example, kinds or (type(example),), None, operation, operands)
        self.lines.append(made)
        if kinds is None:
            self.lines.append(Guard("type", made, type(example), user_position(3)))
        if type(example) is complex or (isinstance(example, np.generic) and type(example) not in _DTYPES):
            return made.look()
        self._made[key] = made
        return made

    def guard(self, about: str, scalar: Scalar, seen: Any) -> None:
        """The trace depends on this."""
        if not self.closed and about not in scalar.settled and "value" not in scalar.settled:
            scalar.settled.add(about)
            self.lines.append(Guard(about, scalar, seen, user_position(3)))

    def input(self, scalar: Scalar) -> Value:
        """The number as an input of the program."""
        value = self.inputs.get(scalar)
        if value is None:
            if self.closed:
                return constant(scalar.example, from_number(scalar.example))
            if not scalar.fits():
                raise OverflowError("int too big to convert")
            dtype = _DTYPES[scalar.kinds[0]] if len(scalar.kinds) == 1 else dtypes.float64
            value = self.inputs.put(scalar, placeholder(Type.of((), dtype)))
        return value

    def holds(self, scalar: Scalar, value: Value) -> bool:
        """Whether the trace, still in progress, has the number in this very value."""
        return not self.closed and self.inputs.get(scalar) is value


class ByIdentity:
    """Values of scalars, which must not be hashed: that looks at them."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[Scalar, Value]] = {}

    def put(self, scalar: Scalar, value: Value) -> Value:
        """Give a scalar its value."""
        self._pairs[id(scalar)] = scalar, value
        return value

    def get(self, scalar: Scalar) -> Value | None:
        """Its value, if it has one."""
        found = self._pairs.get(id(scalar))
        return None if found is None else found[1]

    def pairs(self) -> list[tuple[Scalar, Value]]:
        """All scalars with their values, in order."""
        return list(self._pairs.values())


def as_key(key: Any) -> Any:
    """A key with the numbers themselves where scalars are in it: the trace looked at these when they were hashed."""
    kind = type(key)
    if kind is Scalar:
        return key.look()
    if kind in EXACT or kind in NUMPY or kind is str:
        return key
    if kind is frozenset:
        return key if all(as_key(x) is x for x in key) else frozenset(map(as_key, key))
    by_identity = kind.__hash__ in (None, object.__hash__)  # type: ignore[comparison-overlap]
    inside = None if by_identity else children(key, objects=True)
    if inside is None:
        return key
    plain = {name: as_key(x) for name, x in inside[1].items()}
    return key if all(map(operator.is_, plain.values(), inside[1].values())) else container_of(key, plain)


def keyed(held: Mapping[Any, Any]) -> dict[Any, Any]:
    """What a container holds, under keys that outlive the trace."""
    return {as_key(key): x for key, x in held.items()}


def from_number(number: Any) -> Any:
    """The dtype a Python number is computed in: Python's own precision."""
    return (dtypes.boolean if isinstance(number, (bool, np.bool_)) else
            dtypes.int64 if isinstance(number, (int, np.integer)) else dtypes.float64)


def constant(number: Any, kind: Any, device: str = "cpu") -> Value:
    """A Python number as a 0-d value."""
    made: Value = ops.constant.on(device, value=literal(number, kind), shape=(), dtype=kind)
    return made


_DTYPES: dict[type, Any] = {int: dtypes.int64, float: dtypes.float64, bool: dtypes.boolean, np.bool_: dtypes.boolean}
_DTYPES |= {kind: _DTYPES[number] for kind, number in NUMPY.items()}
_OF_A_DTYPE = frozenset({"dtype", "itemsize", "nbytes", "ndim", "shape", "size", "strides"})  # of scalars of numpy


def _key(x: Any) -> Hashable:
    """Equal for operands that mean the same: -0.0, nan and 1 stay apart."""
    return ("scalar", id(x)) if type(x) is Scalar else (type(x), repr(x) if isinstance(x, (float, np.floating)) else x)


def _kinds(operation: Operation, operands: tuple[Any, ...]) -> Kinds | None:
    """The types that the result may have."""
    given = [x.kinds if type(x) is Scalar else (type(x),) for x in operands]
    found = [kinds_of(operation, *kinds) for kinds in product(*given)]
    return None if None in found else tuple(dict.fromkeys(kind for kinds in found if kinds for kind in kinds))


def _is_number(x: Any) -> bool:
    return type(x) is Scalar or type(x) in EXACT or type(x) in NUMPY


def _numpy_takes(x: Any, scalar: Scalar) -> bool:
    """Whether numpy makes something of its scalar and what is no number: anything but what stands above its arrays."""
    return scalar.kind() in NUMPY and getattr(x, "__array_priority__", 0) <= 0


def _computed(operation: Operation, x: Any, y: Any) -> Any:
    """An operator between two numbers, of which one at least is a `Scalar`."""
    for number in (x, y):
        if not _is_number(number):
            if not isinstance(number, Number) and not _numpy_takes(number, y if number is x else x):
                return NotImplemented
            return operation.function(*(n.look() if type(n) is Scalar else n for n in (x, y)))
    return (x if type(x) is Scalar else y).host.apply(operation, x, y)


def _both(function: Any, x: Any, y: Any) -> Any:
    pair = _computed(CALLS[function], x, y)
    return pair if pair is NotImplemented else items(pair)


def items(x: Any) -> Any:
    """The numbers in an expression that gives a tuple of them."""
    if type(x) is not Scalar or type(x.example) is not tuple:
        return x
    return tuple(x.host.apply(ITEM, x, i) for i in range(len(x.example)))


# --- Operators and functions --------------------------------------------------------------------------------------------


def _operator(name: str, operation: Operation) -> None:
    def forward(self: Scalar, other: Any) -> Any:
        return _computed(operation, self, other)

    def reflected(self: Scalar, other: Any) -> Any:
        return _computed(operation, other, self)

    setattr(Scalar, f"__{name}__", forward)
    if name not in COMPARISONS:
        setattr(Scalar, f"__r{name}__", reflected)


def _unary(name: str, operation: Operation) -> None:
    setattr(Scalar, f"__{name}__", lambda self: self.host.apply(operation, self))


for _name, _made in (COMPARISONS | BINARY).items():
    _operator(_name, _made)
for _name, _made in UNARY.items():
    _unary(_name, _made)


def on_host(operation: Operation, *args: Any) -> Any:
    """An operation on numbers or lists of them: evaluated at each call if one of them is a `Scalar`."""
    numbers = [_listed(x) for x in args]
    for x in numbers:
        if type(x) is Scalar:
            return items(x.host.apply(operation, *numbers))
    return operation.function(*args)


def plain(x: Any) -> Any:
    """A number of numpy as Python's, which torch takes it for; anything else as it is."""
    if type(x) is Scalar:
        return x if NUMPY.keys().isdisjoint(x.kinds) else x.host.apply(PLAIN, x)
    return x.item() if type(x) in NUMPY else x


def whole(x: Any) -> Any:
    """`int(x)`, at each call where x is a number of the traced function."""
    return on_host(CALLS[int], x)


def real(x: Any) -> Any:
    """`float(x)`, at each call where x is a number of the traced function."""
    return on_host(CALLS[float], x)


def _listed(x: Any) -> Any:
    """A list of numbers as an operand."""
    if type(x) not in (list, tuple):
        return x
    host = next((i.host for i in x if type(i) is Scalar), None)
    return tuple(x) if host is None else host.apply(LIST, *x)
