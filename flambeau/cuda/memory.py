"""Memory of CUDA devices as PJRT counts it; zeros where there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .. import absent as _absent
from .devices import info, is_available
from .readings import list_gpu_processes as list_gpu_processes
from .runtime import caching_allocator_alloc as caching_allocator_alloc
from .runtime import caching_allocator_delete as caching_allocator_delete
from .runtime import caching_allocator_disabled as caching_allocator_disabled
from .runtime import caching_allocator_enable as caching_allocator_enable
from .runtime import get_allocator_backend as get_allocator_backend
from .runtime import memory_snapshot as memory_snapshot


def _counters(device: Any = None) -> Mapping[str, Any]:
    return info(device) if is_available() else {}


def memory_stats(device: Any = None) -> dict[str, int]:
    """PJRT's counters, in bytes, under their own names."""
    return {name: value for name, value in _counters(device).items() if isinstance(value, int)}


def memory_allocated(device: Any = None) -> int:
    """Bytes in use."""
    return int(_counters(device).get("bytes_in_use", 0))


def max_memory_allocated(device: Any = None) -> int:
    """Most bytes that were in use."""
    return int(_counters(device).get("peak_bytes_in_use", 0))


def memory_reserved(device: Any = None) -> int:
    """Bytes that PJRT holds for the process."""
    found = _counters(device)
    return int(found.get("bytes_reserved", found.get("pool_bytes", found.get("bytes_in_use", 0))))


max_memory_reserved = memory_reserved


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes."""
    found = info(device)
    total = int(found.get("bytes_limit", 0))
    return total - int(found.get("bytes_in_use", 0)), total


def reset_peak_memory_stats(device: Any = None) -> None:
    """Accepted: PJRT's peak is that of the process."""


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The counters as text."""
    return "\n".join(f"{name:<32} {value:>16,}" for name, value in memory_stats(device).items()) or "no CUDA device"


max_memory_cached, memory_cached = max_memory_reserved, memory_reserved
reset_max_memory_allocated = reset_max_memory_cached = reset_accumulated_memory_stats = reset_peak_memory_stats


def empty_cache() -> None:
    """Accepted: XLA keeps no memory that is asked for elsewhere in the process."""


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """PJRT's counters; they are not nested."""
    return dict(memory_stats(device))


def host_memory_stats() -> dict[str, Any]:
    """Empty: memory of the host is not pinned, and nobody counts it."""
    return {}


host_memory_stats_as_nested_dict = host_memory_stats


def reset_accumulated_host_memory_stats() -> None:
    """Accepted: memory of the host is not counted."""


reset_peak_host_memory_stats = reset_accumulated_host_memory_stats


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Accepted; XLA reads XLA_PYTHON_CLIENT_MEM_FRACTION before its first computation. ValueError for what is no fraction."""
    if not isinstance(fraction, float):
        raise TypeError("Invalid type for fraction argument, must be `float`")
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", str(fraction))


def get_per_process_memory_fraction(device: Any = None) -> float:
    """What XLA was told, 0.75 by default."""
    return float(os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.75"))


__getattr__ = _absent.named_in(__name__)
