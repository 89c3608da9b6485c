"""`torch.utils.checkpoint`: https://pytorch.org/docs/stable/checkpoint.html"""

from ..tracer.autograd.checkpointing import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]
