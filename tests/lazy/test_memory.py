"""Outside jit no buffer lives longer than in PyTorch: what died, and what no gradient reads, is freed."""

from __future__ import annotations

import gc
import math
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F
from flambeau.runtime import devices, engine
from flambeau.tracer.backend import backend
from flambeau.tracer.lazy import flush as lazy
from flambeau.tracer.walks.kept import MADE_AGAIN

BATCH = 37  # no other dimension is as large, so a buffer that begins with it holds activations


def activations() -> int:
    """How many buffers of the device hold something of each example, after all that is pending has run."""
    torch.synchronize()
    gc.collect()
    shapes = [backend().download(buffer).shape for buffer in devices.client("cpu").raw.live_buffers()]
    return sum(shape[:1] == (BATCH,) for shape in shapes)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def mlp(act: Any = nn.Tanh) -> Any:
    return nn.Sequential(nn.Linear(5, 300), act(), nn.Linear(300, 300), act(), nn.Linear(300, 3))


def convolutions() -> Any:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(8 * 4, 3))


NETS = {"mlp": (mlp, (5,)), "convolutions": (convolutions, (3, 4, 4))}


@pytest.mark.parametrize("read", ["before backward", "after the step", "never"])
@pytest.mark.parametrize("name", NETS)
def test_losses_that_are_kept_keep_nothing_else(name: str, read: str) -> None:
    make, shape = NETS[name]
    model, x, y = make(), torch.randn(BATCH, *shape), torch.randint(0, 3, (BATCH,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before, kept = activations(), []
    for _ in range(3):
        loss = F.cross_entropy(model(x), y)
        if read == "before backward":
            loss.item()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if read == "after the step":
            loss.item()
        kept.append(loss)
        assert activations() == before
    assert len({loss.item() for loss in kept}) == 3


@pytest.mark.parametrize("act, saved", [(nn.Tanh, 2), (nn.Sigmoid, 2)])
def test_a_loss_that_was_read_keeps_what_its_gradient_will_read(act: Any, saved: int) -> None:
    """The outputs of both activations: their gradients, and the products that come next, read these and no more."""
    model, x = mlp(act), torch.randn(BATCH, 5)
    before = activations()
    loss = model(x).sum()
    loss.item()
    assert activations() == before + saved
    loss.backward()
    assert activations() == before


def test_a_graph_that_is_retained_is_kept_and_freed_by_the_last_backward() -> None:
    model, x = mlp(), torch.randn(BATCH, 5)
    before = activations()
    loss = model(x).sum()
    loss.backward(retain_graph=True)
    first = [p.grad.clone() for p in model.parameters()]
    assert activations() > before
    loss.backward()
    assert activations() == before
    for p, grad in zip(model.parameters(), first, strict=True):
        assert torch.equal(p.grad, 2 * grad)
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


def test_without_gradients_only_what_is_held_stays() -> None:
    model, x = mlp(), torch.randn(BATCH, 5)
    before = activations()
    with torch.no_grad():
        y = model(x)
        y.tolist()
    assert activations() == before + 1
    del y
    assert activations() == before


def test_a_graph_nobody_can_reach_is_freed() -> None:
    model, x = mlp(), torch.randn(BATCH, 5)
    before = activations()
    loss = model(x).sum()
    loss.item()
    del loss
    assert activations() == before


def test_a_chain_of_sums_saves_nothing() -> None:
    w, x = torch.ones(300, requires_grad=True), torch.randn(BATCH, 300)
    before = activations()
    total = (((x + w) - 1.5) * 2.5 + w).sum()  # the number is spread over all elements, but not kept so
    total.item()
    assert activations() == before
    total.backward()
    assert w.grad.tolist() == pytest.approx([BATCH * 3.5] * 300)


def test_a_vector_that_is_spread_over_examples_is_kept_as_a_vector() -> None:
    w, x = torch.ones(300, requires_grad=True), torch.randn(BATCH, 300, requires_grad=True)
    before = activations()
    total = (x * (w * 0.5)).sum()
    total.item()
    assert activations() == before
    total.backward()
    assert x.grad.tolist() == [[0.5] * 300] * BATCH


def test_detached_results_do_not_keep_their_graph() -> None:
    model, x = mlp(), torch.randn(BATCH, 5)
    before = activations()
    outputs = [model(x + i).detach() for i in range(3)]
    assert all(y.tolist() for y in outputs)
    assert activations() == before + len(outputs)


def test_light_operations_are_made_again_rather_than_kept() -> None:
    """One buffer of a composition that reads five of its intermediate values, as of an op written by hand."""
    model, x = mlp(nn.GELU), torch.randn(BATCH, 5)
    before = activations()
    loss = model(x).sum()
    loss.item()
    assert activations() == before + 2
    loss.backward()
    assert activations() == before
    again = model(x).sum()
    first = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    again.backward()  # in one program: nothing is made again
    for p, grad in zip(model.parameters(), first, strict=True):
        assert torch.allclose(p.grad, grad, rtol=1e-5, atol=1e-6)


def test_a_long_chain_of_light_operations_is_not_run_a_second_time() -> None:
    x = torch.randn(BATCH, 300, requires_grad=True)
    before, y = activations(), x
    for _ in range(5 * MADE_AGAIN):
        y = y.sin()
    y.sum().item()
    del y
    assert activations() == before  # nobody asked for a gradient any more

    y = x
    for _ in range(5 * MADE_AGAIN):
        y = y.sin()
    total = y.sum()
    del y
    total.item()
    assert activations() == before + 4  # the fifth piece ends where the gradient begins
    total.backward()
    assert activations() == before + 1


def test_what_is_held_is_not_kept_twice_and_programs_are_reused_whatever_is_held() -> None:
    w, x = torch.ones(300, 300, requires_grad=True), torch.randn(BATCH, 300)

    def loss_of(*, hold: bool) -> tuple[Any, Any]:
        y = x @ w
        z = y.exp()
        return (z * z.sin()).sum(), z if hold else None

    before, gradients = activations(), []
    for hold in (True, False, True, False):
        loss, z = loss_of(hold=hold)
        loss.item()
        assert activations() == before + 1
        compiles = len(lazy.compiled)
        w.grad = None
        loss.backward()
        gradients.append(w.grad.tolist())
        if len(gradients) > 2:
            assert len(lazy.compiled) == compiles
        del z, loss
    assert all(g == gradients[0] for g in gradients)


def mappings() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of what a process maps")
def test_programs_of_ever_new_structures_are_dropped_and_those_in_use_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy._entries.clear()
    monkeypatch.setattr(lazy, "STRUCTURES", 16)
    monkeypatch.setattr(engine, "KEPT", 8)

    def run(size: int) -> None:
        assert torch.ones(size, 3).sin().sum().item() == pytest.approx(3 * size * math.sin(1), rel=1e-5)
        compiles = len(lazy.compiled)
        torch.ones(2, 2).cos().sum().item()
        assert len(lazy.compiled) == compiles or size == 1
        assert len(lazy._entries) <= 16

    for size in range(1, 20):
        run(size)
    gc.collect()
    before = mappings()
    for size in range(20, 80):
        run(size)
    gc.collect()
    assert mappings() < before + 60  # each program is several
    compiles = len(lazy.compiled)
    run(19)
    assert len(lazy.compiled) == compiles + 1


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of what a process maps")
def test_few_large_programs_are_kept_where_many_small_ones_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program is as many pieces of memory as it has operations that are not fused: what counts is their sum."""
    lazy._entries.clear()
    monkeypatch.setattr(lazy, "NODES", 400)
    monkeypatch.setattr(engine, "KEPT_LINES", 400)

    def run(size: int) -> None:
        x = torch.ones(size, size)
        for _ in range(60):
            x = (x @ x).sin()
        x.sum().item()
        assert sum(map(lazy._size, lazy._entries.values())) <= 400 or len(lazy._entries) == 1

    for size in range(2, 6):
        run(size)
    gc.collect()
    before = mappings()
    for size in range(6, 14):
        run(size)
    gc.collect()
    assert mappings() < before + 200  # one is more than a hundred
