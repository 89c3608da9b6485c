"""Where in its memory a tensor begins, also if a tensor says so: `table[t]` is a view at a computed position.

`Geometry.offset` counts what Python knows; it takes position 0 for the others, which a program computes. Whoever asks where a
tensor lies asks here; whoever makes a view of it adds to what is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..ir.errors import TraceError
from ..ir.source import describe, user_position
from .steps import Window
from .strides import Geometry

if TYPE_CHECKING:
    from .tensor import Tensor

COMPUTED = (
    "where a view at a computed position begins in its memory was asked for at {line}: a program computes it when it runs. Index "
    "with a Python integer, give as_strided its storage_offset, or ask outside the traced function.")


@dataclass(slots=True, unsafe_hash=True)
class Placed(Geometry):
    """The metadata of a tensor that a step made as a view at computed positions, and returned without what it is a view of."""

    positions: tuple[tuple[Tensor, int], ...] = ()


def computed(x: Tensor) -> list[tuple[Tensor, int]]:
    """The positions that tensors say, and how many bytes lie between one and the next."""
    found: list[tuple[Tensor, int]] = []
    while x._base is not None:
        for step in x._steps:
            if type(step) is Window:
                found += step.computed()
        x = x._root
    if type(x._geometry) is Placed:
        found += x._geometry.positions
    return found


def offset(x: Tensor) -> int:
    """The element of its memory that a tensor's first element is.

    Raises TraceError inside a traced function for what its program computes.
    """
    try:
        return x._strides.offset + sum(int(at) * apart for at, apart in computed(x)) // x.itemsize
    except TraceError as error:
        raise TraceError(COMPUTED.format(line=describe(user_position()))) from error


def distance(x: Tensor, y: Tensor) -> Any:
    """How many elements of its dtype `x` begins behind `y`, as a tensor: a program may compute one of the positions."""
    bytes = sum((at * apart for at, apart in computed(x)), x._strides.offset * x.itemsize)
    return (bytes - sum((at * apart for at, apart in computed(y)), y._strides.offset * y.itemsize)) // x.itemsize


def is_at_multiple(x: Tensor, n: int) -> bool:
    """Whether the offset is a multiple of n; positions are looked at only where they matter."""
    if all(apart % (n * x.itemsize) == 0 for _, apart in computed(x)):
        return x._strides.offset % n == 0
    return offset(x) % n == 0
