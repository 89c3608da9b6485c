"""torch's functions, by theme. Importing this package attaches the methods of `Tensor`."""

from . import (
    arithmetic,
    creation,
    indexing,
    linear,
    metadata,
    random,
    reduce,
    scattering,
    searching,
    shape,
    sorting,
    triangular,
)

__all__ = ["arithmetic", "creation", "indexing", "linear", "metadata", "random", "reduce", "scattering",
           "searching", "shape", "sorting", "triangular"]
