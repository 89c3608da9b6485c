"""One pass over a `DataLoader`: in this process, or by workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from ....tracer.ir.told import tell
from ..sampler import drawn_seed
from .errors import ExceptionWrapper
from .fetch import FETCHERS
from .host import start
from .messages import limit, receive, send
from .realised import realised
from .worker import Ended, Job, NumpyFirst, Resumed, run

if TYPE_CHECKING:
    from ..dataloader import DataLoader

STATUS_CHECK = 5.0  # seconds after which it is looked whether a silent worker lives
STOPPING = 5.0  # seconds that workers have to end by themselves


class BaseIterator:
    """What both kinds have in common: the numbers that the sampler gives, and how many batches came.

    The loader, which may keep the iterator, is not kept: nothing but references ends the workers.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._dataset, self._num_workers = loader.dataset, loader.num_workers
        self._index_sampler = loader._index_sampler
        self._promised = loader._IterableDataset_len_called
        self._sampler_iter = iter(self._index_sampler)
        self._base_seed = drawn_seed(loader.generator)
        self._num_yielded = 0

    def _reset(self, loader: DataLoader[Any]) -> None:
        self._sampler_iter = iter(self._index_sampler)
        self._promised = loader._IterableDataset_len_called
        self._num_yielded = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        if self._promised is not None and self._num_yielded > self._promised:
            self._warn_of_length()
        return data

    def _warn_of_length(self) -> None:
        text = (f"Length of IterableDataset {self._dataset} was reported to be {self._promised}"
                f"(when accessing len(dataloader)), but {self._num_yielded} samples have been fetched. ")
        if self._num_workers:
            text += ("For multiprocessing data-loading, this could be caused by not properly configuring the "
                     "IterableDataset replica at each worker. Please see "
                     "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples.")
        tell(text)

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


