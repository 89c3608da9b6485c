"""Arguments that name dimensions and sizes."""

from __future__ import annotations

import operator
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


def check_keepdim(name: str, keepdim: Any, dim: Any = (), position: int = 2) -> None:
    """torch's TypeError where `keepdim` is no bool, or where there is no `dim` (None) that it goes with."""
    if not isinstance(keepdim, (bool, np.bool_)):
        raise TypeError(f"{name}(): argument 'keepdim' (position {position}) must be bool, not {type(keepdim).__name__}")
    if dim is None:
        raise TypeError(f"{name}() received an invalid combination of arguments - got (keepdim=bool, ), but expected one of:\n"
                        " * no arguments\n * a dim, with or without keepdim")


def shape_argument(sizes: Sequence[Any], named: Any = None, name: str = "size") -> Ints:
    """Sizes given one by one, or as one sequence, or as one sequence by its name, as a tuple of ints."""
    if named is not None:
        if len(sizes):
            raise TypeError(f"got multiple values for argument '{name}'")
        if not isinstance(named, Iterable) or isinstance(named, str):
            raise TypeError(f"argument '{name}' must be tuple of ints, not {type(named).__name__}")
        sizes = tuple(named)
    elif len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer, Scalar)) and not isinstance(sizes[0], Tensor):
        if isinstance(sizes[0], str) or not isinstance(sizes[0], Iterable):
            raise TypeError(f"argument '{name}' (position 1) must be tuple of ints, not {type(sizes[0]).__name__}")
        sizes = tuple(sizes[0])
    try:
        return tuple(map(operator.index, sizes))
    except TypeError:
        return _refused_sizes(sizes, name)


def _refused_sizes(sizes: Sequence[Any], name: str) -> Ints:
    """torch's TypeError for the first of the sizes that is no integer."""
    for i, n in enumerate(sizes):
        if not hasattr(n, "__index__"):
            raise TypeError(f"argument '{name}' failed to unpack the object at pos {i + 1} with error \"type must be tuple of "
                            f"ints,but got {type(n).__name__}\"") from None
    raise
