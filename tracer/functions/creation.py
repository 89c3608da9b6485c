"""Making tensors: https://pytorch.org/docs/stable/torch.html#creation-ops"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import SharedArray
from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.types import Type
from ..lazy.shared import SharedStorage
from ..ops.elementwise import add, alias, compare, mul
from ..ops.structural import concatenate, iota, reshape
from ..tensor.context import context
from ..tensor.operations import Operation
from ..tensor.scalar import Scalar, on_host
from ..tensor.strides import Geometry
from ..tensor.tensor import Tensor
from .defaults import Defaults, device_name
from .dims import shape_argument
from .layout import laid_out
from .methods import method, with_out
from .operands import cast_value, number_dtype, number_value, wrap
from .operands import full as full_value
from .precision import fitting, holds


def tensor(data: Any, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of data, on memory of its own.

    Args: `data`, a number, nested sequences of numbers or tensors, a numpy array, or a tensor; `dtype`, by default that
    of the data, where Python's floats become the default dtype and its ints int64; `device`, where it lives, by default
    the default device; `requires_grad`, whether gradients reach it.
    Returns a leaf in the shape of the data.
    Raises ValueError for sequences of several lengths, RuntimeError for an int that the dtype cannot hold, TypeError
    for what is no number.

    >>> import flambeau as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])

    Source: https://pytorch.org/docs/stable/generated/torch.tensor.html
    """
    made = as_fresh_tensor(data, dtype, device_name(device))
    return made.requires_grad_() if requires_grad else made


def as_fresh_tensor(data: Any, kind: dtype | None, on: str) -> Tensor:
    """`data` as a tensor of its own."""
    if isinstance(data, Tensor):
        copy = wrap(alias(data.detach()._read()))
        return copy.to(dtype=kind or data.dtype, device=on)
    if type(data) is Scalar:
        return wrap(alias(number_value(data, kind or number_dtype(data), (), on)))
    tensors = _tensors_inside(data)
    if tensors:
        return _stacked(data, kind, on)
    array = to_array(data, kind)
    return wrap(Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), on, array))


def _tensors_inside(data: Any) -> bool:
    if isinstance(data, (list, tuple)):
        return any((isinstance(x, (Tensor, list, tuple)) and (isinstance(x, Tensor) or _tensors_inside(x)))
                   or type(x) is Scalar for x in data)
    return False


def _stacked(data: Sequence[Any], kind: dtype | None, on: str) -> Tensor:
    parts = [as_fresh_tensor(x, kind, on) for x in data]
    shape = parts[0]._type.shape
    kinds = {p.dtype for p in parts}
    common = kind or (parts[0].dtype if len(kinds) == 1 else _widest(kinds))
    values = [reshape(cast_value(p._read(), common), shape=(1, *shape)) for p in parts]
    return wrap(concatenate(*values, axis=0))


def _widest(kinds: set[dtype]) -> dtype:
    found = kinds.pop()
    for kind in kinds:
        found = dtypes.promote_types(found, kind)
    return found


def to_array(data: Any, kind: dtype | None) -> np.ndarray[Any, Any]:
    """`data` copied to a numpy array of the type torch would infer: Python floats are the default dtype."""
    if isinstance(data, np.ndarray | np.generic):
        array = np.array(data)
        return array.astype(kind.numpy) if kind else array.astype(dtypes.from_numpy(array.dtype).numpy, copy=False)
    if kind is not None and kind.category == dtypes.INTEGRAL:
        return _checked_integers(data, kind)
    try:
        array = np.array(data)
    except ValueError as error:
        raise ValueError(f"expected a sequence whose items all have one length, got {data!r:.80}: {error}") from None
    if kind is None:
        _check_long(array)
    elif kind.is_floating_point and _is_long(array):
        array = array.astype(np.float64)
    if array.dtype == object or array.dtype.kind in "SUV":
        raise TypeError(f"could not infer dtype of {type(data).__name__}: {data!r:.80}")
    if kind is None:
        empty = array.size == 0 and not isinstance(data, np.ndarray)
        python = {"b": dtypes.boolean, "i": dtypes.int64, "u": dtypes.int64, "f": Defaults.dtype,
                  "c": Defaults.dtype.to_complex}
        kind = Defaults.dtype if empty else python[array.dtype.kind]
        if _holds_numpy(data):
            kind = dtypes.from_numpy(array.dtype)
    if array.dtype.kind == "c" and not kind.is_complex:
        raise TypeError(f"can't convert complex to {kind.name}")
    return array.astype(kind.numpy)


def _holds_numpy(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic))


def _checked_integers(data: Any, kind: dtype) -> np.ndarray[Any, Any]:
    array = np.array(data)
    if kind is not dtypes.uint64:
        _check_long(array)
    if array.size and array.dtype.kind in "iuf" and not holds(kind, array.min().item(), array.max().item()):
        raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
    return array.astype(kind.numpy)


