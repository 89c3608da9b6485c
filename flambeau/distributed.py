"""`torch.distributed`: not there, and says so; a program runs in one process, on one device.

https://pytorch.org/docs/stable/distributed.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from .absent import refusal

_INSTEAD = "a program runs on one device: start one process per device with its own part of the data, or use one larger device"


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """False."""
    return False


def is_mpi_available() -> bool:
    """False."""
    return False


is_nccl_available = is_gloo_available = is_ucc_available = is_xccl_available = is_mpi_available


def _uninitialised(*args: Any, **kwargs: Any) -> NoReturn:
    """ValueError, as of torch without a process group."""
    raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")


get_rank = get_world_size = barrier = all_reduce = broadcast = all_gather = reduce = destroy_process_group = _uninitialised
init_process_group = refusal("torch.distributed.init_process_group", _INSTEAD)
new_group = refusal("torch.distributed.new_group", _INSTEAD)
ProcessGroup = refusal("torch.distributed.ProcessGroup", _INSTEAD)
