"""Reading and writing along dimensions.

Source: https://pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, Final

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.errors import no_dimensions
from ..ir.graph import Value
from ..ops.elementwise import alias, select, sub
from ..ops.indexing import index_nd, index_put_nd, put_along, take_along
from ..ops.indexing import take as take_values
from ..ops.places import Dims, Places
from ..ops.reduction import NEUTRAL
from ..ops.running import cumsum
from ..ops.structural import Ints, broadcast, constant, reshape
from ..tensor.tensor import Tensor
from .arithmetic import div, remainder
from .checks import check_range, unchecked
from .dims import checked_dim
from .fits import check_fits
from .layout import as_input, lies
from .methods import EXACT, Out, assign, in_place, method, with_out_of
from .operands import Number, cast_value, common_shape, expand_value, number_value, scalar_name, wrap
from .precision import fitting
from .refusals import NUMBER, ORDERED, require_kind
from .shape import ravel
from .slicing import sliced
from .spelling import spelled
from .static_size import checked_size, chosen, first_places
from .subscripts import check_positions, is_mask, mask_value, observed_mask, one_dimension, wrapped

_GATHERED: Final = EXACT._replace(apart=True)
_TAKEN: Final = Out("take(): self and out expected to have the same dtype, but got self.dtype = {result} and out.dtype = {out}",
                    apart=True)
_SELECTED: Final = Out("index_select(): self and result must have the same scalar type", apart=True)
_SELECTED_BY_MASK: Final = Out("masked_select(): self and result must have the same scalar type", apart=True)
INDEX_KINDS = (dtypes.int64, dtypes.int32)
OUT_OF_RANGE = "index out of range in self"


# --- Checks -----------------------------------------------------------------------------------------------------------


def _check_kind(name: str, index: Tensor) -> None:
    if index.dtype not in INDEX_KINDS and index.numel():
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")


def _size(x: Tensor, axis: int) -> int:
    return x._type.shape[axis] if x.ndim else 1


def _check_along(input: Tensor, index: Tensor, axis: int, src: Tensor | None) -> None:
    """torch's conditions for gather and scatter."""
    shape, given = input._type.shape or (1,), index._type.shape or (1,)
    if len(shape) != len(given):
        raise RuntimeError("Index tensor must have the same number of dimensions as "
                           + ("input tensor" if src is None else "self tensor"))
    if src is not None and len(src._type.shape or (1,)) != len(given):
        if 0 < src.ndim < len(given):  # of which a dimension was asked for that it does not have
            checked_dim(src.ndim, src.ndim)
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    source = given if src is None else src._type.shape or (1,)
    for d, (n, i, s) in enumerate(zip(shape, given, source)):
        if (d != axis and i > n) or i > s:
            if src is None:
                raise RuntimeError(f"Size does not match at dimension {d} expected index {list(given)} to be no larger "
                                   f"than self {list(shape)} apart from dimension {axis}")
            raise RuntimeError(f"Expected index {list(given)} to be no larger than self {list(shape)} apart from "
                               f"dimension {axis} and to be no larger size than src {list(source)}")


# --- Gather and scatter -----------------------------------------------------------------------------------------------


@method()
@with_out_of(_GATHERED)
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """out[i, j, k] = input[i, index[i, j, k], k], for dim 1 of three.

    >>> import flambeau as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    axis = checked_dim(dim, input.ndim)
    if index.numel() == 0 and index.ndim != input.ndim:
        return wrap(reshape(sliced(ravel(input), 0, 0, 0)._read(), shape=index._type.shape))
    _check_kind("gather", index)
    _check_along(input, index, axis, None)
    check_positions("gather", index, _size(input, axis), axis, 0, RuntimeError)
    x, i = one_dimension(input._read()), one_dimension(index._read())
    return wrap(reshape(take_along(x, i if i.type.size else cast_value(i, dtypes.int64), axis), shape=index._type.shape))


def _along(input: Tensor, axis: int, index: Tensor, updates: Value, combiner: str) -> Tensor:
    """put_along on tensors that may have no dimensions."""
    x, i, u = (one_dimension(v) for v in (input._read(), index._read(), updates))
    return wrap(reshape(put_along(x, i, u, axis, combiner), shape=input._type.shape))


def _scatter_source(input: Tensor, index: Tensor, axis: int, src: Any) -> Value:
    """The updates: a tensor's elements, or one number for all positions."""
    _check_kind("scatter", index)
    if not isinstance(src, Tensor):
        _check_along(input, index, axis, None)
        return number_value(fitting(src, input.dtype), input.dtype, index._type.shape, input._device)
    if src.dtype is not input.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    _check_along(input, index, axis, src)
    return src._read()


