"""Tensors outside this process and in other libraries: pickling, and DLPack (https://dmlc.github.io/dlpack/latest/)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import dtypes
from ..lazy.flush import host_array
from ..lazy.shared import exported
from ..tensor.strides import Geometry, is_dense
from ..tensor.tensor import Tensor, attributes_given
from .creation import from_numpy, tensor
from .methods import method

CPU = 1  # DLPack's number of the device type


# --- Pickling ---------------------------------------------------------------------------------------------------------


def _rebuild(kind: type[Tensor], array: Any, name: str, on: str, requires_grad: bool,
             attributes: dict[str, Any], stride: tuple[int, ...] | None = None) -> Tensor:
    """A tensor from what `__reduce_ex__` wrote; types that numpy lacks come as their bits."""
    stored = next(d for d in dtypes.ALL if d.name == name)
    made = tensor(array.view(stored.numpy) if array.dtype != stored.numpy else array, dtype=stored, device=on)
    made.__class__ = kind
    made._geometry = None if stride is None else Geometry(stride)
    made.__dict__.update(attributes)
    return made.requires_grad_() if requires_grad else made


def _portable(array: Any) -> Any:
    """The array, or its bits as unsigned integers where its type is not one of numpy's own."""
    return array.view(np.dtype(f"u{array.dtype.itemsize}")) if array.dtype.isbuiltin != 1 else array


@method("__reduce_ex__")
def _reduce(self: Tensor, protocol: Any) -> tuple[Any, ...]:
    """Pickle class, contents, dtype, device, requires_grad and further attributes; history and `.grad` stay behind."""
    array = _portable(np.array(host_array(self.detach()._read())))
    attributes = attributes_given(self)
    dense = is_dense(self._type.shape, self._strides.stride)
    return _rebuild, (type(self), array, self.dtype.name, self._device, self.requires_grad, attributes,
                      self._strides.stride if dense and not self.is_contiguous() else None)


@method("__copy__")
def _copy(self: Tensor) -> Tensor:
    """For `copy.copy`: another tensor on the same memory, a leaf."""
    made = self.detach()
    made.__class__ = type(self)
    made.__dict__.update(attributes_given(self))
    return made.requires_grad_() if self.requires_grad else made


@method()
def data_ptr(self: Tensor) -> int:
    """A number that tensors have in common if their first elements are at one place of one memory; it is no address.

    >>> import flambeau as torch
    >>> x = torch.ones(4)
    >>> x.data_ptr() == x.view(2, 2).data_ptr(), x.data_ptr() == x[1:].data_ptr(), x.data_ptr() == x.clone().data_ptr()
    (True, False, False)
    """
    return (id(self._storage) << 32) + self.storage_offset() * self.element_size() if self.numel() else 0


# --- DLPack -----------------------------------------------------------------------------------------------------------


@method("__dlpack_device__")
def _dlpack_device(self: Tensor) -> tuple[int, int]:
    """The DLPack device type and index."""
    if self._device == "cpu":
        return CPU, 0
    buffer = _device_buffer(self)
    kind, index = buffer.__dlpack_device__()
    return int(kind), int(index)


def _device_buffer(x: Tensor) -> Any:
    host_needed = x._read()
    if host_needed.buffer is None:
        host_array(host_needed)
    return host_needed.buffer


@method("__dlpack__")
def _dlpack(self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None,
            copy: Any = None) -> Any:
    """The memory as a DLPack capsule, shared as by `numpy()`.

    Raises BufferError for a tensor that requires grad, and for a dtype that numpy cannot export.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if self._device != "cpu":
        return _device_buffer(self).__dlpack__(stream=stream)
    array = exported(self)
    if array.dtype.isbuiltin != 1:
        raise BufferError(f"__dlpack__ requires a dtype that numpy has, got {self.dtype}")
    if max_version is None:
        return array.__dlpack__()
    return array.__dlpack__(max_version=max_version)


class _Capsule:
    """A DLPack capsule as an array that can be exported once; of its device numpy asks it itself."""

    def __init__(self, capsule: Any) -> None:
        if '"dltensor' not in repr(capsule):
            raise RuntimeError("from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, "
                               "so you might have already constructed a tensor from it once.")
        self.capsule = capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU, 0

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule


class _Writable:
    """The memory of an array that came in a capsule which cannot tell that it may be written, as all such may."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array  # which the memory lives as long as
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's CPU array; on `device`, or of its own memory, where that is asked for.

    >>> import numpy as np
    >>> import flambeau as torch
    >>> torch.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    kind = ext_tensor.__dlpack_device__()[0]
    if kind != CPU:
        raise NotImplementedError(f"from_dlpack requires an array on the CPU, got DLPack device type {int(kind)}")
    array = np.from_dlpack(ext_tensor)
    if isinstance(ext_tensor, _Capsule) and not array.flags.writeable:
        array = np.asarray(_Writable(array))
    found = from_numpy(array)
    found = found if device is None else found.to(device)
    return found.clone() if copy else found
