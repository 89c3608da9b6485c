"""Products added to a tensor, in space, of many matrices; distances, covariances, histograms: against torch."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from .expressions import evaluated, flat, gradients, rows, same, same_error  # noqa: E402

rng = np.random.default_rng(7)
REALS = {
    "v": rng.normal(size=3), "w": rng.normal(size=3), "u": rng.normal(size=2), "m": rng.normal(size=(2, 3)),
    "n": rng.normal(size=(3, 4)), "q": rng.normal(size=(3, 3)), "o": rng.normal(size=(4, 2)),
    "a": rng.normal(size=(2, 3, 5)), "b": rng.normal(size=(2, 5, 4)), "x": rng.normal(size=(2, 3, 4)), "s": np.array(0.7),
    "big": rng.normal(size=(30, 3)), "p": np.abs(rng.normal(size=3)) + 0.1,
    "ties": np.array([[1.0, 3.0, 3.0], [-2.0, 1.0, -2.0]]),
    "zero": np.zeros((2, 3)), "holes": np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 5.0]]),
}
FLOATS = {k: v.astype(np.float32) for k, v in REALS.items()}
OTHERS = {
    **FLOATS, "i": np.arange(6).reshape(2, 3), "iv": np.array([1, 2, 3]), "iu": np.array([3, -1]), "t": np.array([True, False]),
    "tt": np.array([True, False, True]), "c": np.array([1 + 2j, 3 - 1j, -0.5j], np.complex64),
    "cc": np.array([[1 + 2j, 3 - 1j, 0.5], [2j, 1, -1 - 1j]], np.complex64), "e": np.zeros(0, np.float32),
    "d": REALS["m"], "h": REALS["m"].astype(np.float16), "fw": np.array([1, 2, 3]), "gone": np.full((2, 3), np.nan, np.float32),
}


lazily = pytest.mark.usefixtures("numpy_engine")


GRADIENTS = """
torch.addmv(u, m, v) ; u.addmv(m, v, beta=0.5, alpha=-2) ; torch.addmv(s, m, v) ; torch.addmv(u, m, v, beta=0)
torch.addr(m, u, v) ; m.addr(u, v, beta=2, alpha=0.3) ; torch.addr(v, u, w) ; torch.addr(s, u, w, beta=0)
torch.addr(u[:, None], u, w)
torch.addbmm(n, a, b) ; n.addbmm(a, b, beta=0.5, alpha=3) ; torch.addbmm(s, a, b) ; torch.addbmm(n[:1], a, b, beta=0)
u.clone().addmv_(m, v, alpha=2) ; m.clone().addr_(u, v, beta=3) ; n.clone().addbmm_(a, b, beta=2)
torch.addmv_(u.clone(), m, v)
torch.ger(v, w) ; v.ger(u) ; torch.cross(v, w, dim=0) ; torch.cross(q, q.flip(0), dim=1) ; q.cross(n[:, :3], dim=-2)
torch.cross(q, v[None], dim=-1) ; torch.cross(x, x.flip(0))
torch.kron(m, v) ; m.kron(q) ; torch.kron(s, m) ; torch.kron(m, u[:, None, None])
torch.matrix_power(q, 2) ; q.matrix_power(3) ; torch.matrix_power(q, 7) ; torch.matrix_power(q, 0) ; torch.matrix_power(q, 1)
torch.matrix_power(torch.stack([q, q.t()]), 6)
torch.chain_matmul(m, n, o) ; torch.chain_matmul(o, m, n, o, m) ; torch.chain_matmul(m) ; torch.chain_matmul(m, n)
torch.dist(m, q[:2]) ; m.dist(v) ; torch.dist(m, v, 1) ; torch.dist(m, v, 3) ; torch.dist(m, v, 0.5) ; torch.dist(m, v, inf)
torch.dist(m, v, -inf) ; torch.dist(m, v, -1.5) ; torch.dist(m, m) ; torch.dist(m, m, 3) ; torch.dist(m, m, 1)
torch.dist(m, m, inf) ; torch.dist(ties, zero, inf) ; torch.dist(ties - ties[:, :1], zero, 0.5) ; torch.dist(s, v)
torch.dist(ties - ties[:, :1], zero, 1.5)
torch.cdist(m, q) ; torch.cdist(m, q, 1.0) ; torch.cdist(m, q, 3) ; torch.cdist(m, q, 0.5) ; torch.cdist(m, q, inf)
torch.cdist(q, q)
torch.cdist(m, q, 1.5) ; torch.cdist(m, q, 0) ; torch.cdist(q, q, 3) ; torch.cdist(x[:, :, None], x[:1])
torch.cdist(x, x, compute_mode='donot_use_mm_for_euclid_dist')
torch.cdist(m, q, compute_mode='use_mm_for_euclid_dist') ; torch.cdist(big, m) ; torch.cdist(m, big)
torch.cdist(big, m, 2, 'donot_use_mm_for_euclid_dist')
torch.nansum(holes) ; torch.nansum(holes, 0) ; holes.nansum(1, keepdim=True) ; torch.nansum(x, (0, 2)) ; torch.nansum(s)
torch.nanmean(x) ; torch.nanmean(holes[:, ::2], 0) ; holes.nanmean(-1, True) ; torch.nanmean(x, (0, 1))
torch.aminmax(m) ; torch.aminmax(ties) ; torch.aminmax(ties, dim=1) ; x.aminmax(dim=-2, keepdim=True) ; torch.aminmax(s)
torch.cov(m) ; m.cov(correction=0) ; torch.cov(v) ; torch.cov(m, aweights=p) ; torch.cov(m, aweights=p, correction=0)
torch.cov(m, fweights=torch.tensor([1, 2, 3])) ; torch.cov(m, fweights=torch.tensor([1, 2, 3]), aweights=p, correction=2)
torch.corrcoef(q) ; n.corrcoef() ; torch.corrcoef(m)
torch.renorm(m, 2, 0, 1) ; m.renorm(1, 1, 1.5) ; torch.renorm(x, 2, -2, 1.7) ; torch.renorm(x, inf, 0, 1.0)
torch.renorm(x, 3, 2, 2)
torch.renorm(m, 0.5, 0, 1) ; m.clone().renorm_(2, 1, 0.5) ; torch.renorm(zero, 2, 0, 0.0)
torch.renorm(m, 2, 0, 100) ; torch.renorm(m, 2, 0, inf)
"""


@lazily
@pytest.mark.parametrize("text", rows(GRADIENTS))
def test_gradient(text: str) -> None:
    same(gradients(flambeau, text, REALS), gradients(torch, text, REALS))


COMPLEX = """
torch.cov(z) ; torch.corrcoef(z) ; torch.cross(z, y[None], dim=1) ; torch.kron(z, y) ; torch.ger(y, y) ; torch.dist(z, y)
torch.addmv(y[:2], z, y, beta=1j, alpha=2 - 1j) ; torch.renorm(z, 2, 0, 1.0) ; torch.dist(z, y, 1)
torch.addr(z, y[:2], y, alpha=1j)
"""


@lazily
@pytest.mark.parametrize("text", rows(COMPLEX))
def test_complex_gradient(text: str) -> None:
    arrays = {"z": OTHERS["cc"], "y": OTHERS["c"]}
    same(gradients(flambeau, text, arrays), gradients(torch, text, arrays))


VALUES = """
torch.addmv(iu, i, iv, beta=2, alpha=3) ; torch.addmv(iu, i, iv, alpha=1.5) ; torch.addmv(u * nan, m, v, beta=0)
torch.addmv(e, m[:0], v)
torch.addmv(u, m[:, :0], v[:0], beta=3) ; torch.addmv(u[:1], m, v) ; torch.addmv(u.half(), h, v.half())
torch.addr(i, iu, iv) ; torch.addr(i, u, v) ; torch.addr(m, iu, iv) ; torch.addr(m.double(), u, v)
torch.addr(gone, u, v, beta=0)
torch.addr(i.bool(), t, tt) ; torch.addr(i.bool(), t, tt, beta=0) ; torch.addr(i.bool(), t, tt, alpha=0)
torch.addr(i.bool(), t, tt, beta=2, alpha=3)
torch.addr(s.double(), u, v) ; torch.addr(i.to(torch.int32), iu, iv, beta=2) ; torch.addr(m[:0], u[:0], v) ; torch.addr(i, t, v)
m.clone().addr_(u, v.double())
torch.addbmm(n, a[:0], b[:0], beta=2) ; torch.addbmm(n, a[:, :, :0], b[:, :0]) ; torch.addbmm(n * nan, a, b, beta=0)
torch.addbmm(n.long(), a.long(), b.long(), beta=2, alpha=3) ; torch.addbmm(n.long(), a.long(), b.long(), beta=0.5)
torch.addbmm(n[0], a, b)
torch.ger(iv, v) ; torch.ger(t, iv) ; torch.ger(e, v) ; torch.cross(i, i.flip(1)) ; torch.cross(q.half(), q.t().half(), dim=0)
torch.cross(e[:, None].expand(0, 3), m[:0])
torch.cross(i.to(torch.uint8), i.flip(0).to(torch.uint8)) ; torch.cross(q[:1], q, dim=1) ; torch.cross(c, c.conj())
torch.kron(i, m) ; torch.kron(t, t) ; torch.kron(iv, tt) ; torch.kron(s, s) ; torch.kron(e, m) ; torch.kron(s.double(), m)
torch.kron(c, v) ; torch.kron(i[:, ::2], m[::2])
torch.matrix_power(i[:, :2], 5) ; torch.matrix_power(q * nan, 0) ; torch.matrix_power(x[:0, :, :3], 2)
torch.matrix_power(i[:, :2], 0)
torch.matrix_power(q[:0, :0], 3) ; torch.matrix_power(q.half(), 3) ; torch.matrix_power(tt[:, None] * tt, 0)
torch.matrix_power(x[:, :, :3], 4)
torch.matrix_power(i[:, :2].to(torch.int32), 3) ; torch.matrix_power(cc[:, :2], 5)
torch.chain_matmul(i, i.t(), i) ; torch.chain_matmul(m[:0], n, o) ; torch.chain_matmul(m[:, :0], n[:0])
torch.dist(i, m) ; torch.dist(m, v, 0) ; torch.dist(zero, ties, 0) ; torch.dist(d, m) ; torch.dist(h, h * 2) ; torch.dist(e, e)
torch.dist(e, e, 0) ; torch.dist(e, e, 0.5) ; torch.dist(m, gone) ; torch.dist(m, gone, 0)
torch.dist(cc, c, inf) ; torch.dist(m, i, 1) ; torch.dist(gone, m, inf) ; torch.dist(ties, ties[:, :1], -1)
torch.cdist(m[:0], q) ; torch.cdist(m[:, :0], q[:, :0]) ; torch.cdist(m[:, :0], q[:, :0], inf) ; torch.cdist(m, q, 0)
torch.cdist(ties, ties, inf)
torch.cdist(ties, ties, 0) ; torch.cdist(x[:, None], x[:1]) ; torch.cdist(d, d)
torch.cdist(big, big[:2], 2, 'use_mm_for_euclid_dist')
torch.nansum(i) ; torch.nansum(i, 0) ; torch.nansum(t) ; torch.nansum(gone) ; torch.nansum(gone, 1, True)
torch.nansum(holes, ()) ; torch.nansum(e)
torch.nansum(holes, dtype=torch.float64) ; torch.nansum(holes, dtype=torch.int64) ; torch.nansum(h)
torch.nansum(i.to(torch.uint8)) ; torch.nansum(holes, None, True)
torch.nansum(i.to(torch.int32), dtype=torch.int32) ; torch.nansum(holes * inf, 0) ; torch.nansum(s * nan, 0)
torch.nansum(i, dtype=torch.float32)
torch.nanmean(holes) ; torch.nanmean(gone) ; torch.nanmean(holes, 0) ; torch.nanmean(e) ; torch.nanmean(h, 1)
torch.nanmean(holes, dtype=torch.float64) ; torch.nanmean(holes, ()) ; torch.nanmean(s, 0, True)
torch.aminmax(i) ; torch.aminmax(t) ; torch.aminmax(holes) ; torch.aminmax(holes, dim=0)
torch.aminmax(i.to(torch.uint8), dim=-1) ; torch.aminmax(m, keepdim=True)
torch.aminmax(s, dim=0) ; torch.aminmax(s, dim=-1, keepdim=True) ; torch.aminmax(m[:, :0], dim=0) ; torch.aminmax(h, dim=1)
torch.aminmax(x, dim=1) ; torch.aminmax(i)
torch.cov(i) ; torch.cov(s) ; torch.cov(e) ; torch.cov(m[:0]) ; torch.cov(m[:, :0]) ; torch.cov(m[:, :1])
torch.cov(m, correction=3) ; torch.cov(m, correction=7) ; torch.cov(h)
torch.cov(i, fweights=fw) ; torch.cov(m, fweights=fw.to(torch.int32), correction=6) ; torch.cov(m, aweights=p.double())
torch.cov(d, aweights=p) ; torch.cov(m, fweights=fw, aweights=p)
torch.cov(m[:0, :0]) ; torch.cov(c) ; torch.cov(m, aweights=p, correction=2)
torch.cov(m, fweights=fw, correction=9) ; torch.cov(m[:1])
torch.cov(s, aweights=p[0], correction=0)
torch.corrcoef(i) ; torch.corrcoef(s) ; torch.corrcoef(v) ; torch.corrcoef(zero) ; torch.corrcoef(m[:, :0])
torch.corrcoef(h)
torch.corrcoef(m[:0]) ; torch.corrcoef(i.to(torch.int32))
torch.corrcoef(torch.stack([v, v, -v]))
torch.renorm(h, 2, 0, 1.0) ; torch.renorm(m[:, :0], 2, 0, 1.0) ; torch.renorm(m[:0], 2, 0, 1.0) ; torch.renorm(holes, 2, 0, 1.0)
torch.renorm(m, 2, 0, 0.0) ; torch.renorm(m, 2, 0, inf)
torch.renorm(m * inf, 2, 0, 1.0) ; torch.renorm(m * 1e-6, 2, 0, 1e-7) ; torch.renorm(m, 2, -1, 0.5)
m.histc().sum() ; v.histc(4) ; torch.histc(x, 7, -1, 1) ; torch.histc(x, bins=5, min=0, max=0) ; torch.histc(e, 3)
torch.histc(e, 3, 1, 2) ; torch.histc(holes, 3, 1, 3)
torch.histc(torch.ones(5), 4) ; torch.histc(s, 3) ; torch.histc(h, 3) ; torch.histc(i.float(), 6, 0, 5)
torch.histc(m * inf, 3, 0, 2) ; torch.histc(iv.double(), 3, 2, 2)
torch.histc(m.bfloat16(), 4) ; torch.histc((i / 7).repeat(20, 3), 29) ; torch.histc(i / 10, 10, 0, 1)
torch.histc(m.requires_grad_(), 3).requires_grad
"""


@lazily
@pytest.mark.parametrize("text", rows(VALUES))
def test_value(text: str) -> None:
    same(evaluated(flambeau, text, OTHERS), evaluated(torch, text, OTHERS))


ERRORS = """
torch.addmv(v, m, v) ; torch.addmv(u, m, u) ; torch.addmv(m, m, v) ; torch.addmv(u, v, m) ; torch.addmv(u.double(), m, v)
torch.addmv(u, m.double(), v)
torch.addmv(t, i.bool(), tt) ; torch.addmv(u, m, v, alpha=1j)
torch.addr(m[:, :2], u, v) ; torch.addr(m, m, v) ; torch.addr(m, u, s) ; torch.addr(x, u, v) ; torch.addr(i, iu, iv, beta=0.5)
torch.addr(i, iu, iv, alpha=0.5) ; torch.addr(m, u, v, beta=True)
torch.addr(m, u, v, alpha=True) ; i.clone().addr_(u, v)
torch.addbmm(n, a, b[:1]) ; torch.addbmm(n, a, b[:, :4]) ; torch.addbmm(n[:2], a, b) ; torch.addbmm(n.double(), a, b)
torch.addbmm(n, a.double(), b) ; torch.addbmm(n[:, :, None], a, b)
torch.addbmm(n.bool(), a.bool(), b.bool())
torch.ger(m, v) ; torch.ger(v, m) ; torch.cross(m, v) ; torch.cross(i, d) ; torch.cross(o, o) ; torch.cross(o, o, dim=0)
torch.cross(n, n, dim=5) ; torch.cross(s, s) ; torch.cross(q, m, dim=0)
torch.cross(q[:2], q, dim=1) ; torch.cross(tt, tt) ; torch.cross(m, m[:, :2], dim=1) ; torch.cross(u, q)
torch.kron(v, 3) ; torch.matrix_power(m, 2) ; torch.matrix_power(v, 2) ; torch.matrix_power(q, 2.0) ; torch.matrix_power(s, 0)
torch.matrix_power(tt[:, None] * tt, 2)
torch.chain_matmul() ; torch.chain_matmul(m, v) ; torch.chain_matmul(m, m) ; torch.chain_matmul(v) ; torch.chain_matmul(m, x)
torch.dist(i, i) ; torch.dist(e, e, inf) ; torch.dist(e, e, -1.0) ; torch.dist(m, u) ; torch.dist(t, t)
torch.cdist(m, q, -1.0) ; torch.cdist(v, m) ; torch.cdist(m, v) ; torch.cdist(m, n) ; torch.cdist(i, i) ; torch.cdist(m, i)
torch.cdist(m, d) ; torch.cdist(m, m, compute_mode='x')
torch.cdist(m, m, nan) ; torch.cdist(x, x[:1].expand(3, 3, 4)) ; torch.cdist(cc, cc)
torch.nansum(c) ; torch.nansum(m, 5) ; torch.nansum(m, (0, 0)) ; torch.nanmean(i) ; torch.nanmean(c)
torch.nanmean(m, dtype=torch.int64) ; torch.nanmean(t) ; torch.nanmean(m, 7)
torch.aminmax(e) ; torch.aminmax(m[:, :0], dim=1) ; torch.aminmax(s, dim=3) ; torch.aminmax(c) ; torch.aminmax(m, dim=2)
torch.cov(x) ; torch.corrcoef(x) ; torch.cov(t) ; torch.corrcoef(t) ; torch.cov(m, fweights=v) ; torch.cov(m, aweights=iv)
torch.cov(m, fweights=tt) ; torch.cov(m, fweights=iv[:2])
torch.cov(m, fweights=torch.tensor([1, -1, 1])) ; torch.cov(m, aweights=torch.tensor([1.0, -1.0, 1.0]))
torch.cov(m, aweights=torch.tensor([0.0, 0.0, 0.0])) ; torch.cov(m, fweights=i) ; torch.cov(m, aweights=m)
torch.cov(m[:, :0], aweights=torch.tensor([]))
torch.renorm(v, 2, 0, 1.0) ; torch.renorm(s, 2, 0, 1.0) ; torch.renorm(i, 2, 0, 1.0) ; torch.renorm(m, 0, 0, 1.0)
torch.renorm(m, 2, 2, 1.0) ; torch.renorm(m, 2, 0, -1.0) ; torch.renorm(m, 2j, 0, 1.0)
torch.renorm(m, 2, 0, 1j)
torch.histc(v, 0) ; torch.histc(v, -1) ; torch.histc(v, 4, 3, 0) ; torch.histc(iv, 3) ; torch.histc(torch.tensor([1.0, inf]), 3)
torch.histc(v, 4, 0, nan) ; torch.histc(v, 4, 0, inf)
"""


@lazily
@pytest.mark.parametrize("text", rows(ERRORS))
def test_error(text: str) -> None:
    same_error(text, OTHERS)


OUT = """
torch.addmv(u, m, v, out=out) ; torch.addr(m, u, v, out=out) ; torch.addbmm(n, a, b, out=out) ; torch.ger(u, v, out=out)
torch.cross(q, q.t(), dim=0, out=out)
torch.kron(m, v, out=out) ; torch.matrix_power(q, 3, out=out) ; torch.chain_matmul(m, n, o, out=out)
torch.nansum(holes, 0, out=out) ; torch.nanmean(holes, 1, out=out)
torch.renorm(m, 2, 0, 0.5, out=out) ; torch.histc(m, 4, out=out)
"""


@lazily
@pytest.mark.parametrize("text", rows(OUT))
def test_out(text: str) -> None:
    results = []
    for library in (flambeau, torch):
        out = library.zeros(0)
        assert evaluated(library, text, FLOATS, out=out) is out
        results.append(out)
    same(*results)
    assert float(results[1].abs().sum()) > 0


@lazily
def test_out_of_two() -> None:
    for library in (flambeau, torch):
        low, high = library.zeros(3), library.zeros(0)
        found = library.aminmax(library.tensor(FLOATS["ties"]), dim=0, out=(low, high))
        assert found.min is low
        assert found.max is high
        assert low.tolist() == [-2, 1, -2]
        assert high.tolist() == [1, 3, 3]


@lazily
def test_out_takes_no_gradient() -> None:
    for library in (flambeau, torch):
        x = library.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            library.addmv(x, library.ones(2, 2), library.ones(2), out=library.zeros(2))


@lazily
@pytest.mark.parametrize("name, arguments", [
    ("addmv_", ("m", "v")), ("addr_", ("u", "v")), ("addbmm_", ("a", "b")), ("renorm_", (2, 0, 0.5))])
def test_in_place_forms_write(name: str, arguments: tuple[Any, ...]) -> None:
    seen = []
    start = {"addmv_": "u", "addr_": "m", "addbmm_": "n", "renorm_": "m"}[name]
    for library in (flambeau, torch):
        x = library.tensor(FLOATS[start])
        view = x[:1]
        assert getattr(x, name)(*(library.tensor(FLOATS[a]) if isinstance(a, str) else a for a in arguments)) is x
        seen.append([x, view])
    same(*seen)
    assert not np.allclose(seen[0][0].numpy(), FLOATS[start])


@lazily
def test_named_results() -> None:
    ours, theirs = (library.aminmax(library.tensor(OTHERS["i"]), dim=0) for library in (flambeau, torch))
    assert ours.min is ours[0]
    assert ours.max is ours[1]
    assert repr(ours) == repr(theirs)


@lazily
def test_too_few_observations_warn() -> None:
    for library in (flambeau, torch):
        for weights in ({}, {"fweights": library.tensor([1])}):
            with pytest.warns(UserWarning, match=r"cov\(\): degrees of freedom is <= 0"):
                library.cov(library.ones(2, 1), **weights)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            library.cov(library.ones(2, 2))


@lazily
@pytest.mark.parametrize("seed", range(6))
def test_histogram_puts_values_at_edges_where_torch_does(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = (draw.integers(0, 50, 400) / draw.integers(3, 9)).astype(np.float32 if seed % 2 else np.float64)
    for bins in (1, 7, 10, 33, 100):
        same(flambeau.histc(flambeau.tensor(values), bins), torch.histc(torch.tensor(values), bins))


@lazily
@pytest.mark.filterwarnings("ignore:torch.chain_matmul is deprecated")
@pytest.mark.parametrize("shapes", [[(50, 1), (1, 50), (50, 1)], [(1, 50), (50, 1), (1, 50)]])
def test_chain_is_multiplied_in_the_cheapest_order(shapes: list[tuple[int, int]]) -> None:
    """A column times a row first would make a large matrix."""
    jitted = flambeau.jit(lambda *xs: flambeau.chain_matmul(*xs))
    jitted(*(flambeau.ones(*shape) for shape in shapes))
    sizes = [kind.shape for node in jitted.graph.nodes for kind in node.types]
    assert len(sizes) == 2
    assert (50, 50) not in sizes


@lazily
def test_correlations_do_not_exceed_one() -> None:
    """Rows that are multiples of one another: rounding takes some beyond 1, where they are cut off."""
    row = np.random.default_rng(0).normal(size=17).astype(np.float32)
    found = flambeau.corrcoef(flambeau.tensor(np.outer(np.arange(1, 40, dtype=np.float32) / 7, row))).numpy()
    assert found.max() == 1
    assert np.abs(found - 1).max() < 1e-5


@lazily
def test_a_factor_may_be_an_argument_of_a_traced_function() -> None:
    @flambeau.jit
    def step(x: Any, m: Any, v: Any, beta: float) -> Any:
        return x.addmv(m, v, beta=beta, alpha=beta)

    for beta in (0.5, 2.0, 3.0):
        ours = step(*(flambeau.tensor(FLOATS[k]) for k in "umv"), beta)
        same(ours, torch.addmv(*(torch.tensor(FLOATS[k]) for k in "umv"), beta=beta, alpha=beta))
    assert step.stats.compiles == 1


AUTOCAST = """
torch.addbmm(n, a, b) ; torch.chain_matmul(m, n, o) ; torch.addmv(u, m, v) ; torch.addr(m, u, v)
torch.cdist(m.bfloat16(), q.bfloat16()) ; torch.cov(m)
torch.cross(q, q, dim=0) ; torch.matrix_power(q, 2) ; n.addbmm(a, b)
"""


@lazily
@pytest.mark.parametrize("text", rows(AUTOCAST))
def test_autocast(text: str) -> None:
    kinds = []
    for library in (flambeau, torch):
        with library.autocast("cpu"):
            kinds.append(repr(evaluated(library, text, FLOATS).dtype))
    assert kinds[0] == kinds[1]


COMPILED = """
torch.addmv(u, m, v, beta=0.5) ; torch.addr(m, u, v) ; torch.addbmm(n, a, b, alpha=2) ; torch.cross(q, v[None], dim=1)
torch.kron(m, v) ; torch.matrix_power(q, 5)
torch.cdist(m, q) ; torch.dist(m, v, 3) ; torch.cov(m, aweights=p) ; torch.corrcoef(q) ; torch.renorm(x, 2, 1, 1.5)
torch.nanmean(holes, 1) ; torch.histc(x, 6)
torch.aminmax(x, dim=1)
"""


@pytest.mark.parametrize("text", rows(COMPILED))
def test_compiled(text: str) -> None:
    expected = evaluated(torch, text, FLOATS)
    same(evaluated(flambeau, text, FLOATS), expected)
    names = sorted(FLOATS)
    function = eval(f"lambda {', '.join(names)}: {text}", {"torch": flambeau})
    step = flambeau.jit(lambda *xs: tuple(flat(function(*xs))))
    same(step(*(flambeau.tensor(FLOATS[k]) for k in names)), expected)


def test_compiled_gradient() -> None:
    def loss(library: Any) -> Any:
        return lambda q, m: (library.cdist(m, q, 3.0).sum() + library.matrix_power(q, 3).sum() + library.corrcoef(q)[0, 1]
                             + library.renorm(m, 2, 0, 0.5).sum())

    ours = flambeau.jit(flambeau.func.grad(loss(flambeau), argnums=(0, 1)))(*(flambeau.tensor(REALS[k]) for k in "qm"))
    same(ours, torch.func.grad(loss(torch), argnums=(0, 1))(*(torch.tensor(REALS[k]) for k in "qm")))
    assert all(math.isfinite(float(g.abs().sum())) for g in ours)


@pytest.mark.parametrize("factors", [{}, {"beta": 0}, {"beta": 2}, {"alpha": 3}], ids=str)
@pytest.mark.parametrize("kind", ["float32", "complex64", "int64", "bfloat16"])
def test_sums_of_products_lie_in_rows_however_the_input_lies(kind: str, factors: dict[str, int]) -> None:
    def strides(torch: Any) -> list[Any]:
        a = torch.zeros(3, 4, 4, dtype=getattr(torch, kind))
        m, v, permuted = a[0], a[0, 0], torch.zeros(4, 3, 4, dtype=a.dtype).permute(1, 2, 0)
        return [torch.addmm(m.t(), m, m, **factors).stride(), torch.addbmm(m.t(), a, a, **factors).stride(),
                torch.baddbmm(a.mT, a, a, **factors).stride(), torch.baddbmm(permuted, a, a, **factors).stride(),
                torch.addmv(a.flatten()[:12:3], m, v, **factors).stride()]

    assert strides(flambeau) == strides(torch)
