"""The process's default dtype and device, and the names of devices."""

from __future__ import annotations

from typing import Any

from ..backend import backend
from ..ir import dtypes
from ..ir.dtypes import dtype
from ..tensor.device import device


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


def device_name(wanted: Any) -> str:
    """The canonical name of a device given as None, text or `device`."""
    return Defaults.device if wanted is None else canonical_device(str(wanted))


def canonical_device(name: str) -> str:
    """`cpu:0` is `cpu`; anything but the CPU is asked of the engine."""
    return "cpu" if name in ("cpu", "cpu:0") else backend().check_device(name)
