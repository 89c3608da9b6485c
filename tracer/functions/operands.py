"""Operands as values: torch's promotion and broadcasting of tensors and numbers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like, literal
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.recorder import thread_recorder
from ..ir.state import state
from ..lazy.flush import bound_pending
from ..ops.elementwise import add, compare, convert, real, select
from ..ops.structural import Ints, broadcast, constant, reshape
from ..tensor.device import Size
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from .defaults import Defaults
from .dims import whole_numbers

Number = int | float | bool | complex | Scalar
NUMBERS = (Scalar, int, float, complex, np.number, np.bool_)  # Scalar first: to ask it for more is to look
TYPE_NAMES = {"float64": "Double", "float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long",
              "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool",
              "complex64": "ComplexFloat", "complex128": "ComplexDouble"}  # as torch's messages call them


def scalar_name(kind: dtype) -> str:
    """torch's name of a dtype in its errors: `Float` for float32."""
    return TYPE_NAMES.get(kind.name, kind.name)


C_NAMES = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int", "int16": "short int",
           "int8": "signed char", "uint8": "unsigned char", "complex64": "c10::complex<float>",
           "complex128": "c10::complex<double>", "float16": "c10::Half", "bfloat16": "c10::BFloat16"}


def c_name(kind: dtype) -> str:
    """The C++ name of a dtype, which some of torch's errors tell: `long int` for int64."""
    return C_NAMES.get(kind.name, kind.name)


# --- Values and tensors -----------------------------------------------------------------------------------------------


def wrap(value: Value) -> Tensor:
    """A tensor of a recorded value."""
    if len((state.recorder or thread_recorder()).nodes) > 2000:
        bound_pending()
    return Tensor._of(value)


def read(x: Any) -> Value:
    """The value of a tensor; TypeError for anything else."""
    if isinstance(x, Tensor):
        return x._read()
    raise TypeError(f"expected a Tensor, got {type(x).__name__}")


def cast_value(value: Value, kind: dtype) -> Value:
    """The value in another dtype."""
    if value.type.dtype is kind:
        return value
    if value.type.dtype.is_complex and not kind.is_complex:
        if kind is dtypes.boolean:  # to which an imaginary part counts, too
            return compare(value, full_like(value, 0), direction="NE")
        value = real(value)
        return cast_value(value, kind)
    if kind.is_complex and value.type.dtype.is_floating_point and value.type.dtype.itemsize < 4:
        value = convert(value, dtype=dtypes.float32)
    return convert(value, dtype=kind)


def from_front(index: Tensor, n: int, on: str) -> Value:
    """Positions along a dimension of size n, with negative ones counted from its end, as an int64 value on a device."""
    value = cast_value(index._read(), dtypes.int64)
    if value.device != on:
        value = cast_value(index.to(device=on)._read(), dtypes.int64)
    made: Value = select(compare(value, full_like(value, 0), direction="LT"), add(value, full_like(value, n)), value)
    return made


def number_value(number: Any, kind: dtype, shape: Ints, on: str) -> Value:
    """A Python number (or a number argument of a traced function) as a value."""
    if type(number) is Scalar:
        if number.fits():
            return expand_value(cast_value(number.on(on), kind), shape)
        number = number.look()
    if isinstance(number, (np.number, np.bool_, str)):
        number = _plain(number)
    return constant.on(on, value=literal(number, kind), shape=shape, dtype=kind)


def _plain(number: np.number | np.bool_ | str) -> Any:
    """A numpy number as Python's; torch's TypeError for what is only written as a number is."""
    if isinstance(number, str):
        raise TypeError(f"expected a Number, but got {type(number).__name__} '{number}'")
    return number.item()


def full(shape: Ints, number: Any, kind: dtype, on: str) -> Value:
    """A constant value."""
    return number_value(number, kind, shape, on)


def same_shape(value: Value, shape: Ints) -> Value:
    """The value reshaped, or itself."""
    return value if value.type.shape == shape else reshape(value, shape=shape)


# --- Promotion --------------------------------------------------------------------------------------------------------


def number_dtype(number: Any) -> dtype:
    """The dtype that a Python number counts as in promotion."""
    if type(number) is Scalar:
        number = number.kind()()
    if isinstance(number, bool):
        return dtypes.boolean
    if isinstance(number, np.bool_):  # which torch takes for a float
        return Defaults.dtype
    if isinstance(number, (int, np.integer)):
        return dtypes.int64
    if isinstance(number, (complex, np.complexfloating)):
        return Defaults.dtype.complex_form
    return Defaults.dtype


