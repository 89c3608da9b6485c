"""`flambeau.debug`: printing and checking values inside compiled steps, and running each operation at once outside them."""

from .tracer.functions.checks import check
from .tracer.jit.reports import debug_print as print
from .tracer.lazy.debug_mode import debug_mode

__all__ = ["check", "debug_mode", "print"]
