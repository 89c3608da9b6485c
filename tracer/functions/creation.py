"""Making tensors: https://pytorch.org/docs/stable/torch.html#creation-ops"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import SharedArray
from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.told import tell
from ..ir.types import Type
from ..lazy.shared import SharedStorage
from ..ops.elementwise import alias
from ..ops.structural import concatenate, reshape
from ..tensor.context import context
from ..tensor.layouts import check_layout, layout, memory_format
from ..tensor.scalar import Scalar
from ..tensor.strides import Geometry, contiguous_stride, is_contiguous, is_dense, settled_stride
from ..tensor.tensor import Tensor
from .buffers import elements_of, shows_bytes
from .defaults import Defaults, device_name
from .dims import shape_argument
from .fits import check_fits
from .host_arrays import PLAIN, check_places, to_array
from .layout import in_format
from .methods import CREATED, method, with_out_typed
from .operands import cast_value, number_dtype, number_value, wrap
from .operands import full as full_value
from .precision import fits, fitting
from .spelling import spelled


@spelled
def tensor(data: Any, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
           pin_memory: bool = False) -> Tensor:
    """A new tensor with a copy of data, on memory of its own.

    Args: `data`, a number, nested sequences of numbers or tensors, a numpy array, or a tensor; `dtype`, by default that
    of the data, where Python's floats become the default dtype and its ints int64; `device`, where it lives, by default
    the default device; `requires_grad`, whether gradients reach it. `pin_memory` changes nothing.
    Returns a leaf in the shape of the data.
    Raises ValueError for sequences of several lengths, RuntimeError for an int that the dtype cannot hold, TypeError
    for what is no number.

    >>> import flambeau as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])

    Source: https://pytorch.org/docs/stable/generated/torch.tensor.html
    """
    return _copied("torch.tensor", data, dtype, device_name(device), requires_grad)


def _copied(name: str, data: Any, kind: dtype | None, on: str, requires_grad: bool) -> Tensor:
    if isinstance(data, Tensor):
        tell(f"To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
             f"sourceTensor.detach().clone().requires_grad_(True), rather than {name}(sourceTensor).")
    made = as_fresh_tensor(data, kind, on)
    return made.requires_grad_() if requires_grad else made


def as_fresh_tensor(data: Any, kind: dtype | None, on: str) -> Tensor:
    """`data` as a tensor of its own."""
    if isinstance(data, Tensor):
        copy = wrap(alias(data.detach()._read()))
        return copy.to(dtype=kind or data.dtype, device=on)
    if type(data) is Scalar:
        if kind is not None and kind.category == dtypes.INTEGRAL and not fits(data, kind):
            raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
        own = dtypes.from_numpy(data.dtype) if issubclass(data.kind(), np.generic) else number_dtype(data)
        return wrap(alias(number_value(data, kind or own, (), on)))
    tensors = _tensors_inside(data)
    if tensors:
        return _stacked(data, kind, on)
    array = to_array(data, kind)
    return wrap(Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), on, array))


def _tensors_inside(data: Any) -> bool:
    if isinstance(data, (list, tuple)) and not {*map(type, data)} <= PLAIN:
        return any((isinstance(x, (Tensor, list, tuple)) and (isinstance(x, Tensor) or _tensors_inside(x)))
                   or type(x) is Scalar for x in data)
    return False


NO_INDEX = "only integer tensors of a single element can be converted to an index"


def _stacked(data: Sequence[Any], kind: dtype | None, on: str) -> Tensor:
    if kind is not None:
        _check_items(data, kind)
    several = [x for x in data if isinstance(x, Tensor) and x.numel() != 1]
    if several and not (kind or several[0].dtype).is_inexact:
        raise TypeError(NO_INDEX)
    if several:
        raise ValueError("only one element tensors can be converted to Python scalars: a list holds tensors of one element as "
                         "numbers; join others by torch.stack")
    parts = [as_fresh_tensor(x.reshape(()) if isinstance(x, Tensor) else x, kind, on) for x in data]
    shape = parts[0]._type.shape
    kinds = {p.dtype for p in parts}
    common = kind or (parts[0].dtype if len(kinds) == 1 else _widest(kinds))
    values = [reshape(cast_value(p._read(), common), shape=(1, *shape)) for p in parts]
    return wrap(concatenate(*values, axis=0))


def _check_items(data: Sequence[Any], kind: dtype) -> None:
    """torch's errors for tensors among the items that are no numbers of that dtype: it looks at each as at a number."""
    for x in data:
        if not isinstance(x, Tensor) or x._type.size != 1:
            continue
        if x.dtype.is_inexact and not kind.is_inexact:
            raise TypeError(NO_INDEX)
        if kind.category == dtypes.INTEGRAL:
            check_fits("tensor", x, kind, kind.name)
        elif kind.is_floating_point and x.dtype.is_complex:
            check_fits("tensor", x, dtypes.float64)


