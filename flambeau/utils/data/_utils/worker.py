"""What a worker process of a `DataLoader` does."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from ....tracer.backend import NumpyBackend, install
from ....tracer.functions.random import manual_seed
from .errors import ExceptionWrapper
from .fetch import FETCHERS, IterableFetcher, MapFetcher
from .messages import receive, send
from .realised import Realised, start_clean

WATCH = 1.0  # seconds between two looks whether the parent is there


class WorkerInfo:
    """Which worker this process is: `id`, `num_workers`, `seed`, and `dataset`, this process's copy."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    _keys: tuple[str, ...]

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__.update(kwargs, _keys=tuple(kwargs))

    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError(f"Cannot assign attributes to {type(self).__name__} objects")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={getattr(self, key)}' for key in self._keys)})"


class _Here:
    """Of this process: which worker it is, if it is one."""

    info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Which worker of a `DataLoader` this process is; None in the main process.

    The answer has `id`, from 0 on, `num_workers`, `seed`, which differs by worker and epoch, and `dataset`, the copy that
    this worker has.

    >>> from flambeau.utils.data import get_worker_info
    >>> get_worker_info() is None
    True

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.get_worker_info
    """
    return _Here.info


@dataclass(frozen=True)
class Ended:
    """The reply of a worker whose iterable dataset is at its end."""


@dataclass(frozen=True)
class Resumed:
    """The reply of a worker that begins another pass."""


@dataclass
class Job:
    """What a worker is told at its start."""

    dataset: Any
    iterable: bool
    batched: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    worker_init_fn: Callable[[int], Any] | None
    id: int
    num_workers: int
    small: int  # bytes of a message that goes through the socket
    realised: Realised | None = None  # of a fork
    strangers: list[Connection] = field(default_factory=list)  # of a fork: the ends that are not this worker's


class NumpyFirst:
    """The first argument of a new process: whoever unpickles it has the numpy engine for the arguments that follow."""

    def __reduce__(self) -> tuple[Any, ...]:
        return install, (NumpyBackend,)


def run(first: Any, job: Job, connection: Connection) -> None:
    """A worker's main function."""
    start_clean(job.realised)
    for stranger in job.strangers:
        stranger.close()
    threading.Thread(target=_watch, name="flambeau-watch", daemon=True).start()
    with suppress(KeyboardInterrupt, EOFError, ConnectionError):  # the main process tells of the first, or is gone
        _serve(job, connection)
    connection.close()


def _watch() -> None:
    """End this process with the one that started it, whatever that one was killed by and whatever this one is doing."""
    parent, number = parent_process(), os.getppid()
    while os.getppid() == number and (parent is None or not wait([parent.sentinel], WATCH)):
        pass
    os._exit(1)


def _serve(job: Job, connection: Connection) -> None:
    worker = _Worker(job)
    while (message := receive(connection)) is not None:
        position, index = message
        reply = worker.resume() if position is None else worker.fetch(index)
        try:
            send(connection, (position, reply), job.small)
        except (BrokenPipeError, ConnectionError):
            raise
        except Exception:  # a batch that cannot be pickled
            send(connection, (position, worker.wrapped()), job.small)


class _Worker:
    """The dataset, and what became of setting it up."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._fetcher: MapFetcher | IterableFetcher | None = None
        seed = job.base_seed + job.id
        random.seed(seed)
        manual_seed(seed)
        np.random.seed(numpy_seed(job.base_seed, job.id))
        _Here.info = WorkerInfo(id=job.id, num_workers=job.num_workers, seed=seed, dataset=job.dataset)
        self._failed = self._begin(job.worker_init_fn)

    def _begin(self, first: Callable[[int], Any] | None = None) -> ExceptionWrapper | None:
        job = self._job
        try:
            if first is not None:
                first(job.id)
            self._fetcher = FETCHERS[job.iterable](job.dataset, job.batched, job.collate_fn, job.drop_last)
        except Exception:
            return self.wrapped()
        return None

    def wrapped(self) -> ExceptionWrapper:
        """The exception that is being handled, to be sent."""
        return ExceptionWrapper(f"in DataLoader worker process {self._job.id}")

    def resume(self) -> Resumed:
        """Begin another pass."""
        if self._fetcher is not None:
            self._failed = self._begin()
        return Resumed()

    def fetch(self, index: Any) -> Any:
        """A batch, or why there is none."""
        if self._failed is not None or self._fetcher is None:
            return self._failed
        try:
            return self._fetcher.fetch(index)
        except StopIteration:
            if self._job.iterable:
                return Ended()
            return self.wrapped()
        except Exception:
            return self.wrapped()


def numpy_seed(base_seed: int, worker_id: int) -> Any:
    """The state of numpy's generator in a worker: torch's, made of four words."""
    words = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(words).generate_state(4)
