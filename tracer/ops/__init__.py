"""The primitives, one record each; see `record.Op` for what a record holds."""

from . import (
    call,
    contraction,
    control,
    convolution,
    custom,
    elementwise,
    foreign,
    fourier,
    indexing,
    linalg,
    random,
    reduction,
    scan,
    sorting,
    structural,
    window,
)
from .record import OPS, Op

__all__ = [
    "OPS", "Op", "call", "contraction", "control", "convolution", "custom", "elementwise", "foreign", "fourier",
    "indexing", "linalg", "random", "reduction", "scan", "sorting", "structural", "window",
]
