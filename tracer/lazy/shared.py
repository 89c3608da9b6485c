"""Memory that belongs to the user: what `from_numpy` and DLPack share with an array."""

from __future__ import annotations

import numpy as np

from ..backend import Array, SharedArray
from ..ir.graph import Value
from ..ir.types import Type
from ..tensor.context import context
from ..tensor.storage import Storage
from .flush import host_array


class SharedStorage(Storage):
    """A storage whose contents are the user's array.

    A read takes the array as it is at that moment, so that what was recorded before a change of it stays as it was; a
    write runs what is pending and goes into the array at once. Compiled functions read it at each call.
    """

    __slots__ = ("_home", "_held", "_seen")

    shared = True

    def __init__(self, array: Array, kind: Type) -> None:
        self._home = self._held = Value(kind, "cpu", array.view(SharedArray))  # held twice: no call may rebind its buffer
        self._seen: tuple[Array, Value] | None = None
        super().__init__(self._home)

    @property
    def value(self) -> Value:
        """The array itself."""
        return self._home

    @value.setter
    def value(self, value: Value) -> None:
        if value is not self._home:
            np.copyto(self._home.buffer, host_array(value))
            self._seen = None

    def read(self) -> Value:
        """What the array holds now."""
        if context.trace is not None or self.lost:
            return super().read()
        now = self._home.buffer
        if self._seen is None or not np.array_equal(self._seen[0], now):
            taken = np.array(now, order="C")
            self._seen = taken, Value(self._home.type, "cpu", taken)
        return self._seen[1]
