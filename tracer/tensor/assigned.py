"""`p.data = t`: from then on both show one memory, and what shared p's before keeps what it showed, as in torch.

A parameter that changed its storage at each such line would be another one to compiled steps each time. So p keeps its own:
what else shows that moves to a new one, and so does t, once somebody is about to write or to run a step, if it is still there
by then: what `p.data = p.data * 0.5` is given is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.recorder import grad_mode
from .context import context
from .epochs import _structure_changed
from .handles import is_otherwise
from .storage import Storage, without_history

if TYPE_CHECKING:
    from .tensor import Tensor

_OF_MEMORY = ("_storage", "_base", "_steps", "_geometry", "_type", "_parted")
SHARED_OUTSIDE = ("a tensor's .data was assigned to in a function that is traced, while another tensor outside shares its memory "
                  "(by detach(), .data or state_dict()), which would keep what it shows. Write p.data.copy_(t), which both see, "
                  "or clone the other tensor.")


ANOTHER_TYPE = ("the .data of a tensor from outside, {old}, was given another shape or dtype, {new}, in a function that is "
                "traced, as to(), double() or half() of a module do: each call would find another tensor than the one that was "
                "traced. Do it outside, before the function is called, or compute with a copy: w = p.detach().double().")


class _Share(NamedTuple):
    """A tensor that shows the memory of another one, as long as that is there."""

    tensor: ref[Tensor]
    memory: ref[Storage]


pending: list[_Share] = []


def assign(tensor: Tensor, new: Tensor) -> None:
    """Let a tensor show the memory of another one; shape and dtype may become others, too."""
    source = new.detach()
    if tensor._requires_grad and not source.dtype.is_inexact:
        raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
    if context.trace is not None or context.in_body:
        _assign_in_trace(tensor, source)
    elif any(getattr(source, name) != getattr(tensor, name) for name in ("_storage", "_steps", "_geometry")):
        others = tensor._storage.others(tensor)
        if any(x._requires_grad for x in others) or not _alike(tensor, source):
            _move(tensor, source)
        else:
            _leave(tensor, others)
            _put(tensor, source)
            pending.append(_Share(ref(tensor), ref(source._storage)))


def _alike(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors show memory in the same way, and no array shows it."""
    return (x._base is None and y._base is None and x._type is y._type and x._geometry == y._geometry
            and not (x._storage.shared or y._storage.shared))


def _leave(tensor: Tensor, others: list[Tensor]) -> None:
    """Let others that share the memory keep what they show."""
    if others:
        left = Storage(tensor.detach()._read())
        for x in others:
            _follow(x, left)


def settle() -> None:
    """Do what is pending, since memory is about to be written: nobody can tell before."""
    shares = pending[:]
    pending.clear()
    for share in shares:
        tensor, memory = share.tensor(), share.memory()
        if tensor is None or memory is None:
            continue
        others = memory.others(tensor)
        if any(x._requires_grad for x in others):
            source = tensor.detach()
            source._storage = memory
            _move(tensor, source)
        else:
            for x in others:
                _follow(x, tensor._storage)


def _follow(tensor: Tensor, storage: Storage) -> None:
    """Show another memory with the same contents."""
    tensor._storage, tensor._seen = storage, None
    if tensor._graph is not None:
        tensor._graph_of = storage.read()
    storage.show(tensor)
    if context.trace is None:
        _structure_changed()


def show_memory_of(tensor: Tensor, source: Tensor) -> None:
    """Let a tensor be the view of memory that another one is."""
    is_otherwise(tensor._storage)
    for name in _OF_MEMORY:
        setattr(tensor, name, getattr(source, name))
    tensor._seen = None


def _move(tensor: Tensor, source: Tensor) -> None:
    before = tensor._storage
    show_memory_of(tensor, source)
    tensor._graph = tensor._graph_of = None
    tensor._detached = False
    if before.leaf is not None and before.leaf() is tensor:
        before.leaf = None
        before.write(without_history(before.value))
    tensor._storage.show(tensor)
    if tensor._requires_grad:
        tensor._become_leaf()
    _structure_changed()


def _put(tensor: Tensor, source: Tensor) -> None:
    with grad_mode(False):
        tensor._set(source._read())


def _assign_in_trace(tensor: Tensor, source: Tensor) -> None:
    """What shares the memory moves to one with the old contents; those that the trace made can."""
    trace, storage = context.trace, tensor._storage
    others = [] if trace is None else storage.others(tensor)
    if any(x._inside is None and storage.trace is None for x in others):
        raise TraceError(SHARED_OUTSIDE)
    if source._type is not tensor._type and _is_from_outside(tensor):
        raise TraceError(ANOTHER_TYPE.format(old=tensor._type, new=source._type))
    _leave(tensor, others)
    if source._type is tensor._type:
        _put(tensor, source)
    else:
        _renew(tensor, source._read())


def _is_from_outside(tensor: Tensor) -> bool:
    """Whether a trace is in progress that did not make this tensor."""
    trace = context.trace
    return trace is not None and (trace.is_stand_in(tensor) or (tensor._inside is None and tensor._storage.trace is None))


def _renew(tensor: Tensor, value: Value) -> None:
    """Give a tensor memory of its own, with contents of another type."""
    tensor._storage = Storage(value)
    tensor._base, tensor._steps, tensor._geometry, tensor._type, tensor._parted = None, (), None, value.type, True
    if tensor._requires_grad:
        tensor._become_leaf()
    _structure_changed()
