"""From numbers of samples to a batch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from ....tracer.lazy.at_once import at_once
from ....tracer.tensor.tensor import Tensor
from ..dataset import Subset, TensorDataset
from .collate import collate_tensor_fn, default_collate, default_collate_fn_map
from .host import rows


class MapFetcher:
    """Batches of a dataset that is asked by number; where `batched` is false, numbers come one by one."""

    def __init__(self, dataset: Any, batched: bool, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        self.dataset, self.batched, self.collate_fn = dataset, batched, collate_fn

    @at_once()
    def fetch(self, index: Any) -> Any:
        """The batch of these numbers."""
        if not self.batched:
            return self.collate_fn(self.dataset[index])
        if self.collate_fn is default_collate and (batch := _rows(self.dataset, index)) is not None:
            return batch
        at_once = getattr(self.dataset, "__getitems__", None)
        return self.collate_fn(at_once(index) if at_once else [self.dataset[i] for i in index])


class IterableFetcher:
    """Batches of a dataset that is iterated; of the numbers only how many they are counts."""

    def __init__(self, dataset: Any, batched: bool, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        self.batched, self.collate_fn, self.drop_last = batched, collate_fn, drop_last
        self._samples, self._ended = iter(dataset), False

    @at_once()
    def fetch(self, index: Any) -> Any:
        """The next batch; StopIteration at the end."""
        if self._ended:
            raise StopIteration
        if not self.batched:
            return self.collate_fn(next(self._samples))
        samples = list(islice(self._samples, len(index)))
        self._ended = len(samples) < len(index)
        if not samples or (self._ended and self.drop_last):
            raise StopIteration
        return self.collate_fn(samples)


def _rows(dataset: Any, index: list[Any]) -> list[Tensor] | None:
    """What `default_collate` makes of a TensorDataset's samples, without making each; None where it is not that."""
    while type(dataset) is Subset:
        index, dataset = [dataset.indices[i] for i in index], dataset.dataset
    if type(dataset) is not TensorDataset or default_collate_fn_map[Tensor] is not collate_tensor_fn:
        return None
    return rows(dataset.tensors, index)


FETCHERS: dict[bool, type[MapFetcher] | type[IterableFetcher]] = {False: MapFetcher, True: IterableFetcher}
