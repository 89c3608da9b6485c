"""Arguments that name dimensions and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..ops.structural import Ints
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor


def checked_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front; torch's IndexError when it is out of range."""
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return int(dim) % bound


def checked_dims(dims: int | Sequence[int] | None, ndim: int) -> Ints:
    """Several dimensions, all of them for None; RuntimeError when one comes twice."""
    if dims is None:
        return tuple(range(ndim))
    chosen = tuple(checked_dim(d, ndim) for d in ((dims,) if isinstance(dims, int) else dims))
    for d in chosen:
        if chosen.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return chosen


def shape_argument(sizes: Sequence[Any], named: Any = None, name: str = "size") -> Ints:
    """Sizes given one by one, or as one sequence, or as one sequence by its name, as a tuple of ints."""
    if named is not None:
        if len(sizes):
            raise TypeError(f"got multiple values for argument '{name}'")
        if not isinstance(named, Iterable) or isinstance(named, str):
            raise TypeError(f"argument '{name}' must be tuple of ints, not {type(named).__name__}")
        return tuple(int(n) for n in named)
    if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer, Scalar)) and not isinstance(sizes[0], Tensor):
        sizes = tuple(sizes[0])
    return tuple(int(n) for n in sizes)
