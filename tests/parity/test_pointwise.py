"""Pointwise functions against torch: values, dtypes, promotion, edge cases, in place, out=, gradients to second order, errors."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
special = pytest.importorskip("scipy.special")

import flambeau  # noqa: E402

INF, NAN = math.inf, math.nan
MIXED = [1.0, -2.0, 0.0, 3.5, -0.25]


def rows(text: str) -> list[str]:
    return [s.strip() for line in text.strip().splitlines() for s in line.split(" ; ")]


def names(library: Any) -> dict[str, Any]:
    """What the rows are written in: tensors of every kind of dtype, and constants."""
    def tensor(data: Any, kind: str = "float32") -> Any:
        return library.tensor(data, dtype=getattr(library, kind))

    wide = np.linspace(-3.3, 3.3, 12).reshape(3, 4)
    return {
        "torch": library, "T": tensor, "inf": INF, "nan": NAN, "x": tensor(MIXED), "d": tensor(MIXED, "float64"),
        "h": tensor(MIXED, "float16"), "f": tensor(MIXED, "bfloat16"), "c": tensor([1 + 2j, 0j, -1.5j, 2.0, 1j], "complex64"),
        "i": tensor([4, -6, 0, 9, 1], "int64"), "s": tensor([2, 3, 0, -4, -1], "int32"), "u": tensor([8, 12, 0, 7, 255], "uint8"),
        "b": tensor([True, False, True, True, False], "bool"), "w": tensor(wide), "z": tensor(3.0), "k": tensor(-2, "int64"),
        "e": tensor(np.zeros((0, 3))), "p": tensor([0.5, 1.0, 2.5, 7.0, 30.0]), "q": tensor([0.1, 3.0, 2.5, 1.0, 33.0]),
        "l": tensor([INF, -INF, NAN, 0.0, -0.0, 1e-40, 3e38, -3e38]),
        "r": tensor([0.0, INF, 1.0, -INF, NAN, -0.0, 3e38, 3e38]),
    }


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def array(x: Any) -> Any:
    return (x.float() if "bfloat16" in str(x.dtype) else x).detach().numpy()


def close(ours: Any, theirs: Any, rtol: float | None = None) -> None:
    """Equal in shape, dtype and value, and in the signs of zeros."""
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert str(a.dtype).rpartition(".")[2] == str(b.dtype).rpartition(".")[2]
        tolerance = rtol or {"float64": 1e-12, "complex128": 1e-12, "float16": 2e-3, "bfloat16": 1.6e-2}.get(
            str(b.dtype).rpartition(".")[2], 2e-6)
        given, wanted = array(a), array(b)
        np.testing.assert_allclose(given, wanted, rtol=tolerance, atol=0)
        if given.dtype.kind == "f":
            zeros = (given == 0) & (wanted == 0)
            assert np.array_equal(np.signbit(given[zeros]), np.signbit(wanted[zeros]))


def both(text: str) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [eval(text, names(library)) for library in (flambeau, torch)]


# --- Values -----------------------------------------------------------------------------------------------------------

VALUES = """
torch.copysign(x, d) ; torch.copysign(i, b) ; x.copysign(-0.0) ; i.copysign(-1) ; b.copysign(-2.0) ; h.copysign(2)
f.copysign(h)
torch.copysign(l, -1.0) ; torch.copysign(x, l[:5]) ; torch.copysign(z, w) ; torch.copysign(i, T(2.0, 'float64'))
e.copysign(-1)
torch.hypot(x, p) ; torch.hypot(i, x) ; x.hypot(d) ; torch.hypot(h, h) ; torch.hypot(f, f) ; torch.hypot(l, r) ; w.hypot(z)
torch.hypot(T([3e30, 1e-30, 6e-39]), T([4e30, 1e-30, 8e-39])) ; torch.hypot(h * 2e4, h * 2e4) ; torch.hypot(e, e)
z.hypot(z)
torch.gcd(i, s) ; i.gcd(T([[6], [4]], 'int16')) ; torch.gcd(u, s) ; u.gcd(u[1]) ; torch.gcd(k, i) ; i.gcd(T(True, 'bool'))
torch.gcd(T([-128, -128, 12], 'int8'), T([-128, 0, -8], 'int8')) ; torch.gcd(e.long(), e.long())
torch.gcd(T([2**62, -6, -2**63, -2**63], 'int64'), T([3, 4, 3, 6], 'int64'))
torch.lcm(i, s) ; u.lcm(u[1]) ; s.lcm(T([[6], [4]], 'int16')) ; torch.lcm(T([200, 12], 'uint8'), T([150, 8], 'uint8'))
torch.lcm(T([-128, -128, 12, 4, 127, 0], 'int8'), T([-128, 0, -8, -6, 126, 0], 'int8'))
torch.lcm(T([2**62, -6, -2**63], 'int64'), T([3, 4, 3], 'int64')) ; torch.lcm(T([32767], 'int16'), T([32766], 'int16'))
torch.heaviside(x, T(0.5)) ; i.heaviside(k) ; b.heaviside(b) ; h.heaviside(h) ; l.heaviside(r) ; w.heaviside(z)
e.heaviside(z)
u.heaviside(u)
torch.ldexp(x, i) ; i.ldexp(s) ; i.ldexp(x) ; b.ldexp(b) ; h.ldexp(i) ; f.ldexp(i) ; d.ldexp(i) ; x.ldexp(d) ; h.ldexp(d)
x.ldexp(T([1.5, -0.5, 2.0, 0.25, 3.0])) ; w.ldexp(k) ; x.ldexp(u) ; T(3).ldexp(T([2.0], 'float16'))
i.ldexp(T(2.0, 'float16'))
T([1.0, 1.0, 1e-30, 0.0, inf, nan]).ldexp(T([200, -120, 200, 2000, -2000, 5], 'int64')) ; h.ldexp(i * 5) ; f.ldexp(i * 50)
T(3.0, 'float64').ldexp(T([2], 'int8')) ; T([1e-300, 1e300, 3.0], 'float64').ldexp(T([2000, -1900, -1000], 'int64'))
e.ldexp(k)
c.ldexp(i) ; T([1.0, 2.0]).ldexp(T([inf, -inf]))
torch.frexp(x) ; torch.frexp(w) ; torch.frexp(h) ; torch.frexp(f) ; torch.frexp(d) ; l.frexp() ; z.frexp() ; e.frexp()
torch.frexp(T([5e-324, 1e308, -3e-310], 'float64')) ; torch.frexp(T([6e-8, -3e-7, 65504], 'float16'))
torch.frexp(T([1e-40, -9e-41, 2e38], 'bfloat16'))
torch.logaddexp(x, d) ; torch.logaddexp(i, x) ; torch.logaddexp(h, h) ; torch.logaddexp(l, r) ; w.logaddexp(z)
b.logaddexp(x)
torch.logaddexp(c, c * 1j) ; e.logaddexp(z) ; torch.logaddexp(w * 1000, -w * 1000)
torch.logaddexp(T([inf, -inf]), T([inf, -inf]))
torch.logaddexp2(x, d) ; torch.logaddexp2(i, x) ; torch.logaddexp2(f, f) ; l.logaddexp2(r) ; w.logaddexp2(z)
torch.logaddexp2(T([inf, -inf, 100.0]), T([inf, -inf, 100.0]))
torch.nextafter(x, d) ; torch.nextafter(i, x) ; h.nextafter(h + 5) ; f.nextafter(f - 5) ; x.nextafter(-x) ; f.nextafter(h)
w.nextafter(z) ; T([0.0, -0.0, 0.0, nan, inf, 1.0, -1.0]).nextafter(T([1.0, 0.0, -1.0, 1.0, 0.0, nan, -2.0]))
e.nextafter(z)
T([0.0, -0.0, 0.0, nan, inf, -1.0, 1.0, 65504], 'float16').nextafter(T([1.0, 0.0, -1.0, 1.0, 0.0, 1.0, inf, inf], 'float16'))
torch.rad2deg(x) ; i.rad2deg() ; b.rad2deg() ; h.rad2deg() ; l.rad2deg() ; d.deg2rad() ; i.deg2rad() ; f.deg2rad()
e.deg2rad()
torch.sinc(d) ; torch.sinc(p / 3) ; torch.sinc(c / 3) ; h.sinc() ; torch.sinc(l[2:5]) ; (w / 2).sinc() ; e.sinc()
torch.sinc(z / 5)
torch.sinc(T([inf, 1e-20])) ; torch.sinc(b & False)
torch.signbit(x) ; l.signbit() ; i.signbit() ; b.signbit() ; u.signbit() ; h.signbit() ; f.signbit() ; d.signbit()
e.signbit()
torch.signbit(-T([nan])) ; torch.signbit(T(-0.0))
torch.xlogy(p, q) ; p.xlogy(2.0) ; torch.xlogy(2, p) ; torch.xlogy(0, x) ; i.xlogy(u) ; i.xlogy(3) ; h.xlogy(d) ; b.xlogy(b)
torch.xlogy(T([0.0, 0.0, 0.0, 0.0, 1.0, nan, 0.0, 2.0]), T([0.0, nan, inf, -1.0, 0.0, 1.0, 1.0, -1.0])) ; w.xlogy(z)
e.xlogy(2)
p.xlogy(True)
torch.float_power(x, 2) ; i.float_power(i) ; torch.float_power(2, i) ; torch.float_power(2.0, x) ; c.float_power(2)
b.float_power(2)
p.float_power(2j) ; x.float_power(0.5) ; s.float_power(-1) ; h.float_power(x) ; w.float_power(z) ; torch.float_power(2j, x)
e.float_power(2)
torch.isposinf(l) ; l.isneginf() ; i.isposinf() ; b.isneginf() ; h.isposinf() ; (f * inf).isneginf() ; e.isposinf()
T(inf).isposinf()
torch.isreal(c) ; x.isreal() ; i.isreal()
torch.isreal(T([complex(nan, 0), complex(1, nan), complex(2, -0.0)], 'complex64'))
torch.hardshrink(x) ; torch.hardshrink(h, 1) ; x.hardshrink(lambd=2.5) ; x.hardshrink(-1) ; l.hardshrink()
w.hardshrink(0.9) ; e.hardshrink()
torch.prelu(x, T(0.5)) ; x.prelu(T([0.5])) ; w.prelu(T([0.5, 1.0, 2.0, -1.0])) ; e.prelu(T([0.5, 1.0, 2.0]))
(-z).prelu(T([0.5]))
w.reshape(1, 3, 4).prelu(T([0.5, 1.0, 2.0])) ; h.prelu(T(0.5, 'float16')) ; w.prelu(T(0.1))
torch.i0(x) ; i.i0() ; h.i0() ; f.i0() ; d.i0() ; torch.i0(T([inf, -inf, nan, 88.0, -50.0, 8.0, -8.0, 1e-20])) ; e.i0()
z.i0() ; b.i0()
torch.igamma(p, q) ; torch.igamma(i[:1], p) ; torch.igamma(p, q.double()) ; torch.igamma(p.half(), q.half())
z.igamma(w.abs()) ; e.igamma(z)
torch.igamma(p.bfloat16(), q.bfloat16())
torch.igamma(T([0., 0., 1., -1., inf, inf, 1., nan, 1., 1., -0.0]), T([0., 1., 0., 1., 1., inf, inf, 1., nan, -1., 2.]))
torch.igammac(p, q) ; torch.igammac(p, q.double()) ; p.igammac(z) ; e.igammac(z)
torch.igammac(T([0., 0., 1., -1., inf, inf, 1., nan, 1., 1., -0.0]), T([0., 1., 0., 1., 1., inf, inf, 1., nan, -1., 2.]))
torch.mvlgamma(p + 2, 2) ; (i.abs() + 5).mvlgamma(3) ; p.half().mvlgamma(1) ; torch.mvlgamma(x, 2) ; e.mvlgamma(2)
z.mvlgamma(p=4)
torch.polygamma(0, p) ; torch.polygamma(1, p) ; p.polygamma(2) ; p.double().polygamma(5) ; torch.polygamma(1, i.abs() + 1)
z.polygamma(3)
torch.polygamma(2, p.half()) ; torch.polygamma(2, p.bfloat16()) ; torch.polygamma(n=1, input=p) ; e.polygamma(1)
torch.polygamma(3, d - 0.1)
torch.polygamma(2, T([0.0, -0.0, -1.0, nan])) ; torch.polygamma(1, T([0.0, -0.5, nan])) ; b[:1].polygamma(0)
"""
APPROXIMATE = ("gamma", "i0", "logaddexp", "sinc")  # torch rounds differently there: more so in float32


@pytest.mark.parametrize("text", rows(VALUES))
@pytest.mark.usefixtures("numpy_engine")
def test_value(text: str) -> None:
    ours, theirs = both(text)
    if "igamma" in text and str(theirs.dtype) == "torch.float64":
        close(ours, theirs, 2e-9)  # torch is no better than that; see test_incomplete_gammas_are_accurate
        return
    loose = any(name in text for name in APPROXIMATE) and not any(
        str(t.dtype).endswith(("64", "float16", "complex128")) for t in flat(theirs))
    close(ours, theirs, 2e-5 if loose else None)


CHANGING = """
x.copysign_(-1) ; x.hypot_(h) ; i.gcd_(s) ; i.lcm_(s) ; x.heaviside_(p) ; x.ldexp_(i) ; p.mvlgamma_(1) ; x.nextafter_(p)
p.polygamma_(1) ; x.rad2deg_() ; x.deg2rad_() ; d.sinc_() ; p.xlogy_(q) ; d.float_power_(2) ; p.i0_() ; p.igamma_(q)
p.igammac_(q)
p.xlogy_(2.0) ; x.ldexp_(k) ; s.gcd_(i) ; h.hypot_(z)
"""


@pytest.mark.parametrize("text", rows(CHANGING))
@pytest.mark.usefixtures("numpy_engine")
def test_in_place(text: str) -> None:
    found = []
    for library in (flambeau, torch):
        space = names(library)
        target = space[text[0]]
        view = target[1:]
        assert eval(text, space) is target
        found.append([target, view])
    close(*found, rtol=2e-5 if "gamma" in text or "i0" in text else None)


@pytest.mark.parametrize("name", ["logaddexp_", "logaddexp2_", "signbit_", "frexp_", "isposinf_", "isreal_", "prelu_"])
def test_forms_that_torch_lacks(name: str) -> None:
    assert not hasattr(torch.Tensor, name)
    assert not hasattr(flambeau.Tensor, name)


OUT = """
torch.copysign(x, -1, out=O) ; torch.hypot(x, p, out=O) ; torch.gcd(i, s, out=L) ; torch.lcm(i, s, out=L)
torch.i0(p, out=O)
torch.heaviside(x, p, out=O) ; torch.igamma(p, q, out=O) ; torch.igammac(p, q, out=O) ; torch.ldexp(x, i, out=O)
torch.logaddexp(x, p, out=O) ; torch.logaddexp2(x, p, out=O) ; torch.mvlgamma(p, 1, out=O) ; torch.nextafter(x, p, out=O)
torch.polygamma(1, p, out=O) ; torch.rad2deg(i, out=D) ; torch.deg2rad(x, out=O) ; torch.sinc(p / 3, out=O)
torch.signbit(x, out=B)
torch.xlogy(p, q, out=O) ; torch.xlogy(2, q, out=O) ; torch.float_power(x, 2, out=D) ; torch.isposinf(l[:5], out=B)
torch.isneginf(i, out=B) ; torch.hardshrink(x, 1.5, out=O) ; torch.copysign(w, -1, out=O)
"""


@pytest.mark.parametrize("text", rows(OUT))
@pytest.mark.usefixtures("numpy_engine")
def test_out(text: str) -> None:
    found = []
    for library in (flambeau, torch):
        outs = {"O": library.zeros(5), "D": library.zeros(5, dtype=library.float64),
                "L": library.zeros(5, dtype=library.int64), "B": library.zeros(5, dtype=library.bool)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = eval(text, names(library) | outs)
        assert any(result is t for t in outs.values())
        found.append(result)
    close(*found, rtol=2e-5 if "gamma" in text or "i0" in text or "log" in text else None)


@pytest.mark.usefixtures("numpy_engine")
def test_frexp_writes_a_pair_and_prints_it() -> None:
    found = []
    for library in (flambeau, torch):
        x = library.tensor([6.0, -0.25])
        outs = library.zeros(2), library.zeros(2, dtype=library.int32)
        result = library.frexp(x, out=outs)
        assert result.mantissa is outs[0]
        assert result.exponent is outs[1]
        found.append(result)
    close(*found)
    assert repr(flambeau.frexp(flambeau.tensor([6.0]))) == repr(torch.frexp(torch.tensor([6.0])))


@pytest.mark.usefixtures("numpy_engine")
def test_results_are_laid_out_as_torch_lays_them_out() -> None:
    for text in ("w.t().hypot(z)", "w.t().signbit()", "w.t().i0()", "w.t().frexp()[0]", "torch.polygamma(1, w.abs().t())",
                 "w.t().igamma(w.abs().t())", "w.t().long().gcd(k)", "w.t().heaviside(z)", "w.t().logaddexp(w.t())"):
        ours, theirs = both(text)
        assert ours.stride() == theirs.stride(), text


# --- Errors -----------------------------------------------------------------------------------------------------------

ERRORS = """
torch.copysign(c, x) ; i.copysign_(-1) ; torch.hypot(i, i) ; torch.hypot(b, b) ; torch.hypot(x, 1.0) ; torch.hypot(c, c)
torch.gcd(i, x) ; torch.gcd(b, b) ; torch.gcd(i, 2) ; torch.gcd(i, i[:2]) ; torch.lcm(x, x) ; torch.lcm(i, 2)
torch.lcm(b, b)
torch.heaviside(x, i) ; torch.heaviside(i, 0.5) ; torch.heaviside(c, c) ; torch.heaviside(x, d) ; x.heaviside_(d)
torch.i0(c)
torch.igamma(i, i) ; torch.igamma(c, c) ; torch.igamma(x, 1.0) ; torch.igammac(i, i) ; torch.igammac(x, 2)
torch.ldexp(x, 2)
torch.frexp(i) ; torch.frexp(c) ; torch.frexp(x, out=(torch.empty(5), torch.empty(5, dtype=torch.int64)))
torch.frexp(x, out=(torch.empty(5, dtype=torch.float64), torch.empty(5, dtype=torch.int32)))
torch.logaddexp(i, i) ; torch.logaddexp(x, 1.0) ; torch.logaddexp2(c, c) ; torch.logaddexp2(i, i) ; torch.mvlgamma(b, 1)
torch.mvlgamma(x, 0) ; torch.mvlgamma(x, -1) ; torch.nextafter(i, i) ; torch.nextafter(x, 1.0) ; torch.polygamma(-1, x)
torch.polygamma(1.5, x) ; torch.rad2deg(c) ; torch.deg2rad(c) ; torch.rad2deg(x, out=torch.empty(5, dtype=torch.int64))
torch.signbit(c)
torch.signbit(3) ; torch.signbit(x, out=torch.empty(5)) ; torch.xlogy(c, c) ; x.float_power_(2) ; i.float_power_(2)
c.float_power_(2)
d.float_power_(2j) ; torch.float_power(x, 2, out=torch.empty(5)) ; torch.isposinf(c) ; torch.isneginf(c)
torch.isposinf(x, out=torch.empty(5)) ; torch.isneginf(x, out=torch.empty(5, dtype=torch.uint8)) ; torch.hardshrink(i)
torch.hardshrink(c) ; torch.prelu(x, T([0.5, 1.0])) ; torch.prelu(w, T([[0.5]])) ; torch.prelu(z, T([0.5, 1.0]))
torch.prelu(x, 0.5)
torch.prelu(x, T([0.5], 'float64')) ; torch.prelu(i, k)
"""


@pytest.mark.parametrize("text", rows(ERRORS))
@pytest.mark.usefixtures("numpy_engine")
def test_error(text: str) -> None:
    found = []
    for library in (flambeau, torch):
        with pytest.raises(Exception) as caught:
            eval(text, names(library))
        found.append(caught.value)
    assert isinstance(found[0], type(found[1]))
    assert str(found[0]).partition("\n")[0].startswith(str(found[1]).partition("\n")[0].partition("This error")[0].rstrip()[:90])


@pytest.mark.parametrize("text", ["torch.xlogy(2.0, 3.0)", "torch.float_power(2, 3)", "torch.copysign(1.0, x)"])
@pytest.mark.usefixtures("numpy_engine")
def test_two_numbers_are_no_operands(text: str) -> None:
    for library in (flambeau, torch):
        with pytest.raises(TypeError):
            eval(text, names(library))


# --- Gradients --------------------------------------------------------------------------------------------------------

# The second order where torch's is NaN and ours is not (or the reverse) is left out: its formulas divide by zero there.
GRADIENTS = [
    ("torch.copysign(x, y)", [1.0, -2.0, 3.0, -3.0], [1.0, 1.0, -0.0, -0.0], 2),
    ("torch.copysign(x, y)", [0.0, -0.0, 0.0, -0.0], [1.0, 1.0, -2.0, -2.0], 1),
    ("x.copysign(-1)", [1.0, -2.0, 0.0], None, 1),
    ("torch.hypot(x, y)", [3.0, 0.0, -2.0, 1e-3], [4.0, 1.0, 0.0, 7.0], 2),
    ("torch.hypot(x, y)", [0.0], [0.0], 1),
    ("torch.i0(x)", [0.0, 1.0, -3.0, 8.0, -20.0, 100.0], None, 2),
    ("torch.igamma(a, x)", [0.1, 2.0, 3.0, 10.0, 210.0], None, 2),
    ("torch.igammac(a, x)", [0.1, 2.0, 3.0, 10.0, 210.0], None, 2),
    ("torch.ldexp(x, n)", [1.0, 7.0, 3.0], None, 1),
    ("torch.ldexp(x, y)", [1.0, -2.0, 0.0], [1.0, 2.0, -3.5], 2),
    ("torch.frexp(x)[0]", [3.0, -0.7, 0.0, 1e30, 1e-30], None, 1),
    ("torch.logaddexp(x, y)", [1.0, 2.0, 30.0, 3.0], [2.0, 2.0, -3.0, -4.0], 2),
    ("torch.logaddexp(x, y)", [INF, -INF, INF, 1000.0], [INF, -INF, -INF, -1000.0], 1),
    ("torch.logaddexp2(x, y)", [1.0, 2.0, 30.0, 3.0], [2.0, 2.0, -3.0, -4.0], 2),
    ("torch.mvlgamma(x, 3)", [2.0, 5.0, 100.0], None, 2),
    ("torch.nextafter(x, y)", [1.0, 2.0, -3.0], [2.0, 2.0, -4.0], 1),
    ("torch.polygamma(0, x)", [1.0, 2.5], None, 2),
    ("torch.polygamma(1, x)", [1.0, 2.5, 17.0], None, 2),
    ("x.polygamma(2)", [1.0, 2.5, 17.0], None, 2),
    ("torch.rad2deg(x)", [1.0, 0.0], None, 1),
    ("torch.deg2rad(x)", [1.0, 0.0], None, 1),
    ("torch.sinc(x)", [1.0, 0.5, -2.3, 7.25], None, 2),
    ("torch.sinc(x)", [0.0], None, 1),
    ("torch.xlogy(x, y)", [2.0, 1.0, 0.0, 3.0], [3.0, 0.5, 2.0, 1.0], 2),
    ("torch.xlogy(x, y)", [0.0, 0.0, 1.0, 1.0, 0.0], [1.0, -1.0, -1.0, 0.0, 0.0], 1),
    ("torch.xlogy(x, 2.0)", [0.0, 2.0], None, 1),
    ("torch.xlogy(2, x)", [0.5, 2.0], None, 2),
    ("torch.float_power(x, 2)", [0.0, 1.0, -2.0], None, 2),
    ("torch.float_power(x, 0)", [0.0, 1.0, -2.0], None, 1),
    ("torch.float_power(x, y)", [1.0, 2.0, 0.3], [1.0, 3.5, -2.0], 2),
    ("torch.hardshrink(x)", [0.5, -0.5, 0.6, 0.0, -0.7], None, 1),
    ("torch.prelu(x, y)", [1.0, -2.0, 0.0], [0.5], 1),
    ("torch.prelu(x, y)", [1.0, -2.0, -3.0], [0.5], 2),
]


def gradients(library: Any, text: str, arrays: list[Any], order: int) -> list[Any]:
    """The result, the gradients of a weighted sum, and those of a weighted sum of these."""
    inputs = [library.tensor(a, dtype=library.float64).requires_grad_() for a in arrays]
    space = {"torch": library, "x": inputs[0], "y": inputs[-1],
             "a": library.tensor([0.5, 1.0, 3.0, 20.0, 200.0], dtype=library.float64), "n": library.tensor([1, 0, 20])}
    out = eval(text, space)
    result = [out]
    for _ in range(order):
        total = sum((t * library.tensor(np.cos(np.arange(t.numel())).reshape(tuple(t.shape)))).sum() for t in flat(out))
        found = library.autograd.grad(total, inputs, create_graph=True, allow_unused=True)
        out = [library.zeros_like(t) if g is None else g for g, t in zip(found, inputs, strict=True)]
        result += out
    return result


@pytest.mark.parametrize(("text", "x", "y", "order"), GRADIENTS)
@pytest.mark.usefixtures("numpy_engine")
def test_gradient(text: str, x: list[float], y: list[float] | None, order: int) -> None:
    found = [gradients(library, text, [x] if y is None else [x, y], order) for library in (flambeau, torch)]
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(array(ours), array(theirs), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("numpy_engine")
def test_gradients_of_powers_of_two() -> None:
    """torch computes 2**other in integers there, which negative and large exponents are lost in, and 2**-e in float32."""
    x = flambeau.tensor([1.0, -2.0, 3.0], dtype=flambeau.float64).requires_grad_()
    flambeau.ldexp(x, flambeau.tensor([-3, 90, 0])).sum().backward()
    assert x.grad.tolist() == [0.125, 2.0**90, 1.0]
    y = flambeau.tensor([2.0**-1000, -(2.0**1000)], dtype=flambeau.float64).requires_grad_()
    flambeau.frexp(y).mantissa.sum().backward()
    assert y.grad.tolist() == [2.0**999, 2.0**-1001]


@pytest.mark.usefixtures("numpy_engine")
def test_sinc_is_smooth_at_zero() -> None:
    """torch's formula gives NaN for the second derivative at 0, and loses half the digits near it."""
    x = flambeau.tensor([0.0, 1e-200, 1e-8, 1e-4, 0.03, 0.0318, 0.0319], dtype=flambeau.float64).requires_grad_()
    (slope,) = flambeau.autograd.grad(flambeau.sinc(x).sum(), [x], create_graph=True)
    (bend,) = flambeau.autograd.grad(slope.sum(), [x])
    z = x.detach().numpy() * np.pi
    np.testing.assert_allclose(slope.detach().numpy(), np.pi * (-z / 3 + z**3 / 30 - z**5 / 840 + z**7 / 45360), rtol=1e-11)
    np.testing.assert_allclose(bend.numpy(), np.pi**2 * (-1 / 3 + z**2 / 10 - z**4 / 168 + z**6 / 6480), rtol=1e-8)


