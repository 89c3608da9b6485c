"""`torch.types`: names for annotations."""

from __future__ import annotations

import os
from builtins import bool as _bool
from builtins import complex as _complex
from builtins import float as _float
from builtins import int as _int
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

from .tracer.tensor.device import Size
from .tracer.tensor.device import device as _device
from .tracer.tensor.tensor import Tensor

_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_size: TypeAlias = Size | list[_int] | tuple[_int, ...]
_symsize = _size
Number: TypeAlias = _int | _float | _bool
PyNumber: TypeAlias = _int | _float | _complex
Device: TypeAlias = _device | str | _int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
IntLikeType, FloatLikeType, BoolLikeType = _int, _float, _bool
Storage: TypeAlias = Any

__all__ = ["BoolLikeType", "Device", "FileLike", "FloatLikeType", "IntLikeType", "Number", "PyNumber", "Size", "Storage"]
