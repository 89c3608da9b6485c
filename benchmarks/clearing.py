"""What it costs to begin a step with `zero_grad()`, so that gradients are left behind, beside ending it so."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import flambeau as torch

from .calling import timer
from .starting import ROOT, with_bytecode
from .timing import OURS, Contender, Goal, Row, Samples, interleaved
from .work import MlpSize, Settings, mlp_model

SIDE = 16
LAST = "last"
ROUNDS = 15  # within a process
SMALL = MlpSize((784, 16, 10), 2)  # four parameters, of which one is too large for a pack
LONGER = 10  # a batch of small steps: in a short one it counts most how the threads met at its start


def clearing(settings: Settings) -> Iterator[Row]:
    """Microseconds of a training step: of parameters that are only updated, and of a perceptron.

    A round is a process of its own: where a process happens to have its memory, and how its threads meet, changes these
    steps by a tenth for as long as it lives, the one as often as the other.
    """
    processes = [_measured(settings) for _ in range(settings.rounds)]
    for work in processes[0]:
        samples = {name: [times[work][name] for times in processes] for name in (OURS, LAST)}
        yield Row("clear", work, "us", samples, Goal(1.1, LAST))


def _measured(settings: Settings) -> dict[str, dict[str, float]]:
    """The medians that a process of its own has, by work and contender."""
    sizes = json.dumps([settings.parameters, settings.calls, asdict(settings.mlp)])
    done = subprocess.run([sys.executable, "-m", __name__, sizes], cwd=ROOT, env=with_bytecode(), stdout=subprocess.PIPE,
                          text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def measure(settings: Settings) -> Iterator[tuple[str, Samples]]:
    """Seconds of both contenders, in this process."""
    longer = replace(settings, calls=LONGER * settings.calls)
    for count in settings.parameters:
        yield f"zero_grad first, {count} of {SIDE}x{SIDE}", _beside(lambda first, count=count: _updates(  # type: ignore[misc]
            longer, count, first))
    yield "zero_grad first, a small MLP's step", _beside(lambda first: _perceptron(longer, SMALL, first))
    yield "zero_grad first, the MLP's step", _beside(lambda first: _perceptron(settings, settings.mlp, first))


def _beside(contender: Callable[[bool], Contender]) -> Samples:
    return interleaved({OURS: contender(True), LAST: contender(False)}, ROUNDS)


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


def main(sizes: str) -> None:
    """Measure in this process, and print the medians."""
    parameters, calls, mlp = json.loads(sizes)
    settings = replace(Settings(), parameters=tuple(parameters), calls=calls, mlp=MlpSize(tuple(mlp["widths"]), mlp["batch"]))
    print(json.dumps({work: {name: statistics.median(times) for name, times in samples.items()}
                      for work, samples in measure(settings)}))


if __name__ == "__main__":
    main(sys.argv[1])
