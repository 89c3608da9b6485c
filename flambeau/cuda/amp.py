"""`torch.cuda.amp`, the former name of `torch.amp` on CUDA devices."""

from __future__ import annotations

from typing import Any

from ..optim.grad_scaler import GradScaler
from ..tracer.functions.autocast import autocast as _autocast


class autocast(_autocast):
    """`torch.autocast("cuda")`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


__all__ = ["GradScaler", "autocast"]
