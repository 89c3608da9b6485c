"""`torch.backends`: switches of libraries that torch computes with. There are none of them here; XLA decides.

A switch keeps what it is set to, and says so; it changes nothing. https://pytorch.org/docs/stable/backends.html
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# By module: the switches with what torch has them at on a CPU, what is asked of it, and whether it is there.
_SWITCHES: dict[str, dict[str, Any]] = {
    "cudnn": {"enabled": True, "benchmark": False, "benchmark_limit": 10, "deterministic": False, "allow_tf32": True},
    "cuda": {},
    "cpu": {},
    "mkldnn": {"enabled": True, "deterministic": False, "allow_tf32": True},
    "mkl": {},
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
    sys.modules[module.__name__] = globals()[name] = module
    return module


for _name, _switches in _SWITCHES.items():
    _add(_name, _switches)

__all__ = list(_SWITCHES)
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
