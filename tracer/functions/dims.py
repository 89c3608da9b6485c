"""Arguments that name dimensions and sizes."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ops.structural import Ints
from ..tensor.scalar import Scalar, plain, real
from ..tensor.tensor import Tensor


def whole_number(x: Any, name: str, function: str = "", position: int = 0) -> int:
    """An argument that is to be a whole number, numpy's and 0-d integer tensors among them; torch's TypeError for others.

    That names the function and the position of the argument in it, where they are told.
    """
    if type(x) is int:
        return x
    if not isinstance(x, (bool, np.bool_)) and not (isinstance(x, Tensor) and (x.ndim or x.dtype is dtypes.boolean)):
        try:
            return int(operator.index(x))
        except TypeError:
            pass
    of, at = f"{function}(): " * bool(function), f" (position {position})" * bool(position)
    raise TypeError(f"{of}argument '{name}'{at} must be int, not {class_name(x)}")


def class_name(x: Any) -> str:
    """The class as torch's errors call it: of numpy's with the module."""
    return f"numpy.{type(x).__name__}" if isinstance(x, (np.generic, np.ndarray)) else type(x).__name__


def whole_place(x: Any, name: str, function: str = "") -> Any:
    """`whole_number` where a number of the traced function may stay what it is: an input of the program."""
    number = plain(x) if type(x) is Scalar else x
    return number if type(number) is Scalar and number.kind() is int else whole_number(x, name, function)


def real_number(x: Any, name: str) -> Any:
    """`real(x)`; torch's TypeError for text that a number is written in."""
    if isinstance(x, str):
        raise TypeError(f"argument '{name}' must be Number, not {type(x).__name__}")
    return real(x)


def is_whole(x: Any) -> bool:
    """Whether an argument of one or several whole numbers is one of them."""
    return isinstance(x, (int, np.integer)) or (isinstance(x, Tensor) and x.ndim == 0)


def whole_numbers(x: Any, name: str) -> Ints:
    """An argument of one or several whole numbers as a tuple of ints; as in torch, a bool passes for one unless it is first."""
    return whole_list(x, name) if type(x) in (tuple, list) or not is_whole(x) else (whole_number(x, name),)


def whole_list(x: Any, name: str) -> Ints:
    """An argument of several whole numbers as a tuple of ints."""
    if type(x) is not tuple and type(x) is not list:
        if is_whole(x) or isinstance(x, str) or not isinstance(x, Iterable):
            raise TypeError(f"argument '{name}' must be tuple of ints, not {type(x).__name__}")
        x = tuple(x)
    return _all_whole(x, name)


def _all_whole(given: Sequence[Any], name: str) -> Ints:
    """Several whole numbers as ints; torch's TypeError for the first that is none."""
    for n in given:
        if type(n) is not int:
            break
    else:
        return tuple(given)
    if isinstance(given[0], (bool, np.bool_)):
        raise TypeError(f"argument '{name}' must be tuple of ints, but found element of type "
                        f"{type(given[0]).__name__} at pos 0")
    try:
        return tuple(int(operator.index(n)) for n in given)
    except TypeError:
        return _refused_sizes(given, name)


def per_dimension(x: Any, rank: int, name: str) -> Ints:
    """A whole number for each of `rank` dimensions, where one, or one in a sequence, stands for all."""
    if type(x) is int:
        return (x,) * rank
    sizes = whole_numbers(x, name)
    return sizes * rank if len(sizes) == 1 else sizes


def checked_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front; torch's IndexError when it is out of range."""
    if type(dim) is not int:
        dim = whole_number(dim, "dim")
    bound = ndim or 1
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return dim % bound


def checked_dims(dims: int | Sequence[int] | None, ndim: int) -> Ints:
    """Several dimensions, all of them for None; RuntimeError when one comes twice."""
    if dims is None:
        return tuple(range(ndim))
    chosen = tuple(checked_dim(d, ndim) for d in ((dims,) if type(dims) is int else whole_numbers(dims, "dim")))
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
    elif len(sizes) == 1 and type(sizes[0]) is not int and not is_whole(sizes[0]) and not isinstance(sizes[0], (Scalar, Tensor)):
        if isinstance(sizes[0], str) or not isinstance(sizes[0], Iterable):
            raise TypeError(f"argument '{name}' (position 1) must be tuple of ints, not {type(sizes[0]).__name__}")
        sizes = tuple(sizes[0])
    return _all_whole(sizes, name)


def _refused_sizes(sizes: Sequence[Any], name: str) -> Ints:
    """torch's TypeError for the first of the sizes that is no integer."""
    for i, n in enumerate(sizes):
        if not hasattr(n, "__index__"):
            raise TypeError(f"argument '{name}' failed to unpack the object at pos {i + 1} with error \"type must be tuple of "
                            f"ints,but got {type(n).__name__}\"") from None
    raise
