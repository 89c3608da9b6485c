"""`torch.utils.data` against torch's: datasets, samplers, collating and loaders give the same, and refuse in the same words."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

Point = namedtuple("Point", ["x", "y"])
Both = Callable[[Any, Any], Any]


def plain(x: Any) -> Any:
    """Tensors as type, dtype and numbers, so that both libraries' compare."""
    if isinstance(x, (torch.Tensor, flambeau.Tensor)):
        return "tensor", str(x.dtype), tuple(x.shape), x.tolist()
    if isinstance(x, dict):
        return type(x).__name__, {key: plain(item) for key, item in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [plain(item) for item in x]
    return x


def outcome(case: Both, library: Any) -> Any:
    """What a case gives, or the type and text of its error."""
    try:
        return plain(case(library, library.utils.data))
    except Exception as error:
        return type(error).__name__, str(error).replace("flambeau", "torch")


def stream(d: Any, *numbers: Any) -> Any:
    class Stream(d.IterableDataset):
        def __iter__(self) -> Any:
            return iter(numbers)

        def __len__(self) -> int:
            return len(numbers)
    return Stream()


class Text(dict):
    """A mapping with something beside its items."""

    note = "kept"


COLLATED: list[Any] = [
    [1, 2], [True, False], [1.5, 2.0], ["a", "b"], [b"a", b"b"], [(1, 2.0), (3, 4.0)], [[1, "a"], [2, "b"]],
    [Point(1, 2.0), Point(3, 4.0)], [{"x": 1}, {"x": 2}], [OrderedDict(a=1), OrderedDict(a=2)], [Text(a=1), Text(a=2)],
    [np.arange(3), np.arange(3)], [np.float32(1), np.float32(2)], [np.array(1.0), np.array(2.0)],
    [np.bool_(True), np.bool_(False)],
    [range(2), range(2)], [np.array(["a"]), np.array(["b"])], [[1], [1, 2]], [None, None], [{1}, {2}], [{"x": 1}, {"y": 2}],
    [np.arange(3), np.arange(2)], [np.arange(2), np.arange(2.0)], [], [1, 2.5], [np.zeros((0, 2)), np.zeros((0, 2))],
    [[(1, {"k": np.ones(2, np.float16)})]] * 2, [1 + 2j, 3j],
]


@pytest.mark.parametrize("samples", COLLATED, ids=lambda samples: repr(samples)[:40])
def test_collate(samples: list[Any]) -> None:
    cases: list[Both] = [lambda t, d: d.default_collate(samples), lambda t, d: d.default_convert(samples),
                         lambda t, d: d.default_convert(samples[0]) if samples else None]
    for case in cases:
        assert outcome(case, flambeau) == outcome(case, torch)


TENSORS: list[Callable[[Any], list[Any]]] = [
    lambda t: [t.arange(3), t.arange(3)],
    lambda t: [t.ones(2, 3)[0], t.zeros(2, 3)[1]],
    lambda t: list(t.arange(12).reshape(3, 4).t()),
    lambda t: list(t.arange(12).reshape(3, 4)[:, ::2]),
    lambda t: [t.ones(2) * 2, t.ones(2) + 1],
    lambda t: [t.tensor(1.0), t.tensor(2.0)],
    lambda t: [t.ones(0, 2), t.ones(0, 2)],
    lambda t: [t.ones(2, dtype=t.bfloat16)] * 2,
    lambda t: [t.ones(2, dtype=t.bool), t.zeros(2, dtype=t.bool)],
    lambda t: [t.ones(2, dtype=t.complex64) * 1j] * 2,
    lambda t: [(t.ones(2, dtype=t.complex64) * 1j).conj()] * 2,
    lambda t: [t.arange(3).expand(2, 3), t.arange(6).reshape(2, 3)],
    lambda t: [t.from_numpy(np.arange(4.0))[1:], t.from_numpy(np.arange(6.0)[::2])],
    lambda t: [t.ones(2), t.ones(3)],
    lambda t: [t.ones(2), t.ones(2, dtype=t.int64)],
    lambda t: [t.nn.Parameter(t.ones(2)).detach(), t.ones(2)],
]


@pytest.mark.parametrize("samples", TENSORS)
def test_collate_of_tensors(samples: Callable[[Any], list[Any]]) -> None:
    case: Both = lambda t, d: d.default_collate(samples(t))  # noqa: E731
    assert outcome(case, flambeau) == outcome(case, torch)


def test_a_batch_of_tensors_that_require_gradients_has_a_gradient() -> None:
    x = flambeau.ones(2, requires_grad=True)
    flambeau.utils.data.default_collate([x, 2 * x]).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_rules_can_be_added() -> None:
    def case(t: Any, d: Any) -> Any:
        rules = d._utils.collate.default_collate_fn_map
        rules[complex] = lambda batch, *, collate_fn_map=None: t.tensor([z.real for z in batch])
        try:
            return d.default_collate([(1j + 2, 1), (3j, 2)])
        finally:
            del rules[complex]
    assert outcome(case, flambeau) == outcome(case, torch)


def numbers(t: Any, *shape: int) -> Any:
    return t.arange(int(np.prod(shape))).reshape(shape)


CASES: dict[str, Both] = {
    "dataset": lambda t, d: d.Dataset()[0],
    "tensors": lambda t, d: [d.TensorDataset(numbers(t, 4, 2), t.arange(4))[i] for i in (0, -1, slice(1, 3))],
    "tensors of several lengths": lambda t, d: d.TensorDataset(t.ones(2), t.ones(3)),
    "tensors length": lambda t, d: len(d.TensorDataset(numbers(t, 4, 2))),
    "stack": lambda t, d: d.StackDataset("abc", range(3))[2],
    "stack named": lambda t, d: d.StackDataset(a="abc", b=range(3))[2],
    "stack items": lambda t, d: d.StackDataset("abc", d.Subset("xyz", [2, 1, 0])).__getitems__([0, 2]),
    "stack named items": lambda t, d: d.StackDataset(a="abc", b=range(3)).__getitems__([0, 2]),
    "stack both": lambda t, d: d.StackDataset("abc", b=range(3)),
    "stack none": lambda t, d: d.StackDataset(),
    "stack of several lengths": lambda t, d: d.StackDataset("abc", "ab"),
    "concat": lambda t, d: [d.ConcatDataset(["ab", "", "cde"])[i] for i in (0, 1, 2, 4, -1, -5)],
    "concat sizes": lambda t, d: d.ConcatDataset(["ab", "", "cde"]).cumulative_sizes,
    "concat beyond": lambda t, d: d.ConcatDataset(["ab"])[-3],
    "concat none": lambda t, d: d.ConcatDataset([]),
    "concat stream": lambda t, d: d.ConcatDataset([stream(d, 1)]),
    "sum": lambda t, d: type(d.TensorDataset(t.ones(1)) + d.TensorDataset(t.ones(1))).__name__,
    "chain": lambda t, d: list(stream(d, 1, 2) + stream(d, 3)),
    "chain length": lambda t, d: len(d.ChainDataset([stream(d, 1, 2), stream(d, 3)])),
    "chain of others": lambda t, d: list(d.ChainDataset(["ab"])),
    "subset": lambda t, d: (d.Subset("abcd", [3, 0])[0], d.Subset("abcd", [3, 0]).__getitems__([1, 0])),
    "subset list": lambda t, d: d.Subset(t.arange(5), [4, 3, 2])[[0, 2]],
    "subset half written": lambda t, d: type("S", (d.Subset,), {"__getitem__": lambda self, i: i})("ab", [0]),
    "split": lambda t, d: [len(p) for p in d.random_split(range(10), [3, 7])],
    "split all": lambda t, d: sorted(i for p in d.random_split(range(10), [3, 7]) for i in p),
    "split fractions": lambda t, d: [len(p) for p in d.random_split(range(11), [0.3, 0.3, 0.4])],
    "split sum": lambda t, d: d.random_split(range(10), [3, 3]),
    "split fraction": lambda t, d: d.random_split(range(10), [-0.5, 1.5]),
    "sequential": lambda t, d: (list(d.SequentialSampler("abc")), len(d.SequentialSampler("abc"))),
    "random": lambda t, d: sorted(d.RandomSampler("abcd")),
    "random many": lambda t, d: (sorted(list(d.RandomSampler("abc", num_samples=7))[:6]),
                                 len(list(d.RandomSampler("abc", num_samples=7)))),
    "random replaced": lambda t, d: (len(list(d.RandomSampler("abc", True, 70))), set(d.RandomSampler("abc", True, 70))),
    "random bad replacement": lambda t, d: d.RandomSampler("abc", 3),
    "random bad count": lambda t, d: d.RandomSampler("abc", num_samples=0),
    "random of none": lambda t, d: d.RandomSampler(""),
    "random float count": lambda t, d: d.RandomSampler("abc", num_samples=2.5),
    "subset random": lambda t, d: sorted(d.SubsetRandomSampler([5, 7, 9])),
    "weighted": lambda t, d: list(d.WeightedRandomSampler([0, 0, 3.0], 5)),
    "weighted once": lambda t, d: sorted(d.WeightedRandomSampler([1, 0, 3.0], 2, replacement=False)),
    "weighted bad": lambda t, d: d.WeightedRandomSampler([[1, 0]], 2),
    "weighted count": lambda t, d: d.WeightedRandomSampler([1, 0], True),
    "weighted replacement": lambda t, d: d.WeightedRandomSampler([1, 0], 2, 1),
    "batches": lambda t, d: (list(d.BatchSampler(range(5), 2, False)), list(d.BatchSampler(range(5), 2, True)),
                             len(d.BatchSampler(range(5), 2, False)), len(d.BatchSampler(range(5), 2, True))),
    "batch size": lambda t, d: d.BatchSampler(range(5), 0, False),
    "batch size bool": lambda t, d: d.BatchSampler(range(5), True, False),
    "batch drop": lambda t, d: d.BatchSampler(range(5), 2, 1),
    "sampler": lambda t, d: iter(d.Sampler()),
    "rank": lambda t, d: d.distributed.DistributedSampler(range(5), 2, 2),
    "loader": lambda t, d: list(d.DataLoader(range(5), 2)),
    "loader dropping": lambda t, d: list(d.DataLoader(range(5), 2, drop_last=True)),
    "loader of single samples": lambda t, d: list(d.DataLoader([np.ones(2), (1, np.zeros(1))], batch_size=None)),
    "loader sampler": lambda t, d: list(d.DataLoader("abc", sampler=[2, 0])),
    "loader batch sampler": lambda t, d: list(d.DataLoader(range(9), batch_sampler=[[1, 2], [8]])),
    "loader collate": lambda t, d: list(d.DataLoader(range(4), 2, collate_fn=tuple)),
    "loader shuffled": lambda t, d: sorted(b.item() for b in d.DataLoader(range(4), shuffle=True)),
    "loader stream": lambda t, d: list(d.DataLoader(stream(d, 1, 2, 3), 2)),
    "loader stream dropping": lambda t, d: list(d.DataLoader(stream(d, 1, 2, 3), 2, drop_last=True)),
    "loader stream of single": lambda t, d: list(d.DataLoader(stream(d, 1, 2, 3), None)),
    "loader length": lambda t, d: [len(d.DataLoader(s, n, drop_last=drop)) for s in (range(5), stream(d, 1, 2, 3, 4, 5))
                                   for n in (1, 2) for drop in (True, False)],
    "loader rows": lambda t, d: list(d.DataLoader(d.TensorDataset(numbers(t, 5, 2), t.arange(5)), 2)),
    "loader rows of a part": lambda t, d: list(d.DataLoader(d.Subset(d.TensorDataset(numbers(t, 5, 2).t()), [1, -2]), 2)),
    "loader rows negative": lambda t, d: list(d.DataLoader(d.TensorDataset(t.arange(5)), batch_sampler=[[-1, 2]])),
    "loader rows gathered": lambda t, d: list(d.DataLoader(d.TensorDataset(t.arange(5)), batch_sampler=[[[0, 1], [3, 2]]])),
    "loader no rows": lambda t, d: list(d.DataLoader(d.TensorDataset(t.arange(0)), 2)),
    "loader attribute": lambda t, d: setattr(d.DataLoader(range(4)), "batch_size", 3),
    "loader iterator length": lambda t, d: len(iter(d.DataLoader(range(5), 2))),
    "no workers": lambda t, d: d.DataLoader(range(4), num_workers=-1),
    "timeout": lambda t, d: d.DataLoader(range(4), timeout=-1),
    "prefetch": lambda t, d: d.DataLoader(range(4), prefetch_factor=2),
    "prefetch negative": lambda t, d: d.DataLoader(range(4), num_workers=1, prefetch_factor=-2),
    "persistent": lambda t, d: d.DataLoader(range(4), persistent_workers=True),
    "sampler and shuffle": lambda t, d: d.DataLoader(range(4), sampler=[1], shuffle=True),
    "batch sampler and size": lambda t, d: d.DataLoader(range(4), 2, batch_sampler=[[1]]),
    "no batches and drop": lambda t, d: d.DataLoader(range(4), None, drop_last=True),
    "stream and shuffle": lambda t, d: d.DataLoader(stream(d, 1), shuffle=True),
    "stream and sampler": lambda t, d: d.DataLoader(stream(d, 1), sampler=[1]),
    "stream and batch sampler": lambda t, d: d.DataLoader(stream(d, 1), batch_sampler=[[1]]),
    "context without workers": lambda t, d: d.DataLoader(range(4), multiprocessing_context="fork"),
    "context unknown": lambda t, d: d.DataLoader(range(4), num_workers=1, multiprocessing_context="thread"),
    "context of a type": lambda t, d: d.DataLoader(range(4), num_workers=1, multiprocessing_context=3),
    "loader of none": lambda t, d: d.DataLoader([], shuffle=True),
    "attributes": lambda t, d: sorted(name for name in vars(d.DataLoader(range(4))) if not name.startswith("_")),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    assert outcome(CASES[name], flambeau) == outcome(CASES[name], torch)


@pytest.mark.parametrize("size", [0, 1, 2, 5, 6, 7])
@pytest.mark.parametrize("replicas", [1, 2, 3, 8])
@pytest.mark.parametrize("drop_last", [False, True])
def test_distributed_sampler(size: int, replicas: int, drop_last: bool) -> None:
    if size == 0 and not drop_last:
        return
    for rank in range(replicas):
        def case(t: Any, d: Any, rank: int = rank) -> Any:
            sampler = d.distributed.DistributedSampler(range(size), replicas, rank, shuffle=False, drop_last=drop_last)
            return list(sampler), len(sampler), sampler.total_size
        assert outcome(case, flambeau) == outcome(case, torch)


def test_distributed_shuffles_agree() -> None:
    def parts(epoch: int) -> list[list[int]]:
        found = []
        for rank in range(2):
            sampler = flambeau.utils.data.DistributedSampler(range(8), 2, rank, seed=3)
            sampler.set_epoch(epoch)
            found.append(list(sampler))
        return found
    assert parts(0) == parts(0) != parts(1)
    assert sorted(i for part in parts(1) for i in part) == list(range(8))


def test_shuffling_follows_its_seed() -> None:
    def order(seed: int, **options: Any) -> list[int]:
        generator = flambeau.Generator().manual_seed(seed)
        return [int(b) for b in flambeau.utils.data.DataLoader(range(20), shuffle=True, generator=generator, **options)]
    assert order(1) == order(1) == order(1, num_workers=1) != order(2)
    flambeau.manual_seed(5)
    first = [int(b) for b in flambeau.utils.data.DataLoader(range(20), shuffle=True)]
    flambeau.manual_seed(5)
    assert first == [int(b) for b in flambeau.utils.data.DataLoader(range(20), shuffle=True)]


def test_numpys_seed_in_a_worker_is_torchs() -> None:
    _generate_state = torch.utils.data._utils.worker._generate_state
    for base in (0, 7, 2**40 + 3, 2**63 - 1):
        for worker in (0, 3):
            assert flambeau.utils.data._utils.worker.numpy_seed(base, worker).tolist() == _generate_state(base, worker)


def test_every_public_name_is_there() -> None:
    pipes = {"DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe", "_DatasetKind", "argument_validation",
             "functional_datapipe", "guaranteed_datapipes_determinism", "non_deterministic", "runtime_validation",
             "runtime_validation_disabled"}
    assert set(torch.utils.data.__all__) - pipes == set(flambeau.utils.data.__all__)
