"""Where the elements of a tensor lie in its memory: sizes, strides and an offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..ops.structural import Ints


@dataclass(slots=True, unsafe_hash=True)
class Geometry:
    """torch's metadata of a tensor: strides and offset, in elements of its storage.

    Nothing changes one, as nothing changes a step of a view. They are made for each view, and a frozen class costs five times
    as much to make.
    """

    stride: Ints
    offset: int = 0


@lru_cache(maxsize=4096)
def contiguous_stride(shape: Ints) -> Ints:
    """Row-major strides; a dimension of size 0 counts as 1, as in torch."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def settled_stride(shape: Ints, stride: Ints) -> Ints:
    """Strides that a tensor is to be given; torch's RuntimeError if elements would lie backwards.

    Nothing is said by the stride of a dimension without steps: a negative one becomes that of row-major order, as in torch.
    """
    if all(s >= 0 for s in stride):
        return stride
    if 0 not in shape and any(s < 0 and n > 1 for n, s in zip(shape, stride)):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(stride)}")
    settled: list[int] = []  # the innermost first
    for d in reversed(range(len(shape))):
        settled.append(stride[d] if stride[d] >= 0 else max(shape[d + 1], 1) * settled[-1] if settled else 1)
    return tuple(reversed(settled))


def is_contiguous(shape: Ints, stride: Ints) -> bool:
    """Whether elements lie in row-major order without gaps."""
    if 0 in shape:
        return True
    expected = 1
    for n, s in zip(reversed(shape), reversed(stride)):
        if n != 1:
            if s != expected:
                return False
            expected *= n
    return True


def lies_in_order(shape: Ints, geometry: Geometry | None, order: Ints | None) -> bool:
    """Whether elements lie without gaps and row-major, or with the dimensions in this order from the outermost on."""
    if order is None:
        return geometry is None or is_contiguous(shape, geometry.stride)
    stride = contiguous_stride(shape) if geometry is None else geometry.stride
    return len(order) == len(shape) and is_contiguous(tuple(shape[d] for d in order), tuple(stride[d] for d in order))


@lru_cache(maxsize=4096)
def notable_stride(shape: Ints, stride: Ints) -> Ints | None:
    """The strides, unless they are row-major."""
    return None if is_contiguous(shape, stride) else stride


def passed_on(shape: Ints, geometry: Geometry | None) -> Geometry | None:
    """The metadata of a tensor whose elements are passed on without the memory around them: it keeps its strides."""
    stride = None if geometry is None else notable_stride(shape, geometry.stride)
    return None if stride is None else Geometry(stride)


def of_gradient(shape: Ints, geometry: Geometry | None) -> Geometry | None:
    """The metadata that a leaf's `.grad` has: the leaf's strides if these leave no gaps, else row-major ones."""
    passed = passed_on(shape, geometry)
    return passed if passed is not None and dense_stride(shape, [passed.stride]) == passed.stride else None


def viewed_stride(shape: Ints, stride: Ints, new: Ints) -> Ints | None:
    """The strides with which `new` shows the same memory, or None when no strides can (torch's computeStride)."""
    if 0 in shape:
        return contiguous_stride(new)
    result = [0] * len(new)
    position = len(new) - 1
    chunk_base = stride[-1] if stride else 1
    in_chunk = in_view = 1
    for d in range(len(shape) - 1, -1, -1):
        in_chunk *= shape[d]
        ends = d == 0 or (shape[d - 1] != 1 and stride[d - 1] != in_chunk * chunk_base)
        if not ends:
            continue
        while position >= 0 and (in_view < in_chunk or new[position] == 1):
            result[position] = in_view * chunk_base
            in_view *= new[position]
            position -= 1
        if in_view != in_chunk:
            return None
        if d > 0:
            chunk_base = stride[d - 1]
            in_chunk = in_view = 1
    while position >= 0 and new[position] == 1:
        result[position] = in_view * chunk_base
        position -= 1
    return tuple(result) if position < 0 else None


def dense_stride(shape: Ints, strides: Sequence[Ints]) -> Ints:
    """Strides without gaps that keep the order of dimensions which the operands of an elementwise function have.

    Of two dimensions the one that lies closer together in the first operand that tells comes later.
    """
    order = list(range(len(shape) - 1, -1, -1))
    for i in range(1, len(order)):
        at = i
        for earlier in range(i - 1, -1, -1):
            before = _comes_before(order[earlier], order[at], shape, strides)
            if before > 0:
                order[earlier], order[at] = order[at], order[earlier]
                at = earlier
            elif before < 0:
                break
    result, step = [0] * len(shape), 1
    for d in order:
        result[d] = step
        step *= max(shape[d], 1)
    return tuple(result)


def _comes_before(a: int, b: int, shape: Ints, strides: Sequence[Ints]) -> int:
    """-1 if dimension `a` is the inner one of the two, 1 if `b` is, 0 if no operand tells."""
    for stride in strides:
        if 0 in (stride[a], stride[b]):
            continue
        if stride[a] != stride[b]:
            return -1 if stride[a] < stride[b] else 1
        if shape[a] > shape[b]:
            return 1
    return 0


def is_dense(shape: Ints, stride: Ints) -> bool:
    """Whether elements fill a memory of their number without gaps, in any order of dimensions."""
    order = sorted(range(len(shape)), key=lambda d: (-stride[d], -shape[d]))
    return is_contiguous(tuple(shape[d] for d in order), tuple(stride[d] for d in order))


def overlaps(shape: Ints, stride: Ints) -> bool:
    """Whether two elements share one place."""
    if 0 in shape:
        return False
    reach = 0
    for s, n in sorted((s, n) for n, s in zip(shape, stride) if n > 1):
        if s <= reach:
            return s == 0 or _places_repeat(shape, stride)
        reach += s * (n - 1)
    return False


def _places_repeat(shape: Ints, stride: Ints) -> bool:
    places = sum(np.arange(n).reshape(-1, *[1] * (len(shape) - 1 - d)) * s for d, (n, s) in enumerate(zip(shape, stride)))
    return int(np.unique(places).size) < int(np.prod(shape))