class SingleProcessIterator(BaseIterator):
    """Batches made in this process, when they are asked for."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        fetcher = FETCHERS[loader._iterable]
        self._fetcher = fetcher(loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last)

    def _next_data(self) -> Any:
        batch = self._fetcher.fetch(next(self._sampler_iter))
        start(batch)
        return batch


class MultiProcessIterator(BaseIterator):
    """Batches made by workers, each ahead by `prefetch_factor` of them.

    `_owner` tells which worker makes the batch of a position, for all that are on their way, in the order of positions.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._in_order, self._timeout, self._persistent = loader.in_order, loader.timeout, loader.persistent_workers
        self._ahead = loader.prefetch_factor or 0
        if self._ahead <= 0:
            raise AssertionError("prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter")
        self._small = limit(self._ahead)
        self._workers: list[Any] = []
        self._connections: list[Connection] = []
        self._stop = weakref.finalize(self, _stop, os.getpid(), self._workers, self._connections)
        try:
            self._start(loader)
        except BaseException:
            self._stop()
            raise
        self._begin()

    # --- Starting and ending ------------------------------------------------------------------------------------------

    def _start(self, loader: DataLoader[Any]) -> None:
        context: Any = loader.multiprocessing_context or _default_context()
        forks = context.get_start_method() == "fork"
        parts = (loader.dataset, loader.collate_fn, loader.worker_init_fn)
        arrays = realised(*parts) if forks else None
        for number in range(loader.num_workers):
            ours, theirs = context.Pipe()
            self._connections.append(ours)
            job = Job(loader.dataset, loader._iterable, loader._auto_collation, loader.collate_fn, loader.drop_last,
                      self._base_seed, loader.worker_init_fn, number, loader.num_workers, self._small, arrays,
                      [*self._connections] if forks else [])
            process = context.Process(target=run, args=(NumpyFirst(), job, theirs), daemon=True)
            with warnings.catch_warnings():  # of threads at a fork: what a worker does needs none of them
                warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
                warnings.filterwarnings("ignore", ".*fork", RuntimeWarning)
                process.start()
            theirs.close()
            self._workers.append(process)

    def _begin(self) -> None:
        count = len(self._workers)
        self._owner: dict[int, int] = {}
        self._active, self._waiting = [True] * count, [0] * count
        self._sent = self._turn = 0
        for _ in range(self._ahead * count):
            self._put()

    def _reset(self, loader: DataLoader[Any]) -> None:
        super()._reset(loader)
        for worker in range(len(self._workers)):
            self._send(worker, (None, None))
        for worker in range(len(self._workers)):
            while not isinstance(self._receive(worker)[1], Resumed):
                pass
        self._begin()

    @property
    def ended(self) -> bool:
        """Whether the workers are gone."""
        return not self._stop.alive

    # --- Batches ------------------------------------------------------------------------------------------------------

    def _put(self) -> None:
        """Ask for one more batch, if the sampler has one."""
        worker = self._next_worker()
        if worker is None:
            return
        try:
            index = next(self._sampler_iter)
        except StopIteration:
            return
        self._owner[self._sent] = worker
        self._waiting[worker] += 1
        self._sent += 1
        self._send(worker, (self._sent - 1, index))

    def _next_worker(self) -> int | None:
        """The workers take turns; where order does not count, the one that has least to do is asked."""
        count = len(self._workers)
        turns = [(self._turn + i) % count for i in range(count)]
        active = [worker for worker in turns if self._active[worker]]
        if not active:
            return None
        chosen = active[0] if self._in_order else min(active, key=self._waiting.__getitem__)
        self._turn = (chosen + 1) % count
        return chosen

    def _next_data(self) -> Any:
        while self._owner:
            worker = next(iter(self._owner.values())) if self._in_order else self._first_to_speak()
            position, reply = self._receive(worker)
            if self._owner.pop(position, None) is None:
                continue  # of a worker that had said that it was at its end
            self._waiting[worker] -= 1
            if isinstance(reply, Ended):
                self._active[worker] = False
                self._owner = {p: w for p, w in self._owner.items() if w != worker}
            self._put()
            if isinstance(reply, ExceptionWrapper):
                reply.reraise()
            if not isinstance(reply, Ended):
                return reply
        if not self._persistent:
            self._stop()
        raise StopIteration

    def _send(self, worker: int, message: Any) -> None:
        try:
            send(self._connections[worker], message, self._small)
        except ConnectionError:
            self._raise_lost(worker)

    def _receive(self, worker: int) -> Any:
        """A worker's next reply; a RuntimeError if it is gone, or takes longer than the timeout."""
        self._wait([worker])
        try:
            return receive(self._connections[worker])
        except (EOFError, ConnectionError):
            self._raise_lost(worker)
        except BaseException:  # part of a message was read: nobody can read on
            self._stop()
            raise

    def _first_to_speak(self) -> int:
        return self._wait(sorted(set(self._owner.values())))

    def _wait(self, workers: list[int]) -> int:
        """The first of some workers with a reply."""
        timeout = self._timeout
        end = time.monotonic() + timeout
        connections = [self._connections[worker] for worker in workers]
        while not (ready := wait(connections, min(STATUS_CHECK, timeout) if timeout else STATUS_CHECK)):
            for worker in workers:
                if not self._workers[worker].is_alive():
                    self._raise_lost(worker)
            if timeout and time.monotonic() >= end:
                raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
        return workers[connections.index(ready[0])]  # type: ignore[arg-type]

    def _raise_lost(self, worker: int) -> None:
        process = self._workers[worker]
        process.join(STOPPING)
        code, number = process.exitcode, process.pid
        if code is not None and code < 0:
            how = f"DataLoader worker (pid {number}) is killed by signal: {signal.strsignal(-code)}. "
        else:
            how = (f"DataLoader worker (pid {number}) exited unexpectedly with exit code {code}. Details are lost due to "
                   "multiprocessing. Rerunning with num_workers=0 may give better error trace.")
        self._stop()
        raise RuntimeError(f"DataLoader worker (pid(s) {number}) exited unexpectedly") from RuntimeError(how)


def _default_context() -> Any:
    """What the program has chosen, or else fork where there is one, as torch documents it."""
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen is None and "fork" in multiprocessing.get_all_start_methods():
        chosen = "fork"
    return multiprocessing.get_context(chosen)


def _stop(owner: int, workers: list[Any], connections: list[Connection]) -> None:
    """End the workers: they are told, then waited for, then terminated. A fork of their owner leaves them alone."""
    if os.getpid() != owner:
        return
    for connection in connections:
        with suppress(OSError):
            send(connection, None, limit(1))
        connection.close()
    end = time.monotonic() + STOPPING
    for process in workers:
        process.join(max(end - time.monotonic(), 0.0))
        if process.is_alive():
            process.terminate()
            process.join()
        process.close()
