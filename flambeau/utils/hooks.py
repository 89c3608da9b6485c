"""`torch.utils.hooks`: what registering a hook returns."""

from __future__ import annotations

import itertools
import warnings
import weakref
from abc import ABCMeta
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..absent import refusal
from ..optim.hooks import RemovableHandle as _OfOptimizers
from ..tracer.autograd.hooks import Handle as _OfTensors

_numbers = itertools.count()


class RemovableHandle(metaclass=ABCMeta):  # noqa: B024  # so that others can be registered as handles
    """Takes an entry out of a table of hooks that a class keeps itself: `table[handle.id] = hook`, `handle.remove()`.

    >>> from collections import OrderedDict
    >>> table = OrderedDict()
    >>> handle = RemovableHandle(table)
    >>> table[handle.id] = print
    >>> handle.remove()
    >>> table
    OrderedDict()
    """

    next_id = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        given = [] if extra_dict is None else extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.id = next(_numbers)
        self._tables = [weakref.ref(table) for table in (hooks_dict, *given)]

    def remove(self) -> None:
        """Take it out; does nothing the second time."""
        for reference in self._tables:
            table = reference()
            if table is not None:
                table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


RemovableHandle.register(_OfTensors)  # what registering a hook returns, of tensors, modules and optimizers
RemovableHandle.register(_OfOptimizers)
BackwardHook = refusal("torch.utils.hooks.BackwardHook", "register a hook on the module: register_full_backward_hook")


def unserializable_hook(f: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a hook as one that need not be told of when a tensor is saved."""
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warn of hooks, which saving a tensor leaves out."""
    for hook in (getattr(tensor, "_backward_hooks", None) or OrderedDict()).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can decorate the "
                          "function with @torch.utils.hooks.unserializable_hook to suppress this warning", stacklevel=2)


__all__ = ["BackwardHook", "RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]
