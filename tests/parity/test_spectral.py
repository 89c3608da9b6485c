"""Fourier transforms, spectrograms, windows and reductions over masks, against torch: values, gradients, strides, errors."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.masked")

import flambeau  # noqa: E402

from .expressions import error_of, evaluated, gradients, rows, same, same_error  # noqa: E402

rng = np.random.default_rng(11)
REALS = {
    "x": rng.normal(size=(2, 3, 4)), "v": rng.normal(size=7), "m": rng.normal(size=(3, 5)), "s": np.array(0.7),
    "f": rng.normal(size=(2, 3, 2, 3, 2)), "w": np.abs(rng.normal(size=4)) + 0.1, "long": rng.normal(size=(2, 23)),
    "ties": np.array([[1.0, 3.0, 3.0], [-2.0, 1.0, -2.0]]), "one": rng.normal(size=(2, 1)),
}
COMPLEX = {k: v + 1j * rng.normal(size=v.shape) for k, v in REALS.items() if k not in ("ties", "w")}
OTHERS = {
    **{k: v.astype(np.float32) for k, v in REALS.items()}, "d": REALS["m"], "c": COMPLEX["x"].astype(np.complex64),
    "z": COMPLEX["m"], "i": np.arange(6).reshape(2, 3), "t": np.array([True, False, True]), "h": REALS["m"].astype(np.float16),
    "k": np.array([[True, False, True], [False, False, False]]), "e": np.zeros((0, 4), np.float32),
    "n": np.array([[True, True, False], [False, True, True]]),
}
lazily = pytest.mark.usefixtures("numpy_engine")
pytestmark = pytest.mark.filterwarnings("ignore:A window was not provided", "ignore:stft with return_complex=False")

ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SHAPES = """
torch.fft.{0}(v) ; torch.fft.{0}(x, dim=0) ; torch.fft.{0}(x, 3, 1) ; torch.fft.{0}(x, n=9)
torch.fft.{0}(v, norm='ortho')
torch.fft.{0}(v, norm='forward') ; torch.fft.{0}(m, 1, -1, 'backward') ; torch.fft.{0}2(x) ; torch.fft.{0}2(m, (4, 6))
torch.fft.{0}2(x, dim=(2, 0)) ; torch.fft.{0}n(x) ; torch.fft.{0}n(x, s=(2, -1))
torch.fft.{0}n(x, (3, 4), (0, 1), 'ortho')
torch.fft.{0}n(f) ; torch.fft.{0}n(f, dim=(4, 1, 2, 0)) ; torch.fft.{0}n(x, dim=(1,), norm='forward')
torch.fft.{0}n(x, dim=1)
torch.fft.{0}(x.transpose(0, 2), dim=1) ; torch.fft.{0}n(x.permute(2, 0, 1), dim=(0, 2))
"""


def resolved(results: list[Any]) -> list[Any]:
    """torch gives some transforms of real data as views of their conjugates."""
    return [r.resolve_conj() for r in results]


@lazily
@pytest.mark.parametrize("text", [row.format(name) for name in ONE for row in rows(SHAPES)])
def test_transform(text: str) -> None:
    """Values, gradients, and strides, of real data and, where they are taken, of complex ones."""
    same(gradients(flambeau, text, REALS), resolved(gradients(torch, text, REALS)))
    assert evaluated(flambeau, text, OTHERS).stride() == evaluated(torch, text, OTHERS).stride()
    if not any(name in text for name in (".rfft", ".ihfft")):
        same(gradients(flambeau, text, COMPLEX), resolved(gradients(torch, text, COMPLEX)))


VALUES = """
torch.frobenius_norm(m, (0, 1)) ; torch.frobenius_norm(c, 1, True) ; torch.frobenius_norm(x, ()) ; torch.nuclear_norm(d)
torch.nuclear_norm(d, (0, 1), True) ; torch.polar(v, v)
torch.fft.fft(i) ; torch.fft.rfft(t) ; torch.fft.fft(c) ; torch.fft.ifftn(z) ; torch.fft.fftn(s)
torch.fft.fftn(x, dim=())
torch.fft.fftn(d) ; torch.fft.irfft(c) ; torch.fft.fftfreq(5) ; torch.fft.fftfreq(6, 0.5) ; torch.fft.fftfreq(0)
torch.fft.rfftfreq(7, d=2) ; torch.fft.rfftfreq(0) ; torch.fft.fftfreq(4, dtype=torch.float64)
torch.fft.fftfreq(4, d=0)
torch.fft.fftshift(v) ; torch.fft.fftshift(x, 1) ; torch.fft.ifftshift(x, (0, -1)) ; torch.fft.ifftshift(i)
torch.fft.fftshift(torch.fft.fftfreq(9)) ; torch.fft.fft(v, out=torch.empty(0, dtype=torch.complex64))
torch.hann_window(5) ; torch.hann_window(0) ; torch.hann_window(1, False)
torch.hann_window(6, False, dtype=torch.float64)
torch.hamming_window(5, True, 0.5) ; torch.hamming_window(5, False, 0.5, 0.3)
torch.hamming_window(8, alpha=0.7, periodic=False)
torch.blackman_window(7) ; torch.bartlett_window(7) ; torch.bartlett_window(8, False) ; torch.kaiser_window(9)
torch.kaiser_window(9, True, 3.0) ; torch.kaiser_window(4, False, beta=0.5, dtype=torch.float16)
torch.signal.windows.hann(6) ; torch.signal.windows.hann(6, sym=False) ; torch.signal.windows.hamming(5)
torch.signal.windows.hann(0)
torch.signal.windows.bartlett(6) ; torch.signal.windows.blackman(6, sym=False)
torch.signal.windows.cosine(5, sym=False)
torch.signal.windows.exponential(6, tau=2.0) ; torch.signal.windows.exponential(6, center=1, sym=False)
torch.signal.windows.gaussian(7, std=0.9) ; torch.signal.windows.kaiser(6, beta=2, sym=False)
torch.signal.windows.nuttall(9)
torch.signal.windows.general_cosine(7, a=[0.3, 0.4, 0.2], dtype=torch.float64) ; torch.signal.windows.general_hamming(1)
torch.stft(long, 8, window=torch.hann_window(8), return_complex=True) ; torch.stft(c[0], 4, window=w, center=False)
torch.stft(long, 8, window=torch.ones(8), return_complex=False)
torch.stft(v, 4, 1, window=w, return_complex=True, normalized=True)
torch.stft(long, 8, 3, 4, w, pad_mode='constant', return_complex=True, onesided=False)
torch.stft(long, 8, 3, 4, w, center=False, return_complex=True, align_to_window=True)
torch.istft(torch.stft(v, 4, 1, window=w, return_complex=True), 4, 1, window=w, length=7)
torch.istft(torch.stft(long, 6, 2, window=torch.ones(6), return_complex=True), 6, 2, window=torch.ones(6))
torch.istft(torch.stft(long, 5, 3, window=torch.ones(5), return_complex=True, normalized=True), 5, 3, normalized=True)
torch.istft(torch.stft(c[:, 0], 4, 2, window=w), 4, 2, window=w, onesided=False, return_complex=True)
v.stft(4, window=w, return_complex=True)
torch.masked.sum(m) ; torch.masked.sum(i, 1, mask=k) ; torch.masked.sum(ties, (), mask=k, keepdim=True)
torch.masked.sum(s, 0)
torch.masked.sum(ties, 1, mask=t) ; torch.masked.prod(ties, (0, 1), mask=k) ; torch.masked.prod(i.bool(), mask=k)
torch.masked.amax(ties, 1, mask=k) ; torch.masked.amin(i.to(torch.int32), 1, mask=k)
torch.masked.argmax(ties, 1, mask=k)
torch.masked.argmin(i, mask=k, dtype=torch.int32) ; torch.masked.mean(ties, 1, mask=k)
torch.masked.mean(ties, dtype=torch.float64)
torch.masked.mean(i, 1, dtype=torch.float32, mask=n) ; torch.masked.median(ties, 1, mask=k)
torch.masked.median(i, 1, mask=n)
torch.masked.logsumexp(ties, 1, mask=k) ; torch.masked.logsumexp(i, 1, mask=k) ; torch.masked.norm(ties, 3.0, 1, mask=k)
torch.masked.norm(ties, -inf, 1, mask=k) ; torch.masked.norm(ties, 0, mask=n) ; torch.masked.var(ties, 1, mask=k)
torch.masked.var(ties, 1, False, mask=n) ; torch.masked.std(i, 1, correction=0, mask=n)
torch.masked.var(ties, 1, correction=2, mask=n)
torch.masked.std(c[0, 0], 0, False, mask=torch.tensor([True, False, True, True]))
torch.masked.softmax(ties, 1, mask=k)
torch.masked.log_softmax(ties, 0, mask=n) ; torch.masked.softmin(ties, 1, mask=n, dtype=torch.float64)
torch.masked.normalize(ties, 2.0, 1, mask=k) ; torch.masked.normalize(ties, inf, 1, eps=10.0)
torch.masked.cumsum(i, 1, mask=k)
torch.masked.cumprod(ties, 1, mask=k) ; torch.masked.logaddexp(ties, ties, input_mask=k, other_mask=n)
"""


def quietly(text: str) -> list[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*")
        ours, theirs = (evaluated(library, text, OTHERS) for library in (flambeau, torch))
    return [ours, theirs.resolve_conj()]


@lazily
@pytest.mark.parametrize("text", rows(VALUES))
def test_value(text: str) -> None:
    same(*quietly(text))


GRADIENTS = """
torch.stft(long, 8, 3, 4, w, return_complex=True) ; torch.stft(v, 4, window=w, return_complex=False)
torch.stft(v, 4, 2, window=w, center=False, return_complex=True, onesided=False)
torch.istft(torch.complex(m, m.flip(0)), 4, 2, window=w) ; torch.istft(torch.complex(m, m.flip(1)), 5, 3)
torch.istft(torch.complex(m, m.flip(0)), 4, 1, 3, w[:3], normalized=True)
torch.masked.sum(ties, 1, mask=torch.tensor([True, False, True])) ; torch.masked.prod(ties, 1, mask=ties > 0)
torch.masked.amax(ties, 1, mask=ties > 0) ; torch.masked.amin(ties, 0, mask=ties < 2)
torch.masked.mean(ties, 0, mask=ties > -1)
torch.masked.var(ties, 1, mask=ties != 1) ; torch.masked.std(m, 1, mask=m > -0.5)
torch.masked.norm(m, 2, 1, mask=m > 0)
torch.masked.median(m, 1, mask=m > 0) ; torch.masked.softmax(m, 1, mask=m > 0)
torch.masked.log_softmax(m, 0, mask=m > -9)
torch.masked.normalize(m, 2.0, 1, mask=m > 0) ; torch.masked.cumsum(m, 1, mask=m > 0)
torch.masked.cumprod(m, 1, mask=m > 0)
torch.masked.logsumexp(m, 1, mask=m > 0) ; torch.masked.logaddexp(m, m * 2, input_mask=m > -9)
torch.masked.softmin(m, 1)
"""


@lazily
@pytest.mark.parametrize("text", rows(GRADIENTS))
def test_gradient(text: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*")
        ours, theirs = (gradients(library, text, REALS) for library in (flambeau, torch))
    same(ours, theirs)


ERRORS = """
torch.frobenius_norm(x, (0, 1, 2))
torch.polar(v, v.double()) ; torch.polar(i, i) ; torch.polar(v, 2)
torch.fft.fft(h) ; torch.fft.rfft(c) ; torch.fft.ihfft(c) ; torch.fft.rfftn(c) ; torch.fft.ihfftn(c)
torch.fft.rfft2(c)
torch.fft.fft(v, 0) ; torch.fft.irfft(one) ; torch.fft.fft(v, -2) ; torch.fft.fft(e[:, :0])
torch.fft.fft(v, norm='bad')
torch.fft.fft(v, dim=5) ; torch.fft.fft(s) ; torch.fft.rfftn(s) ; torch.fft.irfftn(x, dim=()) ; torch.fft.fft2(v)
torch.fft.fft2(x, s=(2,)) ; torch.fft.fftn(x, s=(2, 3, 4, 5)) ; torch.fft.fftn(x, dim=(0, 0))
torch.fft.fftn(x, s=(2, 0))
torch.fft.fftn(s, dim=(0,)) ; torch.fft.fft(v, out=torch.empty(7))
torch.fft.irfft(c, out=torch.empty(0, dtype=torch.complex64))
torch.fft.fftfreq(4, dtype=torch.int64) ; torch.fft.fftfreq(4, dtype=torch.complex64) ; torch.fft.fftfreq(-1)
torch.fft.fftshift(s) ; torch.fft.fftshift(v, 3) ; torch.hann_window(-1) ; torch.hann_window(4, dtype=torch.complex64)
torch.signal.windows.hann(-1) ; torch.signal.windows.kaiser(3, dtype=torch.float16)
torch.signal.windows.gaussian(5, std=0)
torch.signal.windows.exponential(5, center=1) ; torch.signal.windows.exponential(5, tau=-1)
torch.signal.windows.kaiser(5, beta=-1)
torch.signal.windows.general_cosine(5, a=3) ; torch.signal.windows.general_cosine(5, a=[])
torch.stft(v, 4) ; torch.stft(v, 4, window=w[:3], return_complex=True)
torch.stft(v, 4, win_length=6, return_complex=True)
torch.stft(v, 9, center=False, return_complex=True) ; torch.stft(v, 4, hop_length=0, return_complex=True)
torch.stft(c[0], 4, onesided=True, center=False) ; torch.stft(v, 4, align_to_window=True, return_complex=True)
torch.istft(m, 4) ; torch.istft(z, 9) ; torch.istft(z, 4, onesided=True, return_complex=True) ; torch.istft(z, 4, 0)
torch.masked.sum(ties, 1, mask=k[None]) ; torch.masked.sum(ties, (0, 0)) ; torch.masked.sum(ties, 5)
torch.masked.mean(i, 1)
torch.masked.amax(t, 0, mask=t) ; torch.masked.norm(i, 2, 1) ; torch.masked.argmax(t, 0, mask=t)
"""


@lazily
@pytest.mark.parametrize("text", rows(ERRORS))
def test_error(text: str) -> None:
    same_error(text, OTHERS)


@lazily
def test_windows_that_leave_a_point_out() -> None:
    text = "torch.istft(z[:3], 4, window=w * 0).sum().item()"
    assert "window overlap add min: 1" in str(error_of(flambeau, text, OTHERS))
    assert "window overlap add min: 1" in str(error_of(torch, text, OTHERS))


@lazily
def test_whole_numbers_of_which_nothing_is_kept_have_no_median() -> None:
    text = "torch.masked.median(i, 1, mask=k).sum().item()"
    told = "masked median expects no fully masked out rows if dtype is not floating point"
    for library in (flambeau, torch):
        error = error_of(library, text, OTHERS)
        assert type(error) is ValueError
        assert told in str(error)


def test_transforms_and_spectrograms_are_part_of_one_program() -> None:
    def step(x: Any, window: Any) -> Any:
        spectrum = flambeau.stft(x, 8, window=window, return_complex=True)
        return flambeau.istft(spectrum, 8, window=window), flambeau.fft.fftn(x).abs(), flambeau.masked.mean(x, 1, mask=x > 0)

    jitted = flambeau.jit(step)
    x, window = flambeau.tensor(OTHERS["long"]), flambeau.hann_window(8)
    for ours, lazily_made in zip(jitted(x, window), step(x, window)):
        np.testing.assert_allclose(ours.numpy(), lazily_made.numpy(), 1e-5, 1e-5)
    np.testing.assert_allclose(jitted(x, window)[0].numpy(), x[:, :22].numpy()[:, :jitted(x, window)[0].shape[1]], 1e-4, 1e-4)
    assert jitted.stats.compiles == 1


def test_namespaces_come_on_first_use() -> None:
    program = """if True:
        import sys, flambeau
        names = [f"flambeau.{n}" for n in ("fft", "masked", "signal", "special")]
        assert not any(name in sys.modules for name in names)
        assert flambeau.fft is sys.modules["flambeau.fft"] and flambeau.signal.windows.hann(3).shape == (3,)
        import flambeau.special, flambeau.masked
        assert callable(flambeau.special.ndtri) and callable(flambeau.masked.sum)
        assert "jax" not in sys.modules and "jaxlib" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_in_place_of_torch_they_are_the_same_modules() -> None:
    program = """if True:
        import warnings
        warnings.simplefilter("ignore")
        import flambeau.as_torch
        import torch.fft, torch.special, torch.signal.windows, torch.masked, flambeau
        assert torch.fft is flambeau.fft and torch.signal.windows is flambeau.signal.windows
        assert torch.special is flambeau.special and torch.masked is flambeau.masked
        from torch.fft import fft
        assert fft is flambeau.fft.fft
    """
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("module", ["fft", "special", "masked", "signal.windows"])
def test_names(module: str) -> None:
    """Every public name of torch's module."""
    theirs, ours = torch, flambeau
    for part in module.split("."):
        theirs, ours = getattr(theirs, part), getattr(ours, part)
    wanted = [n for n in theirs.__all__ if n not in ("maskedtensor", "Tensor")]
    assert len(wanted) >= 10
    assert not [n for n in wanted if not hasattr(ours, n)]
