"""Copies, other dtypes and devices, and what is written into a whole tensor: https://pytorch.org/docs/stable/tensors.html"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import NoContents
from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype, python_dtype
from ..ir.graph import Value
from ..ir.told import tell
from ..lazy.flush import host_array
from ..ops.elementwise import alias, select
from ..tensor.layouts import memory_format, preserve_format
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from .defaults import canonical_device
from .dims import class_name
from .layout import in_format, laid_out, suggested_format
from .methods import check_shape, method, named
from .operands import TYPE_NAMES, cast_value, common_shape, expand_value, number_value, scalar_name, wrap
from .precision import fits, fitting

# --- Copies and conversions -------------------------------------------------------------------------------------------


@method()
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with storage of its own, through which gradients flow; `memory_format` says how it lies in memory."""
    return in_format(wrap(alias(input._read())), memory_format, input)


def shares_memory(x: Tensor, y: Tensor) -> bool:
    """Whether one is the other, or both show parts of one memory, so that a write to one may change the other."""
    return x is y or x._storage is y._storage


def in_own_memory(result: Tensor, read: Tensor) -> Tensor:
    """The result, copied where it is what was read, or a view of its memory: for functions that torch computes whatever comes."""
    return clone(result) if shares_memory(result, read) else result


@method()
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in order (or in that of `memory_format`), else a copy."""
    if memory_format is preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    if self.is_contiguous(memory_format):
        return self
    return in_format(wrap(alias(self._read())), memory_format)


@method()
def to(self: Tensor, *args: Any, dtype: dtype | None = None, device: Any = None, copy: bool = False,
       non_blocking: bool = False, memory_format: memory_format | None = None) -> Tensor:
    """The tensor in another dtype or on another device; itself if it is there already and `copy` is not asked for."""
    if dtype is not None and not isinstance(dtype, (dtypes.dtype, type)):
        raise TypeError(f"to(): argument 'dtype' must be torch.dtype, such as torch.float32, not {type(dtype).__name__}")
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, dtypes.dtype):
            if dtype is not None:
                raise TypeError(f"to() requires at most one dtype, got {dtype} and {arg}")
            dtype = arg
        elif isinstance(arg, type):
            dtype = python_dtype(arg)
        elif arg is not None and not isinstance(arg, bool):
            device = arg
    copy = copy or [arg for arg in args if isinstance(arg, bool)][1:] == [True]  # after non_blocking, which nobody waits for
    kind, on = dtype or self.dtype, self._device if device is None else canonical_device(str(device))
    if kind is self.dtype and on == self._device:
        there = memory_format is None or memory_format is preserve_format or memory_format is suggested_format(self)
        return self if there and not copy else clone(self, memory_format=memory_format)
    if isinstance(kind, type):
        return to(self, python_dtype(kind), on, copy=copy, memory_format=memory_format)
    tell_of_parts(self, kind)
    result = self if kind is self.dtype else in_format(wrap(cast_value(self._read(), kind)), memory_format, self)
    return result if on == self._device else _moved(result, on)


def tell_of_parts(x: Tensor, kind: dtypes.dtype) -> None:
    """torch's warning for complex numbers on their way into another dtype."""
    if x.dtype.is_complex and not kind.is_complex and kind is not dtypes.boolean:
        tell("Casting complex values to real discards the imaginary part")


def _moved(x: Tensor, on: str) -> Tensor:
    """A copy on another device. Gradients do not cross devices."""
    if x.requires_grad:
        raise NotImplementedError("moving a tensor that requires grad between devices inside a differentiated program is "
                                  "not supported: move the leaf tensors (model.to(device)) first, or detach()")
    value = x._read()
    if on == "meta":
        return wrap(Value(value.type, on, NoContents()))
    return wrap(Value(value.type, on, np.array(host_array(value))))


def _conversion(name: str, kind: dtypes.dtype) -> None:
    @method(name)
    @named(name, f"The tensor as {kind}.")
    def convert(self: Tensor, memory_format: memory_format | None = None) -> Tensor:
        return to(self, kind, memory_format=memory_format)


