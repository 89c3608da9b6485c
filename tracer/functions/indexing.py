"""Subscripts: `x[...]` and `x[...] = value`: https://pytorch.org/docs/stable/tensor_view.html

A subscript has two stages, as in torch. What can be a view is one (`subscripts.plan`). What is left (arrays of
positions, and masks) is one gather, or one scatter for an assignment. The result dimensions of arrays stay where the
arrays were when those stand side by side, and come first otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.source import describe, user_position
from ..ir.types import Type
from ..ops.elementwise import alias, select
from ..ops.places import Dims, Places, windows_shape
from ..ops.structural import Ints, broadcast, concatenate, reshape
from ..tensor.steps import Reshape, Slice
from ..tensor.strides import Geometry, contiguous_stride, dense_stride, passed_on
from ..tensor.tensor import Tensor
from .fits import check_fits
from .layout import as_input, lies
from .masked_reads import MaskedRead, is_through, masked_read
from .methods import method
from .operands import NUMBERS, broadcast_shapes, cast_value, expand_value, number_value, scalar_name, wrap
from .precision import fitting, is_half, overflow
from .subscripts import ZERO_D, Found, has_contents_now, is_alone, is_mask, mask_refusal, mask_value, observed_mask, plan, wrapped


class _Chosen(NamedTuple):
    """Positions along one dimension of the view; `alone` for a 0-d tensor, which takes its dimension away."""

    axis: int
    value: Value
    alone: bool


@lru_cache(maxsize=1024)
def _row_form(kind: Type) -> tuple[Type, Reshape, Ints, Ints, Ints, int]:
    """Of all rows of a type of tensor: their type, the step that ends them, and their slice but for its place; and the strides
    within a row and from one to the next, in row-major order."""
    rest, stride = kind.shape[1:], contiguous_stride(kind.shape)
    return Type.of(rest, kind.dtype), Reshape(rest), (0,) * len(rest), (1,) * kind.ndim, stride[1:], stride[0]


def _row(x: Tensor, i: int) -> Tensor:
    """x[i], the most frequent subscript."""
    shape = x._type.shape
    if not shape:
        raise IndexError(ZERO_D)
    n = shape[0]
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for dimension 0 with size {n}")
    if i < 0:
        i += n
    kind, squeeze, zeros, ones, within, apart = _row_form(x._type)
    offset, geometry = 0, x._geometry
    if geometry is not None:
        within, apart, offset = geometry.stride[1:], geometry.stride[0], geometry.offset
    steps = (squeeze,) if n == 1 else (Slice((i, *zeros), (i + 1, *squeeze.shape), ones), squeeze)
    return x._viewed(steps, Geometry(within, offset + i * apart), kind)


# --- The stage of arrays ----------------------------------------------------------------------------------------------


def _check_mask(mask: Any, shape: Ints, axis: int) -> None:
    for j, n in enumerate(mask.shape):
        if n != shape[axis + j]:
            raise IndexError(f"The shape of the mask {list(mask.shape)} at index {j} does not match the shape of the "
                             f"indexed tensor {list(shape)} at index {axis + j}")


def _choose(view: Tensor, found: Sequence[Found], purpose: str) -> list[_Chosen]:
    """Every index as positions along one dimension; a mask becomes the positions where it holds.

    As in torch, arrays are looked at only where something is chosen: `zeros(2, 0)[[7]]` has nothing of it.
    """
    shape, on = view._type.shape, view._device
    given: list[tuple[int, Any, int]] = []  # the dimension, positions, and how torch counts in its errors: arrays by themselves
    for axis, index in found:
        if is_mask(index):
            _check_mask(index, shape, axis)
            given += [(axis + j, p, axis + j) for j, p in enumerate(np.nonzero(observed_mask(index, purpose)))]
        else:
            given.append((axis, index, axis if is_alone(index) else sum(not is_alone(x) for _, x, _ in given)))
    axes = {axis for axis, _, _ in given}
    empty = any(0 in index.shape for _, index, _ in given)
    if not empty and any(shape[axis] == 0 for axis, index, _ in given if not is_alone(index)):
        raise IndexError("index is out of bounds for dimension with size 0")
    nothing = empty or any(n == 0 for d, n in enumerate(shape) if d not in axes)
    return [_Chosen(axis, wrapped(np.zeros(index.shape, np.int64), 1, told, on) if nothing and not is_alone(index) else
                    wrapped(index, shape[axis], told, on), is_alone(index)) for axis, index, told in given]


def _common_shape(chosen: Sequence[_Chosen]) -> Ints:
    shapes = [c.value.type.shape for c in chosen]
    try:
        return broadcast_shapes(*shapes)
    except RuntimeError:
        text = ", ".join(str(list(s)) for s in shapes)
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together with shapes "
                         + text) from None


def _places(shape: Ints, chosen: Sequence[_Chosen], unique: bool = False) -> Places:
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


def _lead(ndim: int, chosen: Sequence[_Chosen]) -> int:
    """How many of the other dimensions stand before those of the arrays."""
    alone = {c.axis for c in chosen if c.alone}
    arrays = {c.axis for c in chosen if not c.alone}
    left = [d in arrays for d in range(ndim) if d not in alone]
    first, count = left.index(True), len(arrays)
    return first if all(left[first:first + count]) else 0


def _single_mask(found: Sequence[Found]) -> bool:
    return len(found) == 1 and is_mask(found[0].index)


def _gathered(view: Tensor, found: Sequence[Found]) -> Tensor:
    """A copy of what the indices choose."""
    shape = view._type.shape
    if _single_mask(found) and isinstance(found[0].index, Tensor) and not has_contents_now(found[0].index):
        axis, mask = found[0]
        _check_mask(mask, shape, axis)
        refusal = mask_refusal(f"indexing with a mask (at {describe(user_position())})")
        return masked_read(view._read(), mask_value(mask, view._device), axis, refusal)
    chosen = _choose(view, found, "indexing with a mask")
    places = _places(shape, chosen, _single_mask(found))
    result = windows_shape(places.indices.type.shape, places.sizes, places.dims)
    if any(shape[d] == 0 for d in places.dims.map):
        return wrap(reshape(view._read(), shape=result))
    made = wrap(places.gather(view._read()))
    if view._geometry is not None:
        _lay_out(made, view._geometry.stride, shape, chosen)
    return made


def _lay_out(made: Tensor, strides: Ints, shape: Ints, chosen: Sequence[_Chosen]) -> None:
    """Let what was gathered lie in the order that the dimensions have which stay, as in torch."""
    common, axes = _common_shape(chosen), {c.axis for c in chosen}
    lead = _lead(len(shape), chosen) if common else 0
    rest = [s for d, s in enumerate(strides) if d not in axes]
    before, behind = rest[:lead], rest[lead:]
    operands = [(*before, *(0,) * len(common), *behind)]
    for c in chosen:
        own = contiguous_stride(c.value.type.shape)
        own = tuple(0 if n == 1 else s for n, s in zip(c.value.type.shape, own))
        operands.append((*(0,) * len(before), *(0,) * (len(common) - len(own)), *own, *(0,) * len(behind)))
    stride = dense_stride(made._type.shape, operands)
    made._geometry = passed_on(made._type.shape, Geometry(stride))


@method("__getitem__")
def _getitem(self: Tensor, index: Any) -> Tensor:
    """`self[index]`: a view for integers, slices, `...` and None; a copy as soon as there is an array or a mask."""
    if type(index) is int:
        return _row(self, index)
    view, found = plan(self, index)
    return _gathered(view, found) if found else view


# --- Assignment -------------------------------------------------------------------------------------------------------


@method("__setitem__")
def _setitem(self: Tensor, index: Any, value: Any) -> None:
    """`self[index] = value`: the value (a number or a tensor) is broadcast and converted."""
    if not isinstance(value, (Tensor, *NUMBERS)):
        kind = scalar_name(self.dtype)
        raise TypeError(f"can't assign a {_type_name(value)} to a torch.{kind}Tensor")
    if not isinstance(value, Tensor):
        _check_number(value, self._type.dtype)
    view, found = plan(self, index)
    if found:
        _put(view, found, value, "set")
    elif not _is_same_view(view, value):
        shape = view._type.shape
        new = (_spread(value, view, shape) if isinstance(value, Tensor) else
               number_value(value, view.dtype, shape, view._device))
        view._write(alias(new))


def _check_number(value: Any, kind: dtypes.dtype) -> None:
    """torch's errors for a number that a type does not hold; too large a one becomes infinite in a floating type."""
    if type(value) is int and not -2**63 <= value < 2**63:
        raise ValueError("Overflow when unpacking long long")
    if not is_half(kind):
        fitting(value, kind)
    elif type(value) is complex and value.imag:
        raise RuntimeError(overflow(dtypes.float64))


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
        raise RuntimeError(f"expand(torch.{scalar_name(value.dtype)}Tensor{{{list(given)}}}, "
                           f"size={list(shape)}): the number of sizes provided ({len(shape)}) must be greater or equal "
                           f"to the number of dimensions in the tensor ({len(given)})")
    wrong = max(d for d in range(len(given)) if given[d] not in (1, shape[d + len(shape) - len(given)]))
    at = wrong + len(shape) - len(given)
    raise RuntimeError(f"The expanded size of the tensor ({shape[at]}) must match the existing size ({given[wrong]}) "
                       f"at non-singleton dimension {at}.  Target sizes: {list(shape)}.  Tensor sizes: {list(given)}")


