"""Images read at given places: https://pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence

import numpy as np

from ...tracer.functions.arithmetic import add, div, mul, remainder, sub
from ...tracer.functions.choosing import clamp, where
from ...tracer.functions.comparing import isfinite, isnan, logical_and
from ...tracer.functions.creation import tensor as make_tensor
from ...tracer.functions.layout import in_pieces
from ...tracer.functions.linear import matmul
from ...tracer.functions.operands import scalar_name, wrap
from ...tracer.functions.precision import rounded_once
from ...tracer.functions.refusals import require_kind
from ...tracer.functions.shape import movedim, reshape
from ...tracer.functions.unary import abs as absolute
from ...tracer.functions.unary import floor, round
from ...tracer.ir import dtypes
from ...tracer.ir.told import tell
from ...tracer.ops.indexing import take
from ...tracer.ops.structural import iota
from ...tracer.tensor.tensor import Tensor

MODES, PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
CHANGED = ("Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
           "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.")
UNIT_SIZE = ("Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. This is not an "
             "intended use case of affine_grid. See the documentation of affine_grid for details.")


# --- Grids ------------------------------------------------------------------------------------------------------------


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places that an affine map reads an image at: grid[n, h, w] = theta[n] @ (x, y, 1) for the pixel (h, w).

    Args: `theta` (N, 2, 3), or (N, 3, 4) for volumes; `size`, (N, C, H, W) or (N, C, D, H, W) of the output;
    `align_corners`, whether -1 and 1 are the centres of the outermost pixels, rather than their edges.
    Returns (N, H, W, 2) or (N, D, H, W, 3). Raises ValueError for maps of another shape or integers.

    >>> import flambeau as torch
    >>> identity = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> torch.nn.functional.affine_grid(identity, (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.affine_grid.html
    """
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(size) not in (4, 5):
        raise NotImplementedError("affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
                                  f"Got size {size}.")
    rank = len(size) - 2
    if theta.ndim != 3 or theta._type.shape[1:] != (rank, rank + 1):
        raise ValueError(f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size {size}. Got "
                         f"{theta.shape}.")
    if align_corners is None:
        tell(CHANGED)
    elif align_corners and min(size[2:]) == 1:
        tell(UNIT_SIZE)
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if size[0] != theta._type.shape[0]:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: [{size[0]}, {rank + 1}] but got: "
                           f"[{theta._type.shape[0]}, {rank + 1}].")
    sizes = tuple(map(operator.index, size[2:]))
    places = [_centres(n, bool(align_corners)) for n in sizes]
    columns = [*reversed(np.meshgrid(*places, indexing="ij")), np.ones(sizes)]
    base = make_tensor(np.stack(columns, -1).reshape(1, -1, rank + 1), dtype=theta.dtype, device=theta.device)
    return reshape(matmul(base, theta.transpose(1, 2)), (theta._type.shape[0], *sizes, rank))


def _centres(n: int, align: bool) -> np.ndarray:
    """Pixels' centres between -1 and 1."""
    if n == 1:
        return np.zeros(1)
    ends = np.linspace(-1, 1, n)
    return ends if align else ends * ((n - 1) / n)


# --- Sampling ---------------------------------------------------------------------------------------------------------


@rounded_once
def grid_sample(input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool | None = None) -> Tensor:
    """Images read at the places of a grid: y[n, :, h, w] = x[n, :, at grid[n, h, w]].

    Args: `input` (N, C, H, W) or (N, C, D, H, W); `grid` (N, *, 2), of (x, y), or (N, *, 3), of (x, y, z), between -1 and 1;
    `mode`, "bilinear", "nearest" or "bicubic" (of images); `padding_mode`, what lies outside: "zeros", the "border", or
    the image's "reflection"; `align_corners`, whether -1 and 1 are the centres of the outermost pixels, rather than their
    edges. Returns (N, C, *). Raises ValueError or RuntimeError for modes or shapes that do not fit.

    >>> import flambeau as torch
    >>> image, grid = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.0, 0.0]]]])
    >>> torch.nn.functional.grid_sample(image, grid, align_corners=False)  # between both
    tensor([[[[0.5000]]]])

    Source: Jaderberg et al.: "Spatial transformer networks", https://arxiv.org/abs/1506.02025;
    https://pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html
    """
    if mode not in MODES:
        raise ValueError(f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: "
                         f"'{mode}'")
    if padding_mode not in PADDINGS:
        raise ValueError("nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but "
                         f"got: '{padding_mode}'")
    if align_corners is None:
        tell(CHANGED)
    _check(input, grid, mode)
    input, grid = in_pieces(input, grid), in_pieces(grid, input)
    sampler = _Sampler(input, padding_mode, bool(align_corners))
    places = [sampler.unnormalized(grid.select(-1, -1 - i), n) for i, n in enumerate(sampler.sizes)]  # x is the last one
    return wrap(movedim(SAMPLERS[mode](sampler, places), -1, 1)._read())  # in rows, as torch has it