@pytest.mark.parametrize("name", ["igamma", "igammac"])
@pytest.mark.usefixtures("numpy_engine")
def test_incomplete_gamma_has_one_gradient(name: str) -> None:
    for library in (flambeau, torch):
        result = getattr(library, name)(library.ones(2, requires_grad=True), library.ones(2))
        assert result.requires_grad
        with pytest.raises(NotImplementedError, match=f"the derivative for '{name}: input' is not implemented."):
            result.sum().backward()


@pytest.mark.usefixtures("numpy_engine")
def test_heaviside_has_no_gradient() -> None:
    for library in (flambeau, torch):
        for flags in ((True, False), (False, True)):
            result = library.heaviside(*(library.ones(2, requires_grad=f) for f in flags))
            assert result.requires_grad
            with pytest.raises(RuntimeError, match="derivative for aten::heaviside is not implemented"):
                result.sum().backward()


@pytest.mark.usefixtures("numpy_engine")
def test_bools_need_no_gradient() -> None:
    x = flambeau.ones(2, requires_grad=True)
    for name in ("signbit", "isposinf", "isneginf", "isreal"):
        assert not getattr(flambeau, name)(x).requires_grad
    assert not flambeau.frexp(x)[1].requires_grad


@pytest.mark.usefixtures("numpy_engine")
def test_gradients_go_through_vmap_and_forward_mode() -> None:
    x, a = flambeau.tensor([[0.5, 3.0], [30.0, 1.0]]), flambeau.tensor([0.7, 28.0])
    for function in (lambda v: flambeau.igamma(a, v).sum(), lambda v: flambeau.i0(v).sum(),
                     lambda v: flambeau.logaddexp(v, a).sum(), lambda v: flambeau.hypot(v, a).sum()):
        slope = flambeau.func.grad(function)
        each = flambeau.stack([slope(row) for row in x])
        np.testing.assert_allclose(flambeau.vmap(slope)(x).numpy(), each.numpy(), rtol=1e-6)
        _, pushed = flambeau.func.jvp(function, (x[0],), (flambeau.ones(2),))
        np.testing.assert_allclose(pushed.numpy(), each[0].sum().numpy(), rtol=1e-5)
    pairs = flambeau.tensor([[12, 18], [7, 21]])
    assert flambeau.vmap(lambda v: flambeau.gcd(v, flambeau.tensor(6)))(pairs).tolist() == [[6, 6], [1, 3]]


