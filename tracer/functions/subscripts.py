"""What stands between the brackets of `x[...]`, and the part of it that is a view.

Integers, slices, `...` and None make a view, in at most two steps; a 0-d integer tensor makes one too, at a place that
is only known when the program runs. Arrays of positions and masks are left to `indexing`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..ir import dtypes
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.told import tell
from ..ir.types import Type
from ..lazy.flush import host_array
from ..ops.structural import Ints
from ..tensor.context import context
from ..tensor.operations import WHOLE, Operation
from ..tensor.scalar import Scalar, on_host, plain
from ..tensor.steps import Reshape, Slice
from ..tensor.strides import Geometry
from ..tensor.tensor import Tensor
from .checks import check_range
from .comparing import ne
from .creation import as_fresh_tensor
from .host_arrays import check_places
from .operands import from_front, same_shape, wrap
from .shape import squeezed
from .slicing import block, windowed

BAD_KIND = "tensors used as indices must be long, int, byte or bool tensors"
BAD_ITEM = "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})"
ZERO_D = ("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
          "0-dim tensor to a number")


class Found(NamedTuple):
    """An index that is no view: positions or a mask, from dimension `axis` of the view on."""

    axis: int
    index: Any  # a numpy array or a Tensor


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
        number = plain(item)
        return number if number.kind() is int else _item(number.look())
    if isinstance(item, Tensor):
        return _tensor_item(item)
    if isinstance(item, (bool, np.bool_)):
        return np.asarray(item, np.bool_)
    if isinstance(item, (list, tuple, range)):
        nested = any(isinstance(x, Tensor) or type(x) is Scalar for x in item)
        return _tensor_item(as_fresh_tensor(list(item), None, "cpu")) if nested else _array_item(np.asarray(item))
    if isinstance(item, np.ndarray):
        check_places(item)
        return _array_item(item)
    if isinstance(item, np.integer):
        return int(item)
    if isinstance(item, (str, bytes)):  # torch takes text for a sequence of positions
        raise TypeError(f"new(): invalid data type '{type(item).__name__}'")
    if not hasattr(item, "__index__"):
        raise IndexError(BAD_ITEM.format(type(item).__name__))
    return operator.index(item)


def _tensor_item(index: Tensor) -> Tensor:
    kind = index.dtype
    if kind is dtypes.uint8:
        tell("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.")
        mask: Tensor = ne(index, 0)
        return mask
    if kind not in (dtypes.int64, dtypes.int32, dtypes.boolean):
        raise IndexError(BAD_KIND)
    return index


def _array_item(array: Any) -> Any:
    if array.size == 0 and array.dtype != np.bool_:
        return array.astype(np.int64)
    if array.dtype.kind in "US":
        raise TypeError(f"new(): invalid data type '{'str' if array.dtype.kind == 'U' else 'bytes'}'")
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


def _expanded(index: Any, ndim: int) -> Iterator[tuple[Any, int]]:
    """The indices with `...` written out, and slices for the dimensions behind the last; each with its place among those given.
    """
    given = _items(index)
    try:
        items = [_item(item) for item in given]
    except TypeError:
        if sum(not (x is None or x is Ellipsis or isinstance(x, bool)) for x in given) > ndim:  # this is seen first
            raise IndexError(f"too many indices for tensor of dimension {ndim}") from None
        raise
    used = sum(map(_consumed, items))
    if used > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}" if ndim or not isinstance(items[0], int)
                         else ZERO_D)
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    rest = [item for item in items[at:] if item is not Ellipsis]
    places = (*range(at), *[at] * (ndim - used), *range(at + 1, len(items)))
    return zip([*items[:at], *[slice(None)] * (ndim - used), *rest], places)


# --- Where an index points, known or computed at each call ---------------------------------------------------------------


def _position(i: int, d: int, n: int) -> int:
    """An integer counted from the front."""
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for dimension {d} with size {n}")
    return i % n


def _first(start: Any, stop: Any, step: int, n: int) -> int:
    """Where a slice of n elements begins."""
    return slice(start, stop, step).indices(n)[0]


def _length(start: Any, stop: Any, step: int, n: int) -> int:
    """How many elements a slice of n has."""
    return len(range(*slice(start, stop, step).indices(n)))


_POSITION = Operation(_position, "position", WHOLE)
_FIRST, _LENGTH = Operation(_first, "start of slice", WHOLE), Operation(_length, "length of slice", WHOLE)


# --- The stage of views -----------------------------------------------------------------------------------------------


class _Basic:
    """Walks over the indices of a tensor and notes where the view lies."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.shape: Ints = x._type.shape
        geometry = x._strides
        self.stride, self.offset = geometry.stride, geometry.offset
        self.starts: list[Any] = [0] * len(self.shape)
        self.spans, self.steps = list(self.shape), [1] * len(self.shape)
        self.out_shape: list[int] = []
        self.out_stride: list[int] = []
        self.found: list[Found] = []
        self.at = 0

    def take(self, item: Any, place: int) -> None:
        """The next index, and where it stands among those given."""
        if item is None:
            self.new_axis()
        elif isinstance(item, int):
            self.integer(item, place)
        elif isinstance(item, slice):
            self.slice(item)
        else:
            self.array(item)

    def new_axis(self) -> None:
        """None: a dimension of size 1."""
        inside = self.at < len(self.shape)
        self.out_shape.append(1)
        self.out_stride.append(self.shape[self.at] * self.stride[self.at] if inside else 1)

    def integer(self, i: int, place: int) -> None:
        """One position; the dimension goes away. In torch's error `place` is the dimension."""
        d = self.at
        self.starts[d], self.spans[d] = on_host(_POSITION, i, place, self.shape[d]), 1
        self.offset += self.starts[d] * self.stride[d]
        self.at += 1

    def slice(self, item: slice) -> None:
        """Every step-th position."""
        d = self.at
        if item.step is not None and operator.index(item.step) <= 0:
            raise ValueError("slice step cannot be zero" if operator.index(item.step) == 0 else
                             "step must be greater than zero")
        step, n = 1 if item.step is None else operator.index(item.step), self.shape[d]
        start, count = on_host(_FIRST, item.start, item.stop, step, n), on_host(_LENGTH, item.start, item.stop, step, n)
        count = operator.index(count)
        self.spans[d], self.steps[d] = (count - 1) * step + 1 if count else 0, step
        self.starts[d] = start if 0 < self.spans[d] < n else 0
        self.offset += start * self.stride[d]
        self.out_shape.append(count)
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
        if tuple(self.spans) != self.shape or any(s != 1 for s in self.steps):
            starts = self.starts
            if any(type(a) is Scalar for a in starts):
                x, starts = windowed(x, starts, tuple(self.spans), self.offset), [0] * len(starts)
            if x is full or any(s != 1 for s in self.steps):
                limits = tuple(a + n for a, n in zip(starts, self.spans))
                spread = tuple(s * k for s, k in zip(self.stride, self.steps))
                x = x._view(Slice(tuple(starts), limits, tuple(self.steps)), Geometry(spread, self.offset))
        shape, stride = tuple(self.out_shape), tuple(self.out_stride)
        if shape != x._type.shape or (x is full and not self.found) or stride != x._strides.stride:
            x = x._view(Reshape(shape), Geometry(stride, self.offset))
        return x


