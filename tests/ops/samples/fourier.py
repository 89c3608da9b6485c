"""Rows of Fourier transforms: each kind, even and odd lengths, one to three dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..sample import BadSample, Sample, complexes, integers, reals


def _fft(x: np.ndarray, kind: str, *length: int, note: str = "") -> Sample:
    axes = tuple(range(x.ndim - len(length), x.ndim))

    def torch(t: Any, x: Any) -> Any:
        return getattr(t.fft, f"{kind.lower()}n")(x, s=length, dim=axes)

    # torch's MKL build refuses to transform nothing.
    return Sample("fft", [x], {"kind": kind, "length": length}, torch if x.size else None, [0],
                  note=f" {kind} {length}{note}")


SAMPLES = [
    *(_fft(complexes(2, n), kind, n) for n in (1, 2, 5, 6) for kind in ("FFT", "IFFT")),
    *(_fft(reals(2, n), "RFFT", n) for n in (1, 2, 5, 6)),
    *(_fft(complexes(2, n // 2 + 1), "IRFFT", n) for n in (1, 2, 5, 6)),
    *(_fft(complexes(2, 3, 4), kind, 3, 4) for kind in ("FFT", "IFFT")),
    _fft(complexes(2, 3, 4), "FFT", 2, 3, 4), _fft(complexes(2, 3, 4), "IFFT", 2, 3, 4),
    *(_fft(reals(2, 3, n), "RFFT", 3, n) for n in (4, 5)), _fft(reals(2, 3, 4), "RFFT", 2, 3, 4),
    *(_fft(complexes(2, 3, n // 2 + 1), "IRFFT", 3, n) for n in (4, 5)), _fft(complexes(2, 3, 3), "IRFFT", 2, 3, 4),
    _fft(reals(4, dtype=np.float64), "RFFT", 4), _fft(complexes(3).astype(np.complex128), "IRFFT", 4),
    _fft(complexes(0, 3), "FFT", 3, note=" none"), _fft(reals(0, 3), "RFFT", 3, note=" none"),
    _fft(complexes(0, 2), "IRFFT", 3, note=" none"),
]

BAD = [
    BadSample("fft", [reals(3)], {"kind": "FFT", "length": (3,)}, "fft requires an operand that FFT takes"),
    BadSample("fft", [complexes(3)], {"kind": "RFFT", "length": (3,)}, "fft requires an operand that RFFT takes"),
    BadSample("fft", [integers(3)], {"kind": "RFFT", "length": (3,)}, "fft requires an operand that RFFT takes"),
    BadSample("fft", [complexes(3)], {"kind": "DCT", "length": (3,)}, "fft requires a kind"),
    BadSample("fft", [complexes(3)], {"kind": "FFT", "length": (4,)}, "fft requires last dimensions"),
    BadSample("fft", [complexes(4)], {"kind": "IRFFT", "length": (4,)}, "fft requires last dimensions"),
    BadSample("fft", [complexes(4)], {"kind": "FFT", "length": ()}, "fft requires one to three positive lengths"),
    BadSample("fft", [complexes(2, 0)], {"kind": "FFT", "length": (0,)}, "fft requires one to three positive lengths"),
]
