"""The process's default dtype and device, and the names of devices."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ..backend import backend
from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.state import Ambient, ambients
from ..tensor.device import device

F = TypeVar("F", bound=Callable[..., Any])


class _Defaults(threading.local):
    """The process's default dtype, and the default device of a thread, as in torch."""

    dtype: dtype = dtypes.float32
    device: str = "cpu"
    left: tuple[str, ...] = ()  # what the device was before each `with device(...)` that the thread is in


Defaults = _Defaults()
ambients += [Ambient("the default dtype", lambda: _Defaults.dtype, partial(setattr, _Defaults, "dtype")),
             Ambient("the default device", lambda: Defaults.device, partial(setattr, Defaults, "device"))]


def get_default_dtype() -> dtype:
    """The floating type of new tensors."""
    return Defaults.dtype


def set_default_dtype(d: dtype) -> None:
    """Make `d` the floating type of new tensors; TypeError unless it is one."""
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
    _Defaults.dtype = d


def get_default_device() -> device:
    """Where new tensors live."""
    return device(Defaults.device)


def set_default_device(device: Any) -> None:
    """Make new tensors of this thread live on a device; DeviceError if it is not there."""
    Defaults.device = "cpu" if device is None else canonical_device(str(device))


def _enter(self: device) -> device:
    before = Defaults.device
    set_default_device(self)
    Defaults.left = (*Defaults.left, before)
    return self


def _exit(self: device, *error: object) -> None:
    *left, Defaults.device = Defaults.left
    Defaults.left = tuple(left)


def _decorate(self: device, function: F) -> F:
    if isinstance(function, type) or inspect.isgeneratorfunction(function):
        raise TypeError("a device requires a function to decorate, which runs there as a whole, got "
                        f"{function!r}: put `with` around what is to run there")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with self:
            return function(*args, **kwargs)

    return run  # type: ignore[return-value]


# Attached here, since a device itself stands below everything that asks for the default one.
for _name, _function in (("__enter__", _enter), ("__exit__", _exit), ("__call__", _decorate)):
    setattr(device, _name, _function)


def device_name(wanted: Any) -> str:
    """The canonical name of a device given as None, text or `device`."""
    return Defaults.device if wanted is None else canonical_device(str(wanted))


def canonical_device(name: str) -> str:
    """`cpu:0` is `cpu`, and `meta` is always there; anything else is asked of the engine."""
    if name in ("cpu", "cpu:0"):
        return "cpu"
    return "meta" if name in ("meta", "meta:0") else backend().check_device(str(device(name)))
