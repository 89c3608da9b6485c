"""Layers, copies and leaves that a jitted function makes: what it keeps is real, and gradients from outside reach it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn


class Net(nn.Module):
    """A layer, and what comes to it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.more: Any = None

    def forward(self, x: Any) -> Any:
        return self.net(x) + (0 if self.more is None else self.more(x))


def made_first(m: Any, x: Any) -> Any:
    if not hasattr(m, "head"):
        m.head = nn.Linear(x.shape[-1], 2)
    return m.head(m(x)).sum(1)


def copied_first(m: Any, x: Any) -> Any:
    if m.more is None:
        m.more = copy.deepcopy(m.net)
    return m(x)


def copied_each_time(m: Any, x: Any) -> Any:
    m.more = copy.deepcopy(m.net).requires_grad_(False)
    return m(x)


def copied_and_dropped(m: Any, x: Any) -> Any:
    return copy.deepcopy(m.net)(x) + m(x)


def averaged(m: Any, x: Any) -> Any:
    if m.more is None:
        m.more = copy.deepcopy(m.net).eval().requires_grad_(False)
    with torch.no_grad():
        for a, b in zip(m.more.parameters(), m.net.parameters()):
            a.mul_(0.9).add_(b, alpha=0.1)
    return m(x)


def tied(m: Any, x: Any) -> Any:
    if m.more is None:
        m.more = nn.Sequential(m.net, nn.Linear(3, 3))
        m.more[1].weight = m.net[0].weight
    return m(x)


def recurrent(m: Any, x: Any) -> Any:
    if not hasattr(m, "rnn"):
        m.rnn = nn.LSTM(3, 2, batch_first=True)
    return m.rnn(x[None])[0].sum(0)


def transformer(m: Any, x: Any) -> Any:
    if m.more is None:
        m.more = nn.TransformerEncoderLayer(3, 1, 8, dropout=0.0)
    return m(x)


def with_hooks(m: Any, x: Any) -> Any:
    if m.more is None:
        m.more = nn.Linear(3, 3)
        m.more.register_forward_hook(lambda module, args, out: out * 2)
        m.more.register_buffer("seen", torch.zeros(3))
    m.more.seen.add_(x.sum(0))
    return m(x)


def lazy(m: Any, x: Any) -> Any:
    if not hasattr(m, "late"):
        m.late = nn.LazyLinear(2)
    return m.late(m(x)).sum(1)


def in_a_table(m: Any, x: Any) -> Any:
    parts = m.__dict__.setdefault("parts", {})
    if "a" not in parts:
        parts["a"] = [nn.Linear(3, 1), nn.Tanh()]
    layer, act = parts["a"]
    return act(layer(x)) + m(x)


def a_leaf(m: Any, x: Any) -> Any:
    if not hasattr(m, "scale"):
        m.scale = torch.full((3,), 0.5, requires_grad=True)
    return m(x) * m.scale


WAYS: list[Callable[[Any, Any], Any]] = [
    made_first, copied_first, copied_each_time, copied_and_dropped, averaged, tied, recurrent, transformer, with_hooks, lazy,
    in_a_table, a_leaf]


def seen(m: Any) -> Any:
    named = [(n, str(p), p.requires_grad, str(p.grad)) for n, p in m.named_parameters()]
    extra = m.__dict__.get("parts", {}).get("a", [])
    return (named, [(n, str(b)) for n, b in m.named_buffers()], [n for n, _ in m.named_modules()], str(m),
            [str(p.grad) for part in extra for p in part.parameters()], str(getattr(m.__dict__.get("scale"), "grad", None)))


def run(way: Callable[[Any, Any], Any], wrap: Callable[[Any], Any], inside: bool) -> tuple[list[Any], Any]:
    """Five steps; with the backward and the optimizer of the parts there were at first inside or outside."""
    torch.manual_seed(0)
    m = Net()
    optimizer = torch.optim.SGD(m.net.parameters(), lr=0.1)

    def train(x: Any) -> Any:
        m.zero_grad()
        y = way(m, x)
        y.square().sum().backward()
        optimizer.step()
        return y.detach()

    step = wrap(train if inside else lambda x: way(m, x))
    found = []
    for i in range(5):
        x = torch.ones(4, 3) * (i + 1) + torch.arange(4.0)[:, None] * torch.tensor([1.0, -2.0, 0.5])
        y = step(x)
        if not inside:
            y.square().sum().backward()
        found.append([str(y.detach()), seen(m)])
        if not inside:
            optimizer.step()
            m.zero_grad()
    return found, step


@pytest.fixture
def double() -> Iterator[None]:
    """What is printed of numbers does not hang on the order of sums."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("inside", [True, False], ids=["backward inside", "backward outside"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_a_step_makes_is_what_it_is_without_jit(way: Any, inside: bool, numpy_engine: None) -> None:
    wanted, _ = run(way, lambda f: f, inside)
    found, step = run(way, torch.jit, inside)
    for i, (a, b) in enumerate(zip(wanted, found)):
        assert a == b, f"call {i + 1}"
    assert step.stats.compiles <= (5 if way is copied_each_time else 3), step.why()


def test_lazy_modules_take_their_shapes_before_the_trace() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    step = torch.jit(model)
    assert [step(torch.ones(2, 3) * i).shape for i in range(3)] == [(2, 2)] * 3
    assert step.stats.compiles == 1 and type(model[0]) is nn.Linear and model[2].num_features == 4


def test_a_step_that_fails_leaves_a_lazy_module_as_an_ordinary_one() -> None:
    model = nn.LazyLinear(2)

    def fail(x: Any) -> Any:
        y = model(x)
        raise ValueError(y.shape)

    with pytest.raises(ValueError, match="2"):
        torch.jit(fail)(torch.ones(1, 3))
    assert model(torch.ones(1, 3)).shape == (1, 2) and not model.weight.isnan().any()