# --- Accuracy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rtol"), [("float32", 1e-6), ("float64", 1e-13)])
@pytest.mark.usefixtures("numpy_engine")
def test_i0_is_accurate(kind: str, rtol: float) -> None:
    x = np.concatenate([np.linspace(-30, 30, 601), [1e-30, 7.999999, 8.000001, 60, 80]]).astype(kind)
    wanted = special.i0(x.astype(np.float64))
    rounding = 1 + np.abs(x)  # of exp: the function itself turns an error in x into that
    error = np.abs(flambeau.i0(flambeau.tensor(x)).numpy() / wanted - 1)
    np.testing.assert_array_less(error, rtol * np.maximum(1, rounding / 20))


@pytest.mark.parametrize(("kind", "rtol"), [("float32", 4e-6), ("float64", 2e-13)])
@pytest.mark.usefixtures("numpy_engine")
def test_incomplete_gammas_are_accurate(kind: str, rtol: float) -> None:
    """Where every method takes over from the next one; the error of x grows with the slope of log P and log Q."""
    a, ratio = np.meshgrid([1e-6, 0.01, 0.3, 0.9, 1.0, 2.5, 9.99, 10.0, 19.9, 20.1, 35.0, 150.0, 201.0, 1e4, 1e6],
                           [1e-3, 0.1, 0.5, 0.69, 0.71, 0.9, 0.999, 1.0, 1.001, 1.1, 1.2, 1.29, 1.31, 2.0, 5.0, 30.0])
    a, x = a.astype(kind).ravel(), (a * ratio).astype(kind).ravel()
    exact = a.astype(np.float64), x.astype(np.float64)
    for name, reference in (("igamma", special.gammainc), ("igammac", special.gammaincc)):
        found = getattr(flambeau, name)(flambeau.tensor(a), flambeau.tensor(x)).numpy().astype(np.float64)
        wanted = reference(*exact)
        with np.errstate(all="ignore"):
            log_slope = np.exp(exact[0] * np.log(exact[1]) - exact[1] - special.gammaln(exact[0])) / wanted
        seen = wanted > float(np.finfo(kind).tiny) * 1e3
        error = np.abs(found - wanted)[seen] / wanted[seen]
        allowed = rtol * (1 + np.nan_to_num(log_slope)[seen])
        worst = int(np.argmax(error / allowed))
        assert error[worst] <= allowed[worst], (name, a[seen][worst], x[seen][worst], error[worst], allowed[worst])
        assert seen.sum() > 150


