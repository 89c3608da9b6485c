"""Shapes: reshape, transpose and expand, as views: https://pytorch.org/docs/stable/tensor_view.html"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..ir import dtypes
from ..ir.told import tell
from ..ops import structural as ops
from ..ops.structural import Ints
from ..tensor.offsets import is_at_multiple
from ..tensor.steps import Bits, Expand, Permute, Reshape
from ..tensor.strides import Geometry, viewed_stride
from ..tensor.tensor import Tensor
from .conversions import contiguous
from .dims import checked_dim, checked_dims, shape_argument, whole_list, whole_numbers
from .methods import method
from .operands import broadcast_shapes, scalar_name, wrap
from .spelling import spelled

# --- Reshape ----------------------------------------------------------------------------------------------------------


def _resolved(sizes: Ints, count: int, given: Sequence[int]) -> Ints:
    """Sizes with a -1 filled in."""
    if any(n < -1 for n in sizes):
        raise RuntimeError(f"invalid shape dimension {min(sizes)}")
    if sizes.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = math.prod(n for n in sizes if n != -1)
    if -1 in sizes:
        if known == 0 == count:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(sizes)} because the unspecified dimension "
                               "size -1 can be any value and is ambiguous")
        if known == 0 or count % known:
            raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {count}")
        return tuple(count // known if n == -1 else n for n in sizes)
    if known != count:
        raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {count}")
    return sizes


@method()
def view(self: Tensor, *shape: Any, size: Any = None, dtype: Any = None) -> Tensor:
    """The same memory in another shape, or under another dtype; the last dimension grows or shrinks with the width.

    >>> import flambeau as torch
    >>> torch.arange(6).view(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if not shape and size is None and dtype is None:
        raise TypeError("view() received an invalid combination of arguments - got (), but expected a shape, or a dtype")
    kind = shape[0] if len(shape) == 1 else dtype
    if isinstance(kind, dtypes.dtype):
        return view_as_type(self, kind)
    sizes = _resolved(shape_argument(shape, size), self.numel(), shape if size is None else size)
    geometry = self._strides
    strides = viewed_stride(self._type.shape, geometry.stride, sizes)
    if strides is None:
        raise RuntimeError("view size is not compatible with input tensor's size and stride (at least one dimension spans "
                           "across two contiguous subspaces). Use .reshape(...) instead.")
    return self._view(Reshape(sizes), Geometry(strides, geometry.offset))


def view_as_type(self: Tensor, kind: dtypes.dtype) -> Tensor:
    """The same memory as numbers of another dtype."""
    plain = self.detach()  # bits have no gradient, not even those of the same dtype
    if kind is self.dtype:
        return plain
    if self.is_conj():
        raise RuntimeError("torch.Tensor.view is not supported for conjugate view tensors when converting to a different "
                           "dtype.")
    stride, offset = self._strides.stride, self._strides.offset
    before, after = self.dtype.itemsize, kind.itemsize
    if before != after:
        _check_width(self, kind)
        stride = (*(s * before // after for s in stride[:-1]), 1)
    made = plain._view(Bits(kind), Geometry(stride, offset * before // after))
    made._parted = True
    return made


def _check_width(x: Tensor, kind: dtypes.dtype) -> None:
    """torch's conditions for seeing memory as elements of another width."""
    def refuse(what: str) -> None:
        raise RuntimeError(f"{what} to view {x.dtype} as {kind} (different element sizes)")

    ratio, places = kind.itemsize // x.dtype.itemsize, x._strides
    if x.ndim == 0:
        refuse("self.dim() cannot be 0")
    if places.stride[-1] != 1:
        refuse("self.stride(-1) must be 1")
    if ratio > 1:
        if x._type.shape[-1] % ratio:
            refuse(f"self.size(-1) must be divisible by {ratio}")
        if not is_at_multiple(x, ratio):
            refuse(f"self.storage_offset() must be divisible by {ratio}")
        if any(s % ratio for s in places.stride[:-1]):
            refuse(f"self.stride() must be divisible by {ratio} in all but the last dimension")


@method()
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of `other`."""
    return view(self, other.shape)


@method("reshape")
def _reshape_method(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """A view in another shape where strides allow one, else a copy."""
    return reshape(input, shape_argument(sizes, shape, "shape"))


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements, in row-major order, in another shape.

    Args: `input` (*); `shape`, sizes whose product is the number of elements, one of which may be -1 and is then
    computed.
    Returns a view where strides allow one, else a copy. Raises RuntimeError for sizes that do not fit.

    >>> import flambeau as torch
    >>> torch.reshape(torch.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])

    Source: https://pytorch.org/docs/stable/generated/torch.reshape.html
    """
    sizes = _resolved(whole_list(shape, "shape"), input.numel(), shape)
    geometry = input._strides
    strides = viewed_stride(input._type.shape, geometry.stride, sizes)
    if strides is None:
        return wrap(ops.reshape(input._read(), shape=sizes))
    return input._view(Reshape(sizes), Geometry(strides, geometry.offset))


@method()
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """reshape to the shape of `other`."""
    return reshape(self, other.shape)


@method()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim joined into one."""
    start, end = checked_dim(start_dim, input.ndim), checked_dim(end_dim, input.ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    shape = input._type.shape
    if not shape:
        return reshape(input, (1,))
    if start == end:
        return input
    return reshape(input, (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:]))


@method()
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension: a view of a contiguous tensor, else a copy."""
    return view(contiguous(input), -1)


@method()
@spelled
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension split into `sizes`."""
    d, sizes = checked_dim(dim, input.ndim), whole_list(sizes, "sizes")
    shape = input._type.shape
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if not shape:
        raise RuntimeError("unflatten got an unexpected error: it cannot be applied to a 0-dim tensor.")
    inner = _resolved(sizes, shape[d], sizes)
    return reshape(input, (*shape[:d], *inner, *shape[d + 1:]))


def squeezed(input: Tensor, dims: Ints) -> Tensor:
    """A view without these dimensions, whose size is 1."""
    keep = [i for i in range(input.ndim) if i not in dims]
    geometry = input._strides
    return input._view(Reshape(tuple(input._type.shape[i] for i in keep)),
                       Geometry(tuple(geometry.stride[i] for i in keep), geometry.offset))


@method()
def squeeze(input: Tensor, *dims: Any, dim: int | Sequence[int] | None = None, axis: int | None = None) -> Tensor:
    """Without its dimensions of size 1, or without the given ones if they are."""
    given = dims[0] if len(dims) == 1 else dims or (axis if dim is None else dim)
    chosen = checked_dims(given, input.ndim)
    return squeezed(input, tuple(d for d in chosen if input._type.shape[d] == 1) if input.ndim else ())


@method()
def unsqueeze(input: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """A view with one more dimension, of size 1.

    Args: `input` (*); `dim`, where the new dimension is to be, counted in the result, from the end if negative;
    `axis`, numpy's name of it.
    Returns a view. It makes tensors broadcast: x.unsqueeze(1) - x.unsqueeze(0) is the table of all differences. Raises
    IndexError for a place that is not there.

    >>> import flambeau as torch
    >>> torch.unsqueeze(torch.tensor([1, 2]), 1)
    tensor([[1],
            [2]])

    Source: https://pytorch.org/docs/stable/generated/torch.unsqueeze.html
    """
    if dim is None:
        if axis is None:
            raise TypeError('unsqueeze() missing 1 required positional arguments: "dim"')
        dim = axis
    d = checked_dim(dim, input.ndim + 1)
    shape, geometry = input._type.shape, input._strides
    step = geometry.stride[d] * shape[d] if d < input.ndim else 1
    return input._view(Reshape((*shape[:d], 1, *shape[d:])),
                       Geometry((*geometry.stride[:d], step, *geometry.stride[d:]), geometry.offset))


# --- Transpose --------------------------------------------------------------------------------------------------------


@method("permute")
def _permute_method(self: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """The dimensions in another order."""
    return permute(self, shape_argument(order, dims, "dims"))


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """A view with the dimensions in another order.

    y[i_dims[0], i_dims[1], ...] = x[i_0, i_1, ...]

    Args: `input` (*); `dims`, all its dimensions once, in the order that they are to have.
    Returns a view. Raises RuntimeError if `dims` are not as many as there are, or one comes twice; IndexError for one
    that is not there.

    >>> import flambeau as torch
    >>> torch.permute(torch.ones(2, 3, 5), (2, 0, 1)).shape
    torch.Size([5, 2, 3])

    Source: https://pytorch.org/docs/stable/generated/torch.permute.html
    """
    dims = whole_list(dims, "dims")
    if len(dims) != input.ndim:
        raise RuntimeError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the "
                           f"desired ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to "
                           f"len(dims) = {len(dims)}")
    order = tuple(checked_dim(d, input.ndim) for d in dims)
    if len(set(order)) < len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    geometry = input._strides
    return input._view(Permute(order), Geometry(tuple(geometry.stride[d] for d in order), geometry.offset))


@method("transpose", "swapdims")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions exchanged.

    Args: `input` (*); `dim0` and `dim1`, the two dimensions, in any order.
    Returns a view, so that writing into it writes into the input. Raises IndexError for a dimension that is not there.

    >>> import flambeau as torch
    >>> torch.transpose(torch.tensor([[1, 2, 3], [4, 5, 6]]), 0, 1)
    tensor([[1, 4],
            [2, 5],
            [3, 6]])

    Source: https://pytorch.org/docs/stable/generated/torch.transpose.html
    """
    a, b = checked_dim(dim0, input.ndim), checked_dim(dim1, input.ndim)
    order = list(range(input.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return permute(input, order)


swapdims = transpose
swapaxes = method("swapaxes")(spelled(transpose))


@method()
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to new places, the others keeping their order."""
    given = [whole_numbers(d, name) for name, d in (("source", source), ("destination", destination))]
    if len(given[0]) != len(given[1]):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({list(given[0])} dims) should contain "
                           f"the same number of dims as destination ({list(given[1])} dims)")
    sources, targets = (tuple(checked_dim(d, input.ndim) for d in dims) for dims in given)
    for name, dims, told in zip(("source", "destination"), (sources, targets), given):
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(told)})")
    if not input.ndim:
        return permute(input, ())
    order = [-1] * input.ndim
    for s, t in zip(sources, targets):
        order[t] = s
    rest = iter(i for i in range(input.ndim) if i not in sources)
    return permute(input, [next(rest) if d == -1 else d for d in order])


moveaxis = method("moveaxis")(movedim)


@method()
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors stay as they are."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return transpose(input, 0, 1) if input.ndim == 2 else input._view(Reshape(input._type.shape), input._geometry)


@method()
def adjoint(input: Tensor) -> Tensor:
    """A view with the last two dimensions exchanged and conjugated."""
    return _flipped(input, "adjoint()", conjugated=True)


def _flipped(x: Tensor, name: str, conjugated: bool = False) -> Tensor:
    """The last two dimensions exchanged; torch's RuntimeError for a vector. What has no dimension stays, with its warning."""
    if x.ndim == 1:
        raise RuntimeError(f"tensor.{name} is only supported on matrices or batches of matrices. Got {x.ndim}-D tensor.")
    if x.ndim == 0:
        tell(f"{'' if '()' in name else 'Tensor.'}{name} is deprecated on 0-D tensors. " + (
   "Consider using x.conj()." if conjugated else "This function is the identity in these cases."))
    else:
        x = transpose(x, -2, -1)
    return x.conj() if conjugated else x


def _conjugate_transpose(x: Tensor) -> Tensor:
    if x.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {x.ndim}-D tensor."
                           + " For batches of matrices, consider using tensor.mH" * (x.ndim > 2))
    return _flipped(x, "H", conjugated=True)


def tensor_property(name: str, get: Any, doc: str) -> None:
    """Give tensors a property."""
    setattr(Tensor, name, property(get, doc=doc))


def _reversed(self: Tensor) -> Tensor:
    if self.ndim != 2:
        tell("The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will throw an "
             "error in a future release. There is `x.mT` for batches of matrices, and `x.permute` for all dimensions.")
    return permute(self, tuple(reversed(range(self.ndim))))


tensor_property("T", _reversed, "The dimensions reversed.")
tensor_property("mT", lambda self: _flipped(self, "mT"), "The last two dimensions exchanged.")
tensor_property("H", _conjugate_transpose, "The conjugate transpose of a matrix.")
tensor_property("mH", lambda self: _flipped(self, "mH", conjugated=True), "The last two dimensions exchanged and conjugated.")


# --- Expand -----------------------------------------------------------------------------------------------------------


@method()
def expand(self: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """Dimensions of size 1 repeated without copying; -1 keeps a size."""
    wanted = shape_argument(sizes, size)
    first = len(wanted) - self.ndim
    if first < 0:
        raise RuntimeError(f"expand(torch.{scalar_name(self.dtype)}Tensor{{{list(self.shape)}}}, "
                           f"size={list(wanted)}): the number of sizes provided ({len(wanted)}) must be greater or equal "
                           f"to the number of dimensions in the tensor ({self.ndim})")
    if any(n < -1 or (n == -1 and i < first) for i, n in enumerate(wanted)):
        raise RuntimeError(f"The expanded size of the tensor ({min(wanted)}) isn't allowed in a leading, non-existing dimension "
                           f"{wanted.index(min(wanted))}")
    shape, strides = list(wanted), [0] * len(wanted)
    for i, (n, s) in enumerate(zip(self._type.shape, self._strides.stride), first):
        shape[i] = n if wanted[i] == -1 else wanted[i]
        if n not in (1, shape[i]):
            raise RuntimeError(f"The expanded size of the tensor ({wanted[i]}) must match the existing size ({n}) at "
                               f"non-singleton dimension {i}.  Target sizes: {list(wanted)}.  "
                               f"Tensor sizes: {list(self.shape)}")
        strides[i] = s if n == shape[i] else 0
    dims = tuple(range(first, len(wanted)))
    return self._view(Expand(tuple(shape), dims), Geometry(tuple(strides), self._strides.offset))


@method()
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """expand to the shape of `other`."""
    return expand(self, other.shape)


def broadcast_to(input: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """The tensor expanded to a size."""
    return expand(input, *sizes, size=size)


method()(broadcast_to)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    shape = broadcast_shapes(*(x._type.shape for x in tensors))
    return tuple(expand(x, shape) for x in tensors)


@method()
def repeat(self: Tensor, *counts: Any, repeats: Any = None) -> Tensor:
    """Copies side by side, `repeats[i]` of them along dimension i."""
    counts = shape_argument(counts, repeats, "repeats")
    if len(counts) < self.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (*(1,) * (len(counts) - self.ndim), *self._type.shape)
    if any(c < 0 for c in counts):
        sizes = [c * n for c, n in zip(counts, shape)]
        raise RuntimeError(f"Trying to create tensor with negative dimension {next(n for n, c in zip(sizes, counts) if c < 0)}: "
                           f"{sizes}")
    value = ops.reshape(self._read(), shape=tuple(x for n in shape for x in (1, n)))
    spread = tuple(x for c, n in zip(counts, shape) for x in (c, n))
    value = ops.broadcast(value, shape=spread, dims=tuple(range(len(spread))))
    return wrap(ops.reshape(value, shape=tuple(c * n for c, n in zip(counts, shape))))


@method()
@spelled
def tile(input: Tensor, *counts: Any, dims: Any = None) -> Tensor:
    """numpy's tile: `repeat` with missing leading counts of 1."""
    counts = shape_argument(counts, dims, "dims")
    return repeat(input, *(1,) * (input.ndim - len(counts)), *counts)


# --- More dimensions --------------------------------------------------------------------------------------------------


def _at_least(x: Tensor, ndim: int) -> Tensor:
    while x.ndim < ndim:
        x = unsqueeze(x, 2 if x.ndim == 2 else 0)
    return x


def atleast_1d(*tensors: Any) -> Any:
    """With at least one dimension; several tensors give a tuple."""
    return _each(tensors, 1)


def atleast_2d(*tensors: Any) -> Any:
    """With at least two dimensions, vectors as rows; several tensors give a tuple."""
    return _each(tensors, 2)


def _each(tensors: tuple[Any, ...], ndim: int) -> Any:
    """One tensor with at least that many dimensions, or a tuple of several."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return _at_least(tensors[0], ndim)
    given = tensors[0] if len(tensors) == 1 else tensors
    return tuple(_at_least(x, ndim) for x in given)


def atleast_3d(*tensors: Any) -> Any:
    """With at least three dimensions: of a vector the second one, of a matrix the first two are its own."""
    return _each(tensors, 3)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinate grids of vectors."""
    vectors = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    if not vectors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        tell("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument. It is 'ij' now.")
    elif indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for v in vectors:
        if v.ndim > 1:
            raise RuntimeError("torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: one of shape "
                               f"{list(v.shape)}")
        if v.dtype is not vectors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    if indexing == "xy":
        grids = meshgrid(*vectors, indexing="ij")
        return tuple(transpose(g, 0, 1) for g in grids) if len(vectors) > 1 else grids
    shape = tuple(v.numel() for v in vectors)
    return tuple(expand(reshape(v, [-1 if i == j else 1 for j in range(len(shape))]), shape) for i, v in enumerate(vectors))
