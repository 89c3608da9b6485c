"""Integrals and derivatives of sampled functions: https://pytorch.org/docs/stable/generated/torch.trapezoid.html"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir import dtypes
from ..ir.errors import no_dimensions
from ..tensor.tensor import Tensor
from .arithmetic import add, div, mul, sub
from .cumulative import cumsum
from .dims import checked_dim, checked_dims, whole_number
from .joining import cat
from .methods import named
from .operands import NUMBERS, Number
from .reduce import sum
from .shape import reshape
from .slicing import narrow
from .spelling import spelled

# --- Trapezoids -------------------------------------------------------------------------------------------------------


def _distances(y: Tensor, x: Tensor, d: int) -> Tensor:
    """How far the samples are apart, as a tensor that broadcasts against the sums of neighbours."""
    if x.ndim == 0:
        x = reshape(x, (1,) * y.ndim)
    if x.ndim == 1:
        if x.shape[0] != y.shape[d]:
            raise RuntimeError("trapezoid: There must be one `x` value for each sample point")
        steps = sub(narrow(x, 0, 1, x.shape[0] - 1), narrow(x, 0, 0, x.shape[0] - 1))
        return reshape(steps, [-1 if i == d else 1 for i in range(y.ndim)])
    axis = d if x.ndim == y.ndim else d - (y.ndim - x.ndim)
    return sub(narrow(x, axis, 1, x.shape[axis] - 1), narrow(x, axis, 0, x.shape[axis] - 1))


def _neighbours(y: Tensor, d: int) -> Tensor:
    n = max(y.shape[d] - 1, 0)
    return add(narrow(y, d, y.shape[d] - n, n), narrow(y, d, 0, n))


@spelled
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Number | None = None, dim: int = -1) -> Tensor:
    """The integral along a dimension by the trapezoidal rule: the sum of (y[i + 1] + y[i]) / 2 * (x[i + 1] - x[i]).

    Args: `y`, the samples; `x`, where they were taken, of their shape or a vector; `dx`, the distance without `x`, 1 by
    default; `dim`, the dimension. Raises RuntimeError if both `x` and `dx` are given, or for bools.

    >>> import flambeau as torch
    >>> torch.trapezoid(torch.tensor([1.0, 5.0, 10.0]))
    tensor(10.5000)

    Source: https://pytorch.org/docs/stable/generated/torch.trapezoid.html
    """
    d = _checked("trapezoid", y, x, dx, dim)
    if y.shape[d] == 0:
        return sum(y, d)
    if x is None:  # whole numbers are added up in their type where torch does so, and in int64 where it does not
        ends = mul(add(y.select(d, 0), y.select(d, -1)), 0.5)
        return mul(sub(sum(y, d), ends), 1.0 if dx is None else dx)
    return div(sum(mul(_neighbours(y, d), _distances(y, x, d)), d), 2)


trapz = named("trapz", "Another name of `trapezoid`.")(
    lambda y, x=None, *, dx=None, dim=-1: trapezoid(y, x, dx=dx, dim=dim))


@spelled
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Number | None = None, dim: int = -1) -> Tensor:
    """The running integral along a dimension by the trapezoidal rule, one element shorter than `y`.

    >>> import flambeau as torch
    >>> torch.cumulative_trapezoid(torch.tensor([1.0, 5.0, 10.0]))
    tensor([ 3.0000, 10.5000])

    Source: https://pytorch.org/docs/stable/generated/torch.cumulative_trapezoid.html
    """
    d = _checked("cumulative_trapezoid", y, x, dx, dim)
    if x is None:
        return cumsum(mul(_neighbours(y, d), 0.5 if dx is None else dx / 2), d)  # type: ignore[operator]
    return div(cumsum(mul(_neighbours(y, d), _distances(y, x, d)), d), 2)


def _checked(name: str, y: Tensor, x: Tensor | None, dx: Number | None, dim: int) -> int:
    if x is not None and dx is not None:
        raise TypeError(f"{name}() takes x or dx, not both")
    if y.ndim == 0 and name == "trapezoid":  # which torch looks at first there, and at bools in the other
        raise no_dimensions(dim if x is None else 0)
    if y.dtype is dtypes.boolean or (x is not None and x.dtype is dtypes.boolean):
        raise RuntimeError(f"{name}: received a bool input for {'`y`' if x is None else '`x` or `y`'}, but bool is not supported")
    if y.ndim == 0:
        raise no_dimensions(0) if x is not None and x.ndim else IndexError("slice() cannot be applied to a 0-dim tensor.")
    return checked_dim(dim, y.ndim)


# --- Differences ------------------------------------------------------------------------------------------------------


@spelled
def gradient(input: Tensor, *, spacing: Any = None, dim: int | Sequence[int] | None = None,
             edge_order: int = 1) -> tuple[Tensor, ...]:
    """The gradient of a sampled function by central differences, of second order at all inner samples.

    Args: `input`, the samples on a grid; `spacing`, the distance, or one per dimension, or the coordinates along each as a
    vector; `dim`, by default all; `edge_order`, 1 or 2, of the differences at the ends.
    Returns one tensor per dimension. Raises RuntimeError for too few samples, or spacings that do not match the dimensions.

    >>> import flambeau as torch
    >>> torch.gradient(torch.tensor([1.0, 4.0, 9.0]))
    (tensor([3., 4., 5.]),)

    Source: https://pytorch.org/docs/stable/generated/torch.gradient.html
    """
    if input.dtype is dtypes.uint8:
        raise RuntimeError("torch.gradient does not support uint8 input.")
    dims = checked_dims(dim, input.ndim)
    edge_order = whole_number(edge_order, "edge_order")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    spacings = _spacings(spacing, dims, dim)
    for h in spacings:
        if isinstance(h, Tensor) and h._device != input._device:
            raise RuntimeError("torch.gradient expected each tensor to be on the same device, but got devices "
                               f"{input.device} and {h.device}!")
    for d, _ in zip(dims, spacings):
        if input.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return tuple(_along(input, d, h, edge_order) for d, h in zip(dims, spacings))


def _spacings(spacing: Any, dims: Sequence[int], dim: Any) -> list[Any]:
    if spacing is None:
        return [1] * len(dims)
    if isinstance(spacing, NUMBERS) or (isinstance(spacing, Tensor) and spacing.ndim == 0):
        return [spacing] * len(dims)
    given = list(spacing)
    if len(given) != len(dims):
        raise RuntimeError("torch.gradient expected spacing to be unspecified, a scalar or a list of length equal to "
                           f"{len(dims)}, the number of dimensions, but got a list of length {len(given)}")
    return given


def _along(y: Tensor, d: int, spacing: Any, edge_order: int) -> Tensor:
    n = y.shape[d]
    h = _steps(y, d, spacing, n)
    ends = _one_sided(y, d, h, n, edge_order)
    if n == 2:
        return cat([ends[0], ends[1]], d)
    before, after = _part(h, d, 0, n - 2), _part(h, d, 1, n - 2)
    left, middle, right = (narrow(y, d, i, n - 2) for i in range(3))
    if isinstance(h, Tensor):
        a = -after / (before * (before + after))
        b = (after - before) / (before * after)
        c = before / (after * (before + after))
        inner = a * left + b * middle + c * right
    else:
        inner = div(sub(right, left), 2 * h)
    return cat([ends[0], inner, ends[1]], d)


def _steps(y: Tensor, d: int, spacing: Any, n: int) -> Any:
    """The distance, or the distances between neighbours along `d`."""
    if not isinstance(spacing, Tensor) or spacing.ndim == 0:
        return spacing
    if spacing.numel() != n:
        raise RuntimeError("torch.gradient expected each coordinate tensor to have as many elements as the dimension")
    steps = sub(narrow(spacing, 0, 1, n - 1), narrow(spacing, 0, 0, n - 1))
    return reshape(steps, [-1 if i == d else 1 for i in range(y.ndim)])


def _part(h: Any, d: int, start: int, length: int) -> Any:
    return narrow(h, d, start, length) if isinstance(h, Tensor) and h.ndim else h


def _one_sided(y: Tensor, d: int, h: Any, n: int, order: int) -> tuple[Tensor, Tensor]:
    """The differences at both ends."""
    at = [narrow(y, d, i, 1) for i in (0, 1, n - 2, n - 1)]
    first, last = _part(h, d, 0, 1), _part(h, d, n - 2, 1)
    if order == 1:
        return div(sub(at[1], at[0]), first), div(sub(at[3], at[2]), last)
    second, before = _part(h, d, 1, 1), _part(h, d, n - 3, 1)
    low = (-(2 * first + second) / (first * (first + second)) * at[0] + (first + second) / (first * second) * at[1]
           - first / (second * (first + second)) * narrow(y, d, 2, 1))
    high = (last / (before * (before + last)) * narrow(y, d, n - 3, 1) - (before + last) / (before * last) * at[2]
            + (2 * last + before) / (last * (before + last)) * at[3])
    return low, high
