"""Subscripts: `x[...]` and `x[...] = value`: https://pytorch.org/docs/stable/tensor_view.html

A subscript has two stages, as in torch. Integers, slices, `...` and None make a view, in at most two steps. What is
left (integer arrays, masks, and 0-d tensors, whose value is only known when the program runs) is one gather, or one
scatter for an assignment. The result dimensions of arrays stay where the arrays were when those stand side by side,
and come first otherwise.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..errors import TraceError
from ..graph import Value
from ..lazy import host_array
from ..ops import OPS
from ..ops.elementwise import alias, compare, full_like, select
from ..ops.places import Dims, Places, windows_shape
from ..ops.structural import Ints, broadcast, concatenate, reshape
from ..scalars import Scalar
from ..state import state
from ..tensor import Tensor
from ..types import Type
from ..views import Geometry, Reshape, Slice
from .common import (
    NUMBERS,
    broadcast_shapes,
    cast_value,
    expand_value,
    method,
    number_value,
    same_shape,
    wrap,
)
from .creation import as_fresh_tensor

BAD_KIND = "tensors used as indices must be long, int, byte or bool tensors"
BAD_ITEM = "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})"
ZERO_D = ("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim "
          "tensor to a number")


class Found(NamedTuple):
    """An index that is no view: positions or a mask, from dimension `axis` of the view on."""

    axis: int
    index: Any  # a numpy array or a Tensor


class Chosen(NamedTuple):
    """Positions along one dimension of the view; `alone` for a 0-d tensor, which takes its dimension away."""

    axis: int
    value: Value
    alone: bool


# --- What stands in the brackets --------------------------------------------------------------------------------------


def _items(index: Any) -> tuple[Any, ...]:
    """The subscript as a tuple; a short list that holds sequences or slices counts as one, as in torch."""
    if isinstance(index, tuple):
        return index
    if isinstance(index, list) and len(index) < 32 and any(
            item is None or item is Ellipsis or isinstance(item, (Tensor, list, tuple, slice)) for item in index):
        return tuple(index)
    return (index,)


def _item(item: Any) -> Any:
    """One index as None, `...`, a slice, an int, a numpy array of int64 or bool, or such a Tensor."""
    if type(item) is int or item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if type(item) is Scalar:
        return _item(item.look())
    if isinstance(item, Tensor):
        return _tensor_item(item)
    if isinstance(item, (bool, np.bool_)):
        return np.asarray(item, np.bool_)
    if isinstance(item, (list, tuple, range)):
        nested = any(isinstance(x, Tensor) or type(x) is Scalar for x in item)
        return _tensor_item(as_fresh_tensor(list(item), None, "cpu")) if nested else _array_item(np.asarray(item))
    if isinstance(item, np.ndarray):
        return _array_item(item)
    if isinstance(item, np.integer):
        return int(item)
    if isinstance(item, str) or not hasattr(item, "__index__"):
        raise IndexError(BAD_ITEM.format(type(item).__name__))
    return operator.index(item)


def _tensor_item(index: Tensor) -> Tensor:
    kind = index.dtype
    if kind is dtypes.uint8:
        warnings.warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
                      UserWarning, stacklevel=2)
        return index.to(dtypes.boolean)
    if kind not in (dtypes.int64, dtypes.int32, dtypes.boolean):
        raise IndexError(BAD_KIND)
    return index


def _array_item(array: Any) -> Any:
    if array.size == 0 and array.dtype != np.bool_:
        return array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise IndexError(BAD_KIND)
    if array.dtype == np.bool_:
        return array
    return int(array) if array.ndim == 0 else array.astype(np.int64)


def is_mask(index: Any) -> bool:
    """Whether an index array is boolean."""
    return bool(index.dtype is dtypes.boolean or index.dtype == np.bool_)


def _consumed(item: Any) -> int:
    """How many dimensions an index takes."""
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, (int, slice)):
        return 1
    return item.ndim if is_mask(item) else 1


def _expanded(index: Any, ndim: int) -> list[Any]:
    """The indices with `...` written out, and slices for the dimensions behind the last."""
    items = [_item(item) for item in _items(index)]
    used = sum(map(_consumed, items))
    if used > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}" if ndim or not isinstance(items[0], int)
                         else ZERO_D)
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    rest = [item for item in items[at:] if item is not Ellipsis]
    return [*items[:at], *[slice(None)] * (ndim - used), *rest]


# --- The stage of views -----------------------------------------------------------------------------------------------


class _Basic:
    """Walks over the indices of a tensor and notes where the view lies."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.shape: Ints = x._type.shape
        geometry = x._strides
        self.stride, self.offset = geometry.stride, geometry.offset
        self.starts, self.limits, self.steps = [0] * len(self.shape), list(self.shape), [1] * len(self.shape)
        self.out_shape: list[int] = []
        self.out_stride: list[int] = []
        self.found: list[Found] = []
        self.at = 0

    def take(self, item: Any) -> None:
        """The next index."""
        if item is None:
            self.new_axis()
        elif isinstance(item, int):
            self.integer(item)
        elif isinstance(item, slice):
            self.slice(item)
        else:
            self.array(item)

    def new_axis(self) -> None:
        """None: a dimension of size 1."""
        inside = self.at < len(self.shape)
        self.out_shape.append(1)
        self.out_stride.append(self.shape[self.at] * self.stride[self.at] if inside else 1)

    def integer(self, i: int) -> None:
        """One position; the dimension goes away."""
        d, n = self.at, self.shape[self.at]
        if not -n <= i < n:
            raise IndexError(f"index {i} is out of bounds for dimension {d} with size {n}")
        self.starts[d], self.limits[d] = i % n, i % n + 1
        self.offset += (i % n) * self.stride[d]
        self.at += 1

    def slice(self, item: slice) -> None:
        """Every step-th position."""
        d = self.at
        if item.step is not None and operator.index(item.step) <= 0:
            raise ValueError("slice step cannot be zero" if operator.index(item.step) == 0 else
                             "step must be greater than zero")
        start, stop, step = item.indices(self.shape[d])
        self.starts[d], self.limits[d], self.steps[d] = start, max(start, stop), step
        self.offset += start * self.stride[d]
        self.out_shape.append(-(-(max(start, stop) - start) // step))
        self.out_stride.append(self.stride[d] * step)
        self.at += 1

    def array(self, item: Any) -> None:
        """Positions or a mask: the dimensions stay for the second stage. A 0-d mask gets one of size 1."""
        axis, count = len(self.out_shape), _consumed(item)
        if count == 0:
            self.new_axis()
            item = item.reshape(1)
        self.found.append(Found(axis, item))
        self.out_shape.extend(self.shape[self.at:self.at + count])
        self.out_stride.extend(self.stride[self.at:self.at + count])
        self.at += count

    def view(self) -> Tensor:
        """The tensor itself if arrays are to come and nothing else was asked for, else a view."""
        x, full = self.x, self.x
        if any(self.starts) or tuple(self.limits) != self.shape or any(s != 1 for s in self.steps):
            spread = tuple(s * k for s, k in zip(self.stride, self.steps))
            x = x._view(Slice(tuple(self.starts), tuple(self.limits), tuple(self.steps)), Geometry(spread, self.offset))
        if tuple(self.out_shape) != x._type.shape or (x is full and not self.found):
            x = x._view(Reshape(tuple(self.out_shape)), Geometry(tuple(self.out_stride), self.offset))
        return x


def _plan(x: Tensor, index: Any) -> tuple[Tensor, list[Found]]:
    """The view, and what remains to be looked up in it."""
    basic = _Basic(x)
    for item in _expanded(index, x.ndim):
        basic.take(item)
    return basic.view(), basic.found


@lru_cache(maxsize=4096)
def _row_steps(shape: Ints, i: int) -> tuple[Slice, Reshape]:
    rest = shape[1:]
    zeros, ones = (0,) * len(rest), (1,) * len(rest)
    return Slice((i, *zeros), (i + 1, *rest), (1, *ones)), Reshape(rest)


def _row(x: Tensor, i: int) -> Tensor:
    """x[i], the most frequent subscript."""
    shape = x._type.shape
    if not shape:
        raise IndexError(ZERO_D)
    n = shape[0]
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for dimension 0 with size {n}")
    i %= n
    geometry = x._strides
    offset = geometry.offset + i * geometry.stride[0]
    cut, squeeze = _row_steps(shape, i)
    row = x if n == 1 else x._view(cut, Geometry(geometry.stride, offset))
    return row._view(squeeze, Geometry(geometry.stride[1:], offset))


# --- The stage of arrays ----------------------------------------------------------------------------------------------


def observed_mask(mask: Any, purpose: str) -> Any:
    """A mask's contents; while tracing there are none."""
    if isinstance(mask, Tensor):
        if state.trace is not None:
            raise TraceError(f"{purpose} requires the mask's values, since its size is the number of true elements, and a "
                             "traced mask has none. Keep the size fixed instead: where(mask, x, other), x * mask, "
                             "masked_fill, masked_scatter, or a sum over where(mask, x, 0).")
        return host_array(mask._read())
    return mask


def _check_mask(mask: Any, shape: Ints, axis: int) -> None:
    for j, n in enumerate(mask.shape):
        if n != shape[axis + j]:
            raise IndexError(f"The shape of the mask {list(mask.shape)} at index {j} does not match the shape of the indexed "
                             f"tensor {list(shape)} at index {axis + j}")


def check_range(positions: Any, n: int, axis: int, lowest: int, error: type[Exception] = IndexError) -> None:
    """Raise torch's error if positions that are known lie outside of lowest to n - 1."""
    if positions.size:
        for worst in (int(positions.min()), int(positions.max())):
            if not lowest <= worst < n:
                raise error(f"index {worst} is out of bounds for dimension {axis} with size {n}")


def known(index: Tensor) -> Any:
    """The contents of an index tensor if they are at hand on the host without running anything, else None."""
    if state.trace is not None or index._base is not None:
        return None
    buffer = index._storage.value.buffer
    return buffer if isinstance(buffer, np.ndarray) else None


def wrapped(index: Any, n: int, axis: int, on: str) -> Value:
    """Positions along a dimension of size n, with negative ones counted from its end, as an int64 value."""
    if isinstance(index, Tensor):
        at_hand = known(index)
        if at_hand is not None:
            check_range(at_hand, n, axis, -n)
        value = cast_value(index._read(), dtypes.int64)
        if value.device != on:
            value = cast_value(index.to(device=on)._read(), dtypes.int64)
        return select(compare(value, full_like(value, 0), direction="LT"),
                      OPS["add"](value, full_like(value, n)), value)
    check_range(index, n, axis, -n)
    array = np.where(index < 0, index + n, index).astype(np.int64)
    return Value(Type.of(array.shape, dtypes.int64), on, array)


def _choose(view: Tensor, found: Sequence[Found], purpose: str) -> list[Chosen]:
    """Every index as positions along one dimension; a mask becomes the positions where it holds."""
    shape, on = view._type.shape, view._device
    chosen = []
    for axis, index in found:
        if is_mask(index):
            _check_mask(index, shape, axis)
            for j, positions in enumerate(np.nonzero(observed_mask(index, purpose))):
                chosen.append(Chosen(axis + j, wrapped(positions, shape[axis + j], axis + j, on), False))
        else:
            alone = isinstance(index, Tensor) and index.ndim == 0
            chosen.append(Chosen(axis, wrapped(index, shape[axis], axis, on), alone))
    return chosen


def _common_shape(chosen: Sequence[Chosen]) -> Ints:
    shapes = [c.value.type.shape for c in chosen]
    try:
        return broadcast_shapes(*shapes)
    except RuntimeError:
        text = ", ".join(str(list(s)) for s in shapes)
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together with shapes "
                         + text) from None


def _places(shape: Ints, chosen: Sequence[Chosen], unique: bool = False) -> Places:
    """Where the windows of one gather or scatter lie."""
    common = _common_shape(chosen)
    axes, rank = tuple(c.axis for c in chosen), len(common)
    lead = _lead(len(shape), chosen) if rank else 0
    count = len(shape) - len(axes)
    window = (*range(lead), *range(lead + rank, rank + count))
    vectors = [expand_value(c.value, common) for c in chosen]
    indices = vectors[0] if len(vectors) == 1 else concatenate(
        *(reshape(v, shape=(*common, 1)) for v in vectors), axis=rank)
    sizes = tuple(1 if d in axes else n for d, n in enumerate(shape))
    return Places(indices, Dims(window, axes, (), (), axes, rank), sizes, unique=unique)


def _lead(ndim: int, chosen: Sequence[Chosen]) -> int:
    """How many of the other dimensions stand before those of the arrays."""
    alone = {c.axis for c in chosen if c.alone}
    arrays = {c.axis for c in chosen if not c.alone}
    left = [d in arrays for d in range(ndim) if d not in alone]
    first, count = left.index(True), len(arrays)
    return first if all(left[first:first + count]) else 0


def _single_mask(found: Sequence[Found]) -> bool:
    return len(found) == 1 and is_mask(found[0].index)


def gathered(view: Tensor, found: Sequence[Found]) -> Tensor:
    """A copy of what the indices choose."""
    shape = view._type.shape
    places = _places(shape, _choose(view, found, "indexing with a mask"), _single_mask(found))
    result = windows_shape(places.indices.type.shape, places.sizes, places.dims)
    if any(shape[d] == 0 for d in places.dims.map):
        if math.prod(result):
            raise IndexError(f"index 0 is out of bounds for dimension {places.dims.map[0]} with size 0")
        return wrap(reshape(view._read(), shape=result))
    return wrap(places.gather(view._read()))


@method("__getitem__")
def getitem(self: Tensor, index: Any) -> Tensor:
    """`self[index]`: a view for integers, slices, `...` and None; a copy as soon as there is an array or a mask."""
    if type(index) is int:
        return _row(self, index)
    view, found = _plan(self, index)
    return gathered(view, found) if found else view


# --- Assignment -------------------------------------------------------------------------------------------------------


@method("__setitem__")
def setitem(self: Tensor, index: Any, value: Any) -> None:
    """`self[index] = value`: the value (a number or a tensor) is broadcast and converted."""
    if not isinstance(value, (Tensor, *NUMBERS)):
        raise TypeError(f"can't assign a {_type_name(value)} to a torch.{_TYPE_NAMES.get(self.dtype.name, 'Float')}Tensor")
    view, found = _plan(self, index)
    if found:
        put(view, found, value, "set")
    elif not _is_same_view(view, value):
        shape = view._type.shape
        number = not isinstance(value, Tensor)
        new = number_value(value, view.dtype, shape, view._device) if number else _spread(value, view, shape)
        view._write(alias(new))


_TYPE_NAMES = {"float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long", "int32": "Int",
               "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool", "complex64": "ComplexFloat",
               "complex128": "ComplexDouble"}


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _is_same_view(view: Tensor, value: Any) -> bool:
    """What `x[1:] += 1` ends with: the view was written already."""
    return (isinstance(value, Tensor) and value._storage is view._storage and value._base is view._base
            and value._steps == view._steps)


def _source(value: Tensor, view: Tensor, ndim: int) -> Value:
    """The value in the view's dtype and on its device, without leading ones beyond `ndim` dimensions."""
    if value.ndim == 0 and value._device != view._device:
        value = value.to(device=view.device)
    read = cast_value(value._read(), view.dtype)
    shape = read.type.shape
    extra = max(len(shape) - ndim, 0)
    return reshape(read, shape=shape[extra:]) if extra and all(n == 1 for n in shape[:extra]) else read


def _fits(shape: Ints, target: Ints) -> bool:
    return len(shape) <= len(target) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(target)))


