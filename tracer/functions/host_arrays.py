"""Numbers, sequences of them and arrays of numpy's as an array of the type that torch would infer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import chain
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from .defaults import Defaults
from .operands import NUMBERS, number_dtype
from .precision import holds

_OF_NUMPY = (np.ndarray, np.generic)
_OF_PYTHON = {"b": False, "i": 0, "u": 0, "c": 0j}  # a number like those of an array, by numpy's kind; others are floats
PLAIN = frozenset({bool, int, float, complex})  # most lists hold nothing else: that is soon seen


def to_array(data: Any, kind: dtype | None) -> np.ndarray[Any, Any]:
    """`data` copied to a numpy array of the type torch would infer: Python floats are the default dtype."""
    if isinstance(data, _OF_NUMPY):
        own = dtypes.from_numpy(data.dtype)
        check_places(np.asarray(data))
        return np.array(data, (kind or own).numpy)
    if kind is not None and kind.category == dtypes.INTEGRAL:
        return _checked_integers(data, kind)
    array = _numbers(data)
    if kind is None:
        _check_long(array)
    elif kind.is_floating_point and _is_long(array):
        array = array.astype(np.float64)
    if kind is None:
        kinds = [number_dtype(x()) if isinstance(x, type) else x for x in dict.fromkeys(_kinds(data))]
        kind = reduce(dtypes.promote_types, kinds or [Defaults.dtype])
    if array.dtype.kind == "c" and not kind.is_complex and kind is not dtypes.boolean:
        raise TypeError("must be real number, not complex")
    return array.astype(kind.numpy, copy=False)


def _kinds(data: Any) -> Iterator[dtype | type]:
    """The kinds of what data holds, which promote each other: dtypes of numpy's numbers, types of Python's."""
    if isinstance(data, (list, tuple)):
        types = {*map(type, data)}
        yield from types if types <= PLAIN else chain.from_iterable(map(_kinds, data))
    elif isinstance(data, _OF_NUMPY):
        yield dtypes.from_numpy(data.dtype)
    else:
        array = np.asarray(data)
        yield number_dtype(_OF_PYTHON.get(array.dtype.kind, 0.0)) if array.size else Defaults.dtype


def _numbers(data: Any) -> np.ndarray[Any, Any]:
    """An array of numbers; torch's error where there are none, or sequences of several lengths."""
    try:
        array = np.array(data)
    except ValueError:
        raise _ill_formed(data) from None
    sort = array.dtype.kind
    if sort == "f" and array.size and _all_ints(data):
        return np.array(data, dtype=object)  # some beyond int64, which numpy makes floats of beside others
    if sort == "O" and any(type(x) is float for x in array.flat) and {*map(type, array.flat)} <= {int, float, bool}:
        return array.astype(np.float64)  # with an int that numpy's do not hold
    if sort in "SUV" or (sort == "O" and not _is_long(array)):
        raise _ill_formed(data)
    return array


def _all_ints(data: Any) -> bool:
    return all(map(_all_ints, data)) if isinstance(data, (list, tuple)) else type(data) is int


def _ill_formed(data: Any) -> Exception:
    """What torch says of data that no tensor is made of: sizes are those of the first items, then types are looked at."""
    sizes, first = [], data
    while isinstance(first, Sequence) and not isinstance(first, str):
        sizes.append(len(first))
        first = first[0] if len(first) else None
    if sizes and isinstance(first, str):
        return ValueError("too many dimensions 'str'")
    return _no_number(data) or _uneven(data, sizes, 0) or ValueError(f"expected numbers, got {data!r:.80}")


def _no_number(x: Any) -> Exception | None:
    if isinstance(x, (str, bytes)):
        return TypeError(f"new(): invalid data type '{type(x).__name__}'")
    if isinstance(x, (Sequence, np.ndarray)):
        return next(filter(None, map(_no_number, x)), None)
    return None if isinstance(x, NUMBERS) else RuntimeError(f"Could not infer dtype of {type(x).__name__}")


def _uneven(x: Any, sizes: Sequence[int], dim: int) -> Exception | None:
    if dim == len(sizes):
        return TypeError(f"must be real number, not {type(x).__name__}") if isinstance(x, Sequence) else None
    if not isinstance(x, Sequence):
        return TypeError("not a sequence")
    if len(x) != sizes[dim]:
        return ValueError(f"expected sequence of length {sizes[dim]} at dim {dim} (got {len(x)})")
    return next(filter(None, (_uneven(item, sizes, dim + 1) for item in x)), None)


def _checked_integers(data: Any, kind: dtype) -> np.ndarray[Any, Any]:
    array = _numbers(data)
    if array.dtype.kind == "c":
        raise TypeError("'complex' object cannot be interpreted as an integer")
    if kind is not dtypes.uint64:
        _check_long(array)
    if array.size and array.dtype.kind in "iuf" and not holds(kind, array.min().item(), array.max().item()):
        raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
    return array.astype(kind.numpy)


def _check_long(array: np.ndarray[Any, Any]) -> None:
    """torch's ValueError for Python integers that are no int64."""
    if _is_long(array) and not -2**63 <= min(array.flat) <= max(array.flat) < 2**63:
        raise ValueError("Overflow when unpacking long long")


def _is_long(array: np.ndarray[Any, Any]) -> bool:
    """Whether these are Python integers of which one at least is too large for numpy's int64."""
    return (array.dtype.kind in "Ou" and array.size > 0 and array.dtype in (object, np.uint64)
            and all(isinstance(x, int) for x in array.ravel().tolist()))


def check_places(array: np.ndarray[Any, Any]) -> None:
    """torch's ValueErrors for numbers that lie backwards, between places or in another byte order: they must be copied.

    Who does so should know. It is asked of each sample of a data set, so in the fewest steps.
    """
    width = array.itemsize or 1  # of text without a character
    for stride in array.strides:
        if stride % width:
            raise ValueError("given numpy array strides not a multiple of the element byte size. Copy the numpy array to "
                             "reallocate the memory.")
        if stride < 0:
            raise ValueError("At least one stride in the given numpy array is negative, and tensors with negative strides are "
                             "not currently supported. (You can probably work around this by making a copy of your array  "
                             "with array.copy().) ")
    if not array.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion between byte orders "
                         "is currently not supported.")
