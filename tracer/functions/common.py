"""What all public functions share: turning operands into values, torch's promotion and broadcasting, attaching methods."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from .. import dtypes
from ..backend import backend
from ..dtypes import dtype
from ..graph import Value
from ..lazy import bound_pending
from ..ops import OPS
from ..ops.elementwise import convert, literal
from ..ops.record import Op
from ..ops.structural import Ints, broadcast, constant, reshape
from ..recorder import record, thread_recorder
from ..scalars import Scalar
from ..state import state
from ..tensor import Tensor, device
from ..views import Geometry, dense_stride, is_contiguous

F = TypeVar("F", bound=Callable[..., Any])
Number = int | float | bool | complex | Scalar
NUMBERS = (int, float, complex, Scalar, np.number, np.bool_)
TYPE_NAMES = {"float64": "Double", "float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long",
              "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool",
              "complex64": "ComplexFloat", "complex128": "ComplexDouble"}  # as torch's messages call them


def scalar_name(kind: dtype) -> str:
    """torch's name of a dtype in its errors: `Float` for float32."""
    return TYPE_NAMES.get(kind.name, kind.name)


class Defaults:
    """The process's default dtype and device."""

    dtype: dtype = dtypes.float32
    device: str = "cpu"


def get_default_dtype() -> dtype:
    """The floating type of new tensors."""
    return Defaults.dtype


def set_default_dtype(d: dtype) -> None:
    """Make `d` the floating type of new tensors; TypeError unless it is one."""
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    Defaults.dtype = d


def get_default_device() -> device:
    """Where new tensors live."""
    return device(Defaults.device)


def set_default_device(on: Any) -> None:
    """Make new tensors live on a device; DeviceError if it is not there."""
    Defaults.device = "cpu" if on is None else canonical_device(str(on))


def result_type(*tensors: Any) -> dtype:
    """The dtype of an operation on these tensors and numbers."""
    return result_dtype(*tensors)


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


def device_name(wanted: Any) -> str:
    """The canonical name of a device given as None, text or `device`."""
    return Defaults.device if wanted is None else canonical_device(str(wanted))


def canonical_device(name: str) -> str:
    """`cpu:0` is `cpu`; anything but the CPU is asked of the engine."""
    return "cpu" if name in ("cpu", "cpu:0") else backend().check_device(name)


def number_dtype(number: Any) -> dtype:
    """The dtype that a Python number counts as in promotion."""
    if isinstance(number, Scalar):
        number = number.example
    if isinstance(number, (bool, np.bool_)):
        return dtypes.boolean
    if isinstance(number, (int, np.integer)):
        return dtypes.int64
    if isinstance(number, (complex, np.complexfloating)):
        return Defaults.dtype.to_complex
    return Defaults.dtype


def result_dtype(*operands: Any) -> dtype:
    """torch's result type: tensors with dimensions outrank 0-d tensors, which outrank Python numbers."""
    with_dims = zero_d = numbers = None
    for x in operands:
        if isinstance(x, Tensor):
            kind: dtype = x._type.dtype
            if x._type.ndim:
                with_dims = kind if with_dims is None else dtypes.promote_types(with_dims, kind)
            else:
                zero_d = kind if zero_d is None else dtypes.promote_types(zero_d, kind)
        else:
            kind = number_dtype(x)
            numbers = kind if numbers is None else dtypes.promote_types(numbers, kind)
    result = dtypes.combine_categories(with_dims, dtypes.combine_categories(zero_d, numbers))
    if result is None:
        raise TypeError("expected at least one tensor or number")
    return result


def number_value(number: Any, kind: dtype, shape: Ints, on: str) -> Value:
    """A Python number (or a number argument of a traced function) as a value."""
    if isinstance(number, Scalar):  # a number is on no device until it meets a tensor
        value = number.value
        value = value if value.device == on else record(OPS["alias"], (value,), {}, on).output(0)
        return expand_value(cast_value(value, kind), shape)
    if isinstance(number, (np.number, np.bool_)):
        number = number.item()
    return constant.on(on, value=literal(number, kind), shape=shape, dtype=kind)


