"""Python's operators on tensors: `+`, `==`, `+=` and the like."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.graph import Value
from ..ir.types import Type
from ..tensor.tensor import Tensor
from .arithmetic import add, div, floor_divide, mul, pow, remainder, rsub, sub, tensor_like
from .comparing import eq, ge, gt, le, lt, ne
from .host_arrays import check_places
from .methods import method
from .operands import NUMBERS, float_kind, number_value, wrap
from .precision import is_half
from .unary import abs, neg, positive, reciprocal
from .whole_numbers import bitwise_and, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift, bitwise_xor


def _operator(name: str, function: Any, reflected: Any = None, arrays: bool = True) -> None:
    """Attach an operator and its reflected form. As in torch an array of numpy's is taken on the right, and not in an order."""

    def forward(self: Tensor, other: Any) -> Any:
        if isinstance(other, (Tensor, *NUMBERS)):
            return function(self, other)
        if arrays and isinstance(other, np.ndarray):
            if name == "eq":  # for which torch makes a tensor of it, where numpy computes the others
                check_places(other)
            return function(*_promoted(self, other, floating=name == "truediv"))
        return NotImplemented

    def backward(self: Tensor, other: Any) -> Any:
        if not isinstance(self, Tensor):
            raise TypeError(f"descriptor '__r{name}__' for 'Tensor' objects doesn't apply to a '{type(self).__name__}' object")
        if isinstance(other, NUMBERS):
            return (reflected or _swapped(function))(self, other)
        if isinstance(other, Tensor):  # by name alone: Python asks the left operand first
            return mul(reciprocal(self), other) if name == "truediv" else function(other, self)
        if name == "truediv" and isinstance(other, np.ndarray):
            return _array_over(self, other)
        return NotImplemented

    setattr(Tensor, f"__{name}__", forward)
    if reflected is not None or name in ("mod", "floordiv", "truediv", "pow", "lshift", "rshift"):
        setattr(Tensor, f"__r{name}__", backward)


def _swapped(function: Any) -> Any:
    return lambda self, number: function(tensor_like(number, self), self)


def _array_over(self: Tensor, array: Any) -> Tensor:
    """array / self, the one reflected operator that torch has for arrays."""
    return mul(*_promoted(reciprocal(self), array))


def _number_over(self: Tensor, number: Any) -> Tensor:
    """number / self; of half types by the reciprocal, rounded once more, as in torch."""
    if is_half(self._type.dtype):
        return mul(reciprocal(self), number)
    kind = float_kind(self, number)  # in which the number need not fit the tensor's own
    return div(wrap(number_value(number, kind, (), self._device)), self)


def _promoted(x: Tensor, array: Any, floating: bool = False) -> tuple[Tensor, Tensor]:
    """A tensor and an array of numpy's as two tensors, of the dtype that numpy computes in, as torch leaves it to."""
    own = dtypes.from_numpy(array.dtype)
    other = wrap(Value(Type.of(array.shape, own), x._device, np.array(array, own.numpy)))
    if x._type.dtype.numpy.isbuiltin != 1:
        return x, other
    kind = dtypes.from_numpy(np.result_type(x._type.dtype.numpy, array.dtype))
    if floating and not kind.is_inexact:
        kind = dtypes.float64
    return x.to(kind), other.to(kind)


@method("__invert__")
def _invert(self: Tensor) -> Tensor:
    if self._type.dtype.is_inexact:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return bitwise_not(self)


@method("__delitem__")
def _delete(self: Tensor, index: Any) -> None:
    raise TypeError("Tensor does not support deleting items")


def _in_place_operator(name: str, update: str) -> None:
    def operate(self: Tensor, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented  # and Python makes a new tensor with `+`, as in torch
        return getattr(self, update)(other)

    setattr(Tensor, f"__i{name}__", operate)


_operator("add", add, lambda self, number: add(self, number))
_operator("sub", sub, rsub)
_operator("mul", mul, lambda self, number: mul(self, number))
_operator("truediv", div, _number_over)
_operator("floordiv", floor_divide)
_operator("mod", remainder)
_operator("pow", lambda x, y: pow(x, y))  # looked up at the call, by when it casts in autocast
_operator("and", bitwise_and, lambda self, number: bitwise_and(self, number))
_operator("or", bitwise_or, lambda self, number: bitwise_or(self, number))
_operator("xor", bitwise_xor, lambda self, number: bitwise_xor(self, number))
_operator("lshift", bitwise_left_shift)
_operator("rshift", bitwise_right_shift)
for _name, _function in [("eq", eq), ("ne", ne), ("lt", lt), ("le", le), ("gt", gt), ("ge", ge)]:
    _operator(_name, _function, arrays=_name in ("eq", "ne"))
for _name, _update in [("add", "add_"), ("sub", "sub_"), ("mul", "mul_"), ("truediv", "div_"),
                       ("floordiv", "floor_divide_"), ("mod", "remainder_"), ("pow", "pow_"), ("and", "bitwise_and_"),
                       ("or", "bitwise_or_"), ("xor", "bitwise_xor_"), ("lshift", "bitwise_left_shift_"),
                       ("rshift", "bitwise_right_shift_")]:
    _in_place_operator(_name, _update)
method("__neg__")(neg)
method("__pos__")(positive)
method("__abs__")(abs)
for _old, _new in [("__rdiv__", "__rtruediv__"), ("__div__", "__truediv__"), ("__idiv__", "__itruediv__")]:
    setattr(Tensor, _old, getattr(Tensor, _new))
