"""Flat buffers that hold many small tensors of state."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import backend
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.types import Type
from .storage import Storage

_getrefcount = sys.getrefcount
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

    __slots__ = ("storages", "values", "types", "offsets", "size", "dtype", "device", "buffer", "lent", "current", "read")

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
            storage.rebind(value)
            storage.pack = self
            self.values.append(value)
        self.current = True

    def prepare(self, host: Callable[[Value], Any], sole_value: int) -> None:
        """Before a donating run: the pack is current and nobody else holds a value or the memory of it."""
        if not self.current:
            self.gather(host)
            return
        if self.lent or (self.read and max(map(_getrefcount, self.values)) > sole_value):
            for i, value in enumerate(self.values):
                if _getrefcount(value) > sole_value or i in self.lent:
                    value.buffer.keep()  # for its other holders
            self.adopt()
        self.read = False
        if _getrefcount(self.buffer) > _SOLE:
            self.buffer = backend().upload(np.array(backend().download(self.buffer)), self.device)
