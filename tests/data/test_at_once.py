"""What a data set does with tensors of the host is done by numpy at once: values, memory, errors and state are as ever."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.graph import Value
from flambeau.tracer.ir.recorder import thread_recorder
from flambeau.tracer.ir.state import everywhere, state
from flambeau.tracer.lazy.at_once import LIGHT, SMALL, at_once
from flambeau.tracer.lazy.flush import host_array
from flambeau.tracer.ops import OPS
from flambeau.utils.data import DataLoader, Dataset, IterableDataset

from ..ops.sample import BadSample, Sample
from ..ops.samples import BAD, SAMPLES


class Made(Dataset[Any]):
    """Eight samples that a function makes of their numbers."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> Any:
        return self.make(i)


def given(array: Any) -> Value:
    """A value in the host's memory."""
    return torch.tensor(np.array(array))._read()


# --- Every operation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.arrays], ids=str)
def test_an_operation(numpy_engine: None, sample: Sample) -> None:
    """The reference's result, of the inferred type, in memory of its own; or recorded, if it is large."""
    op = OPS[sample.op]
    inputs = [given(a) for a in sample.arrays]
    with at_once():
        made = op(*inputs, **sample.params)
    wanted = op(*inputs, **sample.params)
    for ours, theirs in zip(made if isinstance(made, tuple) else [made], wanted if isinstance(wanted, tuple) else [wanted],
                            strict=True):
        assert ours.type is theirs.type
        if ours.buffer is not None:
            assert ours.buffer.shape == theirs.type.shape and ours.buffer.dtype == theirs.type.dtype.numpy
            assert not any(np.shares_memory(ours.buffer, v.buffer) for v in inputs if v.buffer.size)
        assert host_array(ours).tobytes() == host_array(theirs).tobytes()


def test_most_operations_are_done_at_once(numpy_engine: None) -> None:
    with at_once():
        made = [(s.op, OPS[s.op](*[given(a) for a in s.arrays], **s.params)) for s in SAMPLES if s.arrays]
    done = {op for op, result in made if isinstance(result, tuple) or result.buffer is not None}
    assert len(done) > 0.9 * len({op for op, _ in made})


@pytest.mark.parametrize("sample", [s for s in BAD if s.arrays], ids=str)
def test_wrong_operands_are_refused(sample: BadSample) -> None:
    """As where they are recorded: by the operation's own words."""
    inputs = [given(a) for a in sample.arrays]
    with at_once(), pytest.raises(Exception, match=r".") as found:
        OPS[sample.op](*inputs, **sample.params)
    with pytest.raises(type(found.value)) as wanted:
        OPS[sample.op](*inputs, **sample.params)
    assert str(found.value) == str(wanted.value)


# --- Samples ----------------------------------------------------------------------------------------------------------


X = np.random.default_rng(0).normal(size=(8, 4, 3)).astype(np.float32)
SAMPLES_OF = {
    "scaled": lambda x, i: (x[i] - 0.5) / 0.25,
    "turned": lambda x, i: (x[i].flip(0) * 2 + 1).clamp(min=0).permute(1, 0),
    "statistics": lambda x, i: (x[i] - x[i].mean()) / x[i].std(),
    "written": lambda x, i: _written(x[i].clone()),
    "masked": lambda x, i: x[i][x[i] > 0].sum(),
    "condition": lambda x, i: x[i] if x[i].sum() > 0 else -x[i],
    "number": lambda x, i: x[i].max().item() + i,
    "products": lambda x, i: x[i] @ x[i].T,
    "types": lambda x, i: (x[i].half(), x[i].to(torch.int32), x[i].double() * 2, x[i] > 0),
    "chosen": lambda x, i: x[i].gather(1, x[i].argsort(1)),
    "padded": lambda x, i: torch.nn.functional.pad(x[i], (1, 2), value=3.0),
    "resized": lambda x, i: torch.nn.functional.interpolate(x[i][None, None], size=(2, 2), mode="bilinear")[0],
    "spectrum": lambda x, i: torch.fft.rfft(x[i]).abs(),
    "dict": lambda x, i: {"x": x[i] * 2, "n": torch.tensor(i), "of numpy": torch.from_numpy(X[i]) + 1},
    "drawn": lambda x, i: x[i] + torch.rand(4, 3),
    "a layer": lambda x, i: _LAYER(x[i]).detach(),
    "gradient": lambda x, i: torch.func.grad(lambda row: (row ** 2).sum())(x[i]),
    "mapped": lambda x, i: torch.func.vmap(lambda row: row * row.sum())(x[i]),
    "jitted": lambda x, i: _jitted(x[i], 2.0),
    "a loop": lambda x, i: torch.while_loop(lambda n, y: n < 3, lambda n, y: (n + 1, y * 2), (torch.tensor(0), x[i]))[1],
}
_LAYER = torch.nn.Linear(3, 2)
_jitted = torch.jit(lambda x, n: x * n + 1)


