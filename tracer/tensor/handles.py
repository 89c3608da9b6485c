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
    """Whether gradients reach a tensor, its memory, and how it shows that."""

    requires_grad: bool
    storage: Storage
    type: Type
    geometry: Geometry | None
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> Handle:
        """What a tensor is now; from now on it says so when it lies otherwise."""
        tensor._handled = True
        return cls(tensor._requires_grad, tensor._storage, tensor._type, tensor._geometry, tensor._steps)

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


def lies_otherwise(tensor: Tensor) -> None:
    """A tensor shows its memory otherwise from now on, or another one."""
    if tensor._handled:
        _structure_changed()
