"""`Storage`: the cell that tensors share. Values never change; a storage is rebound to new ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.locks import open_after_fork
from ..ir.recorder import thread_recorder
from ..ir.source import describe
from ..ir.state import state
from ..ops.elementwise import alias, stop_gradient
from .context import context
from .epochs import _structure_changed

if TYPE_CHECKING:
    from .region import Region
    from .tensor import Tensor


VERSION_IN_STEP = ("a function that is traced read _version of a tensor from outside, which is another number at each call. "
                   "Read it outside of the function.")

# Held between gathering the buffers of state and rebinding it, when no other call may donate them, and between reading
# a generator and moving it on.
rebinding = open_after_fork(threading.RLock())


class PackFlags(Protocol):
    """What a storage tells the flat buffer that keeps its contents: it was read, it was rebound, others see its memory."""

    read: bool
    current: bool

    def share(self) -> None: ...


class Runs:
    """How often a compiled step has run."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Storage:
    """A mutable cell with an immutable value.

    `trace` is the jit trace that made it, if any; such a storage means nothing once the trace is over. `region` is the
    body of control flow that made it, if any: a write to a storage from outside is an effect of that body.
    `lost` says which call consumed the contents, after a failure inside a donating run. `leaf` is the tensor here that
    requires gradients: whoever reads the cell gets a value that says so, whichever handle is read first. It is `watched`
    once a step was compiled for how a tensor shows it: that step is to look again when the contents get a history.
    """

    __slots__ = ("value", "trace", "region", "lost", "pack", "leaf", "watched", "memory", "_handles", "_writes", "_runs",
                 "__weakref__")

    shared = False  # whether others can see the memory
    memory: Any  # which, of a shared storage
    _handles: dict[int, ref[Tensor]]  # set where there are several that are no views of one another
    _writes: int  # in place, outside of compiled steps; set at the first
    _runs: dict[Runs, int]  # how often each call of these steps writes here in place

    def __init__(self, value: Value) -> None:
        current = context
        trace = self.trace = current.trace
        self.region: Region | None = None
        self.lost = ""
        self.pack: PackFlags | None = None  # the flat buffer that compiled steps keep the contents in
        self.leaf: ref[Tensor] | None = None
        self.watched = False
        if trace is not None and value.buffer is not None:
            value = trace.constant(value)
        if value.owned:
            value = own(value)
        value.owned = True
        self.value = value
        if current.in_body:
            self.region = current.region
            if current.bodies:
                current.bodies[-1][self] = None
        if value.buffer is None:
            recorder = state.recorder or thread_recorder()
            if trace is None or recorder is not trace.recorder:  # a trace finds out by itself what is held
                recorder.storages.append(ref(self))

    def read(self) -> Value:
        """The current value, as the thread's trace sees it."""
        trace = context.trace
        if trace is not None:
            value = trace.read(self)
        else:
            if self.trace is not None or self.lost:
                raise self._unusable()
            if self.pack is not None:
                self.pack.read = True
            value = self.value
        return self.as_leaf(value) if self.leaf is not None else value

    def as_leaf(self, value: Value) -> Value:
        """The value, which says so if a tensor here requires gradients."""
        if self.leaf is not None and value.leaf is None and self.leaf() is not None:
            value.requires_grad, value.leaf = True, self.leaf
        return value

    def show(self, *tensors: Tensor) -> None:
        """Take down that these tensors show the contents."""
        handles = getattr(self, "_handles", None)
        if handles is None:
            handles = self._handles = {}
        elif len(handles) > 7 and not len(handles) & (len(handles) - 1):
            for gone in [key for key, handle in handles.items() if handle() is None]:
                del handles[gone]
        for tensor in tensors:
            handles[id(tensor)] = ref(tensor)

    def others(self, tensor: Tensor) -> list[Tensor]:
        """The other tensors that show the contents, but for views."""
        found = [handle() for handle in getattr(self, "_handles", {}).values()]
        return [x for x in found if x is not None and x is not tensor and x._storage is self]

    def settle(self) -> None:
        """Before a step uses the contents: raise if they are lost."""
        if self.trace is not None or self.lost:
            raise self._unusable()

    def write(self, value: Value) -> None:
        """Rebind the cell."""
        if context.in_body:
            self._note_write()
        trace = context.trace
        if trace is not None and self.trace is not trace:
            trace.write(self, value)
            return
        if self.trace is not None:
            if trace is None:
                raise self._unusable()
            trace.overwritten.setdefault(self, []).append(self.value)
        self.lost = ""
        if value.requires_grad and self.watched and not self.value.requires_grad:
            _structure_changed()
        self.rebind(own(value))
        recorder = thread_recorder()
        if value.buffer is None and (trace is None or recorder is not trace.recorder):
            recorder.storages.append(ref(self))

    def count_write(self) -> None:
        """Take down that the user's code wrote here in place; a compiled step does so at each call."""
        trace = context.trace
        if trace is None or self.trace is trace:
            self._writes = getattr(self, "_writes", 0) + 1
        else:
            trace.in_place[self] = trace.in_place.get(self, 0) + 1

    def count_runs(self, runs: Runs, times: int) -> None:
        """From now on each of these runs writes here so often."""
        found = getattr(self, "_runs", {})
        self._runs = found | {runs: found.get(runs, 0) + times}
        self._writes = getattr(self, "_writes", 0) - times * runs.count

    @property
    def version(self) -> int:
        """How often it was written in place."""
        trace = context.trace
        if trace is not None and self.trace is not trace:
            raise TraceError(VERSION_IN_STEP)
        return getattr(self, "_writes", 0) + sum(runs.count * n for runs, n in getattr(self, "_runs", {}).items())

    def _note_write(self) -> None:
        region = context.region
        if region is not None and self.region is not region:
            region.note_write(self)
        if context.bodies:
            context.bodies[-1].setdefault(self, self.value)

    def rebind(self, value: Value) -> None:
        """Put another value, which no other storage holds, in the place of the present one."""
        self.value = value
        if self.pack is not None:
            self.pack.current = False

    def restore(self, value: Value) -> None:
        """Bind the cell to what it held before, the very value."""
        trace = context.trace
        if trace is not None and self.trace is not trace:
            trace.restore(self, value)
        else:
            self.value = value

    def _unusable(self) -> Exception:
        if self.lost:
            return RuntimeError(f"this tensor's memory was lost: {self.lost}")
        node = self.value.node
        made = f", made by {node.op.name} at {describe(node.where)}," if node is not None else ""
        return TraceError(
            f"a traced tensor{made} escaped from the function that jit (or a transform) traced and was used outside. "
            "Return it from the function instead of keeping it in a list, a global or an attribute.")


def has_contents(value: Value) -> bool:
    """Whether the value may be copied by sharing its buffer.

    In a body of control flow it may not: there it stands for what a later step will hold.
    """
    return value.buffer is not None and context.region is None


def without_history(value: Value) -> Value:
    """The same contents, through which no gradient flows."""
    if not value.requires_grad:
        return value
    if has_contents(value):
        return value.twin()
    return stop_gradient(value)


def own(value: Value) -> Value:
    """`value`, or a new one equal to it if another storage holds it already."""
    if not value.owned:
        value.owned = True
        return value
    plain = has_contents(value) and not value.requires_grad
    copy = value.twin() if plain else alias(value)
    copy.owned = True
    return copy

