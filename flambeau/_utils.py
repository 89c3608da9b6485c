"""`torch._utils`: what others than torch itself use of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .tracer.functions.joining import cat
from .tracer.functions.slicing import split
from .tracer.tensor.tensor import Tensor
from .utils.data._utils.errors import ExceptionWrapper, KeyErrorMessage


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """The elements of all tensors, one after the other."""
    return cat([x.reshape(-1) for x in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Consecutive pieces of a vector in the shapes of tensors."""
    pieces = split(flat, [x.numel() for x in tensors])
    return tuple(piece.view(x.shape) for piece, x in zip(pieces, tensors))


def _take_tensors(tensors: Iterable[Tensor], size_limit: int) -> Iterable[list[Tensor]]:
    """Tensors in groups of one type each, of which none but single ones has more than so many bytes."""
    open_groups: dict[Any, list[Tensor]] = {}
    for x in tensors:
        group = open_groups.setdefault((x.dtype, x.device), [])
        if group and sum(y.nbytes for y in group) + x.nbytes > size_limit:
            yield open_groups.pop((x.dtype, x.device))
            group = open_groups[x.dtype, x.device] = []
        group.append(x)
    yield from open_groups.values()


class classproperty:
    """A property of a class."""

    def __init__(self, func: Any) -> None:
        self.fget = func

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.fget(owner or type(instance))


__all__ = ["ExceptionWrapper", "KeyErrorMessage", "classproperty"]
