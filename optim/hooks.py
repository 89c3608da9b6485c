"""Functions of users that run around steps."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..tracer.autograd.hooks import RemovableHandle, add_to
from ..tracer.guards.code import HOOKS_OF_ALL
from ..tracer.lazy.flush import end_of_step
from ..tracer.tensor.context import context

if TYPE_CHECKING:
    from .optimizer import Optimizer

State = dict[str, Any]

Table = OrderedDict[int, Any]
every_pre_hook: Table = OrderedDict()  # hooks of the steps of all optimizers
every_post_hook: Table = OrderedDict()
HOOKS_OF_ALL.append(lambda: (*every_pre_hook.values(), *every_post_hook.values()))


def _added(table: Table, hook: Any, prepend: bool = False) -> RemovableHandle:
    handle = add_to(table, hook)
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with the hooks before and after it, ending the program that was recorded."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._in_step:  # called by a subclass's step
            return step(self, *args, **kwargs)
        if context.trace is not None:
            context.trace.saw(self)
            for hook in self._called():
                context.trace.follow(hook)
        for hook in [*every_pre_hook.values(), *self._pre_hooks.values()]:
            changed = hook(self, args, kwargs)
            if changed is not None:
                args, kwargs = _checked_arguments(changed, step)
        self._in_step = self._opt_called = True
        try:
            result = step(self, *args, **kwargs)
        finally:
            self._in_step = False
        for hook in [*self._post_hooks.values(), *every_post_hook.values()]:
            hook(self, args, kwargs)
        end_of_step()
        return result

    return run


def _checked_arguments(changed: Any, step: Callable[..., Any]) -> tuple[Any, Any]:
    if not (isinstance(changed, tuple) and len(changed) == 2):
        raise RuntimeError(f"{step} must return None or a tuple of (new_args, new_kwargs), but got {changed}.")
    return changed


_TABLES = frozenset({"_pre_hooks", "_post_hooks", "_saving_hooks", "_saved_hooks", "_loading_hooks", "_loaded_hooks"})


class Hooked:
    """The hooks of an optimizer."""

    _in_step = _opt_called = False

    def __getattr__(self, name: str) -> Any:
        """The hooks of one whose class does not call ours to begin with, as wrappers of others do."""
        if name not in _TABLES:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        self._reset_hooks()
        return self.__dict__[name]

    def _reset_hooks(self) -> None:
        self._pre_hooks: Table = OrderedDict()
        self._post_hooks: Table = OrderedDict()
        self._saving_hooks: Table = OrderedDict()
        self._saved_hooks: Table = OrderedDict()
        self._loading_hooks: Table = OrderedDict()
        self._loaded_hooks: Table = OrderedDict()
        self._in_step = self._opt_called = False

    def _called(self) -> Iterator[Callable[..., Any]]:
        """Functions of users that run with a step: its hooks."""
        return chain(every_pre_hook.values(), self._pre_hooks.values(), self._post_hooks.values(),
                     every_post_hook.values())

    def _hook_keys(self) -> tuple[int, ...]:
        """Which hooks there are."""
        return (*every_pre_hook, *self._pre_hooks, *self._post_hooks, *every_post_hook)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new (args, kwargs)."""
        return _added(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return _added(self._post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[[Any], None], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict()`; `prepend` for before the hooks that are there."""
        return _added(self._saving_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[[Any, State], State | None],
                                      prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on what `state_dict()` gives; it may return another one."""
        return _added(self._saved_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[[Any, State], State | None],
                                          prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on what is to be loaded; it may return another one."""
        return _added(self._loading_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[[Any], None],
                                           prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after `load_state_dict()`."""
        return _added(self._loaded_hooks, hook, prepend)


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of any optimizer; it may return new (args, kwargs).

    >>> import flambeau as torch
    >>> optimizer, seen = torch.optim.SGD([torch.ones(1, requires_grad=True)]), []
    >>> handle = torch.optim.optimizer.register_optimizer_step_pre_hook(lambda *_: seen.append("before"))
    >>> optimizer.step(), handle.remove(), optimizer.step(), seen
    (None, None, None, ['before'])
    """
    return _added(every_pre_hook, hook)


def register_optimizer_step_post_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of any optimizer."""
    return _added(every_post_hook, hook)
