"""Results whose size depends on values, in a size that is said beforehand: so they work inside traced functions.

What there is too much of is left out, and what is missing is filled up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.graph import Value
from ..ir.types import Type
from ..ops.elementwise import select
from ..ops.sorting import sort
from ..ops.structural import iota
from ..tensor.tensor import Tensor
from .arithmetic import floor_divide, remainder
from .choosing import clamp, where
from .comparing import ge, ne
from .dims import whole_number, whole_place
from .joining import cat, stack
from .methods import method, with_out
from .operands import number_value, same_shape, wrap


def checked_size(name: str, size: Any) -> int:
    """A size as an int; RuntimeError if it is negative."""
    size = whole_number(size, "size", name)
    if size < 0:
        raise RuntimeError(f"{name}: 'size' must be an non-negative integer")
    return size


def first_places(flags: Value, size: int) -> Tensor:
    """Where the first `size` true elements of a vector are, in order; its length where there are no more."""
    count, on = flags.type.size, flags.device
    places = iota.on(on, shape=(count,), axis=0, dtype=dtypes.int64)
    behind = number_value(count, dtypes.int64, (count,), on)
    ordered = wrap(sort(select(flags, places, behind), axis=0, descending=False, keys=1)[0])
    if size <= count:
        return ordered[:size]
    return cat([ordered, wrap(number_value(count, dtypes.int64, (size - count,), on))])


def chosen(x: Tensor, places: Tensor, fill_value: Any) -> Tensor:
    """The elements of a vector at `places`, `fill_value` beyond its end."""
    count = x.numel()
    if count == 0:
        return wrap(number_value(fill_value, x.dtype, places._type.shape, x._device))
    return where(ge(places, count), fill_value, x[clamp(places, max=count - 1)]).to(x.dtype)


@method()
@with_out
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The positions of the first `size` elements that are not zero: int64 [size, ndim]; rows of `fill_value` beyond.

    >>> import flambeau as torch
    >>> torch.nonzero_static(torch.tensor([0, 5, 0, 7]), size=3)
    tensor([[ 1],
            [ 3],
            [-1]])
    """
    size, fill_value = checked_size("nonzero_static", size), whole_place(fill_value, "fill_value", "nonzero_static")
    count, shape = input.numel(), input._type.shape
    if not shape:
        return wrap(Value(Type.of((size, 0), dtypes.int64), input._device, np.zeros((size, 0), np.int64)))
    places = first_places(same_shape(ne(input, 0)._read(), (count,)), size)
    columns = []
    for i, n in enumerate(shape):
        behind = int(np.prod(shape[i + 1:], dtype=np.int64))
        columns.append(remainder(floor_divide(places, max(behind, 1)), max(n, 1)))
    return where(ge(places, count).unsqueeze(1), fill_value, stack(columns, 1))


def unique_static(input: Tensor, size: int, fill_value: Any, return_inverse: bool, return_counts: bool) -> Any:
    """`unique` in a fixed size: the smallest `size` distinct elements; the inverse of what is left out is beyond it."""
    size = checked_size("unique", size)
    count, on = input.numel(), input._device
    numbers = iota.on(on, shape=(count,), axis=0, dtype=dtypes.int64)
    values, origin = sort(same_shape(input.detach()._read(), (count,)), numbers, axis=0, descending=False, keys=1)
    ordered = wrap(values)
    fresh = cat([wrap(number_value(True, dtypes.boolean, (min(count, 1),), on)), ne(ordered[1:], ordered[:-1])])
    starts = first_places(fresh._read(), size + 1)
    results = [chosen(ordered, starts[:-1], fill_value)]
    if return_inverse:
        group = fresh.to(dtypes.int64).cumsum(0) - 1
        inverse = sort(origin, group._read(), axis=0, descending=False, keys=1)[1]
        results.append(wrap(same_shape(inverse, input._type.shape)))
    if return_counts:
        results.append(starts[1:] - starts[:-1])
    return tuple(results) if len(results) > 1 else results[0]
