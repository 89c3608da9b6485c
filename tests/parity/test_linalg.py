"""torch.linalg and its relatives against torch: values, gradients of what has no free phases, errors, names of results."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from tests.engines import on_numpy  # noqa: E402

from .expressions import error_of, evaluated, flat, gradients, names_in, rows  # noqa: E402

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
torch.linalg.cholesky(h.tril()) ; h.cholesky() ; torch.linalg.cholesky_ex(-h).info
torch.linalg.cholesky_ex(torch.stack([h, -h])).info
torch.linalg.cholesky_ex(g, upper=True) ; torch.linalg.cholesky(e) ; torch.linalg.cholesky(k) ; torch.linalg.cholesky_ex(e)
torch.linalg.cholesky_ex(torch.diag(v.abs() * torch.tensor([1, -1, 1], dtype=v.dtype))).info
torch.linalg.inv(q) ; torch.linalg.inv(a) ; torch.linalg.inv(z) ; torch.inverse(q) ; q.inverse() ; torch.linalg.inv(e)
torch.linalg.inv(k)
torch.linalg.inv_ex(a) ; torch.linalg.inv_ex(q * 0).info ; torch.linalg.inv_ex(torch.stack([q, q * 0])).info
torch.linalg.inv(q.T)
torch.linalg.solve(q, b) ; torch.linalg.solve(q, v) ; torch.linalg.solve(a, c) ; torch.linalg.solve(a, u)
torch.linalg.solve(q, c)
torch.linalg.solve(a, b) ; torch.linalg.solve(a, t) ; torch.linalg.solve(z, x) ; torch.linalg.solve(q, b.T, left=False)
torch.linalg.solve(a, c.mT, left=False) ; torch.linalg.solve(z, x.mH, left=False) ; torch.linalg.solve_ex(a, c)
torch.linalg.solve(e, f) ; torch.linalg.solve(q, b[:, :0]) ; torch.linalg.solve_ex(q * 0, b).info
torch.linalg.solve_triangular(q, b, upper=True) ; torch.linalg.solve_triangular(a, b, upper=False, unitriangular=True)
torch.linalg.solve_triangular(z, x.mT, upper=True, left=False) ; torch.linalg.solve_triangular(q * 0, b, upper=True)
torch.triangular_solve(b, q) ; torch.triangular_solve(c, q, False, True, True) ; b.triangular_solve(q, upper=False)
torch.triangular_solve(x, z, transpose=True) ; torch.cholesky_solve(b, q.tril()) ; torch.cholesky_solve(x, z, True)
torch.cholesky_solve(b, a) ; b.cholesky_solve(q, upper=True) ; torch.cholesky_inverse(q) ; torch.cholesky_inverse(a, upper=True)
torch.cholesky_inverse(torch.linalg.cholesky(y)) ; q.cholesky_inverse() ; torch.linalg.det(q) ; torch.linalg.det(a)
torch.linalg.det(z) ; torch.det(o)
torch.linalg.det(e) ; torch.linalg.det(k) ; q.det() ; torch.linalg.slogdet(q) ; torch.linalg.slogdet(z) ; torch.slogdet(a)
q.slogdet()
torch.linalg.slogdet(q * 0) ; torch.linalg.slogdet(e) ; torch.logdet(h) ; torch.logdet(-h) ; torch.logdet(z)
torch.logdet(q * 0) ; g.logdet()
torch.linalg.lu_factor(q) ; torch.linalg.lu_factor(w) ; torch.linalg.lu_factor(m) ; torch.linalg.lu_factor_ex(z) ; torch.lu(a)
torch.lu(a, get_infos=True) ; a.lu() ; torch.linalg.lu(q) ; torch.linalg.lu(w) ; torch.linalg.lu(m) ; torch.linalg.lu(r)
torch.linalg.lu(e)
torch.lu_unpack(*torch.linalg.lu_factor(w)) ; torch.lu_unpack(*torch.linalg.lu_factor(q), unpack_data=False)
torch.lu_unpack(*torch.linalg.lu_factor(q), unpack_pivots=False) ; torch.linalg.lu_factor(f) ; torch.linalg.lu_factor_ex(o)
torch.linalg.lu_solve(*torch.linalg.lu_factor(q), b) ; torch.linalg.lu_solve(*torch.linalg.lu_factor(a), b, adjoint=True)
torch.linalg.lu_solve(*torch.linalg.lu_factor(z), x.mT, left=False) ; torch.lu_solve(c, *torch.linalg.lu_factor(a))
torch.linalg.lu_solve(*torch.linalg.lu_factor(z), x.mT, left=False, adjoint=True) ; b.lu_solve(*torch.linalg.lu_factor(q))
torch.geqrf(m) ; torch.geqrf(w) ; torch.geqrf(r) ; q.geqrf() ; torch.linalg.qr(q) ; torch.linalg.qr(m) ; torch.linalg.qr(w)
torch.linalg.qr(r)
torch.linalg.qr(m, "complete") ; torch.linalg.qr(w, mode="r") ; torch.qr(m, some=False) ; torch.qr(a) ; m.qr()
torch.linalg.qr(f)
torch.linalg.qr(f.T, "complete") ; torch.linalg.householder_product(*torch.geqrf(m)) ; torch.orgqr(*torch.geqrf(r))
torch.linalg.householder_product(m, v) ; torch.linalg.householder_product(m, v[:2]) ; m.orgqr(v)
torch.linalg.householder_product(r, x[:, 0])
torch.ormqr(*torch.geqrf(m), m) ; torch.ormqr(*torch.geqrf(m), m.T, left=False)
torch.ormqr(*torch.geqrf(r), r, transpose=True)
torch.ormqr(*torch.geqrf(r), r.mT, False, True) ; m.ormqr(v, m) ; torch.linalg.svdvals(m) ; torch.linalg.svdvals(w)
torch.linalg.svdvals(z)
torch.linalg.svd(w).S ; torch.linalg.svd(f) ; torch.linalg.svd(f, full_matrices=False) ; torch.svd(m, compute_uv=False)
torch.linalg.svdvals(f)
[x.shape for x in torch.linalg.svd(w)] ; [x.shape for x in torch.linalg.svd(w, False)]
[x.shape for x in torch.svd(m, some=False)]
torch.linalg.eigvalsh(h) ; torch.linalg.eigvalsh(y) ; torch.linalg.eigvalsh(g, "U") ; torch.linalg.eigvalsh(q)
torch.linalg.eigvalsh(q, UPLO="U")
torch.linalg.eigh(g).eigenvalues ; torch.linalg.eigh(q, "U").eigenvectors.abs() ; torch.linalg.eigh(z).eigenvectors.abs()
torch.linalg.eigh(e)
torch.linalg.eigvals(q) ; torch.linalg.eigvals(a) ; torch.linalg.eigvals(z) ; torch.linalg.eig(a).eigenvectors.abs()
torch.linalg.eig(e)
torch.linalg.eig(z).eigenvalues
torch.linalg.pinv(m) ; torch.linalg.pinv(w) ; torch.linalg.pinv(r) ; torch.linalg.pinv(o) ; torch.pinverse(m)
m.pinverse() ; torch.linalg.pinv(f)
torch.linalg.pinv(m, rtol=0.5) ; torch.linalg.pinv(m, atol=1.0) ; torch.linalg.pinv(w, 0.3)
torch.linalg.pinv(h, hermitian=True)
torch.linalg.pinv(w, atol=torch.tensor(1.0, dtype=w.dtype)) ; torch.linalg.pinv(w, rtol=torch.tensor([0.1, 0.9], dtype=w.dtype))
torch.linalg.pinv(q.tril(), hermitian=True) ; torch.linalg.pinv(m, atol=0.1, rtol=0.2) ; torch.linalg.pinv(y, hermitian=True)
torch.linalg.matrix_rank(q) ; torch.linalg.matrix_rank(o) ; torch.linalg.matrix_rank(w) ; torch.linalg.matrix_rank(w, atol=2.0)
torch.linalg.matrix_rank(w, 1.5) ; torch.linalg.matrix_rank(h, hermitian=True) ; torch.linalg.matrix_rank(f)
torch.linalg.matrix_rank(q, rtol=0.9)
torch.linalg.matrix_rank(w, tol=torch.tensor([0.1, 1.0], dtype=w.dtype)) ; torch.linalg.matrix_rank(w, atol=0.1, rtol=0.3)
torch.linalg.lstsq(m, torch.ones(4, 2, dtype=m.dtype)) ; torch.linalg.lstsq(m, torch.ones(4, dtype=m.dtype), driver="gelsd")
torch.linalg.lstsq(w, c) ; torch.linalg.lstsq(w, c, driver="gelss") ; torch.linalg.lstsq(w.mT, torch.ones(2, 5, dtype=w.dtype))
torch.linalg.lstsq(m, torch.ones(4, 2, dtype=m.dtype), driver="gels") ; torch.linalg.lstsq(o, b, driver="gelsd")
torch.linalg.lstsq(r, torch.ones(4, 1, dtype=r.dtype), driver="gelsd") ; torch.linalg.lstsq(m, m, rcond=0.5, driver="gelss")
torch.matrix_exp(q) ; torch.linalg.matrix_exp(a) ; torch.linalg.matrix_exp(z) ; q.matrix_exp() ; torch.matrix_exp(q * 20)
torch.matrix_exp(e)
torch.matrix_exp(torch.stack([q * 0, q * 1e-4])) ; torch.matrix_exp(torch.stack([q, q * 9])) ; torch.matrix_exp(k)
torch.matrix_exp(o)
torch.linalg.matrix_power(q, -2) ; torch.matrix_power(a, -1) ; q.matrix_power(-3) ; torch.linalg.matrix_power(z, 3)
torch.linalg.matrix_power(q, 0)
torch.linalg.multi_dot([v, q, b]) ; torch.linalg.multi_dot((q, m.T, m, v)) ; torch.linalg.multi_dot([v, v])
torch.linalg.multi_dot([q, b])
torch.linalg.cross(q, q.flip(0)) ; torch.linalg.cross(v, v.flip(0), dim=0) ; torch.linalg.cross(z, z.mT, dim=0)
torch.linalg.cross(q, v[None])
torch.linalg.vecdot(q, v) ; torch.linalg.vecdot(z, z.mT) ; torch.linalg.vecdot(a, q, dim=1) ; torch.linalg.vecdot(x, x, dim=0)
torch.linalg.vander(v) ; torch.linalg.vander(u, N=5) ; torch.vander(v) ; torch.vander(v, 2, increasing=True)
torch.vander(v.int()) ; torch.vander(v, 0)
torch.linalg.vander(z) ; torch.linalg.vander(v.long()) ; torch.linalg.diagonal(a)
torch.linalg.diagonal(a, offset=1, dim1=0) ; torch.linalg.matmul(q, b)
torch.linalg.tensorinv(s, ind=1) ; torch.linalg.tensorinv(s.reshape(2, 2, 2, 2)) ; torch.linalg.tensorsolve(p, u)
torch.linalg.tensorsolve(p.permute(0, 2, 1), u, dims=(1,)) ; torch.chain_matmul(q, b)
torch.linalg.ldl_factor(h) ; torch.linalg.ldl_factor(g) ; torch.linalg.ldl_factor(q) ; torch.linalg.ldl_factor(z)
torch.linalg.ldl_factor(a)
torch.linalg.ldl_factor(z, hermitian=True) ; torch.linalg.ldl_factor_ex(q - torch.diag(torch.diag(q)))
torch.linalg.ldl_factor_ex(q * 0)
torch.linalg.ldl_solve(*torch.linalg.ldl_factor(q), b) ; torch.linalg.ldl_solve(*torch.linalg.ldl_factor(a), b)
torch.linalg.ldl_factor(e)
torch.linalg.ldl_solve(*torch.linalg.ldl_factor(z), x)
torch.linalg.ldl_solve(*torch.linalg.ldl_factor(z, hermitian=True), x, hermitian=True)
torch.linalg.ldl_solve(*torch.linalg.ldl_factor(q - torch.diag(torch.diag(q))), b)
torch.linalg.norm(q) ; torch.linalg.norm(v, 3) ; torch.linalg.norm(q, 2) ; torch.linalg.norm(q, "nuc")
torch.linalg.norm(q, "fro") ; torch.linalg.norm(v, inf)
torch.linalg.norm(a, dim=1) ; torch.linalg.norm(a, 2, dim=(0, 1)) ; torch.linalg.norm(a, -inf, (1, 2), True)
torch.linalg.norm(a) ; torch.linalg.norm(v, 0)
torch.linalg.norm(z, "nuc") ; torch.linalg.norm(q, 1) ; torch.linalg.norm(q, -1) ; torch.linalg.norm(q, -2)
torch.linalg.norm(a, dim=(0, 2))
torch.linalg.vector_norm(a) ; torch.linalg.vector_norm(a, 1, 0) ; torch.linalg.vector_norm(a, -1, (0, 2), True)
torch.linalg.vector_norm(z, 2.5)
torch.linalg.vector_norm(q.half(), dtype=torch.float32) ; torch.linalg.vector_norm(q.bfloat16())
torch.linalg.vector_norm(v.sum()) ; torch.linalg.vector_norm(f)
torch.linalg.vector_norm(q, inf, ()) ; torch.linalg.vector_norm(v.sum(), inf) ; torch.linalg.vector_norm(v.sum(), 3, 0)
torch.linalg.matrix_norm(a) ; torch.linalg.matrix_norm(a, "nuc") ; torch.linalg.matrix_norm(a, 1, (0, 1))
torch.linalg.matrix_norm(a, inf, keepdim=True)
torch.linalg.matrix_norm(a, -2, (2, 0), True) ; torch.linalg.matrix_norm(z, 2)
torch.linalg.matrix_norm(q, dtype=torch.float64)
torch.linalg.cond(q) ; torch.linalg.cond(a, 1) ; torch.linalg.cond(m) ; torch.linalg.cond(q, "fro")
torch.linalg.cond(q, "nuc") ; torch.linalg.cond(q, -2)
torch.linalg.cond(z, inf) ; torch.linalg.cond(q * 0, 1) ; torch.linalg.cond(a, -1)
torch.norm(a) ; torch.norm(a, "nuc", (0, 1)) ; torch.norm(q, "nuc") ; torch.norm(a, 2, dim=(0, 1))
torch.norm(a, "fro", dim=1, keepdim=True) ; a.norm(1, 2)
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


GRADIENTS = """
torch.linalg.cholesky(h) ; torch.linalg.cholesky(g, upper=True) ; torch.cholesky(h) ; torch.linalg.cholesky(y)
 torch.linalg.inv(a) ; torch.linalg.inv(z)
