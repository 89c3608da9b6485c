"""Back to Python: numpy arrays, numbers and lists of what a tensor holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.state import state
from ..ir.told import tell
from ..lazy.flush import host_array
from ..lazy.shared import exported
from ..tensor.tensor import Tensor
from .creation import from_numpy
from .methods import method


@method()
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """The contents as a numpy array on the same memory: changes of the one are seen by the other.

    While such an array, or a view of it, is alive, a step copies the contents in and out. A tensor on another device is
    copied. bfloat16 and the float8 types come as `ml_dtypes` arrays.
    Raises RuntimeError for a tensor that requires grad, unless `force`, and inside a traced function.

    >>> import flambeau as torch
    >>> x = torch.zeros(3)
    >>> n = x.numpy()
    >>> n[0] = 5
    >>> x.add_(1)
    tensor([6., 1., 1.])
    >>> n
    array([6., 1., 1.], dtype=float32)
    """
    if not force:
        _refuse_grad(self)
    return exported(self.detach())


def _refuse_grad(x: Tensor) -> None:
    if x.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


@method("__array__")
def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    """The contents for `np.asarray`, on the same memory; for `np.array` a copy, which shares nothing."""
    if copy:
        _refuse_grad(self)
        return np.array(host_array(self._read()), dtype)
    array = numpy(self)
    return array if dtype is None else array.astype(dtype, copy=False)


@method()
def item(self: Tensor) -> Any:
    """The only element as a Python number."""
    if self.numel() != 1:
        raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
    if self._device == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    return host_array(self._read()).reshape(()).item()


@method()
def tolist(self: Tensor) -> Any:
    """The elements as nested lists of Python numbers."""
    return host_array(self._read()).tolist()


@method("__bool__")
def _bool(self: Tensor) -> bool:
    if self.numel() != 1:
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous" if self.numel() else
                           "Boolean value of Tensor with no values is ambiguous")
    return bool(item(self))


def _number(self: Tensor, kind: str) -> Any:
    """The only element for one of Python's types; torch's errors for several, and for a complex one that is to be real."""
    if self.numel() != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    value = item(self)
    if isinstance(value, complex) and kind != "complex<double>":
        if value.imag:
            raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
        return value.real
    return value


@method("__int__")
def _int(self: Tensor) -> int:
    return int(_number(self, "int64_t"))


@method("__float__")
def _float(self: Tensor) -> float:
    _tell_of_gradient(self)
    return float(_number(self, "double"))


@method("__complex__")
def _complex(self: Tensor) -> complex:
    _tell_of_gradient(self)
    return complex(_number(self, "complex<double>"))


def _tell_of_gradient(self: Tensor) -> None:
    if state.grad and self.requires_grad:
        tell("Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior. "
             "Consider using tensor.detach() first.")


@method("__array_wrap__")
def _array_wrap(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    """What a function of numpy made of a tensor, as a tensor: `np.sqrt(x)` is one."""
    return from_numpy(array.astype(np.uint8) if array.dtype == np.bool_ else np.asarray(array))


@method("__index__")
def _index(self: Tensor) -> int:
    if self.dtype.is_inexact or self.numel() != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))
