"""torch's functions, by theme. Importing this package attaches the methods of `Tensor`."""

from ..autocast import castable
from . import (
    arithmetic,
    control,
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

__all__ = ["arithmetic", "control", "creation", "indexing", "linear", "metadata", "random", "reduce", "scattering",
           "searching", "shape", "sorting", "triangular"]

castable(vars(arithmetic), vars(indexing), vars(linear), vars(reduce), vars(scattering), vars(shape), vars(sorting),
         vars(triangular))
