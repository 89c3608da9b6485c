"""Samplers: in which order a dataset's samples come, and how many make a batch.

Source: https://pytorch.org/docs/stable/data.html#data-loading-order-and-sampler
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from ...tracer.functions.creation import as_tensor, empty
from ...tracer.functions.random import Generator, multinomial, randint, randperm
from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor

__all__ = ["BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler"]

Index = TypeVar("Index", covariant=True)
_AT_ONCE = 32  # numbers that a draw with replacement takes from its generator at a time, as torch's


class Sampler(Generic[Index]):
    """Numbers of samples, in an order: subclasses write `__iter__`, and `__len__` for those who ask how many.

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.Sampler
    """

    _guarded = True  # a compiled step that reads one depends on all that it knows

    def __iter__(self) -> Iterator[Index]:
        raise NotImplementedError


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ...: as the dataset has them.

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.SequentialSampler
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All numbers in random order, or each drawn from all.

    Args: `data_source`, which has a length; `replacement`, whether a number may come again; `num_samples`, how many to
    draw, by default all; `generator`, by default one that the default generator seeds at each pass.
    Raises TypeError for a replacement that is no bool, ValueError for a number of samples that is not positive.

    >>> import flambeau as torch
    >>> from flambeau.utils.data import RandomSampler
    >>> sorted(RandomSampler(range(4), generator=torch.Generator().manual_seed(0)))
    [0, 1, 2, 3]

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.RandomSampler
    """

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None,
                 generator: Generator | None = None) -> None:
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self) -> int:
        """How many numbers a pass gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        source = self.generator
        if source is None:
            source = Generator().manual_seed(drawn_seed(None))
        count, size = self.num_samples, len(self.data_source)
        if self.replacement:
            for start in range(0, count, _AT_ONCE):
                yield from randint(0, size, (min(_AT_ONCE, count - start),), generator=source).tolist()
        else:
            for start in range(0, count, size):
                yield from randperm(size, generator=source).tolist()[:count - start]

    def __len__(self) -> int:
        return self.num_samples


def drawn_seed(generator: Generator | None) -> int:
    """A seed that a generator, by default the default one, gives."""
    return int(empty((), dtype=dtypes.int64).random_(generator=generator).item())


class SubsetRandomSampler(Sampler[int]):
    """Some numbers in random order.

    Args: `indices`, the numbers; `generator`, where randomness comes from.

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.SubsetRandomSampler
    """

    indices: Sequence[int]

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Numbers drawn with given weights, which need not add up to 1.

    Args: `weights`, one for each number; `num_samples`, how many to draw; `replacement`, whether a number may come
    again; `generator`, where randomness comes from. Raises ValueError for arguments of other kinds.

    >>> from flambeau.utils.data import WeightedRandomSampler
    >>> list(WeightedRandomSampler([0.0, 1.0, 0.0], 4))
    [1, 1, 1, 1]

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.WeightedRandomSampler
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True,
                 generator: Generator | None = None) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.weights = as_tensor(weights, dtype=dtypes.float64)
        if self.weights.ndim != 1:
            raise ValueError("weights should be a 1d sequence but given weights have shape "
                             f"{tuple(self.weights.shape)}")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        yield from multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[Any]]):
    """What another sampler gives, in lists of a length.

    Args: `sampler`, a sampler or any iterable; `batch_size`, the length of a list; `drop_last`, whether a last list that
    is shorter is left out. Raises ValueError for arguments of other kinds.

    >>> from flambeau.utils.data import BatchSampler
    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.BatchSampler
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        numbers = iter(self.sampler)
        while batch := list(islice(numbers, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
