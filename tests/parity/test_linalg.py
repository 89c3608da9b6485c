"""torch.linalg and its relatives against torch: values, gradients of what has no free phases, errors, names of results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from .expressions import error_of, evaluated, flat, gradients, names_in, rows, same  # noqa: E402

rng = np.random.default_rng(11)


def definite(x: np.ndarray) -> np.ndarray:
    return x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(x.shape[-1])


def complexes(*shape: int) -> np.ndarray:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


EXACT = {
    "q": rng.normal(size=(3, 3)), "a": rng.normal(size=(2, 3, 3)), "m": rng.normal(size=(4, 3)), "w": rng.normal(size=(2, 3, 5)),
    "h": definite(rng.normal(size=(3, 3))), "g": definite(rng.normal(size=(2, 3, 3))), "b": rng.normal(size=(3, 2)),
    "c": rng.normal(size=(2, 3, 2)), "v": rng.normal(size=3), "u": rng.normal(size=(2, 3)), "t": rng.normal(size=(2, 1, 3, 2)),
    "z": complexes(3, 3), "y": definite(complexes(3, 3)), "x": complexes(3, 2), "r": complexes(4, 3),
    "o": np.outer([1.0, 2.0, 4.0], [1.0, -1.0, 0.5]), "e": np.zeros((0, 0)), "f": np.zeros((0, 3)), "k": np.zeros((2, 0, 0)),
    "p": rng.normal(size=(2, 3, 6)), "s": rng.normal(size=(4, 2, 2)),
}
DOUBLES = dict(EXACT)
SINGLES = {k: v.astype(np.complex64 if np.iscomplexobj(v) else np.float32) for k, v in EXACT.items()}
lazily = pytest.mark.usefixtures("numpy_engine")

VALUES = """
torch.linalg.cholesky(h) ; torch.linalg.cholesky(g) ; torch.linalg.cholesky(y) ; torch.linalg.cholesky(h, upper=True)
torch.linalg.cholesky(y, upper=True) ; torch.linalg.cholesky(h.triu()+h.tril(-1)*0, upper=True) ; torch.cholesky(g, True)
torch.linalg.cholesky(h.tril()) ; h.cholesky() ; torch.linalg.cholesky_ex(-h).info ; torch.linalg.cholesky_ex(torch.stack([h, -h])).info
torch.linalg.cholesky_ex(g, upper=True) ; torch.linalg.cholesky(e) ; torch.linalg.cholesky(k) ; torch.linalg.cholesky_ex(e)
torch.linalg.cholesky_ex(torch.diag(v.abs() * torch.tensor([1, -1, 1], dtype=v.dtype))).info
torch.linalg.inv(q) ; torch.linalg.inv(a) ; torch.linalg.inv(z) ; torch.inverse(q) ; q.inverse() ; torch.linalg.inv(e) ; torch.linalg.inv(k)
torch.linalg.inv_ex(a) ; torch.linalg.inv_ex(q * 0).info ; torch.linalg.inv_ex(torch.stack([q, q * 0])).info ; torch.linalg.inv(q.T)
torch.linalg.solve(q, b) ; torch.linalg.solve(q, v) ; torch.linalg.solve(a, c) ; torch.linalg.solve(a, u) ; torch.linalg.solve(q, c)
torch.linalg.solve(a, b) ; torch.linalg.solve(a, t) ; torch.linalg.solve(z, x) ; torch.linalg.solve(q, b.T, left=False)
torch.linalg.solve(a, c.mT, left=False) ; torch.linalg.solve(z, x.mH, left=False) ; torch.linalg.solve_ex(a, c)
torch.linalg.solve(e, f) ; torch.linalg.solve(q, b[:, :0]) ; torch.linalg.solve_ex(q * 0, b).info
torch.linalg.solve_triangular(q, b, upper=True) ; torch.linalg.solve_triangular(a, b, upper=False, unitriangular=True)
torch.linalg.solve_triangular(z, x.mT, upper=True, left=False) ; torch.linalg.solve_triangular(q * 0, b, upper=True)
torch.triangular_solve(b, q) ; torch.triangular_solve(c, q, False, True, True) ; b.triangular_solve(q, upper=False)
torch.triangular_solve(x, z, transpose=True) ; torch.cholesky_solve(b, q.tril()) ; torch.cholesky_solve(x, z, True)
torch.cholesky_solve(b, a) ; b.cholesky_solve(q, upper=True) ; torch.cholesky_inverse(q) ; torch.cholesky_inverse(a, upper=True)
torch.cholesky_inverse(torch.linalg.cholesky(y)) ; q.cholesky_inverse() ; torch.linalg.det(q) ; torch.linalg.det(a) ; torch.linalg.det(z) ; torch.det(o)
torch.linalg.det(e) ; torch.linalg.det(k) ; q.det() ; torch.linalg.slogdet(q) ; torch.linalg.slogdet(z) ; torch.slogdet(a) ; q.slogdet()
torch.linalg.slogdet(q * 0) ; torch.linalg.slogdet(e) ; torch.logdet(h) ; torch.logdet(-h) ; torch.logdet(z) ; torch.logdet(q * 0) ; g.logdet()
torch.linalg.lu_factor(q) ; torch.linalg.lu_factor(w) ; torch.linalg.lu_factor(m) ; torch.linalg.lu_factor_ex(z) ; torch.lu(a)
torch.lu(a, get_infos=True) ; a.lu() ; torch.linalg.lu(q) ; torch.linalg.lu(w) ; torch.linalg.lu(m) ; torch.linalg.lu(r) ; torch.linalg.lu(e)
torch.lu_unpack(*torch.linalg.lu_factor(w)) ; torch.lu_unpack(*torch.linalg.lu_factor(q), unpack_data=False)
torch.lu_unpack(*torch.linalg.lu_factor(q), unpack_pivots=False) ; torch.linalg.lu_factor(f) ; torch.linalg.lu_factor_ex(o)
torch.linalg.lu_solve(*torch.linalg.lu_factor(q), b) ; torch.linalg.lu_solve(*torch.linalg.lu_factor(a), b, adjoint=True)
torch.linalg.lu_solve(*torch.linalg.lu_factor(z), x.mT, left=False) ; torch.lu_solve(c, *torch.linalg.lu_factor(a))
torch.linalg.lu_solve(*torch.linalg.lu_factor(z), x.mT, left=False, adjoint=True) ; b.lu_solve(*torch.linalg.lu_factor(q))
torch.geqrf(m) ; torch.geqrf(w) ; torch.geqrf(r) ; q.geqrf() ; torch.linalg.qr(q) ; torch.linalg.qr(m) ; torch.linalg.qr(w) ; torch.linalg.qr(r)
torch.linalg.qr(m, "complete") ; torch.linalg.qr(w, mode="r") ; torch.qr(m, some=False) ; torch.qr(a) ; m.qr() ; torch.linalg.qr(f)
torch.linalg.qr(f.T, "complete") ; torch.linalg.householder_product(*torch.geqrf(m)) ; torch.orgqr(*torch.geqrf(r))
torch.linalg.householder_product(m, v) ; torch.linalg.householder_product(m, v[:2]) ; m.orgqr(v) ; torch.linalg.householder_product(r, x[:, 0])
torch.ormqr(*torch.geqrf(m), m) ; torch.ormqr(*torch.geqrf(m), m.T, left=False) ; torch.ormqr(*torch.geqrf(r), r, transpose=True)
torch.ormqr(*torch.geqrf(r), r.mT, False, True) ; m.ormqr(v, m) ; torch.linalg.svdvals(m) ; torch.linalg.svdvals(w) ; torch.linalg.svdvals(z)
torch.linalg.svd(w).S ; torch.linalg.svd(f) ; torch.linalg.svd(f, full_matrices=False) ; torch.svd(m, compute_uv=False) ; torch.linalg.svdvals(f)
[x.shape for x in torch.linalg.svd(w)] ; [x.shape for x in torch.linalg.svd(w, False)] ; [x.shape for x in torch.svd(m, some=False)]
torch.linalg.eigvalsh(h) ; torch.linalg.eigvalsh(y) ; torch.linalg.eigvalsh(g, "U") ; torch.linalg.eigvalsh(q) ; torch.linalg.eigvalsh(q, UPLO="U")
torch.linalg.eigh(g).eigenvalues ; torch.linalg.eigh(q, "U").eigenvectors.abs() ; torch.linalg.eigh(z).eigenvectors.abs() ; torch.linalg.eigh(e)
torch.linalg.eigvals(q) ; torch.linalg.eigvals(a) ; torch.linalg.eigvals(z) ; torch.linalg.eig(a).eigenvectors.abs() ; torch.linalg.eig(e)
torch.linalg.eig(z).eigenvalues
torch.linalg.pinv(m) ; torch.linalg.pinv(w) ; torch.linalg.pinv(r) ; torch.linalg.pinv(o) ; torch.pinverse(m) ; m.pinverse() ; torch.linalg.pinv(f)
torch.linalg.pinv(m, rtol=0.5) ; torch.linalg.pinv(m, atol=1.0) ; torch.linalg.pinv(w, 0.3) ; torch.linalg.pinv(h, hermitian=True)
torch.linalg.pinv(w, atol=torch.tensor(1.0, dtype=w.dtype)) ; torch.linalg.pinv(w, rtol=torch.tensor([0.1, 0.9], dtype=w.dtype))
torch.linalg.pinv(q.tril(), hermitian=True) ; torch.linalg.pinv(m, atol=0.1, rtol=0.2) ; torch.linalg.pinv(y, hermitian=True)
torch.linalg.matrix_rank(q) ; torch.linalg.matrix_rank(o) ; torch.linalg.matrix_rank(w) ; torch.linalg.matrix_rank(w, atol=2.0)
torch.linalg.matrix_rank(w, 1.5) ; torch.linalg.matrix_rank(h, hermitian=True) ; torch.linalg.matrix_rank(f) ; torch.linalg.matrix_rank(q, rtol=0.9)
torch.linalg.matrix_rank(w, tol=torch.tensor([0.1, 1.0], dtype=w.dtype)) ; torch.linalg.matrix_rank(w, atol=0.1, rtol=0.3)
torch.linalg.lstsq(m, torch.ones(4, 2, dtype=m.dtype)) ; torch.linalg.lstsq(m, torch.ones(4, dtype=m.dtype), driver="gelsd")
torch.linalg.lstsq(w, c) ; torch.linalg.lstsq(w, c, driver="gelss") ; torch.linalg.lstsq(w.mT, torch.ones(2, 5, dtype=w.dtype))
torch.linalg.lstsq(m, torch.ones(4, 2, dtype=m.dtype), driver="gels") ; torch.linalg.lstsq(o, b, driver="gelsd")
torch.linalg.lstsq(r, torch.ones(4, 1, dtype=r.dtype), driver="gelsd") ; torch.linalg.lstsq(m, m, rcond=0.5, driver="gelss")
torch.matrix_exp(q) ; torch.linalg.matrix_exp(a) ; torch.linalg.matrix_exp(z) ; q.matrix_exp() ; torch.matrix_exp(q * 20) ; torch.matrix_exp(e)
torch.matrix_exp(torch.stack([q * 0, q * 1e-4])) ; torch.matrix_exp(torch.stack([q, q * 9])) ; torch.matrix_exp(k) ; torch.matrix_exp(o)
torch.linalg.matrix_power(q, -2) ; torch.matrix_power(a, -1) ; q.matrix_power(-3) ; torch.linalg.matrix_power(z, 3) ; torch.linalg.matrix_power(q, 0)
torch.linalg.multi_dot([v, q, b]) ; torch.linalg.multi_dot((q, m.T, m, v)) ; torch.linalg.multi_dot([v, v]) ; torch.linalg.multi_dot([q, b])
torch.linalg.cross(q, q.flip(0)) ; torch.linalg.cross(v, v.flip(0), dim=0) ; torch.linalg.cross(z, z.mT, dim=0) ; torch.linalg.cross(q, v[None])
torch.linalg.vecdot(q, v) ; torch.linalg.vecdot(z, z.mT) ; torch.linalg.vecdot(a, q, dim=1) ; torch.linalg.vecdot(x, x, dim=0)
torch.linalg.vander(v) ; torch.linalg.vander(u, N=5) ; torch.vander(v) ; torch.vander(v, 2, increasing=True) ; torch.vander(v.int()) ; torch.vander(v, 0)
torch.linalg.vander(z) ; torch.linalg.vander(v.long()) ; torch.linalg.diagonal(a) ; torch.linalg.diagonal(a, offset=1, dim1=0) ; torch.linalg.matmul(q, b)
torch.linalg.tensorinv(s, ind=1) ; torch.linalg.tensorinv(s.reshape(2, 2, 2, 2)) ; torch.linalg.tensorsolve(p, u)
torch.linalg.tensorsolve(p.permute(0, 2, 1), u, dims=(1,)) ; torch.chain_matmul(q, b)
torch.linalg.ldl_factor(h) ; torch.linalg.ldl_factor(g) ; torch.linalg.ldl_factor(q) ; torch.linalg.ldl_factor(z) ; torch.linalg.ldl_factor(a)
torch.linalg.ldl_factor(z, hermitian=True) ; torch.linalg.ldl_factor_ex(q - torch.diag(torch.diag(q))) ; torch.linalg.ldl_factor_ex(q * 0)
torch.linalg.ldl_solve(*torch.linalg.ldl_factor(q), b) ; torch.linalg.ldl_solve(*torch.linalg.ldl_factor(a), b) ; torch.linalg.ldl_factor(e)
torch.linalg.ldl_solve(*torch.linalg.ldl_factor(z), x) ; torch.linalg.ldl_solve(*torch.linalg.ldl_factor(z, hermitian=True), x, hermitian=True)
torch.linalg.ldl_solve(*torch.linalg.ldl_factor(q - torch.diag(torch.diag(q))), b)
torch.linalg.norm(q) ; torch.linalg.norm(v, 3) ; torch.linalg.norm(q, 2) ; torch.linalg.norm(q, "nuc") ; torch.linalg.norm(q, "fro") ; torch.linalg.norm(v, inf)
torch.linalg.norm(a, dim=1) ; torch.linalg.norm(a, 2, dim=(0, 1)) ; torch.linalg.norm(a, -inf, (1, 2), True) ; torch.linalg.norm(a) ; torch.linalg.norm(v, 0)
torch.linalg.norm(z, "nuc") ; torch.linalg.norm(q, 1) ; torch.linalg.norm(q, -1) ; torch.linalg.norm(q, -2) ; torch.linalg.norm(a, dim=(0, 2))
torch.linalg.vector_norm(a) ; torch.linalg.vector_norm(a, 1, 0) ; torch.linalg.vector_norm(a, -1, (0, 2), True) ; torch.linalg.vector_norm(z, 2.5)
torch.linalg.vector_norm(q.half(), dtype=torch.float32) ; torch.linalg.vector_norm(q.bfloat16()) ; torch.linalg.vector_norm(v.sum()) ; torch.linalg.vector_norm(f)
torch.linalg.vector_norm(q, inf, ()) ; torch.linalg.vector_norm(v.sum(), inf) ; torch.linalg.vector_norm(v.sum(), 3, 0)
torch.linalg.matrix_norm(a) ; torch.linalg.matrix_norm(a, "nuc") ; torch.linalg.matrix_norm(a, 1, (0, 1)) ; torch.linalg.matrix_norm(a, inf, keepdim=True)
torch.linalg.matrix_norm(a, -2, (2, 0), True) ; torch.linalg.matrix_norm(z, 2) ; torch.linalg.matrix_norm(q, dtype=torch.float64)
torch.linalg.cond(q) ; torch.linalg.cond(a, 1) ; torch.linalg.cond(m) ; torch.linalg.cond(q, "fro") ; torch.linalg.cond(q, "nuc") ; torch.linalg.cond(q, -2)
torch.linalg.cond(z, inf) ; torch.linalg.cond(q * 0, 1) ; torch.linalg.cond(a, -1)
torch.norm(a) ; torch.norm(a, "nuc", (0, 1)) ; torch.norm(q, "nuc") ; torch.norm(a, 2, dim=(0, 1)) ; torch.norm(a, "fro", dim=1, keepdim=True) ; a.norm(1, 2)
"""


@lazily
@pytest.mark.parametrize("arrays", [SINGLES, DOUBLES], ids=["single", "double"])
@pytest.mark.parametrize("text", rows(VALUES))
def test_value(text: str, arrays: dict[str, Any]) -> None:
    ours, theirs = (evaluated(library, text, arrays) for library in (flambeau, torch))
    if isinstance(theirs, list):
        assert ours == theirs
        return
    loose(ours, theirs)


def loose(ours: Any, theirs: Any) -> None:
    """`same`, to the digits that are left after a solution by another order of operations."""
    assert type(ours).__name__ == type(theirs).__name__
    assert getattr(ours, "_fields", None) == (type(theirs).__match_args__ if hasattr(theirs, "n_fields") else None)
    for a, b in zip(flat(ours), flat(tuple(theirs) if isinstance(theirs, tuple) else theirs), strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert repr(a.dtype) == repr(b.dtype)
        digits = {"float32": 2e-4, "complex64": 2e-4, "bfloat16": 1e-2}.get(repr(a.dtype).split(".")[1], 1e-8)
        x, y = (t.detach().to(lib.float32 if t.dtype is lib.bfloat16 else t.dtype).resolve_conj().numpy()
                for t, lib in ((a, flambeau), (b, torch)))
        scale = max(1.0, float(np.abs(y[np.isfinite(y)]).max(initial=0)))
        np.testing.assert_allclose(x, y, digits, digits * scale)
