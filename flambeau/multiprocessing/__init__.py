"""`torch.multiprocessing`: Python's `multiprocessing`, with `spawn`. Tensors that are sent are copied.

https://pytorch.org/docs/stable/multiprocessing.html
"""

import multiprocessing as _multiprocessing
from multiprocessing import *  # noqa: F403

from .spawn import ProcessContext, ProcessExitedException, ProcessRaisedException, SpawnContext, spawn, start_processes

_strategy = ["file_descriptor"]


def get_all_sharing_strategies() -> set[str]:
    """What `set_sharing_strategy` takes."""
    return {"file_descriptor", "file_system"}


def get_sharing_strategy() -> str:
    """What `set_sharing_strategy` was told."""
    return _strategy[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted and kept: tensors that are sent to another process are copied."""
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"invalid sharing strategy {new_strategy!r}")
    _strategy[0] = new_strategy


__all__ = ["get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy", *_multiprocessing.__all__]
