"""LAPACK on the CPU: the factorisations as calls of the functions that jaxlib brings. Overrides of `lower` rules, by op name.

LAPACK stores matrices by columns: the layouts that a call asks of its operands and results say so, and XLA turns what
lies otherwise. Leading dimensions are batches to these functions too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tracer.ir import dtypes
from ..tracer.ir.op import Emitter, Operand
from ..tracer.ir.types import Type
from ..tracer.ops.conditions import compared
from ..tracer.ops.linalg import composed, first_nan, hermitian, lower_triangle, number
from ..tracer.ops.linalg import triangular_solve as triangular
from ..tracer.ops.lu import lu as lu_op
from ..tracer.ops.qr import geqrf as geqrf_op
from ..tracer.ops.qr import qr as qr_op
from ..tracer.ops.qr import reflectors, upper_part
from ..tracer.ops.spectral import empty_svd

PREFIX = "lapack_"
"""What the names of all these functions begin with."""

_LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}
_LOWER, _UPPER, _LEFT, _RIGHT, _NONE, _UNIT, _ALL, _SOME, _VECTORS = map(ord, "LULRNUASV")
_TRANSPOSES = {"NO_TRANSPOSE": ord("N"), "TRANSPOSE": ord("T"), "ADJOINT": ord("C")}


def _call(h: Emitter, name: str, operands: Sequence[Operand], outs: Sequence[Type], matrices: Sequence[bool],
          **options: int) -> tuple[Operand, ...]:
    """A call; `matrices` says which of the operands and results are matrices, which all lie by columns."""
    kinds = [x.type for x in operands]
    layouts = [_layout(t, m) for t, m in zip((*kinds, *outs), matrices, strict=True)]
    count, letter = len(operands), _LETTERS[kinds[0].dtype.name]
    config = ", ".join(f"{key} = {value} : ui8" for key, value in options.items())
    return h.ops("custom_call", operands, outs, (
        f'call_target_name = "{PREFIX}{letter}{name}_ffi", api_version = 4 : i32, backend_config = {{{config}}}, '
        f"operand_layouts = [{', '.join(layouts[:count])}], result_layouts = [{', '.join(layouts[count:])}]"))


def _layout(type: Type, matrix: bool) -> str:
    """Dimensions from the fastest to the slowest."""
    n = type.ndim
    order = [n - 2, n - 1, *reversed(range(n - 2))] if matrix else list(reversed(range(n)))
    return f"dense<[{', '.join(map(str, order))}]> : tensor<{n}xindex>" if n else "dense<> : tensor<0xindex>"


def cholesky(h: Emitter, x: Operand) -> tuple[Operand, Operand]:
    """potrf; a factor that fails is NaN, and one with a NaN on its diagonal has failed, which not every LAPACK says."""
    out, info = h.outs
    if out.size == 0:
        return x, number(h, 0, info)
    factor, told = _call(h, "potrf", (hermitian(h, x),), h.outs, (True, True, False), uplo=_LOWER)
    failed = h.op("select", (compared(h, "EQ", told, number(h, 0, info)), composed(h, first_nan, factor)[0], told), info)
    right = compared(h, "EQ", failed, number(h, 0, info))
    dims = ", ".join(map(str, range(info.ndim)))
    everywhere = h.op("broadcast_in_dim", (right,), out.with_dtype(dtypes.boolean),
                      f"broadcast_dimensions = array<i64{': ' * bool(dims)}{dims}>")
    known = h.op("select", (everywhere, factor, number(h, float("nan"), out)), out)
    return lower_triangle(h, known), failed


def triangular_solve(h: Emitter, a: Operand, b: Operand, *, left_side: bool, lower: bool, unit_diagonal: bool,
                     transpose_a: str) -> Operand:
    """trsm."""
    if 0 in (a.type.size, b.type.size):
        return triangular.lower(h, a, b, left_side=left_side, lower=lower, unit_diagonal=unit_diagonal,
                                transpose_a=transpose_a)
    return _call(h, "trsm", (a, b), (b.type,), (True, True, True), diag=_UNIT if unit_diagonal else _NONE,
                 side=_LEFT if left_side else _RIGHT, trans_x=_TRANSPOSES[transpose_a], uplo=_LOWER if lower else _UPPER)[0]


def lu(h: Emitter, x: Operand) -> tuple[Operand, ...]:
    """getrf."""
    if x.type.size == 0:
        return lu_op.lower(h, x)
    return _call(h, "getrf", (x,), h.outs, (True, True, False, False))


def geqrf(h: Emitter, x: Operand) -> tuple[Operand, ...]:
    """geqrf."""
    return geqrf_op.lower(h, x) if x.type.size == 0 else _call(h, "geqrf", (x,), h.outs, (True, True, False))


def qr(h: Emitter, x: Operand, *, full: bool) -> tuple[Operand, Operand]:
    """geqrf, and orgqr (ungqr for complex numbers)."""
    if x.type.size == 0:
        return qr_op.lower(h, x, full=full)
    q, r = h.outs
    tau = x.type.with_shape((*x.type.shape[:-2], min(x.type.shape[-2:])))
    packed, factors = _call(h, "geqrf", (x,), (x.type, tau), (True, True, False))
    name = "ungqr" if x.type.dtype.is_complex else "orgqr"
    made, = _call(h, name, (reflectors(h, packed, q), factors), (q,), (True, False, True))
    return made, upper_part(h, packed, r)


def svd(h: Emitter, x: Operand, *, full: bool, vectors: bool) -> tuple[Operand, ...]:
    """gesdd."""
    if x.type.size == 0:
        return empty_svd(h, vectors)
    *lead, m, n = x.type.shape
    k = min(m, n)
    values, info = (h.outs[1], h.outs[3]) if vectors else h.outs
    left, right = (h.outs[0], h.outs[2]) if vectors else (x.type.with_shape((*lead, m, k)), x.type.with_shape((*lead, k, n)))
    mode = _NONE if not vectors else _ALL if full else _SOME
    _, s, u, vh, failed = _call(h, "gesdd", (x,), (x.type, values, left, right, info), (True, True, False, True, True, False),
                                mode=mode)
    return (u, s, vh, failed) if vectors else (s, failed)


def eigh(h: Emitter, x: Operand, *, vectors: bool) -> tuple[Operand, ...]:
    """syevd (heevd for complex numbers)."""
    values, info = h.outs[0], h.outs[-1]
    if x.type.size == 0:
        nothing = number(h, 0.0, values), number(h, 0, info)
        return (nothing[0], x, nothing[1]) if vectors else nothing
    name = "heevd" if x.type.dtype.is_complex else "syevd"
    v, w, failed = _call(h, name, (hermitian(h, x),), (x.type, values, info), (True, True, False, False),
                         mode=_VECTORS if vectors else _NONE, uplo=_LOWER)
    return (w, v, failed) if vectors else (w, failed)


def eig(h: Emitter, x: Operand, *, vectors: bool) -> tuple[Operand, ...]:
    """geev, which gives the real and the imaginary parts of real matrices' eigenvalues by themselves."""
    values, info = h.outs[0], h.outs[-1]
    matrix = x.type.with_dtype(values.dtype)
    if x.type.size == 0:
        nothing = number(h, 0.0, values), number(h, 0, info)
        return (nothing[0], number(h, 0.0, matrix), nothing[1]) if vectors else nothing
    part = values.with_dtype(values.dtype.real_form)
    parts = (values,) if x.type.dtype.is_complex else (part, part)
    *w, _, v, failed = _call(h, "geev", (x,), (*parts, matrix, matrix, info), (True, *(False for _ in parts), True, True, False),
                             compute_left=_NONE, compute_right=_VECTORS if vectors else _NONE)
    whole = w[0] if len(w) == 1 else h.op("complex", w, values)
    return (whole, v, failed) if vectors else (whole, failed)


OVERRIDES: dict[str, Callable[..., Any]] = {
    "cholesky": cholesky, "eig": eig, "eigh": eigh, "geqrf": geqrf, "lu": lu, "qr": qr, "svd": svd,
    "triangular_solve": triangular_solve}
