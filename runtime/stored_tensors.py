"""Torch's names for tensors in its files, and what is made of them: storages, and tensors on them."""

from __future__ import annotations

import math
from pickle import UnpicklingError
from typing import Any

import numpy as np

from ..tracer.functions.operands import wrap
from ..tracer.functions.storages import TypedStorage
from ..tracer.functions.strided import as_strided
from ..tracer.ir import dtypes
from ..tracer.ir.dtypes import dtype
from ..tracer.ir.errors import CheckpointError
from ..tracer.ir.graph import Value
from ..tracer.ir.types import Type
from ..tracer.tensor import layouts
from ..tracer.tensor.device import Size, device
from ..tracer.tensor.strides import is_contiguous
from ..tracer.tensor.tensor import _OWN, Tensor
from .restoring import makers
from .unpickler import PYTHONS, check_keys, refused

Array = np.ndarray[Any, Any]
STORAGES = {"Float": dtypes.float32, "Double": dtypes.float64, "Half": dtypes.float16, "BFloat16": dtypes.bfloat16,
            "Long": dtypes.int64, "Int": dtypes.int32, "Short": dtypes.int16, "Char": dtypes.int8, "Byte": dtypes.uint8,
            "Bool": dtypes.boolean, "ComplexFloat": dtypes.complex64, "ComplexDouble": dtypes.complex128}


class StorageKind:
    """Torch's class of a storage, which its files name; `dtype` is None of one that has bytes."""

    def __init__(self, name: str, kind: dtype | None) -> None:
        self.name, self.dtype = name, kind

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return 1 if self.dtype is None else self.dtype.itemsize


KINDS = {f"torch.{place}{name}Storage": StorageKind(name, kind) for place in ("", "cuda.") for name, kind in STORAGES.items()}
KINDS["torch.storage.UntypedStorage"] = KINDS["torch.UntypedStorage"] = StorageKind("Untyped", None)


# --- Tensors ----------------------------------------------------------------------------------------------------------


