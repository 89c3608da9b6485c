"""Lazy mode, jit and training on the numpy engine, and in a process that never loads jaxlib."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime.engine import Counts
from flambeau.tracer.backend import backend
from flambeau.tracer.ir.errors import DeviceError


def train(wrap: Any) -> list[float]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 2))
    opt = torch.optim.AdamW(model.parameters(), lr=0.05)
    x, y = torch.randn(16, 3), torch.randint(0, 2, (16,))

    @wrap
    def step() -> Any:
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return [step().item() for _ in range(10)]


def test_training_lazily_and_jitted_is_the_same_and_launches_nothing() -> None:
    before = Counts.launches, Counts.compiles
    lazy, jitted = train(lambda f: f), train(torch.jit)
    np.testing.assert_allclose(jitted, lazy, rtol=1e-5)
    assert lazy[-1] < lazy[0]
    assert (Counts.launches, Counts.compiles) == before
    assert backend().name == "numpy"


def test_outputs_and_copies_are_not_overwritten() -> None:
    state = [torch.zeros(3) for _ in range(5)]

    @torch.jit
    def step() -> Any:
        for s in state:
            s.add_(1)
        return state[0] * 1

    outputs = [step() for _ in range(3)]
    copies = [s.clone() for s in state]
    step()
    assert [t.tolist() for t in outputs] == [[1.0] * 3, [2.0] * 3, [3.0] * 3]
    assert all(c.tolist() == [3.0] * 3 for c in copies)


def test_shared_memory_is_written() -> None:
    a = np.ones(4, np.float32)
    x = torch.from_numpy(a)
    torch.jit(lambda: x.mul_(3))()
    assert x.tolist() == a.tolist() == [3.0] * 4


def test_other_devices_are_a_clear_error() -> None:
    with pytest.raises(DeviceError, match="numpy engine has only the device 'cpu'"):
        torch.ones(1, device="cuda")


def test_a_process_without_jaxlib() -> None:
    code = """
        import sys
        import flambeau as torch
        from flambeau.tracer.backend import NumpyBackend, install
        install(NumpyBackend)
        w = torch.ones(3, requires_grad=True)
        step = torch.jit(lambda x: (w * x).sum())
        step(torch.arange(3.0)).backward()
        assert w.grad.tolist() == [0.0, 1.0, 2.0]
        loaded = [m for m in sys.modules if m.partition(".")[0] in ("jax", "jaxlib")]
        assert not loaded, loaded
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)
