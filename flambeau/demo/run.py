"""Training the demonstration's GPT with a compiled step, and writing down what happened."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import flambeau as torch

from .gpt import GPT, loss_of
from .plot import loss_curves
from .text import Text, UserError, batch, bigram_loss, load

BATCH, WINDOW, RATE = 16, 64, 2e-3


@dataclass
class History:
    """Losses by step."""

    train: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)


def training_step(model: Any, optimizer: Any) -> Any:
    """One whole training step: forward, backward, clipping and the optimizer, one executable."""

    @torch.jit
    def step(tokens, targets):
        loss = loss_of(model, tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def evaluation(model: Any) -> Any:
    """The loss of a batch, without dropout and gradients."""

    @torch.jit
    def evaluate(tokens, targets):
        with torch.no_grad():
            return loss_of(model, tokens, targets)

    def run(tokens: np.ndarray, targets: np.ndarray) -> Any:
        model.eval()
        try:
            return evaluate(tokens, targets)
        finally:
            model.train()

    return run


def demo(steps: int, out: str | None, data: str | None, seed: int = 0) -> int:
    """Train, report, sample, and write `graph.txt`, `stablehlo.mlir`, `hlo.txt`, `loss.svg` and `model.safetensors`."""
    text = load(data, WINDOW)
    folder = _writable(Path(out or "demo-out"))
    yardstick = bigram_loss(text)
    torch.manual_seed(seed)
    model = GPT(len(text.characters), WINDOW)
    print(f"a GPT of {sum(p.numel() for p in model.parameters()):,} parameters, {len(text.train):,} characters of "
          f"{len(text.characters)} kinds; a bigram model of the same text has loss {yardstick:.3f}")
    started = time.perf_counter()
    step, history = train(model, text, steps, seed)
    print(f"trained {steps} steps in {time.perf_counter() - started:.1f} s; {step.stats}")
    last = f"{history.validation[-1][1]:.3f}"
    print(f"validation loss {last}, bigram model {yardstick:.3f}; train loss {history.train[-1][1]:.3f}")
    print("\n" + sample(model, text, 300) + "\n")
    _write_all(folder, step, model, history, yardstick)
    print(f"wrote {', '.join(sorted(p.name for p in folder.iterdir()))} to {folder}")
    return 0


def train(model: Any, text: Text, steps: int, seed: int) -> tuple[Any, History]:
    """Run the compiled step `steps` times under a warm-up and cosine schedule."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.1)
    warmup = min(50, max(1, steps // 10))
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [
        torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, warmup),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - warmup), RATE / 20)], [warmup])
    step, evaluate = training_step(model, optimizer), evaluation(model)
    rng, history = np.random.default_rng(seed), History()
    held = [batch(text.validation, BATCH, WINDOW, np.random.default_rng(i)) for i in range(8)]
    with tqdm(range(1, steps + 1), desc="compiling", unit="step", file=sys.stderr, disable=None) as bar:
        for number in bar:
            loss = step(*batch(text.train, BATCH, WINDOW, rng))
            schedule.step()
            if number % 20 == 0 or number in (1, steps):
                history.train.append((number, loss.item()))
            if number % 200 == 0 or number in (1, steps):
                history.validation.append((number, float(np.mean([evaluate(*pair).item() for pair in held]))))
                bar.set_description("training")
            if number % 20 == 0:
                bar.set_postfix(train=f"{history.train[-1][1]:.3f}", validation=f"{history.validation[-1][1]:.3f}")
    return step, history


def sample(model: Any, text: Text, count: int) -> str:
    """`count` characters drawn from the model after the last window of the training text.

    The window keeps its size, so that one executable serves all characters.
    """
    @torch.jit
    def draw(window):
        with torch.no_grad():
            chances = torch.softmax(model(window)[:, -1], dim=-1)
            drawn = torch.multinomial(chances, 1)
            return torch.cat([window[:, 1:], drawn], dim=1), drawn

    model.eval()
    window = torch.tensor(text.train[None, -WINDOW:])
    drawn = []
    for _ in range(count):
        window, character = draw(window)
        drawn.append(character)
    model.train()
    return text.decode(np.concatenate([c.numpy().ravel() for c in drawn]))


# --- Files ------------------------------------------------------------------------------------------------------------


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise UserError(f"--out: cannot write to {folder}: {error.strerror or error}") from None


def _write_all(folder: Path, step: Any, model: Any, history: History, yardstick: float) -> None:
    _write(folder / "graph.txt", str(step.graph) + "\n")
    _write(folder / "stablehlo.mlir", step.stablehlo)
    _write(folder / "hlo.txt", step.hlo)
    _write(folder / "loss.svg", loss_curves({"train": history.train, "validation": history.validation},
                                            {"bigram model": yardstick}))
    _guarded(folder, lambda: torch.save(model.state_dict(), folder / "model.safetensors"))


def _write(path: Path, content: str) -> None:
    """Write a file as a whole or not at all."""
    def write() -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(content, encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    _guarded(path, write)


def _guarded(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f"--out: cannot write {path}: {error.strerror or error}") from None
