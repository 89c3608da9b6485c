"""The list of torch's public names is that of the installed torch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from flambeau import compat  # noqa: E402

from .torch_names import listed, text  # noqa: E402


def test_the_list_is_current() -> None:
    assert compat.FILE.read_text(encoding="utf-8") == text(listed()), "run python -m tests.parity.torch_names"


def test_the_list_is_long() -> None:
    assert sum(map(len, compat.names().values())) > 5000 and len(compat.names()["torch.Tensor"]) > 580
