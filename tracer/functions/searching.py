"""Finding, counting and looking up elements.

Functions whose result size depends on values (`nonzero`, `unique`, `bincount`) read them: they work on concrete tensors
and raise `TraceError`, with the alternative, inside traced functions.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..ir import dtypes
from ..ir.errors import TraceError, no_dimensions
from ..ir.graph import Value
from ..ir.types import Type
from ..lazy.flush import host_array
from ..ops.elementwise import compare, convert, not_, or_
from ..ops.reduction import reduce_or, reduce_sum
from ..ops.structural import broadcast, reshape
from ..tensor.strides import Geometry, contiguous_stride
from ..tensor.tensor import Tensor
from .checks import check_range
from .dims import checked_dim, whole_number
from .methods import EXACT, Out, method, with_out, with_out_of
from .operands import Number, cast_value, number_value, operands, result_dtype, scalar_name, wrap
from .reduce import any_ as any_of
from .refusals import ORDERED, not_implemented, require_kind
from .scattering import scatter_add
from .shape import atleast_1d
from .slicing import unbind
from .spelling import spelled
from .static_size import nonzero_static, unique_static
from .subscripts import has_contents_now

UNTRACED = ("{name} requires the values of its input, since they decide the size of the result, and a traced tensor "
            "has none. Inside jit keep the size fixed: {instead}.")


def _observed(name: str, input: Tensor, instead: str) -> Any:
    if not has_contents_now(input, looking=True):
        raise TraceError(UNTRACED.format(name=name, instead=instead))
    return host_array(input._read())


def _from_host(array: Any, on: str) -> Tensor:
    array = np.asarray(array, order="C")  # where `ascontiguousarray` would make a vector of a number
    return wrap(Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), on, array))


@method()
@with_out
def nonzero(input: Tensor, *, as_tuple: bool = False, size: int | None = None, fill_value: int = -1) -> Any:
    """The positions of the elements that are not zero: int64 [n, ndim], or with `as_tuple` one vector per dimension.

    With a `size` there are that many, the rest of them `fill_value`, and no value is read.
    """
    if not isinstance(as_tuple, bool):
        raise TypeError(f"nonzero(): argument 'as_tuple' must be bool, not {type(as_tuple).__name__}")
    if size is not None:
        return _fixed_nonzero(input, as_tuple, size, fill_value)
    array = _observed("nonzero", input, "nonzero(x, size=n, fill_value=-1), or where(condition, x, other), or topk for a "
                                        "fixed number")
    if as_tuple:
        return tuple(_from_host(positions, input._device) for positions in np.nonzero(np.atleast_1d(array)))
    found = np.nonzero(np.atleast_1d(array))
    rows = np.stack(found, 1) if input.ndim else np.zeros((len(found[0]), 0))
    made = _from_host(rows.astype(np.int64), input._device)
    if min(rows.shape) > 1:
        made._geometry = Geometry((1, len(rows)))  # in torch a vector per dimension, transposed
    return made


def _fixed_nonzero(input: Tensor, as_tuple: bool, size: int, fill_value: int) -> Any:
    if not as_tuple:
        return nonzero_static(input, size=size, fill_value=fill_value)
    return unbind(nonzero_static(atleast_1d(input), size=size, fill_value=fill_value), 1)


@method()
def argwhere(input: Tensor) -> Tensor:
    """`nonzero`, one row per element that is not zero."""
    return nonzero(input)


# --- Distinct elements ------------------------------------------------------------------------------------------------


def _results(values: Any, axis: int | None, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool, on: str) -> Any:
    out = [values, *([inverse.astype(np.int64)] if return_inverse else []),
           *([counts.astype(np.int64)] if return_counts else [])]
    tensors = tuple(_from_host(array, on) for array in out)
    if axis:  # in torch the slices lie one behind the other
        shape = values.shape
        stride = contiguous_stride((shape[axis], *shape[:axis], *shape[axis + 1:]))
        tensors[0]._geometry = Geometry((*stride[1:axis + 1], stride[0], *stride[axis + 1:]))
    return tensors if len(tensors) > 1 else tensors[0]


def _axis(x: Tensor, dim: int | None) -> int | None:
    if dim is not None and not x.ndim:
        raise no_dimensions(dim)
    return None if dim is None else checked_dim(dim, x.ndim)


@method()
@spelled
def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None, *, size: int | None = None, fill_value: Number = 0) -> Any:
    """The distinct elements (or slices along `dim`), always in increasing order.

    If asked for, with the position of each element of the input among them, and how often each occurs. With a `size`
    there are that many elements, the smallest, and `fill_value` (of count 0) where there are fewer; no value is read.

    >>> import flambeau as torch
    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True, size=4, fill_value=-1)
    (tensor([ 1,  3, -1, -1]), tensor([1, 2, 0, 0]))
    """
    require_kind("unique" if dim is None else "unique_dim", input, ORDERED)
    if size is not None:
        if dim is not None:
            raise NotImplementedError("unique requires dim=None when a size is given: slices have no order to keep")
        return unique_static(input, size, fill_value, return_inverse, return_counts)
    array = _observed("unique", input, "unique(x, size=n, fill_value=0)")
    axis = _axis(input, dim)
    values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    inverse = inverse.reshape(array.shape) if axis is None else inverse.reshape(-1)
    return _results(values, axis, inverse, counts, return_inverse, return_counts, input._device)


@method()
@spelled
def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False,
                       dim: int | None = None) -> Any:
    """The input without elements (or slices along `dim`) equal to the one before."""
    require_kind("unique" if dim is None else "unique_dim", input, ORDERED)
    array = _observed("unique_consecutive", input, "sort, then compare neighbours")
    axis = _axis(input, dim)
    rows = array.reshape(-1) if axis is None else np.moveaxis(array, axis, 0)
    differs = (rows[1:] != rows[:-1]).any(axis=tuple(range(1, rows.ndim)))
    starts = np.concatenate([np.ones(min(len(rows), 1), np.bool_), differs])
    values = rows[starts] if axis is None else np.moveaxis(rows[starts], 0, axis)
    inverse = np.cumsum(starts) - 1
    counts = np.diff(np.append(np.flatnonzero(starts), len(rows)))
    shaped = inverse.reshape(array.shape) if axis is None else inverse
    return _results(values, axis, shaped, counts, return_inverse, return_counts, input._device)


@method()
@spelled
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 to the largest (at least to minlength - 1) occurs; or the sum of its weights."""
    if input.dtype.category != dtypes.INTEGRAL:
        raise NotImplementedError(f'"bincount_cpu" not implemented for \'{scalar_name(input.dtype)}\'')
    array = _observed("bincount", input, "zeros(size).scatter_add(0, input, weights)")
    if array.ndim != 1 or (array.size and array.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    minlength = whole_number(minlength, "minlength")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and weights._type.shape != input._type.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    size = max(int(array.max()) + 1 if array.size else 0, minlength)
    kind = dtypes.int64 if weights is None else dtypes.float32 if weights.dtype is dtypes.float32 else dtypes.float64
    ones = number_value(1, kind, input._type.shape, input._device)
    source = wrap(ones if weights is None else cast_value(weights.detach()._read(), kind))
    start = wrap(number_value(0, kind, (size,), input._device))
    return scatter_add(start, 0, input.to(dtypes.int64), source)


# --- Looking up -------------------------------------------------------------------------------------------------------

_PLACES: Final = Out("torch.searchsorted(): output tensor's dtype is wrong, it can only be Int(int32) or Long(int64) depending "
                     "on whether out_int32 flag is True, but we got output tensor's dtype {out}")


@with_out_of(_PLACES)
def searchsorted(sorted_sequence: Tensor, input: Tensor | Number, *, out_int32: bool = False, right: bool = False,
                 side: str | None = None, sorter: Tensor | None = None) -> Tensor:
    """Where each number would go into a sorted vector (or one for each leading index) to keep it sorted.

    The first place for side 'left', the last for 'right'. Counted by comparing all with all, which is exact and has no
    loop; for m numbers and n places that is m * n comparisons. NaN is larger than every number.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise RuntimeError(f"torch.searchsorted(): side and right can't be set to opposites, got side of {side} while "
                           f"right was {right}" if side in ("left", "right") else
                           f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if sorter is not None:
        _check_sorter(sorter, sorted_sequence)
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    scalar = not isinstance(input, Tensor)
    kind = result_dtype(sorted_sequence, input)
    values = wrap(operands(input, kind=kind, shape=())[0]) if scalar else input
    assert isinstance(values, Tensor)
    _check_search(sorted_sequence, values)
    if kind.is_complex or kind is dtypes.boolean:
        raise not_implemented("searchsorted_out_cpu", kind)
    shape, n = values._type.shape, sorted_sequence._type.shape[-1]
    sequence, wanted = cast_value(sorted_sequence._read(), kind), cast_value(values._read(), kind)
    pairs = (*shape, n)
    lead = () if sorted_sequence.ndim == 1 else tuple(range(len(shape) - 1))
    left = broadcast(sequence, shape=pairs, dims=(*lead, len(shape)))
    new = broadcast(wanted, shape=pairs, dims=tuple(range(len(shape))))
    before = compare(left, new, direction="LE" if right or side == "right" else "LT")
    before = or_(before, compare(new, new, direction="NE"))  # NaN goes to the end
    count = reduce_sum(convert(before, dtype=dtypes.int64), axes=(len(shape),))
    return wrap(cast_value(count, dtypes.int32 if out_int32 else dtypes.int64))


def _check_sorter(sorter: Tensor, sequence: Tensor) -> None:
    if sorter.shape != sequence.shape:
        raise RuntimeError("torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
                           f"{list(sequence.shape)}and got sorter tensor {list(sorter.shape)}")
    if sorter.dtype is not dtypes.int64:
        raise RuntimeError("torch.searchsorted(): sorter must be a tensor of long dtype but got dtype "
                           f"{scalar_name(sorter.dtype)}")
    if sequence.ndim:
        check_range("searchsorted", sorter, 0, sequence._type.shape[-1], RuntimeError,
                    "torch.searchsorted(): sorter index out of range")


def _check_search(sequence: Tensor, values: Tensor) -> None:
    if sequence.ndim == 0:
        raise RuntimeError("torch.searchsorted(): boundaries tensor should have positive dimension")
    if sequence.ndim != 1 and sequence._type.shape[:-1] != values._type.shape[:-1]:
        raise RuntimeError("torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions "
                           "of boundaries tensor and input value tensor must match, but we got boundaries tensor "
                           f"{list(sequence.shape)} and input value tensor {list(values.shape)}")


method()(searchsorted)


@method()
@with_out_of(_PLACES)
def bucketize(input: Tensor | Number, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Which interval between the sorted boundaries each number lies in.

    >>> import flambeau as torch
    >>> torch.bucketize(torch.tensor([0, 3, 9]), torch.tensor([1, 3, 5]))
    tensor([0, 1, 3])
    """
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@with_out_of(EXACT)
def isin(elements: Tensor | Number, test_elements: Tensor | Number, *, assume_unique: bool = False,
         invert: bool = False) -> Tensor:
    """Whether each element is one of the test elements. Raises RuntimeError for booleans and complex numbers."""
    for given in (elements, test_elements):
        if (own := result_dtype(given)).is_complex or own is dtypes.boolean:
            raise RuntimeError(f"Unsupported input type encountered for isin(): {scalar_name(own)}")
    kind = result_dtype(elements, test_elements)
    on = next(t._device for t in (elements, test_elements) if isinstance(t, Tensor))
    a, b = (cast_value(t._read(), kind) if isinstance(t, Tensor) else number_value(t, kind, (), on)
            for t in (elements, test_elements))
    pairs = (*a.type.shape, b.type.size)
    flat = broadcast(reshape(b, shape=(b.type.size,)), shape=pairs, dims=(a.type.ndim,))
    equal = compare(broadcast(a, shape=pairs, dims=tuple(range(a.type.ndim))), flat, direction="EQ")
    found = reduce_or(equal, axes=(a.type.ndim,))
    return wrap(not_(found) if invert else found)


method()(isin)


@method("__contains__")
def _contains(self: Tensor, element: Any) -> bool:
    if not isinstance(element, (Tensor, int, float, complex, np.number)):
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")
    return bool(any_of(self == element))
