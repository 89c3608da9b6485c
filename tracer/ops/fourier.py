"""Discrete Fourier transforms over the last one to three dimensions. Source: numpy.fft, whose conventions these are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .elementwise import COMPLEX, compare, complex_, mul, or_, scaled, select
from .structural import Ints, array_attribute, iota

REAL = frozenset({dtypes.float32, dtypes.float64})
ACCEPTS: dict[str, frozenset[dtype]] = {"FFT": COMPLEX, "IFFT": COMPLEX, "RFFT": REAL, "IRFFT": COMPLEX}
REFERENCES: dict[str, Callable[..., Any]] = {
    "FFT": np.fft.fftn, "IFFT": np.fft.ifftn, "RFFT": np.fft.rfftn, "IRFFT": np.fft.irfftn}


def _halved(length: Ints) -> Ints:
    """The sizes of a spectrum of real data: of the last dimension the non-negative frequencies."""
    return (*length[:-1], length[-1] // 2 + 1)


def _fft_infer(x: Type, *, kind: str, length: Ints) -> Type:
    requires(kind in ACCEPTS, "fft", f"a kind of {', '.join(ACCEPTS)}", kind)
    requires(x.dtype in ACCEPTS[kind], "fft", f"an operand that {kind} takes", x)
    requires(1 <= len(length) <= min(3, x.ndim) and min(length) >= 1, "fft", f"one to three positive lengths of {x}",
             length)
    lead = x.shape[:x.ndim - len(length)]
    expected = _halved(length) if kind == "IRFFT" else length
    requires(x.shape == (*lead, *expected), "fft", f"last dimensions of {expected}", x)
    result = x.dtype.complex_form if kind == "RFFT" else x.dtype.real_form if kind == "IRFFT" else x.dtype
    return Type.of((*lead, *(_halved(length) if kind == "RFFT" else length)), result)


def _fft_reference(x: Any, *, kind: str, length: Ints) -> Any:
    axes = tuple(range(x.ndim - len(length), x.ndim))
    single = x.dtype.itemsize == (4 if kind == "RFFT" else 8)
    precise = x.astype(np.float64 if kind == "RFFT" else np.complex128)
    result = REFERENCES[kind](precise, s=length, axes=axes)
    return result if not single else result.astype(np.float32 if kind == "IRFFT" else np.complex64)


def _fft_lower(h: Emitter, x: Operand, *, kind: str, length: Ints) -> Operand:
    out = h.out
    if out.size == 0:
        return h.constant("0.0,0.0" if out.dtype.is_complex else "0.0", out)
    return h.op("fft", (x,), out, f"fft_type = #stablehlo<fft_type {kind}>, fft_length = {array_attribute(length)}")


def _fft_vjp(g: Value, out: Value, x: Value, *, kind: str, length: Ints) -> tuple[Value]:
    """The adjoint of each transform is another one, up to the number of points and the weights of half spectra."""
    points = math.prod(length)
    if kind == "FFT":
        return (scaled(fft(g, kind="IFFT", length=length), points),)
    if kind == "IFFT":
        return (scaled(fft(g, kind="FFT", length=length), 1 / points),)
    if kind == "RFFT":
        return (scaled(fft(_weighted(g, length, 0.5), kind="IRFFT", length=length), points),)
    return (scaled(_weighted(fft(g, kind="RFFT", length=length), length, 2.0), 1 / points),)


def _weighted(x: Value, length: Ints, weight: float) -> Value:
    """`x` times `weight` at the frequencies of the last dimension that stand for two, themselves and their negative."""
    part = x.type.dtype.real_form
    k = iota.on(x.device, shape=x.type.shape, axis=x.type.ndim - 1, dtype=dtypes.int32)
    alone = compare(k, full_like(k, 0), direction="EQ")
    if length[-1] % 2 == 0:
        alone = or_(alone, compare(k, full_like(k, length[-1] // 2), direction="EQ"))
    weights = select(alone, full_like(x, 1, part), full_like(x, weight, part))
    return mul(x, complex_(weights, full_like(x, 0, part)))


def _fft_batch(size: int, batched: Sequence[bool], x: Value, *, kind: str, length: Ints) -> Value:
    return fft(x, kind=kind, length=length)


# fft(x; kind, length) -> the transform over the last len(length) dimensions. `length` counts points in time, also where
# the last dimension of a half spectrum (RFFT's result, IRFFT's operand) has length[-1] // 2 + 1. Inverses divide by the
# number of points.
fft = register(Op("fft", _fft_infer, _fft_reference, _fft_lower, _fft_vjp, _fft_batch))
