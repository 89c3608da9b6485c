"""`torch.utils.hooks`: what registering a hook returns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..absent import refusal
from ..tracer.autograd.hooks import RemovableHandle
from ..tracer.ir.told import tell

BackwardHook = refusal("torch.utils.hooks.BackwardHook", "register a hook on the module: register_full_backward_hook")


def unserializable_hook(f: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a hook as one that need not be told of when a tensor is saved."""
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warn of hooks, which saving a tensor leaves out."""
    for hook in (getattr(tensor, "_backward_hooks", None) or OrderedDict()).values():
        if not hasattr(hook, "__torch_unserializable__"):
            tell(f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can decorate the "
                 "function with @torch.utils.hooks.unserializable_hook to suppress this warning")


__all__ = ["BackwardHook", "RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]
