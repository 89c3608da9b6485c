"""`torch.cuda.amp`, the former name of `torch.amp` on CUDA devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..optim.grad_scaler import GradScaler as _GradScaler
from ..tracer.autograd.casting import custom_bwd as _custom_bwd
from ..tracer.autograd.casting import custom_fwd as _custom_fwd
from ..tracer.backend import has_cuda as _has_cuda
from ..tracer.functions.autocast import autocast as _autocast
from ..tracer.ir.told import tell


class autocast(_autocast):
    """`torch.autocast("cuda")`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        tell("`torch.cuda.amp.autocast(args...)` is deprecated. Please use `torch.amp.autocast('cuda', args...)` instead.",
             FutureWarning)
        super().__init__("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(_GradScaler):
    """`torch.amp.GradScaler("cuda")`, without the device among its arguments."""

    def __init__(self, init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5,
                 growth_interval: int = 2000, enabled: bool = True) -> None:
        tell("`torch.cuda.amp.GradScaler(args...)` is deprecated. Please use `torch.amp.GradScaler('cuda', args...)` instead.",
             FutureWarning)
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


def _tell(name: str) -> None:
    tell(f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}(args..., device_type='cuda')` instead.",
         FutureWarning)


def custom_fwd(fwd: Callable[..., Any] | None = None, *, cast_inputs: Any = None) -> Any:
    """`torch.amp.custom_fwd` for "cuda"."""
    _tell("custom_fwd")
    return _custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Callable[..., Any]) -> Any:
    """`torch.amp.custom_bwd` for "cuda"."""
    _tell("custom_bwd")
    return _custom_bwd(bwd, device_type="cuda")


def amp_definitely_not_available() -> bool:
    """Whether mixed precision cannot be had, for want of a CUDA device."""
    return not _has_cuda()


__all__ = ["GradScaler", "amp_definitely_not_available", "autocast", "custom_bwd", "custom_fwd"]
