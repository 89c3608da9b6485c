"""Hooks of modules: functions that are called around forward and backward, and around saving and loading."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..tracer.autograd.hooks import RemovableHandle, add_to
from ..tracer.guards.code import HOOKS_OF_ALL
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

    KINDS = ("forward_pre", "forward", "backward_pre", "backward", "state_dict_pre", "state_dict_post", "load_pre", "load_post",
             "parameter", "buffer", "module")
    used = True

    def __init__(self) -> None:
        self.tables: dict[str, OrderedDict[int, Hook]] = {kind: OrderedDict() for kind in self.KINDS}

    @property
    def key(self) -> tuple[tuple[int, ...], ...]:
        """Equal as long as the hooks are the same."""
        return tuple(tuple(table) for table in self.tables.values())

    def of(self, kind: str) -> list[Hook]:
        """The hooks of a kind, about to be called; a copy, since a hook may remove itself."""
        hooks = [*EVERYWHERE.tables[kind].values(), *self.tables[kind].values()]
        if context.trace is not None:
            for hook in hooks:
                context.trace.follow(hook.call)
        return hooks


EVERYWHERE, NONE = Hooks(), Hooks()  # those of all modules, and those of a module that has none
EVERYWHERE.used = False  # whether there ever was one: until then a module looks no further
HOOKS_OF_ALL.append(lambda: (hook.call for table in EVERYWHERE.tables.values() for hook in table.values()))


def as_hooks_say(kind: str, module: Module, name: str, value: Any) -> Any:
    """A parameter, buffer or module about to be registered, or what a hook of all modules puts in its place."""
    for hook in EVERYWHERE.tables[kind].values():
        changed = hook.call(module, name, value)
        value = value if changed is None else changed
    return value


def _of_all(kind: str, call: Callable[..., Any], **flags: bool) -> RemovableHandle:
    EVERYWHERE.used = True
    return add_to(EVERYWHERE.tables[kind], Hook(call, **flags))


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module; what it returns, if not None, replaces the arguments."""
    return _of_all("forward_pre", hook)


def register_module_forward_hook(hook: Callable[..., Any], *, with_kwargs: bool = False,
                                 always_call: bool = False) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module; what it returns, if not None, replaces the output.

    >>> import flambeau as torch
    >>> handle = torch.nn.modules.module.register_module_forward_hook(lambda module, args, output: output + 1)
    >>> with handle:
    ...     torch.nn.Identity()(torch.zeros(1))
    tensor([1.])
    """
    return _of_all("forward", hook, with_kwargs=with_kwargs, always_call=always_call)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward of every module."""
    return _of_all("backward_pre", hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after the backward of every module."""
    check_backward_kind(EVERYWHERE, True)
    return _of_all("backward", hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """`register_module_full_backward_hook` in torch's older form, which cannot be mixed with it."""
    check_backward_kind(EVERYWHERE, False)
    return _of_all("backward", hook, full=False)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, parameter)` when one is registered; what it returns, if not None, is registered instead."""
    return _of_all("parameter", hook)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` when one is registered; what it returns, if not None, is registered instead."""
    return _of_all("buffer", hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, child)` when one is registered; what it returns, if not None, is registered instead."""
    return _of_all("module", hook)


def check_backward_kind(hooks: Hooks | None, full: bool) -> None:
    """torch's RuntimeError for backward hooks of both kinds on one module."""
    if hooks is not None and any(hook.full != full for hook in hooks.tables["backward"].values()):
        raise RuntimeError("Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only "
                           "one of them.")


def add_hook(module: Module, kind: str, call: Callable[..., Any], prepend: bool, **flags: bool) -> RemovableHandle:
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
