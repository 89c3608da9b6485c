"""LAPACK's functions are known to XLA before a program that calls them is compiled, or is loaded from disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
{before}
import flambeau as torch
from flambeau.runtime.engine import Counts
A = torch.tensor([[4.0, 1.0], [1.0, 3.0]])
step = torch.jit(lambda A: (torch.linalg.solve(A, torch.ones(2)), torch.linalg.eigvalsh(A), torch.linalg.svdvals(A)))
x, w, s = step(A)
print(Counts.compiles > 0, Counts.disk_hits > 0, [round(n, 4) for n in x.tolist() + w.tolist() + s.tolist()])
{after}
"""
RESULT = "[0.1818, 0.2727, 2.382, 4.618, 4.618, 2.382]"


def run(folder: Path, before: str = "", after: str = "") -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(before=before, after=after)], capture_output=True, text=True,
                          check=False, env={**os.environ, "FLAMBEAU_CACHE_DIR": str(folder)})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_program_is_loaded_by_the_next_process(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert run(folder) == f"True False {RESULT}"
    assert run(folder) == f"False True {RESULT}"


def test_nothing_is_loaded_without_a_call(tmp_path: Path) -> None:
    code = ("import sys; import flambeau as torch; torch.ones(2).add(1).tolist(); torch.linalg.cholesky\n"
            "print('scipy' in sys.modules, 'jax' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


@pytest.mark.parametrize("first", [True, False])
def test_beside_jax(tmp_path: Path, first: bool) -> None:
    jax = "import jax; assert abs(jax.numpy.linalg.eigvalsh(jax.numpy.eye(2) * 3).sum() - 6) < 1e-5"
    assert RESULT in run(tmp_path / "cache", **{"before" if first else "after": jax})
