"""Checkpointing: the same numbers as without, the same random numbers, and less memory, as XLA itself reports it."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer import backend
from flambeau.tracer.lazy import flush as lazy
from flambeau.utils.checkpoint import checkpoint, checkpoint_sequential

WIDTH, DEPTH = 16, 4


class Block(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Attention and an MLP with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(WIDTH, 2, batch_first=True, dropout=0.1)
        self.mlp = torch.nn.Sequential(torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.GELU(), torch.nn.Dropout(0.2),
                                       torch.nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Any) -> Any:
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return x + self.mlp(x)


class Stack(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Blocks, each called through `call`."""

    def __init__(self, make: Callable[[], Any], depth: int, call: Callable[..., Any]) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList([make() for _ in range(depth)])
        self.call = call

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = self.call(block, x)
        return x


def plain(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def recomputed(function: Callable[..., Any], *args: Any) -> Any:
    return checkpoint(function, *args, use_reentrant=False)


def matrix_products_kept(function: Callable[..., Any], *args: Any) -> Any:
    return checkpoint(function, *args, policy={"dot"})


def trained(call: Callable[..., Any], make: Callable[[], Any], depth: int, x: Any, steps: int, jit: bool) -> tuple[Any, ...]:
    """Losses, final parameters and buffers, and the step, of a small training."""
    torch.manual_seed(0)
    model = Stack(make, depth, call)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)

    def step(x: Any) -> Any:
        loss = (model(x) ** 2).mean()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    run = torch.jit(step) if jit else step
    losses = [run(x).item() for _ in range(steps)]
    return losses, {k: v.numpy().copy() for k, v in model.state_dict().items()}, run


def assert_same(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    np.testing.assert_allclose(first[0], second[0], rtol=1e-5)
    for name, array in first[1].items():
        np.testing.assert_allclose(second[1][name], array, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("call", [recomputed, matrix_products_kept])
def test_a_transformer_trains_as_without_and_needs_less_memory(call: Callable[..., Any]) -> None:
    x = torch.tensor(np.random.default_rng(0).normal(size=(4, 32, WIDTH)).astype(np.float32))
    without, with_it = (trained(c, Block, DEPTH, x, 2, jit=True) for c in (plain, call))
    assert_same(without, with_it)
    before, after = (run[2].program.memory()["temp"] for run in (without, with_it))
    assert after < before * (0.5 if call is recomputed else 0.9), (before, after)


def normalised() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Dropout(0.5))


@pytest.mark.parametrize("jit", [False, True])
def test_random_numbers_replay_and_buffers_are_written_once(jit: bool) -> None:
    x = torch.tensor(np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32))
    without, with_it = (trained(c, normalised, 2, x, 3, jit) for c in (plain, recomputed))
    assert_same(without, with_it)
    assert with_it[1]["blocks.0.1.num_batches_tracked"] == 3


def test_a_policy_may_be_a_function_and_decides_what_is_computed_again() -> None:
    def products(policy: Any) -> int:
        def step(x: Any, w: Any) -> Any:
            y = x.detach().requires_grad_()
            loss = checkpoint(lambda v: torch.tanh(v @ w).sin(), y, policy=policy).sum()
            loss.backward()
            return loss, y.grad

        graph = torch.jit(step).trace(torch.ones(2, 2), torch.ones(2, 2))
        return sum(node.op.name == "dot" for node in graph.nodes)

    asked: Any = queue.SimpleQueue()  # made in C: what is put there while a step is traced stays
    assert products(None) == 3  # forward, again, backward
    assert products({"dot"}) == 2
    assert products(lambda name: (asked.put(name), name == "dot")[1]) == 2
    assert {"dot", "tanh", "sin"} <= {asked.get() for _ in range(asked.qsize())}


FUNCTIONS = [lambda x: torch.sin(x) * x.exp(), lambda x: checkpoint(lambda y: y.tanh() * x, x * 2)]


@pytest.mark.parametrize("f", FUNCTIONS)
@pytest.mark.parametrize("transform", [
    lambda f: torch.func.grad(lambda x: f(x).sum()),
    lambda f: torch.func.grad(lambda x: torch.func.grad(lambda y: f(y).sum())(x).sum()),
    lambda f: torch.vmap(torch.func.grad(lambda x: f(x).sum())),
    lambda f: torch.func.grad(lambda x: torch.vmap(f)(x).sum()),
    lambda f: torch.func.grad(lambda x: (torch.vmap(f, in_dims=1)(x) ** 2).sum()),
    lambda f: torch.jit(torch.func.grad(lambda x: f(x).sum())),
])
def test_transforms(f: Any, transform: Any) -> None:
    x = torch.tensor(np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32))
    expected = transform(f)(x).numpy()
    np.testing.assert_allclose(transform(lambda v: checkpoint(f, v, policy={"sin"}))(x).numpy(), expected, rtol=1e-5)


