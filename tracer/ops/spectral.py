"""Singular values, and eigenvalues of Hermitian and of general matrices, with or without their vectors.

`info` is LAPACK's: 0, or how much of the iteration did not converge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.errors import DeviceError
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .elementwise import abs_, add, compare, complex_, conjugate, div, imag, mul, real, scaled, select, sub
from .indexing import take_along
from .linalg import (
    adjoint,
    batched_anew,
    check_matrices,
    columns,
    composed,
    diagonal,
    diagonal_matrix,
    hermitian,
    identity,
    info_type,
    matmul,
    number,
    part,
    positions,
    rows,
    with_diagonal,
)
from .lu import solve
from .pieces import zero_slope
from .qr import qr
from .sorting import sort
from .structural import concatenate, constant, reverse

# --- Helpers ----------------------------------------------------------------------------------------------------------


def _vector(x: Type, size: int) -> Type:
    """One real number for each of `size` columns."""
    return Type.of((*x.shape[:-2], size), x.dtype.real_form)


def _reference_with_info(function: Any, x: Any, types: tuple[Type, ...]) -> tuple[Any, ...]:
    """function(x) and info 0; NaN and 1 for the matrices that it raises for."""
    results = [np.full(t.shape, np.nan, t.dtype.numpy) for t in types[:-1]]
    info = np.zeros(types[-1].shape, np.int32)
    for index in np.ndindex(info.shape):
        try:
            found = function(x[index])
        except np.linalg.LinAlgError:
            info[index] = 1
            continue
        for result, value in zip(results, found if isinstance(found, tuple) else (found,), strict=True):
            result[index] = value
    return (*results, info)


def _like(v: Value, x: Value) -> Value:
    """Real numbers in the dtype of x."""
    return complex_(v, full_like(v, 0)) if x.type.dtype.is_complex else v


def _scaled_columns(x: Value, v: Value) -> Value:
    """x diag(v) for real v."""
    return mul(x, columns(_like(v, x), x.type.shape))


def _scaled_rows(v: Value, x: Value) -> Value:
    """diag(v) x for real v."""
    return mul(rows(_like(v, x), x.type.shape), x)


def _differences(v: Value) -> Value:
    """v[j] - v[i] at row i and column j."""
    shape = (*v.type.shape, v.type.shape[-1])
    return sub(columns(v, shape), rows(v, shape))


def _skew(x: Value) -> Value:
    return sub(x, adjoint(x))


# --- svd --------------------------------------------------------------------------------------------------------------


def _svd_infer(x: Type, *, full: bool, vectors: bool) -> tuple[Type, ...]:
    check_matrices("svd", x)
    *lead, m, n = x.shape
    k = min(m, n)
    values, info = _vector(x, k), info_type(x)
    if not vectors:
        return values, info
    return x.with_shape((*lead, m, m if full else k)), values, x.with_shape((*lead, n if full else k, n)), info


def _svd_reference(x: Any, *, full: bool, vectors: bool) -> tuple[Any, ...]:
    def one(a: Any) -> Any:
        return tuple(np.linalg.svd(a, full_matrices=full)) if vectors else np.linalg.svd(a, compute_uv=False)

    return _reference_with_info(one, x, _svd_infer(_type_of(x), full=full, vectors=vectors))


def _type_of(x: Any) -> Type:
    return Type.of(x.shape, dtypes.from_numpy(x.dtype))


def _svd_lower(h: Emitter, x: Operand, *, full: bool, vectors: bool) -> tuple[Operand, ...]:
    if x.type.size == 0:
        return empty_svd(h, vectors)
    wide = x.type.shape[-2] < x.type.shape[-1]
    found = composed(h, lambda a: _svd_composed(adjoint(a) if wide else a, wide, full), x)
    return found if vectors else (found[1], found[3])


def empty_svd(h: Emitter, vectors: bool) -> tuple[Operand, ...]:
    """The decomposition of matrices without elements."""
    if not vectors:
        return tuple(number(h, 0, t) for t in h.outs)
    u, s, vh, info = h.outs
    return identity(h, u), number(h, 0.0, s), identity(h, vh), number(h, 0, info)


def _svd_composed(x: Value, wide: bool, full: bool) -> tuple[Value, ...]:
    """Of tall x: V by the eigenvectors of x^H x, twice, since what is left then is nearly diagonal; U and S by QR of x V.

    In x^H x small singular values drown beside large ones. So what the first turn left is brought into the order of its columns
    by QR of R^H between the two (Drmac and Veselic 2008): of a matrix that is graded so rotations find the small ones, too.
    """
    m, n = x.type.shape[-2:]
    v = _turn(x)
    for _ in range(2):
        v = matmul(v, qr(adjoint(qr(matmul(x, v), full=False)[1]), full=False)[0])
    v = matmul(v, _turn(matmul(x, v)))
    u, r = qr(matmul(x, v), full=full)
    pivots = diagonal(part(r, (0, n), (0, n)))
    sizes = abs_(pivots)
    zero = compare(sizes, full_like(sizes, 0), direction="EQ")
    phases = select(zero, full_like(pivots, 1), div(pivots, _like(sizes, pivots)))
    s, order = sort(sizes, positions(sizes, -1), axis=sizes.type.ndim - 1, descending=True, keys=1)
    head = part(u, (0, m), (0, n))
    head = _reordered(mul(head, columns(phases, head.type.shape)), order)
    u = concatenate(head, part(u, (0, m), (n, m)), axis=u.type.ndim - 1) if full and m > n else head
    v = _reordered(v, order)
    info = constant.on(x.device, value="0", shape=x.type.shape[:-2], dtype=dtypes.int32)
    return (v, s, adjoint(u), info) if wide else (u, s, adjoint(v), info)


def _turn(x: Value) -> Value:
    """The eigenvectors of x^H x, that of the largest eigenvalue first."""
    vectors: Value = eigh(matmul(adjoint(x), x), vectors=True)[1]
    return reverse(vectors, axes=(x.type.ndim - 1,))


def _reordered(x: Value, order: Value) -> Value:
    return take_along(x, columns(order, x.type.shape), x.type.ndim - 1)


def _svd_vjp(g: Sequence[Value | None], out: Sequence[Value], x: Value, *, full: bool,
             vectors: bool) -> tuple[Value | None]:
    """Townsend 2016: with E[i, j] = s[j]^2 - s[i]^2, where only vectors that belong to singular values move.

    gx = U ((skew(U^H gU) S + S skew(V^H gV)) / E + gS) V^H + (1 - U U^H) gU S^-1 V^H + U S^-1 gV^H (1 - V V^H),
    and of complex x also U (skew(U^H gU)'s diagonal) / (2 S) V^H.
    """
    gs = g[0] if not vectors else g[1]
    if x.type.size == 0 or all(c is None for c in g):
        return (zero_slope(x, *g),)
    u, s, vh, _ = out if vectors and not full else svd(x, full=False, vectors=True)
    middle = diagonal_matrix(_like(full_like(s, 0) if gs is None else gs, x))
    gu, gvh = (g[0], g[2]) if vectors else (None, None)
    if gu is None and gvh is None:
        return (matmul(matmul(u, middle), vh),)
    k, (m, n) = s.type.shape[-1], x.type.shape[-2:]
    gu = full_like(u, 0) if gu is None else part(gu, (0, m), (0, k))
    gv = adjoint(full_like(vh, 0) if gvh is None else part(gvh, (0, k), (0, n)))
    v = adjoint(vh)
    left, right = matmul(adjoint(u), gu), matmul(vh, gv)
    turning = add(_scaled_columns(_skew(left), s), _scaled_rows(s, _skew(right)))
    squares = with_diagonal(_differences(mul(s, s)), 1)
    middle = add(middle, with_diagonal(div(turning, _like(squares, x)), 0))
    if x.type.dtype.is_complex:
        phase = div(imag(diagonal(left)), s)
        middle = add(middle, diagonal_matrix(complex_(full_like(phase, 0), phase)))
    found = matmul(matmul(u, middle), vh)
    inverse = div(full_like(s, 1), s)
    if m > k:
        found = add(found, matmul(_scaled_columns(sub(gu, matmul(u, left)), inverse), vh))
    if n > k:
        found = add(found, matmul(u, adjoint(_scaled_columns(sub(gv, matmul(v, right)), inverse))))
    return (found,)


# svd(x[..., m, n]; full, vectors) -> (U, S, V^H, info), or (S, info): singular values from the largest to the smallest, real;
# U and V with min(m, n) columns, or square if `full`.
svd = register(Op("svd", _svd_infer, _svd_reference, _svd_lower, _svd_vjp, batched_anew("svd"), takes_none=True))


# --- eigh -------------------------------------------------------------------------------------------------------------


def _eigh_infer(x: Type, *, vectors: bool) -> tuple[Type, ...]:
    check_matrices("eigh", x, square=True)
    values = _vector(x, x.shape[-1])
    return (values, x, info_type(x)) if vectors else (values, info_type(x))


def _eigh_reference(x: Any, *, vectors: bool) -> tuple[Any, ...]:
    def one(a: Any) -> Any:
        a = (a + np.conj(a.T)) / 2
        if not np.isfinite(a).all():
            raise np.linalg.LinAlgError
        return tuple(np.linalg.eigh(a)) if vectors else np.linalg.eigvalsh(a)

    return _reference_with_info(one, x, _eigh_infer(_type_of(x), vectors=vectors))


def _eigh_lower(h: Emitter, x: Operand, *, vectors: bool) -> tuple[Operand, ...]:
    """Jacobi's method, which XLA's compilers expand themselves, on every platform."""
    values, info = h.outs[0], h.outs[-1]
    nothing = number(h, 0, info)
    if x.type.size == 0:
        return (number(h, 0.0, values), x, nothing) if vectors else (number(h, 0.0, values), nothing)
    tolerance = "1e-6" if values.dtype.itemsize == 4 else "1e-12"
    v, w = h.ops("custom_call", (hermitian(h, x),), (x.type, values),
                 f'call_target_name = "Eigh", backend_config = "1,1,100,{tolerance}"')
    return (w, v, nothing) if vectors else (w, nothing)


def _eigh_vjp(g: Sequence[Value | None], out: Sequence[Value], x: Value, *, vectors: bool) -> tuple[Value | None]:
    """gx = V (diag(gw) + V^H gV / E, made Hermitian) V^H with E[i, j] = w[j] - w[i]; Giles 2008."""
    gw, gv = g[0], g[1] if vectors else None
    if x.type.size == 0 or (gw is None and gv is None):
        return (zero_slope(x, gw, gv),)
    w, v, _ = out if vectors else eigh(x, vectors=True)
    middle = diagonal_matrix(_like(full_like(w, 0) if gw is None else gw, x))
    if gv is not None:
        turning = scaled(_skew(matmul(adjoint(v), gv)), 0.5)
        gaps = with_diagonal(_differences(w), 1)
        middle = add(middle, with_diagonal(div(turning, _like(gaps, x)), 0))
    return (matmul(matmul(v, middle), adjoint(v)),)


# eigh(x[..., n, n]; vectors) -> (w, V, info), or (w, info): eigenvalues of (x + x^H) / 2 in ascending order, real, and
# orthonormal eigenvectors in the columns of V. Both triangles are read, so that the gradient (Hermitian) is the derivative.
eigh = register(Op("eigh", _eigh_infer, _eigh_reference, _eigh_lower, _eigh_vjp, batched_anew("eigh"), takes_none=True))


# --- eig --------------------------------------------------------------------------------------------------------------


def _eig_infer(x: Type, *, vectors: bool) -> tuple[Type, ...]:
    check_matrices("eig", x, square=True)
    kind = x.dtype if x.dtype.is_complex else x.dtype.complex_form
    values = Type.of(x.shape[:-1], kind)
    return (values, x.with_dtype(kind), info_type(x)) if vectors else (values, info_type(x))


def _eig_reference(x: Any, *, vectors: bool) -> tuple[Any, ...]:
    def one(a: Any) -> Any:
        return tuple(np.linalg.eig(a)) if vectors else np.linalg.eigvals(a)

    return _reference_with_info(one, x, _eig_infer(_type_of(x), vectors=vectors))


def _eig_lower(h: Emitter, x: Operand, *, vectors: bool) -> tuple[Operand, ...]:
    raise DeviceError("eig, the eigenvalues of general matrices, needs LAPACK, which is there on the CPU only: move the "
                      "matrices with .cpu(), or take eigh if they are Hermitian")


def _eig_vjp(g: Sequence[Value | None], out: Sequence[Value], x: Value, *, vectors: bool) -> tuple[Value | None]:
    """With E[i, j] = conj(w[j] - w[i]) and M = V^H gV, of vectors of length one (Boeddeker et al. 2019):

    gx = V^-H (diag(gw) + (M - V^H V diag(Re M)) / E) V^H
    """
    gw, gv = g[0], g[1] if vectors else None
    if x.type.size == 0 or (gw is None and gv is None):
        return (zero_slope(x, gw, gv),)
    w, v, _ = out if vectors else eig(x, vectors=True)
    middle = diagonal_matrix(full_like(w, 0) if gw is None else gw)
    if gv is not None:
        moment = matmul(adjoint(v), gv)
        moment = sub(moment, _scaled_columns(matmul(adjoint(v), v), real(diagonal(moment))))
        gaps = with_diagonal(conjugate(_differences(w)), 1)
        middle = add(middle, with_diagonal(div(moment, gaps), 0))
    found = solve(adjoint(v), matmul(middle, adjoint(v)))
    return (found if x.type.dtype.is_complex else real(found),)


# eig(x[..., n, n]; vectors) -> (w, V, info), or (w, info), complex: x V = V diag(w), with columns of length one in V.
eig = register(Op("eig", _eig_infer, _eig_reference, _eig_lower, _eig_vjp, batched_anew("eig"), takes_none=True))
