"""Padding layers: https://pytorch.org/docs/stable/nn.html#padding-layers"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module
from .sizes import _ntuple


class _Pad(Module):
    rank: ClassVar[int]
    mode: ClassVar[str] = "constant"

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self.rank)(padding)

    def forward(self, input: Tensor) -> Tensor:
        """Longer by the padding."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Longer by the padding."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """A number added at the ends of length."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """A number added at the ends of height and width."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """A number added at the ends of depth, height and width."""

    rank = 3


class ZeroPad1d(_ZeroPad):
    """Zeros added at the ends of length."""

    rank = 1


class ZeroPad2d(_ZeroPad):
    """Zeros added at the ends of height and width."""

    rank = 2


class ZeroPad3d(_ZeroPad):
    """Zeros added at the ends of depth, height and width."""

    rank = 3


class ReflectionPad1d(_Pad):
    """What is inside, mirrored, added at the ends of length."""

    rank = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """What is inside, mirrored, added at the ends of height and width."""

    rank = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """What is inside, mirrored, added at the ends of depth, height and width."""

    rank = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """The edge added at the ends of length."""

    rank = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """The edge added at the ends of height and width."""

    rank = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """The edge added at the ends of depth, height and width."""

    rank = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """What is at the other end added at the ends of length."""

    rank = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """What is at the other end added at the ends of height and width."""

    rank = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """What is at the other end added at the ends of depth, height and width."""

    rank = 3
    mode = "circular"
