"""Cholesky's factor and triangular systems, which XLA has instructions for, and what the rules of all factorisations share.

Leading dimensions are batches. `lower` rules are StableHLO that every platform takes; on the CPU `lowering/lapack.py` says
the same with LAPACK. `info` is LAPACK's: 0, or what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like, literal, with_leading
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import OPS, Emitter, Op, Operand, register
from ..ir.recorder import grad_mode
from ..ir.types import Type
from .conditions import compared
from .contraction import dot
from .control import closed
from .elementwise import COMPLEX, add, compare, conjugate, convert, neg, real, scaled, select
from .reduction import argmax, reduce_or, reduce_sum
from .structural import Ints, broadcast, iota, slice_, transpose

ACCEPTS = COMPLEX | {dtypes.float32, dtypes.float64}
TRANSPOSES = ("NO_TRANSPOSE", "TRANSPOSE", "ADJOINT")


# --- Helpers on stacks of matrices ------------------------------------------------------------------------------------


def matmul(x: Value, y: Value) -> Value:
    """x @ y over the last two dimensions; the leading ones are equal."""
    n = x.type.ndim
    lead = tuple(range(n - 2))
    return dot(x, y, contract=((n - 1,), (n - 2,)), batch=(lead, lead), dtype=None)


def transposed(x: Value) -> Value:
    """The last two dimensions exchanged."""
    n = x.type.ndim
    return transpose(x, permutation=(*range(n - 2), n - 1, n - 2))


def adjoint(x: Value) -> Value:
    """The conjugate transpose."""
    return conjugate(transposed(x))


def triangle(x: Value, lower: bool, strict: bool = False) -> Value:
    """One triangle of x, zeros elsewhere; without the diagonal if `strict`."""
    n = x.type.ndim
    row, column = (iota.on(x.device, shape=x.type.shape, axis=axis, dtype=dtypes.int32) for axis in (n - 2, n - 1))
    direction = ("GT" if strict else "GE") if lower else ("LT" if strict else "LE")
    return select(compare(row, column, direction=direction), x, full_like(x, 0))


def is_square(x: Type) -> bool:
    """Whether these are square matrices."""
    return x.ndim >= 2 and x.shape[-1] == x.shape[-2]


def check_matrices(name: str, x: Type, square: bool = False) -> None:
    """OpError unless `x` is a stack of matrices of a type that has factorisations."""
    requires(is_square(x) if square else x.ndim >= 2, name, "square matrices" if square else "matrices", x)
    requires(x.dtype in ACCEPTS, name, "a float32, float64 or complex operand", x)


def info_type(x: Type) -> Type:
    """One int32 per matrix."""
    return Type.of(x.shape[:-2], dtypes.int32)


def rows(v: Value, shape: Ints) -> Value:
    """v[..., m] as matrices [..., m, n] of equal columns."""
    return broadcast(v, shape=shape, dims=tuple(range(len(shape) - 1)))


def columns(v: Value, shape: Ints) -> Value:
    """v[..., n] as matrices [..., m, n] of equal rows."""
    return broadcast(v, shape=shape, dims=(*range(len(shape) - 2), len(shape) - 1))


def positions(x: Value, axis: int) -> Value:
    """The index along an axis, counted from the end, of each element, int32."""
    return iota.on(x.device, shape=x.type.shape, axis=x.type.ndim + axis, dtype=dtypes.int32)


def diagonal(x: Value) -> Value:
    """The diagonals of square matrices."""
    on = compare(positions(x, -2), positions(x, -1), direction="EQ")
    return reduce_sum(select(on, x, full_like(x, 0)), axes=(x.type.ndim - 1,))


def diagonal_matrix(v: Value) -> Value:
    """Square matrices with these diagonals."""
    spread = columns(v, (*v.type.shape, v.type.shape[-1]))
    on = compare(positions(spread, -2), positions(spread, -1), direction="EQ")
    return select(on, spread, full_like(spread, 0))


def with_diagonal(x: Value, number: complex) -> Value:
    """x with one number on the diagonal."""
    on = compare(positions(x, -2), positions(x, -1), direction="EQ")
    return select(on, full_like(x, number), x)


def part(x: Value, row: tuple[int, int], column: tuple[int, int]) -> Value:
    """The block of these rows and columns, each from the first to before the second."""
    shape = x.type.shape
    start = (*(0,) * (x.type.ndim - 2), row[0], column[0])
    return slice_(x, start=start, limit=(*shape[:-2], row[1], column[1]), stride=(1,) * x.type.ndim)


def identity(h: Emitter, type: Type) -> Operand:
    """Ones on the diagonal."""
    index = type.with_dtype(dtypes.int32)
    row, column = (h.op("iota", (), index, f"iota_dimension = {type.ndim - k} : i64") for k in (2, 1))
    return h.op("select", (compared(h, "EQ", row, column), number(h, 1.0, type), number(h, 0.0, type)), type)


def number(h: Emitter, value: float, type: Type) -> Operand:
    """A constant of a real number."""
    return h.constant(literal(value, type.dtype), type)


def composed(h: Emitter, function: Callable[..., Sequence[Value]], *operands: Operand) -> tuple[Operand, ...]:
    """What a function of values records, emitted here: a lowering written in primitives."""
    with grad_mode(False):
        graph = closed(function, [x.type for x in operands], "cpu", "composed")
    return h.inline(graph, operands)


# --- Cholesky ---------------------------------------------------------------------------------------------------------


def _cholesky_infer(x: Type) -> tuple[Type, Type]:
    check_matrices("cholesky", x, square=True)
    return x, info_type(x)


def _cholesky_reference(x: Any) -> tuple[Any, Any]:
    symmetric = (x + np.conj(np.swapaxes(x, -1, -2))) / 2
    result, info = np.empty_like(symmetric), np.zeros(x.shape[:-2], np.int32)
    for index in np.ndindex(x.shape[:-2]):
        info[index] = _first_bad_minor(symmetric[index])
        result[index] = np.nan if info[index] else np.linalg.cholesky(symmetric[index])
    return np.tril(result), info


def _first_bad_minor(x: Any) -> int:
    """The size of the least leading minor that is not positive definite, or 0."""
    for size in range(len(x) + 1):
        n = size or len(x)  # all of it first: mostly there is nothing to find
        try:
            factor = np.linalg.cholesky(x[:n, :n])
        except np.linalg.LinAlgError:
            bad = True
        else:
            bad = np.isnan(np.diagonal(factor)).any()
        if not size and not bad:
            return 0
        if size and bad:
            return size
    return 0


def hermitian(h: Emitter, x: Operand) -> Operand:
    """(x + x^H) / 2."""
    return h.op("multiply", (h.op("add", (x, emit_adjoint(h, x)), x.type), number(h, 0.5, x.type)), x.type)


def emit_adjoint(h: Emitter, x: Operand) -> Operand:
    """The conjugate transpose of square matrices."""
    n = x.type.ndim
    order = ", ".join(map(str, (*range(n - 2), n - 1, n - 2)))
    flipped = h.op("transpose", (x,), x.type, f"permutation = array<i64: {order}>")
    if not x.type.dtype.is_complex:
        return flipped
    part = x.type.with_dtype(x.type.dtype.real_form)
    front, back = h.op("real", (flipped,), part), h.op("imag", (flipped,), part)
    return h.op("complex", (front, h.op("negate", (back,), part)), x.type)


def lower_triangle(h: Emitter, x: Operand) -> Operand:
    """Zeros above the diagonal, where factorisations leave what they like."""
    index = x.type.with_dtype(dtypes.int32)
    row, column = (h.op("iota", (), index, f"iota_dimension = {x.type.ndim - k} : i64") for k in (2, 1))
    return h.op("select", (compared(h, "GE", row, column), x, number(h, 0.0, x.type)), x.type)


def _cholesky_lower(h: Emitter, x: Operand) -> tuple[Operand, Operand]:
    out, info = h.outs
    if out.size == 0:
        return x, h.constant("0", info)
    factor = lower_triangle(h, h.op("cholesky", (hermitian(h, x),), out, "lower = true"))
    return factor, composed(h, first_nan, factor)[0]


def first_nan(factor: Value) -> tuple[Value]:
    """Counted from 1, the first row of each factor whose diagonal is no number; 0 if there is none.

    XLA says NaN for all of a factor that fails, so this is 1 then, where LAPACK knows which minor it was.
    """
    diagonals = diagonal(factor)
    pivots = real(diagonals) if diagonals.type.dtype.is_complex else diagonals
    bad = compare(pivots, pivots, direction="NE")
    first = argmax(select(bad, full_like(pivots, 1), full_like(pivots, 0)), axis=bad.type.ndim - 1)
    count = add(convert(first, dtype=dtypes.int32), full_like(first, 1, dtypes.int32))
    some = reduce_or(bad, axes=(bad.type.ndim - 1,))
    return (select(some, count, full_like(count, 0)),)


def _cholesky_vjp(g: Sequence[Value], out: Sequence[Value], x: Value) -> tuple[Value]:
    """gx = L^-H (P + strictly lower P^H) / 2 L^-1 with P = L^H g, lower triangle (Murray 2016, arXiv:1602.07527).

    Where g has imaginary parts on its diagonal, that of L being real, gx has a part that is not Hermitian, as torch's has.
    """
    factor = out[0]
    product = matmul(adjoint(factor), g[0])
    strict = triangle(product, lower=True, strict=True)
    symmetric = scaled(add(triangle(product, lower=True), adjoint(strict)), 0.5)
    left = triangular_solve(factor, symmetric, left_side=True, lower=True, unit_diagonal=False, transpose_a="ADJOINT")
    found = triangular_solve(factor, left, left_side=False, lower=True, unit_diagonal=False, transpose_a="NO_TRANSPOSE")
    return (found,)


def batched_anew(name: str) -> Callable[..., Any]:
    """Batch rule of an op of one operand whose leading dimensions are batches already."""
    return lambda size, batched, x, **params: OPS[name](x, **params)


# cholesky(x[..., n, n]) -> lower triangular L with L L^H = (x + x^H) / 2, NaN if there is none, and info: the order of the
# first leading minor that is not positive definite. Both triangles are read, so that the gradient (symmetric, as torch's)
# is the derivative. torch reads one.
cholesky = register(Op("cholesky", _cholesky_infer, _cholesky_reference, _cholesky_lower, _cholesky_vjp,
                       batched_anew("cholesky")))


# --- Triangular solve -------------------------------------------------------------------------------------------------


def _solve_infer(a: Type, b: Type, *, left_side: bool, lower: bool, unit_diagonal: bool, transpose_a: str) -> Type:
    requires(is_square(a), "triangular_solve", "square matrices", a)
    requires(a.dtype in ACCEPTS and a.dtype is b.dtype, "triangular_solve",
             "float32, float64 or complex operands of one dtype", (a, b))
    requires(a.ndim == b.ndim and a.shape[:-2] == b.shape[:-2] and b.shape[-2 if left_side else -1] == a.shape[-1],
             "triangular_solve", f"right-hand sides that fit {a}", b)
    requires(transpose_a in TRANSPOSES, "triangular_solve", f"transpose_a of {', '.join(TRANSPOSES)}", transpose_a)
    return b


def _solve_reference(a: Any, b: Any, *, left_side: bool, lower: bool, unit_diagonal: bool, transpose_a: str) -> Any:
    matrix = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        matrix = matrix - matrix * np.eye(a.shape[-1], dtype=a.dtype) + np.eye(a.shape[-1], dtype=a.dtype)
    if transpose_a != "NO_TRANSPOSE":
        matrix = np.swapaxes(matrix, -1, -2)
    if transpose_a == "ADJOINT":
        matrix = np.conj(matrix)
    below = lower == (transpose_a == "NO_TRANSPOSE")
    if left_side:
        return _substituted(matrix, b, below)
    return np.swapaxes(_substituted(np.swapaxes(matrix, -1, -2), np.swapaxes(b, -1, -2), not below), -1, -2)


def _substituted(matrix: Any, b: Any, lower: bool) -> Any:
    """A row after the other; infinite for a zero on the diagonal."""
    x, n = np.array(b), matrix.shape[-1]
    with np.errstate(all="ignore"):
        for i in range(n) if lower else reversed(range(n)):
            known = slice(0, i) if lower else slice(i + 1, n)
            row = matrix[..., i:i + 1, known] @ x[..., known, :]
            x[..., i:i + 1, :] = (x[..., i:i + 1, :] - row) / matrix[..., i:i + 1, i:i + 1]
    return x


def _solve_lower(h: Emitter, a: Operand, b: Operand, *, left_side: bool, lower: bool, unit_diagonal: bool,
                 transpose_a: str) -> Operand:
    flags = ", ".join(f"{name} = {str(value).lower()}" for name, value in (
        ("left_side", left_side), ("lower", lower), ("unit_diagonal", unit_diagonal)))
    return b if b.type.size == 0 else h.op(
        "triangular_solve", (a, b), attributes=f"{flags}, transpose_a = #stablehlo<transpose {transpose_a}>")


def _solve_vjp(g: Value, out: Value, a: Value, b: Value, *, left_side: bool, lower: bool, unit_diagonal: bool,
               transpose_a: str) -> tuple[Value, Value]:
    """With M = op(a): M x = b has gb = M^-H g and gM = -gb x^H; x M = b has gb = g M^-H and gM = -x^H gb."""
    matrix, other = a, "NO_TRANSPOSE" if transpose_a != "NO_TRANSPOSE" else "ADJOINT"
    if transpose_a == "TRANSPOSE":
        matrix = conjugate(a)
    gb = triangular_solve(matrix, g, left_side=left_side, lower=lower, unit_diagonal=unit_diagonal, transpose_a=other)
    gm = neg(matmul(gb, adjoint(out)) if left_side else matmul(adjoint(out), gb))
    if transpose_a != "NO_TRANSPOSE":
        gm = transposed(gm) if transpose_a == "TRANSPOSE" else adjoint(gm)
    return triangle(gm, lower, strict=unit_diagonal), gb


def _solve_batch(size: int, batched: Sequence[bool], a: Value, b: Value, **params: Any) -> Value:
    a, b = with_leading(size, batched[0], a), with_leading(size, batched[1], b)
    return triangular_solve(a, b, **params)


# triangular_solve(a[..., n, n], b; left_side, lower, unit_diagonal, transpose_a) -> x with op(a) x = b, or x op(a) = b.
# Only the named triangle of `a` is read, and its diagonal only without `unit_diagonal`.
triangular_solve = register(Op("triangular_solve", _solve_infer, _solve_reference, _solve_lower, _solve_vjp,
                               _solve_batch))
