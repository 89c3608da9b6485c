"""What the transforms share: the arguments their function gets, the block it runs in, and results as they leave it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from ..functions.operands import wrap
from ..ir.graph import Value
from ..ir.state import state
from ..ops.elementwise import alias, stop_gradient
from ..tensor.context import context
from ..tensor.nested import leaves, map_structure
from ..tensor.storage import Storage
from ..tensor.strides import passed_on
from ..tensor.tensor import Tensor

Argnums = int | tuple[int, ...]
Writes = WeakKeyDictionary[Storage, Value | None]


# --- Arguments --------------------------------------------------------------------------------------------------------


def chosen(argnums: Argnums, args: tuple[Any, ...]) -> tuple[int, ...]:
    """The positions that `argnums` names, counted from the front; torch's RuntimeErrors for what names none."""
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
    positions = tuple(n % len(args) for n in numbers)
    if len(set(positions)) < len(positions):
        raise RuntimeError(f"argnums elements must be unique, got {positions}")
    return positions


def at_positions(func: Callable[..., Any], positions: tuple[int, ...], args: tuple[Any, ...],
                 kwargs: dict[str, Any]) -> Callable[..., Any]:
    """`func` as a function of the arguments at `positions` alone."""

    def partial(*given: Any) -> Any:
        inputs = list(args)
        for position, x in zip(positions, given, strict=True):
            inputs[position] = x
        return func(*inputs, **kwargs)

    return partial


def _lying_as(tensor: Tensor, value: Value) -> Tensor:
    """The value as a tensor with the strides of another one."""
    made = wrap(value)
    made._geometry = passed_on(tensor._type.shape, tensor._geometry)
    return made


def variables(x: Any) -> tuple[Any, list[Value]]:
    """`x` with its tensors replaced by leaves of their own, and the values of these, where the transform's gradients end.

    As leaves they refuse in-place operations, as torch's do.
    """
    values: list[Value] = []

    def leaf(tensor: Any, path: str) -> Any:
        if not isinstance(tensor, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(tensor)}")
        if not tensor.dtype.is_inexact:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        value = alias(tensor._read())
        value.requires_grad = True
        values.append(value)
        made = _lying_as(tensor, value)
        made._variable = True
        return made

    return map_structure(x, leaf), values


# --- The block --------------------------------------------------------------------------------------------------------


@contextmanager
def body() -> Iterator[Writes]:
    """The block in which a transform runs its function; gives the storages it writes. An error puts them back."""
    (before, within), writes = (context.bodies, context.in_body), Writes()
    context.bodies, context.in_body = (*before, writes), True
    try:
        yield writes
    except BaseException:
        put_back(writes)
        raise
    finally:
        context.bodies, context.in_body = before, within
    if before:
        for storage, value in writes.items():
            before[-1].setdefault(storage, value)


def captured(writes: Writes) -> dict[Storage, Value]:
    """The storages from outside that a body wrote, with what they held before."""
    return {storage: value for storage, value in writes.items() if value is not None}


def put_back(writes: Writes) -> None:
    """Give the storages from outside what they held before. An error ends a trace, which touched nothing outside."""
    for storage, value in captured(writes).items():
        if storage.trace is context.trace:
            storage.value = value


def with_aux(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    """The output of a function and what it returned beside it."""
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return result[0], result[1]


def only_tensors(output: Any, message: str) -> list[Tensor]:
    """The tensors of an output; RuntimeError if it has anything else."""
    found = leaves(output)
    for x in found:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"{message}, got unsupported type {type(x)}")
    return found


# --- Results ----------------------------------------------------------------------------------------------------------


def outside(x: Any, values: Collection[Value]) -> Any:
    """A result as it leaves a transform: what depends on the transform's variables only carries no gradient any more.

    Nor does anything where gradients are off.
    """
    found = [t._read() for t in leaves(x) if isinstance(t, Tensor)]
    keeps = _with_history(found, set(values)) if state.grad else ()
    results = iter([v if v in keeps else without_history(v) for v in found])

    return map_structure(x, lambda t, _: _lying_as(t, next(results)) if isinstance(t, Tensor) else t)


def without_history(value: Value) -> Value:
    """The same contents, through which no gradient flows."""
    return stop_gradient(value) if value.requires_grad else value


def settle(writes: Writes, values: Collection[Value]) -> None:
    """Storages from outside that a body wrote lose the history that ends in the transform's variables."""
    now = {storage: storage.read() for storage in captured(writes)}
    keeps = _with_history(list(now.values()), set(values))
    for storage, value in now.items():
        if value.requires_grad and value not in keeps:
            storage.write(stop_gradient(value))


def _with_history(found: list[Value], values: set[Value]) -> set[Value]:
    """Those of `found` from which a gradient could flow to anything but `values`: a leaf, another transform's variable."""
    known: dict[Value, bool] = {}
    stack = [(v, False) for v in found]
    while stack:
        value, expanded = stack.pop()
        node = value.node
        flows = node is not None and node.requires_grad
        if expanded:
            known[value] = any(known.get(v, False) for v in node.inputs)  # type: ignore[union-attr]
        elif value not in known:
            known[value] = value.requires_grad and value not in values and (value.leaf is not None or not flows)
            if value.requires_grad and flows and not known[value]:
                stack.append((value, True))
                stack.extend((v, False) for v in node.inputs)  # type: ignore[union-attr]
    return {v for v in found if known[v]}
