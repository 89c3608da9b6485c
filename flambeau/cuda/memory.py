"""Memory of CUDA devices as PJRT counts it; zeros where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .devices import info, is_available


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
