"""`torch.serialization`: https://pytorch.org/docs/stable/notes/serialization.html"""

from .nn.parameter import Buffer, Parameter
from .nn.torch_state import WrappedHook as _WrappedHook
from .runtime.checkpoint import load, save
from .runtime.restoring import classes as _classes
from .runtime.restoring import makers as _makers
from .runtime.restoring import torchs as _torchs
from .runtime.safe_globals import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]

_makers.update(Parameter=Parameter, Buffer=lambda data, persistent: Buffer(data, persistent=persistent))
_classes.update(Parameter=Parameter, Buffer=Buffer)
_torchs.update({"torch.nn.parameter.Parameter": Parameter, "torch.nn.parameter.Buffer": Buffer,
                "torch.nn.modules.module._WrappedHook": _WrappedHook})
