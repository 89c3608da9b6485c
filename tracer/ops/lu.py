"""LU with partial pivoting, what its pivots mean, and systems solved with it. Conventions are LAPACK's getrf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .control import closed, while_
from .elementwise import abs_, add, and_, compare, convert, div, imag, mul, not_, real, select, sub
from .indexing import take_along
from .linalg import (
    adjoint,
    batched_anew,
    check_matrices,
    columns,
    composed,
    info_type,
    matmul,
    number,
    part,
    positions,
    rows,
    triangle,
    triangular_solve,
    with_diagonal,
)
from .pieces import zero_slope
from .reduction import argmax, reduce_sum
from .sorting import sort
from .structural import Ints, broadcast, concatenate, constant, iota

PLAIN = {"unit_diagonal": False, "transpose_a": "NO_TRANSPOSE"}
ADJOINT = {"unit_diagonal": False, "transpose_a": "ADJOINT"}
UNIT_ADJOINT = {"unit_diagonal": True, "transpose_a": "ADJOINT"}

# --- The factorisation ------------------------------------------------------------------------------------------------


def _infer(x: Type) -> tuple[Type, Type, Type]:
    check_matrices("lu", x)
    count = min(x.shape[-2:])
    return x, Type.of((*x.shape[:-2], count), dtypes.int32), info_type(x)


def _reference(x: Any) -> tuple[Any, Any, Any]:
    packed = np.array(x)
    count = min(x.shape[-2:])
    pivots, info = np.empty((*x.shape[:-2], count), np.int32), np.zeros(x.shape[:-2], np.int32)
    for index in np.ndindex(x.shape[:-2]):
        a = packed[index]
        for k in range(count):
            p = k + int(np.argmax(np.abs(a[k:, k].real) + np.abs(a[k:, k].imag)))
            pivots[(*index, k)] = p + 1
            a[[k, p]] = a[[p, k]]
            if a[k, k] == 0:
                info[index] = info[index] or k + 1
                continue
            with np.errstate(all="ignore"):
                a[k + 1:, k] /= a[k, k]
                a[k + 1:, k + 1:] -= np.outer(a[k + 1:, k], a[k, k + 1:])
    return packed, pivots, info


def _lower(h: Emitter, x: Operand) -> tuple[Operand, ...]:
    out, pivots, info = h.outs
    if out.size == 0:
        return x, number(h, 0, pivots), number(h, 0, info)
    return composed(h, _eliminated, x)


def _eliminated(x: Value) -> tuple[Value, ...]:
    """The factorisation a column at a time, all matrices of the stack together."""
    count = min(x.type.shape[-2:])
    pivots = _zeros(x, (*x.type.shape[:-2], count))
    carry = (_zeros(x, ()), x, pivots, _zeros(x, x.type.shape[:-2]))
    types = [v.type for v in carry]
    graphs = {"cond": closed(lambda k, *_: [compare(k, full_like(k, count), direction="LT")], types, x.device, "cond"),
              "body": closed(_eliminate, types, x.device, "body")}
    found: tuple[Value, ...] = while_(*carry, **graphs, carried=len(carry))
    return found[1:]


def _zeros(x: Value, shape: Ints) -> Value:
    return constant.on(x.device, value="0", shape=shape, dtype=dtypes.int32)


def _eliminate(k: Value, a: Value, pivots: Value, info: Value) -> tuple[Value, ...]:
    """Step k: exchange rows, divide the column, subtract the product of column and row."""
    shape = a.type.shape
    lead, at = shape[:-2], broadcast(k, shape=shape, dims=())
    row, column = positions(a, -2), positions(a, -1)
    here_row, here_column = (compare(x, at, direction="EQ") for x in (row, column))
    p = _pivot(_sum(here_column, a, -1), k)
    there = compare(row, broadcast(p, shape=shape, dims=tuple(range(len(lead)))), direction="EQ")
    old, new = _sum(here_row, a, -2), _sum(there, a, -2)
    a = select(here_row, columns(new, shape), select(there, columns(old, shape), a))
    pivot = _sum(compare(_along(new), broadcast(k, shape=new.type.shape, dims=()), direction="EQ"), new, -1)
    singular = compare(pivot, full_like(pivot, 0), direction="EQ")
    divisor = select(singular, full_like(pivot, 1), pivot)
    factors = div(_sum(here_column, a, -1), broadcast(divisor, shape=shape[:-1], dims=tuple(range(len(lead)))))
    below, right = (compare(x, at, direction="GT") for x in (row, column))
    lower = rows(factors, shape)
    regular = broadcast(not_(singular), shape=shape, dims=tuple(range(len(lead))))
    reduced = select(and_(and_(below, right), regular), sub(a, mul(lower, columns(new, shape))), a)
    a = select(and_(below, here_column), lower, reduced)
    index = broadcast(k, shape=info.type.shape, dims=())
    first = and_(singular, compare(info, full_like(info, 0), direction="EQ"))
    info = select(first, add(index, full_like(info, 1)), info)
    place = compare(_along(pivots), broadcast(k, shape=pivots.type.shape, dims=()), direction="EQ")
    number = add(p, full_like(p, 1))
    pivots = select(place, broadcast(number, shape=pivots.type.shape, dims=tuple(range(len(lead)))), pivots)
    return add(k, full_like(k, 1)), a, pivots, info


def _along(x: Value) -> Value:
    """The index along the last dimension."""
    return positions(x, -1)


def _sum(mask: Value, x: Value, axis: int) -> Value:
    """The one row, column or element that the mask leaves."""
    found: Value = reduce_sum(select(mask, x, full_like(x, 0)), axes=(x.type.ndim + axis,))
    return found


def _pivot(column: Value, k: Value) -> Value:
    """The row, from k on, of the element of the largest size; LAPACK's size of a complex number is |re| + |im|."""
    size = add(abs_(real(column)), abs_(imag(column))) if column.type.dtype.is_complex else abs_(column)
    passed = compare(_along(column), broadcast(k, shape=column.type.shape, dims=()), direction="LT")
    found = argmax(select(passed, full_like(size, -1), size), axis=size.type.ndim - 1)
    return convert(found, dtype=dtypes.int32)


