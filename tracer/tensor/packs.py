"""Flat buffers that hold many small tensors of state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..backend import backend
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.types import Type
from .epochs import grad_epoch
from .owners import IN_LIST, SOLE_VALUE, references
from .storage import Storage
from .tensor import Tensor

_SOLE = 2  # the pack's own reference and the call's


class PackedSlice:
    """The buffer of a value that lives in a pack."""

    __slots__ = ("pack", "index", "kept")

    def __init__(self, pack: Pack, index: int) -> None:
        self.pack, self.index = pack, index
        self.kept: np.ndarray[Any, Any] | None = None  # the contents, once the pack has gone on

    def lend(self) -> None:
        """Another value takes this buffer too."""
        if self.kept is None:
            self.pack.lent[self.index] = self

    def keep(self) -> None:
        """Keep the contents as they are now, whatever becomes of the pack."""
        if self.kept is None:
            self.kept = self.array()

    def array(self) -> np.ndarray[Any, Any]:
        """A copy of the contents."""
        if self.kept is not None:
            return self.kept
        pack = self.pack
        start, kind = pack.offsets[self.index], pack.types[self.index]
        flat = backend().download(pack.buffer)[start:start + kind.size]
        return np.array(flat).reshape(kind.shape)


class Pack:
    """Storages whose contents lie one after the other in `buffer`, a flat array of one dtype on one device."""

    __slots__ = ("storages", "values", "types", "offsets", "size", "dtype", "device", "buffer", "lent", "current", "read",
                 "gathering")

    def __init__(self, storages: Sequence[Storage], kind: dtype, device: str) -> None:
        self.storages = list(storages)
        self.types = [s.value.type for s in storages]
        self.dtype, self.device = kind, device
        self.offsets = np.cumsum([0, *(t.size for t in self.types)]).tolist()
        self.size: int = self.offsets.pop()
        self.values: list[Value] = []
        self.buffer: Any = None
        self.lent: dict[int, PackedSlice] = {}  # slices that other values may hold too
        self.current = False  # whether every storage still has what the pack has
        self.read = False  # whether a storage was read outside, so that somebody may hold a value
        self.gathering = False

    @property
    def type(self) -> Type:
        """The type of the flat buffer."""
        return Type.of((self.size,), self.dtype)

    def gather(self, host: Callable[[Value], Any]) -> None:
        """Bring the pack up to date with its storages, some of which were rebound outside."""
        for value in self.values:  # somebody may still hold what a storage held before
            if isinstance(value.buffer, PackedSlice):
                value.buffer.keep()
        arrays = [np.ravel(host(s.read())) for s in self.storages]
        self.buffer = backend().upload(np.concatenate(arrays) if arrays else np.zeros(0), self.device)
        self.adopt()

    def adopt(self) -> None:
        """Give every storage a new value that lies in the pack."""
        self.values = []
        self.lent.clear()
        self.read = False
        for i, (storage, kind) in enumerate(zip(self.storages, self.types)):
            value = Value(kind, self.device, PackedSlice(self, i))
            value.owned = True
            storage.pack = self
            if not storage.shared:  # what others can see stays where it is
                storage.rebind(value)
            self.values.append(value)
        self.current = True

    def prepare(self, host: Callable[[Value], Any]) -> None:
        """Before a donating run: the pack is current and nobody else holds a value or the memory of it."""
        if not self.current:
            self.gather(host)
            return
        if self.lent or (self.read and max(map(references, self.values)) > SOLE_VALUE):
            for i, value in enumerate(self.values):
                if references(value) > SOLE_VALUE or i in self.lent:
                    value.buffer.keep()  # for its other holders
            self.adopt()
        self.read = False
        self.unshare()

    def unshare(self) -> None:
        """A buffer of the pack's own, to be donated."""
        if references(self.buffer) > _SOLE:
            self.buffer = backend().upload(np.array(backend().download(self.buffer)), self.device)

    def share(self) -> None:
        """From now on others can see the memory of one of the storages."""
        self.current = False
        self.__class__ = SharedPack


class GradientPack(Pack):
    """The gradients that a step leaves behind: its program writes them all and reads none.

    A call gives each leaf the tensor of the call before, if nobody else can have got hold of that one: so hundreds of
    gradients that nobody looks at cost as little as the state of an optimizer.
    """

    __slots__ = ("leaves", "gradients", "bound_at")

    def __init__(self, leaves: Sequence[Tensor], kind: dtype, device: str) -> None:
        self.leaves = list(leaves)
        self.gradients = [_empty_gradient(leaf, device) for leaf in leaves]
        self.bound_at = -1  # the epoch of `.grad` when the leaves got their gradients
        super().__init__([g._storage for g in self.gradients], kind, device)

    def prepare(self, host: Callable[[Value], Any]) -> None:
        """Before a donating run: those that others may hold stay with them."""
        if self.buffer is None:
            self.buffer = backend().upload(np.zeros(self.size, self.dtype.numpy), self.device)
            self.adopt()
        elif self.read or self.lent or not self.current:
            self._leave()
        self.unshare()

    def share(self) -> None:
        """Others can see the memory of a gradient, which stays theirs: the next call gives the leaf another tensor."""
        self.current = False

    def _leave(self) -> None:
        """Put new tensors in the place of those that somebody else holds, or whose memory somebody may."""
        held = [count > SOLE_VALUE for count in map(references, self.values)]
        for i, leaf in enumerate(self.leaves):
            if held[i] or i in self.lent:
                self.values[i].buffer.keep()
            shown = references(self.gradients[i]) - (leaf._grad is self.gradients[i]) > IN_LIST
            others = references(self.storages[i]) > IN_LIST + 1  # beside the gradient's own
            if shown or others or self.storages[i].shared:
                self._replace(i)
        self.adopt()

    def _replace(self, i: int) -> None:
        """Another tensor for a gradient that somebody else has, who keeps its contents."""
        if isinstance(self.storages[i].value.buffer, PackedSlice):
            self.storages[i].value.buffer.keep()
        self.storages[i].pack = None
        self.gradients[i] = _empty_gradient(self.leaves[i], self.device)
        self.bound_at = -1
        self.storages[i] = self.gradients[i]._storage

    def bind(self) -> None:
        """After a run: every leaf has its gradient."""
        for leaf, gradient in zip(self.leaves, self.gradients):
            leaf._bind_grad(gradient)
        self.bound_at = grad_epoch[0]


