"""Orthogonal factorisations. Conventions are LAPACK's geqrf: Q is a product of reflections 1 - tau v v^H."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, no_gradient, register
from ..ir.types import Type
from .elementwise import add, compare, scaled, select, sub
from .linalg import (
    adjoint,
    batched_anew,
    check_matrices,
    composed,
    identity,
    matmul,
    number,
    part,
    positions,
    triangle,
    triangular_solve,
)
from .pieces import zero_slope
from .structural import array_attribute, concatenate

COMPLETE = "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"

# --- geqrf ------------------------------------------------------------------------------------------------------------


def _geqrf_infer(x: Type) -> tuple[Type, Type]:
    check_matrices("geqrf", x)
    return x, x.with_shape((*x.shape[:-2], min(x.shape[-2:])))


def _geqrf_reference(x: Any) -> tuple[Any, Any]:
    if x.size == 0:
        return x, np.zeros((*x.shape[:-2], min(x.shape[-2:])), x.dtype)
    packed, tau = np.linalg.qr(x, mode="raw")
    return np.ascontiguousarray(np.swapaxes(packed, -1, -2)).astype(x.dtype), tau.astype(x.dtype)


def _geqrf_lower(h: Emitter, x: Operand) -> tuple[Operand, ...]:
    """A name that XLA's compilers expand themselves, on every platform."""
    if x.type.size == 0:
        return x, number(h, 0.0, h.outs[1])
    return h.ops("custom_call", (x,), h.outs, 'call_target_name = "Qr"')


# geqrf(x[..., m, n]) -> (R with the vectors v, without their leading ones, below its diagonal; tau).
geqrf = register(Op("geqrf", _geqrf_infer, _geqrf_reference, _geqrf_lower,
                    no_gradient("the derivative for 'geqrf' is not implemented: torch.linalg.qr has one"),
                    batched_anew("geqrf")))


# --- qr ---------------------------------------------------------------------------------------------------------------


def _qr_infer(x: Type, *, full: bool) -> tuple[Type, Type]:
    check_matrices("qr", x)
    *lead, m, n = x.shape
    k = m if full else min(m, n)
    return x.with_shape((*lead, m, k)), x.with_shape((*lead, k, n))


def _qr_reference(x: Any, *, full: bool) -> tuple[Any, Any]:
    q, r = np.linalg.qr(x, mode="complete" if full else "reduced")
    return q, r


def _qr_lower(h: Emitter, x: Operand, *, full: bool) -> tuple[Operand, Operand]:
    q, r = h.outs
    if x.type.size == 0:
        return identity(h, q), number(h, 0.0, r)
    tau = x.type.with_shape((*x.type.shape[:-2], min(x.type.shape[-2:])))
    packed, factors = h.ops("custom_call", (x,), (x.type, tau), 'call_target_name = "Qr"')
    vectors = reflectors(h, packed, q)
    made = h.ops("custom_call", (vectors, factors), (q,), 'call_target_name = "ProductOfElementaryHouseholderReflectors"')
    return made[0], upper_part(h, packed, r)


def reflectors(h: Emitter, packed: Operand, q: Type) -> Operand:
    """The columns of what geqrf left that Q is made of, with zeros in the place of more."""
    shape, width = packed.type.shape, q.shape[-1]
    if width < shape[-1]:
        return _columns(h, packed, width)
    zeros = array_attribute((0,) * q.ndim)
    return packed if width == shape[-1] else h.op(
        "pad", (packed, number(h, 0.0, q.with_shape(()))), q, f"edge_padding_low = {zeros}, edge_padding_high = "
        f"{array_attribute((*(0,) * (q.ndim - 1), width - shape[-1]))}, interior_padding = {zeros}")


def _columns(h: Emitter, x: Operand, width: int) -> Operand:
    out = x.type.with_shape((*x.type.shape[:-1], width))
    return h.op("slice", (x,), out, f"start_indices = {array_attribute((0,) * out.ndim)}, "
                f"limit_indices = {array_attribute(out.shape)}, strides = {array_attribute((1,) * out.ndim)}")


def upper_part(h: Emitter, packed: Operand, r: Type) -> Operand:
    """R of what geqrf left."""
    rows, width = r.shape[-2:]
    return composed(h, lambda x: (triangle(part(x, (0, rows), (0, width)), lower=False),), packed)[0]


def _qr_vjp(g: Sequence[Value], out: Sequence[Value], x: Value, *, full: bool) -> tuple[Value]:
    """Walter and Lehmann 2012: with M = gR R^H - Q^H gQ, gx = (gQ + Q (M's upper triangle made Hermitian)) R^-H.

    Of a wide matrix x = [A1 | A2] with R = [R1 | R2], where R2 = Q^H A2: gA2 = Q gR2, and A2 gR2^H is added to gQ.
    """
    (q, r), (gq, gr) = out, g
    m, n = x.type.shape[-2:]
    if full and m > n:
        raise RuntimeError(COMPLETE)
    if x.type.size == 0:
        return (zero_slope(x, *g),)
    rest = None
    if n > m:
        last = part(gr, (0, m), (m, n))
        rest = matmul(q, last)
        gq = add(gq, matmul(part(x, (0, m), (m, n)), adjoint(last)))
        r, gr = part(r, (0, m), (0, m)), part(gr, (0, m), (0, m))
    moment = triangle(sub(matmul(triangle(gr, lower=False), adjoint(r)), matmul(adjoint(q), gq)), lower=False)
    right = add(gq, matmul(q, _made_hermitian(moment)))
    found = triangular_solve(r, right, left_side=False, lower=False, unit_diagonal=False, transpose_a="ADJOINT")
    return (found if rest is None else concatenate(found, rest, axis=x.type.ndim - 1),)


def _made_hermitian(x: Value) -> Value:
    """x + x^H of a triangle, with the real part of its diagonal once."""
    both = add(x, adjoint(x))
    on = compare(positions(x, -2), positions(x, -1), direction="EQ")
    return select(on, scaled(both, 0.5), both)


# qr(x[..., m, n]; full) -> (Q, R): Q has min(m, n) orthonormal columns, m if `full`; R is upper triangular.
qr = register(Op("qr", _qr_infer, _qr_reference, _qr_lower, _qr_vjp, batched_anew("qr")))
