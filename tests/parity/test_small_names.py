"""Names that are small by themselves against torch's: streams and events, CUDA's where there is none, checksums, masks, ..."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from flambeau.cuda import readings  # noqa: E402

for _name in ("nn.attention.flex_attention", "utils.hooks", "utils.checkpoint", "overrides", "cuda.graphs"):
    importlib.import_module(f"torch.{_name}")
    importlib.import_module(f"flambeau.{_name}")
BOTH = (torch, flambeau)


def said(call: Callable[[Any], Any], library: Any) -> Any:
    """What a call gives, or the class and text of its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = call(library)
    except Exception as error:
        kinds = [kind for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        return kinds[0].__name__, str(error)
    if hasattr(found, "numpy") and hasattr(found, "dtype"):
        return str(found.dtype), found.numpy().tolist()
    return found if isinstance(found, (bool, int, float, str, list, tuple, dict, type(None))) else str(found)


def asserts(call: Callable[[Any], Any], library: Any) -> bool:
    """Whether a call says that there is no CUDA, by torch's class of errors."""
    with pytest.raises(AssertionError):
        call(library)
    return True


class Told:
    """An argument that intercepts functions."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return "intercepted", len(types), args, kwargs


class Deaf:
    """An argument that knows no function."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return NotImplemented


class Handle:
    """What a kernel's registration gives."""

    removed = 0

    def remove(self) -> None:
        Handle.removed += 1


def registered(t: Any) -> Any:
    attention, before = t.nn.attention, Handle.removed
    attention.register_flash_attention_impl("mine", register_fn=Handle)
    attention.register_flash_attention_impl("none", register_fn=lambda: None)
    attention.activate_flash_attention_impl("mine")
    seen = [attention.current_flash_attention_impl(), "mine" in attention.list_flash_attention_impls()]
    attention.activate_flash_attention_impl("none")
    seen += [attention.current_flash_attention_impl(), Handle.removed - before]
    attention.activate_flash_attention_impl("mine")
    attention.restore_flash_attention_impl()
    return [*seen, attention.current_flash_attention_impl(), Handle.removed - before]


def mask(t: Any, *sizes: Any, block: Any = 128) -> Any:
    return t.nn.attention.flex_attention.create_block_mask(lambda b, h, q, k: (q >= k) & (q - k < 200 + 100 * h), *sizes,
                                                           device="cpu", BLOCK_SIZE=block)


def in_a_group(t: Any) -> Any:
    with t.utils.checkpoint.GraphExecGroup(), pytest.raises(RuntimeError, match="contexts cannot be nested"):
        t.utils.checkpoint.GraphExecGroup().__enter__()
    x = t.ones(2, requires_grad=True)
    with t.utils.checkpoint.GraphExecGroup():
        t.utils.checkpoint.checkpoint(t.exp, x, use_reentrant=False).sum().backward()
    return [round(v, 4) for v in x.grad.tolist()]


def written_after(t: Any) -> Any:
    x = t.ones(2, requires_grad=True)
    with t.autograd.graph.allow_mutation_on_saved_tensors():
        y = x.clone()
        total = (y ** 2).sum()
        y.sin_()
        total.backward()
    return x.grad


def jacobians(t: Any) -> Any:
    module = importlib.import_module(f"{t.__name__}.autograd.gradcheck")
    x = t.tensor([1.0, 2.0], dtype=t.float64, requires_grad=True)
    y = t.tensor([[0.5, 2.0, 3.0]], dtype=t.float64, requires_grad=True)

    def product(x: Any, y: Any) -> Any:
        return t.outer(x, y[0]) ** 2

    found = [*module.get_numerical_jacobian(lambda inputs: product(*inputs), (x, y)),
             *module.get_numerical_jacobian_wrt_specific_input(product, 1, (x, y), (product(x, y),), 1e-6)]
    exact, *flags = module.get_analytical_jacobian((x, y), product(x, y))
    errors = [said(lambda u, f=f: getattr(module, f)((x, y), x, grad_out=2.0), t)
              for f in ("get_numerical_jacobian", "get_analytical_jacobian")]
    return [np.round(j.detach().numpy(), 5).tolist() for j in [*found, *exact]], x.tolist(), y.tolist(), flags, errors


def both_kinds_of_stream(t: Any) -> Any:
    a, b = t.Stream(device="cpu"), t.Stream("cpu")
    return a == b and hash(a) == hash(b) and a != t.Stream("meta") and a.__enter__() is a


DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16",
          "bfloat16", "float32", "float64", "complex64", "uint16", "uint64"]
