"""What `flambeau.compat` says is so: what is there, what differs, what refuses; modules that are made of ours."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import flambeau as torch
from flambeau import compat
from flambeau.__main__ import main
from flambeau.absent import _INSTEAD, is_refusal
from flambeau.aliases import MADE_OF, RENAMED, Made

PAGE = Path(__file__).parents[2] / "COMPAT.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == compat.page(), "run python -m flambeau compat --page > COMPAT.md"


def test_nearly_all_is_there() -> None:
    counted = [entry for entry in compat.entries() if entry.status != compat.APART]
    there = [entry for entry in counted if entry.status in (compat.THERE, compat.DIFFERING)]
    assert len(counted) > 4000 and len(there) / len(counted) > 0.99, compat.counts(counted)


def test_what_differs_is_there() -> None:
    known = {f"{owner}.{name}" for owner, names in compat.names().items() for name in names}
    for name in compat.DIFFERS:
        assert name in known and compat.look_up(name).status == compat.DIFFERING, name


@pytest.mark.parametrize("name", ["torch.linalg.cholesky", "torch.nothing", "torch.sparse_coo_tensor", "torch.manual_seed"])
def test_one_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compat", name]) == 0
    said = {"torch.linalg.cholesky": "there", "torch.nothing": "missing",
            "torch.sparse_coo_tensor": "sparse tensors are not there", "torch.manual_seed": "differs (other random numbers"}[name]
    assert said in capsys.readouterr().out


def test_a_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compat", "fft"]) == 0
    assert capsys.readouterr().out == "torch.fft: 18 there, 1 not counted\n"


@pytest.mark.parametrize("name", _INSTEAD)
def test_a_name_that_is_not_there_says_so_at_the_call(name: str) -> None:
    found = compat.ours(f"torch.{name}")
    assert is_refusal(found)
    with pytest.raises(NotImplementedError, match=f"torch.{name} is not there in Flambeau: "):
        found(1)


# --- Modules made of ours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE_OF)
def test_a_module_made_of_ours_has_the_same_objects(name: str) -> None:
    made = importlib.import_module(f"flambeau.{name}")
    public = [n for n in compat.names().get(f"torch.{name}", ()) if n in vars(made)]
    assert public or name in ("_tensor", "nn._reduction", "nn.modules.linear_cross_entropy", "nn.parallel.distributed")
    homes = [importlib.import_module(f"flambeau.{home}" if home else "flambeau") for home in MADE_OF[name].split(" ")]
    for n in public:
        assert any(vars(made)[n] is vars(home).get(n) or isinstance(vars(home).get(n), Made) for home in homes), n
    for theirs, ours in RENAMED.get(name, {}).items():
        assert any(vars(made)[theirs] is vars(home).get(ours) for home in homes)


def test_they_are_found_without_an_import() -> None:
    code = """
        import sys, flambeau as torch
        assert "flambeau.nn.modules" not in sys.modules and "multiprocessing" not in sys.modules and "jax" not in sys.modules
        assert "flambeau.tracer.jit.trace" not in sys.modules  # what compiles is loaded when something is compiled
        assert torch.jit.jit is torch.tracer.jit.jit.jit and "flambeau.tracer.jit.trace" in sys.modules
        assert isinstance(torch.nn.BatchNorm2d(3), torch.nn.modules.batchnorm._BatchNorm)
        assert torch.nn.modules.conv._ConvNd is torch.nn.Conv1d.__mro__[2] and torch.nn.modules.utils._pair(3) == (3, 3)
        assert torch.optim.adam.Adam is torch.optim.Adam and torch.optim.optimizer.Optimizer is torch.optim.Optimizer
        import flambeau.autograd.gradcheck, flambeau.nn.utils.weight_norm
        assert torch.autograd.gradcheck(torch.sin, torch.ones(1, dtype=torch.float64, requires_grad=True))
        assert torch.nn.utils.weight_norm(torch.nn.Linear(2, 2)).weight_g.shape == (2, 1)
        import flambeau.shim
        flambeau.shim.install()
        from torch.nn.modules.batchnorm import _BatchNorm
        import torch.amp.autocast_mode as mode
        assert _BatchNorm is torch.nn.modules.batchnorm._BatchNorm and mode.autocast is torch.autocast
        """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", "\n".join(line.strip() for line in code.splitlines())],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_tensors_tell_their_memory_apart() -> None:
    x = torch.arange(6).view(2, 3)
    assert x[1].data_ptr() - x.data_ptr() == 24 and x.clone().data_ptr() != x.data_ptr() == x.view(-1).data_ptr()
    assert x[1].untyped_storage() == x.untyped_storage() != x.clone().untyped_storage() and x.untyped_storage().nbytes() == 48
    assert x[1].storage().tolist() == list(range(6)) and x.storage().dtype is torch.int64
