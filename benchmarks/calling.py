"""What calling a jitted step costs that updates many small parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import flambeau as torch

from .timing import OURS, Contender, Goal, Row, interleaved, timed
from .work import Settings, installed, peer

SIDE = 8
LARGER = 48  # 9 KiB, above the size up to which flambeau packs state into one buffer
PARAMETERS_OF_LARGER = 100
TURNS = 20  # of a round: a hundred calls are over in 2 ms


def calling(settings: Settings) -> Iterator[Row]:
    """Microseconds per call; a timed batch of calls ends when all results are there."""
    cases = [(count, SIDE) for count in settings.parameters]
    if PARAMETERS_OF_LARGER in settings.parameters:
        cases.append((PARAMETERS_OF_LARGER, LARGER))
    for count, side in cases:
        contenders: dict[str, Contender] = {OURS: timer(settings, *flambeau_update(count, side))}
        if installed("jax"):
            contenders["jax"] = timer(settings, *peer("jax_update").jax_update(count, side))
        samples = interleaved(contenders, settings.rounds, turns=TURNS)
        yield Row("call", f"p -= 0.1 * x, {count} of {side}x{side}", "us", samples, Goal(1.0, "jax"))


def timer(settings: Settings, call: Callable[[], object], wait: Callable[[], object]) -> Contender:
    """Times batches of calls, until all results are there."""
    def batch() -> None:
        for _ in range(settings.calls):
            call()
        wait()

    return lambda: timed(batch, settings.calls)


def initial(count: int, side: int) -> list[np.ndarray[Any, Any]]:
    """The parameters at the start."""
    return [np.full((side, side), i, np.float32) for i in range(count)]


def gradient(side: int) -> np.ndarray[Any, Any]:
    """The x of all updates; so small that no run moves the parameters far."""
    return np.full((side, side), 1e-3, np.float32)


def flambeau_update(count: int, side: int, make: Callable[[Any], Any] = torch.tensor,
                    ) -> tuple[Callable[[], object], Callable[[], list[np.ndarray[Any, Any]]]]:
    """A call that updates all parameters, and a wait that gives the first and the last of them."""
    parameters = [torch.nn.Parameter(make(p)) for p in initial(count, side)]
    x = torch.tensor(gradient(side))

    @torch.jit
    def update(x: Any) -> None:
        with torch.no_grad():
            for p in parameters:
                p.sub_(0.1 * x)

    def wait() -> list[np.ndarray[Any, Any]]:
        torch.synchronize()
        return [np.array(parameters[0].detach()), np.array(parameters[-1].detach())]

    return lambda: update(x), wait