# --- Compiled ---------------------------------------------------------------------------------------------------------

COMPILED = ["torch.copysign(x, r[:5])", "torch.hypot(x, p)", "torch.hypot(l[:5], r[:5])", "torch.gcd(i, s)", "torch.lcm(i, s)",
            "torch.heaviside(x, p)", "x.ldexp(i)", "torch.frexp(l)[0]", "torch.frexp(l)[1]", "torch.frexp(h)[0]",
            "torch.frexp(d)[1]", "torch.nextafter(x, p)", "h.nextafter(-h)", "torch.signbit(l)", "torch.xlogy(x, p)",
            "torch.i0(d)", "torch.i0(x)", "torch.polygamma(1, p)", "torch.polygamma(2, p)",
            "torch.mvlgamma(p + 2, 2)", "torch.sinc(p / 3)"]


def test_compiled_lazily() -> None:
    """All in one program, and the incomplete gammas in another."""
    ours, theirs = ([eval(text, names(library)) for text in COMPILED] for library in (flambeau, torch))
    for text, a, b in zip(COMPILED, ours, theirs, strict=True):
        try:
            close(a, b, 2e-5 if "gamma" in text else None if "i0" not in text else 1e-6 if "x" in text else 1e-12)
        except AssertionError as error:
            raise AssertionError(text) from error


def test_compiled_under_jit() -> None:
    def step(a: Any, x: Any) -> Any:
        value = flambeau.igamma(a, x).sum() + flambeau.igammac(a, 2 * x).sum() + flambeau.i0(x).sum()
        value = value + flambeau.logaddexp(x, a).sum()
        (slope,) = flambeau.autograd.grad(value, [x])
        return value, slope

    a, x = [0.01, 0.5, 3.0, 25.0, 200.0], [0.3, 0.2, 7.0, 26.0, 190.0]
    ours = [flambeau.tensor(v, dtype=flambeau.float64) for v in (a, x)]
    found = flambeau.jit(step)(ours[0], ours[1].requires_grad_())
    theirs = [torch.tensor(v, dtype=torch.float64) for v in (a, x)]
    theirs[1].requires_grad_()
    wanted = (torch.igamma(*theirs).sum() + torch.igammac(theirs[0], 2 * theirs[1]).sum() + torch.i0(theirs[1]).sum()
              + torch.logaddexp(theirs[1], theirs[0]).sum())
    wanted.backward()
    np.testing.assert_allclose(found[0].detach().numpy(), wanted.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(found[1].numpy(), theirs[1].grad.numpy(), rtol=1e-10)
