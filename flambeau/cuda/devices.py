"""Which CUDA devices there are, as PJRT sees them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ..tracer.backend import backend
from ..tracer.functions.defaults import Defaults
from ..tracer.ir.errors import DeviceError, NoCudaError
from ..tracer.tensor.device import device as _device

_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")

def _has_plugin() -> bool:
    return any(find_spec(name) is not None for name in _PLUGINS)


def device_count() -> int:
    """How many CUDA devices PJRT sees; 0, at once and without loading jaxlib, where its plugin is not installed."""
    if not _has_plugin():
        return 0
    count = 0
    try:
        while True:
            backend().check_device(f"cuda:{count}")
            count += 1
    except DeviceError:
        return count


def is_available() -> bool:
    """Whether there is a CUDA device."""
    return device_count() > 0


def index_of(device: Any = None) -> int:
    """The number of a device; AssertionError where there is none."""
    if not is_available():
        raise NoCudaError("no cuda device is available. On a machine with one, install the extra: pip install 'flambeau[cuda]'")
    if device is None:
        return current_device()
    index = device if isinstance(device, int) else _device(device).index
    return current_device() if index is None else index


def current_device() -> int:
    """The number of the device on which `with device(...)` or `set_device` puts new tensors on "cuda"."""
    kind, _, number = Defaults.device.partition(":")
    if not is_available():
        index_of(0)
    return int(number or 0) if kind == "cuda" else 0


def info(device: Any = None) -> Mapping[str, Any]:
    """What PJRT says of a device."""
    return backend().device_info(f"cuda:{index_of(device)}")
