"""What users hold: a handle on a storage through views, and what stands around it while a program is recorded."""

from .device import Size, device
from .tensor import Tensor

__all__ = ["Size", "Tensor", "device"]
