"""Decompositions and solves that XLA has instructions for, over leading batch dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like, with_leading
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .contraction import dot
from .elementwise import COMPLEX, add, compare, conjugate, neg, scaled, select
from .structural import iota, transpose

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


def _is_square(x: Type) -> bool:
    return x.ndim >= 2 and x.shape[-1] == x.shape[-2]


# --- Cholesky ---------------------------------------------------------------------------------------------------------


def _cholesky_infer(x: Type) -> Type:
    requires(_is_square(x), "cholesky", "square matrices", x)
    requires(x.dtype in ACCEPTS, "cholesky", "a float32, float64 or complex operand", x)
    return x


def _cholesky_reference(x: Any) -> Any:
    symmetric = (x + np.conj(np.swapaxes(x, -1, -2))) / 2
    result = np.empty_like(symmetric)
    for index in np.ndindex(x.shape[:-2]):
        try:
            result[index] = np.linalg.cholesky(symmetric[index])
        except np.linalg.LinAlgError:
            result[index] = np.nan
    return np.tril(result)


def _cholesky_lower(h: Emitter, x: Operand) -> Operand:
    out = h.out
    if out.size == 0:
        return x
    half = h.op("multiply", (h.op("add", (x, _emit_adjoint(h, x)), out), h.constant(_half(out), out)), out)
    factor = h.op("cholesky", (half,), out, "lower = true")
    # XLA leaves what it likes above the diagonal.
    index = out.with_dtype(dtypes.int32)
    row, column = (h.op("iota", (), index, f"iota_dimension = {out.ndim - k} : i64") for k in (2, 1))
    below = h.op("compare", (row, column), out.with_dtype(dtypes.boolean),
                 "comparison_direction = #stablehlo<comparison_direction GE>")
    return h.op("select", (below, factor, h.constant("0.0,0.0" if out.dtype.is_complex else "0.0", out)), out)


def _half(type: Type) -> str:
    return "0.5,0.0" if type.dtype.is_complex else "0.5"


def _emit_adjoint(h: Emitter, x: Operand) -> Operand:
    n = x.type.ndim
    order = ", ".join(map(str, (*range(n - 2), n - 1, n - 2)))
    flipped = h.op("transpose", (x,), x.type, f"permutation = array<i64: {order}>")
    if not x.type.dtype.is_complex:
        return flipped
    part = x.type.with_dtype(x.type.dtype.to_real)
    real, imaginary = h.op("real", (flipped,), part), h.op("imag", (flipped,), part)
    return h.op("complex", (real, h.op("negate", (imaginary,), part)), x.type)


def _cholesky_vjp(g: Value, out: Value, x: Value) -> tuple[Value]:
    """gx = L^-H (P + P^H)/2 L^-1 with P = L^H g, lower triangle, half the diagonal (Murray 2016, arXiv:1602.07527)."""
    product = matmul(adjoint(out), g)
    # Half the diagonal twice is what P + P^H counts twice.
    phi = scaled(add(triangle(product, lower=True), triangle(product, lower=True, strict=True)), 0.5)
    symmetric = scaled(add(phi, adjoint(phi)), 0.5)
    left = triangular_solve(out, symmetric, left_side=True, lower=True, unit_diagonal=False, transpose_a="ADJOINT")
    return (triangular_solve(out, left, left_side=False, lower=True, unit_diagonal=False, transpose_a="NO_TRANSPOSE"),)


def _cholesky_batch(size: int, batched: Sequence[bool], x: Value) -> Value:
    return cholesky(x)


# cholesky(x[..., n, n]) -> lower triangular L with L L^H = (x + x^H) / 2; NaN for L if there is none.
# Both triangles are read, so that the gradient (symmetric, as torch's) is the derivative. torch reads the lower one.
cholesky = register(Op("cholesky", _cholesky_infer, _cholesky_reference, _cholesky_lower, _cholesky_vjp,
                       _cholesky_batch))


# --- Triangular solve -------------------------------------------------------------------------------------------------


def _solve_infer(a: Type, b: Type, *, left_side: bool, lower: bool, unit_diagonal: bool, transpose_a: str) -> Type:
    requires(_is_square(a), "triangular_solve", "square matrices", a)
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
    if left_side:
        return np.linalg.solve(matrix, b)
    return np.swapaxes(np.linalg.solve(np.swapaxes(matrix, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)


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
