"""torch's `_foreach_*`: one operation on every tensor of a list. XLA fuses them anyway; here they only spare loops.

Forms in place return the list that they were given, the others a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tensor.tensor import Tensor
from .methods import named

Tensors = Sequence[Tensor]
Result = Sequence[Tensor]

_UNARY = ("abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor", "frac", "lgamma",
          "log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt",
          "tan", "tanh", "trunc")
_BINARY = ("add", "div", "mul", "pow", "sub")
_BOUNDING = {"clamp_max": "minimum", "clamp_min": "maximum", "maximum": "maximum", "minimum": "minimum"}
_NUMBERS_OF_BOUNDS = {"maximum": "clamp_min", "minimum": "clamp_max"}


def _spread(tensors: Tensors, operand: Any) -> Sequence[Any]:
    """An operand for each tensor: those of a list, or the same for all."""
    if not isinstance(operand, (list, tuple)):
        return [operand] * len(tensors)
    if len(operand) == len(tensors):
        return operand
    if operand and isinstance(operand[0], Tensor):
        raise RuntimeError(f"Tensor lists must have the same number of tensors, got {len(tensors)} and {len(operand)}")
    raise RuntimeError("Tensor list must have same number of elements as scalar list.")


def _check(tensors: Tensors) -> None:
    if not tensors:
        raise RuntimeError("Tensor list must have at least one tensor.")


def _result(name: str, tensors: Tensors, results: list[Tensor]) -> Result:
    return tensors if name.endswith("_") else tuple(results)


def _method(name: str) -> Callable[..., Any]:
    """`Tensor.name` for every tensor, whatever the operands are called."""

    def run(self: Tensors, *operands: Any, **options: Any) -> Result:
        _check(self)
        kept = {key: options.pop(key) for key in ("alpha", "value") if key in options}
        columns = [_spread(self, operand) for operand in (*operands, *options.values())]
        return _result(name, self, [getattr(x, name)(*row, **kept) for x, *row in zip(self, *columns, strict=True)])

    return run


def _ternary(name: str) -> Callable[..., Any]:
    """addcdiv and addcmul: the number may be one, a list, or a vector."""
    values = _method(name)

    def run(self: Tensors, tensor1: Tensors, tensor2: Tensors, value: Any = 1, scalars: Any = None) -> Result:
        _check(self)
        numbers = value if scalars is None else scalars
        if isinstance(numbers, Tensor) and numbers.dim() == 1:
            numbers = list(numbers)
        if not isinstance(numbers, (list, tuple, Tensor)):
            return values(self, tensor1, tensor2, value=numbers)
        rows = zip(self, *(_spread(self, operand) for operand in (tensor1, tensor2, numbers)), strict=True)
        return _result(name, self, [getattr(x, name)(a * number, b) for x, a, b, number in rows])

    return run


def _bound(name: str, ending: str) -> Callable[..., Any]:
    """The larger or the smaller of tensors, or of tensors and numbers."""

    def run(self: Tensors, other: Any = None, *, scalar: Any = None, scalars: Any = None) -> Result:
        _check(self)
        given = next(x for x in (other, scalar, scalars) if x is not None)
        found = [getattr(x, name if isinstance(y, Tensor) else _NUMBERS_OF_BOUNDS[name])(y)
                 for x, y in zip(self, _spread(self, given), strict=True)]
        return _copy(self, found) if ending else tuple(found)

    return run


def _clone(self: Tensors, *, memory_format: Any = None) -> Result:
    _check(self)
    return tuple(x.clone() for x in self)


def _copy(self: Tensors, src: Tensors, non_blocking: bool = False) -> Result:
    _check(self)
    return _result("copy_", self, [x.copy_(y) for x, y in zip(self, _spread(self, src), strict=True)])


def _norm(self: Tensors, ord: float = 2, dtype: Any = None) -> Result:
    _check(self)
    return tuple(x.norm(ord, dtype=dtype) for x in self)


def _powsum(self: Tensors, ord: float = 2, dtype: Any = None) -> Result:
    _check(self)
    return tuple(x.abs().pow(ord).sum(dtype=dtype) for x in self)


def _pow(self: Any, exponent: Any) -> Result:
    """Powers of the tensors, or of one number with each tensor as the exponent."""
    if isinstance(self, (list, tuple)):
        return _powers(self, exponent)
    _check(exponent)
    return tuple(self**x for x in exponent)


_powers = _method("pow")


def _table() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for ending in ("", "_"):
        found |= {name + ending: _method(name + ending) for name in (*_UNARY, *_BINARY, "lerp")}
        found |= {name + ending: _ternary(name + ending) for name in ("addcdiv", "addcmul")}
        found |= {name + ending: _bound(method, ending) for name, method in _BOUNDING.items()}
    return {**found, "pow": _pow, "clone": _clone, "copy_": _copy, "zero_": _method("zero_"), "norm": _norm,
            "powsum": _powsum, "max": _method("max"), "mm": _method("mm")}


FOREACH = {f"_foreach_{name}": named(f"_foreach_{name}", f"`{name}` of every tensor of a list; a tuple of the results.")(run)
           for name, run in _table().items()}
