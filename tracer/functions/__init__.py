"""torch's functions, by theme. Importing this package attaches the methods of `Tensor`.

What they share: `operands` (promotion, broadcasting), `layout`, `methods` (also in place and with `out=`), `dims`, `defaults`,
`return_types`, and `ruled` for a function with a gradient rule of its own. `indefinite`, which has no methods, comes with the
namespace `linalg`.
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
    factorizations,
    facts,
    float_parts,
    incomplete_gamma,
    indexing,
    joining,
    least_squares,
    legacy,
    linear,
    matrix_functions,
    matrix_norms,
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
    spectra,
    statistics,
    strided,
    systems,
    triangular,
    unary,
    whole_numbers,
)
from .autocast import castable

__all__ = ["activation", "angles", "arithmetic", "choosing", "comparing", "complex_numbers", "control", "conversions",
           "creation", "cumulative", "factorizations", "facts", "float_parts", "incomplete_gamma", "indexing",
           "joining", "least_squares", "legacy", "linear", "matrix_functions", "matrix_norms", "metadata", "norms",
           "operators", "order_statistics", "predicates", "products", "random", "reading", "rearranging", "reduce",
           "scattering", "searching", "shape", "slicing", "sorting", "special", "spectra", "statistics", "strided",
           "systems", "triangular", "unary", "whole_numbers"]

castable(*(vars(module) for module in (
    activation, angles, arithmetic, choosing, comparing, complex_numbers, cumulative, factorizations, float_parts,
    incomplete_gamma, indexing, joining, least_squares, linear, matrix_functions, matrix_norms, norms, operators,
    order_statistics, products, reduce, scattering, shape, slicing, sorting, special, spectra, statistics, strided, systems,
    triangular, unary, whole_numbers)))