def _check_long(array: np.ndarray[Any, Any]) -> None:
    """torch's ValueError for Python integers that are no int64."""
    if _is_long(array) and not -2**63 <= min(array.flat) <= max(array.flat) < 2**63:
        raise ValueError("Overflow when unpacking long long")


def _is_long(array: np.ndarray[Any, Any]) -> bool:
    """Whether these are Python integers of which one at least is too large for numpy's int64."""
    return array.size > 0 and array.dtype in (object, np.uint64) and all(isinstance(x, int) for x in array.ravel().tolist())


def as_tensor(data: Any, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """`data` as a tensor; a tensor that fits is returned itself, a numpy array shares its memory."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype or data.dtype, device=device or data.device)
    if isinstance(data, np.ndarray) and dtype is None and device_name(device) == "cpu":
        return from_numpy(data)
    return tensor(data, dtype=dtype, device=device)


asarray = as_tensor


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor on the memory of `array`: changes of the one are seen by the other.

    Writing into the tensor runs what is pending, at each write. A read-only array is shared until the tensor is written,
    which then gets memory of its own; so does a write inside a traced function to a tensor made there.

    >>> import numpy as np
    >>> import flambeau as torch
    >>> torch.from_numpy(np.arange(3.0))
    tensor([0., 1., 2.], dtype=torch.float64)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    kind = Type.of(array.shape, dtypes.from_numpy(array.dtype))
    if not array.flags.writeable or context.trace is not None:
        return wrap(Value(kind, "cpu", array.view(SharedArray)))
    made = Tensor._on(SharedStorage(array, kind))
    if not array.flags.c_contiguous and all(s >= 0 and s % array.itemsize == 0 for s in array.strides):
        made._geometry = Geometry(tuple(s // array.itemsize for s in array.strides))
    return made


def scalar_tensor(number: Any, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """A 0-d tensor."""
    fitting(number, dtype or Defaults.dtype)
    return wrap(number_value(number, dtype or Defaults.dtype, (), device_name(device)))


# --- Filled -----------------------------------------------------------------------------------------------------------


def _filled(shape: tuple[int, ...], number: Any, kind: dtype, device: Any, requires_grad: bool) -> Tensor:
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    made = wrap(full_value(shape, number, kind, device_name(device)))
    return made.requires_grad_() if requires_grad else made


@with_out
def zeros(*sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
          requires_grad: bool = False) -> Tensor:
    """A tensor of zeros.

    Args: `sizes` one by one, or as one sequence, or as `size`; `dtype`, by default the default dtype; `device`, where
    it lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to.
    Returns a tensor of that shape. Raises RuntimeError for a negative size.

    >>> import flambeau as torch
    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])

    Source: https://pytorch.org/docs/stable/generated/torch.zeros.html
    """
    return _filled(shape_argument(sizes, size), 0, dtype or Defaults.dtype, device, requires_grad)


@with_out
def ones(*sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """A tensor of ones.

    Args: `sizes` one by one, or as one sequence, or as `size`; `dtype`, by default the default dtype; `device`, where
    it lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to.
    Returns a tensor of that shape. Raises RuntimeError for a negative size.

    >>> import flambeau as torch
    >>> torch.ones(3, dtype=torch.int64)
    tensor([1, 1, 1])

    Source: https://pytorch.org/docs/stable/generated/torch.ones.html
    """
    return _filled(shape_argument(sizes, size), 1, dtype or Defaults.dtype, device, requires_grad)


@with_out
def empty(*sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
          requires_grad: bool = False) -> Tensor:
    """Memory to be written to; here it holds zeros."""
    return _filled(shape_argument(sizes, size), 0, dtype or Defaults.dtype, device, requires_grad)


@with_out
def full(size: Sequence[int], fill_value: Any, *, dtype: dtype | None = None, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """A tensor with one number everywhere.

    Args: `size`, its shape as a sequence; `fill_value`, the number, or a 0-d tensor; `dtype`, by default that of the
    number; `device`, where it lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to.
    Returns a tensor of that shape. Raises RuntimeError for a negative size, TypeError if `size` is an int.

    >>> import flambeau as torch
    >>> torch.full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])

    Source: https://pytorch.org/docs/stable/generated/torch.full.html
    """
    kind = dtype or (fill_value.dtype if isinstance(fill_value, Tensor) else number_dtype(fill_value))
    if isinstance(fill_value, Tensor):
        return fill_value.to(kind).expand(shape_argument((), size)).clone()
    return _filled(shape_argument((), size), fitting(fill_value, kind), kind, device, requires_grad)


def zeros_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape of `input`."""
    return laid_out(_filled(input._type.shape, 0, dtype or input.dtype, device or input.device, requires_grad), [input])