def cast_value(value: Value, kind: dtype) -> Value:
    """The value in another dtype."""
    if value.type.dtype is kind:
        return value
    if value.type.dtype.is_complex and not kind.is_complex:
        value = OPS["real"](value)
        return cast_value(value, kind)
    if kind.is_complex and value.type.dtype.is_floating_point and value.type.dtype.itemsize < 4:
        value = convert(value, dtype=dtypes.float32)
    return convert(value, dtype=kind)


def broadcast_shapes(*shapes: Sequence[int]) -> Ints:
    """The common shape that all broadcast to; torch's RuntimeError if there is none.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    return _common_shape(*map(tuple, shapes))


@functools.lru_cache(maxsize=4096)  # asked anew for every pair of operands, mostly of few different shapes
def _common_shape(*shapes: Ints) -> Ints:
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
        shape = _common_shape(*(v.type.shape for v in values if isinstance(v, Value)))
    on = next((v.device for v in values if isinstance(v, Value)), Defaults.device)
    return [expand_value(cast_value(v, kind), shape) if isinstance(v, Value) else number_value(v, kind, shape, on)
            for v in values]


def apply(op: Op, *xs: Any, kind: dtype | None = None) -> Tensor:
    """An elementwise op on promoted, broadcast operands; the result lies in memory as torch lays it out."""
    if len(xs) == 2 and kind is None:
        x, y = xs
        if isinstance(x, Tensor):
            if isinstance(y, Tensor):
                if x._type.dtype is y._type.dtype:
                    a, b = x._read(), y._read()
                    if a.type is not b.type:
                        shape = _common_shape(a.type.shape, b.type.shape)
                        a, b = expand_value(a, shape), expand_value(b, shape)
                    result = wrap(op(a, b))
                    return result if x._geometry is None and y._geometry is None else laid_out(result, xs)
            elif _keeps_dtype(x._type.dtype, type(y)):
                value = x._read()
                same = constant.on(value.device, value=literal(y, value.type.dtype), shape=value.type.shape,
                                   dtype=value.type.dtype)
                result = wrap(op(value, same))
                return result if x._geometry is None else laid_out(result, xs)
    result = wrap(op(*operands(*xs, kind=kind)))
    plain = all(x._geometry is None for x in xs if isinstance(x, Tensor))
    return result if plain else laid_out(result, xs)


def _keeps_dtype(kind: dtype, number: type) -> bool:
    """Whether an operation of a tensor of `kind` with a plain Python number of that class stays in `kind`."""
    return kind.is_inexact if number is float else number is int and kind.category != dtypes.BOOLEAN


def float_kind(*xs: Any) -> dtype:
    """The result type, with integers and bools becoming the default floating type."""
    kind = result_dtype(*xs)
    return kind if kind.is_inexact else Defaults.dtype


# --- Dimensions -------------------------------------------------------------------------------------------------------


def checked_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front; torch's IndexError when it is out of range."""
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return int(dim) % bound


def checked_dims(dims: int | Sequence[int] | None, ndim: int) -> Ints:
    """Several dimensions, all of them for None; RuntimeError when one comes twice."""
    if dims is None:
        return tuple(range(ndim))
    chosen = tuple(checked_dim(d, ndim) for d in ((dims,) if isinstance(dims, int) else dims))
    for d in chosen:
        if chosen.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return chosen


def shape_argument(sizes: Sequence[Any]) -> Ints:
    """Sizes given one by one or as one sequence, as a tuple of ints."""
    if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer, Scalar)) and not isinstance(sizes[0], Tensor):
        sizes = tuple(sizes[0])
    return tuple(int(n) for n in sizes)


def full(shape: Ints, number: Any, kind: dtype, on: str) -> Value:
    """A constant value."""
    return number_value(number, kind, shape, on)


def same_shape(value: Value, shape: Ints) -> Value:
    """The value reshaped, or itself."""
    return value if value.type.shape == shape else reshape(value, shape=shape)


# --- Methods ----------------------------------------------------------------------------------------------------------


def method(*names: str) -> Callable[[F], F]:
    """Attach the function to Tensor under its own name or the given ones."""

    def attach(function: F) -> F:
        for name in names or (function.__name__,):
            setattr(Tensor, name, function)
        return function

    return attach


