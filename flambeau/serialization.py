"""`torch.serialization`: https://pytorch.org/docs/stable/notes/serialization.html"""

from __future__ import annotations

import os
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module as _import_module
from typing import IO, Any

from .cuda.devices import device_count
from .legacy_storages import storage_class
from .nn.parameter import Buffer, Parameter
from .nn.torch_state import WrappedHook as _WrappedHook
from .runtime.checkpoint import load, save
from .runtime.file_options import (
    LoadEndianness,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
    skip_data,
)
from .runtime.packages import default_restore_location, location_tag, register_package
from .runtime.restoring import NO_CUDA
from .runtime.restoring import classes as _classes
from .runtime.restoring import makers as _makers
from .runtime.restoring import torchs as _torchs
from .runtime.safe_globals import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from .tracer.ir.dtypes import dtype
from .tracer.ir.told import tell
from .tracer.tensor.device import device

__all__ = ["LoadEndianness", "SourceChangeWarning", "StorageType", "add_safe_globals", "check_module_version_greater_or_equal",
           "clear_safe_globals", "default_restore_location", "get_crc32_options", "get_default_load_endianness",
           "get_default_mmap_options", "get_safe_globals", "get_unsafe_globals_in_checkpoint", "load", "location_tag", "mkdtemp",
           "normalize_storage_type", "register_package", "safe_globals", "save", "set_crc32_options",
           "set_default_load_endianness", "set_default_mmap_options", "skip_data", "storage_to_tensor_type",
           "validate_cuda_device", "validate_hpu_device"]

_makers.update(Parameter=Parameter, Buffer=lambda data, persistent: Buffer(data, persistent=persistent))
_classes.update(Parameter=Parameter, Buffer=Buffer)
_torchs.update({"torch.nn.parameter.Parameter": Parameter, "torch.nn.parameter.Buffer": Buffer,
                "torch.nn.modules.module._WrappedHook": _WrappedHook})


class SourceChangeWarning(Warning):
    """The source of a class is another than when the file was saved."""


class StorageType:
    """A class of storages by the name that files have for it, such as "FloatStorage"; its `dtype`.

    >>> StorageType("FloatStorage").dtype
    torch.float32
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def dtype(self) -> dtype:
        """Of the elements; KeyError for a name that is none."""
        found = storage_class(self._name)
        if found is None:
            raise KeyError(f'pickle storage type "{self._name}" is not recognized')
        return found.dtype

    def __str__(self) -> str:
        return f"StorageType(dtype={self.dtype})"


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike[str] | IO[bytes]) -> list[str]:
    """The classes and functions that a file in PyTorch's format names and `load` does not make, unless they are allowed.

    Raises ValueError for what is no such file.

    Source: https://pytorch.org/docs/stable/notes/serialization.html#torch.serialization.get_unsafe_globals_in_checkpoint
    """
    names_in = _import_module(".runtime.torch_file", __package__).names_in
    if not isinstance(f, (str, os.PathLike)):
        return list(names_in(f))
    with open(f, "rb") as file:
        return list(names_in(file))


@contextmanager
def mkdtemp() -> Iterator[str]:
    """A folder for the time of a block.

    >>> with mkdtemp() as folder:
    ...     os.path.isdir(folder)
    True
    """
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def check_module_version_greater_or_equal(module: types.ModuleType, req_version_tuple: tuple[int, ...],
                                          error_if_malformed: bool = True) -> bool:
    """Whether a module is of a version, or a later one; for a version that is none RuntimeError, or a warning and True.

    >>> check_module_version_greater_or_equal(types.SimpleNamespace(__name__="m", __version__="1.2"), (1, 1))
    True
    """
    try:
        version = tuple(type(wanted)(part) for wanted, part in zip(req_version_tuple, module.__version__.split(".")))
        return version >= req_version_tuple
    except Exception as error:
        said = (f"'{module.__name__}' module version string is malformed '{module.__version__}' and cannot be compared with "
                f"tuple {req_version_tuple!s}")
        if error_if_malformed:
            raise RuntimeError(said) from error
        tell(f"{said}, but continuing assuming that requirement is met")
        return True


def normalize_storage_type(storage_type: Any) -> Any:
    """The class of storages on the CPU for one of any device."""
    return getattr(sys.modules[str(__package__)], storage_type.__name__)


def storage_to_tensor_type(storage: Any) -> Any:
    """What the module of its class has for tensors: `FloatTensor` beside `FloatStorage`."""
    kind = type(storage)
    return getattr(sys.modules[kind.__module__], kind.__name__.replace("Storage", "Tensor"))


def validate_cuda_device(location: str) -> int:
    """The number in the name of a CUDA device; ValueError for another's, RuntimeError if it is not there."""
    place = device(location)
    if place.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {place}")
    count, index = device_count(), place.index or 0
    if not count:
        raise RuntimeError(NO_CUDA)
    if index >= count:
        raise RuntimeError(f"Attempting to deserialize object on CUDA device {index} but torch.cuda.device_count() is {count}. "
                           "Please use torch.load with map_location to map your storages to an existing device.")
    return index


def validate_hpu_device(location: str) -> int:
    """RuntimeError: there are no such devices."""
    raise RuntimeError("The HPU device module is not registered. If you are running on a CPU-only machine, please use torch.load "
                       "with map_location=torch.device('cpu') to map your storages to the CPU.")
