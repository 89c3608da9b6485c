"""Outside jit: when things run, what is compiled, what is kept."""

from __future__ import annotations

import gc
import random
import threading
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime import devices
from flambeau.runtime.engine import Counts
from flambeau.tracer.ir.graph import Node, Value
from flambeau.tracer.ir.recorder import thread_recorder
from flambeau.tracer.lazy import flush as lazy
from flambeau.tracer.tensor.storage import Storage


@pytest.fixture(autouse=True)
def nothing_pending() -> None:
    torch.synchronize()


class counting:
    """How many programs this block compiles in lazy mode, and launches."""

    def __enter__(self) -> counting:
        self.compiled, self.launched = len(lazy.compiled), Counts.launches
        return self

    def __exit__(self, *error: object) -> None:
        self.compiled, self.launched = len(lazy.compiled) - self.compiled, Counts.launches - self.launched


OBSERVERS = {"item": lambda x: x.sum().item(), "tolist": lambda x: x.tolist(), "numpy": lambda x: x.numpy(), "repr": repr,
             "bool": lambda x: bool(x.sum() > 0), "array": np.asarray, "synchronize": lambda x: torch.synchronize(),
             "format": lambda x: f"{x.sum():.1f}"}


@pytest.mark.parametrize("name", OBSERVERS)
def test_nothing_runs_until_a_value_is_observed(name: str) -> None:
    x = torch.tensor([1.5, 2.5])
    with counting() as quiet:
        y = (x * 2.5).exp() + 1
    assert (quiet.compiled, quiet.launched) == (0, 0)
    assert thread_recorder().nodes
    OBSERVERS[name](y)
    assert y._storage.value.buffer is not None


def test_everything_alive_comes_with_one_launch() -> None:
    x = torch.tensor([1.5, 2.5])
    a = x.exp()
    b, c = a.sin(), a.cos()
    with counting() as first:
        a.tolist()
    with counting() as rest:
        b.tolist(), c.tolist()
    assert (first.launched, rest.launched) == (1, 0)
    np.testing.assert_allclose(c.numpy(), np.cos(np.exp([1.5, 2.5])), rtol=1e-6)


def test_a_loop_compiles_once() -> None:
    x = torch.zeros(3)
    torch.synchronize()
    seen = []
    for _ in range(6):
        with counting() as c:
            x = x.cos() * 0.25 + x
            x.tolist()
        seen.append(c.compiled)
    assert sum(seen) <= 1
    assert seen[1:] == [0] * 5


def test_garbage_collection_jitter_does_not_compile() -> None:
    """Which of the intermediate tensors are alive at the flush is random; only their first superset compiles."""
    rng = random.Random(0)
    compiles = []
    for i in range(20):
        x = torch.full((7,), 0.5)
        keep: list[Any] = []
        with counting() as c:
            for _ in range(4):
                x = x.sin() + 0.125
                if i == 0 or rng.random() < 0.5:
                    keep.append(x)
            x.tolist()
        compiles.append(c.compiled)
    assert compiles[1:] == [0] * 19


def test_unwanted_tensor_is_computed_when_it_is_read_later() -> None:
    def run(keep: bool) -> Any:
        x = torch.full((5,), 0.5)
        y = x.tan()
        z = y.exp()
        kept = y if keep else None
        del y
        z.tolist()
        return kept

    run(False)
    kept = run(True)
    np.testing.assert_allclose(kept.numpy(), np.tan(np.full(5, 0.5)), rtol=1e-6)


def test_numbers_become_inputs_after_the_second_value() -> None:
    x = torch.full((3,), 0.5)
    torch.synchronize()
    compiles = []
    for k in (0.1, 0.2, 0.3, 0.4, 0.1):
        with counting() as c:
            assert (x.exp() * k).tolist() == pytest.approx([np.exp(0.5) * k] * 3, rel=1e-6)
        compiles.append(c.compiled)
    assert compiles[2:] == [0, 0, 0]
    assert compiles[1] == 1
    assert "became inputs" in str(torch.report())


def test_promoted_numbers_keep_their_types() -> None:
    for kind, numbers in ((torch.float64, (0.1, 0.2, 0.3)),
                          (torch.int64, (2**40, 2**41, 2**42)), (torch.float16, (0.5, 0.25, 2.0))):
        x = torch.full((1 << 17,), 1, dtype=kind)  # too large for the host
        for k in numbers:
            y = (x * k) * x
            assert y.dtype is kind
            assert y[0].item() == k


def test_report_says_why_and_where() -> None:
    before = len(torch.report())
    (torch.full((3,), 0.5).exp().atan() * 0.77).tolist()
    row = torch.report()[before]
    assert "test_lazy.py:" in row.where
    assert row.nodes >= 3 and row.seconds > 0
    assert "a value was read" in row.reason
    assert str(torch.report()).count("\n") == len(torch.report())