def _spread(value: Tensor, view: Tensor, shape: Ints) -> Value:
    read = _source(value, view, len(shape))
    given = read.type.shape
    if _fits(given, shape):
        return expand_value(read, shape)
    if len(given) > len(shape):
        raise RuntimeError(f"expand(torch.{_TYPE_NAMES.get(value.dtype.name, 'Float')}Tensor{{{list(given)}}}, "
                           f"size={list(shape)}): the number of sizes provided ({len(shape)}) must be greater or equal to the "
                           f"number of dimensions in the tensor ({len(given)})")
    wrong = max(d for d in range(len(given)) if given[d] not in (1, shape[d + len(shape) - len(given)]))
    at = wrong + len(shape) - len(given)
    raise RuntimeError(f"The expanded size of the tensor ({shape[at]}) must match the existing size ({given[wrong]}) at "
                       f"non-singleton dimension {at}.  Target sizes: {list(shape)}.  Tensor sizes: {list(given)}")


def put(view: Tensor, found: Sequence[Found], value: Any, combiner: str) -> None:
    """Write a number or a tensor where the indices point."""
    if combiner == "set" and _single_mask(found) and _put_where(view, found[0], value):
        return
    shape = view._type.shape
    places = _places(shape, _choose(view, found, "assigning a tensor of as many elements as a mask holds"),
                     _single_mask(found))
    result = windows_shape(places.indices.type.shape, places.sizes, places.dims)
    if isinstance(value, Tensor):
        updates = _source(value, view, len(result))
        if not _fits(updates.type.shape, result):
            raise RuntimeError(f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing "
                               f"result of shape {list(result)}")
        updates = expand_value(updates, result)
    else:
        updates = number_value(value, view.dtype, result, view._device)
    if math.prod(shape) and math.prod(result):
        view._write(places.scatter(view._read(), updates, combiner))


