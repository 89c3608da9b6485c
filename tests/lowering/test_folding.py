"""XLA is kept from computing long programs of constants while it compiles them, and from saying so on the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.lowering.folding import folds_slowly
from flambeau.nn import functional as F

# Steps without arguments: everything in them is known when they are compiled.
LONG: dict[str, Callable[[], Any]] = {
    "a pool": lambda: F.avg_pool2d(torch.ones(1, 16, 64, 64), 31, 1),
    "another pool": lambda: F.max_pool2d(torch.ones(1, 16, 64, 64), 31, 1),
    "a running sum": lambda: torch.arange(10000.0).cumsum(0), "a running product": lambda: torch.ones(10000).cumprod(0),
    "a running maximum": lambda: torch.ones(10000).cummax(0).values,
    "a convolution": lambda: F.conv2d(torch.ones(1, 16, 32, 32), torch.ones(16, 16, 3, 3)),
    "a product": lambda: torch.ones(300, 300) @ torch.ones(300, 300),
    "many elements": lambda: torch.linspace(0, 1, 20_000_000).sin().sum(),
    "in a loop": lambda: torch.scan(lambda h, x: (h + torch.arange(10000.0).cumsum(0), x), torch.zeros(10000), torch.ones(3))[0]}
SHORT: dict[str, Callable[..., Any]] = {
    "a causal mask": lambda: torch.ones(1024, 1024).tril(),
    "a small pool": lambda: F.avg_pool2d(torch.ones(1, 4, 16, 16), 3),
    "positions": lambda: torch.arange(1000).cumsum(0),
    "a table of waves": lambda: torch.outer(torch.arange(512.0), torch.arange(64.0)).sin()}


@pytest.mark.parametrize("name", LONG)
def test_long(name: str) -> None:
    assert folds_slowly(torch.jit(LONG[name]).trace())


@pytest.mark.parametrize("name", SHORT)
def test_short(name: str) -> None:
    assert not folds_slowly(torch.jit(SHORT[name]).trace())


def test_what_depends_on_an_argument_is_not_folded() -> None:
    def step(x: Any) -> Any:
        return F.avg_pool2d(x.expand(1, 16, 64, 64), 31, 1).sum() + x.cumsum(0) + torch.rand(64).cumsum(0)

    assert not folds_slowly(torch.jit(step).trace(torch.ones(64)))


def test_the_terminal_stays_quiet(tmp_path: Path) -> None:
    program = ("import flambeau as torch; pool = torch.nn.functional.avg_pool2d\n"
               "step = lambda: (pool(torch.ones(4, 16, 64, 64), 31, 1).sum(), torch.arange(10000.0).cumsum(0)[-1])\n"
               "a, b = torch.jit(step)()\nprint(a.item(), b.item())\nprint(*(x.item() for x in step()))")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2],
                         env={**os.environ, "FLAMBEAU_CACHE_DIR": str(tmp_path)}, timeout=300)
    assert run.stdout.split() == ["73984.0", "49995000.0"] * 2, run.stderr
    assert "slow_operation_alarm" not in run.stderr
