"""Small modules of torch's: parallel wrappers, testing, and parts of utils."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import flambeau as torch
import flambeau.testing
import flambeau.utils.benchmark
import flambeau.utils.collect_env
import flambeau.utils.dlpack
import flambeau.utils.model_zoo
from flambeau import nn


def test_a_module_in_a_parallel_wrapper_is_that_module() -> None:
    for wrap in (nn.DataParallel, nn.parallel.DistributedDataParallel):
        model = nn.Linear(3, 2)
        wrapped = wrap(model)
        assert list(wrapped.state_dict()) == ["module.weight", "module.bias"] and wrapped.module is model
        x = torch.ones(4, 3)
        assert wrapped(x).tolist() == model(x).tolist() == torch.jit(wrapped)(x).tolist()
        wrapped(x).sum().backward()
        assert model.weight.grad is not None
    with pytest.warns(UserWarning, match="given 2 devices"):
        nn.DataParallel(model, device_ids=[0, 1])
    with pytest.raises(RuntimeError, match="doesn't have any parameter that requires a gradient"):
        nn.parallel.DistributedDataParallel(nn.ReLU())


def test_a_timer_measures() -> None:
    timer = torch.utils.benchmark.Timer("(x + 1).sum()", globals={"x": torch.ones(4)})
    found = timer.timeit(5)
    assert found.number_per_run == 5 and found.median > 0 and "Median" in repr(found)
    assert len(timer.blocked_autorange(min_run_time=0.01).times) >= 1


def test_memory_is_shown_to_others() -> None:
    assert torch.utils.dlpack.from_dlpack(np.arange(3)).tolist() == [0, 1, 2]
    assert np.from_dlpack(torch.arange(3)).tolist() == [0, 1, 2]


def test_what_a_bug_report_needs_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "flambeau.utils.collect_env"], capture_output=True, text=True, timeout=300,
                          check=False)
    assert done.returncode == 0 and "flambeau" in done.stdout, done.stderr


def test_tolerances_go_together() -> None:
    with pytest.raises(ValueError, match="rtol and atol must both be specified"):
        torch.testing.assert_close(1.0, 1.0, rtol=0.1)
    torch.testing.assert_close({"a": [torch.ones(2), 1.0]}, {"a": [torch.ones(2), 1.0]})
    torch.testing.assert_close(torch.tensor([float("nan")]), torch.tensor([float("nan")]), equal_nan=True)
    with pytest.raises(AssertionError, match="Mismatched elements: 1 / 2"):
        torch.testing.assert_close({"a": torch.ones(2)}, {"a": torch.tensor([1.0, 2.0])})
    with pytest.raises(AssertionError, match="mine: Tensor-likes"):
        torch.testing.assert_close(torch.ones(1), torch.zeros(1), msg=lambda text: f"mine: {text}")
