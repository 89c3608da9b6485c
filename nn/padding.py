"""Padding layers: https://pytorch.org/docs/stable/nn.html#padding-layers"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module
from .sizes import _ntuple


class _ConstantPadNd(Module):
    padding: Sequence[int]

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Longer by the padding."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ConstantPad(_ConstantPadNd):
    rank: ClassVar[int]

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(value)
        self.padding = _ntuple(2 * self.rank)(padding)


class _PadNd(Module):
    padding: Any

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _Pad(Module):
    """Goes before one of the classes that know how to pad."""

    rank: ClassVar[int]

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding: Any = _ntuple(2 * self.rank)(padding)


class _ReflectionPadNd(_PadNd):
    def forward(self, input: Tensor) -> Tensor:
        """Longer by the padding."""
        return F.pad(input, self.padding, "reflect")


class _ReplicationPadNd(_PadNd):
    def forward(self, input: Tensor) -> Tensor:
        """Longer by the padding."""
        return F.pad(input, self.padding, "replicate")


class _CircularPadNd(_PadNd):
    def _check_input_dim(self, input: Tensor) -> None:
        """ValueError for an input of another number of dimensions; subclasses define it."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        """Longer by the padding."""
        self._check_input_dim(input)
        return F.pad(input, self.padding, "circular")


class ConstantPad1d(_ConstantPad):
    """A number added at the ends of length."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """A number added at the ends of height and width."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """A number added at the ends of depth, height and width."""

    rank = 3


class ZeroPad1d(ConstantPad1d):
    """Zeros added at the ends of length."""

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Zeros added at the ends of height and width."""

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Zeros added at the ends of depth, height and width."""

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad1d(_Pad, _ReflectionPadNd):
    """What is inside, mirrored, added at the ends of length."""

    rank = 1


class ReflectionPad2d(_Pad, _ReflectionPadNd):
    """What is inside, mirrored, added at the ends of height and width."""

    rank = 2


class ReflectionPad3d(_Pad, _ReflectionPadNd):
    """What is inside, mirrored, added at the ends of depth, height and width."""

    rank = 3


class ReplicationPad1d(_Pad, _ReplicationPadNd):
    """The edge added at the ends of length."""

    rank = 1


class ReplicationPad2d(_Pad, _ReplicationPadNd):
    """The edge added at the ends of height and width."""

    rank = 2


class ReplicationPad3d(_Pad, _ReplicationPadNd):
    """The edge added at the ends of depth, height and width."""

    rank = 3


class CircularPad1d(_Pad, _CircularPadNd):
    """What is at the other end added at the ends of length."""

    rank = 1

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.ndim}D input)")


class CircularPad2d(_Pad, _CircularPadNd):
    """What is at the other end added at the ends of height and width."""

    rank = 2

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (3, 4):
            raise ValueError(f"expected 3D or 4D input (got {input.ndim}D input)")


class CircularPad3d(_Pad, _CircularPadNd):
    """What is at the other end added at the ends of depth, height and width."""

    rank = 3

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (4, 5):
            raise ValueError(f"expected 4D or 5D input (got {input.ndim}D input)")