@in_place()
@with_out_of(EXACT)
def scatter(input: Tensor, dim: int, index: Tensor, src: Tensor | Number | None = None, *, value: Number | None = None,
            reduce: str | None = None) -> Tensor:
    """A copy of the input after out[i, index[i, j, k], k] = src[i, j, k], for dim 1 of three.

    `reduce` 'add' or 'multiply' combines with what is there. Without it any of several updates of one element may stay.
    """
    combiner = {None: "set", "add": "add", "multiply": "mul"}.get(reduce)
    if combiner is None:
        raise RuntimeError("reduce argument must be either add or multiply.")
    return _scattered(input, dim, index, value if src is None else src, combiner)


def _scattered(input: Tensor, dim: int, index: Tensor, src: Any, combiner: str) -> Tensor:
    axis = checked_dim(dim, input.ndim)
    if index.numel() == 0:
        return wrap(alias(input._read()))
    updates = _scatter_source(input, index, axis, src)
    check_positions("scatter", index, _size(input, axis), axis, 0, RuntimeError)
    return _along(input, axis, index, updates, combiner)


@in_place()
@with_out_of(EXACT)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of the input after out[i, index[i, j, k], k] += src[i, j, k], for dim 1 of three."""
    return _scattered(input, dim, index, src, "add")


_REDUCTIONS = {"sum": ("add", "add"), "prod": ("mul", "multiply"), "mean": ("add", "add"), "amax": ("max", "maximum"),
               "amin": ("min", "minimum")}


def _combiners(reduce: str) -> tuple[str, str]:
    if reduce not in _REDUCTIONS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    return _REDUCTIONS[reduce]


@in_place()
@with_out_of(EXACT)
def scatter_reduce(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *,
                   include_self: bool = True) -> Tensor:
    """A copy of the input, with src reduced ('sum', 'prod', 'mean', 'amax', 'amin') into the positions of `index` along
    dim; without `include_self` what was at those positions does not count.
    """
    combiner, hlo = _combiners(reduce)
    if reduce == "mean":
        require_kind("scatter_gather_tensor_cpu_reduce_mean", input, NUMBER)
    elif reduce in ("amax", "amin"):
        require_kind(f"scatter_gather_tensor_cpu_reduce_{reduce}", input, ORDERED)
    axis = checked_dim(dim, input.ndim)
    if index.numel() == 0:
        return wrap(alias(input._read()))
    updates = _scatter_source(input, index, axis, src)
    check_positions("scatter_reduce", index, _size(input, axis), axis, 0, RuntimeError)
    start = input if include_self else _along(input, axis, index, _neutral(hlo, updates), "set")
    result = _along(start, axis, index, updates, combiner)
    if reduce != "mean":
        return result
    counts = wrap(full_like(input._read(), 1))
    if not include_self:
        counts = _along(counts, axis, index, full_like(updates, 0), "set")
    counts = _along(counts, axis, index, full_like(updates, 1), "add")
    return _mean(result, counts)


def _neutral(hlo: str, like: Value) -> Value:
    kind = like.type.dtype
    return constant.on(like.device, value=NEUTRAL[hlo](kind), shape=like.type.shape, dtype=kind)


def _mean(total: Tensor, counts: Tensor) -> Tensor:
    counts = counts.clamp(min=1) if not counts.dtype.is_complex else counts
    return div(total, counts, rounding_mode=None if total.dtype.is_inexact else "floor")


# --- Slices along one dimension ---------------------------------------------------------------------------------------


def _vector(name: str, index: Tensor) -> None:
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    if index.dtype not in INDEX_KINDS:
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index")


def _slices(shape: Ints, axis: int, index: Value) -> Places:
    """The slices of an operand at positions along `axis`."""
    window = (*range(axis), *range(axis + 1, len(shape)))
    return Places(index, Dims(window, (axis,), (), (), (axis,), 1), (*shape[:axis], 1, *shape[axis + 1:]))


@method()
@with_out_of(_SELECTED)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices at the positions of `index`, a vector, along `dim`."""
    axis = checked_dim(dim, input.ndim)
    _vector("index_select", index)
    size = _size(input, axis)
    if input.ndim == 2 and axis == 1:  # torch goes another way there
        check_range("index_select", index, 0, size, RuntimeError,
                    f"INDICES element is out of DATA bounds, id={{value}} axis_dim={size}")
    else:
        check_range("index_select", index, 0, size, IndexError, OUT_OF_RANGE)
    if input.ndim == 0:
        if index.numel() != 1:
            raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {index.numel()} value(s)")
        return wrap(alias(input._read()))
    return wrap(take_values(input._read(), one_dimension(index._read()), axis))


