"""`torch.accelerator`: CUDA devices or TPUs, whichever there are. https://pytorch.org/docs/stable/accelerator.html"""

from __future__ import annotations

from contextlib import ContextDecorator
from importlib.util import find_spec
from typing import Any

from . import absent as _absent
from . import cuda
from .lazy_report import synchronize as _synchronize
from .tracer.backend import backend
from .tracer.functions.defaults import Defaults, set_default_device
from .tracer.ir import dtypes
from .tracer.ir.errors import DeviceError
from .tracer.tensor.device import device as _device

_NONE = "Cannot access accelerator device when none is available."


def _kind() -> str | None:
    if cuda.is_available():
        return "cuda"
    return "tpu" if _tpus() else None


def _tpus() -> int:
    if find_spec("libtpu") is None:
        return 0
    count = 0
    try:
        while True:
            backend().check_device(f"tpu:{count}")
            count += 1
    except DeviceError:
        return count


def device_count() -> int:
    """How many accelerators there are."""
    return cuda.device_count() or _tpus()


def is_available() -> bool:
    """Whether there is one."""
    return _kind() is not None


def current_accelerator(check_available: bool = False) -> _device | None:
    """The kind of accelerator, as a device without an index; None where there is none."""
    kind = _kind()
    return None if kind is None else _device(kind)


def current_device_index() -> int:
    """The number of the accelerator on which new tensors live by default; RuntimeError where there is none."""
    if _kind() is None:
        raise RuntimeError(_NONE)
    return int(Defaults.device.partition(":")[2] or 0)


current_device_idx = current_device_index


def set_device_index(device: Any, /) -> None:
    """Let new tensors of this thread live on that accelerator; RuntimeError where there is none."""
    kind = _kind()
    if kind is None:
        raise RuntimeError(_NONE)
    set_default_device(f"{kind}:{device}" if isinstance(device, int) else device)


set_device_idx = set_device_index


def synchronize(device: Any = None, /) -> None:
    """Wait until everything is computed; RuntimeError where there is no accelerator."""
    if _kind() is None:
        raise RuntimeError(_NONE)
    _synchronize()


def empty_cache() -> None:
    """Accepted: XLA keeps no memory that is asked for elsewhere in the process."""


def memory_allocated(device_index: Any = None, /) -> int:
    """Bytes in use on a CUDA device."""
    return cuda.memory_allocated(device_index)


def max_memory_allocated(device_index: Any = None, /) -> int:
    """Most bytes that were in use on a CUDA device."""
    return cuda.max_memory_allocated(device_index)


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Accepted: PJRT's peak is that of the process."""


def empty_host_cache() -> None:
    """Accepted: memory of the host is not kept for later."""


def memory_reserved(device_index: Any = None, /) -> int:
    """Bytes that PJRT holds for the process on a CUDA device."""
    return cuda.memory_reserved(device_index)


def max_memory_reserved(device_index: Any = None, /) -> int:
    """Most bytes that PJRT held for the process on a CUDA device."""
    return cuda.max_memory_reserved(device_index)


def memory_stats(device_index: Any = None, /) -> dict[str, int]:
    """PJRT's counters of a CUDA device."""
    return cuda.memory_stats(device_index)


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """Free and total bytes of a CUDA device."""
    return cuda.mem_get_info(device_index)


reset_accumulated_memory_stats = reset_peak_memory_stats


def get_device_capability(device: Any = None, /) -> dict[str, Any]:
    """The dtypes that an accelerator computes in; RuntimeError where there is none."""
    if _kind() is None:
        raise RuntimeError(_NONE)
    return {"supported_dtypes": {kind for kind in dtypes.ALL if not (_kind() == "tpu" and kind.itemsize > 8)}}


def current_stream(device: Any = None, /) -> Any:
    """The one stream; RuntimeError where there is no accelerator."""
    if _kind() is None:
        raise RuntimeError(_NONE)
    return cuda.current_stream(device)


def set_stream(stream: Any) -> None:
    """Accepted where there is an accelerator: there is one stream."""
    if not hasattr(stream, "wait_event"):
        raise TypeError(f"set_stream requires a torch.Stream, got {type(stream).__name__}")
    if _kind() is None:
        raise RuntimeError(_NONE)


class device_index(ContextDecorator):
    """A block in which new tensors of this thread live on the accelerator of that number; None changes nothing."""

    def __init__(self, device: int | None, /) -> None:
        self._device = None if device is None else _device(_kind() or "cpu", device)

    def __enter__(self) -> None:
        if self._device is not None:
            self._device.__enter__()

    def __exit__(self, *error: Any) -> None:
        if self._device is not None:
            self._device.__exit__(*error)


__getattr__ = _absent.named_in(__name__)
__all__ = ["current_accelerator", "current_device_idx", "current_device_index", "current_stream", "device_count",
           "device_index", "empty_cache", "empty_host_cache", "get_device_capability", "get_memory_info",
           "is_available", "max_memory_allocated", "max_memory_reserved", "memory_allocated", "memory_reserved",
           "memory_stats", "reset_accumulated_memory_stats", "reset_peak_memory_stats", "set_device_idx",
           "set_device_index", "set_stream", "synchronize"]
