"""Norms, rows of bounded length and distances: https://pytorch.org/docs/stable/torch.html#reduction-ops"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir import dtypes
from ..ops.elementwise import with_value
from ..tensor.scalar import real
from ..tensor.tensor import Tensor
from .arithmetic import add, mul, sub
from .choosing import clamp, where
from .comparing import eq, isnan, ne
from .dims import checked_dim, real_number
from .layout import in_rows, lies
from .linear import matmul
from .methods import EXACT, in_place, method, with_out_of
from .operands import common_shape, scalar_name, wrap
from .reduce import Dims, amax, amin, power, sum
from .refusals import FULL, require_kind
from .shape import movedim, squeeze, unsqueeze
from .unary import abs as absolute
from .unary import ceil, reciprocal, square

# --- Norms ------------------------------------------------------------------------------------------------------------


def length(x: Tensor, p: float, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The p-norm (sum |x|^p)^(1/p); its gradient is zero where the norm is, and at zeros where it has no limit."""
    size, dim = absolute(x), () if dim is None else dim  # no dimensions are all, also where they are kept
    if p == math.inf or p == -math.inf:  # of a number of a traced function no more is asked than this
        return _extreme(amax if p > 0 else amin, size, dim, keepdim)
    if p == 0:
        return sum(where(ne(x, 0), 1.0, mul(size, 0)), dim, keepdim)
    if p == 1:
        return sum(size, dim, keepdim)
    # the slope of x ** 2 has a slope at 0, that of |x| ** 2 has none
    powers = power(size, p) if p != 2 else square(size if x.dtype.is_complex else x)
    total = sum(powers, dim, keepdim)
    if total._type.size == powers._type.size:  # of one element the norm is its size, by any p: nothing is rounded
        return sum(size, dim, keepdim)
    return power(total, 1 / p)


def _extreme(reduce: Callable[..., Tensor], size: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    """The extreme, whose gradient is zero, rather than NaN, where it is NaN."""
    found = reduce(size, dim, keepdim)
    slope = where(isnan(found), 0.0, reduce(where(isnan(size), 0.0, size), dim, keepdim))
    return wrap(with_value(slope._read(), found._read()))


@in_place()
@with_out_of(EXACT)
@lies(in_rows)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices along `dim` whose p-norm is above maxnorm shrunk to it: each times maxnorm / (norm + 1e-7).

    >>> import flambeau as torch
    >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    for name, number in (("p", p), ("maxnorm", maxnorm)):
        if isinstance(number, complex):
            raise RuntimeError(f"renorm: {name} must be real-valued")
    if not p > 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if not maxnorm >= 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    axis = checked_dim(dim, input.ndim)
    if not input.dtype.is_inexact:
        raise RuntimeError("linalg.vector_norm: Expected a floating point or complex tensor as input. "
                           f"Got {scalar_name(input.dtype)}")
    if maxnorm == math.inf:
        return input.clone()
    wide = input.to(dtypes.float32) if input.dtype.itemsize < 4 else input
    norms = length(wide, real(p), [d for d in range(input.ndim) if d != axis], True)
    factors = where(norms > maxnorm, mul(reciprocal(add(norms, 1e-7)), maxnorm), 1)
    return mul(input, factors if wide is input else factors.to(input.dtype))


# --- Distances --------------------------------------------------------------------------------------------------------


@method()
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other, which broadcast: (sum |x - y|^p)^(1/p), the largest for inf, the count for 0.

    >>> import flambeau as torch
    >>> torch.dist(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0]))
    tensor(5.)
    """
    gap, order = sub(input, other), real_number(p, "p")
    if not gap.dtype.is_inexact:
        raise RuntimeError("norm(): input dtype should be either floating point or complex. Got "
                           f"{scalar_name(gap.dtype)} instead.")
    if gap.numel() == 0 and (order < 0 or order == math.inf):
        raise RuntimeError(f"linalg.vector_norm cannot compute the {order:g} norm on an empty tensor because the operation "
                           "does not have an identity")
    return length(gap, order)


_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


def _check_points(x1: Tensor, x2: Tensor, p: float) -> None:
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    if x1._type.shape[-1] != x2._type.shape[-1]:
        raise RuntimeError("X1 and X2 must have the same number of columns. "
                           f"X1: {x1._type.shape[-1]} X2: {x2._type.shape[-1]}")
    for name, x in (("X1", x1), ("X2", x2)):
        if not x.dtype.is_floating_point:
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {scalar_name(x.dtype)}")
    if not p >= 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if x1.dtype is not x2.dtype:
        raise RuntimeError(f"expected scalar type {scalar_name(x1.dtype)} but found {scalar_name(x2.dtype)}")


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = _MODES[0]) -> Tensor:
    """The p-norm distances between all rows of x1 [..., n, k] and all of x2 [..., m, k], as [..., n, m].

    Euclidean distances of more than 25 rows come from one product of matrices, |x|^2 + |y|^2 - 2 x.y, which is fast and
    cancels digits between near points; `compute_mode="donot_use_mm_for_euclid_dist"` takes differences there too.

    >>> import flambeau as torch
    >>> torch.cdist(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    tensor([[4.],
            [5.]])
    """
    if compute_mode not in _MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    p = real(p)
    _check_points(x1, x2, p)
    many = max(x1._type.shape[-2], x2._type.shape[-2]) > 25
    if p == 2 and (compute_mode == _MODES[1] or (many and compute_mode == _MODES[0])):
        return _euclidean(x1, x2)
    require_kind("cdist", x1, FULL)
    common_shape(x1._type.shape[:-2], x2._type.shape[:-2])
    gaps = sub(unsqueeze(x1, -2), unsqueeze(x2, -3))
    if p == 0:
        return differing(gaps)
    return farthest(gaps) if p == math.inf else length(gaps, p, -1)


def farthest(gaps: Tensor) -> Tensor:
    """The largest of the last dimension, 0 of none; of equal ones each has the whole gradient, unlike in the norm for inf."""
    size = absolute(gaps)
    if not gaps._type.shape[-1]:
        return sum(size, -1)
    top = amax(size, -1, True).detach()
    chosen = where(isnan(top), math.nan, eq(size, top).to(size.dtype))
    return wrap(with_value(sum(mul(size, chosen), -1)._read(), squeeze(top, -1)._read()))


def differing(gaps: Tensor) -> Tensor:
    """How many of the last dimension are not zero; NaN, unlike in the norm for p = 0, is none that counts."""
    return sum(clamp(ceil(absolute(gaps)), max=1), -1)


def _euclidean(x1: Tensor, x2: Tensor) -> Tensor:
    lengths, others = (sum(square(x), -1, True) for x in (x1, x2))
    products = matmul(x1, movedim(x2, -1, -2))
    return power(clamp(add(sub(lengths, products, alpha=2), movedim(others, -1, -2)), min=0), 0.5)
