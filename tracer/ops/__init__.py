"""The primitives, one record each; see `record.Op` for what a record holds."""

from . import (
    contraction,
    control,
    convolution,
    elementwise,
    fourier,
    indexing,
    linalg,
    random,
    reduction,
    sorting,
    structural,
    window,
)
from .record import OPS, Op

__all__ = [
    "OPS", "Op", "contraction", "control", "convolution", "elementwise", "fourier", "indexing", "linalg",
    "random", "reduction", "sorting", "structural", "window",
]
