"""`torch.autograd.profiler`: marks are accepted, measuring is refused with what there is instead."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any

from ..absent import refusal

_INSTEAD = "step.stats, step.hlo and FLAMBEAU_DUMP show what a compiled step is and costs"


class record_function(ContextDecorator):
    """A block or function with a name: accepted, and nothing is measured."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *error: Any) -> None:
        return None


profile = refusal("torch.autograd.profiler.profile", _INSTEAD)
emit_nvtx = refusal("torch.autograd.profiler.emit_nvtx", _INSTEAD)
emit_itt = refusal("torch.autograd.profiler.emit_itt", _INSTEAD)

__all__ = ["emit_itt", "emit_nvtx", "profile", "record_function"]
