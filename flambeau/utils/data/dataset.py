"""Datasets: what has samples, by number or one after the other.

Source: https://pytorch.org/docs/stable/data.html
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ...tracer.functions.random import Generator, default_generator, randperm
from ...tracer.ir.told import tell
from ...tracer.tensor.tensor import Tensor

__all__ = ["ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset", "TensorDataset",
           "random_split"]

Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Samples by number: subclasses write `__getitem__`, and `__len__` for those who ask how many there are.

    A subclass may write `__getitems__(indices)` too, which gives the list of a batch's samples at once.

    >>> from flambeau.utils.data import Dataset
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, index):
    ...         return index ** 2
    >>> (Squares() + Squares())[5]
    1

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.Dataset
    """

    _guarded = True  # a compiled step that reads one depends on all that it knows

    def __getitem__(self, index: Any) -> Sample:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample], Iterable[Sample]):
    """Samples one after the other: subclasses write `__iter__`.

    Each worker of a `DataLoader` has a copy of it; `get_worker_info` tells it which part is its own.

    >>> from flambeau.utils.data import DataLoader, IterableDataset
    >>> class Countdown(IterableDataset):
    ...     def __iter__(self):
    ...         return iter([3, 2, 1])
    >>> list(DataLoader(Countdown(), batch_size=2))
    [tensor([3, 2]), tensor([1])]

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset
    """

    def __add__(self, other: Dataset[Any]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is the tuple of the i-th rows of some tensors.

    Args: `tensors`, of any shapes whose first sizes are equal. Raises AssertionError where they are not.

    >>> import flambeau as torch
    >>> from flambeau.utils.data import TensorDataset
    >>> TensorDataset(torch.arange(3), torch.arange(6).reshape(3, 2))[1]
    (tensor(1), tensor([2, 3]))

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.TensorDataset
    """

    def __init__(self, *tensors: Tensor) -> None:
        if any(len(tensor) != len(tensors[0]) for tensor in tensors):
            raise AssertionError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([tensor[index] for tensor in self.tensors])

    def __len__(self) -> int:
        return len(self.tensors[0])


class StackDataset(Dataset[Any]):
    """Datasets side by side: sample i is the tuple, or the dict, of their samples i.

    Args: the datasets, all of one length, either positional (tuples) or named (dicts).
    Raises ValueError for different lengths, for both kinds at once, and for none.

    >>> from flambeau.utils.data import StackDataset
    >>> StackDataset(image=["a", "b"], label=[0, 1])[1]
    {'image': 'b', 'label': 1}

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.StackDataset
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like input/output, "
                             "but both types are given.")
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        lengths = [len(dataset) for dataset in (args or kwargs.values())]
        if any(length != lengths[0] for length in lengths):
            raise ValueError("Size mismatch between datasets")
        self.datasets, self._length = args or kwargs, lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        """The samples of a batch."""
        if isinstance(self.datasets, dict):
            columns = [_several(dataset, indices) for dataset in self.datasets.values()]
            return [dict(zip(self.datasets, row)) for row in zip(*columns)]
        return list(zip(*[_several(dataset, indices) for dataset in self.datasets]))

    def __len__(self) -> int:
        return self._length


def _several(dataset: Any, indices: list[Any]) -> list[Any]:
    if not callable(getattr(dataset, "__getitems__", None)):
        return [dataset[i] for i in indices]
    items: list[Any] = dataset.__getitems__(indices)
    if len(items) != len(indices):
        raise ValueError(f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(items)}")
    return items


class ConcatDataset(Dataset[Sample]):
    """Datasets one after the other, by number.

    Args: `datasets`, of which none is an IterableDataset. Raises AssertionError for none, or one of these; indexing
    raises ValueError for a negative number beyond the beginning.

    >>> from flambeau.utils.data import ConcatDataset
    >>> ConcatDataset(["ab", "cde"])[-1]
    'e'

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.ConcatDataset
    """

    datasets: list[Any]
    cumulative_sizes: list[int]
    cummulative_sizes = property(lambda self: self.cumulative_sizes, doc="`cumulative_sizes` under its former name.")

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """How many samples there are up to the end of each dataset."""
        return list(itertools.accumulate(len(dataset) for dataset in sequence))

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Sample:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        which = bisect_right(self.cumulative_sizes, index)
        found: Sample = self.datasets[which][index - self.cumulative_sizes[which - 1] if which else index]
        return found


class ChainDataset(IterableDataset[Any]):
    """Datasets one after the other, as a stream.

    Args: `datasets`, each an IterableDataset; AssertionError, once they are iterated, for one that is not.

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.ChainDataset
    """

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield dataset

    def __iter__(self) -> Iterator[Any]:
        for dataset in self._streams():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._streams())


class Subset(Dataset[Sample]):
    """Some samples of a dataset.

    Args: `dataset`; `indices`, the numbers of the samples in it.
    Raises NotImplementedError for a subclass that says what a sample is without saying what a batch is.

    >>> from flambeau.utils.data import Subset
    >>> list(Subset("abcd", [3, 1]))
    ['d', 'b']

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.Subset
    """

    dataset: Any
    indices: Sequence[int]

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{kind.__name__} overrides __getitem__ but not __getitems__. When subclassing Subset and overriding "
                "__getitem__, you must also override __getitems__ to ensure DataLoader works correctly with your custom "
                "logic. A simple implementation:\n\ndef __getitems__(self, indices):\n"
                "    return [self.__getitem__(idx) for idx in indices]")

    def __getitem__(self, index: Any) -> Sample:
        if isinstance(index, list):
            several: Sample = self.dataset[[self.indices[i] for i in index]]
            return several
        found: Sample = self.dataset[self.indices[index]]
        return found

    def __getitems__(self, indices: list[Any]) -> list[Sample]:
        """The samples of a batch."""
        own = [self.indices[i] for i in indices]
        if callable(getattr(self.dataset, "__getitems__", None)):
            several: list[Sample] = self.dataset.__getitems__(own)
            return several
        return [self.dataset[i] for i in own]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = default_generator
                 ) -> list[Subset[Any]]:
    """A dataset cut at random into parts that have no sample in common.

    Args: `dataset`, with a length; `lengths`, how many samples each part gets, or fractions that add up to 1, of which
    what is left over by rounding down goes to the first parts, one each; `generator`, where randomness comes from.
    Raises ValueError where lengths do not add up to the dataset's, or a fraction is outside [0, 1].

    >>> from flambeau.utils.data import random_split
    >>> [len(part) for part in random_split(range(10), [0.25, 0.75])]
    [3, 7]

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.random_split
    """
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _shares(len(dataset), lengths)
    if sum(lengths) != len(dataset):
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    counts = [int(n) for n in lengths]
    order = randperm(sum(counts), generator=generator).tolist()
    return [Subset(dataset, order[end - n:end]) for end, n in zip(itertools.accumulate(counts), counts)]


def _shares(total: int, fractions: Sequence[float]) -> list[int]:
    for i, fraction in enumerate(fractions):
        if fraction < 0 or fraction > 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1")
    counts = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(counts)):
        counts[i % len(counts)] += 1
    for i, count in enumerate(counts):
        if count == 0:
            tell(f"Length of split at index {i} is 0. This might result in an empty dataset.")
    return counts