# --- The gradient -----------------------------------------------------------------------------------------------------


def _vjp(g: Sequence[Value], out: Sequence[Value], x: Value) -> tuple[Value]:
    """With P^T x = [A1 | A2] and L U = A1 of the leading square block; de Hoog, Anderssen and Lukas 2011, extended.

    Of a square matrix: P^T gx = L^-H (strictly lower (L^H gL) + upper (gU U^H)) U^-H.
    """
    packed, pivots, _ = out
    m, n = x.type.shape[-2:]
    k = min(m, n)
    if packed.type.size == 0:
        return (zero_slope(x, g[0]),)
    square, gk = part(packed, (0, k), (0, k)), part(g[0], (0, k), (0, k))
    upper, lower = triangle(square, lower=False), with_diagonal(triangle(square, lower=True, strict=True), 1)
    left = matmul(adjoint(lower), triangle(gk, lower=True, strict=True))
    right = matmul(triangle(gk, lower=False), adjoint(upper))
    if n > k:
        left = sub(left, matmul(part(g[0], (0, k), (k, n)), adjoint(part(packed, (0, k), (k, n)))))
    if m > k:
        right = sub(right, matmul(adjoint(part(packed, (k, m), (0, k))), part(g[0], (k, m), (0, k))))
    middle = add(triangle(left, lower=True, strict=True), triangle(right, lower=False))
    found = _after_upper(square, _after_lower(square, middle))
    if n > k:
        found = concatenate(found, _after_lower(square, part(g[0], (0, k), (k, n))), axis=x.type.ndim - 1)
    if m > k:
        found = concatenate(found, _after_upper(square, part(g[0], (k, m), (0, k))), axis=x.type.ndim - 2)
    return (permuted(found, inverse_of(permutation(pivots, m))),)


