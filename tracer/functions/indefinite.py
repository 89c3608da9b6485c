"""LDL^T of symmetric and Hermitian matrices that need not be definite: LAPACK's sytrf and hetrf, written in primitives.

There is no such call in jaxlib. Bunch and Kaufman's pivoting (1977), a column at a time, as LAPACK's unblocked form does it,
so that the pivots are the same numbers.
"""

from __future__ import annotations

import math
from typing import Any

from ..ir import dtypes
from ..ir.errors import LinAlgError
from ..ops.linalg import triangular_solve
from ..ops.lu import inverse_of, permutation, permuted
from ..tensor.tensor import Tensor
from .arithmetic import add, div, mul, remainder, sub
from .checks import check_info
from .choosing import maximum, where
from .comparing import eq, ge, gt, logical_and, logical_not, logical_or, lt, ne
from .complex_numbers import conj, imag, real
from .control import while_loop
from .creation import zeros, zeros_like
from .cumulative import cumsum
from .joining import cat
from .linear import matmul
from .matrices import adjoint, by_columns, require_inexact, require_square
from .matrix_functions import linalg_diagonal
from .methods import EXACT, with_out_of
from .operands import broadcast_shapes, scalar_name, wrap
from .ranges import arange
from .rearranging import roll
from .reduce import amax, any_, argmax, sum
from .refusals import COMPLEX, FULL, require_kind
from .return_types import return_type
from .shape import expand, reshape, squeeze, swapaxes, unsqueeze
from .triangular import tril
from .unary import abs as absolute

_LdlFactor, _LdlFactorEx = return_type("linalg_ldl_factor", "LD pivots"), return_type("linalg_ldl_factor_ex", "LD pivots info")
ALPHA = (1 + math.sqrt(17)) / 8  # the growth of a step with one pivot and that of one with two are equal
FAILED = ("torch.linalg.{name}: {{batch}}The diagonal element {{value}} of D is exactly zero: the factorization is complete, but "
          "solving with it would divide by zero")


# --- The factorisation ------------------------------------------------------------------------------------------------


def _size(x: Tensor) -> Tensor:
    """LAPACK's size of a number: |re| + |im|."""
    return add(absolute(real(x)), absolute(imag(x))) if x.dtype.is_complex else absolute(x)


def _at(mask: Tensor, x: Tensor, dim: int) -> Tensor:
    """The row, column or element that the mask leaves, with its dimension kept."""
    return sum(where(mask, x, 0), dim, True)


def _transposed(x: Tensor, hermitian: bool) -> Tensor:
    return adjoint(x) if hermitian else swapaxes(x, -2, -1)


