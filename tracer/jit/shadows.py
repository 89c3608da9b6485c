"""What stands in for the arguments of a trace, and for the gradients of tensors, while it is in progress."""

from __future__ import annotations

from ..ir.graph import Value
from ..ir.recorder import placeholder
from ..tensor.context import outside_trace
from ..tensor.handles import has_history
from ..tensor.offsets import computed, offset
from ..tensor.storage import Storage
from ..tensor.strides import passed_on
from ..tensor.tensor import Tensor


class ShadowedArguments:
    """The part of a trace that knows its arguments and the `.grad` of tensors. Abstract."""

    def __init__(self) -> None:
        self.grads: dict[Tensor, Tensor | None] = {}  # what `.grad` is now
        self.grads_before: dict[Tensor, Tensor | None] = {}
        self.grads_given: dict[Tensor, Tensor | None] = {}  # the `.grad` that an argument came with
        self.originals: dict[Tensor, Tensor] = {}  # arguments, and what stands in for them
        self.arguments: dict[Storage, Storage] = {}  # storages of arguments, and what stands in for them
        self.aliased: dict[Storage, None] = {}  # argument storages that were reached another way too
        self.parts: dict[Storage, Tensor] = {}  # what stands in for views, without the memory around them, and these
        self.placed: dict[Tensor, int] = {}  # those of them whose offset was asked for, and this

    def let_go(self) -> None:
        """After the last trace of a call: what stood in for arguments may outlive it (in a history), and they need not."""
        for held in (self.originals, self.arguments, self.parts, self.placed, self.aliased):
            held.clear()

    # --- Gradients ----------------------------------------------------------------------------------------------------

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        """The `.grad` of a tensor at this point."""
        tensor = self.originals.get(tensor, tensor)
        if tensor in self.grads:
            return self.grads[tensor]
        before = tensor._grad
        if not self.made_inside(tensor):
            self.grads_before[tensor] = before
        self.grads[tensor] = before
        return before

    def grads_found(self) -> dict[Tensor, Tensor]:
        """The `.grad`s that were there when they were first looked at, by tensor."""
        return {tensor: gradient for tensor, gradient in self.grads_before.items() if gradient is not None}

    def write_grad(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """Rebind `.grad`."""
        self.grads[self.originals.get(tensor, tensor)] = gradient

    # --- Arguments ----------------------------------------------------------------------------------------------------

    def offset(self, storage: Storage) -> int:
        """Where what the storage stands in for lies in its memory, in bytes; the trace depends on it from now on."""
        tensor = self.parts.get(storage)
        if tensor is None:
            return 0
        with outside_trace():
            self.placed[tensor] = offset(tensor)
        return self.placed[tensor] * tensor.itemsize

    def made_inside(self, tensor: Tensor) -> bool:
        """Whether the trace made this tensor, which means nothing outside."""
        trace: object = self
        return tensor._storage.trace is trace

    def is_part(self, storage: Storage) -> bool:
        """Whether a storage stands in for a view, without the memory around it."""
        return storage in self.parts

    def is_stand_in(self, tensor: Tensor) -> bool:
        """Whether the function got this tensor instead of an argument."""
        return any(tensor is x for x in self.originals.values())

    def stand_in(self, tensor: Tensor, apart: bool = False) -> tuple[Tensor, Value]:
        """A tensor that the traced function gets instead of the caller's, and its input value; `apart` is one for nobody."""
        if apart:
            value = placeholder(tensor._type, tensor._device)
            return Tensor._of(value), value
        known = self.originals.get(tensor)
        if known is not None:
            return known, known._storage.value
        value = placeholder(tensor._type, tensor._device)
        made: Tensor = object.__new__(type(tensor))
        # A dictionary of its own: one that is updated keeps a reference too many on Python 3.13.0, and so the whole trace.
        made.__dict__ = {k: v for k, v in tensor.__dict__.items() if k not in _OF_A_HANDLE}
        made._type = tensor._type
        made._geometry = passed_on(tensor._type.shape, tensor._geometry)
        if tensor._base is None and tensor._storage in self.arguments:
            made._storage = self.arguments[tensor._storage]
            value = made._storage.value
        else:
            made._storage = Storage(value)
            if tensor._base is None:
                self.arguments[tensor._storage] = made._storage
        if tensor._base is not None or tensor._strides.offset or computed(tensor):
            self.parts[made._storage] = tensor
        self.originals[tensor] = made
        made._parted = tensor._parted and tensor._base is None and tensor._graph is None  # of a leaf that is given too
        if tensor._requires_grad:
            made._become_leaf()
            self.grads[made] = self.grads_given[made] = None
        elif has_history(tensor):
            value.requires_grad = True
        return made, value


_OF_A_HANDLE = frozenset({"_storage", "_base", "_steps", "_geometry", "_type", "_requires_grad", "_parted", "_detached", "_graph",
                          "_graph_of", "_grad", "_retains_grad", "_origin", "_inside", "_seen"})