def pointwise(*names: str) -> Callable[[F], F]:
    """Attach an elementwise function as a method and in place, its results laid out in memory as torch lays them out.

    Functions that end in `apply`, which does so itself, need only `in_place`: a call less.
    """

    def attach(function: F) -> F:
        return in_place(*names or (function.__name__,))(keeps_layout(function))

    return attach


def keeps_layout(function: F) -> F:
    """Let the result of an elementwise function have its dimensions in the order that its operands have in memory."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        for x in args:
            if isinstance(x, Tensor) and x._geometry is not None:
                return result if kwargs.get("out") is not None else laid_out(result, args)
        return result

    return call  # type: ignore[return-value]


def laid_out(result: Tensor, operands: Sequence[Any]) -> Tensor:
    """A new result with the strides that torch's elementwise functions give it."""
    if result._base is not None or result._geometry is not None or any(result is x for x in operands):
        return result
    tensors = [x for x in operands if isinstance(x, Tensor)]
    shape = result._type.shape
    if not all(x.is_contiguous() and x._type.shape == shape for x in tensors):
        kind = result_dtype(*operands)
        stride = dense_stride(shape, [_broadcast_stride(x, kind, shape) for x in tensors])
        result._geometry = None if is_contiguous(shape, stride) else Geometry(stride)
    return result


def _broadcast_stride(x: Tensor, kind: dtype, shape: Ints) -> Ints:
    """The strides of an operand of that shape; one that is converted first is dense by then."""
    stride = x._strides.stride if x._type.dtype is kind else dense_stride(x._type.shape, [x._strides.stride])
    own = [0 if n == 1 and m != 1 else s for s, n, m in zip(stride, x._type.shape, shape[len(shape) - x._type.ndim:])]
    return (*[0] * (len(shape) - len(own)), *own)


def in_place(*names: str) -> Callable[[F], F]:
    """Attach the function as a method, and `name_` as its in-place form."""

    def attach(function: F) -> F:
        for name in names or (function.__name__,):
            setattr(Tensor, name, function)
            setattr(Tensor, f"{name}_", _in_place_form(function, f"{name}_"))
        return function

    return attach


def _in_place_form(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    def update(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return assign(self, function(self, *args, **kwargs))

    update.__name__ = update.__qualname__ = name
    update.__doc__ = f"In-place form of `{function.__name__}`."
    return update


def assign(target: Tensor, result: Tensor, touched: Callable[[], Value] | None = None) -> Tensor:
    """Write `result` into `target`, of which `touched` elements are new; torch's errors for a type or shape that does not fit."""
    value = result._read()
    if value.type is not target._type:
        _check_cast(value.type.dtype, target.dtype)
        check_shape(target, value.type.shape)
        value = cast_value(value, target.dtype)
    target._write(value, touched)
    return target


def check_shape(target: Tensor, shape: Ints) -> None:
    """torch's RuntimeError if what is to be written, or what it broadcasts to, has another shape than the target."""
    if shape != target._type.shape:
        raise RuntimeError(f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(shape)}")


def _check_cast(given: dtype, wanted: dtype) -> None:
    if not dtypes.can_cast(given, wanted):
        raise RuntimeError(f"result type {scalar_name(given)} can't be cast to the desired output type "
                           f"{scalar_name(wanted)}")


def with_out(function: F) -> F:
    """Give a function the `out=` argument; several tensors for a function that returns several."""

    @functools.wraps(function)
    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if out is None or isinstance(result, Tensor):
            return into(out, result)
        written = [into(o, r) for o, r in zip(out, result, strict=True)]
        return type(result)(*written) if hasattr(result, "_fields") else tuple(written)

    known = inspect.signature(function)
    parameters = [*known.parameters.values(), inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)]
    call.__signature__ = known.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def into(out: Tensor | None, result: Tensor) -> Tensor:
    """The `out=` argument: write the result there, giving it the result's shape if it has another one.

    Raises torch's RuntimeErrors: gradients do not flow through `out`, and its dtype must be able to hold the result.
    """
    if out is None:
        return result
    if state.grad and (out.requires_grad or result.requires_grad):
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")
    if out._type.shape == result._type.shape:
        return assign(out, result)
    _check_cast(result.dtype, out.dtype)
    if out.numel():
        warnings.warn(f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does "
                      f"not match the required output shape {list(result.shape)}.", UserWarning, stacklevel=3)
    out.data = result.detach().to(out.dtype)
    return out
