"""`x[mask] = y[mask]` and `x[mask] += y` inside traced functions: how much a mask chooses is not known there, but nobody
needs to know.

Reading through a mask gives a tensor of unknown size. It may be computed with element by element, which is done to all of
what was read from, and written through the same mask, by `where`; it refuses everything else.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir.constants import full_like
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ops.elementwise import alias, select
from ..ops.structural import broadcast
from ..tensor.tensor import Tensor
from .operands import wrap

DEPTH = 8  # how far two masks that were computed twice are compared


class MaskedRead(Tensor):
    """What `y[mask]` is while tracing: y, the mask, and from which dimension on it counts."""

    source: Value
    mask: Value
    axis: int
    refusal: str
    _geometry: Any = ()  # elementwise functions look whether there is one: see `keeps_layout`

    @property
    def dtype(self) -> Any:
        """That of what was read from."""
        return self.source.type.dtype

    @property
    def _type(self) -> Any:
        raise TraceError(self.refusal)

    @property
    def _storage(self) -> Any:  # type: ignore[override]
        raise TraceError(self.refusal)

    def _read(self) -> Value:
        raise TraceError(self.refusal)

    def __repr__(self) -> str:
        return "tensor(<elements that a traced mask chooses>)"


def masked_read(source: Value, mask: Value, axis: int, refusal: str) -> MaskedRead:
    """The elements of `source` where the mask holds; `refusal` is said when more is asked of them than to be written."""
    made = object.__new__(MaskedRead)
    made.__dict__.update(source=source, mask=mask, axis=axis, refusal=refusal)
    return made


# --- Computing with what was read ---------------------------------------------------------------------------------------


def any_read(xs: Sequence[Any]) -> bool:
    """Whether one of these was read through a mask."""
    return any(type(x) is MaskedRead for x in xs)


def over(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """An elementwise function of what was read through one mask, and of what meets each of these elements alike."""
    first: MaskedRead = next(x for x in (*args, *kwargs.values()) if type(x) is MaskedRead)
    if kwargs.get("out") is not None or not first.mask.type.ndim:
        raise TraceError(first.refusal)
    result = function(*(_spread(x, first) for x in args), **{k: _spread(x, first) for k, x in kwargs.items()})
    return _as_read(result, first) if isinstance(result, Tensor) else result


def update(self: MaskedRead, function: Callable[..., Any], *args: Any, **kwargs: Any) -> MaskedRead:
    """An elementwise function in place: of the copy that a read is, not of what was read from."""

    def changed(x: Any, *args: Any, **kwargs: Any) -> Tensor:
        copy = wrap(alias(x._read()))
        function(copy, *args, **kwargs)
        return copy

    self.source = over(changed, self, *args, **kwargs).source
    return self


def _spread(x: Any, like: MaskedRead) -> Any:
    """An operand as one of all elements; those that the mask does not choose are 1, where errors and NaN are least likely.

    So they have no part in the gradient, whatever the function's is there.
    """
    if type(x) is MaskedRead:
        if not is_through(x, like.mask, like.axis) or x.source.type.ndim != like.source.type.ndim:
            raise TraceError(x.refusal)
        return wrap(select(_test(x), x.source, full_like(x.source, 1)))
    if not isinstance(x, (Tensor, np.ndarray)):
        return x
    at = x.ndim - 1 - (like.source.type.ndim - like.axis - like.mask.type.ndim)
    if at < 0:
        return x
    if x.shape[at] != 1:
        raise TraceError(like.refusal)
    return x.reshape(*x.shape[:at], *(1,) * like.mask.type.ndim, *x.shape[at + 1:])


def _test(x: MaskedRead) -> Value:
    test: Value = broadcast(x.mask, shape=x.source.type.shape, dims=tuple(range(x.axis, x.axis + x.mask.type.ndim)))
    return test


def _as_read(result: Tensor, like: MaskedRead) -> MaskedRead:
    axis = like.axis + result.ndim - like.source.type.ndim
    return masked_read(result._read(), like.mask, axis, like.refusal)


def _forward(name: str, function: Callable[..., Any]) -> None:
    setattr(MaskedRead, name, lambda self, *args, **kwargs: over(function, self, *args, **kwargs))


def _updating(name: str, function: Callable[..., Any]) -> None:
    setattr(MaskedRead, name, lambda self, *args, **kwargs: update(self, function, *args, **kwargs))


def _operator(name: str, function: Callable[..., Any]) -> None:
    _forward(f"__{name}__", function)
    _forward(f"__r{name}__", lambda self, other: function(other, self))
    _updating(f"__i{name}__", getattr(operator, f"i{name}"))


def _by_name(name: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: getattr(self, name)(*args, **kwargs)


_FUNCTIONS = [
    "abs", "absolute", "acos", "acosh", "add", "addcdiv", "addcmul", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "bfloat16", "bitwise_and", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "bool", "byte", "ceil", "char", "clamp", "clamp_max",
    "clamp_min", "clip", "clone", "conj_physical", "contiguous", "copysign", "cos", "cosh", "deg2rad", "detach", "digamma",
    "div", "divide", "double", "eq", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "fill", "fix", "float", "float_power",
    "floor", "floor_divide", "fmax", "fmin", "fmod", "frac", "gcd", "ge", "greater", "greater_equal", "gt", "half",
    "heaviside", "hypot", "i0", "igamma", "igammac", "int", "isfinite", "isinf", "isnan", "lcm", "ldexp", "le", "lerp",
    "less", "less_equal", "lgamma", "log", "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or",
    "logical_xor", "logit", "long", "lt", "masked_fill", "maximum", "minimum", "mul", "multiply", "nan_to_num", "ne", "neg",
    "negative", "nextafter", "not_equal", "pow", "rad2deg", "reciprocal", "relu", "remainder", "round", "rsqrt", "rsub",
    "sgn", "short", "sigmoid", "sign", "sin", "sinc", "sinh", "sqrt", "square", "sub", "subtract", "tan", "tanh", "to",
    "true_divide", "trunc", "type_as", "where", "xlogy", "zero"]
_OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift", "rshift"]
for _name in _FUNCTIONS:
    _forward(_name, _by_name(_name))
    _updating(f"{_name}_", _by_name(f"{_name}_"))
for _name in ("neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"):
    _forward(f"__{_name}__", getattr(operator, _name))
for _name in _OPERATORS:
    _operator(_name.rstrip("_"), getattr(operator, _name))
MaskedRead.__hash__ = Tensor.__hash__  # type: ignore[method-assign]


def is_through(read: MaskedRead, mask: Value, axis: int) -> bool:
    """Whether it was read through this mask, or one that was computed in the same way from the same values."""
    return read.axis == axis and _same(read.mask, mask, DEPTH)


def _same(x: Value, y: Value, depth: int) -> bool:
    if x is y:
        return True
    a, b = x.node, y.node
    if not depth or a is None or b is None or a.op is not b.op or a.params != b.params or len(a.inputs) != len(b.inputs):
        return False
    if a.op.multiple or not (a.inputs or a.op.name in ("constant", "iota")):
        return False
    return x.type is y.type and all(_same(i, j, depth - 1) for i, j in zip(a.inputs, b.inputs))
