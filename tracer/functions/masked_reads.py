"""`x[mask] = y[mask]` inside traced functions: how much a mask chooses is not known there, but nobody needs to know.

Reading through a mask gives a tensor of unknown size, which may be written through the same mask, by `where`, and which
refuses everything else.
"""

from __future__ import annotations

from typing import Any

from ..ir.errors import TraceError
from ..ir.graph import Value
from ..tensor.tensor import Tensor

DEPTH = 8  # how far two masks that were computed twice are compared


class MaskedRead(Tensor):
    """What `y[mask]` is while tracing: y, the mask, and from which dimension on it counts."""

    source: Value
    mask: Value
    axis: int
    refusal: str

    @property
    def _type(self) -> Any:
        raise TraceError(self.refusal)

    @property
    def _storage(self) -> Any:  # type: ignore[override]
        raise TraceError(self.refusal)

    def _read(self) -> Value:
        raise TraceError(self.refusal)

    def __repr__(self) -> str:
        return "tensor(<elements that a traced mask chooses>)"


def masked_read(source: Value, mask: Value, axis: int, refusal: str) -> MaskedRead:
    """The elements of `source` where the mask holds; `refusal` is said when more is asked of them than to be written."""
    made = object.__new__(MaskedRead)
    made.__dict__.update(source=source, mask=mask, axis=axis, refusal=refusal)
    return made


def is_through(read: MaskedRead, mask: Value, axis: int) -> bool:
    """Whether it was read through this mask, or one that was computed in the same way from the same values."""
    return read.axis == axis and _same(read.mask, mask, DEPTH)


def _same(x: Value, y: Value, depth: int) -> bool:
    if x is y:
        return True
    a, b = x.node, y.node
    if not depth or a is None or b is None or a.op is not b.op or a.params != b.params or len(a.inputs) != len(b.inputs):
        return False
    if a.op.multiple or not (a.inputs or a.op.name in ("constant", "iota")):
        return False
    return x.type is y.type and all(_same(i, j, depth - 1) for i, j in zip(a.inputs, b.inputs))
