"""Former switches of autocast, by kind of device: https://pytorch.org/docs/stable/amp.html"""

from __future__ import annotations

from .tracer.functions.autocast import get_autocast_dtype, is_autocast_enabled, set_autocast_dtype, set_autocast_enabled
from .tracer.ir.dtypes import dtype

_state = {"nesting": 0, "cache": True}


def is_autocast_cpu_enabled() -> bool:
    """`is_autocast_enabled("cpu")`."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool, /) -> None:
    """`set_autocast_enabled("cpu", enabled)`."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> dtype:
    """`get_autocast_dtype("cpu")`."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: dtype, /) -> None:
    """`set_autocast_dtype("cpu", dtype)`."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> dtype:
    """`get_autocast_dtype("cuda")`."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: dtype, /) -> None:
    """`set_autocast_dtype("cuda", dtype)`."""
    set_autocast_dtype("cuda", dtype)


def autocast_increment_nesting() -> int:
    """One more block, as torch counts them to know when to clear its cache."""
    _state["nesting"] += 1
    return _state["nesting"]


def autocast_decrement_nesting() -> int:
    """One block less."""
    _state["nesting"] -= 1
    return _state["nesting"]


def is_autocast_cache_enabled() -> bool:
    """What `set_autocast_cache_enabled` was told."""
    return bool(_state["cache"])


def set_autocast_cache_enabled(enabled: bool, /) -> None:
    """Accepted and kept: equal casts of one program are one cast anyhow."""
    _state["cache"] = bool(enabled)


def clear_autocast_cache() -> None:
    """Accepted: there is no cache of casts."""
