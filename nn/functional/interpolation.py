"""Resizing: https://pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html

Each dimension in turn: an output is a weighted sum of a few inputs, whose places and weights are known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...tracer.functions.arithmetic import add, mul
from ...tracer.functions.choosing import clamp
from ...tracer.functions.conversions import in_own_memory
from ...tracer.functions.creation import tensor as make_tensor
from ...tracer.functions.dims import whole_numbers
from ...tracer.functions.layout import as_image, laid_out_by
from ...tracer.functions.operands import scalar_name, wrap
from ...tracer.functions.precision import fitting
from ...tracer.functions.reduce import sum
from ...tracer.functions.shape import reshape
from ...tracer.functions.unary import round as rounded
from ...tracer.ir import dtypes
from ...tracer.ir.told import tell
from ...tracer.ops.indexing import take
from ...tracer.ops.structural import Ints
from ...tracer.tensor.tensor import Tensor
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

Sizes = int | Sequence[int] | None
Scales = float | Sequence[float] | None
LINEAR = {"linear": 3, "bilinear": 4, "trilinear": 5}  # of what number of dimensions
RANKS = {**LINEAR, "bicubic": 4, "lanczos": 4}
MODES = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact"
AREA = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}


class Taps(NamedTuple):
    """What one dimension becomes: for each output the places (O, K) of the inputs it sums up, and their weights (O, K)."""

    places: Any
    weights: Any


# --- Weights ----------------------------------------------------------------------------------------------------------


def _scale(n: int, out: int, factor: float | None, kind: Any) -> Any:
    """How many inputs an output covers; a factor that was given counts as it is, not as rounded to a size."""
    return kind(1 / factor) if factor is not None and factor > 0 else kind(n) / kind(out)


def _sources(n: int, out: int, factor: float | None, align: bool, kind: Any) -> Any:
    """Where the centres of the outputs lie among those of the inputs."""
    places = np.arange(out).astype(kind)
    if align:
        return places * (kind(n - 1) / kind(out - 1) if out > 1 else kind(0))
    return _scale(n, out, factor, kind) * (places + kind(0.5)) - kind(0.5)


def _nearest(n: int, out: int, factor: float | None, exact: bool) -> Any:
    shift = np.float32(0.5 if exact else 0)
    found = np.floor((np.arange(out).astype(np.float32) + shift) * _scale(n, out, factor, np.float32))
    return np.minimum(found.astype(np.int64), n - 1)


def _linear(n: int, out: int, factor: float | None, align: bool, kind: Any) -> Taps:
    source = np.maximum(_sources(n, out, factor, align, kind), kind(0))
    low = np.minimum(np.floor(source).astype(np.int64), n - 1)
    share = np.clip(source - low.astype(kind), 0, 1).astype(kind)
    return Taps(np.stack([low, np.minimum(low + 1, n - 1)], 1), np.stack([1 - share, share], 1))


def _cubic_kernel(x: Any, a: float) -> Any:
    """Keys' cubic convolution at distances x."""
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _cubic(n: int, out: int, factor: float | None, align: bool, kind: Any) -> Taps:
    source = _sources(n, out, factor, align, kind)
    low = np.floor(source)
    distances = (source - low)[:, None] - np.arange(-1, 3).astype(kind)
    places = np.clip(low.astype(np.int64)[:, None] + np.arange(-1, 3), 0, n - 1)
    return Taps(places, _cubic_kernel(distances, -0.75).astype(kind))


def _lanczos_kernel(x: Any) -> Any:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


KERNELS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "bilinear": (lambda x: np.maximum(1 - np.abs(x), 0), 1.0), "bicubic": (lambda x: _cubic_kernel(x, -0.5), 2.0),
    "lanczos": (_lanczos_kernel, 3.0)}  # and how far they reach


def _antialiased(mode: str, n: int, out: int, factor: float | None, align: bool, kind: Any) -> Taps:
    """A kernel as wide as an output, where outputs are fewer than inputs: nothing is left out of the mean."""
    kernel, reach = KERNELS[mode]
    if align:
        scale = kind(n - 1) / kind(out - 1) if out > 1 else kind(0)
    else:
        scale = _scale(n, out, factor, kind)
    wide = max(scale, kind(1))
    support = kind(reach) * wide
    centres = scale * (np.arange(out).astype(kind) + kind(0.5))
    first = np.maximum((centres - support + kind(0.5)).astype(np.int64), 0)
    last = np.minimum((centres + support + kind(0.5)).astype(np.int64), n)
    steps = np.arange(max(int((last - first).max()), 1))
    places = first[:, None] + steps
    weights = kernel((places.astype(kind) - centres[:, None] + kind(0.5)) / wide) * (places < last[:, None])
    total = weights.sum(1, keepdims=True)
    return Taps(np.minimum(places, n - 1), (weights / np.where(total == 0, 1, total)).astype(kind))