def _widest(kinds: set[dtype]) -> dtype:
    found = kinds.pop()
    for kind in kinds:
        found = dtypes.promote_types(found, kind)
    return found


@spelled
def as_tensor(data: Any, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """`data` as a tensor; a tensor that fits is returned itself, a numpy array shares its memory."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype or data.dtype, device=device or data.device)
    if isinstance(data, np.ndarray) and (dtype is None or dtype.numpy == data.dtype) and device_name(device) == "cpu":
        return from_numpy(data)
    return tensor(data, dtype=dtype, device=device)


def asarray(obj: Any, *, dtype: dtype | None = None, device: Any = None, copy: bool | None = None,
            requires_grad: bool = False) -> Tensor:
    """`as_tensor`, or always a copy, or never one.

    Args: `obj`, a tensor, an array, a number or nested sequences; `copy`, whether the memory must, or must not, be another.
    Raises ValueError where a copy is needed and must not be.

    >>> import flambeau as torch
    >>> x = torch.ones(2)
    >>> torch.asarray(x) is x, torch.asarray(x, copy=True) is x
    (True, False)

    Source: https://pytorch.org/docs/stable/generated/torch.asarray.html
    """
    if not isinstance(obj, (Tensor, np.ndarray, np.generic)) and shows_bytes(obj):
        obj = elements_of(obj, dtype or Defaults.dtype)
    made = as_tensor(obj, dtype, device)
    if isinstance(obj, Tensor) and made.requires_grad and not requires_grad:
        made = made.detach()
    same = made is obj or (isinstance(obj, Tensor) and made._storage is obj._storage) or _shares(made, obj)
    if copy is False and not same:
        raise ValueError("can't alias arbitrary sequence into a tensor." if not isinstance(obj, (Tensor, np.ndarray)) else
                         f"can't alias tensor with dtype '{obj.dtype}' into dtype '{made.dtype}'.")
    if copy and same:
        made = made.clone()
    return made.requires_grad_(requires_grad) if requires_grad else made


def _shares(made: Tensor, obj: Any) -> bool:
    return isinstance(obj, np.ndarray) and made.device.type == "cpu" and made.dtype.numpy == obj.dtype


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
    check_places(array)
    flags = array.flags
    if not flags.writeable or context.trace is not None:
        return wrap(Value(kind, "cpu", array.view(SharedArray)))
    made = Tensor._on(SharedStorage(array, kind))
    if not flags.c_contiguous:
        made._geometry = Geometry(tuple(s // array.itemsize for s in array.strides))
    return made


@spelled
def scalar_tensor(s: Any, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
                  layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """A 0-d tensor."""
    check_layout(layout)
    kind = dtype or Defaults.dtype
    made = wrap(number_value(fitting(s, kind), kind, (), device_name(device)))
    return made.requires_grad_() if requires_grad else made


# --- Filled -----------------------------------------------------------------------------------------------------------


def _filled(shape: tuple[int, ...], number: Any, kind: dtype, device: Any, requires_grad: bool,
            layout: layout | None = None) -> Tensor:
    check_layout(layout)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    made = wrap(full_value(shape, number, kind, device_name(device)))
    return made.requires_grad_() if requires_grad else made


@with_out_typed(CREATED)
def zeros(*sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
          requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """A tensor of zeros.

    Args: `sizes` one by one, or as one sequence, or as `size`; `dtype`, by default the default dtype; `device`, where
    it lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to. `layout` is strided, `pin_memory`
    changes nothing.
    Returns a tensor of that shape. Raises RuntimeError for a negative size.

    >>> import flambeau as torch
    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])

    Source: https://pytorch.org/docs/stable/generated/torch.zeros.html
    """
    return _filled(shape_argument(sizes, size), 0, dtype or Defaults.dtype, device, requires_grad, layout)


@with_out_typed(CREATED)
def ones(*sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
         requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """A tensor of ones.

    Args: `sizes` one by one, or as one sequence, or as `size`; `dtype`, by default the default dtype; `device`, where
    it lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to. `layout` is strided, `pin_memory`
    changes nothing.
    Returns a tensor of that shape. Raises RuntimeError for a negative size.

    >>> import flambeau as torch
    >>> torch.ones(3, dtype=torch.int64)
    tensor([1, 1, 1])

    Source: https://pytorch.org/docs/stable/generated/torch.ones.html
    """
    return _filled(shape_argument(sizes, size), 1, dtype or Defaults.dtype, device, requires_grad, layout)


@with_out_typed(CREATED)
def empty(*sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
          requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False,
          memory_format: memory_format | None = None) -> Tensor:
    """Memory to be written to; here it holds zeros."""
    made = _filled(shape_argument(sizes, size), 0, dtype or Defaults.dtype, device, requires_grad, layout)
    return in_format(made, memory_format)


@spelled
def empty_strided(size: Sequence[int], stride: Sequence[int], *, dtype: dtype | None = None, device: Any = None,
                  requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Memory to be written to, of that size and with these strides; here it holds zeros.

    >>> import flambeau as torch
    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    shape, steps = shape_argument((), size), shape_argument((), stride)
    if len(shape) != len(steps):
        raise RuntimeError(f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(steps)})")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    steps = settled_stride(shape, steps)
    kind = dtype or Defaults.dtype
    if is_dense(shape, steps):
        made = _filled(shape, 0, kind, device, False, layout)
        made._geometry = None if is_contiguous(shape, steps) else Geometry(steps)
    else:
        reach = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, steps))
        made = _filled((reach,), 0, kind, device, False, layout).as_strided(shape, steps)
    return made.requires_grad_() if requires_grad else made


@spelled
def empty_permuted(size: Sequence[int], physical_layout: Sequence[int], *, dtype: dtype | None = None, device: Any = None,
                   requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Memory to be written to, whose dimensions lie in the order `physical_layout`, the outermost first.

    >>> import flambeau as torch
    >>> torch.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    shape, order = shape_argument((), size), shape_argument((), physical_layout)
    if len(order) != len(shape):
        raise RuntimeError("Number of dimensions in size does not match the length of the physical_layout; i.e. "
                           f"len(size) = {len(shape)} is not equal to len(physical_layout) = {len(order)}")
    for i, d in enumerate(order):
        if not 0 <= d < len(shape):
            raise RuntimeError(f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {d} at index "
                               f"{i}). NB: negative dims not currently supported; file an issue if you want it.")
        if d in order[:i]:
            raise RuntimeError("Duplicate dim not allowed")
    inner = contiguous_stride(tuple(shape[d] for d in order))
    return empty_strided(shape, tuple(inner[order.index(d)] for d in range(len(shape))), dtype=dtype, device=device,
                         requires_grad=requires_grad, layout=layout)


@with_out_typed(CREATED)
def full(size: Sequence[int], fill_value: Any, *, dtype: dtype | None = None, device: Any = None,
         requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """A tensor with one number everywhere.

    Args: `size`, its shape as a sequence; `fill_value`, the number, or a 0-d tensor; `dtype`, by default that of the
    number; `device`, where it lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to. `layout` is
    strided, `pin_memory` changes nothing.
    Returns a tensor of that shape. Raises RuntimeError for a negative size, TypeError if `size` is an int.

    >>> import flambeau as torch
    >>> torch.full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])

    Source: https://pytorch.org/docs/stable/generated/torch.full.html
    """
    kind = dtype or (fill_value.dtype if isinstance(fill_value, Tensor) else number_dtype(fill_value))
    if isinstance(fill_value, Tensor):
        _check_one("full", fill_value)
        return check_fits("full", fill_value, kind).to(kind).expand(shape_argument((), size)).clone()
    return _filled(shape_argument((), size), fitting(fill_value, kind), kind, device, requires_grad, layout)


def _check_one(name: str, fill_value: Tensor) -> None:
    if fill_value.ndim:
        raise TypeError(f"{name}(): argument 'fill_value' (position 2) must be Number, not Tensor")


def _like(input: Tensor, number: Any, kind: dtype, device: Any, requires_grad: bool, layout: layout | None,
          form: memory_format | None) -> Tensor:
    made = _filled(input._type.shape, number, kind, device or input.device, requires_grad, layout)
    return in_format(made, form, input)


@spelled
def zeros_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
               layout: layout | None = None, memory_format: memory_format | None = None, pin_memory: bool = False) -> Tensor:
    """Zeros in the shape of `input`."""
    return _like(input, 0, dtype or input.dtype, device, requires_grad, layout, memory_format)


@spelled
def ones_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
              layout: layout | None = None, memory_format: memory_format | None = None, pin_memory: bool = False) -> Tensor:
    """Ones in the shape of `input`."""
    return _like(input, 1, dtype or input.dtype, device, requires_grad, layout, memory_format)


@spelled
def empty_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
               layout: layout | None = None, memory_format: memory_format | None = None, pin_memory: bool = False) -> Tensor:
    """Memory in the shape of `input`; here it holds zeros."""
    return _like(input, 0, dtype or input.dtype, device, requires_grad, layout, memory_format)


@spelled
def full_like(input: Tensor, fill_value: Any, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
              layout: layout | None = None, memory_format: memory_format | None = None, pin_memory: bool = False) -> Tensor:
    """`fill_value` in the shape of `input`."""
    kind = dtype or input.dtype
    if isinstance(fill_value, Tensor):
        _check_one("full_like", fill_value)
        made = full(input._type.shape, fill_value, dtype=kind, device=device or input.device, layout=layout)
        made = in_format(made, memory_format, input)
        return made.requires_grad_() if requires_grad else made
    return _like(input, fitting(fill_value, kind), kind, device, requires_grad, layout, memory_format)


@method()
@spelled
def new_zeros(self: Tensor, *sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
              requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Zeros of this tensor's dtype."""
    return _filled(shape_argument(sizes, size), 0, dtype or self.dtype, device or self.device, requires_grad, layout)


