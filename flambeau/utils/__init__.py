"""`torch.utils`: https://pytorch.org/docs/stable/utils.html"""

from . import checkpoint

__all__ = ["checkpoint"]
