"""The bits of one dtype as numbers of another, as `Tensor.view(dtype)` shows them: little-endian, whatever the platform."""

from __future__ import annotations

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ops.elementwise import compare, complex_, convert, imag, mul, real, shift_left, shift_right_logical
from ..ops.reduction import reduce_sum
from ..ops.structural import Ints, bitcast, broadcast, concatenate, iota, reshape, slice_

_WORDS = {1: dtypes.uint8, 2: dtypes.uint16, 4: dtypes.uint32, 8: dtypes.uint64}


def viewed_shape(shape: Ints, before: dtype, after: dtype) -> Ints:
    """The shape of `before` seen as `after`: the last dimension grows or shrinks."""
    if before.itemsize == after.itemsize:
        return shape
    return (*shape[:-1], shape[-1] * before.itemsize // after.itemsize)


def reinterpreted(x: Value, kind: dtype) -> Value:
    """The memory of a row-major `x` as elements of `kind`. No gradient flows.

    >>> import flambeau as torch
    >>> torch.tensor([1, 2**32]).view(torch.int32)
    tensor([1, 0, 0, 1], dtype=torch.int32)
    """
    shape = viewed_shape(x.type.shape, x.type.dtype, kind)
    words = _words(reshape(x, shape=(x.type.size,)))
    part = dtypes.uint8 if kind is dtypes.boolean else kind.real_form if kind.is_complex else kind
    words = _resized(words, _WORDS[part.itemsize])
    return reshape(_numbers(words, part, kind), shape=shape)


def _words(x: Value) -> Value:
    """A vector as unsigned integers of its elements' width; complex numbers as two."""
    if x.type.dtype.is_complex:
        pair = (x.type.size, 1)
        x = concatenate(reshape(real(x), shape=pair), reshape(imag(x), shape=pair), axis=1)
        x = reshape(x, shape=(x.type.size,))
    if x.type.dtype is dtypes.boolean:
        return convert(x, dtype=dtypes.uint8)
    word = _WORDS[x.type.dtype.itemsize]
    return x if x.type.dtype is word else bitcast(x, dtype=word)


def _resized(words: Value, to: dtype) -> Value:
    """Words cut into smaller ones, or put together to larger ones; the low bits come first."""
    wide, narrow = words.type.dtype.itemsize, to.itemsize
    if wide == narrow:
        return words
    ratio = max(wide, narrow) // min(wide, narrow)
    shape = (words.type.size, ratio) if wide > narrow else (words.type.size // ratio, ratio)
    if wide > narrow:
        spread = broadcast(words, shape=shape, dims=(0,))
        return reshape(convert(shift_right_logical(spread, _shifts(spread, narrow)), dtype=to),
                       shape=(words.type.size * ratio,))
    wider = convert(reshape(words, shape=shape), dtype=to)
    return reduce_sum(shift_left(wider, _shifts(wider, wide)), axes=(1,))


def _shifts(like: Value, size: int) -> Value:
    along = iota.on(like.device, shape=like.type.shape, axis=1, dtype=like.type.dtype)
    return mul(along, full_like(like, 8 * size))


def _numbers(words: Value, part: dtype, kind: dtype) -> Value:
    """A vector of words as numbers of `kind`, whose real part is `part`."""
    if kind is dtypes.boolean:
        return compare(words, full_like(words, 0), direction="NE")
    numbers = words if words.type.dtype is part else bitcast(words, dtype=part)
    if not kind.is_complex:
        return numbers
    count = numbers.type.size // 2
    halves = [slice_(reshape(numbers, shape=(count, 2)), start=(0, i), limit=(count, i + 1), stride=(1, 1)) for i in (0, 1)]
    return complex_(*(reshape(half, shape=(count,)) for half in halves))