torch.inverse(q) ; torch.linalg.solve(q, b) ; torch.linalg.solve(a, b) ; torch.linalg.solve(q, c) ; torch.linalg.solve(a, u)
torch.linalg.solve(z, x.mH, left=False) ; torch.linalg.solve(z, x) ; torch.linalg.solve_ex(q, v)[0] ; torch.linalg.solve(a, t)
torch.linalg.solve_triangular(q, b, upper=True) ; torch.linalg.solve_triangular(z, x, upper=False, unitriangular=True)
torch.triangular_solve(b, q)[0] ; torch.cholesky_solve(b, q) ; torch.cholesky_inverse(h) ; torch.linalg.det(a)
torch.linalg.det(z)
torch.linalg.det(o) ; torch.linalg.slogdet(a)[1] ; torch.linalg.slogdet(z) ; torch.logdet(h) ; torch.logdet(z)
torch.linalg.lu_factor(q)[0] ; torch.linalg.lu_factor(w)[0] ; torch.linalg.lu_factor(r)[0] ; torch.linalg.lu(m)[1:]
torch.linalg.lu(a)[1:]
torch.lu_unpack(*torch.linalg.lu_factor(q)) ; torch.linalg.lu_solve(*torch.linalg.lu_factor(q), b, adjoint=True)
torch.linalg.qr(m) ; torch.linalg.qr(w) ; torch.linalg.qr(r) ; torch.linalg.qr(w, "complete") ; torch.linalg.qr(z)
torch.linalg.householder_product(m, v) ; torch.ormqr(m, v, m) ; torch.linalg.householder_product(r, x[:, 0])
torch.linalg.svdvals(m) ; torch.linalg.svdvals(w) ; torch.linalg.svdvals(z)
(lambda s: s[0] @ s[2])(torch.linalg.svd(m, False))
(lambda s: s[0][..., :1] @ s[2][..., :1, :])(torch.linalg.svd(w)) ; (lambda s: s[0] @ s[2])(torch.linalg.svd(r, False))
torch.linalg.eigvalsh(h) ; torch.linalg.eigvalsh(g, "U") ; (lambda s: s[1][..., :1] @ s[1][..., :1].mT)(torch.linalg.eigh(h))
torch.linalg.eigvals(q).abs().sum() ; torch.linalg.eigvals(z).abs().sum() ; torch.linalg.eig(q)[1].abs()
torch.linalg.eig(z)[1].abs()
torch.linalg.pinv(m) ; torch.linalg.pinv(w) ; torch.linalg.pinv(r) ; torch.linalg.pinv(q) ; torch.linalg.lstsq(w, c)[0]
torch.linalg.lstsq(m, torch.ones(4, 2, dtype=m.dtype))[0] ; torch.matrix_exp(q) ; torch.matrix_exp(a * 3) ; torch.matrix_exp(z)
torch.linalg.matrix_power(q, -2) ; torch.linalg.multi_dot([v, q, b]) ; torch.linalg.cross(q, q.flip(0))
torch.linalg.vecdot(z, z.mT)
torch.linalg.vander(v) ; torch.linalg.tensorinv(s, ind=1) ; torch.linalg.tensorsolve(p, u) ; torch.linalg.diagonal(a)
torch.linalg.norm(q, 2) ; torch.linalg.norm(q, "nuc") ; torch.linalg.norm(a, inf, (1, 2)) ; torch.linalg.norm(v, 3)
torch.linalg.norm(z)
torch.linalg.vector_norm(a, -1, (0, 2)) ; torch.linalg.vector_norm(z, 2.5) ; torch.linalg.matrix_norm(a, -2)
torch.linalg.cond(q) ; torch.linalg.vector_norm(q * 0) ; torch.linalg.matrix_norm(q, 1) ; torch.norm(a, "nuc", (0, 1))
"""


@lazily
@pytest.mark.filterwarnings("ignore:(?s).*deprecated")
@pytest.mark.parametrize("text", rows(GRADIENTS))
def test_gradient(text: str) -> None:
    for ours, theirs in zip(gradients(flambeau, text, EXACT), gradients(torch, text, EXACT), strict=True):
        loose(ours, theirs)


SECOND = """
torch.linalg.cholesky(h) ; torch.linalg.inv(q) ; torch.linalg.inv(z) ; torch.linalg.solve(q, b) ; torch.linalg.solve(z, x)
torch.linalg.det(q) ; torch.linalg.slogdet(z)[1] ; torch.linalg.lu_factor(q)[0] ; torch.linalg.qr(m) ; torch.linalg.qr(w)
torch.linalg.householder_product(m, v) ; torch.linalg.svdvals(m) ; (lambda s: s[0] @ s[2])(torch.linalg.svd(m, False))
torch.linalg.eigvalsh(h) ; torch.linalg.eig(q)[1].abs() ; torch.linalg.pinv(m) ; torch.matrix_exp(q)
torch.linalg.lstsq(w, c)[0]
torch.linalg.solve_triangular(q, b, upper=True) ; torch.linalg.norm(q, "nuc") ; torch.linalg.cond(q)
torch.linalg.vector_norm(a, 3)
"""


def second_order(library: Any, text: str) -> list[Any]:
    """The gradients of a weighted sum of the gradients of a weighted sum of the results."""
    leaves = {k: library.tensor(v).requires_grad_() for k, v in EXACT.items() if k in names_in(text)}

    def weighted(tensors: Any) -> Any:
        total = 0
        for r in tensors:
            weights = library.tensor(np.cos(np.arange(r.numel())).reshape(tuple(r.shape)))
            part = (r * weights).sum()
            total = total + (part.real + part.imag if r.is_complex() else part)
        return total

    results = [r for r in flat(eval(text, {"torch": library, "inf": float("inf"), **leaves})) if r.requires_grad]
    first = library.autograd.grad(weighted(results), list(leaves.values()), create_graph=True)
    return list(library.autograd.grad(weighted(first), list(leaves.values())))


@lazily
@pytest.mark.parametrize("text", rows(SECOND))
def test_second_order(text: str) -> None:
    for ours, theirs in zip(second_order(flambeau, text), second_order(torch, text), strict=True):
        loose(ours, theirs)


ERRORS = """
torch.linalg.cholesky(-h) ; torch.linalg.cholesky(torch.stack([h, -h])) ; torch.cholesky(-h) ; torch.linalg.cholesky(m)
torch.linalg.cholesky(v)
torch.linalg.cholesky(i) ; torch.linalg.cholesky(h.half()) ; torch.cholesky(m) ; torch.cholesky(i)
torch.linalg.cholesky_ex(-h, check_errors=True)
torch.linalg.inv(q * 0) ; torch.linalg.inv(torch.stack([q, q * 0])) ; torch.inverse(q * 0)
torch.linalg.inv_ex(q * 0, check_errors=True)
torch.linalg.inv(m) ; torch.linalg.inv(i) ; torch.linalg.inv(q.half()) ; torch.inverse(v) ; torch.linalg.solve(q * 0, b)
torch.linalg.solve(torch.stack([q, q * 0]), b) ; torch.linalg.solve_ex(q * 0, b, check_errors=True) ; torch.linalg.solve(q, m)
torch.linalg.solve(q, b.double()) ; torch.linalg.solve(m, b) ; torch.linalg.solve(i, i)
torch.linalg.solve(a, w[:1].expand(3, 3, 5))
torch.linalg.solve(q, v[:2]) ; torch.linalg.solve(q, v, left=False) ; torch.linalg.solve(q, v[0])
torch.linalg.lu_factor(q * 0)
torch.linalg.lu_factor_ex(q * 0, check_errors=True) ; torch.linalg.lu_factor(v) ; torch.linalg.lu_factor(i)
torch.linalg.lu(q, pivot=False)
torch.linalg.lu_factor(q, pivot=False) ; torch.lu_unpack(q, v) ; torch.linalg.lu_solve(q, v, b) ; torch.linalg.lu_solve(q, j, m)
torch.linalg.lu_solve(q, j, b.double()) ; torch.linalg.lu_solve(m, j, b) ; torch.linalg.eig(q / 0) ; torch.linalg.eigvals(m)
torch.linalg.eigh(m) ; torch.linalg.eigh(q, UPLO="X") ; torch.linalg.eigh(i) ; torch.linalg.eigh(q, UPLO="LU")
torch.linalg.svd(q * nan)
torch.linalg.svd(v) ; torch.linalg.svd(i) ; torch.linalg.svd(q, driver="gesvd") ; torch.linalg.svdvals(q * nan) ; torch.svd(i)
torch.linalg.qr(q, mode="x") ; torch.linalg.qr(v) ; torch.linalg.qr(i) ; torch.geqrf(v) ; torch.geqrf(i)
torch.orgqr(b.T, v[:2])
torch.orgqr(b, v) ; torch.orgqr(b, v[:2].double()) ; torch.orgqr(v, v) ; torch.orgqr(a, v[None].expand(3, 3))
torch.ormqr(b, v[:2], m)
torch.ormqr(v, v, m) ; torch.ormqr(b, v, b) ; torch.ormqr(b, v[:2], b.double()) ; torch.ormqr(b, v[:2], m.T, left=False)
torch.linalg.lstsq(q, m) ; torch.linalg.lstsq(q, q, driver="x") ; torch.linalg.lstsq(q, q.double()) ; torch.linalg.lstsq(v, q)
torch.linalg.lstsq(q, v[0]) ; torch.linalg.lstsq(i, i) ; torch.linalg.det(m) ; torch.linalg.det(i) ; torch.logdet(m)
torch.linalg.slogdet(q.half()) ; torch.det(v) ; torch.logdet(i) ; torch.slogdet(m)
torch.linalg.solve_triangular(q, m, upper=True)
torch.linalg.solve_triangular(q, v, upper=True) ; torch.linalg.solve_triangular(i, i, upper=True) ; torch.triangular_solve(m, q)
torch.cholesky_solve(m, q) ; torch.cholesky_solve(b, q.double()) ; torch.cholesky_inverse(m) ; torch.cholesky_inverse(v)
torch.cholesky_solve(v, q) ; torch.cholesky_inverse(i) ; torch.cholesky_solve(i, i) ; torch.linalg.ldl_factor(m)
torch.linalg.ldl_factor(i)
torch.linalg.ldl_solve(q, v, b) ; torch.linalg.ldl_solve(q, j, m) ; torch.linalg.ldl_solve(q, j[:2], b)
torch.linalg.matrix_exp(m)
torch.linalg.matrix_exp(i) ; torch.matrix_exp(v) ; torch.linalg.matrix_power(q * 0, -1) ; torch.linalg.matrix_power(i, -1)
torch.linalg.matrix_rank(v) ; torch.linalg.matrix_rank(q, tol=v + 0j) ; torch.linalg.matrix_rank(m, hermitian=True)
torch.linalg.cond(v)
torch.linalg.cond(m, 1) ; torch.linalg.cond(q, "x") ; torch.linalg.multi_dot([q]) ; torch.linalg.multi_dot([q, m])
torch.linalg.multi_dot([q, a]) ; torch.linalg.multi_dot([q, q.double()]) ; torch.linalg.multi_dot([a, q, q])
torch.linalg.multi_dot([q, a, q])
torch.linalg.multi_dot([v, b.T, b]) ; torch.linalg.tensorinv(q, ind=0) ; torch.linalg.tensorinv(m, ind=1)
torch.linalg.tensorinv(q * 0, ind=1)
torch.linalg.tensorsolve(q, v[:2]) ; torch.linalg.tensorsolve(q * 0, v) ; torch.linalg.vander(v[0])
torch.linalg.vander(v, N=0)
torch.vander(q) ; torch.vander(v, N=-1) ; torch.linalg.cross(v, v[:2]) ; torch.linalg.vecdot(v, v.double())
torch.linalg.vecdot(i, i)
torch.linalg.diagonal(q, dim1=0, dim2=0) ; torch.linalg.vector_norm(i) ; torch.linalg.vector_norm(v[:0], inf)
torch.linalg.vector_norm(f, -1, dim=0)
torch.linalg.vector_norm(q, "fro") ; torch.linalg.norm(q, "x") ; torch.linalg.norm(a, 2) ; torch.linalg.norm(q, "nuc", dim=0)
torch.linalg.norm(q, 3, dim=(0, 1)) ; torch.linalg.matrix_norm(q, 3) ; torch.linalg.matrix_norm(v)
torch.linalg.matrix_norm(q, "x")
torch.linalg.matrix_norm(q, dim=(0,)) ; torch.linalg.matrix_norm(q, dim=(0, 0)) ; torch.linalg.matrix_norm(q, dtype=torch.int64)
torch.linalg.matrix_norm(q.double(), dtype=torch.float32) ; torch.linalg.norm(i) ; torch.linalg.norm(a, dim=(0, 1, 2))
torch.linalg.vector_norm(q, dtype=torch.complex64) ; torch.linalg.vector_norm(z, dtype=torch.float32)
torch.linalg.matrix_norm(q.half(), 2)
torch.linalg.norm(q, "fro", dim=0) ; torch.linalg.matrix_norm(i) ; torch.linalg.pinv(v) ; torch.linalg.pinv(i)
torch.linalg.pinv(m, hermitian=True)
torch.linalg.pinv(q * nan) ; torch.pinverse(v) ; torch.linalg.pinv(q, rtol=v + 0j) ; torch.norm(a, "nuc")
torch.norm(q, "x") ; torch.norm(i)
"""
OTHERS = {**SINGLES, "i": np.arange(9).reshape(3, 3), "j": np.array([1, 2, 3], np.int32)}


@lazily
@pytest.mark.parametrize("text", rows(ERRORS))
def test_error(text: str) -> None:
    ours, theirs = (error_of(library, text, OTHERS) for library in (flambeau, torch))
    assert type(ours).__name__ == type(theirs).__name__.lstrip("_")
    assert str(ours).splitlines()[0] == str(theirs).splitlines()[0]


OUT = """
torch.linalg.cholesky(h, out=out) ; torch.linalg.inv(q, out=out) ; torch.linalg.solve(q, b, out=out)
torch.linalg.det(a, out=out)
torch.linalg.svdvals(m, out=out) ; torch.linalg.eigvalsh(h, out=out) ; torch.linalg.pinv(m, out=out)
torch.linalg.norm(q, out=out)
torch.linalg.matrix_norm(a, out=out) ; torch.linalg.cond(q, out=out) ; torch.linalg.multi_dot([q, b], out=out)
torch.norm(q, out=out)
torch.linalg.householder_product(m, v, out=out) ; torch.cholesky_solve(b, q, out=out) ; torch.inverse(q, out=out)
torch.linalg.solve_triangular(q, b, upper=True, out=out) ; torch.linalg.vecdot(q, v, out=out)
torch.linalg.matrix_power(q, 2, out=out)
"""
OUTS = """
torch.linalg.cholesky_ex(h, out=out[:2]) ; torch.linalg.inv_ex(q, out=out[:2]) ; torch.linalg.qr(m, out=out[::2])
torch.linalg.slogdet(q, out=out[::2]) ; torch.linalg.lu_factor(q, out=out[:2]) ; torch.linalg.solve_ex(q, b, out=out[:2])
"""


@lazily
@pytest.mark.parametrize("text", rows(OUT))
def test_out(text: str) -> None:
    results = []
    for library in (flambeau, torch):
        out = library.zeros(0)
        assert evaluated(library, text, SINGLES, out=out) is out
        results.append(out)
    loose(*results)


@lazily
@pytest.mark.parametrize("text", rows(OUTS))
def test_out_of_several(text: str) -> None:
    given = []
    for library in (flambeau, torch):
        given.append([library.zeros(0), library.zeros(0, dtype=library.int32), library.zeros(0)])
        evaluated(library, text, SINGLES, out=given[-1])
    for ours, theirs in zip(*given):
        loose(ours, theirs)


STRIDES = """
torch.linalg.cholesky(g) ; torch.linalg.cholesky(g, upper=True) ; torch.linalg.inv(a) ; torch.linalg.solve(a, c)
torch.linalg.solve(a, u)
torch.linalg.solve(a, c.mT, left=False) ; torch.linalg.lu(w) ; torch.linalg.lu_factor(w)
torch.linalg.lu_solve(*torch.linalg.lu_factor(a), c)
torch.linalg.qr(w) ; torch.linalg.qr(m, "complete") ; torch.geqrf(w) ; torch.orgqr(m, v) ; torch.ormqr(m, v, m)
torch.linalg.svd(w)
torch.linalg.svd(w, False) ; torch.linalg.eigh(g) ; torch.linalg.eig(a) ; torch.linalg.solve_triangular(a, c, upper=True)
torch.triangular_solve(c, a) ; torch.cholesky_solve(c, a) ; torch.cholesky_inverse(a)
torch.linalg.ldl_factor(g) ; torch.linalg.pinv(w) ; torch.matrix_exp(a) ; torch.linalg.matrix_power(a, -2)
torch.linalg.tensorinv(s, ind=1) ; torch.linalg.vander(u)
"""


@lazily
@pytest.mark.filterwarnings("ignore:(?s).*deprecated")
@pytest.mark.parametrize("text", rows(STRIDES))
def test_strides(text: str) -> None:
    ours, theirs = (evaluated(library, text, SINGLES) for library in (flambeau, torch))
    pairs = zip(ours, theirs) if isinstance(theirs, tuple) else [(ours, theirs)]
    assert [a.stride() == b.stride() for a, b in pairs].count(False) == 0


@lazily
@pytest.mark.parametrize("text", ["torch.linalg.slogdet(h)", "torch.linalg.lu_factor_ex(h)", "torch.linalg.lu(torch.eye(2))"])
def test_named_results_print_as_torchs(text: str) -> None:
    ours, theirs = (evaluated(library, text, SINGLES) for library in (flambeau, torch))
    assert repr(ours).replace("\n", "").replace(" ", "") == repr(theirs).replace("\n", "").replace(" ", "")
    assert [name for name in ours._fields if not hasattr(theirs, name)] == []


@lazily
def test_matrices_of_low_rank() -> None:
    flambeau.manual_seed(0)
    x = flambeau.tensor(SINGLES["m"]) @ flambeau.tensor(SINGLES["w"][0])
    u, s, v = flambeau.svd_lowrank(x, q=4)
    np.testing.assert_allclose((u * s @ v.mT).numpy(), x.numpy(), atol=1e-4)
    wide = flambeau.svd_lowrank(x.mT, q=3, niter=1)
    np.testing.assert_allclose((wide[0] * wide[1] @ wide[2].mT).numpy(), x.mT.numpy(), atol=1e-4)
    u, s, v = flambeau.pca_lowrank(x, q=3)
    centred = x - x.mean(-2, True)
    np.testing.assert_allclose((u * s @ v.mT).numpy(), centred.numpy(), atol=1e-4)
    for library in (flambeau, torch):
        with pytest.raises(ValueError, match=r"q\(=9\) must be non-negative integer and not greater than min\(m, n\)=4"):
            library.pca_lowrank(library.ones(4, 5), q=9)


@lazily
@pytest.mark.parametrize("text", ["cholesky(x @ x.mT + 2 * torch.eye(3))", "inv(x)", "solve(x, x[:, 0])", "det(x)",
                                  "qr(x).R.abs()", "svdvals(x)", "eigvals(x).abs().sum()", "pinv(x)", "matrix_exp(x)",
                                  "slogdet(x)[1]", "lu_factor(x)[0]", "cond(x)", "matrix_norm(x, 'nuc')"])
def test_transforms_agree_with_loops(text: str) -> None:
    def call(x: Any) -> Any:
        return eval(f"torch.linalg.{text}", {"torch": flambeau, "x": x})

    batch = flambeau.tensor(EXACT["a"])
    each = flambeau.stack([call(x) for x in batch])
    np.testing.assert_allclose(flambeau.vmap(call)(batch).numpy(), each.numpy(), rtol=1e-9, atol=1e-11)
    gradients = flambeau.vmap(flambeau.func.grad(lambda x: call(x).sum()))(batch)
    whole = batch.clone().requires_grad_()
    flambeau.stack([call(x) for x in whole]).sum().backward()
    np.testing.assert_allclose(gradients.numpy(), whole.grad.numpy(), rtol=1e-8, atol=1e-10)
    direction = flambeau.ones_like(batch[0])
    _, pushed = flambeau.func.jvp(call, (batch[0],), (direction,))
    step = 1e-6
    numeric = (call(batch[0] + step * direction) - call(batch[0] - step * direction)) / (2 * step)
    np.testing.assert_allclose(pushed.numpy(), numeric.numpy(), rtol=1e-4, atol=1e-5)


def test_the_names_are_torchs() -> None:
    theirs = {name for name in dir(torch.linalg) if not name.startswith("_")} - {"Tensor", "common_notes", "torch", "sys"}
    assert theirs <= set(dir(flambeau.linalg))


@pytest.mark.filterwarnings("ignore:(?s).*")
@lazily
def test_lobpcg() -> None:
    symmetric = definite(rng.normal(size=(9, 9)))
    weights = definite(rng.normal(size=(9, 9)))
    for largest in (True, False):
        ours, theirs = (lib.lobpcg(lib.tensor(symmetric), 2, lib.tensor(weights), largest=largest, niter=200)
                        for lib in (flambeau, torch))
        np.testing.assert_allclose(ours[0].numpy(), theirs[0].numpy(), rtol=1e-4)
        left = symmetric @ ours[1].numpy() - weights @ ours[1].numpy() * ours[0].numpy()
        np.testing.assert_allclose(left, 0, atol=1e-9)
    for lib in (flambeau, torch):
        with pytest.raises(ValueError, match=r"number of A rows \(=3\) is smaller than 3 x the number of requested"):
            lib.lobpcg(lib.eye(3), 2)


# --- What no Cholesky factor has ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("compiled", [False, True], ids=["numpy", "xla"])
def test_the_first_minor_that_is_not_positive_definite(compiled: bool, kind: str) -> None:
    """Of all matrices 3 x 3 of -1, 2 and NaN on the diagonal and 0, 1 and NaN beside it: info as LAPACK's in torch."""
    rows = [[[a, d, e], [d, b, f], [e, f, c]] for a, b, c in itertools.product((-1.0, 2.0, np.nan), repeat=3)
            for d, e, f in itertools.product((0.0, 1.0, np.nan), repeat=3)]
    wanted = torch.linalg.cholesky_ex(torch.tensor(rows, dtype=getattr(torch, kind))).info.tolist()
    matrices = flambeau.tensor(rows, dtype=getattr(flambeau, kind))
    with on_numpy(not compiled):
        factors = flambeau.jit(flambeau.linalg.cholesky_ex) if compiled else flambeau.linalg.cholesky_ex
        assert factors(matrices).info.tolist() == wanted
        if compiled:  # what the step says of the first one
            with pytest.raises(flambeau.linalg.LinAlgError, match="not positive-definite"):
                flambeau.jit(flambeau.linalg.cholesky)(matrices).tolist()