@method()
@spelled
def new_ones(self: Tensor, *sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
             requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Ones of this tensor's dtype."""
    return _filled(shape_argument(sizes, size), 1, dtype or self.dtype, device or self.device, requires_grad, layout)


@method()
@spelled
def new_empty(self: Tensor, *sizes: Any, size: Any = None, dtype: dtype | None = None, device: Any = None,
              requires_grad: bool = False, layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Memory of this tensor's dtype."""
    return _filled(shape_argument(sizes, size), 0, dtype or self.dtype, device or self.device, requires_grad, layout)


@method()
@spelled
def new_full(self: Tensor, size: Sequence[int], fill_value: Any, *, dtype: dtype | None = None,
             device: Any = None, requires_grad: bool = False, layout: layout | None = None,
             pin_memory: bool = False) -> Tensor:
    """`fill_value` in this tensor's dtype."""
    if isinstance(fill_value, Tensor):
        _check_one("new_full", fill_value)
    return full(size, fill_value, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad,
                layout=layout)


@method()
def new_empty_strided(self: Tensor, size: Sequence[int], stride: Sequence[int], *, dtype: dtype | None = None,
                      device: Any = None, requires_grad: bool = False, layout: layout | None = None,
                      pin_memory: bool = False) -> Tensor:
    """`empty_strided` of this tensor's dtype."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad,
                         layout=layout)


@method()
@spelled
def new_tensor(self: Tensor, data: Any, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
               layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """A tensor of this one's dtype."""
    check_layout(layout)
    return _copied("tensor.new_tensor", data, dtype or self.dtype, device_name(device or self.device), requires_grad)
