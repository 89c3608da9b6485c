"""What checks of values cost: the same training steps with and without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

import flambeau

from .peers.torch_style import gpt_trainer
from .timing import OURS, Contender, Goal, Row, interleaved, timed
from .work import Settings, Train

UNCHECKED = "without checks"
GOAL = Goal(1.02, UNCHECKED)
TURNS = 10  # of a round: two percent are told apart by many
TURNS_OF_LIGHT_STEPS = 40
TRAINERS = 4  # of each kind: where its memory came to lie makes one faster than its twin


def checking(settings: Settings) -> Iterator[Row]:
    """Milliseconds per step of the demo's GPT, and of one that does little but look up rows and update them."""
    size = settings.gpt
    batches = size.batches(max(1, settings.steps // TURNS), seed=1)
    yield _row("GPT step", lambda wrap: gpt_trainer(flambeau, size, 0.0, None, 1e-3, wrap_step=wrap), batches, settings,
               TURNS)
    rows = settings.rows
    tokens = [np.random.default_rng(i).integers(0, rows, settings.lookups) for i in range(settings.steps)]
    yield _row(f"embedding {rows} x {size.width}, {settings.lookups} look-ups, SGD",
               lambda wrap: lookup_trainer(rows, size.width, wrap), [(t, t % size.width) for t in tokens], settings,
               TURNS_OF_LIGHT_STEPS)


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


def _row(work: str, make: Callable[[Any], Train], batches: list[Any], settings: Settings, turns: int) -> Row:
    wraps = {OURS: flambeau.jit, UNCHECKED: partial(flambeau.jit, checks=False)}
    contenders = {name: _timer([make(wrap) for _ in range(TRAINERS)], batches) for name, wrap in wraps.items()}
    return Row("check", work, "ms", interleaved(contenders, settings.rounds, turns=turns), GOAL)


def _timer(trainers: Sequence[Train], batches: list[Any]) -> Contender:
    """Times the steps of one trainer after the other."""
    following = cycle(trainers)

    def steps(train: Train) -> None:
        for x, y in batches:
            loss = train(x, y)
        float(loss)

    return lambda: timed(partial(steps, next(following)), len(batches))