def _put_where(view: Tensor, found: Found, value: Any) -> bool:
    """Assign through one mask without looking at it, if the value is the same for all elements that it chooses."""
    shape, (axis, mask) = view._type.shape, found
    _check_mask(mask, shape, axis)
    behind = len(shape) - axis - mask.ndim
    if isinstance(value, Tensor):
        new = _source(value, view, len(shape) - mask.ndim + 1)
        given = new.type.shape
        if len(given) > behind:
            at = len(given) - behind - 1
            if given[at] != 1:
                return False
            new = reshape(new, shape=(*given[:at], *(1,) * mask.ndim, *given[at + 1:]))
        if not _fits(new.type.shape, shape):
            return False
        new = expand_value(new, shape)
    else:
        new = number_value(value, view.dtype, shape, view._device)
    test = broadcast(mask_value(mask, view._device), shape=shape, dims=tuple(range(axis, axis + mask.ndim)))
    view._write(select(test, new, view._read()))
    return True


def mask_value(mask: Any, on: str) -> Value:
    """A mask given as a tensor or as a numpy array."""
    if isinstance(mask, Tensor):
        return mask._read() if mask._device == on else mask.to(device=on)._read()
    return Value(Type.of(mask.shape, dtypes.boolean), on, np.array(mask))


@method()
def index_put_(self: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """`self[indices] = values`, or `+=` with repeated positions all counted; None stands for a whole dimension."""
    if values.dtype is not self.dtype:
        names = [_TYPE_NAMES.get(d.name, "Float") for d in (self.dtype, values.dtype)]
        raise RuntimeError(f"Index put requires the source and destination dtypes match, got {names[0]} for the destination "
                           f"and {names[1]} for the source.")
    view, found = _plan(self, tuple(slice(None) if i is None else i for i in indices))
    put(view, found, values, "add" if accumulate else "set")
    return self


@method()
def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of the input after `index_put_`."""
    return index_put_(wrap(alias(input._read())), indices, values, accumulate)


def one_dimension(value: Value) -> Value:
    """A 0-d value as a vector of one element."""
    return same_shape(value, (1,)) if value.type.ndim == 0 else value
