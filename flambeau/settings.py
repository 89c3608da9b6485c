"""Switches of torch's own engine: kept and told, honoured where they mean something here."""

from __future__ import annotations

import os
from typing import Any

from .legacy_tensors import LegacyType, legacy_type
from .tracer.backend import running
from .tracer.functions.defaults import set_default_device, set_default_dtype
from .tracer.ir.state import Ambient, ambients
from .tracer.ir.told import tell
from .tracer.tensor.context import context

_state: dict[str, Any] = {"deterministic": False, "warn only": False, "matmul": "highest", "warn always": False,
                          "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
                          "interop": 1}


ambients.append(Ambient("the settings of torch's engine", lambda: dict(_state), _state.update))


def _told(name: str) -> Any:
    """A setting, which a step that is being traced depends on."""
    if context.trace is None:
        return _state[name]
    return context.trace.guard(f"the setting {name!r}", lambda: _state[name])


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: on the CPU and on TPU every program gives the same bits each time it runs."""
    _state["deterministic"], _state["warn only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return _told("deterministic")


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` was told of warnings."""
    return _told("warn only")


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """0 or "default", 1 or "warn", 2 or "error"."""
    modes: dict[int | str, int] = {"default": 0, "warn": 1, "error": 2, 0: 0, 1: 1, 2: 2}
    if debug_mode not in modes:
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, 2, 'default', 'warn' or 'error', but got {debug_mode}")
    use_deterministic_algorithms(modes[debug_mode] > 0, warn_only=modes[debug_mode] == 1)


def get_deterministic_debug_mode() -> int:
    """The number that stands for what `set_deterministic_debug_mode` was told."""
    return (1 if _told("warn only") else 2) if _told("deterministic") else 0


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted and kept: products of float32 matrices are computed in float32 ("highest") whatever it says."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"precision should be one of 'highest', 'high' or 'medium', got {precision!r}")
    _state["matmul"] = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told."""
    return _told("matmul")


def set_num_threads(int: int) -> None:
    """How many threads XLA computes with on the CPU. It can be set before the first computation only; later it warns."""
    if int <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    if int != _state["threads"] and running():
        tell(f"set_num_threads({int}) has no effect: XLA's threads were started with the first computation. Call it "
             "before that.")
        return
    _state["threads"] = int
    os.environ["NPROC"] = str(int)  # XLA's name for it


def get_num_threads() -> int:
    """How many threads XLA computes with on the CPU."""
    return _told("threads")


def set_num_interop_threads(int: int) -> None:
    """Accepted and kept: a program is one unit of work, within which XLA schedules by itself."""
    if int <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _state["interop"] = int


def get_num_interop_threads() -> int:
    """What `set_num_interop_threads` was told."""
    return _told("interop")


def set_warn_always(b: bool, /) -> None:
    """Accepted and kept: what is warned of once here is warned of once."""
    _state["warn always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was told."""
    return _told("warn always")


def set_flush_denormal(mode: bool) -> bool:
    """Whether subnormal numbers are flushed to zero as asked: XLA does so on the CPU in any case."""
    return bool(mode)


def set_default_tensor_type(t: LegacyType | str, /) -> None:
    """The default dtype and device by the name of a former class of tensors: "torch.FloatTensor", torch.cuda.HalfTensor."""
    tell("torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use torch.set_default_dtype() and "
         "torch.set_default_device() as alternatives.")
    kind = legacy_type(t) if isinstance(t, str) else t
    if not isinstance(kind, LegacyType):
        raise TypeError("invalid type object")
    if not kind.dtype.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    set_default_dtype(kind.dtype)
    set_default_device(kind.device)


def compiled_with_cxx11_abi() -> bool:
    """True, as of current releases of torch."""
    return True