def result_dtype(*operands: Any) -> dtype:
    """torch's result type: tensors with dimensions outrank 0-d tensors, which outrank Python numbers."""
    with_dims = zero_d = numbers = None
    varying: tuple[Scalar, ...] = ()
    for x in operands:
        if isinstance(x, Tensor):
            kind: dtype = x._type.dtype
            if x._type.ndim:
                with_dims = kind if with_dims is None else dtypes.promote_types(with_dims, kind)
            else:
                zero_d = kind if zero_d is None else dtypes.promote_types(zero_d, kind)
        elif type(x) is Scalar and len(x.kinds) > 1:
            varying = (*varying, x)
        else:
            kind = number_dtype(x)
            numbers = kind if numbers is None else dtypes.promote_types(numbers, kind)
    if varying and not any(kind is not None and kind.is_inexact for kind in (with_dims, zero_d)):
        for x in varying:  # to a floating tensor int and float are one
            kind = number_dtype(x)
            numbers = kind if numbers is None else dtypes.promote_types(numbers, kind)
    if numbers is dtypes.int64 and (with_dims or zero_d) is dtypes.boolean:
        _refuse_unsigned(operands)
    result = dtypes.combine_categories(with_dims, dtypes.combine_categories(zero_d, numbers))
    if result is None:
        raise TypeError("expected at least one tensor or number")
    return result


def _refuse_unsigned(operands: Sequence[Any]) -> None:
    """torch's RuntimeError for bools beside a Python number that only 64 bits without a sign hold."""
    numbers = (x.look() if type(x) is Scalar and not x.fits() else x for x in operands)
    if any(type(x) is int and x >= 1 << 63 for x in numbers):
        raise RuntimeError("Promotion for uint16, uint32, uint64 types is not supported, attempted to promote Bool and UInt64")


def result_type(*tensors: Any, **named: Any) -> dtype:
    """The dtype of an operation on these tensors and numbers, in whose order and names there is nothing."""
    return result_dtype(*tensors, *named.values())


def float_kind(*xs: Any) -> dtype:
    """The result type, with integers and bools becoming the default floating type."""
    kind = result_dtype(*xs)
    return kind if kind.is_inexact else Defaults.dtype


# --- Broadcasting -----------------------------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Sequence[int] | int) -> Size:
    """The common shape that all broadcast to; torch's RuntimeError if there is none.

    >>> broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    for shape in shapes:
        if not isinstance(shape, (int, tuple, list)):
            raise RuntimeError(f"Input shapes should be of type ints, a tuple of ints, or a list of ints, got {shape}")
    sizes = [whole_numbers(shape, "shape") for shape in shapes]
    if any(n < 0 for shape in sizes for n in shape):
        raise ValueError("Attempting to broadcast a dimension with negative length!")
    return Size(common_shape(*sizes))


@functools.lru_cache(maxsize=4096)  # asked anew for every pair of operands, mostly of few different shapes
def common_shape(*shapes: Ints) -> Ints:
    ndim = max((len(s) for s in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for i, n in enumerate(shape, ndim - len(shape)):
            if n != 1:
                if result[i] not in (1, n):
                    raise RuntimeError(f"The size of tensor a ({result[i]}) must match the size of tensor b ({n}) at "
                                       f"non-singleton dimension {i}")
                result[i] = n
    return tuple(result)


def expand_value(value: Value, shape: Ints) -> Value:
    """The value broadcast to `shape`, aligned at the last dimension."""
    if value.type.shape == shape:
        return value
    first = len(shape) - value.type.ndim
    return broadcast(value, shape=shape, dims=tuple(range(first, len(shape))))


def operands(*xs: Any, kind: dtype | None = None, shape: Ints | None = None) -> list[Value]:
    """All operands (tensors or numbers) as values of one dtype, the promoted one by default, and one shape."""
    kind = kind or result_dtype(*xs)
    values = [x._read() if isinstance(x, Tensor) else x for x in xs]
    if shape is None:
        shape = common_shape(*(v.type.shape for v in values if isinstance(v, Value)))
    on = next((v.device for v in values if isinstance(v, Value)), Defaults.device)
    return [expand_value(cast_value(v, kind), shape) if isinstance(v, Value) else number_value(v, kind, shape, on)
            for v in values]