def test_double_backward_and_a_backward_outside_of_a_jitted_forward() -> None:
    def gradients(call: Callable[..., Any]) -> list[Any]:
        x, w = (torch.tensor([0.5, 1.5], requires_grad=True) for _ in range(2))
        (dx,) = torch.autograd.grad(call(lambda v: (v * w).exp(), x * 1).sum(), x, create_graph=True)
        dx.sum().backward()
        y = torch.tensor([0.5, 1.5], requires_grad=True)
        torch.jit(lambda v: call(lambda u: u.exp().sin(), v * 2).sum())(y).backward()
        return [x.grad.tolist(), w.grad.tolist(), y.grad.tolist()]

    for expected, got in zip(gradients(plain), gradients(recomputed)):
        assert got == pytest.approx(expected, rel=1e-5)


def test_no_grad_inside_holds_in_the_second_run() -> None:
    def f(x: Any) -> Any:
        with torch.no_grad():
            scale = x * 3
        return x * scale + x.detach()

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    checkpoint(f, x).sum().backward()
    assert x.grad.tolist() == [3, 6]


@pytest.mark.parametrize("jit", [False, True])
def test_what_the_function_leaves_behind_keeps_its_gradient(jit: bool) -> None:
    class Layer(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any, y: Any) -> Any:
            self.penalty = (x * x).sum()
            y.mul_(x)
            self.result = x * 3
            self.result.detach()  # leaves the history with the handle
            return self.result

    def step(x: Any, call: Callable[..., Any]) -> Any:
        layer, y = Layer(), x * 5
        result = call(layer, x, y)
        loss = result.sum() * 0.5 + layer.result.sum() * 0.5 + layer.penalty + y.sum()
        return torch.autograd.grad(loss, x)[0]

    step = torch.jit(step) if jit else step
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert step(x, recomputed).tolist() == step(x, plain).tolist() == [3 + 2 + 10, 3 + 4 + 20]


def test_arguments_and_results_of_any_form() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def f(pair: dict[str, Any], factor: int, *, shift: float) -> Any:
        return {"y": pair["x"] * factor + shift, "n": factor, "count": pair["x"].argmax()}, [pair["x"]]

    result, (same,) = checkpoint(f, {"x": x}, 3, shift=1.0, preserve_rng_state=False)
    (result["y"].sum() + same.sum()).backward()
    assert (result["n"], result["count"].item(), x.grad.tolist()) == (3, 1, [4, 4])
    with torch.no_grad():
        assert not checkpoint(f, {"x": x}, 3, shift=1.0)[0]["y"].requires_grad
    with pytest.raises(ValueError, match="checkpoint requires determinism_check of 'default' or 'none', got 'odd'"):
        checkpoint(f, {"x": x}, 3, shift=1.0, determinism_check="odd")
    with pytest.raises(NotImplementedError, match="say with policy"):
        checkpoint(f, {"x": x}, 3, shift=1.0, early_stop=False, debug=True, context_fn=print)


@pytest.mark.parametrize("segments", [1, 2, 5])
def test_sequential(segments: int) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(5)))
    x = torch.ones(2, 3)
    model(x).sum().backward()
    expected = [p.grad.numpy().copy() for p in model.parameters()]
    model.zero_grad()
    checkpoint_sequential(model, segments, x, use_reentrant=False).sum().backward()
    for p, gradient in zip(model.parameters(), expected):
        np.testing.assert_allclose(p.grad.numpy(), gradient, rtol=1e-5)


def test_lazily_the_second_call_compiles_nothing() -> None:
    def run() -> Any:
        x = torch.tensor([0.5, 1.5], requires_grad=True)
        checkpoint(lambda v: v.exp().sin(), x * 2).sum().backward()
        return x.grad.tolist()

    first = run(), run()  # the first runs what else was pending, too
    before = len(lazy.compiled)
    assert run() == first[0] == first[1]
    assert len(lazy.compiled) == before


def held(result: Any) -> int:
    """Bytes of the buffers that a tensor's history holds."""
    values, stack = set(), [result._read()]
    while stack:
        value = stack.pop()
        if value not in values:
            values.add(value)
            stack += value.node.inputs if value.node else ()
    return sum(v.type.nbytes for v in values if v.buffer is not None)


def test_lazily_the_history_holds_no_intermediate_values() -> None:
    def deep(x: Any) -> Any:
        for _ in range(10):
            x = x.cumsum(0).sin()  # a sum is kept, not made again
        return x

    x = torch.ones(100, requires_grad=True)
    without, with_it = (call(deep, x * 1).sum() for call in (plain, recomputed))
    assert without.item() == pytest.approx(with_it.item())
    assert held(without) > 10 * x.nbytes
    assert held(with_it) < 4 * x.nbytes
    gradients = [torch.autograd.grad(y, x)[0].tolist() for y in (without, with_it)]
    assert gradients[0] == pytest.approx(gradients[1])


def test_on_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_factory", backend.NumpyBackend)
    monkeypatch.setattr(backend, "_installed", None)
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    checkpoint(lambda v: v.exp().sin(), x * 2).sum().backward()
    data = np.array([1.0, 3.0])
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos(np.exp(data)) * np.exp(data), rtol=1e-5)


def test_a_nan_cotangent_stays_one() -> None:
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    checkpoint(lambda v: v.exp(), x * 2).backward(torch.tensor([float("nan"), 1.0]))
    assert x.grad.isnan().tolist() == [True, False]
    np.testing.assert_allclose(x.grad[1].item(), 2 * np.exp(3.0), rtol=1e-6)