for _name, _kind in [("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16),
                     ("bfloat16", dtypes.bfloat16), ("long", dtypes.int64), ("int", dtypes.int32),
                     ("short", dtypes.int16), ("char", dtypes.int8), ("byte", dtypes.uint8), ("bool", dtypes.boolean),
                     ("cfloat", dtypes.complex64), ("cdouble", dtypes.complex128)]:
    _conversion(_name, _kind)


@method()
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """In the dtype of `other`."""
    return to(self, other.dtype)


@method("type")
def _type_method(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The tensor as another dtype, also one by torch's former name ("torch.LongTensor"); without one the name of its own."""
    if dtype is None:
        return type_name(self.dtype, self._device)
    if isinstance(dtype, str):
        known = {type_name(kind, on): (kind, on) for kind in dtypes.ALL if kind.name in TYPE_NAMES for on in ("cpu", "cuda")}
        if dtype not in known:
            raise ValueError(f"invalid type: '{dtype}'")
        kind, on = known[dtype]
        return to(self, kind) if on == self._device.partition(":")[0] else to(self, dtype=kind, device=on)
    return to(self, dtype=getattr(dtype, "dtype", dtype), device=getattr(dtype, "device", None))


def type_name(kind: dtypes.dtype, device: str) -> str:
    """torch's name of the tensors of a dtype: `torch.cuda.FloatTensor`."""
    return f"torch.{'' if device == 'cpu' else device.partition(':')[0] + '.'}{scalar_name(kind)}Tensor"


@method()
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """On the CPU."""
    return to(self, device="cpu", memory_format=memory_format)


@method()
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """On a CUDA device, the first one unless it is named; AssertionError where there is none."""
    return to(self, device=f"cuda:{device}" if isinstance(device, int) else device or "cuda", memory_format=memory_format)


@method()
def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """Write `other`, a tensor or a number, converted and broadcast, into this tensor."""
    if not isinstance(other, Tensor):
        if not (isinstance(other, (bool, int, float, complex, np.generic)) or type(other) is Scalar):
            raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {class_name(other)}")
        number = other.item() if isinstance(other, np.generic) else other
        if fits(number, self.dtype):
            return fill_(self, number)
        number = number.look() if type(number) is Scalar else number
        other = wrap(number_value(number, _wide_kind(number), (), self._device))  # which is converted as a tensor is
    value = other.to(device=self.device)._read()
    tell_of_parts(other, self.dtype)
    value = cast_value(value, self.dtype)
    if value.type.shape != self._type.shape:
        check_shape(self, common_shape(self._type.shape, value.type.shape))
        value = expand_value(value, self._type.shape)
    self._write(alias(value))
    return self


def _wide_kind(number: Any) -> dtype:
    if isinstance(number, complex):
        return dtypes.complex128
    if isinstance(number, float):
        return dtypes.float64
    return dtypes.int64 if number <= dtypes.iinfo(dtypes.int64).max else dtypes.uint64


@method()
def fill_(input: Tensor, value: Any) -> Tensor:
    """Write one number into all elements."""
    if isinstance(value, Tensor):
        _check_alone("fill_", value)
        return copy_(input, value)
    new = number_value(fitting(value, input.dtype), input.dtype, input._type.shape, input._device)
    input._write(new, lambda: full_like(new, 1, dtypes.boolean))
    return input


def _check_alone(name: str, value: Tensor) -> None:
    if value.ndim:
        raise RuntimeError(f"{name} only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")


def fill(input: Tensor, value: Any) -> Tensor:
    """The tensor's shape and dtype with one number everywhere, to which a gradient flows where it is a tensor.

    >>> import flambeau as torch
    >>> torch.fill(torch.zeros(2), 3)
    tensor([3., 3.])
    """
    if isinstance(value, Tensor):
        _check_alone("fill", value)
        return copy_(clone(input), value)
    x = input._read()
    number = number_value(fitting(value, input.dtype), input.dtype, input._type.shape, input._device)
    return laid_out(wrap(select(full_like(x, 1, dtypes.boolean), number, x)), [input])  # the gradient is zero, and there


@method()
def zero_(input: Tensor) -> Tensor:
    """Write zeros."""
    return fill_(input, 0)


def detach(input: Tensor) -> Tensor:
    """The tensor on the same memory, cut off from its history."""
    return input.detach()


def detach_(input: Tensor) -> Tensor:
    """`detach` of the tensor itself."""
    return input.detach_()


def is_tensor(obj: Any) -> bool:
    """Whether obj is a Tensor."""
    return isinstance(obj, Tensor)


def numel(self: Tensor | None = None, *, input: Tensor | None = None) -> int:
    """The number of elements; the tensor is `self` in torch's stubs, and `input` where it is called."""
    given = self if input is None else input
    if not isinstance(given, Tensor):
        raise TypeError(f"numel(): argument 'input' (position 1) must be Tensor, not {type(given).__name__}")
    return given.numel()