class _Places:
    """Which elements of n x n matrices lie in which rows and columns; k and the like are [..., 1, 1]."""

    def __init__(self, n: int, device: Any) -> None:
        numbers = arange(n, dtype=dtypes.int32, device=device)
        self.row, self.column = unsqueeze(numbers, -1), unsqueeze(numbers, 0)

    def exchanged(self, x: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """x with rows i and j exchanged."""
        first, second = _at(eq(self.row, i), x, -2), _at(eq(self.row, j), x, -2)
        return where(eq(self.row, i), second, where(eq(self.row, j), first, x))


def _pivot(W: Tensor, k: Tensor, p: _Places) -> tuple[Tensor, Tensor, Tensor]:
    """The row to exchange with, whether two rows are eliminated together, whether nothing is left in the column."""
    size = _size(W)
    rest = logical_and(gt(p.row, k), eq(p.column, k))
    below = sum(where(rest, size, 0), -1, True)
    imax = unsqueeze(argmax(where(gt(p.row, k), below, -1.0), -2), -1).to(dtypes.int32)
    column, diagonal = amax(below, -2, True), _at(eq(p.row, k), _at(eq(p.column, k), size, -1), -2)
    other = logical_and(logical_and(eq(p.row, imax), ge(p.column, k)), ne(p.column, imax))
    row = amax(amax(where(other, size, 0.0), -1, True), -2, True)
    corner = _at(eq(p.row, imax), _at(eq(p.column, imax), size, -1), -2)
    nothing = eq(maximum(diagonal, column), 0)
    ratio = div(column, where(eq(row, 0), 1.0, row))
    stays = logical_or(logical_or(ge(diagonal, mul(column, ALPHA)), ge(diagonal, mul(mul(column, ratio), ALPHA))), nothing)
    one = logical_or(stays, ge(corner, mul(row, ALPHA)))
    return where(stays, k, imax), logical_not(one), nothing


def _eliminate(W: Tensor, L: Tensor, pivots: Tensor, info: Tensor, k: Tensor, hermitian: bool) -> tuple[Tensor, ...]:
    """One step: W is what is left of the matrix, L what is done; D goes to L's diagonal and, of pairs, below it."""
    p = _Places(W._type.shape[-1], W.device)
    kp, two, nothing = _pivot(W, k, p)
    kk = where(two, k + 1, k)
    W = _transposed(p.exchanged(_transposed(p.exchanged(W, kk, kp), False), kk, kp), False)
    c1, c2 = _at(eq(p.column, k), W, -1), _at(eq(p.column, k + 1), W, -1)
    a, b, c = _at(eq(p.row, k), c1, -2), _at(eq(p.row, k + 1), c1, -2), _at(eq(p.row, k + 1), c2, -2)
    bt = conj(b) if hermitian else b
    det = sub(mul(a, c), mul(b, bt))
    det, a1 = where(logical_and(two, ne(det, 0)), det, 1), where(nothing, 1, a)
    l1 = where(two, div(sub(mul(c1, c), mul(c2, b)), det), div(c1, a1))
    l2 = where(two, div(sub(mul(c2, a), mul(c1, bt)), det), 0)
    last = where(two, k + 1, k)
    l1, l2 = where(gt(p.row, last), l1, 0), where(gt(p.row, last), l2, 0)
    product = add(matmul(l1, _transposed(c1, hermitian)), matmul(l2, _transposed(c2, hermitian)))
    inside = logical_and(logical_and(gt(p.row, last), gt(p.column, last)), logical_not(nothing))
    done = where(eq(p.row, k), a, where(logical_and(two, eq(p.row, k + 1)), b, l1))
    L = where(eq(p.column, k), where(ge(p.row, k), done, 0), L)
    L = where(logical_and(two, eq(p.column, k + 1)), where(eq(p.row, k + 1), c, l2), L)
    number = where(two, -(kp + 1), kp + 1)
    mine = logical_or(eq(p.column, k), eq(p.column, last))
    pivots = where(squeeze(mine, -2), squeeze(number, -1), pivots)
    first = logical_and(nothing, eq(info, 0))
    return where(inside, sub(W, product), W), L, pivots, where(first, k + 1, info), last + 1


def _ldl(A: Tensor, hermitian: bool) -> tuple[Tensor, Tensor, Tensor]:
    require_square("torch.linalg.ldl_factor_ex", A)
    require_inexact("torch.linalg.ldl_factor_ex", A, kernel="ldl_factor_kernel_cpu")
    hermitian = hermitian and A.dtype.is_complex
    *lead, n = A._type.shape[:-1]
    zero = zeros(*lead, 1, 1, dtype=dtypes.int32, device=A.device)
    pivots = zeros(*lead, n, dtype=dtypes.int32, device=A.device)
    if A.numel() == 0:
        return A.clone(), pivots, zeros(*lead, dtype=dtypes.int32, device=A.device)
    fixed = A.detach()
    lower = tril(fixed)
    W = add(lower, _transposed(tril(fixed, -1), hermitian))
    if hermitian:
        W = where(eq(_Places(n, A.device).row, _Places(n, A.device).column), real(W).to(W.dtype), W)

    def step(*carried: Tensor) -> tuple[Tensor, ...]:
        W, L, pivots, info, k = carried
        after = _eliminate(W, L, pivots, info, k, hermitian)
        going = lt(k, n)
        return tuple(where(squeeze(going, -1) if old.ndim < going.ndim else going, new, old) for new, old in zip(after, carried))

    found = while_loop(lambda *carried: any_(lt(carried[-1], n)), step, (W, zeros_like(W), pivots, zero, zero))
    return by_columns(found[1]), found[2], reshape(found[3], lead)


@with_out_of(EXACT)
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> Any:
    """(LD, pivots) with A = L D L^T, or L D L^H if `hermitian`, for symmetric or Hermitian A that need not be definite.

    Args: `A` (*, n, n), of which the lower triangle is read. LD has D, with blocks of one or two rows, on its diagonal and L
    below; pivots are LAPACK's, negative for blocks of two. For `ldl_solve`. There is no gradient.

    >>> import flambeau as torch
    >>> torch.linalg.ldl_factor(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).pivots
    tensor([-2, -2], dtype=torch.int32)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.ldl_factor.html
    """
    packed, pivots, info = _ldl(A, hermitian)
    check_info("ldl_factor", info, LinAlgError, FAILED.format(name="ldl_factor"))
    return _LdlFactor(packed, pivots)


@with_out_of(EXACT)
def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """`ldl_factor` that does not raise: (LD, pivots, info), where info is the first zero of D's diagonal, counted from 1."""
    found = _ldl(A, hermitian)
    if check_errors:
        check_info("ldl_factor_ex", found[2], LinAlgError, FAILED.format(name="ldl_factor_ex"))
    return _LdlFactorEx(*found)


# --- Systems ----------------------------------------------------------------------------------------------------------


def _in_order(LD: Tensor, exchanges: Tensor, first: Tensor) -> Tensor:
    """L with every row exchange done in the columns before its block too, where LAPACK leaves them out.

    The exchange of a pair is one of its second row: the column before is of the same block.
    """
    p = _Places(LD._type.shape[-1], LD.device)
    n = LD._type.shape[-1]

    def step(k: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        other = sub(_at(eq(p.column, k), unsqueeze(exchanges, -2), -1), 1)
        paired = _at(eq(p.column, k - 1), unsqueeze(first, -2).to(dtypes.int32), -1)
        return k + 1, where(lt(p.column, k - paired), p.exchanged(x, k, other), x)

    return while_loop(lambda k, x: lt(k, n), step, (zeros((), dtype=dtypes.int32, device=LD.device), LD))[1]


@with_out_of(EXACT)
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """The X with A X = B, for what `ldl_factor` gave of A."""
    _check_ldl(LD, pivots, B)
    require_kind("ldl_solve_kernel_cpu", LD, FULL | COMPLEX)
    lead = broadcast_shapes(LD._type.shape[:-2], B._type.shape[:-2])
    b = expand(B, (*lead, *B._type.shape[-2:]))
    if 0 in b._type.shape:
        return b.clone()
    negative = lt(pivots, 0)
    first = logical_and(negative, eq(remainder(cumsum(negative, -1), 2), 1))
    n = LD._type.shape[-1]
    numbers = arange(1, n + 1, dtype=dtypes.int32, device=LD.device)
    exchanges = where(first, numbers, absolute(pivots)).to(dtypes.int32)
    below = cat([linalg_diagonal(LD, offset=-1), zeros_like(pivots[..., :1]).to(LD.dtype)], -1)
    inner = where(first, below, 0)  # D's elements below its diagonal, each at the first row of its pair
    mask = where(unsqueeze(first, -2), eq(_Places(n, LD.device).row, _Places(n, LD.device).column + 1), False)
    L = expand(_in_order(where(mask, 0, tril(LD, -1)), exchanges, first), (*lead, n, n))
    order = expand(wrap(permutation(exchanges._read(), n)), (*lead, n))
    y = _triangle_solved(L, wrap(permuted(b._read(), order._read())), "NO_TRANSPOSE")
    z = _blocks_solved(linalg_diagonal(LD), inner, first, y, hermitian and LD.dtype.is_complex)
    x = _triangle_solved(L, z, "ADJOINT" if hermitian else "TRANSPOSE")
    return by_columns(wrap(permuted(x._read(), inverse_of(order._read()))))


def _triangle_solved(L: Tensor, b: Tensor, transpose: str) -> Tensor:
    return wrap(triangular_solve(L._read(), b._read(), left_side=True, lower=True, unit_diagonal=True, transpose_a=transpose))


def _blocks_solved(D: Tensor, b: Tensor, first: Tensor, y: Tensor, hermitian: bool) -> Tensor:
    """D^-1 y, of blocks of one or two rows; b is at the first row of each pair."""
    second = roll(first, 1, -1)
    partner = where(unsqueeze(first, -1), roll(y, -1, -2), roll(y, 1, -2))
    other = where(first, roll(D, -1, -1), roll(D, 1, -1))
    side = where(first, conj(b) if hermitian else b, roll(b, 1, -1))
    across = where(first, mul(b, conj(b) if hermitian else b), roll(mul(b, conj(b) if hermitian else b), 1, -1))
    pair = logical_or(first, second)
    det = where(pair, sub(mul(D, other), across), D)
    top = where(unsqueeze(pair, -1), sub(mul(unsqueeze(other, -1), y), mul(unsqueeze(side, -1), partner)), y)
    return div(top, unsqueeze(det, -1))


def _check_ldl(LD: Tensor, pivots: Tensor, B: Tensor) -> None:
    name = "torch.linalg.ldl_solve"
    if B.ndim < 2:
        raise RuntimeError(f"{name}: Expected B to have at least 2 dimensions, but it has {B.ndim} dimensions instead")
    require_square(name, LD, "LD")
    if pivots._type.shape != LD._type.shape[:-1]:
        raise RuntimeError(f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
                           f"{list(pivots.shape)} instead")
    if pivots.dtype.is_inexact or pivots.dtype is dtypes.boolean:
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {scalar_name(pivots.dtype)}")
    if not LD.dtype.is_inexact:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {scalar_name(LD.dtype)}")
    if LD.dtype is not B.dtype:
        raise RuntimeError(f"LD dtype {scalar_name(LD.dtype)} does not match b dtype {scalar_name(B.dtype)}")
    (n, _), k = LD._type.shape[-2:], B._type.shape[-2]
    if n != k:
        raise RuntimeError(f"Incompatible matrix sizes for {name}: each A matrix is {n} by {n} but each b matrix is {k} by "
                           f"{B._type.shape[-1]}")
