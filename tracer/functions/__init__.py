"""torch's functions, by theme. Importing this package attaches the methods of `Tensor`."""

from . import arithmetic, control, creation, indexing, linear, random, reduce, scattering, searching, shape, sorting, triangular

__all__ = ["arithmetic", "control", "creation", "indexing", "linear", "random", "reduce", "scattering", "searching",
           "shape", "sorting", "triangular"]
