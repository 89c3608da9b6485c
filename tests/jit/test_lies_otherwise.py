"""A tensor outside that shows its memory otherwise, or another one, between two calls: the step is traced anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

import flambeau as torch
from flambeau.tracer.tensor.epochs import structure_epoch

Change = Callable[[Any], Any]


def _data(change: Change) -> Change:
    def changed(w: Any) -> None:
        w.data = change(w.data)
    return changed


# Of a tensor of 2x2, or one row and column more of what it is a view of.
OF_DATA: dict[str, Change] = {
    "first row": lambda d: d[:1], "last row": lambda d: d[1:], "column": lambda d: d[:, :1], "row": lambda d: d[1],
    "transposed": lambda d: d.t(), "flat": lambda d: d.reshape(4), "unsqueezed": lambda d: d.unsqueeze(0),
    "expanded": lambda d: d[:1].expand(3, 2), "strided": lambda d: d.as_strided((2,), (1,), 1), "other memory": lambda d: d * 2,
    "other size": lambda d: torch.ones(3, 2), "turned memory": lambda d: torch.arange(4.0).reshape(2, 2).t(),
    "other dtype": lambda d: d.double(), "same": lambda d: d}
IN_PLACE: dict[str, Change] = {
    "t_": lambda w: w.t_(), "transpose_": lambda w: w.transpose_(0, 1), "swapaxes_": lambda w: w.swapaxes_(0, 1),
    "unsqueeze_": lambda w: w.unsqueeze_(1), "squeeze_ after it": lambda w: w.unsqueeze_(0).squeeze_(0),
    "resize_": lambda w: w.resize_(1, 2), "resize_ to more": lambda w: w.resize_(3, 2),
    "as_strided_": lambda w: w.as_strided_((2,), (1,), 1), "set_": lambda w: w.set_(torch.ones(2)),
    "set_ to its own": lambda w: w.set_(w.detach()[1:]), "t_ twice": lambda w: w.t_().t_()}
CHANGES = {**{f".data: {name}": _data(change) for name, change in OF_DATA.items()}, **IN_PLACE}


def _plain() -> Any:
    return torch.arange(4.0).reshape(2, 2).clone()


def _view() -> Any:
    return torch.arange(12.0).reshape(3, 4)[1:, 1:3]


MADE = {"plain": _plain, "view": _view}


class Holder(torch.nn.Module):
    """A tensor in a module."""

    def __init__(self, w: Any) -> None:
        super().__init__()
        self.register_buffer("w", w)


# Where the tensor is: what holds it, and how it is read there.
HELD: dict[str, tuple[Change, Change]] = {
    "variable": (lambda w: w, lambda h: h), "list": (lambda w: [w], lambda h: h[0]),
    "dict": (lambda w: {"w": w}, lambda h: h["w"]),
    "object": (lambda w: SimpleNamespace(w=w), lambda h: h.w), "buffer": (Holder, lambda h: h.w)}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_read(name: str, made: str, held: str) -> None:
    def results(jit: Change) -> tuple[list[Any], Any]:
        w = MADE[made]()
        hold, read = HELD[held]
        holder = hold(w)
        step = jit(lambda x: (read(holder) * x, read(holder).sum()))
        found = [step(torch.tensor(2.0)), step(torch.tensor(3.0))]
        CHANGES[name](w)
        return [[y.tolist() for y in pair] for pair in (*found, step(torch.tensor(2.0)), step(torch.tensor(4.0)))], step

    (expected, _), (given, step) = results(lambda f: f), results(torch.jit)
    assert given == expected
    assert step.stats.compiles <= 2


@pytest.mark.parametrize("name", [name for name in CHANGES if name != ".data: expanded"])  # which nobody may write to
def test_what_is_written(name: str) -> None:
    def results(jit: Change) -> Any:
        w = _plain()

        @jit
        def step(x: Any) -> Any:
            w.mul_(x).add_(1)
            return w.sum()

        found = [step(torch.tensor(2.0)).tolist()]
        CHANGES[name](w)
        return [*found, step(torch.tensor(3.0)).tolist(), step(torch.tensor(3.0)).tolist(), w.tolist(), list(w.shape)]

    assert results(torch.jit) == results(lambda f: f)


@pytest.mark.parametrize("name", [name for name in OF_DATA if name != "expanded"])
def test_a_parameter_that_is_trained(name: str) -> None:
    """Losses and weights are those without jit, also where the weight was transposed, or lost a row."""
    def results(jit: Change) -> Any:
        w = torch.nn.Parameter(_plain())
        optimizer = torch.optim.SGD([w], lr=0.1)

        @jit
        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (w * x).sum()
            loss.backward()
            optimizer.step()
            return loss

        found = [step(torch.tensor(2.0)).item(), step(torch.tensor([1.0, 2.0])).item()]
        w.data = OF_DATA[name](w.data)
        w.grad = None
        x = torch.tensor(3.0) if name == "column" else torch.tensor([1.0, 2.0]) if w.shape[-1] == 2 else torch.tensor(2.0)
        return [*found, step(x).item(), step(x).item(), w.tolist(), w.grad.tolist()]

    for given, expected in zip(results(torch.jit), results(lambda f: f), strict=True):
        assert given == pytest.approx(expected) if isinstance(given, float) else torch.allclose(torch.tensor(given),
                                                                                              torch.tensor(expected))


def test_channels_that_are_pruned() -> None:
    for whole in (True, False):
        m, x = torch.nn.Linear(4, 3), torch.ones(2, 4)
        f = torch.jit(m if whole else partial(m.__call__))
        assert f(x).shape == (2, 3)
        m.weight.data, m.bias.data = m.weight.data[:2], m.bias.data[:2]
        assert f(x).shape == (2, 2) and torch.allclose(f(x), x @ m.weight.t() + m.bias)


def test_a_view_of_other_rows() -> None:
    base = torch.arange(6.0)
    w = base[0:2]
    f = torch.jit(lambda x: w * x)
    assert f(torch.tensor(2.0)).tolist() == [0.0, 2.0]
    w.data = base[2:4]
    assert f(torch.tensor(2.0)).tolist() == [4.0, 6.0]
    base.add_(1)
    assert f(torch.tensor(2.0)).tolist() == [6.0, 8.0] and f.stats.compiles == 2


def test_tensors_that_no_step_knows_cost_it_nothing() -> None:
    """A batch that is unsqueezed in place between calls is an argument like any other."""
    w = torch.ones(3)
    f = torch.jit(lambda x: w * x)
    f(torch.ones(1, 3))
    before = structure_epoch[0]
    for _ in range(3):
        assert f(torch.ones(3).unsqueeze_(0)).shape == (1, 3)
    assert f.stats.compiles == 1 and structure_epoch[0] == before
