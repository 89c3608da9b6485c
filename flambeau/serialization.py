"""`torch.serialization`: https://pytorch.org/docs/stable/notes/serialization.html"""

from .nn.parameter import Buffer, Parameter
from .runtime.checkpoint import load, save
from .runtime.restoring import makers as _makers
from .runtime.safe_globals import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]

_makers.update(Parameter=Parameter, Buffer=lambda data, persistent: Buffer(data, persistent=persistent))
