"""`torch.utils.dlpack`: https://pytorch.org/docs/stable/dlpack.html"""

from __future__ import annotations

import enum
from typing import Any

from ..tracer.functions.interop import from_dlpack
from ..tracer.tensor.tensor import Tensor


class DLDeviceType(enum.IntEnum):
    """Kinds of devices as DLPack numbers them: https://dmlc.github.io/dlpack/latest/"""

    kDLCPU, kDLCUDA, kDLCUDAHost, kDLOpenCL = 1, 2, 3, 4
    kDLVulkan, kDLMetal, kDLVPI, kDLROCM = 7, 8, 9, 10
    kDLROCMHost, kDLExtDev, kDLCUDAManaged, kDLOneAPI = 11, 12, 13, 14
    kDLWebGPU, kDLHexagon, kDLMAIA = 15, 16, 17


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule that shows the memory of a tensor to another library."""
    return tensor.__dlpack__()


__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]