def _check_updated(name: str, input: Tensor, index: Tensor, axis: int) -> None:
    """torch's error for slices that are not there; the functions differ in it, and look at none where these are empty."""
    size = _size(input, axis)
    if (not input.numel() and input.ndim != 1) if name == "index_add_" else _slices_are_empty(input, axis):
        return
    if name == "index_add_" and input.ndim == 1:
        check_range(name, index, 0, size, IndexError, OUT_OF_RANGE)
    elif name == "index_add_":
        check_positions(name, index, size, axis, 0, RuntimeError)
    elif name == "index_copy_":
        check_range(name, index, 0, size, IndexError,
                    f"index_copy_(): index {{value}} is out of bounds for dimension {axis} with size {size}")


def _slices_are_empty(x: Tensor, axis: int) -> bool:
    return 0 in (*x._type.shape[:axis], *x._type.shape[axis + 1:])


def _index_update(name: str, input: Tensor, dim: int, index: Tensor, source: Value, combiner: str) -> Tensor:
    axis = checked_dim(dim, input.ndim)
    _check_updated(name, input, index, axis)
    x, i = one_dimension(input._read()), one_dimension(index._read())
    source = one_dimension(source)
    shape = (*x.type.shape[:axis], i.type.shape[0], *x.type.shape[axis + 1:])
    if source.type.shape != shape or (name == "index_add_" and not input.ndim and math.prod(shape) != 1):
        raise RuntimeError("source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape "
                           f"= {list(input.shape)} source.shape = {list(source.type.shape)}")
    if math.prod(shape) == 0 or x.type.size == 0:
        return wrap(alias(input._read()))
    return wrap(reshape(_slices(x.type.shape, axis, i).scatter(x, source, combiner), shape=input._type.shape))


def _check_source(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor, error: type[Exception],
                  text: str) -> None:
    _vector(name, index)
    axis = checked_dim(dim, source.ndim)
    if _size(source, axis) != index.numel():
        raise error(text.format(name=name, count=index.numel(), size=_size(source, axis), dim=axis))
    if source.dtype is not input.dtype:
        raise RuntimeError(f"{name}(): self ({input.dtype}) and source ({source.dtype}) must have the same scalar type")


@in_place()
@with_out_of(EXACT)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1) -> Tensor:
    """A copy of the input with alpha * source added to its slices at the positions of `index` along `dim`."""
    _check_source("index_add_", input, dim, index, source, RuntimeError,
                  "{name}(): Number of indices ({count}) should be equal to source.size(dim): ({size}), for dim: {dim}")
    if not input.ndim and source.ndim:
        raise RuntimeError("source tensor shape must match self tensor shape, excluding the specified dimension. Got "
                           f"self.shape = [] source.shape = {list(source.shape)}")
    if isinstance(alpha, float) and not input.dtype.is_inexact:
        alpha = int(fitting(alpha, input.dtype))
    scaled = source if type(alpha) in (int, float) and alpha == 1 else source.mul(fitting(alpha, input.dtype))
    return _index_update("index_add_", input, dim, index, cast_value(scaled._read(), input.dtype), "add")