def _after_lower(packed: Value, x: Value) -> Value:
    """L^-H x."""
    return triangular_solve(packed, x, left_side=True, lower=True, **UNIT_ADJOINT)


def _after_upper(packed: Value, x: Value) -> Value:
    """x U^-H."""
    return triangular_solve(packed, x, left_side=False, lower=False, **ADJOINT)


# lu(x[..., m, n]) -> (L without its diagonal of ones, with U above it; pivots, counted from 1: row i was exchanged with row
# pivots[i]; info: counted from 1, the first zero on the diagonal of U, or 0).
lu = register(Op("lu", _infer, _reference, _lower, _vjp, batched_anew("lu")))


# --- Permutations -----------------------------------------------------------------------------------------------------


def permutation(pivots: Value, size: int) -> Value:
    """The rows p of a matrix of `size` rows with x[p] = L U, int32, that exchanges by `pivots` give."""
    shape = (*pivots.type.shape[:-1], size)
    start = iota.on(pivots.device, shape=shape, axis=len(shape) - 1, dtype=dtypes.int32)
    count = pivots.type.shape[-1]
    if count == 0 or 0 in shape:
        return start
    carry = (_zeros(pivots, ()), start, pivots)
    types = [v.type for v in carry]
    graphs = {"cond": closed(lambda k, *_: [compare(k, full_like(k, count), direction="LT")], types, pivots.device, "cond"),
              "body": closed(_exchange, types, pivots.device, "body")}
    found: Value = while_(*carry, **graphs, carried=len(carry))[1]
    return found


def _exchange(k: Value, order: Value, pivots: Value) -> tuple[Value, ...]:
    """Exchange elements k and pivots[k] - 1 of each permutation."""
    shape, lead = order.type.shape, tuple(range(order.type.ndim - 1))
    pivot = _sum(compare(_along(pivots), broadcast(k, shape=pivots.type.shape, dims=()), direction="EQ"), pivots, -1)
    there = compare(_along(order), broadcast(sub(pivot, full_like(pivot, 1)), shape=shape, dims=lead), direction="EQ")
    here = compare(_along(order), broadcast(k, shape=shape, dims=()), direction="EQ")
    first, second = (broadcast(_sum(mask, order, -1), shape=shape, dims=lead) for mask in (here, there))
    return add(k, full_like(k, 1)), select(here, second, select(there, first, order)), pivots


def inverse_of(order: Value) -> Value:
    """The permutation that undoes this one."""
    found: Value = sort(order, positions(order, -1), axis=order.type.ndim - 1, descending=False, keys=1)[1]
    return found


def permuted(x: Value, order: Value) -> Value:
    """x[..., order, :]."""
    return take_along(x, rows(order, (*order.type.shape, x.type.shape[-1])), x.type.ndim - 2) if x.type.size else x


# --- Systems ----------------------------------------------------------------------------------------------------------


def solved(packed: Value, order: Value, b: Value, adjoint: bool = False) -> Value:
    """A^-1 b, or A^-H b, by the LU of A and its permutation. No gradient of A's is meant to flow through this."""
    if adjoint:
        y = triangular_solve(packed, b, left_side=True, lower=False, **ADJOINT)
        z = triangular_solve(packed, y, left_side=True, lower=True, **UNIT_ADJOINT)
        return permuted(z, inverse_of(order))
    y = triangular_solve(packed, permuted(b, order), left_side=True, lower=True, unit_diagonal=True,
                         transpose_a="NO_TRANSPOSE")
    return triangular_solve(packed, y, left_side=True, lower=False, **PLAIN)


def solve(a: Value, b: Value) -> Value:
    """A^-1 b, through which gradients flow as through the factorisation; what other rules are written with."""
    packed, pivots, _ = lu(a)
    return solved(packed, permutation(pivots, a.type.shape[-1]), b)