@lru_cache(maxsize=256)
def _taps(mode: str, n: int, out: int, factor: float | None, align: bool, antialias: bool, wide: bool) -> Taps:
    kind = np.float64 if wide else np.float32  # torch computes places in the type that it sums in
    if antialias:
        return _antialiased(mode, n, out, factor, align, kind)
    return (_linear if mode in LINEAR else _cubic)(n, out, factor, align, kind)


# --- One dimension ----------------------------------------------------------------------------------------------------


def _selected(x: Tensor, dim: int, places: Any) -> Tensor:
    return wrap(take(x._read(), make_tensor(places, device=x.device)._read(), dim))


def _nearest_along(x: Tensor, dim: int, out: int, factor: float | None, exact: bool) -> Tensor:
    n = x._type.shape[dim]
    places = _nearest(n, out, factor, exact)
    if out % n == 0 and (places == np.arange(out) // (out // n)).all():  # pixels repeated: no gather, whose gradient scatters
        shape = x._type.shape
        spread = x.unsqueeze(dim + 1).expand(*shape[:dim + 1], out // n, *shape[dim + 1:])
        return reshape(spread, (*shape[:dim], out, *shape[dim + 1:]))
    if n % out == 0 and (places == np.arange(out) * (n // out)).all():
        return x[(slice(None),) * dim + (slice(None, None, n // out),)]
    return _selected(x, dim, places)


def _weighed_along(x: Tensor, dim: int, taps: Taps) -> Tensor:
    out, count = taps.places.shape
    if out == x._type.shape[dim] and (taps.weights[:, 0] == 1).all() and (taps.places[:, 0] == np.arange(out)).all():
        return x
    shape = tuple(-1 if d == 0 else 1 for d in range(x.ndim - dim))
    if count <= 4:
        parts = [mul(_selected(x, dim, taps.places[:, k]), _constant(taps.weights[:, k].reshape(shape), x))
                 for k in range(count)]
        total = parts[0]
        for part in parts[1:]:
            total = add(total, part)
        return total
    columns = _selected(x, dim, taps.places)  # (..., O, K, ...)
    return sum(mul(columns, _constant(taps.weights.reshape(out, count, *shape[1:]), x)), dim + 1)


def _constant(array: Any, like: Tensor) -> Tensor:
    return make_tensor(array, dtype=like.dtype, device=like.device)


# --- The function -----------------------------------------------------------------------------------------------------


def interpolate(input: Tensor, size: Sizes = None, scale_factor: Scales = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Tensor:
    """Sequences, images or volumes in another size: (N, C, *) to (N, C, *size).

    Args: `size`, of the output, or `scale_factor`, by which the sizes are multiplied, each one for all dimensions or one
    for each; `mode`, "nearest" (torch's, which takes the pixel at the rounded-down place), "nearest-exact", "linear" (of
    3 dimensions), "bilinear", "bicubic" and "lanczos" (of 4), "trilinear" (of 5) or "area" (means); `align_corners`,
    whether the corners' centres lie upon each other, rather than the corners' edges; `recompute_scale_factor`, whether the
    factor that places are computed with is that of the rounded size; `antialias`, whether smaller images are means.
    Raises ValueError or NotImplementedError for arguments that do not go together, RuntimeError for empty sizes.

    >>> import flambeau as torch
    >>> torch.nn.functional.interpolate(torch.tensor([[[0.0, 1.0]]]), scale_factor=2, mode="linear")
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError("align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                         "trilinear")
    sizes, factors = _asked(input, size, scale_factor, recompute_scale_factor)
    if antialias and not (mode in KERNELS and input.ndim == 4):
        raise ValueError("Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor "
                         "as input")
    _check_mode(input, mode, antialias)
    if mode == "area":
        return AREA[input.ndim](input, sizes)
    _check_sizes(input, sizes)
    if mode.startswith("nearest"):
        result = by_nearest(input, sizes, factors, mode == "nearest-exact")
    else:
        result = by_weights(input, sizes, factors, mode, bool(align_corners), antialias)
    result = in_own_memory(result, input)  # where no pixel is computed, or every second one is shown
    return laid_out_by(as_image, result, input)


def by_nearest(x: Tensor, sizes: Ints, factors: Sequence[float | None], exact: bool) -> Tensor:
    """Each pixel the one at the nearest place."""
    if not (x.dtype.is_floating_point or x.dtype is dtypes.uint8):
        raise NotImplementedError(f"\"upsample_nearest{len(sizes)}d_channels_last\" not implemented for "
                                  f"'{scalar_name(x.dtype)}'")
    for dim, (out, factor) in enumerate(zip(sizes, factors), 2):
        x = _nearest_along(x, dim, out, factor, exact)
    return x


def by_weights(input: Tensor, sizes: Ints, factors: Sequence[float | None], mode: str, align: bool,
                antialias: bool) -> Tensor:
    """Each pixel a weighted sum of those near its place."""
    kind = input.dtype
    if not (kind.is_floating_point or (kind is dtypes.uint8 and input.ndim == 4)):
        raise NotImplementedError(f"\"upsample_{mode}2d_channels_last\" not implemented for '{scalar_name(kind)}'")
    x = input.to(dtypes.float32) if kind.itemsize < 4 else input
    for dim in range(input.ndim - 1, 1, -1):
        at = dim - 2
        taps = _taps(mode, x._type.shape[dim], sizes[at], factors[at], align, antialias, kind is dtypes.float64)
        x = _weighed_along(x, dim, taps)
    return clamp(rounded(x), 0, 255).to(kind) if kind is dtypes.uint8 else x.to(kind)


# --- Arguments --------------------------------------------------------------------------------------------------------


def _listed(value: Any) -> tuple[Any, ...] | None:
    return tuple(value) if isinstance(value, (list, tuple)) else None


def _for_each(value: Any, rank: int) -> tuple[Any, ...]:
    """One value for each dimension."""
    return _listed(value) or (value,) * rank


def _asked(input: Tensor, size: Sizes, scale_factor: Scales, recompute: bool | None) -> tuple[Ints, Sequence[float | None]]:
    """The sizes of the output, and the factors that places are computed with, None for that of the sizes."""
    rank = max(input.ndim - 2, 0)
    spatial = list(input._type.shape[2:])
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    for what, value, text, name in (("output size of", size, "output size in (o1, o2, ...,oK)", "size"),
                                    ("scale_factor of shape", scale_factor, "scale_factor in (s1, s2, ...,sK)", "factor")):
        listed = _listed(value)
        if listed is not None and len(listed) != rank:
            both = "Input and output" if name == "size" else "Input and scale_factor"
            raise ValueError(f"{both} must have the same number of spatial dimensions, but got input with spatial dimensions "
                             f"of {spatial} and {what} {value}. Please provide input tensor in (N, C, d1, d2, ...,dK) format "
                             f"and {text} format.")
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return whole_numbers(_for_each(size, rank), "size"), (None,) * rank
    factors = tuple(float(f) for f in _for_each(scale_factor, rank))
    sizes = tuple(math.floor(fitting(float(n) * f, dtypes.int64)) for n, f in zip(spatial, factors))
    return sizes, (None,) * rank if recompute else factors


def _check_mode(input: Tensor, mode: str, antialias: bool) -> None:
    wanted = RANKS.get(mode)
    known = wanted is not None or mode in ("nearest", "area", "nearest-exact")
    if input.ndim not in (3, 4, 5) or not known:
        raise NotImplementedError(f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the "
                                  f"modes: {MODES} (got {mode})")
    if wanted is not None and wanted != input.ndim:
        raise NotImplementedError(f"Got {input.ndim}D input, but {mode} mode needs {wanted}D input")
    if mode == "lanczos" and not antialias:
        raise ValueError("lanczos mode requires antialias=True")


def _check_sizes(input: Tensor, sizes: Ints) -> None:
    letters = "DHW"[3 - len(sizes):]
    spatial = input._type.shape[2:]
    if min(sizes) < 1 or min(spatial) < 1:
        shown = [", ".join(f"{letter}: {n}" for letter, n in zip(letters, each)) for each in (spatial, sizes)]
        raise RuntimeError(f"Input and output sizes should be greater than 0, but got input ({shown[0]}) "
                           f"{'and ' * (len(sizes) == 1)}output ({shown[1]})")
    if not input._type.shape[1]:
        raise RuntimeError(f"Non-empty {input.ndim}D data tensor expected but got a tensor with sizes {list(input.shape)}")


# --- Older names ------------------------------------------------------------------------------------------------------


def upsample(input: Tensor, size: Sizes = None, scale_factor: Scales = None, mode: str = "nearest",
             align_corners: bool | None = None) -> Tensor:
    """`interpolate` under its old name, with torch's warning."""
    _warn("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Sizes = None, scale_factor: Scales = None) -> Tensor:
    """`interpolate` by the nearest element, under its old name, with torch's warning."""
    _warn("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Sizes = None, scale_factor: Scales = None) -> Tensor:
    """`interpolate` by bilinear weights with aligned corners, under its old name, with torch's warning."""
    _warn("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _warn(name: str) -> None:
    tell(f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.")
