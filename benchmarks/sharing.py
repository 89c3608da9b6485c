"""What it costs where memory came from, and where in it a mini-batch lies: nothing, if all is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import flambeau as torch

from .calling import TURNS, flambeau_update, timer
from .timing import OURS, Goal, Row, interleaved, timed
from .work import Settings

SIDE = 16
ROWS, BATCH = 1024, 16  # of 128 numbers: above what runs on the host


def sharing(settings: Settings) -> Iterator[Row]:
    """Parameters made by `from_numpy` beside copies, and mini-batches that move beside one that stays: the plain cases."""
    for count in settings.parameters:
        samples = interleaved({OURS: timer(settings, *flambeau_update(count, SIDE, torch.from_numpy)),
                               "plain": timer(settings, *flambeau_update(count, SIDE))}, settings.rounds, turns=TURNS)
        yield Row("share", f"p -= 0.1 * x, {count} of {SIDE}x{SIDE} by from_numpy", "us", samples, Goal(1.1, "plain"))
    table = torch.tensor(np.ones((ROWS, 128), np.float32))
    samples = interleaved({OURS: lambda: timed(_epoch(settings, table, BATCH), settings.calls),
                           "plain": lambda: timed(_epoch(settings, table, 0), settings.calls)}, settings.rounds)
    yield Row("share", f"table[i:i + {BATCH}].exp().sum() outside jit", "us", samples, Goal(1.1, "plain"))


def _epoch(settings: Settings, table: Any, step: int) -> Callable[[], None]:
    """Mini-batches that start `step` rows apart, round and round."""
    def batches() -> None:
        for i in range(settings.calls):
            start = i * step % ROWS
            table[start:start + BATCH].exp().sum().item()
    return batches
