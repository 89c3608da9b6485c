"""The same training, four ways: lazily, jitted, on the numpy engine and in PyTorch; 20 steps from the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau

from ..engines import on_numpy
from .definitions import MODELS, batches, loss_function, optimizer_of

STEPS = 20


def initial_weights(name: str) -> dict[str, np.ndarray]:
    flambeau.manual_seed(1)
    return {k: v.numpy() for k, v in MODELS[name](flambeau).state_dict().items()}


def train(torch: Any, name: str, weights: dict[str, np.ndarray], wrap: Any = lambda step: step) -> list[float]:
    model = MODELS[name](torch)
    model.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
    optimizer, loss_of = optimizer_of(torch, name, model), loss_function(torch, name)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)

    @wrap
    def step(x: Any, y: Any) -> Any:
        loss = loss_of(model, x, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    losses = []
    for x, y in batches(name, STEPS):
        losses.append(step(torch.from_numpy(x), torch.from_numpy(y)).item())
        schedule.step()
    if wrap is flambeau.jit:
        assert step.stats.compiles == 1
        assert step.stats.calls == STEPS
    return losses


@pytest.mark.parametrize("name", MODELS)
def test_lazy_and_jitted_and_numpy_agree(name: str) -> None:
    weights = initial_weights(name)
    lazy = train(flambeau, name, weights)
    jitted = train(flambeau, name, weights, flambeau.jit)
    assert np.mean(lazy[-5:]) < np.mean(lazy[:5])
    np.testing.assert_allclose(jitted, lazy, rtol=2e-4)
    with on_numpy():
        interpreted = train(flambeau, name, weights)
        interpreted_jit = train(flambeau, name, weights, flambeau.jit)
    np.testing.assert_allclose(interpreted, lazy, rtol=2e-4)
    np.testing.assert_allclose(interpreted_jit, lazy, rtol=2e-4)


@pytest.mark.parametrize("name", MODELS)
def test_torch_agrees(name: str) -> None:
    torch = pytest.importorskip("torch")
    weights = initial_weights(name)
    np.testing.assert_allclose(train(flambeau, name, weights, flambeau.jit), train(torch, name, weights), rtol=5e-4)
