"""The primitives, one record each; see `record.Op` for what a record holds."""

from ..ir.op import OPS, Op
from . import (
    call,
    checks,
    contraction,
    control,
    convolution,
    custom,
    elementwise,
    foreign,
    fourier,
    indexing,
    linalg,
    lu,
    pieces,
    qr,
    random,
    reduction,
    running,
    scan,
    sorting,
    spectral,
    structural,
    window,
)

__all__ = [
    "OPS", "Op", "call", "checks", "contraction", "control", "convolution", "custom", "elementwise", "foreign", "fourier",
    "indexing", "linalg", "lu", "pieces", "qr", "random", "reduction", "running", "scan", "sorting", "spectral", "structural",
    "window",
]
