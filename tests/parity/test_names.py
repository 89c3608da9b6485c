"""The list of torch's public names is that of the installed torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from flambeau import compat  # noqa: E402


def test_the_list_is_current() -> None:
    """In a process of its own: modules that other tests import give torch more names."""
    code = "import sys; from tests.parity.torch_names import listed, text; sys.stdout.write(text(listed()))"
    made = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=Path(__file__).parents[2], capture_output=True,
                          text=True, check=True)
    assert compat.FILE.read_text(encoding="utf-8") == made.stdout, "run python -m tests.parity.torch_names"


def test_the_list_is_long() -> None:
    assert sum(map(len, compat.names().values())) > 5000 and len(compat.names()["torch.Tensor"]) > 580
