"""Tensors as numpy arrays, without recording an operation for each sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ....tracer.backend import Array
from ....tracer.functions.operands import wrap
from ....tracer.ir.dtypes import from_numpy
from ....tracer.ir.graph import Value
from ....tracer.ir.types import Type
from ....tracer.lazy.flush import contents, materialize
from ....tracer.lazy.shared import SharedStorage
from ....tracer.tensor.context import context
from ....tracer.tensor.steps import PLAIN, Recoded
from ....tracer.tensor.strides import is_contiguous
from ....tracer.tensor.tensor import Tensor


class Homes:
    """The memory that the tensors of a batch lie in, each looked up once."""

    def __init__(self) -> None:
        self._bytes: dict[Tensor, Array | None] = {}

    def view(self, tensor: Tensor) -> Array | None:
        """The tensor's elements in its memory, to be read at once; None if they are not on the host, or pending."""
        if tensor._device != "cpu" or tensor.requires_grad:
            return None
        if tensor._base is None and tensor._geometry is None:
            storage = tensor._storage
            if type(storage) is SharedStorage:  # a sample made by `from_numpy`
                return storage.memory.home.buffer
            buffer = storage.read().buffer
            if type(buffer) is np.ndarray:  # one that was computed, most likely
                return buffer
        root = tensor
        while root._base is not None:
            if any(isinstance(step, Recoded) or not step.placed for step in root._steps):
                return None
            root = root._root
        home = self.bytes_of(root)
        if home is None:
            return None
        shape, kind, places = tensor._type.shape, tensor._type.dtype.numpy, tensor._strides
        if 0 in shape:
            return np.empty(shape, kind)
        size = kind.itemsize
        return np.ndarray(shape, kind, home, places.offset * size, tuple([s * size for s in places.stride]))

    def bytes_of(self, root: Tensor) -> Array | None:
        """The bytes of a tensor that is no view; None if they cannot be read at once."""
        if root not in self._bytes:
            self._bytes[root] = _bytes_of(root)
        return self._bytes[root]


def _bytes_of(root: Tensor) -> Array | None:
    """The bytes of a tensor that is no view and whose elements lie in row-major order."""
    storage = root._storage
    storage.settle()
    if not root.is_contiguous() or storage.value.buffer is None:
        return None
    array: Array = storage.memory.home.buffer if type(storage) is SharedStorage else contents(storage.value)
    if not array.flags.c_contiguous:
        return None
    return array.view(np.ndarray).reshape(-1).view(np.uint8)


def stacked(batch: Sequence[Any]) -> Tensor | None:
    """The tensors or arrays of a batch as one tensor; None where `stack` must do it, or say why it cannot be done."""
    if context.trace is not None or context.in_body:
        return None
    homes, arrays = Homes(), []
    blocks = _blocks(batch, homes)
    if blocks is not None:
        return on_array(blocks)
    for item in batch:
        array = homes.view(item) if isinstance(item, Tensor) else item
        if array is None:
            return None
        arrays.append(array)
    first = arrays[0]
    kind, shape = first.dtype, first.shape
    if any(array.shape != shape or array.dtype != kind for array in arrays):
        return None
    made = np.empty((len(arrays), *shape), kind)
    for i, array in enumerate(arrays):
        made[i] = array
    return on_array(made)


def _blocks(batch: Sequence[Any], homes: Homes) -> Array | None:
    """The elements of views of one tensor, each a block of it as its rows are, taken at once; None where they are not that."""
    first = batch[0]
    if not isinstance(first, Tensor) or first._base is None or first._geometry is None or homes.view(first) is None:
        return None
    root, kind, stride, offsets = first._base, first._type, first._geometry.stride, []
    if not is_contiguous(kind.shape, stride) or not kind.size:
        return None
    for item in batch:
        if type(item) is not Tensor or item._base is not root or item._type is not kind or item._requires_grad or \
                item._geometry is None or item._geometry.stride != stride or not PLAIN.issuperset(map(type, item._steps)):
            return None
        offsets.append(item._geometry.offset)
    home = homes.bytes_of(root)
    places, rest = np.divmod(offsets, kind.size)
    if home is None or rest.any() or home.size % kind.nbytes:
        return None
    found: Array = home.view(kind.dtype.numpy).reshape(-1, kind.size)[places]
    return found.reshape(len(batch), *kind.shape)


def rows(tensors: Sequence[Tensor], index: list[Any]) -> list[Tensor] | None:
    """The rows of these numbers of each tensor; None where ordinary indexing must do it, or say why it cannot be done."""
    if context.trace is not None or context.in_body or not all(type(i) is int for i in index):
        return None
    homes = Homes()
    made = []
    for tensor in tensors:
        array = homes.view(tensor)
        if array is None or not array.ndim or any(not -len(array) <= i < len(array) for i in index):
            return None
        made.append(on_array(array[index]))
    return made


def start(batch: Any) -> None:
    """Start what a batch was computed by, as a program of its own: the next batch's is the same, whatever is done with them."""
    if context.trace is None and not context.in_body:
        materialize([tensor._read() for tensor in _tensors(batch) if not tensor.requires_grad], "a DataLoader made a batch")


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, (list, tuple)):
        for part in batch:
            yield from _tensors(part)
    elif isinstance(batch, dict):
        yield from _tensors(list(batch.values()))


def on_array(array: Array) -> Tensor:
    """A tensor that takes an array over, which nobody else writes to."""
    return wrap(Value(Type.of(array.shape, from_numpy(array.dtype)), "cpu", array))
