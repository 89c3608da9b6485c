"""torch's functions, by theme. Importing this package attaches the methods of `Tensor`."""

from ..autocast import castable
from . import (
    arithmetic,
    control,
    creation,
    float_parts,
    incomplete_gamma,
    indexing,
    linear,
    metadata,
    pointwise,
    pointwise_special,
    predicates,
    products,
    random,
    rearranging,
    reduce,
    scattering,
    searching,
    shape,
    sorting,
    statistics,
    triangular,
)

__all__ = ["arithmetic", "control", "creation", "float_parts", "incomplete_gamma", "indexing", "linear", "metadata",
           "pointwise", "pointwise_special", "predicates", "products", "random", "rearranging", "reduce",
           "scattering", "searching", "shape", "sorting", "statistics", "triangular"]

castable(vars(arithmetic), vars(float_parts), vars(incomplete_gamma), vars(indexing), vars(linear), vars(pointwise),
         vars(pointwise_special), vars(products), vars(reduce), vars(scattering), vars(shape), vars(sorting),
         vars(statistics), vars(triangular))