class Stored(TypedStorage):
    """A storage of the file: its bytes, where they go, and the tensors that span it, one for each dtype it is read as.

    Users get it where they saved one.
    """

    def __init__(self, data: Array, kind: StorageKind, on: str) -> None:
        self.data, self.kind, self.on = data, kind, on
        self._spanning: dict[dtype, Tensor] = {}

    @property
    def _whole(self) -> Tensor:  # type: ignore[override]  # made when it is asked for
        kind = self.kind.dtype or dtypes.uint8
        return self.tensor(kind, 0, (self.data.nbytes // kind.itemsize,), (1,)).view(-1)

    def tensor(self, kind: dtype, offset: int, size: Any, stride: Any) -> Tensor:
        """A tensor in this memory; those of one memory share it."""
        size, stride = _whole_numbers(size), _whole_numbers(stride)
        self._check(kind, offset, size, stride)
        whole = self._spanning.get(kind)
        if whole is None:
            fits = offset == 0 and is_contiguous(size, stride) and math.prod(size) * kind.itemsize == self.data.nbytes
            whole = self._spanning[kind] = self._first(kind, size if fits else (self.data.nbytes // kind.itemsize,))
            if fits:
                return whole
        shared = whole.detach()
        if size == whole._type.shape and offset == 0 and is_contiguous(size, stride):
            return shared
        return as_strided(shared, size, stride, offset).detach()

    def _first(self, kind: dtype, shape: tuple[int, ...]) -> Tensor:
        other = next(iter(self._spanning.values()), None)
        if other is not None:
            made: Tensor = other.detach().view(-1).view(kind)
            return made
        if kind is dtypes.boolean:
            array = self.data != 0  # any byte but 0 is true to torch
        else:
            array = self.data[:self.data.nbytes // kind.itemsize * kind.itemsize].view(kind.numpy)
        plain = wrap(Value(Type.of(shape, kind), "cpu", array.reshape(shape)))
        return plain if self.on == "cpu" else plain.to(device=self.on)

    def _check(self, kind: dtype, offset: Any, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        good = (type(offset) is int and len(size) == len(stride) and min((offset, *size, *stride)) >= 0
                and math.prod(size) < 2**63)
        last = offset + sum((n - 1) * s for n, s in zip(size, stride)) + 1 if good and 0 not in size else 0
        if not good or last * kind.itemsize > self.data.nbytes:
            raise CheckpointError(f"the file is damaged: a tensor of dtype {kind.name}, sizes {size!s:.60}, strides "
                                  f"{stride!s:.60} and offset {offset!r:.20} is not within its storage of "
                                  f"{self.data.nbytes} bytes")


def _whole_numbers(numbers: Any) -> tuple[int, ...]:
    if not isinstance(numbers, tuple) or not all(type(n) is int for n in numbers):
        raise refused(f"{numbers!r:.60} for the sizes or strides of a tensor")
    return tuple(numbers)


def _dressed(x: Tensor, requires_grad: Any, metadata: Any = None) -> Tensor:
    if metadata and metadata.get("neg"):
        x = -x
    if metadata and metadata.get("conj"):
        x = x.conj()
    return x.requires_grad_() if requires_grad is True else x


def _stored(x: Any) -> Stored:
    if not isinstance(x, Stored):
        raise refused(f"a tensor on a {type(x).__name__}, which is no storage")
    return x


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    kind = _stored(storage).kind.dtype
    if kind is None:
        raise refused("a tensor without a dtype")
    return _stored(storage).tensor(kind, offset, size, stride)


def _rebuild_tensor_v2(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None,
                       metadata: Any = None) -> Tensor:
    return _dressed(_rebuild_tensor(storage, offset, size, stride), requires_grad, metadata)


def _rebuild_tensor_v3(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, kind: Any,
                       metadata: Any = None) -> Tensor:
    if not isinstance(kind, dtype):
        raise refused(f"{kind!r:.40} for the dtype of a tensor")
    return _dressed(_stored(storage).tensor(kind, offset, size, stride), requires_grad, metadata)


def _made(name: str, data: Any, flag: bool) -> Tensor:
    if not isinstance(data, Tensor):
        raise refused(f"a {name} of a {type(data).__name__}")
    return makers[name](data, flag)


def _rebuild_parameter(data: Any, requires_grad: Any = True, hooks: Any = None, state: Any = None) -> Tensor:
    return _with_attributes(_made("Parameter", data, bool(requires_grad)), state)


def _rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Tensor:
    if function not in (_rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3, _rebuild_parameter) or \
            type(arguments) is not tuple:
        raise refused("a tensor made by a function that makes none")
    made = function(*arguments)
    if isinstance(kind, type) and issubclass(kind, Tensor) and kind is not Tensor:  # a class that the user vouches for
        made.__class__ = kind
    state = dict(state) if isinstance(state, dict) else {}
    if state.pop("_is_buffer", False):
        made = _made("Buffer", made, bool(state.pop("persistent", True)))
    return _with_attributes(made, state)


def _with_attributes(x: Tensor, state: Any) -> Tensor:
    """The tensor with what users hung on it; what it is made of itself stays."""
    for name, value in (state if isinstance(state, dict) else {}).items():
        if isinstance(name, str) and name not in _OWN and not hasattr(Tensor, name):
            x.__dict__[name] = value
    return x


def _size(numbers: Any = ()) -> Size:
    return Size(_whole_numbers(tuple(numbers)))


def _device(name: Any, index: Any = None) -> device:
    if not isinstance(name, str) or type(index) not in (int, type(None)):
        raise refused(f"a device {name!r:.40}")
    return device(name, index)


def _layout(name: Any) -> layouts.layout:
    found = getattr(layouts, str(name).removeprefix("torch."), None)
    if not isinstance(found, layouts.layout):
        raise refused(f"a layout {name!r:.40}")
    return found


TORCHS: dict[str, Any] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor, "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3, "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter, "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.nn.parameter.Parameter": _rebuild_parameter, "torch.Tensor": "Tensor", "torch.Size": _size, "torch.device": _device,
    "torch.serialization._get_layout": _layout, **{f"torch.{kind.name}": kind for kind in dtypes.ALL}, **KINDS}
KNOWN: dict[str, Any] = {**PYTHONS, **TORCHS}


def storage_id(saved_id: Any) -> tuple[StorageKind, str, str, int]:
    """Kind, key, location and number of elements of a storage that a file refers to."""
    if type(saved_id) is not tuple or len(saved_id) < 5 or saved_id[0] != "storage":
        raise refused(f"a persistent id that is none of a storage: {saved_id!r:.60}")
    _, kind, key, location, count = saved_id[:5]
    if not isinstance(kind, StorageKind) or not isinstance(key, str) or not isinstance(location, str) \
            or type(count) is not int or count < 0:
        raise UnpicklingError(f"the pickle is damaged: {saved_id!r:.80} tells of no storage")
    check_keys([key])
    return kind, key, location, count
