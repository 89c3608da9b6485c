"""What a tensor from outside was to a trace: a compiled step holds for it as long as it is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..ir.types import Type
from ..ops.structural import Ints
from .epochs import _structure_changed
from .steps import PLAIN, Step
from .storage import Storage
from .strides import Geometry, contiguous_stride

if TYPE_CHECKING:
    from .tensor import Tensor


class Handle(NamedTuple):
    """Whether a tensor is a leaf, its memory and how it shows that, and whether gradients flow through it."""

    requires_grad: bool
    storage: Storage
    type: Type
    geometry: Geometry | None
    steps: tuple[Step, ...]
    flows: bool
    own: bool  # whether the history is the tensor's, and not its memory's

    @classmethod
    def of(cls, tensor: Tensor) -> Handle:
        """What a tensor is now; from now on it says so when it is otherwise."""
        tensor._storage.watched = True
        return cls(tensor._requires_grad, tensor._storage, tensor._type, tensor._geometry, tensor._steps,
                   has_history(tensor), tensor._graph is not None)

    def got_history(self, tensor: Tensor) -> bool:
        """Whether gradients flow through a tensor that is no leaf another way than they did. Fewer of them do no harm."""
        if self.requires_grad or not has_history(tensor):
            return False
        return not self.flows or (tensor._graph is not None and not self.own)

    def lies_as(self, tensor: Tensor) -> bool:
        """Whether a tensor on this memory has these elements of it, in this order."""
        if tensor._type is not self.type:
            return False
        if tensor._geometry is self.geometry and tensor._steps is self.steps:
            return True
        before, now = (tuple(step for step in steps if type(step) not in PLAIN) for steps in (self.steps, tensor._steps))
        return (_places(self.type, self.geometry) == _places(self.type, tensor._geometry) and len(before) == len(now)
                and all(a is b for a, b in zip(before, now)))


def _places(kind: Type, geometry: Geometry | None) -> tuple[Ints, int]:
    return (contiguous_stride(kind.shape), 0) if geometry is None else (geometry.stride, geometry.offset)


def has_history(tensor: Tensor) -> bool:
    """Whether gradients flow through it: `requires_grad`, without a read, which would be one of the trace."""
    if tensor._detached or tensor._parted:
        return not tensor._detached and tensor._graph is not None
    if tensor._base is not None:
        return tensor.dtype.is_inexact and (tensor._root._requires_grad or has_history(tensor._root))
    return tensor._storage.value.requires_grad


def is_otherwise(storage: Storage) -> None:
    """A tensor on this memory lies otherwise from now on, shows another one, or gets a history."""
    if storage.watched:
        _structure_changed()