CALLS: list[Callable[[Any], Any]] = [
    lambda t: t.Stream(), lambda t: t.Stream("cpu"), lambda t: t.Stream("meta"), lambda t: t.Stream("cuda"),
    lambda t: t.Stream(stream_id=3, device_index=0, device_type=0), both_kinds_of_stream, lambda t: t.Stream().device,
    lambda t: [getattr(t.Stream("cpu"), n) for n in ("device_index", "device_type", "stream_id")], lambda t: t.Stream().query(),
    lambda t: t.Stream().synchronize(), lambda t: t.Stream().record_event(), lambda t: t.Stream().wait_event(t.Event()),
    lambda t: t.Stream().wait_stream(t.Stream()), lambda t: t.Stream().native_handle, lambda t: t.Stream().is_capturing(),
    lambda t: t.Event(), lambda t: t.Event("cuda"), lambda t: t.Event("cpu").device, lambda t: t.Event().event_id,
    lambda t: t.Event().query(), lambda t: t.Event().record(), lambda t: t.Event().wait(), lambda t: t.Event().synchronize(),
    lambda t: t.Event().elapsed_time(t.Event()), lambda t: t.Event().ipc_handle(),
    lambda t: t.Event("cpu", enable_timing=True).elapsed_time(t.Event("cpu", enable_timing=True)),
    lambda t: t.Event.from_ipc_handle(t.device("cpu"), b""), lambda t: t.accelerator.set_stream(t.Stream()),
    lambda t: said(lambda u: u.accelerator.set_stream(None), t)[0],
    # CUDA where there is none
    *(lambda t, n=n: said(lambda u: getattr(u.cuda, n)(), t) for n in (
        "clock_rate", "utilization", "temperature", "power_draw", "memory_usage", "device_memory_used", "list_gpu_processes")),
    lambda t: t.cuda.memory.list_gpu_processes(),
    lambda t: asserts(lambda u: u.cuda.cudart(), t), lambda t: asserts(lambda u: u.cuda.caching_allocator_alloc(3), t),
    lambda t: asserts(lambda u: u.cuda.memory.caching_allocator_alloc(3), t),
    lambda t: asserts(lambda u: u.cuda.get_stream_from_external(3), t), lambda t: t.cuda.memory.caching_allocator_enable(True),
    lambda t: [t.cuda.cudaStatus.SUCCESS, t.cuda.cudaStatus.ERROR_NOT_READY], lambda t: type(t.cuda.cudaStatus()).__name__,
    lambda t: t.cuda.make_graphed_callables(t.nn.Linear(1, 1), (t.ones(1, 1),)),
    lambda t: t.cuda.graphs.make_graphed_callables(t.nn.Linear(1, 1), (t.ones(1, 1),)),
    lambda t: t.cuda.caching_allocator_enable(True), lambda t: issubclass(t.cuda.CudaError, RuntimeError),
    lambda t: issubclass(t.cuda.ExternalStream, t.cuda.Stream),
    # Checksums of bits
    *(lambda t, k=k: t.hash_tensor(t.tensor([1, 0, 1, 1, 5]).to(getattr(t, k))) for k in DTYPES),
    *(lambda t, d=d, k=k: t.hash_tensor(t.arange(24.).view(2, 3, 4) - 5, d, keepdim=k)
      for d in (0, -1, (0, 2), (), [1]) for k in (False, True)),
    lambda t: t.tensor([-1.5, float("nan"), float("inf"), -0.0]).hash_tensor(), lambda t: t.hash_tensor(t.zeros(0)),
    lambda t: t.hash_tensor(t.zeros(2, 0), 1), lambda t: t.hash_tensor(t.ones(2), mode=1), lambda t: t.hash_tensor(t.tensor(3)),
    lambda t: t.hash_tensor(t.arange(3), out=t.empty((), dtype=t.uint64)),
    # What intercepts functions
    lambda t: t.overrides.handle_torch_function(t.add, (), 1),
    lambda t: t.overrides.handle_torch_function(t.add, (1, Told()), 1, a=2),
    lambda t: t.overrides.handle_torch_function(t.add, (Deaf(), Told(), Told()), 1),
    lambda t: said(lambda u: u.overrides.handle_torch_function(u.add, (Deaf(),), 1), t)[0],
    lambda t: t.overrides.redispatch_function(t.add, (), (t.ones(1), 2), {"alpha": 3}),
    # Attention
    registered, lambda t: said(lambda u: u.nn.attention.activate_flash_attention_impl("x"), t)[1].partition(" Avail")[0],
    lambda t: mask(t, None, None, 512, 512).to_string(), lambda t: mask(t, 2, 3, 300, 700).to_string(grid_size=(2, 2), limit=1),
    lambda t: mask(t, 1, 2, 700, 300).to_string(3), lambda t: mask(t, 1, 2, 700, 300, block=64).to_string(-1),
    lambda t: [len(mask(t, 1, 1, 256, 256).as_tuple()), len(mask(t, 1, 1, 256, 256).as_tuple(flatten=False))],
    lambda t: [x.tolist() if hasattr(x, "tolist") else x
               for x in mask(t, 1, 2, 256, 384).as_tuple()[:-1]],
    # The rest
    in_a_group, written_after, jacobians,
    lambda t: t.autograd.function.InplaceFunction(True).inplace, lambda t: t.sym_fresh_size(3),
    lambda t: issubclass(t.autograd.function.InplaceFunction, t.autograd.Function),
    lambda t: t.compiler.wrap_numpy(lambda x, y: np.sin(x) + y["y"])(t.zeros(2), {"y": t.ones(2)}),
    lambda t: [isinstance(3, k) for k in (t.SymInt, t.SymFloat, t.SymBool)], lambda t: t.SymInt(3).node,
    lambda t: (lambda s: s.conjugate() is s)(t.SymInt(3)), lambda t: (lambda s: s.conjugate() is s)(t.SymFloat(3.0)),
    lambda t: isinstance(t.ones(2, requires_grad=True).register_hook(print), t.utils.hooks.RemovableHandle),
    lambda t: isinstance(t.nn.Linear(1, 1).register_forward_hook(print), t.utils.hooks.RemovableHandle),
    lambda t: isinstance(t.optim.SGD([t.ones(1)]).register_step_pre_hook(print), t.utils.hooks.RemovableHandle),
    lambda t: isinstance(3, t.utils.hooks.RemovableHandle),
]


