"""Counts in bins: https://pytorch.org/docs/stable/generated/torch.histogram.html"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..tensor.tensor import Tensor
from .arithmetic import add, div, mul, sub
from .checks import check_none, first_of, known
from .choosing import clamp, where
from .comparing import isfinite, logical_and, logical_not
from .conversions import clone
from .creation import ones, zeros
from .dims import whole_number, whole_numbers
from .methods import method, with_out
from .operands import c_name, scalar_name
from .ranges import linspace
from .reduce import aminmax, sum
from .refusals import not_implemented
from .return_types import return_type
from .scattering import index_add
from .searching import searchsorted
from .shape import reshape
from .slicing import narrow, unbind

_Histogram = return_type("histogram", "hist bin_edges")
_HistogramDD = return_type("histogramdd", "hist bin_edges")


@method()
@with_out
def histogram(input: Tensor, bins: Any = 100, *, range: Sequence[float] | None = None, weight: Tensor | None = None,
              density: bool = False) -> Any:
    """How much lies in each bin, and where the bins begin and end.

    Args: `input`, any shape; `bins`, how many equal ones, or a vector of their ends; `range`, of equal bins, by default that of
    the data; `weight`, what each element counts, by default 1; `density`, whether the result integrates to 1; `out`, two tensors.
    Returns `hist` and `bin_edges`. Elements outside are not counted; the last bin holds its right end. Raises RuntimeError for
    weights of another shape or dtype, or a range that is not finite.

    >>> import flambeau as torch
    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 3.0)).hist
    tensor([2., 1.])

    Source: https://pytorch.org/docs/stable/generated/torch.histogram.html
    """
    points = reshape(input, (-1, 1))
    if isinstance(bins, Tensor):
        _check_ends(input, bins)
    weight = _checked_weight(input, weight)
    given = [bins] if isinstance(bins, Tensor) else [whole_number(bins, "bins")]
    counts, edges = _counted("histogram", points, given, range, weight, density)
    return _Histogram(counts, edges[0])


@with_out
def histogramdd(input: Tensor, bins: Any, range: Sequence[float] | None = None, weight: Tensor | None = None,
                density: bool = False) -> Any:
    """How many rows lie in each box of a grid, and the ends of the boxes along each dimension.

    Args: `input` (*, d), points as rows; `bins`, a number for all dimensions, or a number or a vector of ends for each;
    `range`, 2d numbers; `weight` and `density` as for `histogram`.

    >>> import flambeau as torch
    >>> torch.histogramdd(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), bins=[2, 2]).hist
    tensor([[0., 1.],
            [1., 0.]])

    Source: https://pytorch.org/docs/stable/generated/torch.histogramdd.html
    """
    if input.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions, but got "
                           f"{input.ndim}")
    points = reshape(input, (-1, input.shape[-1]))
    weight = _checked_weight(input[..., 0], weight)
    given = list(bins) if isinstance(bins, (tuple, list)) else [bins] * input.shape[-1]
    if not all(isinstance(ends, Tensor) and ends.ndim for ends in given):
        given = list(whole_numbers(given, "bins"))
    if len(given) != input.shape[-1]:
        raise RuntimeError("histogramdd: The size of bins must be equal to the innermost dimension of the input.")
    counts, edges = _counted("histogramdd", points, given, range, weight, density)
    return _HistogramDD(counts, tuple(ends if isinstance(ends, Tensor) else made for ends, made in zip(given, edges)))


def _check_ends(input: Tensor, bins: Tensor) -> None:
    if bins.dtype is not input.dtype:
        raise RuntimeError("torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with "
                           f"dtype {c_name(input.dtype)} and bins for dimension 0 with dtype {c_name(bins.dtype)}")
    if bins.ndim != 1:
        raise RuntimeError(f"torch.histogramdd: bins tensor should have one dimension, but got {bins.ndim} dimensions in the "
                           "bins tensor for dimension 0")


def _checked_weight(input: Tensor, weight: Tensor | None) -> Tensor | None:
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{scalar_name(input.dtype)}'")
    if input.dtype.itemsize < 4:
        raise not_implemented("histogramdd", input.dtype)
    if weight is None:
        return None
    if weight.dtype is not input.dtype:
        raise RuntimeError("torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should have the same "
                           f"dtype, but got input({scalar_name(input.dtype)}), and weight({scalar_name(weight.dtype)})")
    return reshape(weight, (-1,))


def _counted(name: str, points: Tensor, bins: list[Any], range: Any, weight: Tensor | None, density: bool) -> Any:
    edges: list[Tensor] = []
    places = zeros(points.shape[0], dtype=dtypes.int64, device=points.device)
    inside = zeros(points.shape[0], dtype=dtypes.boolean, device=points.device) == 0
    for i, x in enumerate(unbind(points, 1)):
        ends = _edges(name, x, bins[i], None if range is None else range[2 * i:2 * i + 2])
        count = ends.numel() - 1
        found, within = _places(x, ends, isinstance(bins[i], Tensor))
        places = add(mul(places, count), found)
        inside = logical_and(inside, within)
        edges.append(ends)
    sizes = [e.numel() - 1 for e in edges]
    total = math.prod(sizes)
    counts = zeros(total + 1, dtype=points.dtype, device=points.device)
    ones_each = ones(points.shape[0], dtype=points.dtype, device=points.device) if weight is None else weight
    held = reshape(narrow(index_add(counts, 0, where(inside, places, total), ones_each), 0, 0, total), sizes)
    return (_density(held, edges) if density else held), tuple(edges)


def _edges(name: str, x: Tensor, bins: Any, range: Any) -> Tensor:
    if isinstance(bins, Tensor):
        return clone(bins)
    if bins <= 0:
        raise RuntimeError(f"torch.{name}(): bins must be > 0, but got {bins} for dimension 0")
    if range is not None:
        low, high = map(float, range)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RuntimeError(f"torch.{name}: dimension 0's range [{low:g}, {high:g}] is not finite")
        if low > high:
            raise RuntimeError(f"torch.{name}: min should not exceed max, but got min {low:g} max {high:g} for dimension 0")
        return linspace(*((low, high) if low < high else (low - 0.5, high + 0.5)), bins + 1, dtype=x.dtype, device=x.device)
    if not x.numel():
        return linspace(0.0, 1.0, bins + 1, dtype=x.dtype, device=x.device)
    least, most = aminmax(x.detach())
    check_finite("histogramdd", x, least, most, "torch.histogramdd: dimension 0's range [{}, {}] is not finite")
    alike = least == most
    least, most = where(alike, sub(least, 0.5), least), where(alike, add(most, 0.5), most)
    return linspace(least, most, bins + 1, dtype=x.dtype, device=x.device)


def check_finite(op: str, x: Tensor, least: Tensor, most: Tensor, text: str) -> None:
    """torch's RuntimeError for data whose range is not finite; the text tells of it as far as it is known."""
    at_hand = known(x)
    if at_hand is None:
        failed = logical_not(logical_and(isfinite(least), isfinite(most)))
        check_none(op, failed, RuntimeError, text.format("...", "{value}"), most.detach())
    elif not np.isfinite(at_hand).all():
        raise first_of(RuntimeError(text.format(*(f"{end:g}" for end in (at_hand.min(), at_hand.max())))))


def _places(x: Tensor, edges: Tensor, given: bool) -> tuple[Tensor, Tensor]:
    """In which bin each element lies, and whether in one; of equal bins by division, as torch has it, then beside the ends."""
    count = edges.numel() - 1
    low, high = edges[0], edges[count]
    inside = logical_and(x >= low, x <= high)
    if given:
        found = sub(searchsorted(edges, x, right=True), 1)
    else:
        guess = div(mul(sub(where(inside, x, low), low), count), sub(high, low)).to(dtypes.int64)
        guess = clamp(guess, 0, count - 1)
        guess = where(x < edges[guess], sub(guess, 1), guess)
        found = where(x >= edges[clamp(add(guess, 1), 0, count)], add(guess, 1), guess)
    return clamp(found, 0, count - 1), inside


def _density(counts: Tensor, edges: Sequence[Tensor]) -> Tensor:
    result = div(counts, sum(counts))
    for d, ends in enumerate(edges):
        widths = sub(narrow(ends, 0, 1, ends.numel() - 1), narrow(ends, 0, 0, ends.numel() - 1))
        result = div(result, reshape(widths, [-1 if i == d else 1 for i, _ in enumerate(counts.shape)]))
    return result