@in_place()
@with_out_of(EXACT)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of the input with its slices at the positions of `index` replaced by those of source."""
    _check_source("index_copy_", input, dim, index, source, IndexError,
                  "{name}(): Number of indices ({count}) should be equal to source.size(dim) ({size})")
    return _index_update("index_copy_", input, dim, index, source._read(), "set")


@method()
@spelled
@lies(as_input)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Tensor | Number) -> Tensor:
    """A copy of the input with its slices at the positions of `index` filled with one number; negative ones wrap."""
    _vector("index_fill_", index)
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} "
                           "dimension(s).")
    if not input.dtype.is_complex and (value.dtype.is_complex if isinstance(value, Tensor) else type(value) is complex):
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    if isinstance(value, Tensor):
        check_fits("index_fill_", value, input.dtype)
    axis = checked_dim(dim, input.ndim)
    if isinstance(value, Tensor) and value.requires_grad:  # a slice named twice counts once in the gradient
        mask = index_fill(wrap(full_like(input._read(), 0, dtypes.boolean)), dim, index, True)
        filler = expand_value(cast_value(value._read(), input.dtype), input._type.shape)
        return wrap(select(mask._read(), filler, input._read()))
    with unchecked() if _slices_are_empty(input, axis) else nullcontext():
        positions = wrap(wrapped(index, _size(input, axis), axis, input._device))
    shape = list(input._type.shape or (1,))
    shape[axis] = index.numel()
    filler = (expand_value(cast_value(value._read(), input.dtype), tuple(shape)) if isinstance(value, Tensor) else
              number_value(fitting(value, input.dtype), input.dtype, tuple(shape), input._device))
    return _index_update("index_fill_", input, dim, positions, filler, "set")


@method()
def index_fill_(self: Tensor, dim: int, index: Tensor, value: Tensor | Number) -> Tensor:
    """In-place form of `index_fill`."""

    def touched() -> Value:
        return index_fill(wrap(full_like(self._read(), 0, dtypes.boolean)), dim, index, True)._read()

    return assign(self, index_fill(self, dim, index, value), touched)


@in_place()
@with_out_of(EXACT)
def index_reduce(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *,
                 include_self: bool = True) -> Tensor:
    """A copy of the input with slices of source reduced ('prod', 'mean', 'amax', 'amin') into those at `index`."""
    _check_source("index_reduce_", input, dim, index, source, RuntimeError,
                  "{name}(): Number of indices ({count}) should be equal to source.size(dim): ({size}), for dim: {dim}")
    axis = checked_dim(dim, input.ndim)
    check_range("index_reduce_", index, 0, _size(input, axis), IndexError, OUT_OF_RANGE)
    shape = source._type.shape or (1,)
    spread = broadcast(one_dimension(index._read()), shape=shape, dims=(axis,))
    along = wrap(reshape(spread, shape=source._type.shape))
    with unchecked():
        return scatter_reduce(input, axis, along, source, reduce, include_self=include_self)


# --- Positions in the flattened tensor --------------------------------------------------------------------------------


def _flat_positions(name: str, input: Tensor, index: Tensor) -> Value:
    if index.dtype not in INDEX_KINDS:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {scalar_name(index.dtype)}")
    count = input.numel()
    if count:
        check_range("take", index, -count, count, IndexError,
                    f"out of range: tried to access index {{value}} on a tensor of {count} elements.")
    with unchecked():
        return wrapped(index, count, 0, input._device)


@method()
@with_out_of(_TAKEN)
def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements at positions in the flattened input; negative ones count from its end."""
    positions = _flat_positions("take", input, index)
    if input.numel() == 0 and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    return wrap(index_nd(reshape(input._read(), shape=(input.numel(),)), [positions]))


