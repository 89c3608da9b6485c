"""A run that is saved, and loaded by another, goes on bit for bit: dropout, momentum, schedule and all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn

ROOT = Path(__file__).parents[2]
OPTIMIZERS = {"SGD": {"lr": 0.1, "momentum": 0.9}, "AdamW": {"lr": 0.01}}


class Run:
    """A small training, of dropout, batch statistics and a schedule; `step()` returns the loss."""

    def __init__(self, optimizer: str, jitted: bool) -> None:
        self.model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 1))
        self.optimizer = getattr(torch.optim, optimizer)(self.model.parameters(), **OPTIMIZERS[optimizer])
        self.scheduler = torch.optim.lr_scheduler.SequentialLR(self.optimizer, [
            torch.optim.lr_scheduler.LinearLR(self.optimizer, 0.5, total_iters=3),
            torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 10)], [3])
        self.generator = torch.Generator().manual_seed(9)
        self._train = torch.jit(self._update) if jitted else self._update

    def _update(self) -> Any:
        x = torch.randn(8, 4, generator=self.generator)
        loss = ((self.model(x) - x.sum(1, keepdim=True)) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def step(self) -> float:
        loss = self._train().item()
        self.scheduler.step()
        return loss

    def save(self, path: Path) -> None:
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                    "scheduler": self.scheduler.state_dict(), "rng": torch.get_rng_state(),
                    "data": self.generator.get_state()}, path)

    def load(self, path: Path) -> None:
        saved = torch.load(path)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        torch.set_rng_state(saved["rng"])
        self.generator.set_state(saved["data"])


def go_on(run: Run) -> tuple[list[float], list[Any]]:
    """Four more steps: the losses, and the parameters and buffers they end with."""
    losses = [run.step() for _ in range(4)]
    return losses, [t.numpy() for t in run.model.state_dict().values()]


def same(a: tuple[list[float], list[Any]], b: tuple[list[float], list[Any]]) -> bool:
    return a[0] == b[0] and all(np.array_equal(x, y) for x, y in zip(a[1], b[1], strict=True))


@pytest.mark.parametrize("jitted", [False, True], ids=["lazily", "jitted"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_loaded_run_goes_on_bit_for_bit(tmp_path: Path, optimizer: str, jitted: bool) -> None:
    torch.manual_seed(0)
    run = Run(optimizer, jitted)
    for _ in range(5):
        run.step()
    run.save(tmp_path / "run.safetensors")
    expected = go_on(run)
    torch.manual_seed(999)  # everything else starts from elsewhere
    other = Run(optimizer, jitted)
    other.load(tmp_path / "run.safetensors")
    assert same(go_on(other), expected)


def test_what_is_left_out_of_a_checkpoint_is_missed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = Run("AdamW", True)
    run.step()
    run.save(tmp_path / "run.safetensors")
    expected = go_on(run)
    other = Run("AdamW", True)
    other.load(tmp_path / "run.safetensors")
    torch.manual_seed(999)
    assert not same(go_on(other), expected)


def test_a_run_loads_into_one_that_has_compiled(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = Run("SGD", True)
    for _ in range(3):
        run.step()
    run.save(tmp_path / "run.safetensors")
    expected = go_on(run)
    run.load(tmp_path / "run.safetensors")
    assert same(go_on(run), expected)


GO_ON = """
import sys
import numpy as np
from tests.runtime.test_resume import Run, go_on
run = Run("AdamW", True)
run.load(sys.argv[1])
losses, state = go_on(run)
np.savez(sys.argv[2], np.array(losses), *state)
"""


def test_another_process_goes_on_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = Run("AdamW", True)
    for _ in range(5):
        run.step()
    run.save(tmp_path / "run.safetensors")
    losses, state = go_on(run)
    done = subprocess.run([sys.executable, "-c", GO_ON, str(tmp_path / "run.safetensors"), str(tmp_path / "end.npz")],
                          capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    for mine, other in zip([np.array(losses), *state], np.load(tmp_path / "end.npz").values(), strict=True):
        np.testing.assert_array_equal(mine, other)
