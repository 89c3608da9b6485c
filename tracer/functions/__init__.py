"""torch's functions, by theme. Importing this package attaches the methods of `Tensor`."""

from . import arithmetic, creation, linear, random, reduce, shape

__all__ = ["arithmetic", "creation", "linear", "random", "reduce", "shape"]
