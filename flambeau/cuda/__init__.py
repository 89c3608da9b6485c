"""`torch.cuda`: what PJRT says of NVIDIA's devices; where there is none, what torch says on a build without CUDA.

https://pytorch.org/docs/stable/cuda.html
"""

from __future__ import annotations

import time
import types
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from .. import absent as _absent
from ..lazy_report import synchronize as _synchronize
from ..legacy_storages import STORAGES as _STORAGES
from ..legacy_tensors import TYPES as _TYPES
from ..tracer.functions import random as _random
from ..tracer.ir.errors import DeviceError, OutOfMemoryError
from ..tracer.tensor.device import device as _device
from . import amp as amp
from . import nvtx as nvtx
from .devices import current_device, device_count, index_of, info, is_available
from .memory import (
    caching_allocator_alloc,
    caching_allocator_delete,
    caching_allocator_disabled,
    caching_allocator_enable,
    get_allocator_backend,
    get_per_process_memory_fraction,
    host_memory_stats,
    host_memory_stats_as_nested_dict,
    list_gpu_processes,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_snapshot,
    memory_stats,
    memory_stats_as_nested_dict,
    memory_summary,
    reset_accumulated_host_memory_stats,
    reset_accumulated_memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_host_memory_stats,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from .readings import clock_rate, device_memory_used, memory_usage, power_draw, temperature, utilization
from .runtime import CudaError, check_error, cudart, cudaStatus, make_graphed_callables

for _name, _type in _TYPES.items():
    if _type.is_cuda:
        globals()[_type.__name__] = _type
for _kind in _STORAGES.values():
    if _kind.__module__ == "torch.cuda":
        globals()[_kind.__name__] = _kind


def get_device_name(device: Any = None) -> str:
    """What the device is called."""
    return str(get_device_properties(device).name)


def get_device_properties(device: Any = None) -> types.SimpleNamespace:
    """Name, memory in bytes and, where PJRT tells it, the compute capability of a device."""
    found = info(device)
    major, _, minor = str(found.get("compute_capability", "0.0")).partition(".")
    return types.SimpleNamespace(name=found["name"], total_memory=int(found.get("bytes_limit", 0)), major=int(major or 0),
                                 minor=int(minor or 0), multi_processor_count=int(found.get("core_count", 0)))


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a device."""
    found = get_device_properties(device)
    return found.major, found.minor


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether there is a device that computes in bfloat16."""
    return is_available() and (including_emulation or get_device_capability()[0] >= 8)


def set_device(device: Any) -> None:
    """Accepted for the first device; DeviceError for one that is not there. Name others where tensors are made."""
    if index_of(device) != 0:
        raise DeviceError(f"set_device({device!r}): a device other than the first is named where tensors are made, or by "
                          "`with torch.device('cuda:1')`")


class device(_device):
    """A CUDA device by number; in a `with` block it is where new tensors of this thread live."""

    __slots__ = ()

    def __init__(self, device: Any) -> None:
        super().__init__("cuda", device) if isinstance(device, int) else super().__init__(device)


def synchronize(device: Any = None) -> None:
    """Wait until everything is computed."""
    index_of(device)
    _synchronize()


def empty_cache() -> None:
    """Accepted: XLA keeps no memory that is asked for elsewhere in the process."""


def ipc_collect() -> None:
    """Accepted, where there is a device: tensors are not shared between processes."""
    index_of()


def manual_seed(seed: int) -> None:
    """Seed the generator, where there is a CUDA device: it is one for all devices."""
    if is_available():
        _random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """As `manual_seed`."""
    manual_seed(seed)


def seed() -> None:
    """Seed the generator by chance, where there is a CUDA device."""
    if is_available():
        _random.seed()


seed_all = seed


def initial_seed() -> int:
    """What the generator was seeded with."""
    index_of()
    return _random.initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """The generator's state."""
    index_of(device)
    return _random.get_rng_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Give the generator a state."""
    index_of(device)
    _random.set_rng_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The generator's state, once per device."""
    return [_random.get_rng_state() for _ in range(device_count())]


def set_rng_state_all(new_states: Any) -> None:
    """Give the generator the first of these states."""
    for state in list(new_states)[:1]:
        set_rng_state(state)


class Stream:
    """Accepted where there is a device: XLA orders what depends on each other, and there is one stream."""

    def __init__(self, device: Any = None, priority: int = 0, **named: Any) -> None:
        if not is_available():
            raise RuntimeError("torch.cuda.Stream requires CUDA support")
        self.device, self.priority = _device("cuda", index_of(device)), priority

    def synchronize(self) -> None:
        """Wait until everything is computed."""
        _synchronize()

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for: there is one stream."""

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for: there is one stream."""

    def record_event(self, event: Event | None = None) -> Event:
        """An event that is recorded now."""
        event = event or Event()
        event.record()
        return event

    def query(self) -> bool:
        """Whether everything is computed: after waiting for it."""
        _synchronize()
        return True


class ExternalStream(Stream):
    """A stream that somebody else made, by its address: there is one here, and it orders what depends on each other."""

    def __init__(self, stream_ptr: int, device: Any = None, **named: Any) -> None:
        super().__init__(device)
        self.cuda_stream = stream_ptr


def get_stream_from_external(data_ptr: int, device: Any = None) -> ExternalStream:
    """As `ExternalStream`; AssertionError where there is no device."""
    index_of(device)
    return ExternalStream(data_ptr, device)


class Event:
    """A moment on the host's clock, at which all that was started before is computed."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False,
                 external: bool = False) -> None:
        if not is_available():
            raise RuntimeError("Tried to instantiate dummy base class Event")
        self._timing, self._at = enable_timing, 0.0

    def record(self, stream: Any = None) -> None:
        """Wait for what was started, and note the time."""
        _synchronize()
        self._at = time.perf_counter()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another one."""
        if not (self._timing and end_event._timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        return (end_event._at - self._at) * 1e3

    def query(self) -> bool:
        """True: recording waited."""
        return True

    def synchronize(self) -> None:
        """Nothing to wait for: recording waited."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for: recording waited."""


@contextmanager
def stream(stream: Any) -> Iterator[None]:
    """A block on that stream: there is one."""
    yield


def current_stream(device: Any = None) -> Stream:
    """The stream of a device."""
    return Stream(index_of(device))


default_stream = current_stream


def get_arch_list() -> list[str]:
    """Empty: XLA compiles for the device that is there."""
    return []


def is_initialized() -> bool:
    """Whether there is a device: PJRT is asked at the first use."""
    return is_available()


def init() -> None:
    """Accepted where there is a device."""
    index_of()


def is_current_stream_capturing() -> bool:
    """False: there are no CUDA graphs to capture; a compiled step is one program anyway."""
    return False


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """False: tensors cross devices through the host."""
    return False


def is_tf32_supported() -> bool:
    """Whether there is a device that computes in TF32."""
    return is_available() and get_device_capability()[0] >= 8


def set_stream(stream: Any) -> None:
    """Accepted: there is one stream."""


class StreamContext(nullcontext[None]):
    """A block on a stream: there is one."""

    def __init__(self, stream: Any) -> None:
        super().__init__()


class device_of(nullcontext[None]):
    """A block in which the device of a tensor is the current one: tensors are made where they are asked for."""

    def __init__(self, obj: Any) -> None:
        super().__init__()


def get_gencode_flags() -> str:
    """Empty: XLA compiles for the device that is there."""
    return ""


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Accepted and kept: reading a value is what waits."""
    _sync_debug_mode[0] = {"default": 0, "warn": 1, "error": 2}[debug_mode] if isinstance(debug_mode, str) else debug_mode


def get_sync_debug_mode() -> int:
    """What `set_sync_debug_mode` was told."""
    return _sync_debug_mode[0]


_sync_debug_mode = [0]
has_half, has_magma = True, False
default_generators: tuple[Any, ...] = ()
__getattr__ = _absent.named_in(__name__)
__all__ = ["CudaError", "Event", "ExternalStream", "OutOfMemoryError", "Stream", "StreamContext", "amp",
           "caching_allocator_alloc", "caching_allocator_delete", "caching_allocator_disabled",
           "caching_allocator_enable", "can_device_access_peer", "check_error", "clock_rate", "cudaStatus", "cudart",
           "current_device", "current_stream", "default_generators", "default_stream", "device", "device_count",
           "device_memory_used", "device_of", "empty_cache", "get_allocator_backend", "get_arch_list",
           "get_device_capability", "get_device_name", "get_device_properties", "get_gencode_flags",
           "get_per_process_memory_fraction", "get_rng_state", "get_rng_state_all", "get_stream_from_external",
           "get_sync_debug_mode", "has_half", "has_magma", "host_memory_stats", "host_memory_stats_as_nested_dict",
           "init", "initial_seed", "ipc_collect", "is_available", "is_bf16_supported", "is_current_stream_capturing",
           "is_initialized", "is_tf32_supported", "list_gpu_processes", "make_graphed_callables", "manual_seed",
           "manual_seed_all", "max_memory_allocated", "max_memory_cached", "max_memory_reserved", "mem_get_info",
           "memory_allocated", "memory_cached", "memory_reserved", "memory_snapshot", "memory_stats",
           "memory_stats_as_nested_dict", "memory_summary", "memory_usage", "nvtx", "power_draw",
           "reset_accumulated_host_memory_stats", "reset_accumulated_memory_stats", "reset_max_memory_allocated",
           "reset_max_memory_cached", "reset_peak_host_memory_stats", "reset_peak_memory_stats", "seed", "seed_all",
           "set_device", "set_per_process_memory_fraction", "set_rng_state", "set_rng_state_all", "set_stream",
           "set_sync_debug_mode", "stream", "synchronize", "temperature", "utilization"]
