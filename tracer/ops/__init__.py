"""The primitives, one record each; see `record.Op` for what a record holds."""

from . import contraction, elementwise, reduction, structural
from .record import OPS, Op

__all__ = ["OPS", "Op", "contraction", "elementwise", "reduction", "structural"]
