"""Debug mode: every operation runs where it is called, with the results it has anyway."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.recorder import thread_recorder
from flambeau.tracer.ir.state import everywhere
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops import OPS


@pytest.fixture(autouse=True)
def off_afterwards() -> Iterator[None]:
    torch.synchronize()
    yield
    torch.debug_mode(False)


def buffer(x: Any) -> Any:
    return x._storage.value.buffer


def test_each_operation_runs_at_once() -> None:
    x = torch.tensor([1.5, 2.5])
    with torch.debug_mode():
        y = x * 2.5
        assert buffer(y) is not None and not thread_recorder().nodes
        y.add_(1)
        assert buffer(y) is not None and y.tolist() == [4.75, 7.25]
    assert buffer(x.exp()) is None


def test_switching_on_and_off() -> None:
    x = torch.tensor([1.5])
    torch.debug_mode(True)
    assert buffer(x.exp()) is not None
    with torch.debug_mode(False):
        assert buffer(x.sin()) is None
    assert buffer(x.cos()) is not None
    torch.debug_mode(False)
    assert everywhere.debug is None and buffer(x.tan()) is None


def training() -> list[float]:
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Dropout(0.25), torch.nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    x, y = torch.randn(6, 4), torch.randint(0, 2, (6,))
    losses = []
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_a_training_gives_the_same_values() -> None:
    expected = training()
    with torch.debug_mode():
        found = training()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_views_transforms_and_second_order() -> None:
    def work() -> list[Any]:
        x = torch.arange(6.0).reshape(2, 3)
        x[0].mul_(3)
        (g,) = torch.autograd.grad((w := torch.ones(3, requires_grad=True)).pow(3).sum(), w, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), w)
        mapped = torch.vmap(torch.func.grad(lambda v: (v ** 2).sum()))(x)
        return [t.tolist() for t in (x, g, h, mapped, x[x > 3])]

    expected = work()
    with torch.debug_mode():
        assert work() == expected


def test_jit_is_left_alone() -> None:
    step = torch.jit(lambda x: (x.exp() * 2).sum())
    expected = step(torch.ones(3)).item()
    with torch.debug_mode():
        assert torch.jit(lambda x: (x.exp() * 2).sum())(torch.ones(3)).item() == expected
        assert step(torch.ones(3)).item() == expected and step.stats.compiles == 1


def test_report_knows_nothing_of_it() -> None:
    x = torch.full((3,), 0.375)
    before = len(torch.report())
    with torch.debug_mode():
        x.atan().sinh()
    assert len(torch.report()) == before


def failing(x: Any) -> Any:
    """An operation that is recorded without complaint and cannot run: nobody registered what it calls."""
    result = OPS["custom_call"](x._read(), target="nobody", results=(Type.of((2,), torch.float32),), config="",
                                api_version=1, has_side_effect=False)
    return torch.Tensor._of(result[0])


def test_an_operation_that_fails_does_so_at_its_line() -> None:
    x = torch.ones(2)
    failed = failing(x)  # lazily: nothing yet
    with pytest.raises(Exception):  # noqa: B017  (the runtime's own type)
        failed.tolist()
    del failed
    with torch.debug_mode():
        with pytest.raises(Exception) as caught:
            failing(x)  # this line
        lines = [entry.line for entry in traceback.extract_tb(caught.tb)]
        assert "failing(x)  # this line" in lines
        assert (x + 1).tolist() == [2, 2]  # what comes after is not held up


def test_the_first_nan_is_refused_where_it_comes_from() -> None:
    x = torch.tensor([4.0, -1.0])
    with torch.debug_mode(nans=True):
        assert x.exp().sum().item() > 0
        with pytest.raises(FloatingPointError, match=r"sqrt at .*test_debug_mode.py:\d+ gave a NaN"):
            x.sqrt()
        nan = torch.tensor([float("nan")])
        assert np.isnan((nan + 1).item())  # handed on, not made
    assert np.isnan(x.sqrt().tolist()[1])


def test_other_threads_are_in_it_too() -> None:
    seen = []
    with torch.debug_mode():
        thread = threading.Thread(target=lambda: seen.append(buffer(torch.ones(2).exp()) is not None))
        thread.start()
        thread.join()
    assert seen == [True]


@pytest.mark.parametrize("setting, expected", [("1", "True nan"), ("0", "False nan"), ("nan", "FloatingPointError")])
def test_the_environment_switches_it_on(setting: str, expected: str) -> None:
    code = ("import flambeau as torch\nx = torch.tensor([-1.0])\n"
            "try:\n    y = x.log()\n    print(y._storage.value.buffer is not None, y.item())\n"
            "except FloatingPointError:\n    print('FloatingPointError')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "FLAMBEAU_DEBUG": setting})
    assert done.stdout.strip() == expected, done.stderr
