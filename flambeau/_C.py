"""`torch._C`: what others than torch itself use of its C++ part. Only names that have a meaning here."""

from __future__ import annotations

from typing import Any

from .cuda import device_count as _cuda_getDeviceCount
from .tracer.functions.random import Generator

__all__ = ["Generator", "_cuda_getDeviceCount"]


def _log_api_usage_once(event: str) -> None:
    """Nothing: no use is counted."""


def _get_tracing_state() -> Any:
    """None: torch.jit.trace gives functions back as they are."""
    return None


def _jit_set_profiling_executor(enabled: bool) -> bool:
    """Accepted: what it was before, False."""
    return False


def _jit_set_profiling_mode(enabled: bool) -> bool:
    """Accepted: what it was before, False."""
    return False
