"""torch's former classes of storages, `FloatStorage` and its kin: constructors, and what `isinstance` may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .cuda.devices import index_of
from .tracer.functions.creation import tensor, zeros
from .tracer.functions.methods import method
from .tracer.functions.storages import TypedStorage, UntypedStorage
from .tracer.ir import dtypes
from .tracer.tensor.tensor import Tensor

_KINDS = {"Double": dtypes.float64, "Float": dtypes.float32, "Half": dtypes.float16, "BFloat16": dtypes.bfloat16,
          "Long": dtypes.int64, "Int": dtypes.int32, "Short": dtypes.int16, "Char": dtypes.int8, "Byte": dtypes.uint8,
          "Bool": dtypes.boolean, "ComplexFloat": dtypes.complex64, "ComplexDouble": dtypes.complex128}
_FORMS = "Expected one of:\n * no arguments\n * (int size)\n * (Sequence data)\n * (*, UntypedStorage wrap_storage)\n"


class _Meta(type(TypedStorage)):  # type: ignore[misc]
    _dtype: dtypes.dtype
    _on: str

    @property
    def dtype(cls) -> dtypes.dtype:
        """Of the elements."""
        return cls._dtype

    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, TypedStorage) and x.dtype is cls._dtype and x.device.type == cls._on


class LegacyStorage(TypedStorage, metaclass=_Meta):
    """The memory of the elements of one dtype on one kind of device: made of a number of elements, or of these.

    >>> import flambeau as torch
    >>> torch.FloatStorage([1, 2]).tolist(), isinstance(torch.ones(2).storage(), torch.FloatStorage)
    ([1.0, 2.0], True)
    """

    def __new__(cls, *args: Any, wrap_storage: Any = None, dtype: Any = None, device: Any = None) -> Any:
        """A `TypedStorage`; what is not given is zero. The class says of which dtype and where: neither may be given."""
        for name, given in (("dtype", dtype), ("device", device)):
            if given is not None:
                raise RuntimeError(f"{cls}.__new__ received an invalid combination of arguments. {_FORMS}"
                                   f"Keyword argument '{name}' cannot be specified")
        if len(args) > 1:
            raise RuntimeError(f"{cls}.__new__ received an invalid combination of arguments. {_FORMS}"
                               "Too many positional arguments")
        if cls._on == "cuda":
            index_of()
        if wrap_storage is not None:
            return TypedStorage(_wrapped(cls, wrap_storage))
        given = args[0] if args else 0
        if isinstance(given, (int, np.integer)):
            return TypedStorage(zeros(int(given), dtype=cls._dtype, device=cls._on))
        if isinstance(given, str):
            raise TypeError(f"new(): invalid data type '{type(given).__name__}'")
        if not isinstance(given, Sequence):
            raise TypeError(f"{cls}.__new__ received an invalid combination of arguments. {_FORMS}"
                            f"Argument type not recognized: {type(given)}")
        return TypedStorage(tensor(list(given), dtype=cls._dtype, device=cls._on))


def _wrapped(cls: Any, storage: Any) -> Tensor:
    if not isinstance(storage, UntypedStorage) or isinstance(storage, TypedStorage):
        raise TypeError(f"{cls}.__new__ received an invalid combination of arguments. {_FORMS}"
                        f"Argument type not recognized: {type(storage)}")
    if storage._whole.dtype is not cls._dtype:
        raise NotImplementedError(f"{cls.__name__}(wrap_storage=...) requires the memory of a tensor of {cls._dtype}, got that "
                                  f"of one of {storage._whole.dtype}: view the tensor instead, x.view({cls._dtype})")
    return storage._whole


def _made(name: str, kind: dtypes.dtype, module: str) -> Any:
    on = "cuda" if module.endswith("cuda") else "cpu"
    return _Meta(f"{name}Storage", (LegacyStorage,), {"__module__": module, "__qualname__": f"{name}Storage", "_dtype": kind,
                                                      "_on": on, "__doc__": f"The memory of elements of {kind} on {on}."})


STORAGES = {f"{module}.{name}Storage": _made(name, kind, module)
            for module in ("torch", "torch.cuda") for name, kind in _KINDS.items()}


def storage_class(name: str) -> Any:
    """The class of that name, such as "FloatStorage", on the CPU; None if there is none."""
    return STORAGES.get(f"torch.{name}")


@method()
def storage_type(self: Tensor) -> Any:
    """The former class of its storage.

    >>> import flambeau as torch
    >>> torch.ones(2).storage_type()
    <class 'torch.FloatStorage'>
    """
    module = "torch.cuda" if self.device.type == "cuda" else "torch"
    return next(found for name, found in STORAGES.items() if found.dtype is self.dtype and name.rpartition(".")[0] == module)