def _written(row: torch.Tensor) -> torch.Tensor:
    row[0] = 5
    row[:, 1] *= 2
    row.add_(1)
    return row


def contents(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: contents(v) for key, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [contents(v) for v in x]
    return (x.dtype, x.stride(), x.tolist()) if isinstance(x, torch.Tensor) else x


@pytest.mark.parametrize("name", SAMPLES_OF)
def test_samples_are_as_without(numpy_engine: None, name: str) -> None:
    x = torch.tensor(X)
    torch.manual_seed(3)
    with torch.no_grad() if name == "a layer" else warnings.catch_warnings():
        wanted = torch.utils.data.default_collate([SAMPLES_OF[name](x, i) for i in range(8)])
        torch.manual_seed(3)
        loader = DataLoader(Made(lambda i: SAMPLES_OF[name](x, i)), batch_size=8)
        found, = iter(loader) if name != "drawn" else [loader._get_iterator()._fetcher.fetch(list(range(8)))]
    if name == "drawn":
        assert found.shape == wanted.shape and 0 < (found - x).min() < (found - x).max() < 1
    else:
        assert contents(found) == contents(wanted)


def test_nothing_is_left_to_be_run(numpy_engine: None) -> None:
    x = torch.tensor(X)
    torch.synchronize()
    with at_once():
        made = (x[1] * 2 + 1).flip(0)
        assert made._read().buffer is not None and not thread_recorder().nodes
    assert (x[1] * 2)._read().buffer is None


def test_samples_have_memory_of_their_own(numpy_engine: None) -> None:
    x = torch.tensor(X)
    for change in (lambda row: row.reshape(12) + 0, lambda row: row.to(torch.float32).clone(), lambda row: row.T.contiguous()):
        with at_once():
            row = change(x[2])
        before = row.tolist()
        x.mul_(2)
        assert row.tolist() == before


def test_a_number_everywhere_is_new_memory_each_time(numpy_engine: None) -> None:
    with at_once():
        torch.zeros(3).numpy()[0] = 5
        assert torch.zeros(3).tolist() == [0, 0, 0]


def test_a_sample_that_is_a_view_writes_to_the_data(numpy_engine: None) -> None:
    x = torch.tensor(X)

    def make(i: int) -> torch.Tensor:
        row = x[i]
        row += 1
        return row

    list(DataLoader(Made(make), batch_size=4))
    np.testing.assert_array_equal(x.numpy(), X + 1)


def test_gradients_flow_where_they_are_asked_for(numpy_engine: None) -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    x = torch.tensor(X)
    batch = next(iter(DataLoader(Made(lambda i: x[i] * weight), batch_size=8)))
    batch.sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), X.sum((0, 1)), rtol=1e-5)


def test_what_is_large_is_recorded(numpy_engine: None) -> None:
    large, light = torch.tensor(np.zeros(SMALL + 1, np.float32)), torch.tensor(np.zeros(LIGHT + 1, np.float32))
    with at_once():
        assert large.sort().values._read().buffer is None
        assert (light + 1)._read().buffer is None
        assert (large + 1)._read().buffer is not None


