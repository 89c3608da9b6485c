"""`torch.return_types`: the named tuples that functions return."""

from .tracer.functions.return_types import RETURN_TYPES as _RETURN_TYPES

globals().update(_RETURN_TYPES)

__all__ = list(_RETURN_TYPES)
