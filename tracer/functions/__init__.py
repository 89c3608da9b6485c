"""torch's functions, by theme. Importing this package attaches the methods of `Tensor`."""

from ..autocast import castable
from . import (
    arithmetic,
    control,
    conversions,
    creation,
    float_parts,
    incomplete_gamma,
    indexing,
    joining,
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
    slicing,
    sorting,
    statistics,
    strided,
    triangular,
)

__all__ = ["arithmetic", "control", "conversions", "creation", "float_parts", "incomplete_gamma", "indexing",
           "joining", "linear", "metadata", "pointwise", "pointwise_special", "predicates", "products",
           "random", "rearranging", "reduce", "scattering", "searching", "shape", "slicing", "sorting",
           "statistics", "strided", "triangular"]

castable(vars(arithmetic), vars(float_parts), vars(incomplete_gamma), vars(indexing), vars(joining), vars(linear),
         vars(pointwise), vars(pointwise_special), vars(products), vars(reduce), vars(scattering), vars(shape),
         vars(slicing), vars(sorting), vars(statistics), vars(strided), vars(triangular))
