"""`flambeau.debug`: printing values from inside compiled steps, and running each operation at once outside them."""

from .tracer.jit.reports import debug_print as print
from .tracer.lazy.debug_mode import debug_mode

__all__ = ["debug_mode", "print"]