def test_loss_read_before_backward_runs_no_forward_twice() -> None:
    w = torch.full((4,), 0.5, requires_grad=True)

    def step() -> Any:
        loss = (w.exp().sin() * w.tanh()).sum()
        loss.item()
        loss.backward()
        grad, w.grad = w.grad, None
        return grad.numpy()

    step()
    with counting() as c:
        grad = step()
    assert c.launched == 2  # the forward, then the backward
    loss = (w.exp().sin() * w.tanh()).sum()
    loss.item()
    loss.backward()
    pending = [n.op.name for n in thread_recorder().nodes if not n.done]
    assert "sin" not in pending and pending.count("exp") == pending.count("tanh") == 0
    w64 = np.full(4, 0.5)
    np.testing.assert_allclose(grad, np.exp(w64) * np.cos(np.exp(w64)) * np.tanh(w64)
                               + np.sin(np.exp(w64)) / np.cosh(w64) ** 2, rtol=1e-5)


def test_views_read_after_backward_and_flush() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2.5
    first, plain = y[0], y.detach()
    (first * 3 + y.sum()).backward()
    x.grad.numpy()
    assert first.item() == 2.5
    assert y.tolist() == plain.tolist() == [2.5, 5.0]


def test_detached_twin_read_after_backward() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    plain = y.detach()
    y.sum().backward()
    x.grad.numpy()
    np.testing.assert_allclose(y.detach().numpy(), np.exp([1.0, 2.0]), rtol=1e-6)
    np.testing.assert_allclose(plain.numpy(), np.exp([1.0, 2.0]), rtol=1e-6)
    assert y.requires_grad


def test_pending_work_is_bounded_and_cut_where_it_repeats() -> None:
    x = torch.zeros(2)
    longest = 0
    with counting() as c:
        for _ in range(6000):
            x = x + 0.5
            x = x * 1.0625
            longest = max(longest, len(thread_recorder().nodes))
            x = x - x * 0.0625
    assert longest <= 2 * lazy.PENDING_LIMIT + 10
    assert c.compiled <= 3  # the first piece begins elsewhere, the last ends elsewhere
    assert np.isfinite(x.numpy()).all()


def test_host_path_is_exact() -> None:
    with counting() as c:
        a = torch.arange(10, dtype=torch.int64) * 2**40 + 1
        assert a.tolist() == [i * 2**40 + 1 for i in range(10)]
        assert (a.flip(0) > 2**41).tolist() == [True] * 8 + [False] * 2
        assert a.to(torch.int32)[3].item() == 1
        assert (torch.tensor([127], dtype=torch.int8) + 1).tolist() == [-128]
    assert c.compiled == c.launched == 0
    big = torch.arange(1 << 17, dtype=torch.int64) * 2**40
    assert big[-1].item() == ((1 << 17) - 1) * 2**40 - 0
    assert torch.tensor(2**40).item() == 2**40
    assert torch.tensor([1 / 3], dtype=torch.float64).item() == 1 / 3
    assert torch.tensor([1.0], dtype=torch.float64).exp().item() == pytest.approx(np.e, rel=1e-15)


def test_a_program_on_the_host_and_compiled_gives_the_same_bits() -> None:
    torch.manual_seed(0)
    small = torch.rand(1000)
    torch.manual_seed(0)
    assert torch.jit(lambda: torch.rand(1000))().tolist() == small.tolist()


def test_numpy_array_changed_after_upload() -> None:
    a = np.ones(3, np.float32)
    x = torch.tensor(a)
    y = x * 2.5
    a[:] = 7
    assert (x.tolist(), y.tolist()) == ([1.0] * 3, [2.5] * 3)
    big = np.ones(1 << 18, np.float32)
    z = torch.tensor(big)
    total = z.exp()
    big[:] = 9
    assert total[0].item() == pytest.approx(np.e)


def test_shared_memory_changed_before_the_program_ran() -> None:
    a = np.ones(3, np.float32)
    y = torch.from_numpy(a) * 2.5
    a[:] = 7
    assert y.tolist() == [2.5] * 3


def test_writes_to_shared_memory_show_in_the_array_and_its_changes_in_the_tensor() -> None:
    a = np.ones((2, 3), np.float32)
    x = torch.from_numpy(a)
    row = x[0]
    row.add_(1.5)
    assert a.tolist() == [[2.5] * 3, [1.0] * 3]
    w = torch.tensor(2.0, requires_grad=True)
    x.mul_(w)
    a[1, 1] = 7
    assert (x.tolist(), row.requires_grad) == ([[5.0] * 3, [2.0, 7.0, 2.0]], True)
    (gradient,) = torch.autograd.grad((x * x).sum(), w)
    assert gradient.item() == pytest.approx(3 * 2 * 5 * 2.5 + 2 * (2 + 7 + 2))  # with what is there now, as in torch


