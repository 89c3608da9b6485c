"""`DataLoader`: batches of a dataset, in an order, made in this process or by workers."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from ...tracer.functions.random import Generator
from ...tracer.ir.told import tell
from ._utils.collate import default_collate, default_convert
from ._utils.iterators import BaseIterator, MultiProcessIterator, SingleProcessIterator
from ._utils.worker import get_worker_info
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

Sample = TypeVar("Sample", covariant=True)
_FIXED = frozenset(("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"))


class _Endless(Sampler[None]):
    """Asks an iterable dataset for one more sample, without end."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[Sample]):
    """Iterates over the batches of a dataset.

    Args: `dataset`, with `__getitem__` and `__len__`, or an `IterableDataset`; `batch_size`, how many samples make a
    batch, None for single samples; `shuffle`, whether each pass has a random order; `sampler`, an iterable of sample
    numbers instead; `batch_sampler`, an iterable of lists of these instead; `num_workers`, how many processes make
    batches, 0 for this one; `collate_fn`, makes a batch of a list of samples; `pin_memory`, taken and without effect;
    `drop_last`, whether a last batch that is smaller is left out; `timeout`, seconds to wait for a worker's batch, 0 for
    no limit; `worker_init_fn`, called in each worker with its number; `multiprocessing_context`, a start method or a
    context, by default `fork` where there is one; `generator`, where shuffling and the workers' seeds come from;
    `prefetch_factor`, how many batches each worker is ahead, 2 by default; `persistent_workers`, whether workers stay for
    the next pass; `in_order`, whether batches come in the sampler's order though a later one is ready.
    Workers compute with numpy, on the CPU, and never load XLA. Worker w is seeded with a number drawn from the generator
    plus w: Python's generator, numpy's and the default one. An exception in a worker is raised here, with its traceback.
    Raises ValueError for arguments that exclude each other; RuntimeError, while it is iterated, for a worker that ended or
    that takes longer than the timeout.

    >>> from flambeau.utils.data import DataLoader
    >>> for batch in DataLoader(range(5), batch_size=2):
    ...     print(batch)
    tensor([0, 1])
    tensor([2, 3])
    tensor([4])

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader
    """

    _guarded = True  # a compiled step that comes to one depends on all that it knows

    dataset: Any
    sampler: Any
    batch_sampler: Any
    num_workers: int
    prefetch_factor: int | None
    timeout: float
    _iterator: MultiProcessIterator | None = None
    _IterableDataset_len_called: int | None = None
    __initialized = False

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Sampler[Any] | Iterable[Any] | None = None,
                 batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None, num_workers: int = 0,
                 collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False, drop_last: bool = False,
                 timeout: float = 0, worker_init_fn: Callable[[int], None] | None = None,
                 multiprocessing_context: Any = None, generator: Generator | None = None, *,
                 prefetch_factor: int | None = None, persistent_workers: bool = False, pin_memory_device: str = "",
                 in_order: bool = True) -> None:
        _check_processes(num_workers, timeout, prefetch_factor, persistent_workers)
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            _check_iterable(shuffle, sampler, batch_sampler)
        _check_batches(batch_size, bool(shuffle), sampler, batch_sampler, drop_last)
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, timeout
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.worker_init_fn, self.multiprocessing_context = worker_init_fn, multiprocessing_context
        self.in_order, self.persistent_workers, self.generator = in_order, persistent_workers, generator
        if sampler is None:
            sampler = (_Endless() if self._iterable else
                       RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset))
        self.batch_size, self.drop_last = None if batch_sampler is not None else batch_size, drop_last
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn = collate_fn or (default_collate if self._auto_collation else default_convert)
        self.__initialized = True
        self.check_worker_number_rationality()

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """How workers are started; None for the default."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None and self.num_workers <= 0:
            raise ValueError("multiprocessing_context can only be used with multi-process loading (num_workers > 0), but "
                             f"got num_workers={self.num_workers}")
        if isinstance(context, str):
            valid = multiprocessing.get_all_start_methods()
            if context not in valid:
                raise ValueError(f"multiprocessing_context option should specify a valid start method in {valid!r}, but got "
                                 f"multiprocessing_context={context!r}")
            context = multiprocessing.get_context(context)
        if context is not None and not isinstance(context, BaseContext):
            raise TypeError("multiprocessing_context option should be a valid context object or a string specifying the "
                            f"start method, but got multiprocessing_context={context}")
        self._context: BaseContext | None = context

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__initialized and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        """Gives what a batch is asked for by: numbers in lists, or single ones."""
        return self.batch_sampler if self._auto_collation else self.sampler

    def _get_iterator(self) -> BaseIterator:
        if self.num_workers == 0:
            return SingleProcessIterator(self)
        self.check_worker_number_rationality()
        return MultiProcessIterator(self)

    def __iter__(self) -> Iterator[Any]:
        if not (self.persistent_workers and self.num_workers > 0):
            return self._get_iterator()
        if self._iterator is None or self._iterator.ended:
            self._iterator = MultiProcessIterator(self)
        else:
            self._iterator._reset(self)
        return self._iterator

    def __len__(self) -> int:
        if not self._iterable:
            return len(self._index_sampler)
        count = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return count
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn of more workers than there are processors for this process."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        if not self.num_workers or (cores is not None and self.num_workers <= cores):
            return
        asked = "" if hasattr(os, "sched_getaffinity") else " (`cpuset` is not taken into account)"
        known = (f"Our suggested max number of worker in current system is {cores}{asked}, which is smaller than what this "
                 "DataLoader is going to create." if cores is not None else
                 "DataLoader is not able to compute a suggested max number of worker in current system.")
        tell(f"This DataLoader will create {self.num_workers} worker processes in total. {known} Please be aware "
             "that excessive worker creation might get DataLoader running slow or even freeze, lower the worker "
             "number to avoid potential slowness/freeze if necessary.")


# --- What excludes what -----------------------------------------------------------------------------------------------


def _check_processes(num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool) -> None:
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError("prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable "
                         "multiprocessing, otherwise set prefetch_factor to None.")
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_iterable(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    for name, value, given in (("shuffle", shuffle, shuffle not in (None, False)), ("sampler", sampler, sampler is not None),
                               ("batch_sampler", batch_sampler, batch_sampler is not None)):
        if given:
            raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}")


def _check_batches(batch_size: int | None, shuffle: bool, sampler: Any, batch_sampler: Any, drop_last: bool) -> None:
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
    if batch_size is None and batch_sampler is None and drop_last:
        raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
