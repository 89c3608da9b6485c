"""`torch.utils.dlpack`: https://pytorch.org/docs/stable/dlpack.html"""

from __future__ import annotations

from typing import Any

from ..tracer.functions.interop import from_dlpack
from ..tracer.tensor.tensor import Tensor


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule that shows the memory of a tensor to another library."""
    return tensor.__dlpack__()


__all__ = ["from_dlpack", "to_dlpack"]
