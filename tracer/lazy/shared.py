"""Memory that tensors have in common with numpy: what `from_numpy` and DLPack were given, and what `numpy()` gives away."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any
from weakref import getweakrefcount, ref

import numpy as np

from ..backend import Array, SharedArray
from ..ir.graph import Value
from ..ir.locks import open_after_fork
from ..ir.source import file_and_line, user_position
from ..ir.types import Type
from ..tensor.context import context
from ..tensor.offsets import offset
from ..tensor.steps import Conjugate, Part, Recoded, Step
from ..tensor.storage import Storage, rebinding
from ..tensor.strides import Geometry, overlaps
from ..tensor.tensor import Tensor
from .flush import contents, host_array, materialize

TOLD = 1 << 20  # bytes of a tensor from which on it is said that reading it costs a copy
_FOREIGN = sys.maxsize
_getrefcount = sys.getrefcount
_settling = open_after_fork(threading.Lock())
_plain_value = vars(Storage)["value"]  # the slot, which `SharedStorage.value` hides


# --- Who can see an array ---------------------------------------------------------------------------------------------


def _holders(home: Array) -> int:
    """The most references to one of the arrays from `home` down to the owner of its memory, weak ones included.

    What numpy does not own (ctypes, mmap, shared memory, DLPack) has holders that nobody can count.
    """
    most, link = 0, home.base
    while type(link) is np.ndarray:
        most = max(most, _getrefcount(link) + getweakrefcount(link))
        if link.flags.owndata:
            return most
        link = link.base
    return _FOREIGN


_SOLE = _holders(np.zeros(2)[:1].view(SharedArray))  # what it finds where nobody else holds one; measured, not assumed


class Memory:
    """What a storage shares: the value that stands for it, and the contents as they were last seen."""

    __slots__ = ("home", "given", "seen", "_held", "_before")

    def __init__(self, home: Value, before: Value | None = None) -> None:
        self.home = self._held = home  # held twice: no call may rebind its buffer
        self.given = before is not None  # by `numpy()`
        self.seen: Value | None = None
        self._before: Callable[[], Value | None] = (lambda: None) if before is None else ref(before)

    @property
    def visible(self) -> bool:
        """Whether anybody else can see the array."""
        return _holders(self.home.buffer) > _SOLE

    def now(self) -> Value:
        """A value of what the array holds; the one seen last if that is still so."""
        home, last = self.home, self.last()
        if last is None:
            taken = np.array(home.buffer, order="C")
            last = Value(home.type, home.device, taken.view(np.ndarray))
        self.seen = last
        return last

    def last(self) -> Value | None:
        """The value seen last, if the array has not changed since."""
        last = self.seen or self._before()
        return last if last is not None and _same_bits(contents(last), self.home.buffer) else None

    def tell(self) -> None:
        """Say once what an array of a large tensor costs."""
        if not self.given or self.home.type.nbytes <= TOLD:
            return
        self.given = False
        file, line = file_and_line(user_position())
        warnings.warn_explicit(
            f"an array of numpy() that shares the memory of a tensor {self.home.type} is alive: each use of the tensor looks "
            "through all of it, and each step that writes it copies it. Drop the array, or take a copy: x.numpy().copy().",
            UserWarning, file, line)


def _same_bits(a: Array, b: Array) -> bool:
    if a.dtype.kind == "c":
        return _same_bits(a.real, b.real) and _same_bits(a.imag, b.imag)
    bits = f"u{a.dtype.itemsize}"
    return np.array_equal(a.view(bits), b.view(bits))


# --- The storage ------------------------------------------------------------------------------------------------------


class SharedStorage(Storage):
    """A storage whose contents are an array that others can see.

    A read takes the array as it is at that moment, so that what was recorded before a change of it stays as it was; a
    write runs what is pending and goes into the array at once. Compiled functions read it at each call.
    When nobody else can see the array any more, the storage becomes a plain one. It looks at each read and write: a
    finalizer would come at any time, in the middle of a step.
    """

    __slots__ = ()

    def __init__(self, array: Array, kind: Type) -> None:
        self.memory = Memory(Value(kind, "cpu", array.view(SharedArray)))
        super().__init__(self.memory.home)

    @property
    def shared(self) -> bool:  # type: ignore[override]
        """Whether others can see the memory still."""
        self.settle()
        return type(self) is SharedStorage

    @property
    def value(self) -> Value:
        """The array itself."""
        home: Value = self.memory.home
        return home

    @value.setter
    def value(self, value: Value) -> None:
        memory: Memory = self.memory
        if value is memory.home:
            return
        if not memory.visible:
            self._become_plain(lambda: value)
            return
        np.copyto(memory.home.buffer, host_array(value))
        memory.seen = value

    def read(self) -> Value:
        """What the array holds now."""
        if context.trace is None:
            self.settle()
            if type(self) is SharedStorage:
                return self.as_leaf(self.memory.now())
        return Storage.read(self)

    def settle(self) -> None:
        """Take the memory over if nobody else can see it."""
        super().settle()
        if self.memory.visible:
            self.memory.tell()
        else:
            self._become_plain(self._taken_over)

    def _taken_over(self) -> Value:
        memory: Memory = self.memory
        home = memory.home
        return memory.last() or Value(home.type, home.device, home.buffer.view(np.ndarray))

    def _become_plain(self, value: Callable[[], Value]) -> None:
        with _settling:
            if type(self) is SharedStorage:
                contents = value()
                contents.owned = True
                _plain_value.__set__(self, contents)
                self.__class__ = Storage  # type: ignore[assignment]
                self.memory.home.buffer = self.memory.seen = None  # a call that has begun holds `home` still


def overlapping(written: Iterable[Storage], others: Collection[Storage]) -> bool:
    """Whether a storage that is written shares numpy memory with another one."""
    homes = {s: s.memory.home.buffer for s in others if type(s) is SharedStorage}
    return any(a is not b and np.shares_memory(homes[a], homes[b])
               for a in written if a in homes for b in homes)


# --- Giving memory away -----------------------------------------------------------------------------------------------


def exported(tensor: Tensor) -> Array:
    """An array on the tensor's memory: changes of the one are seen by the other.

    What cannot be shared is copied: a tensor of another device, one in a body of control flow, a conjugate.
    """
    root, steps = tensor, tensor._steps
    while root._base is not None:
        root = root._root
        steps = (*root._steps, *steps)
    storage = root._storage
    if context.trace is not None or context.in_body or storage.value.device != "cpu" or _unplaced(steps):
        return np.array(host_array(tensor._read()))
    layout = root._strides
    if not isinstance(storage, SharedStorage):
        materialize([storage.read()], "numpy() was called")
        if isinstance(storage.value.buffer, SharedArray):  # read-only
            return _seen_through(tensor, root, storage.value.buffer)
        if overlaps(root._type.shape, layout.stride):
            return np.array(host_array(tensor._read()))
        _share(root, layout)
    return _seen_through(tensor, root, storage.memory.home.buffer)


def _unplaced(steps: Sequence[Step]) -> bool:
    """Whether no strides say where a view's numbers lie: conjugates, and imaginary parts of these."""
    conjugate = False
    for step in steps:
        if isinstance(step, Conjugate):
            conjugate = not conjugate
        elif conjugate and isinstance(step, Part) and not step.imaginary:
            conjugate = False
        elif conjugate and isinstance(step, Recoded):
            return True
    return conjugate


