"""A program that would not fit is refused before it runs, and nothing is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime import memory


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program is asked about, and 1 KiB is free."""
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "free_on_host", lambda: 1024)


def test_a_step_that_does_not_fit_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch, scarce: None) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Dropout(0.5), torch.nn.Linear(64, 64))
    opt = torch.optim.Adam(model.parameters())

    @torch.jit
    def step(x: Any) -> Any:
        loss = model(x).pow(2).mean()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    def everything() -> list[Any]:
        tensors = [*model.state_dict().values(), torch.get_rng_state(), *(t for s in opt.state.values() for t in s.values())]
        return [t.numpy().copy() for t in tensors]

    x = torch.tensor(np.ones((32, 64), np.float32))
    with monkeypatch.context() as plenty:
        plenty.setattr(memory, "free_on_host", lambda: 1 << 40)
        step(x)
        before = everything()
        step.cache_clear()
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError, match=r"step needs [\d.]+ KiB on .*cpu.* and 1 KiB are free\. Nothing ran"):
            step(x)
    monkeypatch.undo()
    for a, b in zip(everything(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(step(x).item())


def test_lazily_the_work_stays_pending(monkeypatch: pytest.MonkeyPatch, scarce: None) -> None:
    x = torch.ones(64, 64)
    y = (x @ x).exp()
    with pytest.raises(torch.OutOfMemoryError, match="KiB"):
        y.sum().item()
    monkeypatch.undo()
    assert y[0, 0].item() == pytest.approx(np.exp(64.0), rel=1e-5)


def test_what_is_free_on_this_machine() -> None:
    free = memory.free_on_host()
    assert free is None or 0 < free < 1 << 50
    memory.require("step", "cpu", 10, None)
    memory.require("step", "cpu", 10, 10)
    with pytest.raises(torch.OutOfMemoryError, match="step needs 11 B on cpu"):
        memory.require("step", "cpu", 11, 10)


def test_files_that_are_not_there_or_hold_something_else(tmp_path: Any) -> None:
    file = tmp_path / "table"
    assert memory._from_table(str(file), "a") is None and memory._number(str(file)) is None
    file.write_text("b 1\na: 7 kB\n")
    assert memory._from_table(str(file), "a:") == 7 and memory._from_table(str(file), "c") is None
    file.write_text("max\n")
    assert memory._number(str(file)) is None
    file.write_text("12\n")
    assert memory._number(str(file)) == 12
