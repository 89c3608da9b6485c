"""Hooks of modules: functions that are called around forward, and around saving and loading."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..tracer.state import state
from ..tracer.tensor import structure_epoch

if TYPE_CHECKING:
    from .module import Module

_numbers = itertools.count()


class Hook:
    """A function with the flags it was registered with."""

    def __init__(self, call: Callable[..., Any], with_kwargs: bool = False, always_call: bool = False) -> None:
        self.call, self.with_kwargs, self.always_call = call, with_kwargs, always_call


class Hooks:
    """All hooks of one module, in the order they are called."""

    KINDS = ("forward_pre", "forward", "state_dict_pre", "state_dict_post", "load_pre", "load_post")

    def __init__(self) -> None:
        self.tables: dict[str, OrderedDict[int, Hook]] = {kind: OrderedDict() for kind in self.KINDS}

    def numbers(self) -> tuple[int, ...]:
        """Which hooks there are, in order: other hooks have other numbers."""
        return tuple(number for table in self.tables.values() for number in table)

    def of(self, kind: str) -> list[Hook]:
        """The hooks of a kind, about to be called; a copy, since a hook may remove itself."""
        hooks = list(self.tables[kind].values())
        if state.trace is not None:
            for hook in hooks:
                state.trace.follow(hook.call)
        return hooks


class Handle:
    """Removes a hook: `handle.remove()`, or at the end of `with handle:`."""

    def __init__(self, table: OrderedDict[int, Hook], number: int) -> None:
        self._table, self.id = weakref.ref(table), number

    def remove(self) -> None:
        """Take the hook off; does nothing the second time."""
        table = self._table()
        if table is not None and table.pop(self.id, None) is not None:
            structure_epoch[0] += 1

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


def add_hook(module: Module, kind: str, call: Callable[..., Any], prepend: bool, **flags: bool) -> Handle:
    """Register a hook and return its handle."""
    assert module._hooks is not None
    table, number = module._hooks.tables[kind], next(_numbers)
    table[number] = Hook(call, **flags)
    if prepend:
        table.move_to_end(number, last=False)
    structure_epoch[0] += 1
    return Handle(table, number)


def call_with_hooks(module: Module, hooks: Hooks, args: Any, kwargs: Any) -> Any:
    """forward between its hooks. After an error those that asked for it are called all the same."""
    called: list[Hook] = []
    output = None
    try:
        args, kwargs = _prepared(module, hooks, args, kwargs)
        output = module.forward(*args, **kwargs)
        for hook in hooks.of("forward"):
            called.append(hook)
            output = _after(module, hook, args, kwargs, output)
    except Exception:
        for hook in hooks.of("forward"):
            if hook.always_call and hook not in called:
                output = _after(module, hook, args, kwargs, output)
        raise
    return output


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
