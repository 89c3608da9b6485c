"""Models of many kinds in files that say `import torch`: with both libraries they give the same numbers.

The gradients are compared in double precision, where rounding hides nothing; the trainings in single precision, each in one
program that is compiled once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

from ..engines import on_numpy  # noqa: E402
from .twins import SOURCES, Side, default_dtype, same, twins  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")  # what torch says of its own fast paths

NAMES = sorted(path.stem for path in SOURCES.glob("*.py") if path.stem != "training")
STEPS = 5

# Whose steps XLA compiles, which takes it up to a quarter of a minute; FLAMBEAU_MODELS=xla lets it compile all.
COMPILED = set(NAMES) if os.environ.get("FLAMBEAU_MODELS") == "xla" else {"gat", "gpt2", "resnet", "vae"}

# Run as scripts, in processes of their own.
SCRIPTS = ["gat", "llama", "vae"]


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_are_torchs(name: str, numpy_engine: None) -> None:
    with default_dtype("float64"):
        ours, theirs = twins(name)
        for train in (True, False):
            found, expected = ours.evaluate(0, train), theirs.evaluate(0, train)
            for part in expected:
                same(found[part], expected[part], 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_trainings_are_torchs_in_one_program_and_files_go_both_ways(name: str, tmp_path: Path) -> None:
    with on_numpy(name not in COMPILED):
        ours, theirs = twins(name)
        step = flambeau.jit(ours.source.step)
        losses = theirs.train(range(STEPS), theirs.source.step)
        np.testing.assert_allclose(ours.train(range(STEPS), step), losses, rtol=1e-3)
        assert len(set(losses)) == STEPS and step.stats.compiles == 1
        check_files(ours, theirs, tmp_path)


def check_files(ours: Side, theirs: Side, tmp_path: Path) -> None:
    """What either side writes of a training the other reads."""
    theirs.save(tmp_path / "theirs.pt")
    ours.renew()
    ours.load(tmp_path / "theirs.pt")
    same(ours.state(), theirs.state(), 0)
    ours.save(tmp_path / "ours.pt")
    theirs.renew()
    theirs.load(tmp_path / "ours.pt")
    same(theirs.state(), ours.state(), 0)


def printed(path: Path, *program: str) -> list[str]:
    """The lines that a script prints, run by this program."""
    done = subprocess.run([sys.executable, *program, str(path)], capture_output=True, text=True, timeout=300, check=False,
                          env={**os.environ, "PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_print_what_they_print_with_torch(name: str) -> None:
    path = SOURCES / f"{name}.py"
    ours, theirs = printed(path, "-m", "flambeau", "run"), printed(path)
    assert len(ours) == len(theirs) >= STEPS
    for mine, yours in zip(ours, theirs, strict=True):
        words, value = mine.rsplit(" ", 1)
        expected_words, expected = yours.rsplit(" ", 1)
        assert words == expected_words
        if "loss" not in words:
            assert value == expected
            continue
        assert float(value) == pytest.approx(float(expected), rel=1e-3)
