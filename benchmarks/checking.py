"""What checks of values cost: the same training steps with and without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import flambeau

from .peers.torch_style import gpt_trainer
from .timing import OURS, Contender, Goal, Row, interleaved, timed
from .work import Settings, Train

UNCHECKED = "without checks"
GOAL = Goal(1.02, UNCHECKED)


def checking(settings: Settings) -> Iterator[Row]:
    """Milliseconds per step of the demo's GPT, and of one that does little but look up rows and update them."""
    size = settings.gpt
    batches = size.batches(settings.steps, seed=1)
    yield _row("GPT step", lambda wrap: gpt_trainer(flambeau, size, 0.0, None, 1e-3, wrap_step=wrap), batches, settings)
    rows = settings.rows
    tokens = [np.random.default_rng(i).integers(0, rows, settings.lookups) for i in range(settings.steps)]
    yield _row(f"embedding {rows} x {size.width}, {settings.lookups} look-ups, SGD",
               lambda wrap: lookup_trainer(rows, size.width, wrap), [(t, t % size.width) for t in tokens], settings)


def lookup_trainer(rows: int, width: int, wrap: Callable[[Any], Any]) -> Train:
    """A step that is bound by its embedding."""
    embedding = flambeau.nn.Embedding(rows, width)
    optimizer = flambeau.optim.SGD(embedding.parameters(), lr=0.1)

    def step(tokens: Any, targets: Any) -> Any:
        loss = flambeau.nn.functional.cross_entropy(embedding(tokens), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    wrapped = wrap(step)
    return lambda x, y: wrapped(flambeau.from_numpy(x), flambeau.from_numpy(y))


def _row(work: str, make: Callable[[Any], Train], batches: list[Any], settings: Settings) -> Row:
    wraps = {OURS: flambeau.jit, UNCHECKED: partial(flambeau.jit, checks=False)}
    contenders = {name: _timer(make(wrap), batches) for name, wrap in wraps.items()}
    return Row("check", work, "ms", interleaved(contenders, settings.rounds), GOAL)


def _timer(train: Train, batches: list[Any]) -> Contender:
    def steps() -> None:
        for x, y in batches:
            loss = train(x, y)
        float(loss)

    return lambda: timed(steps, len(batches))
