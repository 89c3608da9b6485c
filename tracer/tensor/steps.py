"""Views: how a tensor reads out of another one's value, and how a write through it changes that value.

A view step is a pair of functions on values, with torch's (stride, offset) arithmetic beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import is_
from typing import TYPE_CHECKING

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.stand_in import known
from ..ops.elementwise import add, and_, compare, complex_, imag, mul, neg, real, select
from ..ops.indexing import dynamic_slice, dynamic_update_slice, index_nd, index_put_nd
from ..ops.reduction import reduce_min, reduce_or, reduce_sum
from ..ops.structural import (
    Ints,
    broadcast,
    concatenate,
    constant,
    inverse_permutation,
    iota,
    pad,
    reshape,
    slice_,
    transpose,
)
from .bits import reinterpreted
from .scalar import Scalar
from .strides import overlaps

if TYPE_CHECKING:
    from .tensor import Tensor


class Step:
    """One view operation. `read` maps the base's value to the view's; `write` puts a new view value into the base's.

    Where a step `repeats` elements only some of the copies may be new: `merge` is told which were `touched`.
    """

    __slots__ = ()

    @property
    def placed(self) -> bool:
        """Whether strides and offset say where the view lies."""
        return True

    @property
    def repeats(self) -> bool:
        """Whether the view shows an element of the base more than once."""
        return False

    def known(self) -> Step:
        """The step without stand-ins for numbers: it is remembered, and part of what a compiled function returns."""
        names: Sequence[str] = type(self).__slots__
        given = [getattr(self, name) for name in names]
        plain = [known(x) for x in given]
        return self if all(map(is_, given, plain)) else type(self)(*plain)

    def shape_of(self, base: Ints) -> Ints | None:
        """The view's shape, where it is told by the base's alone and the dtype stays; None where `read` must be asked."""
        return None

    def read(self, base: Value) -> Value:
        """The view's value."""
        raise NotImplementedError

    def write(self, base: Value, new: Value) -> Value:
        """The base's value after the view was set to `new`."""
        raise NotImplementedError

    def merge(self, base: Value, new: Value, touched: Value) -> tuple[Value, Value]:
        """The base's value after the touched elements of the view were set, and which elements of the base those are."""
        return self.write(base, new), self.write(full_like(base, 0, dtypes.boolean), touched)


def written_through(steps: Sequence[Step], base: Value, new: Value, touched: Value | None = None) -> Value:
    """The value of the base after the view at the end of a chain of steps was set to `new`.

    Where the view shows elements of the base several times `touched` says which of its own are new, all by default.
    """
    values = [base]
    for step in steps[:-1]:
        values.append(step.read(values[-1]))
    backward = zip(reversed(steps), reversed(values))
    if not any(step.repeats for step in steps):
        for step, before in backward:
            new = step.write(before, new)
        return new
    touched = full_like(new, 1, dtypes.boolean) if touched is None else touched
    for step, before in backward:
        new, touched = step.merge(before, new, touched)
    return new


@dataclass(slots=True, unsafe_hash=True)
class Reshape(Step):
    """The same elements in another shape."""

    shape: Ints

    def shape_of(self, base: Ints) -> Ints:
        return self.shape

    def read(self, base: Value) -> Value:
        return base if base.type.shape == self.shape else reshape(base, shape=self.shape)

    def write(self, base: Value, new: Value) -> Value:
        return reshape(new, shape=base.type.shape)


@dataclass(slots=True, unsafe_hash=True)
class Permute(Step):
    """The dimensions in another order."""

    permutation: Ints

    def read(self, base: Value) -> Value:
        return transpose(base, permutation=self.permutation)

    def write(self, base: Value, new: Value) -> Value:
        return transpose(new, permutation=inverse_permutation(self.permutation))


