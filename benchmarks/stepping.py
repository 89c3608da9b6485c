"""Steady time of whole training steps: the same model, weights, batches and losses everywhere."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

import flambeau

from .peers.torch_style import gpt_trainer, mlp_trainer
from .timing import OURS, Contender, Row, interleaved, timed
from .work import Arrays, Batch, GptSize, MlpSize, Settings, Train, gpt_model, installed, mlp_model, peer, weights_of

GPT_RATE, MLP_RATE = 1e-3, 1e-3
COMPARED = 5
TOLERANCE = 1e-3  # relative; float32 in another order differs by about 1e-5 after five steps


def stepping(settings: Settings) -> Iterator[Row]:
    """Milliseconds per step. A peer whose first losses differ is not timed, and named."""
    mlp, gpt = settings.mlp, settings.gpt
    widths = "-".join(map(str, mlp.widths))
    yield _row(f"MLP {widths}, batch {mlp.batch}, Adam", mlp, mlp_trainers(settings), settings)
    yield _row(f"GPT {gpt.layers}x{gpt.heads}x{gpt.width}, window {gpt.window}, batch {gpt.batch}, AdamW", gpt,
               gpt_trainers(settings), settings)


def mlp_trainers(settings: Settings) -> dict[str, Train]:
    """Training steps of the perceptron from the same weights."""
    size = settings.mlp
    flambeau.manual_seed(0)
    weights = weights_of(mlp_model(flambeau, size))
    trainers = _torch_style(lambda torch, **wraps: mlp_trainer(torch, size, weights, MLP_RATE, **wraps), settings)
    if installed("jax"):
        trainers["jax"] = peer("jax_mlp").trainer(weights, MLP_RATE)
    return trainers


def gpt_trainers(settings: Settings) -> dict[str, Train]:
    """Training steps of the demo's GPT, without dropout, from the same weights."""
    size = settings.gpt
    flambeau.manual_seed(0)
    weights: Arrays = weights_of(gpt_model(flambeau, size, 0.0))
    trainers = _torch_style(lambda torch, **wraps: gpt_trainer(torch, size, 0.0, weights, GPT_RATE, **wraps), settings)
    if installed("jax"):
        trainers["jax"] = peer("jax_gpt").trainer(size, 0.0, weights, GPT_RATE)
    return trainers


def _torch_style(make: Callable[..., Train], settings: Settings) -> dict[str, Train]:
    """Flambeau, PyTorch eager and, where asked for, torch.compile of the loss (it does not take whole steps)."""
    trainers = {OURS: make(flambeau, wrap_step=flambeau.jit)}
    if installed("torch"):
        torch = importlib.import_module("torch")
        trainers["torch"] = make(torch)
        if settings.slow_peers:
            trainers["torch.compile"] = make(torch, wrap_loss=torch.compile)
    return trainers


def first_losses(trainers: Mapping[str, Train], batches: Sequence[Batch]) -> dict[str, list[float]]:
    """The losses of each contender on the same batches."""
    return {name: [float(train(x, y)) for x, y in batches] for name, train in trainers.items()}


def _row(work: str, size: MlpSize | GptSize, trainers: Mapping[str, Train], settings: Settings) -> Row:
    losses = first_losses(trainers, size.batches(COMPARED, seed=1))
    wrong = {name: found for name, found in losses.items() if not np.allclose(found, losses[OURS], rtol=TOLERANCE)}
    remarks = [f"{name} is not timed: its first losses are {np.round(found, 4).tolist()}, "
               f"flambeau's {np.round(losses[OURS], 4).tolist()}" for name, found in wrong.items()]
    contenders = {name: _timer(train, size, settings) for name, train in trainers.items() if name not in wrong}
    return Row("step", work, "ms", interleaved(contenders, settings.rounds), remarks=tuple(remarks))


def _timer(train: Train, size: MlpSize | GptSize, settings: Settings) -> Contender:
    """Steps over fresh batches, the same for all contenders in a round; the time ends when the last loss is read."""
    seed = 1

    def steps() -> float:
        nonlocal seed
        seed += 1
        batches = size.batches(settings.steps, seed)

        def work() -> None:
            for x, y in batches:
                loss = train(x, y)
            float(loss)

        return timed(work, settings.steps)

    return steps