def _share(root: Tensor, layout: Geometry) -> None:
    """Put the contents where numpy can see them; each handle keeps its history."""
    storage = root._storage
    root.detach()
    with rebinding:
        value = storage.value
        home = Value(value.type, "cpu", _laid_out(contents(value), layout))
        storage.memory = Memory(home, value)
        if storage.pack is not None:
            storage.pack.share()
        storage.__class__ = SharedStorage


def _laid_out(array: Array, layout: Geometry) -> Array:
    """A copy of the array with these strides, in memory of its own."""
    size = array.dtype.itemsize
    count = layout.offset + sum((n - 1) * s for n, s in zip(array.shape, layout.stride)) + 1 if array.size else 0
    memory = np.empty(count, array.dtype)
    home = np.ndarray(array.shape, array.dtype, memory, layout.offset * size if count else 0,
                      tuple(s * size for s in layout.stride))
    np.copyto(home, array)
    return home.view(SharedArray)


class _Window:
    """A place in memory that numpy can make an array of, and the array that keeps the memory alive."""

    def __init__(self, owner: Any, address: int, kind: Type, stride: tuple[int, ...], writable: bool) -> None:
        self.owner = owner
        dtype = np.dtype(kind.dtype.numpy)
        self.__array_interface__ = {
            "version": 3, "shape": kind.shape, "strides": tuple(s * dtype.itemsize for s in stride),
            "data": (address, not writable), "typestr": dtype.str if dtype.isbuiltin == 1 else f"|u{dtype.itemsize}"}


def _seen_through(tensor: Tensor, root: Tensor, home: Array) -> Array:
    """The elements of `home`, the memory of `root`, that the tensor shows; a copy where strides cannot say which."""
    size = home.dtype.itemsize
    expected = tuple(s * size for s in root.stride())
    if any(n > 1 and s != e for n, s, e in zip(home.shape, home.strides, expected)):
        return home.view(np.ndarray) if tensor._base is None else np.array(host_array(tensor._read()))
    address = home.__array_interface__["data"][0] - offset(root) * size + offset(tensor) * tensor.itemsize
    window = _Window(home.base, address, tensor._type, tensor.stride(), home.flags.writeable)
    return np.asarray(window).view(tensor.dtype.numpy)