def _empty_gradient(leaf: Tensor, device: str) -> Tensor:
    return leaf._gradient(Value(leaf._type, device, _NOTHING))


_NOTHING: Any = ()  # in the place of a buffer, until the pack is there


class LeftGradient:
    """The gradient of one leaf that steps leave behind, in a buffer of its own.

    A call puts the new buffer into the tensor of the call before, if nobody else can have got hold of that one; a leaf
    that was given another gradient, or none, gets a new tensor. In either case the program writes into the memory of the
    call before, which is kept for that: one for all programs that leave this gradient.
    """

    __slots__ = ("leaf", "type", "device", "buffer", "current", "read", "__weakref__")

    def __init__(self, leaf: Tensor, device: str) -> None:
        self.leaf, self.type, self.device = leaf, leaf._type, device
        self.buffer: Any = None  # of the last call
        self.current = False  # whether the gradient has what the step left there
        self.read = False  # whether it was looked at outside, so that somebody may hold it

    @classmethod
    def of(cls, leaf: Tensor, device: str) -> LeftGradient:
        """That of this leaf, on this device."""
        found = _left.get(id(leaf))
        if found is None or (found.type, found.device) != (leaf._type, device):
            found = _left[id(leaf)] = cls(leaf, device)
        return found

    def present(self) -> Storage | None:
        """The memory of the leaf's gradient, if that is still what the last call left there."""
        gradient = self.leaf._grad
        return gradient._storage if gradient is not None and self.current and gradient._storage.pack is self else None

    def room(self) -> Any:
        """Before a donating run: memory for the gradient, that of the last one unless somebody else can see it."""
        buffer, self.buffer = self.buffer, None
        gradient = self.leaf._grad
        there = gradient is not None and gradient._storage.value.buffer is buffer
        del gradient  # its references would count
        seen = there and (self.present() is None or (self.read and not self._is_sole()))
        if buffer is None or seen or references(buffer) > _SOLE + there:
            return backend().upload(np.zeros(self.type.shape, self.type.dtype.numpy), self.device)
        return buffer

    def take(self, buffer: Any) -> None:
        """After a run: what the leaf's gradient is now."""
        self.buffer = buffer
        storage = self.present()
        if storage is not None and not self.read:
            storage.value.buffer = buffer
            return
        del storage  # its references would count
        if self.read and self.current and self._is_sole():
            self.leaf._grad._storage.value.buffer = buffer  # type: ignore[union-attr]
        else:
            made = self.leaf._gradient(Value(self.leaf._type, self.device, buffer))
            made._storage.pack = self
            self.leaf._bind_grad(made)
        self.current, self.read = True, False

    def _is_sole(self) -> bool:
        """Whether only the leaf holds the gradient, and only that its memory and value."""
        leaf = self.leaf
        return (leaf._grad is not None and leaf._grad._storage.pack is self and not leaf._grad._storage.shared
                and references(leaf._grad) <= IN_LIST and references(leaf._grad._storage) <= IN_LIST
                and references(leaf._grad._storage.value) <= IN_LIST)

    def share(self) -> None:
        """Others can see the memory of the gradient, which stays theirs."""
        self.current = False


_left: WeakValueDictionary[int, LeftGradient] = WeakValueDictionary()  # by the identity of the leaf, which each holds


class SharedPack(Pack):
    """A pack with storages whose memory others can see: filled before each run, and given back to them after it."""

    __slots__ = ()

    @property
    def buffer(self) -> Any:
        """The flat array."""
        return _plain_buffer.__get__(self)

    @buffer.setter
    def buffer(self, new: Any) -> None:
        _plain_buffer.__set__(self, new)
        if self.gathering:
            return
        flat = backend().download(new)
        for storage, kind, start in zip(self.storages, self.types, self.offsets):
            if storage.shared:
                storage.rebind(Value(kind, self.device, np.array(flat[start:start + kind.size]).reshape(kind.shape)))
        self.current = False

    def prepare(self, host: Callable[[Value], Any]) -> None:
        """Before a donating run: what the storages hold now."""
        if self._settled():
            self.prepare(host)
        else:
            self.gather(host)

    def _settled(self) -> bool:
        """Whether nobody sees one of the storages any more; then this is a plain pack, current if no contents changed."""
        if any([storage.shared for storage in self.storages]):
            return False
        self.__class__ = Pack  # type: ignore[assignment]
        self.current = bool(self.values) and all(s.value is v for s, v in zip(self.storages, self.values))
        return True

    def gather(self, host: Callable[[Value], Any]) -> None:
        """Bring the pack up to date with its storages."""
        if self._settled():
            if not self.current:
                self.gather(host)
            return
        self.gathering = True
        try:
            super().gather(host)
        finally:
            self.gathering = self.current = False


_plain_buffer = vars(Pack)["buffer"]  # the slot, which `SharedPack.buffer` hides