@method()
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """Write (or add) source at positions in the flattened tensor."""
    if source.numel() != index.numel():
        raise RuntimeError(f"put_(): Expected source and index to have the same number of elements, but got "
                           f"source.numel() = {source.numel()}, index.numel() = {index.numel()}")
    if index.numel() and not self.numel():
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    positions = reshape(_flat_positions("put_", self, index), shape=(index.numel(),))
    if source.dtype is not self.dtype:
        raise RuntimeError("put_(): self and source expected to have the same dtype, but got self.dtype = "
                           f"{scalar_name(self.dtype)} and source.dtype = {scalar_name(source.dtype)}")
    flat = reshape(self._read(), shape=(self.numel(),))
    if index.numel():
        updates = reshape(source._read(), shape=(index.numel(),))
        written = index_put_nd(flat, [positions], updates, "add" if accumulate else "set")
        self._write(reshape(written, shape=self._type.shape))
    return self


@method()
@lies(as_input)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of the input after `put_`."""
    return put_(wrap(alias(input._read())), index, source, accumulate)


@method()
@with_out_of(EXACT)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with the other dimensions broadcast; without `dim`, in the flattened input."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if input.ndim != indices.ndim:
        raise RuntimeError(f"torch.take_along_dim(): input and indices should have the same number of dimensions, but "
                           f"got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices")
    axis = checked_dim(dim, input.ndim)
    if not input.ndim:
        raise no_dimensions(dim)
    rests = [tuple(1 if d == axis else n for d, n in enumerate(x._type.shape)) for x in (input, indices)]
    common = common_shape(*rests)
    x, i = (wrap(expand_value(t._read(), tuple(t._type.shape[d] if d == axis else n for d, n in enumerate(common))))
            for t in (input, indices))
    if not _size(input, axis) and i.numel():
        raise RuntimeError("ZeroDivisionError")
    with unchecked():  # torch takes positions modulo the size
        return gather(x, axis, remainder(i, max(_size(input, axis), 1)))


# --- Masks ------------------------------------------------------------------------------------------------------------


@method()
@with_out_of(_SELECTED_BY_MASK)
def masked_select(input: Tensor, mask: Tensor, *, size: int | None = None, fill_value: Number = 0) -> Tensor:
    """The elements where the mask (broadcast) holds, as a vector.

    Reads the mask, so not inside a traced function; there, give a `size`: the first so many elements, then `fill_value`.

    >>> import flambeau as torch
    >>> x = torch.tensor([4, -1, 6])
    >>> torch.masked_select(x, x > 0, size=3)
    tensor([4, 6, 0])
    """
    if not is_mask(mask):
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = common_shape(input._type.shape, mask._type.shape)
    if size is None:
        observed_mask(mask, "masked_select")
    x, test = (wrap(expand_value(t._read(), shape)) for t in (input, mask))
    if size is None:
        return ravel(x.__getitem__(test))
    places = first_places(ravel(test)._read(), checked_size("masked_select", size))
    return chosen(ravel(x), places, fill_value)


@method()
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of the input in which the elements where the mask holds are, in order, the first elements of source.

    Works inside traced functions: every true element looks up how many stand before it.
    """
    if not is_mask(mask):
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if source.dtype is not input.dtype:
        raise RuntimeError("masked_scatter: expected self and source to have same dtypes")
    shape = common_shape(input._type.shape, mask._type.shape)
    x, test = expand_value(input._read(), shape), expand_value(mask_value(mask, input._device), shape)
    count, size = math.prod(shape), source.numel()
    flat = cast_value(reshape(test, shape=(count,)), dtypes.int64)
    running = cumsum(flat, axis=0, reverse=False)
    if count > size:
        check_range("masked_scatter", wrap(running), 0, size + 1, RuntimeError,
                    "Number of elements of source < number of ones in mask")
    if count == 0 or size == 0:
        return wrap(alias(x))
    before = sub(running, flat)
    found = index_nd(reshape(source._read(), shape=(source.numel(),)), [before])
    return wrap(select(test, reshape(found, shape=shape), x))


@method()
def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """In-place form of `masked_scatter`."""
    return assign(self, masked_scatter(self, mask, source))
