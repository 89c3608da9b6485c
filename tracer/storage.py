"""`Storage`: the cell that tensors share. Values never change; a storage is rebound to new ones."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from .errors import TraceError
from .graph import Value
from .ops.elementwise import alias
from .recorder import thread_recorder
from .source import describe
from .state import state

if TYPE_CHECKING:
    from .packing import Pack
    from .trace import Trace


class Storage:
    """A mutable cell with an immutable value.

    `trace` is the jit trace that made it, if any; such a storage means nothing once the trace is over.
    `lost` says which call consumed the contents, after a failure inside a donating run.
    """

    __slots__ = ("value", "trace", "lost", "pack", "__weakref__")

    shared = False  # whether the memory is the user's

    def __init__(self, value: Value) -> None:
        self.trace: Trace | None = state.trace
        self.lost = ""
        self.pack: Pack | None = None  # the flat buffer that compiled steps keep the contents in
        if self.trace is not None and value.buffer is not None:
            value = self.trace.constant(value)
        self.value = own(value)
        if value.buffer is None and self.trace is None:
            thread_recorder().storages.append(weakref.ref(self))

    def read(self) -> Value:
        """The current value, as the thread's trace sees it."""
        trace = state.trace
        if trace is not None:
            return trace.read(self)
        if self.trace is not None or self.lost:
            raise self._unusable()
        return self.value

    def write(self, value: Value) -> None:
        """Rebind the cell."""
        trace = state.trace
        if trace is not None and self.trace is not trace:
            trace.write(self, value)
            return
        if self.trace is not None and trace is None:
            raise self._unusable()
        self.lost = ""
        self.value = own(value)
        if value.buffer is None and trace is None:
            thread_recorder().storages.append(weakref.ref(self))

    def _unusable(self) -> Exception:
        if self.lost:
            return RuntimeError(f"this tensor's memory was lost: {self.lost}")
        node = self.value.node
        made = f", made by {node.op.name} at {describe(node.where)}," if node is not None else ""
        return TraceError(
            f"a traced tensor{made} escaped from the function that jit (or a transform) traced and was used outside. "
            "Return it from the function instead of keeping it in a list, a global or an attribute.")


def own(value: Value) -> Value:
    """`value`, or a new one equal to it if another storage holds it already."""
    if not value.owned:
        value.owned = True
        return value
    plain = value.buffer is not None and not value.requires_grad
    copy = value.twin() if plain else alias(value)
    copy.owned = True
    return copy