def _put(view: Tensor, found: Sequence[Found], value: Any, combiner: str) -> None:
    """Write a number or a tensor where the indices point."""
    if isinstance(value, Tensor):
        _check_source(view, found, value, combiner)
    if combiner == "set" and _single_mask(found) and _put_where(view, found[0], value):
        return
    shape = view._type.shape
    places = _places(shape, _choose(view, found, "assigning a tensor of as many elements as a mask holds"),
                     _single_mask(found))
    result = windows_shape(places.indices.type.shape, places.sizes, places.dims)
    if isinstance(value, Tensor):
        updates = _source(value, view, len(result))
        if not _fits(updates.type.shape, result):
            raise RuntimeError(f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to "
                               f"indexing result of shape {list(result)}")
        updates = expand_value(updates, result)
    else:
        updates = number_value(value, view.dtype, result, view._device)
    if math.prod(shape) and math.prod(result):
        before = view._read()

        def touched() -> Value:
            return places.scatter(full_like(before, 0, dtypes.boolean), full_like(updates, 1, dtypes.boolean), "set")

        view._write(places.scatter(before, updates, combiner), touched if combiner == "set" else None)


def _check_source(view: Tensor, found: Sequence[Found], value: Tensor, combiner: str) -> None:
    """torch's error for another dtype than the view's, which only one number for all that one mask chooses may have."""
    if value.dtype is view.dtype:
        return
    if combiner == "set" and _single_mask(found) and type(value) is not MaskedRead and value.numel() == 1:
        check_fits("index_put_", value, view.dtype)
        return
    raise RuntimeError(f"Index put requires the source and destination dtypes match, got {scalar_name(view.dtype)} for the "
                       f"destination and {scalar_name(value.dtype)} for the source.")


