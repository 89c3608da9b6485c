"""A program that would not fit is refused before it runs, and nothing is changed."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime import memory


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program is asked about, and 1 KiB is free."""
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "free_on_host", lambda needed: 1024)


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
        plenty.setattr(memory, "free_on_host", lambda needed: 1 << 40)
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
    free = memory.free_on_host(1)
    assert free is None or 0 < free < 1 << 50
    memory.require("step", "cpu", 10, None)
    memory.require("step", "cpu", 10, 10)
    with pytest.raises(torch.OutOfMemoryError, match="step needs 11 B on cpu"):
        memory.require("step", "cpu", 11, 10)


def test_what_is_kept_is_given_back_where_too_little_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    free, given = [100], []
    monkeypatch.setattr(memory, "_given_by_system", lambda: free[0])

    def give_back() -> None:
        given.append(free[0])
        free[0] = 700

    monkeypatch.setattr(memory, "give_back", give_back)
    assert memory.free_on_host(100) == 100 and given == []
    assert memory.free_on_host(101) == 700 and given == [100]
    assert memory.free_on_host(800) == 700 and given == [100, 700]


STEPS = """
import resource
import flambeau as torch
from flambeau.runtime import memory

def pages(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

model = torch.nn.Sequential(*[torch.nn.Sequential(torch.nn.Linear(128, 128), torch.nn.Tanh()) for _ in range(8)])

@torch.jit
def step(x):
    model(x).square().mean().backward()
    return [p.grad for p in model.parameters()]

x = torch.zeros(16384, 128)

def steps(count):
    for _ in range(count):
        float(step(x)[0].sum())

steps(30)
print(step.program.memory()["temp"] >> 12, min(pages(lambda: steps(5)) for _ in range(6)), end=" ")
memory.give_back()
print(pages(lambda: steps(5)))
"""


@pytest.mark.parametrize("first", ["", "import jax; jax.jit(lambda x: x + 1)(jax.numpy.ones(8)).block_until_ready()"])
def test_temporary_memory_is_kept_from_call_to_call(first: str) -> None:
    """Also where threads had arenas before, of pieces of 64 MiB: a larger block would be new at each call (pages of 4 KiB)."""
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("a C library without mallopt")
    answer = subprocess.run([sys.executable, "-c", first + STEPS], capture_output=True, text=True, check=True).stdout
    temporary, kept, given_back = map(int, answer.split())
    assert temporary > 64 << 8, "no program that a piece could not hold"
    assert kept < temporary // 4 < given_back, answer


def test_files_that_are_not_there_or_hold_something_else(tmp_path: Any) -> None:
    file = tmp_path / "table"
    assert memory._from_table(str(file), "a") is None and memory._number(str(file)) is None
    file.write_text("b 1\na: 7 kB\n")
    assert memory._from_table(str(file), "a:") == 7 and memory._from_table(str(file), "c") is None
    file.write_text("max\n")
    assert memory._number(str(file)) is None
    file.write_text("12\n")
    assert memory._number(str(file)) == 12
