"""Hooks on gradients: functions that see, and may replace, the gradient of a tensor when a backward walk reaches it.

In a compiled step they run while it is traced, and what they record is part of the program. Adding or removing a hook of
a leaf makes compiled steps that use it trace again.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar

from ..functions.methods import method
from ..functions.operands import wrap
from ..functions.shape import tensor_property
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.recorder import user_backward
from ..ops.custom import PassedOn, custom_gradient
from ..tensor.context import context
from ..tensor.epochs import structure_epoch
from ..tensor.tensor import Tensor
from .hook_tables import LiveTable, Table

Hook = Callable[[Any], Any]


class RemovableHandle:
    """Takes a hook out of its table: by `remove()`, or at the end of `with handle:`; also of a table that a class keeps itself.

    Args: `hooks_dict`, the table, in which the hook has the key `handle.id`; `extra_dict`, further ones, or a list of them.

    >>> from collections import OrderedDict
    >>> table = OrderedDict()
    >>> handle = RemovableHandle(table)
    >>> table[handle.id] = print
    >>> handle.remove()
    >>> len(table)
    0
    """

    next_id: ClassVar[int] = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        given = [] if extra_dict is None else extra_dict if isinstance(extra_dict, list) else [extra_dict]
        tables = [table.kept() if isinstance(table, LiveTable) else table for table in (hooks_dict, *given)]
        self._tables = [weakref.ref(table) for table in tables]
        self.id = max(self.next_id, *(key + 1 for key in hooks_dict if isinstance(key, int)), 0)  # some came from a file
        RemovableHandle.next_id = self.id + 1

    def remove(self) -> None:
        """Take the hook off; does nothing the second time."""
        for reference in self._tables:
            table = reference()
            if table is not None and self.id in table:
                if context.trace is not None:
                    context.trace.note_hooks(table)
                del table[self.id]
                structure_epoch[0] += 1

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()

    def __getstate__(self) -> Any:
        return [reference() for reference in self._tables], self.id

    def __setstate__(self, saved: Any) -> None:
        tables, self.id = saved
        self._tables = [weakref.ref(OrderedDict() if table is None else table) for table in tables]


def add_to(table: OrderedDict[int, Any], hook: Any) -> RemovableHandle:
    """Put a hook behind those of a table."""
    if context.trace is not None:
        context.trace.note_hooks(table)
    handle = RemovableHandle(table)
    table[handle.id] = hook
    structure_epoch[0] += 1
    return handle


class Hooks:
    """The hooks of one gradient, in the order they are called; `after` are those called when `.grad` has been filled."""

    def __init__(self) -> None:
        self.table: OrderedDict[int, Hook] = OrderedDict()
        self.after: OrderedDict[int, Hook] = OrderedDict()

    @property
    def key(self) -> tuple[int, ...]:
        """Equal as long as the hooks are the same; empty if there is none."""
        return (*self.table, -1, *self.after) if self.table or self.after else ()

    def copy(self) -> Hooks:
        """Hooks of their own, the same for now."""
        made = Hooks()
        made.table.update(self.table)
        made.after.update(self.after)
        return made

    def all(self) -> Iterator[Hook]:
        """Each of them."""
        return chain(self.table.values(), self.after.values())

    def run(self, gradient: Value) -> Value:
        """The gradient as the hooks leave it."""
        return _run(tuple(self.table.values()), gradient)

    def accumulated(self, leaf: Tensor) -> None:
        """Tell the hooks for it that `.grad` was filled."""
        for hook in list(self.after.values()):
            if context.trace is not None:
                context.trace.follow(hook)
            if hook(leaf) is not None:
                raise RuntimeError("Tensor post accumulate grad hooks should return None.")

    def recorded(self, value: Value, size: int | None = None) -> Value:
        """`value`, with the hooks as an op behind it; over a batch of `size` if one is given."""
        rule = HookRule(tuple(self.table.values()))
        if size is None:
            return custom_gradient(value, value, outputs=1, rule=rule)[0]
        return custom_gradient.batch(size, (True, True), value, value, outputs=1, rule=rule)[0]


class HookRule(PassedOn):
    """An identity whose gradient goes through hooks."""

    name = "Hook"
    of_user = True

    def __init__(self, hooks: tuple[Hook, ...]) -> None:
        self.hooks = hooks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HookRule) and self.hooks == other.hooks

    def __hash__(self) -> int:
        return hash(self.hooks)

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """What the hooks leave of g."""
        return [None if c is None else _run(self.hooks, c) for c in g]


def _run(hooks: tuple[Hook, ...], gradient: Value) -> Value:
    if not hooks:
        return gradient
    with user_backward():
        for hook in hooks:
            if context.trace is not None:
                context.trace.follow(hook)
            result = hook(wrap(gradient))
            if result is not None:
                gradient = _checked(result, gradient, hook)
    return gradient


def _checked(result: Any, gradient: Value, hook: Hook) -> Value:
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(result, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
    if result._type.shape != gradient.type.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    if result.dtype is not gradient.type.dtype:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was {gradient.type.dtype} got {result.dtype})")
    return result._read()


@method()
def register_hook(self: Tensor, hook: Hook) -> RemovableHandle:
    """Call `hook(gradient)` whenever the gradient of this tensor is known; what it returns, unless None, replaces it.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> handle = x.register_hook(lambda gradient: gradient * 10)
    >>> (3 * x).sum().backward()
    >>> x.grad
    tensor([30., 30.])
    """
    return add_to(_hooks_of(self).table, hook)


@method()
def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Call `hook(tensor)` after `backward()` filled this leaf's `.grad`."""
    if self.requires_grad and not self._requires_grad:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return add_to(_hooks_of(self).after, hook)


def _hooks_of(tensor: Tensor) -> Hooks:
    """Where hooks of a tensor are: with a leaf, or with the node that computed it."""
    if not tensor.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if tensor._requires_grad:
        tensor._noted()
        hooks = tensor._hooks = tensor._hooks or Hooks()
        assert isinstance(hooks, Hooks)
        return hooks
    value = tensor._read()
    if value.node is None:
        raise TraceError("a hook can be registered inside a traced function on tensors computed there and on leaves, not "
                         "on a tensor that was computed outside: register it there")
    found = value.node.hooks_of(value.index, Hooks)
    assert isinstance(found, Hooks)
    if context.trace is not None:
        context.trace.note_own_hooks(found.table)
    return found


def _table(self: Tensor) -> Table | None:
    hooks = self._hooks
    if not self._requires_grad and self.requires_grad:
        value = self._read()
        hooks = None if value.node is None or not value.node.hooks else value.node.hooks.get(value.index)
    return Table(hooks.table) if isinstance(hooks, Hooks) and hooks.table else None


tensor_property("_backward_hooks", _table, "The hooks on its gradient by their handles' numbers, or None.")
