"""`torch.utils.module_tracker`: which modules are running."""

from __future__ import annotations

from typing import Any

from ..nn.hooks import register_module_forward_hook, register_module_forward_pre_hook
from ..nn.module import Module


class ModuleTracker:
    """A block in which `parents` are the names of the modules whose forward is running.

    >>> import flambeau as torch
    >>> class Asks(torch.nn.Module):
    ...     def forward(self, x):
    ...         return sorted(tracker.parents)
    >>> with ModuleTracker() as tracker:
    ...     torch.nn.Sequential(Asks())(torch.ones(1))
    ['Global', 'Sequential', 'Sequential.0']
    """

    is_bw = False

    def __init__(self) -> None:
        self.parents: set[str] = {"Global"}
        self._names: dict[int, str] = {}
        self._handles: list[Any] = []

    def _enter(self, module: Module, inputs: Any) -> None:
        if id(module) not in self._names:
            root = type(module).__name__
            self._names.update((id(m), f"{root}.{n}" if n else root) for n, m in module.named_modules())
        self.parents.add(self._names[id(module)])

    def _leave(self, module: Module, inputs: Any, output: Any) -> None:
        self.parents.discard(self._names[id(module)])

    def __enter__(self) -> ModuleTracker:
        self._handles = [register_module_forward_pre_hook(self._enter), register_module_forward_hook(self._leave)]
        return self

    def __exit__(self, *error: Any) -> None:
        for handle in self._handles:
            handle.remove()


__all__ = ["ModuleTracker"]
