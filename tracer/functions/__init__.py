"""torch's functions, by theme. Importing this package attaches the methods of `Tensor`.

What they share: `operands` (promotion, broadcasting), `layout`, `methods` (also in place and with `out=`), `dims`, `defaults`,
`return_types`, and `ruled` for a function with a gradient rule of its own.
"""

from . import (
    activation,
    angles,
    arithmetic,
    choosing,
    comparing,
    complex_numbers,
    control,
    conversions,
    creation,
    cumulative,
    float_parts,
    incomplete_gamma,
    indexing,
    joining,
    legacy,
    linear,
    metadata,
    norms,
    operators,
    order_statistics,
    predicates,
    products,
    random,
    reading,
    rearranging,
    reduce,
    scattering,
    searching,
    shape,
    slicing,
    sorting,
    special,
    statistics,
    strided,
    triangular,
    unary,
    whole_numbers,
)
from .autocast import castable

__all__ = ["activation", "angles", "arithmetic", "choosing", "comparing", "complex_numbers", "control", "conversions",
           "creation", "cumulative", "float_parts", "incomplete_gamma", "indexing", "joining", "legacy", "linear", "metadata",
           "norms", "operators", "order_statistics", "predicates", "products", "random", "reading", "rearranging",
           "reduce", "scattering", "searching", "shape", "slicing", "sorting", "special", "statistics", "strided",
           "triangular", "unary", "whole_numbers"]

castable(vars(activation), vars(angles), vars(arithmetic), vars(choosing), vars(comparing), vars(complex_numbers),
         vars(cumulative), vars(float_parts), vars(incomplete_gamma), vars(indexing), vars(joining), vars(linear),
         vars(norms), vars(operators), vars(order_statistics), vars(products), vars(reduce), vars(scattering),
         vars(shape), vars(slicing), vars(sorting), vars(special), vars(statistics), vars(strided), vars(triangular),
         vars(unary), vars(whole_numbers))
