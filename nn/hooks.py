"""Hooks of modules: functions that are called around forward and backward, and around saving and loading."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..tracer.autograd.hooks import Handle, add_to
from ..tracer.tensor.context import context
from .backward_hooks import BackwardHooks

if TYPE_CHECKING:
    from .module import Module


class Hook:
    """A function with the flags it was registered with."""

    def __init__(self, call: Callable[..., Any], with_kwargs: bool = False, always_call: bool = False,
                 with_module: bool = True, replaces: bool = False, full: bool = True) -> None:
        self.call, self.with_kwargs, self.always_call = call, with_kwargs, always_call
        self.with_module, self.replaces, self.full = with_module, replaces, full


class Hooks:
    """All hooks of one module, in the order they are called."""

    KINDS = ("forward_pre", "forward", "backward_pre", "backward", "state_dict_pre", "state_dict_post", "load_pre", "load_post")

    def __init__(self) -> None:
        self.tables: dict[str, OrderedDict[int, Hook]] = {kind: OrderedDict() for kind in self.KINDS}

    @property
    def key(self) -> tuple[tuple[int, ...], ...]:
        """Equal as long as the hooks are the same."""
        return tuple(tuple(table) for table in self.tables.values())

    def of(self, kind: str) -> list[Hook]:
        """The hooks of a kind, about to be called; a copy, since a hook may remove itself."""
        hooks = list(self.tables[kind].values())
        if context.trace is not None:
            for hook in hooks:
                context.trace.follow(hook.call)
        return hooks


def check_backward_kind(hooks: Hooks | None, full: bool) -> None:
    """torch's RuntimeError for backward hooks of both kinds on one module."""
    if hooks is not None and any(hook.full != full for hook in hooks.tables["backward"].values()):
        raise RuntimeError("Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only "
                           "one of them.")


def add_hook(module: Module, kind: str, call: Callable[..., Any], prepend: bool, **flags: bool) -> Handle:
    """Register a hook and return its handle."""
    assert module._hooks is not None
    table = module._hooks.tables[kind]
    handle = add_to(table, Hook(call, **flags))
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def call_with_hooks(module: Module, hooks: Hooks, args: Any, kwargs: Any) -> Any:
    """forward between its hooks. After an error those that asked for it are called all the same."""
    called: list[Hook] = []
    output = None
    try:
        args, kwargs = _prepared(module, hooks, args, kwargs)
        backward = _backward_hooks(module, hooks)
        if backward is not None:
            args = backward.around_inputs(args)
        output = module.forward(*args, **kwargs)
        for hook in hooks.of("forward"):
            called.append(hook)
            output = _after(module, hook, args, kwargs, output)
        if backward is not None:
            output = backward.around_outputs(output)
    except Exception:
        for hook in hooks.of("forward"):
            if hook.always_call and hook not in called:
                output = _after(module, hook, args, kwargs, output)
        raise
    return output


def _backward_hooks(module: Module, hooks: Hooks) -> BackwardHooks | None:
    pre, post = ([hook.call for hook in hooks.of(kind)] for kind in ("backward_pre", "backward"))
    return BackwardHooks(module, pre, post) if pre or post else None


def _prepared(module: Module, hooks: Hooks, args: Any, kwargs: Any) -> tuple[Any, Any]:
    for hook in hooks.of("forward_pre"):
        if hook.with_kwargs:
            result = hook.call(module, args, kwargs)
            if result is None:
                continue
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError("forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                                   f"{result}.")
            args, kwargs = result
        else:
            result = hook.call(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
    return args, kwargs


def _after(module: Module, hook: Hook, args: Any, kwargs: Any, output: Any) -> Any:
    result = hook.call(module, args, kwargs, output) if hook.with_kwargs else hook.call(module, args, output)
    return output if result is None else result
