"""`import torch` as another name of Flambeau: the hook, `flambeau run`, children, and what the face answers for torch."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import flambeau as torch
from flambeau.absent import ANSWERS, MODULES
from flambeau.tracer.ir.errors import DeviceError
from flambeau.version import TorchVersion


def python(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", *arguments], capture_output=True, text=True, timeout=300, cwd=folder,
                          check=False)


def run(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(textwrap.dedent(code))
    return python("-m", "flambeau", "run", str(folder / "script.py"), *arguments)


def test_modules_of_torch_are_ours(tmp_path: Path) -> None:
    done = run(tmp_path, """
        import torch, torch.nn as nn, torch.nn.functional as F, torch.utils.checkpoint
        import torch.autograd.functional, torch.cuda.amp, torch.onnx
        from torch.optim.lr_scheduler import StepLR
        from torch.jit import script
        import flambeau, flambeau.nn
        assert torch is flambeau and nn is flambeau.nn and F is flambeau.nn.functional
        assert flambeau.nn.__spec__.name == flambeau.nn.__name__ == "flambeau.nn"
        assert torch.__version__ >= "2.9" and torch.__version__ >= (2, 1) and tuple(torch.__version__.split("."))[0] == "2"
        try:
            import torch.nothing
        except ModuleNotFoundError as error:
            print(error)
        """)
    assert (done.returncode, done.stdout) == (0, "No module named 'torch.nothing'\n"), done.stderr


def test_what_is_asked_of_a_wheel_holds_in_a_checkout() -> None:
    root = Path(__file__).parents[2]
    done = python(str(root / ".ci" / "smoke.py"), str(root))
    assert done.returncode == 0, done.stderr


def test_a_script_sees_itself(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("x = 7")
    done = run(tmp_path, """
        import pickle, sys, __main__
        import torch, beside

        class Own:
            pass

        assert isinstance(pickle.loads(pickle.dumps(Own())), Own) and __main__.Own is Own
        print(__name__, sys.argv[1:], beside.x, __file__ == sys.argv[0])
        sys.exit(5)
        """, "--lr", "0.1")
    assert (done.returncode, done.stdout.split()) == (5, ["__main__", "['--lr',", "'0.1']", "7", "True"]), done.stderr
    assert python("-m", "flambeau", "run", "-m", "script", "a", folder=tmp_path).returncode == 5


def test_errors_are_told_without_our_frames(tmp_path: Path) -> None:
    done = run(tmp_path, """
        def fails():
            raise ValueError("boom")
        fails()
        """)
    assert done.returncode == 1
    assert done.stderr.count("File ") == 2 and "runpy" not in done.stderr and "flambeau/script" not in done.stderr
    assert done.stderr.endswith("ValueError: boom\n")
    stopped = run(tmp_path, "raise SystemExit('no data')")
    assert (stopped.returncode, stopped.stderr) == (1, "no data\n")
    missing = python("-m", "flambeau", "run", str(tmp_path / "nowhere.py"))
    assert missing.returncode == 2 and missing.stderr.startswith("flambeau run: no such file")
    assert python("-m", "flambeau", "run").returncode == 2


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_processes_that_a_script_starts_do_the_same(method: str, tmp_path: Path) -> None:
    done = run(tmp_path, f"""
        import multiprocessing, sys
        import torch

        def work(queue):
            import torch
            queue.put((torch.__name__, torch.nn is sys.modules["flambeau.nn"]))

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            queue = context.Queue()
            child = context.Process(target=work, args=(queue,))
            child.start()
            print(queue.get(timeout=200))
            child.join()
        """)
    assert (done.returncode, done.stdout) == (0, "('flambeau', True)\n"), done.stderr


def test_importing_flambeau_leaves_torch_alone() -> None:
    code = "import sys, flambeau; assert not [m for m in sys.modules if m.partition('.')[0] == 'torch']"
    assert python("-c", code).returncode == 0


def test_beside_the_real_torch_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("real = True")
    code = """
        import sys, torch
        finders = list(sys.meta_path)
        try:
            import flambeau.as_torch
        except ImportError as error:
            assert "requires that torch is not imported yet" in str(error)
        else:
            raise AssertionError
        assert [f for f in sys.meta_path if "flambeau.shim" in type(f).__module__] == [] and torch.real
        """
    done = python("-c", textwrap.dedent(code), folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_where_torch_is_installed_too_one_warning_says_who_wins(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("real = True")
    code = "import warnings; warnings.simplefilter('error')\ntry:\n import flambeau.as_torch\nexcept UserWarning as w: print(w)"
    assert "means Flambeau" in python("-c", code, folder=tmp_path).stdout


# --- What is not there --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_is_not_there_says_so_at_the_call(name: str) -> None:
    __import__(f"flambeau.{name}")
    module = sys.modules[f"flambeau.{name}"]
    thing = module.something
    assert isinstance(thing, type) and thing.__module__ == f"torch.{name}"
    with pytest.raises(NotImplementedError, match=f"torch.{name}.something is not there in Flambeau: "):
        thing(1)
    for answer in ("is_available", "device_count"):
        if answer in ANSWERS.get(name, {}):
            assert not getattr(module, answer)()


def test_cuda_without_a_device_is_torchs_build_without_cuda() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert torch.cuda.device_count() == torch.cuda.memory_allocated() == torch.accelerator.device_count() == 0
    for call in (lambda: torch.ones(2).cuda(), torch.cuda.current_device, lambda: torch.nn.Linear(2, 2).cuda(),
                 torch.cuda.synchronize, lambda: torch.ones(2, device="cuda"), torch.cuda.get_device_name):
        with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
            call()
    with pytest.raises(DeviceError):
        torch.ones(2).to("cuda")
    assert torch.accelerator.current_accelerator() is None and torch.cuda.manual_seed_all(3) is None


def test_devices_by_text_and_number() -> None:
    assert repr(torch.device(type="cuda", index=1)) == "device(type='cuda', index=1)" == repr(torch.device(1))
    for wrong, error in [("foo", "Expected one of cpu"), ("cuda:x", "Invalid device string"), ("cuda:-1", "Invalid")]:
        with pytest.raises(RuntimeError, match=error):
            torch.device(wrong)
    with pytest.raises(RuntimeError, match="must not include an index"):
        torch.device("cuda:1", 0)
    with pytest.raises(TypeError):
        torch.device(None)


def test_versions_compare_by_their_numbers() -> None:
    version = TorchVersion("2.13.0")
    assert version > "2.9" and version >= "2.13" and version < (2, 14) and version == "2.13.0" and version != "2.13.1"
    assert not version < "2.13.0+cpu" and hash(version) == hash("2.13.0") and version.split(".")[0] == "2"


# --- Former classes of tensors, formats, switches ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:torch.set_default_tensor_type")
def test_former_classes_of_tensors() -> None:
    x = torch.FloatTensor([1, 2])
    assert x.dtype is torch.float32 and x.tolist() == [1, 2] and torch.LongTensor(2, 3).shape == (2, 3)
    assert isinstance(x, torch.FloatTensor) and not isinstance(x, torch.LongTensor) and not isinstance(x, torch.cuda.FloatTensor)
    assert x.type() == "torch.FloatTensor" and x.type("torch.LongTensor").dtype is torch.int64
    assert x.type(torch.DoubleTensor).dtype is torch.float64 and torch.typename(x) == "torch.FloatTensor"
    with pytest.raises(ValueError, match="invalid type"):
        x.type("torch.NoTensor")
    torch.set_default_tensor_type(torch.DoubleTensor)
    try:
        assert torch.ones(1).dtype is torch.float64
    finally:
        torch.set_default_tensor_type("torch.FloatTensor")
    with pytest.raises(TypeError, match="only floating-point types"):
        torch.set_default_tensor_type(torch.LongTensor)


def test_memory_formats() -> None:
    x = torch.arange(120.0).view(2, 3, 4, 5)
    y = x.contiguous(memory_format=torch.channels_last)
    assert y.stride() == (60, 1, 15, 3) and y.tolist() == x.tolist() and x.layout is torch.strided
    assert y.is_contiguous(memory_format=torch.channels_last) and not y.is_contiguous() and not x.is_contiguous(
        memory_format=torch.channels_last)
    assert (y * 2).stride() == y.stride() == x.to(memory_format=torch.channels_last).stride() == y.clone().stride()
    assert y.contiguous().stride() == x.stride() == y.clone(memory_format=torch.contiguous_format).stride()
    with pytest.raises(RuntimeError, match="required rank 4 tensor to use channels_last format"):
        x[0].contiguous(memory_format=torch.channels_last)
    assert torch.jit(lambda t: t.contiguous(memory_format=torch.channels_last) + 1)(x).tolist() == (x + 1).tolist()


def test_switches_are_kept() -> None:
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    assert torch.are_deterministic_algorithms_enabled() and torch.get_deterministic_debug_mode() == 1
    torch.set_deterministic_debug_mode(before)
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    with torch.backends.cudnn.flags(enabled=False, benchmark=True):
        assert torch.backends.cudnn.benchmark and not torch.backends.cudnn.enabled
    assert torch.backends.cudnn.enabled and not torch.backends.cudnn.is_available() and torch.backends.cudnn.version() is None
    torch.backends.cuda.matmul.allow_tf32 = True
    assert torch.backends.cuda.matmul.allow_tf32 and torch.get_num_threads() >= 1


def test_threads_are_set_before_the_first_computation() -> None:
    code = """
        import os, flambeau as torch
        torch.set_num_threads(1)
        assert torch.get_num_threads() == 1
        torch.ones(70000).exp().sum().item()
        print(len(os.listdir("/proc/self/task")))
        import warnings
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            torch.set_num_threads(7)
        assert "has no effect" in str(told[0].message) and torch.get_num_threads() == 1
        """
    one = python("-c", textwrap.dedent(code))
    assert one.returncode == 0, one.stderr


def test_jit_is_called_and_answers_for_torchs_own() -> None:
    step = torch.jit(lambda x: x * 2)
    assert step(torch.ones(2)).tolist() == [2, 2] and "jit" in repr(step)
    model = torch.nn.Linear(2, 2)
    assert torch.jit.script(model) is model and torch.jit.trace(model, torch.ones(1, 2)) is model
    assert not torch.jit.is_scripting() and not torch.jit.is_tracing() and torch.jit.isinstance([1], list[int])
    assert torch.jit.wait(torch.jit.fork(lambda x: x + 1, 2)) == 3

    @torch.jit.ignore(drop=True)
    def plain() -> int:
        return 3

    assert plain() == 3
    with pytest.raises(RuntimeError, match="TorchScript"):
        torch.jit.load("model.pt")


def test_compiling_is_known_while_it_happens() -> None:
    seen = []
    torch.jit(lambda x: seen.append(torch.compiler.is_compiling()) or x + 1)(torch.ones(1))
    assert seen == [True] and not torch.compiler.is_compiling()
