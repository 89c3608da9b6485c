"""`torch.backends`: switches of libraries that torch computes with. There are none of them here; XLA decides.

A switch keeps what it is set to, and says so; it changes nothing. https://pytorch.org/docs/stable/backends.html
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

from ..tracer.ir.state import Ambient, ambients

# By module: the switches with what torch has them at on a CPU, what is asked of it, and whether it is there.
_SWITCHES: dict[str, dict[str, Any]] = {
    "cudnn": {"enabled": True, "benchmark": False, "benchmark_limit": 10, "deterministic": False, "allow_tf32": True},
    "cuda": {},
    "cpu": {},
    "mkldnn": {"enabled": True, "deterministic": False, "allow_tf32": True},
    "mha": {},
    "mkl": {"VERBOSE_OFF": 0, "VERBOSE_ON": 1},
    "mps": {},
    "openmp": {},
    "opt_einsum": {"enabled": True, "strategy": "auto"},
    "nnpack": {},
    "quantized": {"engine": "none", "supported_engines": ["none"]},
    "xnnpack": {"enabled": False},
}


class Switches(types.ModuleType):
    """A module of switches; `flags(...)` sets some of them for a block."""

    def is_available(self) -> bool:
        """False: the library is not used here."""
        return False

    is_built = is_available

    def version(self) -> None:
        """None: the library is not used here."""
        return None

    @contextmanager
    def flags(self, **values: Any) -> Iterator[None]:
        """A block with other settings."""
        before = {name: getattr(self, name) for name in values if hasattr(self, name)}
        self.__dict__.update({name: values[name] for name in before})
        try:
            yield
        finally:
            self.__dict__.update(before)


def _add(name: str, switches: dict[str, Any]) -> Switches:
    module = Switches(f"{__name__}.{name}", f"torch.backends.{name}: switches that are kept and change nothing.")
    module.__dict__.update(switches)
    module.__spec__ = ModuleSpec(module.__name__, None)  # without one, `import torch.backends.cudnn` would not find it
    module.__package__ = __name__
    sys.modules[module.__name__] = globals()[name] = module
    return module


for _name, _switches in _SWITCHES.items():
    _add(_name, _switches)

__all__ = list(_SWITCHES)


def _switches_now() -> dict[str, dict[str, Any]]:
    return {name: {k: v for k, v in vars(sys.modules[f"{__name__}.{name}"]).items() if type(v) in (bool, int, str)}
            for name in _SWITCHES}


def _set_switches(values: dict[str, dict[str, Any]]) -> None:
    for name, switches in values.items():
        vars(sys.modules[f"{__name__}.{name}"]).update(switches)


ambients.append(Ambient("the switches of backends", _switches_now, _set_switches))
_of_cuda: Any = sys.modules[f"{__name__}.cuda"]
_of_cuda.matmul = types.SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=True,
                                        allow_bf16_reduced_precision_reduction=True, allow_fp16_accumulation=False,
                                        fp32_precision="none")
_of_cuda.cufft_plan_cache = types.SimpleNamespace(size=0, max_size=0, clear=lambda: None)
for _switch in ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp"):
    _of_cuda.__dict__[f"_{_switch}"] = True
    _of_cuda.__dict__[f"{_switch}_enabled"] = lambda name=f"_{_switch}": _of_cuda.__dict__[name]
    _of_cuda.__dict__[f"enable_{_switch}"] = lambda enabled, name=f"_{_switch}": setattr(_of_cuda, name, bool(enabled))
_of_cpu: Any = sys.modules[f"{__name__}.cpu"]
_of_cpu.get_cpu_capability = lambda: "DEFAULT"


class SDPAParams(NamedTuple):
    """What an attention is called with, as torch asks whether a kernel takes it."""

    query: Any
    key: Any
    value: Any
    attn_mask: Any
    dropout: float
    is_causal: bool
    enable_gqa: bool = False


@contextmanager
def _sdp_kernel(enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True,
                enable_cudnn: bool = True) -> Iterator[None]:
    """A block that asks for kernels of attention, which are kept as switches: there is one form here."""
    wanted = {"flash_sdp": enable_flash, "math_sdp": enable_math, "mem_efficient_sdp": enable_mem_efficient,
              "cudnn_sdp": enable_cudnn}
    before = {name: getattr(_of_cuda, f"_{name}") for name in wanted}
    try:
        _of_cuda.__dict__.update({f"_{name}": value for name, value in wanted.items()})
        yield
    finally:
        _of_cuda.__dict__.update({f"_{name}": value for name, value in before.items()})


def _no(*args: Any, **kwargs: Any) -> bool:
    """False: there are no kernels of attention to choose."""
    return False


def _kept(name: str, first: Any) -> Any:
    """A function that keeps what it is told, and tells it."""
    def choose(backend: Any = None) -> Any:
        if backend is not None:
            _chosen[name] = backend
        return _chosen[name]

    _chosen[name] = first
    choose.__name__, choose.__doc__ = name, "What it was told last: kept, and changes nothing."
    return choose


_chosen: dict[str, Any] = {}
_of_cuda.SDPAParams, _of_cuda.sdp_kernel = SDPAParams, _sdp_kernel
for _name in ("can_use_cudnn_attention", "can_use_efficient_attention", "can_use_flash_attention",
              "is_flash_attention_available"):
    _of_cuda.__dict__[_name] = _no
for _name, _first in (("preferred_linalg_library", "default"), ("preferred_blas_library", "default"), ("blas_workspace_size", 0),
                      ("fp16_bf16_reduction_math_sdp_allowed", False)):
    _of_cuda.__dict__[_name] = _kept(_name, _first)
_of_cuda.allow_fp16_bf16_reduction_math_sdp = lambda enabled: _chosen.update(fp16_bf16_reduction_math_sdp_allowed=bool(enabled))
_of_mha: Any = sys.modules[f"{__name__}.mha"]
_of_mha.set_fastpath_enabled = lambda value: _of_mha.get_fastpath_enabled(bool(value)) and None
_of_mha.get_fastpath_enabled = _kept("get_fastpath_enabled", True)
sys.modules[f"{__name__}.mkl"].verbose = lambda enable: nullcontext()  # type: ignore[attr-defined]
