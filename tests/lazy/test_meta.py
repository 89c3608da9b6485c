"""The device "meta": types without contents, for models of any size, on both engines and without compiling anything."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.runtime.engine import Counts

HUGE = 10**6  # a matrix of this size has 4 TB


def test_a_model_larger_than_any_memory_is_made_counted_run_and_differentiated() -> None:
    compiles = Counts.compiles
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(HUGE, HUGE), nn.ReLU(), nn.BatchNorm1d(HUGE), nn.Linear(HUGE, 3))
        x, y = torch.randn(4, HUGE), torch.zeros(4, dtype=torch.int64)
    assert sum(p.numel() for p in model.parameters()) == HUGE**2 + HUGE + 2 * HUGE + 3 * HUGE + 3
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    assert loss.is_meta and loss.shape == ()
    assert all(p.grad.is_meta and p.grad.shape == p.shape for p in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    assert optimizer.state[model[0].weight]["exp_avg"].shape == (HUGE, HUGE)
    torch.synchronize()
    assert Counts.compiles == compiles


@pytest.mark.parametrize("make", [
    lambda: nn.Conv2d(3, 8, 3), lambda: nn.LSTM(3, 4), lambda: nn.Embedding(5, 3), lambda: nn.MultiheadAttention(8, 2),
    lambda: nn.TransformerEncoderLayer(8, 2), lambda: nn.LayerNorm(4)])
def test_layers_are_the_same_but_for_their_contents(make: Callable[[], nn.Module]) -> None:
    here = make().state_dict()
    with torch.device("meta"):
        there = make().state_dict()
    assert {name: (x.shape, x.dtype) for name, x in there.items()} == {name: (x.shape, x.dtype) for name, x in here.items()}
    assert all(x.is_meta for x in there.values())


def test_a_model_is_filled_from_a_checkpoint() -> None:
    state = nn.Linear(3, 4).state_dict()
    model = nn.Linear(3, 4, device="meta")
    with pytest.warns(UserWarning, match="assign=True"):
        model.load_state_dict(state)
    assert model.weight.is_meta
    model.load_state_dict(state, assign=True)
    assert (model.weight == state["weight"]).all() and model.weight.requires_grad
    other = nn.Linear(3, 4, device="meta").to_empty(device="cpu")
    other.load_state_dict(state)
    assert (other(torch.ones(1, 3)) == model(torch.ones(1, 3))).all()


def test_drawing_there_leaves_the_stream_here_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    torch.rand(3, device="meta")
    nn.Linear(3, 3, device="meta")
    assert (torch.rand(3) == expected).all()


def test_a_step_that_keeps_the_state_of_all_generators_is_not_drawn_into_it() -> None:
    torch.rand(3, device="meta")

    @torch.jit
    def step() -> Any:
        with torch.random.fork_rng():
            torch.rand(3)
        return torch.rand(3)

    assert step().shape == (3,)


READS: dict[str, tuple[type[Exception], str, Callable[[Any], Any]]] = {
    "tolist": (NotImplementedError, "no data", lambda x: x.tolist()),
    "numpy": (NotImplementedError, "no data", lambda x: x.numpy()),
    "to the CPU": (NotImplementedError, "no data", lambda x: x.to("cpu")),
    "nonzero": (NotImplementedError, "no data", lambda x: x.nonzero()),
    "masked_select": (NotImplementedError, "no data", lambda x: x[x > 0]),
    "item": (RuntimeError, "cannot be called on meta tensors", lambda x: x.sum().item()),
    "bool": (RuntimeError, "cannot be called on meta tensors", lambda x: bool(x.sum() > 0)),
    "float": (RuntimeError, "cannot be called on meta tensors", lambda x: float(x.sum())),
    "with the CPU": (RuntimeError, "same device", lambda x: x + torch.ones(3)),
    "a module to the CPU": (NotImplementedError, "to_empty", lambda x: nn.Linear(3, 3, device="meta").to("cpu")),
    "jitted": (NotImplementedError, "without jit", lambda x: torch.jit(lambda y: y + 1)(x)),
    "of data": (NotImplementedError, "no data", lambda x: torch.tensor([1.0, 2.0], device="meta").tolist()),
    "moved there": (NotImplementedError, "no data", lambda x: torch.ones(3).to("meta").tolist()),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("computed", [False, True])
def test_what_asks_for_contents_is_told_that_there_are_none(read: str, computed: bool) -> None:
    kind, words, act = READS[read]
    x = torch.ones(2, 3, device="meta")
    with pytest.raises(kind, match=words):
        act(x * 2 if computed else x)


def test_views_writes_copies_and_texts() -> None:
    x = torch.zeros(2, 3, device="meta")
    x[0].add_(1)
    x += 1
    x[:, 1] = 5
    assert (x.T @ x).shape == (3, 3) and x[0].stride() == (1,) and copy.deepcopy(x).is_meta and x.clone().is_meta
    assert repr(x) == "tensor(..., device='meta', size=(2, 3))"
    assert repr(x.long()) == "tensor(..., device='meta', size=(2, 3), dtype=torch.int64)"
    assert torch.empty_like(x, device="cpu").device == torch.device("cpu")
    assert not torch.ones(1).is_meta


def test_indices_that_nobody_knows_are_not_checked() -> None:
    x = nn.Embedding(3, 2)
    with torch.device("meta"):
        assert nn.Embedding(3, 2)(torch.tensor([7])).shape == (1, 2)
    torch.synchronize()
    with pytest.raises(IndexError):
        x(torch.tensor([7])).tolist()