def plan(x: Tensor, index: Any) -> tuple[Tensor, list[Found]]:
    """The view, and what remains to be looked up in it."""
    basic = _Basic(x)
    for item, place in _expanded(index, x.ndim):
        basic.take(item, place)
    view, found = basic.view(), basic.found
    if found and all(is_alone(f.index) for f in found):
        for axis, position in reversed(found):
            view = _selected(view, axis, position)
        return view, []
    return view, found


def is_alone(index: Any) -> bool:
    return isinstance(index, Tensor) and index.ndim == 0


def _selected(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """The view at a computed position of a dimension, which goes away."""
    n = x._type.shape[axis]
    if n == 0:
        raise IndexError(f"index 0 is out of bounds for dimension {axis} with size 0")
    return squeezed(block(x, axis, wrap(wrapped(index, n, axis, x._device)), 1), (axis,))


# --- Positions --------------------------------------------------------------------------------------------------------


def check_positions(op: str, index: Tensor, n: int, axis: int, lowest: int, error: type[Exception] = IndexError) -> None:
    """torch's error for positions outside of lowest to n - 1."""
    check_range(op, index, lowest, n, error, f"index {{value}} is out of bounds for dimension {axis} with size {n}")


def _check_array(positions: Any, n: int, axis: int) -> None:
    if positions.size:
        for worst in (int(positions.min()), int(positions.max())):
            if not -n <= worst < n:
                raise IndexError(f"index {worst} is out of bounds for dimension {axis} with size {n}")


def wrapped(index: Any, n: int, axis: int, on: str) -> Value:
    """Positions along a dimension of size n, with negative ones counted from its end, as an int64 value."""
    if isinstance(index, Tensor):
        check_positions("index", index, n, axis, -n)
        return from_front(index, n, on)
    _check_array(index, n, axis)
    array = np.where(index < 0, index + n, index).astype(np.int64)
    return wrap(Value(Type.of(array.shape, dtypes.int64), on, array))._read()  # in a trace: an input


# --- Masks ------------------------------------------------------------------------------------------------------------


def mask_refusal(purpose: str) -> str:
    """What to say of a traced mask whose values are needed."""
    return (f"{purpose} requires the mask's values, since its size is the number of true elements, and a traced mask has none. "
            "Keep the size fixed instead: masked_select(x, mask, size=n), x[nonzero(mask, size=n, fill_value=0, "
            "as_tuple=True)], where(mask, x, other), x * mask, masked_fill, masked_scatter, or a sum over where(mask, x, 0); "
            "x[mask] = y[mask] works, and x[mask] += y with a y for all elements alike; else write x = where(mask, x + y, x).")


def observed_mask(mask: Any, purpose: str) -> Any:
    """A mask's contents; while tracing there are none, but of one that is the same at every call."""
    if isinstance(mask, Tensor):
        if not has_contents_now(mask, looking=True):
            raise TraceError(mask_refusal(purpose))
        return host_array(mask._read())
    return mask


def has_contents_now(x: Tensor, looking: bool = False) -> bool:
    """Whether a tensor is more than a stand-in here: outside of traces, or made of nothing but constants.

    With `looking` numbers may be among these; a trace then depends on them.
    """
    return context.trace is None or context.trace.known(x._read(), looking) is not None


def mask_value(mask: Any, on: str) -> Value:
    """A mask given as a tensor or as a numpy array."""
    if isinstance(mask, Tensor):
        return mask._read() if mask._device == on else mask.to(device=on)._read()
    return wrap(Value(Type.of(mask.shape, dtypes.boolean), on, np.array(mask)))._read()


def one_dimension(value: Value) -> Value:
    """A 0-d value as a vector of one element."""
    return same_shape(value, (1,)) if value.type.ndim == 0 else value
