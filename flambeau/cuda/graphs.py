"""`torch.cuda.graphs`: programs that are launched at once. https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs"""

from .. import absent as _absent
from . import is_current_stream_capturing
from .runtime import make_graphed_callables

__getattr__ = _absent.named_in(__name__)
__all__ = ["is_current_stream_capturing", "make_graphed_callables"]