def _put_where(view: Tensor, found: Found, value: Any) -> bool:
    """Assign through one mask without looking at it, if the value is the same for all elements that it chooses."""
    shape, (axis, mask) = view._type.shape, found
    _check_mask(mask, shape, axis)
    behind = len(shape) - axis - mask.ndim
    if type(value) is MaskedRead:
        new = _spread_read(value, view, found)
    elif isinstance(value, Tensor):
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
    view._write(select(test, new, view._read()), lambda: test)
    return True


def _spread_read(value: MaskedRead, view: Tensor, found: Found) -> Value:
    """All of what was read through the same mask, in the shape of the view; its refusal if it was another mask."""
    shape, given = view._type.shape, value.source.type.shape
    through = is_through(value, mask_value(found.index, view._device), found.axis)
    if not through or len(given) != len(shape) or not _fits(given, shape) or value.source.device != view._device:
        raise TraceError(value.refusal)
    return expand_value(cast_value(value.source, view.dtype), shape)


@method()
def index_put_(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """`input[indices] = values`, or `+=` with repeated positions all counted; None stands for a whole dimension."""
    view, found = plan(input, tuple(slice(None) if i is None else i for i in indices))
    _put(view, found, values, "add" if accumulate else "set")
    return input


@method()
@lies(as_input)
def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of the input after `index_put_`."""
    return index_put_(wrap(alias(input._read())), indices, values, accumulate)