@dataclass(slots=True, unsafe_hash=True)
class Slice(Step):
    """Every stride-th element from start to limit, along each dimension."""

    start: Ints
    limit: Ints
    stride: Ints

    def slices(self) -> tuple[slice, ...]:
        """The subscript of an array that gives it."""
        return tuple(map(slice, self.start, self.limit, self.stride))

    def shape_of(self, base: Ints) -> Ints:
        return tuple([-(-(b - a) // s) for a, b, s in zip(self.start, self.limit, self.stride)])

    def read(self, base: Value) -> Value:
        return slice_(base, start=self.start, limit=self.limit, stride=self.stride)

    def write(self, base: Value, new: Value) -> Value:
        if new.type is base.type:
            return new
        spans = [(n - 1) * s + 1 if n else 0 for n, s in zip(new.type.shape, self.stride)]
        edges = {"low": self.start,
                 "high": tuple(n - a - span for n, a, span in zip(base.type.shape, self.start, spans)),
                 "interior": tuple(s - 1 for s in self.stride)}
        kind = new.type.dtype
        filler = "False" if kind is dtypes.boolean else "0.0,0.0" if kind.is_complex else "0.0" if kind.is_inexact else "0"
        placed = pad(new, constant.on(new.device, value=filler, shape=(), dtype=kind), **edges)
        inside = full_like(new, 1, dtypes.boolean)
        mask = pad(inside, constant.on(new.device, value="False", shape=(), dtype=dtypes.boolean), **edges)
        return select(mask, placed, base)


def block_of(sizes: Ints, apart: Ints, *start: int | Scalar | Tensor) -> Slice | Window:
    """The view of a block of these sizes, in a memory whose neighbours lie `apart` bytes from each other."""
    plain = tuple(a for a in start if type(a) is int)
    if len(plain) < len(start):
        return Window(start, sizes, apart)
    return Slice(plain, tuple(a + n for a, n in zip(plain, sizes)), (1,) * len(sizes))


@dataclass(frozen=True, slots=True, eq=False)
class Window(Step):
    """A block that lies where the call says: its `start`, known to be within range, holds what is no plain number.

    That is a number of the trace in progress, or a 0-d tensor of int64 that nobody else holds.
    """

    start: tuple[int | Scalar | Tensor, ...]
    sizes: Ints
    apart: Ints

    @property
    def placed(self) -> bool:
        return not self.computed()

    def computed(self) -> list[tuple[Tensor, int]]:
        """The positions that tensors say, and how many bytes lie between one and the next."""
        return [(a, n) for a, n in zip(self.start, self.apart) if type(a) not in (int, Scalar)]  # type: ignore[misc]

    def known(self) -> Step:
        return self

    def _starts(self, device: str) -> list[Value]:
        return [constant.on(device, value=str(a), shape=(), dtype=dtypes.int64) if type(a) is int else
                a.on(device) if type(a) is Scalar else a._read() for a in self.start]  # type: ignore[union-attr]

    def read(self, base: Value) -> Value:
        return dynamic_slice(base, *self._starts(base.device), sizes=self.sizes)

    def write(self, base: Value, new: Value) -> Value:
        return dynamic_update_slice(base, new, *self._starts(base.device))

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Window) and self.sizes == other.sizes
                and all(a is b or (type(a) is type(b) is int and a == b) for a, b in zip(self.start, other.start)))

    def __hash__(self) -> int:
        return hash(self.sizes)


@dataclass(slots=True, unsafe_hash=True)
class Expand(Step):
    """Repeated along dimensions. If several copies of one element are written, the first one counts."""

    shape: Ints
    dims: Ints

    @property
    def repeats(self) -> bool:
        return True

    def read(self, base: Value) -> Value:
        return broadcast(base, shape=self.shape, dims=self.dims)

    def write(self, base: Value, new: Value) -> Value:
        return self.merge(base, new, full_like(new, 1, dtypes.boolean))[0]

    def merge(self, base: Value, new: Value, touched: Value) -> tuple[Value, Value]:
        kept = {d for d, n in zip(self.dims, base.type.shape) if n == self.shape[d]}
        axes = tuple(d for d in range(len(self.shape)) if d not in kept)
        boolean = new.type.dtype is dtypes.boolean
        first = self._first(touched, axes)
        only = and_(first, new) if boolean else select(first, new, full_like(new, 0))
        found = reshape((reduce_or if boolean else reduce_sum)(only, axes=axes), shape=base.type.shape)
        marked = reshape(reduce_or(touched, axes=axes), shape=base.type.shape)
        return select(marked, found, base), marked

    def _first(self, touched: Value, axes: Ints) -> Value:
        """Of the touched elements those that come first along `axes`."""
        if not axes:
            return touched
        order, step = full_like(touched, 0, dtypes.int64), 1
        for axis in reversed(axes):
            along = iota.on(touched.device, shape=self.shape, axis=axis, dtype=dtypes.int64)
            order = add(order, mul(along, full_like(along, step)))
            step *= self.shape[axis]
        least = reduce_min(select(touched, order, full_like(order, step)), axes=axes)
        rest = tuple(d for d in range(len(self.shape)) if d not in axes)
        return compare(order, broadcast(least, shape=self.shape, dims=rest), direction="EQ")


class Recoded(Step):
    """The same memory, in order, as numbers of another kind: one for each, for several, or several for one."""

    __slots__ = ()

    def merge(self, base: Value, new: Value, touched: Value) -> tuple[Value, Value]:
        shape, size = base.type.shape, base.type.size
        if touched.type.size > size:
            touched = reduce_or(reshape(touched, shape=(size, touched.type.size // size)), axes=(1,))
        elif touched.type.size < size:
            count = touched.type.size
            touched = broadcast(reshape(touched, shape=(count,)), shape=(count, size // count), dims=(0,))
        return self.write(base, new), reshape(touched, shape=shape)


@dataclass(slots=True, unsafe_hash=True)
class Part(Recoded):
    """The real or the imaginary part."""

    imaginary: bool

    def read(self, base: Value) -> Value:
        return imag(base) if self.imaginary else real(base)

    def write(self, base: Value, new: Value) -> Value:
        return complex_(real(base), new) if self.imaginary else complex_(new, imag(base))


@dataclass(slots=True, unsafe_hash=True)
class Conjugate(Recoded):
    """The complex conjugate."""

    def read(self, base: Value) -> Value:
        return complex_(real(base), neg(imag(base)))

    def write(self, base: Value, new: Value) -> Value:
        return self.read(new)


def signs(x: Tensor) -> tuple[bool, bool]:
    """torch's two marks of a view: whether it shows the conjugates, or the negatives, of what is in memory."""
    steps, root = list(x._steps), x
    while root._base is not None:
        root = root._root
        steps = [*root._steps, *steps]
    conjugate = negative = False
    for step in steps:
        if type(step) is Conjugate:
            conjugate = not conjugate
        elif type(step) is Part:
            conjugate, negative = False, step.imaginary and conjugate
    return conjugate, negative


@dataclass(slots=True, unsafe_hash=True)
class Pairs(Recoded):
    """Complex numbers as pairs of reals along a new last dimension."""

    def read(self, base: Value) -> Value:
        shape = (*base.type.shape, 1)
        return concatenate(reshape(real(base), shape=shape), reshape(imag(base), shape=shape), axis=len(shape) - 1)

    def write(self, base: Value, new: Value) -> Value:
        return FromPairs().read(new)


@dataclass(slots=True, unsafe_hash=True)
class FromPairs(Recoded):
    """Pairs of reals along the last dimension as complex numbers."""

    def read(self, base: Value) -> Value:
        shape = base.type.shape
        start, stride = (0,) * len(shape), (1,) * len(shape)
        first = slice_(base, start=start, limit=(*shape[:-1], 1), stride=stride)
        second = slice_(base, start=(*start[1:], 1), limit=shape, stride=stride)
        return complex_(reshape(first, shape=shape[:-1]), reshape(second, shape=shape[:-1]))

    def write(self, base: Value, new: Value) -> Value:
        return Pairs().read(new)


@dataclass(slots=True, unsafe_hash=True)
class Bits(Recoded):
    """The same bits under another type."""

    dtype: dtype

    def read(self, base: Value) -> Value:
        return reinterpreted(base, self.dtype)

    def write(self, base: Value, new: Value) -> Value:
        return reinterpreted(new, base.type.dtype)


@dataclass(slots=True, unsafe_hash=True)
class Elements(Step):
    """Elements at given places of the flattened base: what diagonals, windows and arbitrary strides are."""

    shape: Ints
    stride: Ints
    offset: int

    def _places(self, like: Value) -> Value:
        """Positions in the flattened base, shape `self.shape`, made of iotas so that no table enters the program."""
        kind = dtypes.int64
        total = constant.on(like.device, value=str(self.offset), shape=self.shape, dtype=kind)
        for axis, (n, s) in enumerate(zip(self.shape, self.stride)):
            if n > 1 and s:
                along = iota.on(like.device, shape=self.shape, axis=axis, dtype=kind)
                total = add(total, mul(along, full_like(along, s)))
        return total

    def _flat_places(self, base: Value) -> Value:
        count = int(np.prod(self.shape))
        return reshape(self._places(base), shape=(count,))

    def read(self, base: Value) -> Value:
        flat = reshape(base, shape=(base.type.size,))
        return reshape(index_nd(flat, [self._flat_places(base)]), shape=self.shape)

    @property
    def repeats(self) -> bool:
        return overlaps(self.shape, self.stride)

    def write(self, base: Value, new: Value) -> Value:
        return self._put(base, self._flat_places(base), new)

    def merge(self, base: Value, new: Value, touched: Value) -> tuple[Value, Value]:
        places, flags = self._flat_places(base), reshape(touched, shape=(touched.type.size,))
        places = select(flags, places, full_like(places, base.type.size))  # out of range: dropped
        nothing = full_like(base, 0, dtypes.boolean)
        return self._put(base, places, new), self._put(nothing, places, touched)

    def _put(self, base: Value, places: Value, new: Value) -> Value:
        flat = reshape(base, shape=(base.type.size,))
        return reshape(index_put_nd(flat, [places], reshape(new, shape=(new.type.size,)), "set"), shape=base.type.shape)


PLAIN = frozenset((Slice, Reshape, Permute))  # steps of which strides and offset say everything
