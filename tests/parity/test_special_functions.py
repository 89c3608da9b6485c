"""torch.special: as precise as rounding allows, torch's values at special points, its gradients, dtypes and errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
scipy_special = pytest.importorskip("scipy.special")

import flambeau  # noqa: E402

from .expressions import error_of, evaluated, gradients, rows, same, same_error  # noqa: E402

lazily = pytest.mark.usefixtures("numpy_engine")
INF, NAN = math.inf, math.nan
WAVES = {"bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "airy_ai"}  # precise beside their amplitude
EXACT: dict[str, Callable[[Any], Any]] = {
    "bessel_j0": scipy_special.j0, "bessel_j1": scipy_special.j1, "bessel_y0": scipy_special.y0, "bessel_y1": scipy_special.y1,
    "modified_bessel_i0": scipy_special.i0, "modified_bessel_i1": scipy_special.i1, "modified_bessel_k0": scipy_special.k0,
    "modified_bessel_k1": scipy_special.k1, "scaled_modified_bessel_k0": scipy_special.k0e,
    "scaled_modified_bessel_k1": scipy_special.k1e, "i0e": scipy_special.i0e, "i1": scipy_special.i1, "i1e": scipy_special.i1e,
    "airy_ai": lambda x: scipy_special.airy(x)[0], "spherical_bessel_j0": lambda x: np.sinc(x / np.pi),
    "erfcx": scipy_special.erfcx, "ndtr": scipy_special.ndtr, "ndtri": scipy_special.ndtri, "log_ndtr": scipy_special.log_ndtr,
    "entr": scipy_special.entr,
}
# In units of the last place; where a factor e**(x x) is rounded, as in torch, more are lost.
FLOAT32 = {"log_ndtr": 16.0, "ndtr": 16.0, "erfcx": 16.0, "i1": 12.0, "i1e": 12.0, "modified_bessel_i1": 12.0}
FLOAT64 = 1e-12


def points(name: str) -> Any:
    rng = np.random.default_rng(3)
    if name == "ndtri":
        return np.concatenate([rng.uniform(0, 1, 400), np.logspace(-37, 0, 300), 1 - np.logspace(-6, -1, 100)])
    low, high = (-4.0, 4.0) if name in ("log_ndtr", "ndtr", "erfcx", "airy_ai") else (-12.0, 12.0)
    return np.concatenate([rng.uniform(low, high, 600), np.logspace(-5, math.log10(high), 200), np.linspace(low, high, 201)])


def amplitude(name: str, x: Any, value: Any) -> Any:
    if name not in WAVES:
        return np.abs(value)
    waving = (np.abs(x) > 0.7) & ((x < 0) | (name != "airy_ai"))
    return np.maximum(np.abs(value), np.where(waving, 0.8 / np.sqrt(np.maximum(np.abs(x), 1)), 0))


@lazily
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
def test_precision(name: str, kind: str) -> None:
    """At a thousand points: in float32 a few units in the last place from what float64 rounds to."""
    x = points(name).astype(kind)
    exact = EXACT[name](x.astype(np.float64))
    ours = getattr(flambeau.special, name)(flambeau.tensor(x)).numpy().astype(np.float64)
    assert np.array_equal(np.isnan(ours), np.isnan(exact))
    regular = np.isfinite(exact) & (np.abs(exact) > 1e-36) & (np.abs(exact) < 1e36)
    assert regular.sum() > 300
    error = np.abs(ours[regular] - exact[regular]) / amplitude(name, x, exact)[regular]
    limit = FLOAT32.get(name, 8.0) * np.finfo(np.float32).eps if kind == "float32" else FLOAT64
    assert error.max() < limit, (x[regular][error.argmax()], error.max() / limit)


POINTS = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 8.0, -8.0, INF, -INF, NAN, 1e-30, -1e-30], np.float64)
# Where torch has NaN, or the wrong sign of zero, and the function a limit.
LIMITS = {"i0e": (), "modified_bessel_i0": (INF, -INF), "modified_bessel_i1": (INF, -INF), "i1": (INF, -INF)}


@lazily
@pytest.mark.parametrize("name", EXACT)
def test_special_points(name: str) -> None:
    x = np.array([p for p in POINTS if p not in LIMITS.get(name, ())])
    ours = getattr(flambeau.special, name)(flambeau.tensor(x)).numpy()
    within = 1e-7 if name in WAVES else 1e-8  # torch's waves lose half of the digits of float64
    np.testing.assert_allclose(ours, getattr(torch.special, name)(torch.tensor(x)).numpy(), within, 1e-11)


POLYNOMIALS = [f"{shifted}chebyshev_polynomial_{c}" for shifted in ("", "shifted_") for c in "tuvw"]
POLYNOMIALS += ["hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"]


@lazily
@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name: str) -> None:
    """Degrees as a tensor and as a number, on both sides of the interval and at its ends."""
    ours, theirs = getattr(flambeau.special, name), getattr(torch.special, name)
    x = np.array([-2.0, -1.0, -0.7, -0.1, 0.0, 0.3, 0.5, 0.9, 1.0, 1.5])
    n = np.arange(-1, 12)[:, None]
    np.testing.assert_allclose(ours(flambeau.tensor(x), flambeau.tensor(n)).numpy(),
                               theirs(torch.tensor(x), torch.tensor(n)).numpy(), 1e-9, 1e-9)
    for degree in (-3, 0, 1, 5, 12, 2.7, True, 70):
        np.testing.assert_allclose(ours(flambeau.tensor(x), degree).numpy(), theirs(torch.tensor(x), degree).numpy(), 1e-8, 1e-8)
    np.testing.assert_allclose(ours(0.25, flambeau.tensor([0.0, 3.9, NAN])).numpy(),
                               theirs(0.25, torch.tensor([0.0, 3.9, NAN])).numpy(), 1e-5)


REALS = {"x": np.array([-2.5, -0.3, 0.4, 1.7, 9.0]),
         "p": np.array([0.01, 0.3, 0.5, 0.8, 0.999]), "y": np.array([0.5, 2.0, 3.5, 1.1, 6.0])}
GRADIENTS = """
torch.special.i0(x) ; torch.special.i0e(x) ; torch.special.i1(x) ; torch.special.i1e(x) ; torch.special.erfcx(x)
torch.special.ndtr(x) ; torch.special.log_ndtr(x) ; torch.special.ndtri(p) ; torch.special.entr(p)
torch.special.xlog1py(x, y)
torch.special.xlog1py(x, 0.5) ; torch.special.xlog1py(2, y) ; torch.special.zeta(2.5, y) ; torch.special.expit(x)
torch.special.gammaln(y) ; torch.special.psi(y) ; torch.special.exp2(x) ; torch.special.expm1(x)
torch.special.log1p(y)
torch.special.sinc(x) ; torch.special.xlogy(x, y) ; torch.special.logit(p) ; torch.special.multigammaln(y, 1)
torch.special.polygamma(1, y) ; torch.special.polygamma(1, x) ; torch.special.polygamma(2, x)
torch.special.polygamma(3, -y - 9.3)
torch.special.psi(x) ; torch.special.gammaln(x) ; torch.special.softmax(x, 0) ; torch.special.log_softmax(x, 0)
torch.special.logsumexp(x, 0)
torch.special.erf(x) ; torch.special.erfc(x) ; torch.special.erfinv(p) ; torch.special.round(x)
torch.special.digamma(y)
"""


@lazily
@pytest.mark.parametrize("text", rows(GRADIENTS))
def test_gradient(text: str) -> None:
    same(gradients(flambeau, text, REALS), gradients(torch, text, REALS))


@lazily
@pytest.mark.parametrize("name", ["i0", "i0e", "i1", "i1e", "erfcx", "ndtr", "ndtri", "log_ndtr", "entr"])
def test_second_order(name: str) -> None:
    found = []
    for library in (flambeau, torch):
        x = library.tensor(REALS["p"]).requires_grad_()
        (slope,) = library.autograd.grad(getattr(library.special, name)(x).sum(), x, create_graph=True)
        (bend,) = library.autograd.grad(slope.cos().sum(), x)
        found.append(bend)
    same(found[0], found[1])


OTHERS = {"x": np.array([0.5, 1.0], np.float32), "i": np.array([0, 1, 2]), "b": np.array([True, False]),
          "h": np.array([0.5, 1.0], np.float16), "c": np.array([1j, 2], np.complex64),
          "g": np.array([0.0, -0.0, 1.0, -1.0, INF, NAN]), "t": np.ones((3, 2), np.float32)}
VALUES = """
torch.special.i0e(i) ; torch.special.i1(h) ; torch.special.ndtr(h) ; torch.special.entr(i) ; torch.special.entr(h)
torch.special.airy_ai(b) ; torch.special.bessel_y0(i) ; torch.special.zeta(i, 2) ; torch.special.zeta(3, g[:4])
torch.special.zeta(g, 3) ; torch.special.xlog1py(g, 3) ; torch.special.xlog1py(3.0, g) ; torch.special.xlog1py(0, g)
torch.special.xlog1py(h, b) ; torch.special.ndtri(g) ; torch.special.log_ndtr(g * 1e10) ; torch.special.i1e(g * 1e5)
torch.special.gammainc(x, x) ; torch.special.gammaincc(x, 2 * x) ; torch.special.ndtr(x, out=torch.empty(2))
torch.special.bessel_j0(t.t()) ; torch.special.erfcx(x[:0]) ; torch.special.chebyshev_polynomial_t(i, i)
torch.special.legendre_polynomial_p(x, i[:, None]) ; torch.special.hermite_polynomial_h(x, 129) ; torch.special.i1(x[0])
torch.special.erfcx(x, out=torch.empty(2)) ; torch.special.modified_bessel_k1(x[:1].expand(2))
"""


@lazily
@pytest.mark.parametrize("text", rows(VALUES))
def test_value(text: str) -> None:
    same(evaluated(flambeau, text, OTHERS), evaluated(torch, text, OTHERS))


ERRORS = """
torch.special.airy_ai(h) ; torch.special.bessel_j0(c) ; torch.special.erfcx(h) ; torch.special.ndtri(h)
torch.special.i1e(c)
torch.special.log_ndtr(c) ; torch.special.zeta(h, 2) ; torch.special.chebyshev_polynomial_t(h, 2)
torch.special.xlog1py(c, c)
torch.special.entr(c) ; torch.special.spherical_bessel_j0(h) ; torch.special.scaled_modified_bessel_k0(c)
torch.special.zeta(x.requires_grad_(), 2.0).sum().backward()
torch.special.bessel_j0(x.requires_grad_()).sum().backward()
"""


@lazily
@pytest.mark.parametrize("text", rows(ERRORS))
def test_error(text: str) -> None:
    same_error(text, OTHERS)


@lazily
@pytest.mark.parametrize("text", ["torch.special.zeta(2.0, 3.0)", "torch.special.legendre_polynomial_p(0.5, 3)"])
def test_two_numbers(text: str) -> None:
    assert type(error_of(flambeau, text, OTHERS)) is type(error_of(torch, text, OTHERS)) is TypeError


def test_all_of_them_are_one_program() -> None:
    names = [n for n in EXACT if n != "ndtri"]

    def step(x: Any, n: Any) -> Any:
        many = [getattr(flambeau.special, name)(x) for name in names]
        return [*many, flambeau.special.ndtri(x / 10), flambeau.special.laguerre_polynomial_l(x, n),
                flambeau.special.zeta(x + 1, x), flambeau.special.polygamma(1, 0.2 - x)]

    x, n = flambeau.tensor([0.3, 1.5, 4.0, 9.5]), flambeau.tensor([1, 4, 0, 7])
    jitted = flambeau.jit(step)
    exact = [EXACT[name](x.numpy().astype(np.float64)) for name in names]
    exact += [scipy_special.ndtri(x.numpy() / 10.0), scipy_special.eval_laguerre(n.numpy(), x.numpy().astype(np.float64)),
              scipy_special.zeta(x.numpy() + 1.0, x.numpy()), torch.special.polygamma(1, 0.2 - torch.tensor(x.numpy())).numpy()]
    for name, ours, wanted in zip([*names, "ndtri", "laguerre", "zeta", "polygamma"], jitted(x, n), exact, strict=True):
        np.testing.assert_allclose(ours.numpy(), wanted, 2e-5, 1e-6, err_msg=name)
    jitted(x + 0.1, n)
    assert jitted.stats.compiles == 1