def ones_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape of `input`."""
    return laid_out(_filled(input._type.shape, 1, dtype or input.dtype, device or input.device, requires_grad), [input])


def empty_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Memory in the shape of `input`; here it holds zeros."""
    return zeros_like(input, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: dtype | None = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:
    """`fill_value` in the shape of `input`."""
    kind = dtype or input.dtype
    made = _filled(input._type.shape, fitting(fill_value, kind), kind, device or input.device, requires_grad)
    return laid_out(made, [input])


@method()
def new_zeros(self: Tensor, *sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:
    """Zeros of this tensor's dtype."""
    return _filled(shape_argument(sizes, size), 0, dtype or self.dtype, device or self.device, requires_grad)


@method()
def new_ones(self: Tensor, *sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """Ones of this tensor's dtype."""
    return _filled(shape_argument(sizes, size), 1, dtype or self.dtype, device or self.device, requires_grad)


@method()
def new_empty(self: Tensor, *sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:
    """Memory of this tensor's dtype."""
    return _filled(shape_argument(sizes, size), 0, dtype or self.dtype, device or self.device, requires_grad)


@method()
def new_full(self: Tensor, size: Sequence[int], fill_value: Any, *, dtype: dtype | None = None,
             device: Any = None) -> Tensor:
    """`fill_value` in this tensor's dtype."""
    return full(size, fill_value, dtype=dtype or self.dtype, device=device or self.device)


@method()
def new_tensor(self: Tensor, data: Any, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """A tensor of this one's dtype."""
    return tensor(data, dtype=dtype or self.dtype, device=device or self.device)


# --- Ranges -----------------------------------------------------------------------------------------------------------


@with_out
def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: dtype | None = None, device: Any = None,
           requires_grad: bool = False) -> Tensor:
    """Evenly spaced numbers, from a start up to but not including an end.

    y[i] = start + i * step, for i from 0 to ceil((end - start) / step) - 1

    Args: `start`, 0 if only one number is given, which then is the `end`; `step`, the distance; `dtype`, by default
    int64 if all three are ints, else the default dtype; `device`, where it lives; `requires_grad`, whether gradients
    reach it; `out`, a tensor to write to.
    Returns a vector. Raises RuntimeError for a step of zero or of the wrong sign.

    >>> import flambeau as torch
    >>> torch.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])

    Source: https://pytorch.org/docs/stable/generated/torch.arange.html
    """
    if end is None:
        start, end = 0, start
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (step > 0) != (end >= start) and end != start:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    kind = dtype or (dtypes.int64 if all(isinstance(x, (int, np.integer)) for x in (start, end, step))
                     else Defaults.dtype)
    count = max(0, int(np.ceil((end - start) / step)))
    return _ramp(count, start, step, kind, device_name(device), requires_grad)


def _ramp(count: int, start: Any, step: Any, kind: dtype, on: str, requires_grad: bool) -> Tensor:
    """start + step * [0, 1, ...]: integers in their own type, floats in double precision, rounded once."""
    exact = kind.category == dtypes.INTEGRAL and isinstance(start, int) and isinstance(step, int)
    work = dtypes.int64 if exact else dtypes.float64
    value = iota.on(on, shape=(count,), axis=0, dtype=work)
    if step != 1:
        value = mul(value, number_value(step, work, (count,), on))
    if type(start) is Scalar or start != 0:
        value = add(value, number_value(start, work, (count,), on))
    made = wrap(cast_value(value, kind))
    return made.requires_grad_() if requires_grad else made


@with_out
def linspace(start: float, end: float, steps: int, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """Evenly spaced numbers, both ends included.

    y[i] = start + i * (end - start) / (steps - 1)

    Args: `start` and `end`, the first and the last number; `steps`, how many; `dtype`, by default the default dtype;
    `device`, where it lives; `out`, a tensor to write to.
    Returns a vector of `steps` numbers, whose halves are computed from their own ends, so that both are exact. Raises
    RuntimeError for a negative number of steps.

    >>> import flambeau as torch
    >>> torch.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])

    Source: https://pytorch.org/docs/stable/generated/torch.linspace.html
    """
    kind, on = dtype or Defaults.dtype, device_name(device)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    up = _ramp(steps, start, step, dtypes.float64, on, False)
    down = _ramp(steps, end - step * (steps - 1), step, dtypes.float64, on, False)
    first_half = arange(steps, device=device) < steps // 2
    return up.where(first_half, down).to(kind)


_LOGARITHM = Operation(lambda base: float(np.log(base)), "log", lambda kind: (float,))


@with_out
def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: dtype | None = None,
             device: Any = None) -> Tensor:
    """base to the power of evenly spaced numbers."""
    exponents = linspace(start, end, steps, dtype=dtypes.float64, device=device)
    return (exponents * on_host(_LOGARITHM, base)).exp().to(dtype or Defaults.dtype)


@with_out
def eye(n: int, m: int | None = None, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    shape, on = (n, n if m is None else m), device_name(device)
    rows, columns = (iota.on(on, shape=shape, axis=axis, dtype=dtypes.int64) for axis in (0, 1))
    return wrap(cast_value(compare(rows, columns, direction="EQ"), dtype or Defaults.dtype))