def _check(input: Tensor, grid: Tensor, mode: str) -> None:
    sizes, places, rank = list(input.shape), list(grid.shape), input.ndim - 2
    given = f"but got input with sizes {sizes} and grid with sizes {places}"
    if input.dtype is not grid.dtype:
        raise RuntimeError(f"expected scalar type {scalar_name(input.dtype)} but found {scalar_name(grid.dtype)}")
    require_kind(f"grid_sampler_{rank}d_cpu" + "_kernel_impl" * (rank == 2), input)
    if sizes[:1] != places[:1]:
        raise RuntimeError(f"grid_sampler(): expected grid and input to have same batch size, {given}")
    if input.ndim not in (4, 5) or grid.ndim != input.ndim:
        raise RuntimeError(f"grid_sampler(): expected {'4D or 5D' if input.ndim not in (4, 5) else f'{input.ndim}D'} input "
                           f"and grid with same number of dimensions, {given}")
    if places[-1] != rank:
        raise RuntimeError(f"grid_sampler(): expected grid to have size {rank} in last dimension, but got grid with sizes "
                           f"{places}")
    for dim, n in enumerate(sizes[2:], 2):
        if n <= 0:
            raise RuntimeError("grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                               f"{sizes} with dimension {dim} being empty")
    if mode == "bicubic" and input.ndim == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


class _Sampler:
    """An image as a table of pixels, and how places outside it are read."""

    def __init__(self, input: Tensor, padding: str, align: bool) -> None:
        self.sizes, self.channels = input._type.shape[2:], input._type.shape[1]
        self.padding, self.align = padding, align
        self.table = reshape(movedim(input, 1, -1), (-1, self.channels))  # rows of channels: a gather reads whole rows

    def unnormalized(self, x: Tensor, n: int) -> Tensor:
        """From -1 .. 1 to pixels."""
        return mul(add(x, 1), (n - 1) / 2) if self.align else div(sub(mul(add(x, 1), n), 1), 2)

    def inside(self, x: Tensor, n: int) -> Tensor:
        """A place outside moved to the border or reflected, unless the padding is of zeros."""
        if self.padding == "reflection":
            x = self._reflected(x, n)
        if self.padding == "zeros":
            return x
        # at the border itself torch's gradient is 0, as that of a clamp is not; NaN is moved to the first pixel
        return where(logical_and(x > 0, x < n - 1), x, where(isnan(x), 0.0, clamp(x.detach(), 0, n - 1)))

    def _reflected(self, x: Tensor, n: int) -> Tensor:
        low, span = (0.0, float(n - 1)) if self.align else (-0.5, float(n))
        if span == 0:
            return mul(x, 0)
        shifted = absolute(sub(x, low))
        rest = remainder(shifted, span)
        even = remainder(floor(div(shifted, span)), 2) == 0
        return where(even, add(rest, low), (span + low) - rest)

    def read(self, places: Sequence[Tensor]) -> Tensor:
        """The pixels (N, *, C) at whole places, given as floats; zeros outside."""
        batch = places[0]._type.shape
        known, flat = None, wrap(iota.on(places[0]._device, shape=batch, axis=0, dtype=dtypes.int64))
        for place, n in zip(places, self.sizes):
            there = logical_and(place >= 0, place <= n - 1)
            known = there if known is None else logical_and(known, there)
            flat = add(mul(flat, n), where(there, place.detach(), 0.0).to(dtypes.int64))
        found = wrap(take(self.table._read(), flat._read(), 0))
        return where(known.unsqueeze(-1), found, 0.0) if known is not None else found


def _nearest(sampler: _Sampler, places: list[Tensor]) -> Tensor:
    found = sampler.read([round(sampler.inside(place, n)) for place, n in zip(places, sampler.sizes)])
    nothing = [where(isfinite(place), mul(sub(place, place.detach()), 0.0), 0.0) for place in places]
    return add(found, _total(nothing).unsqueeze(-1))  # the gradient of places is zero, not none


def _bilinear(sampler: _Sampler, places: list[Tensor]) -> Tensor:
    places = [sampler.inside(place, n) for place, n in zip(places, sampler.sizes)]
    lows = [floor(place) for place in places]
    shares = [(sub(add(low, 1), place), sub(place, low)) for place, low in zip(places, lows)]
    parts = []
    for corner in itertools.product((0, 1), repeat=len(places)):
        weight = _product([share[at] for share, at in zip(shares, corner)])
        parts.append(mul(sampler.read([add(low, at) for low, at in zip(lows, corner)]), weight.unsqueeze(-1)))
    return _total(parts)


def _bicubic(sampler: _Sampler, places: list[Tensor]) -> Tensor:
    """Sixteen pixels around each place, whose own places are moved inside, by Keys' kernel with -3/4."""
    lows = [floor(place) for place in places]
    shares = [_cubic_weights(sub(place, low)) for place, low in zip(places, lows)]
    parts = []
    for i, j in itertools.product(range(4), repeat=2):
        at = [round(sampler.inside(add(low, k - 1), n)) for low, k, n in zip(lows, (i, j), sampler.sizes)]
        parts.append(mul(sampler.read(at), mul(shares[0][i], shares[1][j]).unsqueeze(-1)))
    return _total(parts)


def _cubic_weights(t: Tensor) -> list[Tensor]:
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return add(mul(mul(sub(mul(x, a + 2), a + 3), x), x), 1)

    def far(x: Tensor) -> Tensor:
        return mul(sub(mul(add(mul(sub(x, 5), x), 8), x), 4), a)

    return [far(add(t, 1)), near(t), near(1 - t), far(2 - t)]


def _total(parts: list[Tensor]) -> Tensor:
    result = parts[0]
    for part in parts[1:]:
        result = add(result, part)
    return result


def _product(parts: list[Tensor]) -> Tensor:
    result = parts[0]
    for part in parts[1:]:
        result = mul(result, part)
    return result


SAMPLERS: dict[str, Callable[[_Sampler, list[Tensor]], Tensor]] = {
    "bilinear": _bilinear, "nearest": _nearest, "bicubic": _bicubic}