def test_rows_of_large_data_are_not(numpy_engine: None) -> None:
    """What is read of it counts, not what it is read from."""
    large = torch.tensor(np.arange(4 * LIGHT, dtype=np.float32).reshape(4, 8, -1))
    with at_once():
        made = (large[1, :, :2] * 2).T
        assert made._read().buffer is not None
    assert made.tolist() == (large[1, :, :2] * 2).T.tolist()


@pytest.mark.parametrize("engine", ["xla", "packed", "pending"])
def test_data_that_xla_computed(engine: str) -> None:
    """Memory of the device is the host's where that is the CPU; what is pending, or in a pack, is recorded."""
    x = torch.arange(24.0).reshape(8, 3) / 4
    layers = [torch.nn.Linear(3, 3) for _ in range(6)]
    if engine == "xla":
        torch.synchronize()
        assert not isinstance(x._read().buffer, np.ndarray)
    if engine == "packed":
        optimizer = torch.optim.SGD([p for layer in layers for p in layer.parameters()], lr=0.1)
        torch.jit(lambda: (sum(layer(x).sum() for layer in layers).backward(), optimizer.step())[1])()
        x = layers[0].weight.detach()
        assert type(x._read().buffer).__name__ == "PackedSlice"
    wanted = [((x[i] - 0.5) * 2).tolist() for i in range(3)]
    if engine == "pending":
        x = torch.arange(24.0).reshape(8, 3) / 4
    with at_once():
        made = [(x[i] - 0.5) * 2 for i in range(3)]
        assert (made[0]._read().buffer is not None) == (engine == "xla")
    assert [row.tolist() for row in made] == wanted


# --- State ------------------------------------------------------------------------------------------------------------


def test_an_error_is_raised_in_the_sample_and_leaves_nothing_on(numpy_engine: None) -> None:
    x = torch.tensor(X)
    with pytest.raises(RuntimeError, match="must match"):
        next(iter(DataLoader(Made(lambda i: x[i] + torch.zeros(7)), batch_size=2)))
    with pytest.raises(IndexError):
        next(iter(DataLoader(Made(lambda i: torch.tensor([1.0, 2.0])[torch.tensor(5)]), batch_size=2)))
    assert not state.at_once and everywhere.at_once is None


def test_debug_mode_looks_at_samples(numpy_engine: None) -> None:
    """The operation that gives the first NaN is named, as it is outside of data sets."""
    with torch.debug_mode(nans=True), pytest.raises(FloatingPointError, match="log"):
        next(iter(DataLoader(Made(lambda i: torch.tensor([-1.0]).log()), batch_size=2)))


def test_other_threads_record(numpy_engine: None) -> None:
    inside, looked = threading.Event(), threading.Event()
    seen: list[bool] = []

    def other() -> None:
        inside.wait()
        seen.append((torch.tensor([1.0]) + 1)._read().buffer is None)
        looked.set()

    def make(i: int) -> torch.Tensor:
        inside.set()
        looked.wait()
        return torch.tensor([1.0]) + i

    thread = threading.Thread(target=other)
    thread.start()
    next(iter(DataLoader(Made(make), batch_size=1)))
    thread.join()
    assert seen == [True] and everywhere.at_once is None


def test_loaders_inside_of_loaders(numpy_engine: None) -> None:
    def outer(i: int) -> Any:
        inner = sum(batch.sum() for batch in DataLoader(Made(lambda j: torch.tensor([1.0 * j]) * 2), batch_size=4))
        return inner + i, state.at_once

    totals, on = next(iter(DataLoader(Made(outer), batch_size=8)))
    assert totals.tolist() == [56.0 + i for i in range(8)] and on.all()


class Stream(IterableDataset[Any]):
    """Samples one by one."""

    def __iter__(self) -> Any:
        for i in range(4):
            yield torch.tensor([float(i)]) * 2 + 1


def test_streams(numpy_engine: None) -> None:
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=2)] == [[[1.0], [3.0]], [[5.0], [7.0]]]
    stream = iter(DataLoader(Stream(), batch_size=2))
    next(stream)
    assert (torch.tensor([1.0]) + 1)._read().buffer is None  # between two samples of a stream all is as ever
