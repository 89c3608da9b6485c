"""Reductions that leave out where a mask is false: https://pytorch.org/docs/stable/masked.html

What is left out is replaced by the number that does not change the result: 0 in sums, 1 in products, -inf in maxima.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ops.structural import Ints
from ..tensor.tensor import Tensor
from . import activation, cumulative, reduce, special
from .arithmetic import div, mul, sub
from .checks import check_none
from .choosing import clamp_min, where
from .comparing import isnan
from .conversions import clone, in_own_memory
from .dims import checked_dim, is_whole
from .matrix_norms import vector_norm
from .order_statistics import nanmedian
from .shape import broadcast_to
from .unary import neg, sqrt

Dims = int | Sequence[int] | None

# --- Masks and what stands for what they leave out --------------------------------------------------------------------


def _mask_like(input: Tensor, mask: Tensor) -> Tensor:
    if mask.ndim > input.ndim:
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    whole = mask if mask.shape == input.shape else broadcast_to(mask, input.shape)
    return whole if whole.dtype is dtypes.boolean else whole != 0


def _least(name: str, kind: dtype) -> float:
    """The least number of a type."""
    if kind.is_floating_point:
        return -math.inf
    if kind.is_complex or kind is dtypes.boolean:
        raise NotImplementedError(f"identity of {name} on {kind} input")
    return dtypes.iinfo(kind).min


def _most(name: str, kind: dtype) -> float:
    """The greatest number of a type."""
    if kind.is_floating_point:
        return math.inf
    if kind.is_complex or kind is dtypes.boolean:
        raise NotImplementedError(f"identity of {name} on {kind} input")
    return dtypes.iinfo(kind).max


def _least_exponent(name: str, kind: dtype) -> complex:
    """What has the exponential 0."""
    return complex(-math.inf, 0) if kind.is_complex else _least(name, kind)


def _constant(number: float) -> Callable[[str, dtype], float]:
    return lambda name, kind: number


_IDENTITIES: dict[str, Callable[[str, dtype], complex]] = {
    "sum": _constant(0), "cumsum": _constant(0), "prod": _constant(1), "cumprod": _constant(1), "norm": _constant(0),
    "normalize": _constant(0), "median": _constant(math.nan), "amax": _least, "argmax": _least, "logsumexp": _least_exponent,
    "logaddexp": _least, "softmax": _least, "log_softmax": _least, "amin": _most, "argmin": _most, "softmin": _most,
}


def _filled(name: str, input: Tensor, mask: Tensor | None) -> Tensor:
    return input if mask is None else where(_mask_like(input, mask), input, _IDENTITIES[name](name, input.dtype))


def _unlike_bool(dim: int) -> int:
    """A dimension, for which bools pass here, as in torch."""
    return int(dim) if isinstance(dim, bool) else dim


def _is_all(dim: Dims) -> bool:
    return dim is None or (isinstance(dim, Sequence) and not dim)


def _axes(dim: Dims, ndim: int) -> Ints:
    """All dimensions for None and for an empty sequence, also those of 0-d tensors."""
    if _is_all(dim):
        return tuple(range(ndim))
    dims: Any = (dim,) if is_whole(dim) else dim
    axes = tuple(checked_dim(_unlike_bool(d), ndim) for d in dims)
    for d in axes:
        if axes.count(d) > 1:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
    return axes if ndim else ()


def _summed_kind(input: Tensor, kind: dtype | None) -> dtype:
    return kind or (input.dtype if input.dtype.is_inexact else dtypes.int64)


# --- Sums, products and means -----------------------------------------------------------------------------------------

_ARGS = """Args: `input` (*); `dim`, one dimension or several, by default all; `keepdim`, whether they stay with size 1;
    `dtype`, of the result; `mask`, bools that broadcast to the input, true where it counts, by default everywhere."""


def _documented(function: Callable[..., Any]) -> Callable[..., Any]:
    function.__doc__ = str(function.__doc__).replace("ARGS", _ARGS)
    return function


@_documented
def sum(input: Tensor, dim: Dims = None, *, keepdim: bool | None = False, dtype: dtype | None = None,
        mask: Tensor | None = None) -> Tensor:
    """The sum of what the mask keeps; 0 where it keeps nothing.

    ARGS
    Raises IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.sum(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(4.)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    kind, axes = _summed_kind(input, dtype), _axes(dim, input.ndim)
    return reduce.sum(_filled("sum", input, mask), axes, bool(keepdim), dtype=kind) if axes else clone(
        _filled("sum", input, mask).to(kind))


@_documented
def prod(input: Tensor, dim: Dims = None, *, keepdim: bool | None = False, dtype: dtype | None = None,
         mask: Tensor | None = None) -> Tensor:
    """The product of what the mask keeps; 1 where it keeps nothing.

    ARGS
    Raises IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.prod(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(3.)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    result = _filled("prod", input, mask).to(_summed_kind(input, dtype))
    for axis in sorted(_axes(dim, input.ndim), reverse=True):
        result = reduce.prod(result, axis, bool(keepdim))
    return result if _is_all(dim) else in_own_memory(result, input)  # torch gives a 0-d tensor itself


def _float_kind(name: str, input: Tensor, kind: dtype | None) -> dtype:
    wanted = kind or input.dtype
    if not wanted.is_inexact:
        raise ValueError(f"{name}(): Could not infer output dtype. Input dtype must be either a floating point or complex "
                         f"dtype. Got: {wanted}")
    return wanted


def _count(input: Tensor, axes: Ints, keepdim: bool, mask: Tensor, kind: dtype) -> Tensor:
    """How many elements are kept."""
    whole = _mask_like(input, mask).to(dtypes.int64)
    return (reduce.sum(whole, axes, keepdim) if axes else whole).to(kind)


@_documented
def mean(input: Tensor, dim: Dims = None, *, keepdim: bool | None = False, dtype: dtype | None = None,
         mask: Tensor | None = None) -> Tensor:
    """The mean of what the mask keeps; NaN where it keeps nothing.

    ARGS
    Raises ValueError for integers without a `dtype`, IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.mean(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    kind, axes = _float_kind("mean", input, dtype), _axes(dim, input.ndim)
    if mask is None:
        return reduce.mean(input, axes, bool(keepdim), dtype=kind)
    return div(sum(input, axes, keepdim=keepdim, dtype=kind, mask=mask), _count(input, axes, bool(keepdim), mask, kind))


def _spread(input: Tensor, dim: Dims, unbiased: bool | None, correction: float | None, keepdim: bool | None,
            kind: dtype | None, mask: Tensor | None, root: bool) -> Tensor:
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    less = 1.0 if correction is None else float(correction)
    less = less if unbiased is None else float(unbiased)
    kind = kind or (input.dtype if input.dtype.is_inexact else dtypes.float32)
    x, axes = input if input.dtype is kind else input.to(kind), _axes(dim, input.ndim)
    if mask is None:
        return (reduce.std if root else reduce.var)(x, axes, correction=less, keepdim=bool(keepdim)).to(kind)
    apart = sub(x, div(sum(x, axes, keepdim=True, mask=mask), _count(x, axes, True, mask, kind)))
    squares = mul(apart, apart.conj()) if kind.is_complex else mul(apart, apart)
    count = _count(x, axes, bool(keepdim), mask, kind.real_form if kind.is_complex else kind)
    result = div(sum(squares, axes, keepdim=keepdim, mask=mask), clamp_min(sub(count, less), 0))
    return sqrt(result) if root else result


@_documented
def var(input: Tensor, dim: Dims = None, unbiased: bool | None = None, *, correction: float | None = None,
        keepdim: bool | None = False, dtype: dtype | None = None, mask: Tensor | None = None) -> Tensor:
    """The variance of what the mask keeps, with n - correction (1 by default) as divisor; NaN where it keeps nothing.

    ARGS `unbiased`, whether the correction is 1 or 0; `correction`, it itself.
    Raises AssertionError if both are given, IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.var(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    return _spread(input, dim, unbiased, correction, keepdim, dtype, mask, False)


@_documented
def std(input: Tensor, dim: Dims = None, unbiased: bool | None = None, *, correction: int | None = None,
        keepdim: bool | None = False, dtype: dtype | None = None, mask: Tensor | None = None) -> Tensor:
    """The standard deviation of what the mask keeps, the square root of `var`.

    ARGS `unbiased`, whether the correction is 1 or 0; `correction`, it itself.
    Raises AssertionError if both are given, IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.std(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(1.4142)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    return _spread(input, dim, unbiased, correction, keepdim, dtype, mask, True)


# --- Extremes, medians and norms --------------------------------------------------------------------------------------


def _extreme(name: str) -> Any:
    def function(input: Tensor, dim: Dims = None, *, keepdim: bool | None = False, dtype: dtype | None = None,
                 mask: Tensor | None = None) -> Tensor:
        filled = _filled(name, input, mask)
        result = getattr(reduce, name)(filled, _axes(dim, input.ndim), bool(keepdim))
        return result.to(dtype or input.dtype)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The {'greatest' if name == 'amax' else 'least'} of what the mask keeps.

    {_ARGS}
    Raises NotImplementedError for bools with a mask, IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.{name}(torch.tensor([1.0, 2.0]), mask=torch.tensor([True, False]))
    tensor(1.)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    return function


def _place(name: str) -> Any:
    def function(input: Tensor, dim: int | None = None, *, keepdim: bool | None = False, dtype: dtype | None = None,
                 mask: Tensor | None = None) -> Tensor:
        return getattr(reduce, name)(_filled(name, input, mask), dim, bool(keepdim)).to(dtype or input.dtype)

    function.__name__ = function.__qualname__ = name
    extreme = "greatest" if name == "argmax" else "least"
    function.__doc__ = f"""Where the {extreme} of what the mask keeps is, as a number of the input's type.

    {_ARGS}
    Raises NotImplementedError for bools with a mask, IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.{name}(torch.tensor([1, 2]), mask=torch.tensor([True, False]))
    tensor(0)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    return function


amax, amin = _extreme("amax"), _extreme("amin")
argmax, argmin = _place("argmax"), _place("argmin")


def median(input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: dtype | None = None,
           mask: Tensor | None = None) -> Tensor:
    """The median of what the mask keeps along a dimension; of an even number the lower one, of nothing NaN.

    Args: `input` (*); `dim`, the dimension; `keepdim`, whether it stays with size 1; `dtype`, of the result; `mask`, bools
    that broadcast to the input, true where it counts, by default everywhere.
    Raises ValueError where nothing is kept of whole numbers.

    >>> import flambeau as torch
    >>> torch.masked.median(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, True, False]))
    tensor(1.)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    floating = input.dtype.is_floating_point
    given: Any = dim  # or a list of it
    axis = checked_dim(_unlike_bool(dim if is_whole(dim) else given[0]), input.ndim)
    x = input if floating else input.to(dtypes.float32)
    result = nanmedian(_filled("median", x, mask), axis, bool(keepdim)).values
    if floating:
        return result.to(dtype or input.dtype)
    check_none("masked.median", isnan(result), ValueError,
               "masked median expects no fully masked out rows if dtype is not floating point")
    return result.to(dtype or input.dtype)


def norm(input: Tensor, ord: float | None = 2.0, dim: Dims = None, *, keepdim: bool | None = False,
         dtype: dtype | None = None, mask: Tensor | None = None) -> Tensor:
    """The norm of what the mask keeps, (sum |x|**ord)**(1 / ord); what is left out counts as 0, as infinity for ord -inf.

    Args: `input` (*); `ord`, the order; `dim`, one dimension or several, by default all; `keepdim`, whether they stay with
    size 1; `dtype`, into which the input is converted; `mask`, bools that broadcast to the input, by default all true.
    Raises RuntimeError for whole numbers.

    >>> import flambeau as torch
    >>> torch.masked.norm(torch.tensor([3.0, 2.0, 4.0]), mask=torch.tensor([True, False, True]))
    tensor(5.)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    ord = 2.0 if ord is None else ord
    x = input.to(dtype) if dtype else input
    kept = x if mask is None else where(_mask_like(x, mask), x, math.inf if ord == -math.inf else 0)
    axes = _axes(dim, x.ndim)
    return vector_norm(kept, ord, axes, bool(keepdim))


def normalize(input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: dtype | None = None,
              mask: Tensor | None = None) -> Tensor:
    """What the mask keeps, divided by its norm along a dimension, or by `eps` if that is more; 0 elsewhere.

    Args: `input` (*); `ord`, the order of the norm; `dim`; `eps`, the least divisor; `dtype`, into which the input is
    converted; `mask`, bools that broadcast to the input, by default all true.
    Raises RuntimeError for whole numbers.

    >>> import flambeau as torch
    >>> torch.masked.normalize(torch.tensor([3.0, 2.0, 4.0]), 2.0, 0, mask=torch.tensor([True, False, True]))
    tensor([0.6000, 0.0000, 0.8000])

    Source: https://pytorch.org/docs/stable/masked.html
    """
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return div(_filled("normalize", input.to(dtype) if dtype else input, mask), clamp_min(size, eps))


# --- Logarithms of sums, and shares -----------------------------------------------------------------------------------


@_documented
def logsumexp(input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: dtype | None = None,
              mask: Tensor | None = None) -> Tensor:
    """log(sum(exp(x))) of what the mask keeps; minus infinity where it keeps nothing.

    ARGS
    Raises IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.logsumexp(torch.tensor([1.0, 2.0, 1.0]), mask=torch.tensor([True, False, True]))
    tensor(1.6931)

    Source: https://pytorch.org/docs/stable/masked.html
    """
    return reduce.logsumexp(_filled("logsumexp", input, mask), _axes(dim, input.ndim), bool(keepdim)).to(dtype or input.dtype)


def logaddexp(input: Tensor, other: Tensor, *, dtype: dtype | None = None, input_mask: Tensor | None = None,
              other_mask: Tensor | None = None) -> Tensor:
    """log(exp(input) + exp(other)), with each only where its own mask keeps it.

    Args: `input` and `other`, which broadcast; `dtype`, of the result; `input_mask` and `other_mask`, bools that broadcast to
    them.

    >>> import flambeau as torch
    >>> torch.masked.logaddexp(torch.zeros(2), torch.zeros(2), other_mask=torch.tensor([True, False]))
    tensor([0.6931, 0.0000])

    Source: https://pytorch.org/docs/stable/masked.html
    """
    operands = _filled("logaddexp", input, input_mask), _filled("logaddexp", other, other_mask)
    return special.logaddexp(*operands).to(dtype or input.dtype)


def _shares(name: str, meaning: str, apply: Callable[..., Tensor], at: str) -> Any:
    def function(input: Tensor, dim: int, *, dtype: dtype | None = None, mask: Tensor | None = None) -> Tensor:
        x = input.to(dtype) if dtype else input
        result = apply(_filled(name, x, mask), _unlike_bool(dim))
        return result if result.dtype is x.dtype else result.to(x.dtype)  # whole numbers keep their type in sums

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{meaning} along a dimension, of what the mask keeps; NaN where it keeps nothing.

    Args: `input` (*); `dim`, the dimension; `dtype`, into which the input is converted; `mask`, bools that broadcast to the
    input, true where it counts, by default everywhere.
    Raises IndexError for a mask of more dimensions than the input.

    >>> import flambeau as torch
    >>> torch.masked.{name}(torch.tensor([1.0, 2.0, 1.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([{at}])

    Source: https://pytorch.org/docs/stable/masked.html
    """
    return function


softmax = _shares("softmax", "The softmax", activation.softmax, "0.5000, 0.0000, 0.5000")
log_softmax = _shares("log_softmax", "The logarithm of the softmax", activation.log_softmax, "-0.6931,    -inf, -0.6931")
softmin = _shares("softmin", "The softmax of -x", lambda x, dim: activation.softmax(neg(x), dim), "0.5000, 0.0000, 0.5000")
cumsum = _shares("cumsum", "The sums up to each element", cumulative.cumsum, "1., 1., 2.")
cumprod = _shares("cumprod", "The products up to each element", cumulative.cumprod, "1., 1., 1.")
