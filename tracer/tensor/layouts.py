"""Memory formats and layouts: how a tensor may be asked to lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class memory_format:
    """An order of dimensions in memory; `order` names them from the outermost to the innermost, None for as they come.

    https://pytorch.org/docs/stable/tensor_attributes.html#torch.memory_format
    """

    __slots__ = ("name", "order")

    def __init__(self, name: str, order: tuple[int, ...] | None = None) -> None:
        self.name, self.order = name, order

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return _named, (self.name,)

    def stride(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Strides of this shape in this format; RuntimeError for another number of dimensions."""
        order = self.order or tuple(range(len(shape)))
        if len(order) != len(shape):
            raise RuntimeError(f"required rank {len(order)} tensor to use {self.name} format")
        found, step = [0] * len(shape), 1
        for dim in reversed(order):
            found[dim], step = step, step * max(shape[dim], 1)
        return tuple(found)


class layout:
    """How elements are kept at all: here they are `strided`.

    https://pytorch.org/docs/stable/tensor_attributes.html#torch.layout
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return _named, (self.name,)


contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
channels_last, channels_last_3d = memory_format("channels_last", (0, 2, 3, 1)), memory_format("channels_last_3d", (0, 2, 3, 4, 1))
strided, sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc, jagged = map(
    layout, ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "jagged"))


def check_layout(given: layout | None) -> None:
    """NotImplementedError for a layout that is not strided."""
    if given is not None and given is not strided:
        raise NotImplementedError(f"tensors are strided here, got layout {given!r}; make a dense tensor instead")


def _named(name: str) -> Any:
    return globals()[name]