@pytest.mark.parametrize("case", range(len(CALLS)))
def test_calls(case: int) -> None:
    theirs, ours = said(CALLS[case], torch), said(CALLS[case], flambeau)
    assert ours == theirs


def test_cuda_without_a_device() -> None:
    """Where torch's build without CUDA lacks what it calls, and raises AttributeError: what there is to say of no device."""
    cuda = flambeau.cuda
    assert cuda.memory_snapshot() == cuda.memory.memory_snapshot() == [] and cuda.get_allocator_backend() == "native"
    with cuda.caching_allocator_disabled(), cuda.memory.caching_allocator_disabled():
        pass
    for call in (lambda: cuda.check_error(0), lambda: cuda.caching_allocator_delete(3), lambda: cuda.CudaError(3)):
        with pytest.raises(AssertionError, match="no cuda device is available"):
            call()
    with pytest.raises(RuntimeError, match="requires CUDA support"):
        cuda.ExternalStream(3)


def test_checksums_in_a_compiled_step() -> None:
    step = flambeau.jit(lambda x: flambeau.hash_tensor(x, 0))
    x = np.arange(35).reshape(7, 5)
    assert step(flambeau.tensor(x)).tolist() == np.bitwise_xor.reduce(x, axis=0).tolist()
    assert flambeau.zeros(0, 3).hash_tensor(1).tolist() == []


def test_readings_of_a_device(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a program in the place of nvidia-smi."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\ncase "$1" in *compute*) echo "42, 100";; *power*) echo 12.5;; *) echo 7;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(readings, "is_available", lambda: True)
    monkeypatch.setattr(readings, "index_of", lambda device=None: 0)
    assert (readings.clock_rate(), readings.power_draw(), readings.device_memory_used()) == (7, 12500, 7 << 20)
    assert readings.list_gpu_processes() == "GPU:0\nprocess         42 uses      100.000 MB GPU memory"