def test_a_leaf_on_shared_memory() -> None:
    a = np.array([1.0, 2.0])
    before = torch.from_numpy(a)
    x = torch.from_numpy(a).requires_grad_()
    y = (x * x).sum() + before.sum()
    a[0] = 5
    with torch.no_grad():
        x.sub_(torch.tensor([1.0, 1.0], dtype=torch.float64))
    assert (a.tolist(), y.item()) == ([4.0, 1.0], 8.0)
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_shared_memory_that_is_read_only_is_not_written() -> None:
    a = np.ones(3)
    a.flags.writeable = False
    x = torch.from_numpy(a).add_(1)
    assert (x.tolist(), a.tolist()) == ([2.0] * 3, [1.0] * 3)


def test_strides_of_shared_memory() -> None:
    a = np.arange(6.0).reshape(2, 3)
    x = torch.from_numpy(a.T)
    x[0] += 1
    assert (x.stride(), a.tolist()) == ((1, 3), [[1.0, 1.0, 2.0], [4.0, 4.0, 5.0]])


def test_numpy_of_a_tensor_is_changed_by_later_writes() -> None:
    x = torch.ones(1 << 17)
    array, copy = x.numpy(), x.numpy().copy()
    x.add_(1)
    assert (array[0], copy[0]) == (2, 1)


def test_threads_read_each_others_pending_values() -> None:
    x = torch.full((3,), 0.5).exp()
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append((x * 2).tolist()))
    thread.start()
    thread.join()
    assert results == [pytest.approx([2 * np.exp(0.5)] * 3, rel=1e-6)]
    assert x.tolist() == pytest.approx([np.exp(0.5)] * 3, rel=1e-6)


def test_many_threads_at_once() -> None:
    shared = torch.full((3,), 0.5).exp()
    results: dict[int, Any] = {}

    def work(k: int) -> None:
        y = shared
        for _ in range(20):
            y = (y * k).sin() + shared
            y.tolist()
        results[k] = y.tolist()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(4):
        y = e = np.full(3, np.exp(np.float32(0.5)), np.float32)
        for _ in range(20):
            y = np.sin(y * np.float32(k)) + e
        np.testing.assert_allclose(results[k], y, rtol=1e-3)


def test_error_in_a_flush_leaves_the_work_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    y = torch.full((3,), 0.25).exp() * 0.33

    def refuse(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(lazy, "_run_compiled", refuse)
    with pytest.raises(KeyboardInterrupt):
        y.tolist()
    monkeypatch.undo()
    np.testing.assert_allclose(y.numpy(), np.exp(0.25) * np.full(3, 0.33), rtol=1e-6)


# --- Memory -----------------------------------------------------------------------------------------------------------


def live() -> tuple[int, int]:
    """Objects of the recorded program, and buffers of the device, that are alive."""
    torch.synchronize()
    gc.collect()
    objects = sum(type(x) in (Node, Storage, Value) for x in gc.get_objects())
    return objects, len(devices.client("cpu").raw.live_buffers())


def assert_flat(step: Any, steps: int) -> None:
    for i in range(20):
        step(i)
    before = live()
    for i in range(steps):
        step(i)
    after = live()
    assert after[0] - before[0] <= 20, f"{after[0] - before[0]} more values, nodes and storages"
    assert after[1] - before[1] <= 5, f"{after[1] - before[1]} more buffers"


def training(wrap: Any) -> Any:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 2))
    opt = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.ones(3, 4), torch.tensor([0, 1, 0])

    @wrap
    def step() -> Any:
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return step


def test_memory_is_flat_over_jitted_steps() -> None:
    step = training(torch.jit)
    assert_flat(lambda i: step().item() if i % 50 == 0 else step(), 2000)
    assert step.stats.compiles == 1


def test_memory_is_flat_over_lazy_steps() -> None:
    step = training(lambda f: f)
    last: list[Any] = [None]

    def run(i: int) -> None:
        last[0] = step()
        if i % 50 == 0:
            last[0].item()

    with counting() as c:
        assert_flat(run, 2000)
    assert c.compiled <= 12


def test_memory_is_flat_over_lazy_losses_with_views_and_retained_graphs() -> None:
    w = torch.ones(4, requires_grad=True)

    def step(i: int) -> None:
        y = w * 2.5
        head, plain = y[:2], y.detach()
        (head.sum() + y.sum()).backward(retain_graph=True)
        (head * y[2:]).sum().backward()
        assert head.tolist() == plain[:2].tolist()
        w.grad = None

    assert_flat(step, 300)


def test_a_running_sum_of_losses_does_not_keep_the_graphs() -> None:
    w = torch.ones(4, requires_grad=True)
    total = [torch.zeros(())]

    def step(i: int) -> None:
        loss = (w * 2.5).sum()
        loss.backward()
        w.grad = None
        total[0] = total[0] + loss.detach()
        if i % 10 == 0:
            total[0].item()

    assert_flat(step, 300)
