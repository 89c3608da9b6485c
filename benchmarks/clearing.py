"""What it costs to begin a step with `zero_grad()`, so that gradients are left behind, beside ending it so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flambeau as torch

from .calling import timer
from .timing import OURS, Contender, Goal, Row, interleaved
from .work import MlpSize, Settings, mlp_model

SIDE = 16


def clearing(settings: Settings) -> Iterator[Row]:
    """Microseconds of a training step: of parameters that are only updated, and of a perceptron."""
    for count in settings.parameters:
        samples = interleaved({OURS: _updates(settings, count, first=True), "last": _updates(settings, count, first=False)},
                              settings.rounds)
        yield Row("clear", f"zero_grad first, {count} of {SIDE}x{SIDE}", "us", samples, Goal(1.1, "last"))
    samples = interleaved({OURS: _perceptron(settings, settings.mlp, first=True),
                           "last": _perceptron(settings, settings.mlp, first=False)}, settings.rounds)
    yield Row("clear", "zero_grad first, the MLP's step", "us", samples, Goal(1.1, "last"))


def _updates(settings: Settings, count: int, first: bool) -> Contender:
    parameters = [torch.nn.Parameter(torch.ones(SIDE, SIDE)) for _ in range(count)]
    x = torch.ones(SIDE, SIDE)
    step = _training(parameters, lambda x: sum((p * p * x).sum() for p in parameters), first)
    return timer(settings, lambda: step(x), torch.synchronize)


def _perceptron(settings: Settings, size: MlpSize, first: bool) -> Contender:
    model = mlp_model(torch, size)
    x, y = (torch.from_numpy(array) for array in size.batches(1, seed=3)[0])
    step = _training(model.parameters(), lambda x, y: torch.nn.functional.cross_entropy(model(x), y), first)
    return timer(settings, lambda: step(x, y), torch.synchronize)


def _training(parameters: Any, loss_of: Any, first: bool) -> Any:
    optimizer = torch.optim.SGD(parameters, lr=1e-4)

    @torch.jit
    def step(*batch: Any) -> Any:
        if first:
            optimizer.zero_grad()
        loss = loss_of(*batch)
        loss.backward()
        optimizer.step()
        if not first:
            optimizer.zero_grad()
        return loss

    return step
