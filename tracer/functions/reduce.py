"""Sums, means, extremes and truth of all elements or along dimensions: https://pytorch.org/docs/stable/torch.html#reduction-ops"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.told import tell
from ..ops import OPS
from ..ops.elementwise import real, stop_gradient, with_value
from ..ops.indexing import take_along
from ..ops.structural import Ints, slice_
from ..tensor.tensor import Tensor
from .arithmetic import add, div, mul, power_of_size, sub
from .choosing import maximum, minimum, where
from .comparing import eq, isnan, logical_and, logical_not, logical_or, ne
from .defaults import Defaults
from .dims import check_keepdim, checked_dim, checked_dims, shape_argument
from .methods import CASTS, EXACT, Out, into, method, named, out_kind, with_out, with_out_of, with_typed_out
from .operands import cast_value, number_value, read, same_shape, scalar_name, wrap
from .precision import rounded_once
from .refusals import ORDERED, require_kind
from .return_types import return_type
from .shape import reshape
from .spelling import check_tensors, spelled
from .unary import abs as absolute
from .unary import exp, log, square

_EXTREME: Final = Out("Expected the dtype for input and out to match, but got {result} for input's"
                     " dtype and {out} for out's dtype.")
_TRUTH = {name: Out(f"{name} only supports bool tensor for result, got: {{out}}", also=(dtypes.boolean, dtypes.uint8))
          for name in ("all", "any")}
Dims = int | Sequence[int] | None


def _kept(shape: Ints, axes: Ints, keepdim: bool) -> Ints:
    return tuple(1 if i in axes else n for i, n in enumerate(shape) if keepdim or i not in axes)


def _axes(x: Tensor, dim: Dims) -> Ints:
    """The dimensions to reduce: all for None and for an empty list, as in torch's sum."""
    ndim = x._type.ndim
    if ndim > 64:
        raise RuntimeError("only tensors with up to 64 dims are supported")
    if dim is None:
        return tuple(range(ndim))
    if ndim == 0:
        checked_dims(dim, 0)
        return ()
    return checked_dims(None if _is_empty(dim) else dim, ndim)


def _is_empty(dim: Any) -> bool:
    return isinstance(dim, (tuple, list)) and not dim


def reduced(op: str, value: Value, axes: Ints, keepdim: bool) -> Value:
    """A reduction op, with the reduced dimensions kept as 1 if asked."""
    result: Value = OPS[op](value, axes=axes if len(axes) < 2 else tuple(sorted(axes)))
    return same_shape(result, _kept(value.type.shape, axes, True)) if keepdim else result


def _wider(x: Tensor, kind: dtype | None) -> Value:
    """The value in `kind`, or with bools and integers as int64."""
    value = read(x)
    own = value.type.dtype
    return cast_value(value, kind or (own if own.is_inexact else dtypes.int64))


@method()
def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None,
        out: Tensor | None = None) -> Tensor:
    """The sum of all elements, or along dimensions.

    Args: `input` (*); `dim`, one dimension or several, by default all; `keepdim`, whether they stay with size 1;
    `dtype`, of the result, into which the input is converted first; `out`, a tensor to write to, whose dtype counts as
    `dtype`.
    Returns a tensor without the summed dimensions; bools and integers sum to int64. Raises IndexError for a dimension
    that is not there, RuntimeError for one that comes twice.

    >>> import flambeau as torch
    >>> torch.ones(2, 3).sum(dim=1)
    tensor([3., 3.])

    Source: https://pytorch.org/docs/stable/generated/torch.sum.html
    """
    if keepdim is not False:
        check_keepdim("sum", keepdim, dim)
    kind = dtype if out is None else out_kind(out, dtype)
    if kind is dtypes.boolean:
        found = any_(input, None if _is_empty(dim) else dim, keepdim)
        return into(out, wrap(cast_value(found._read(), kind)))  # of uint8 it is uint8
    return into(out, wrap(reduced("reduce_sum", _wider(input, kind), _axes(input, dim), keepdim)))


@method()
@with_typed_out
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """The product of all elements, or along one dimension."""
    if keepdim is not False:
        check_keepdim("prod", keepdim, dim)
    if isinstance(dim, (tuple, list)):
        raise TypeError(f"prod(): argument 'dim' must be int, not {type(dim).__name__}")
    if dtype is dtypes.boolean:
        return wrap(cast_value(all(input, dim, keepdim)._read(), dtype))
    return wrap(reduced("reduce_prod", _wider(input, dtype), _axes(input, dim), keepdim))


def _float_input(name: str, input: Tensor, kind: dtype | None) -> dtype:
    wanted = kind or input.dtype
    if not wanted.is_inexact:
        which = "Input" if kind is None else "Optional"
        raise RuntimeError(f"{name}(): could not infer output dtype. {which} dtype must be either a floating point or complex "
                           f"dtype. Got: {scalar_name(wanted)}")
    return wanted


@method()
@with_out
@rounded_once
def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """The mean of all elements, or along dimensions.

    y = sum(x) / n, where n is the number of elements that are summed; NaN if there are none

    Args: `input` (*), of floats or complex numbers; `dim`, one dimension or several, by default all; `keepdim`, whether
    they stay with size 1; `dtype`, of the result, into which the input is converted first; `out`, a tensor to write to.
    Returns a tensor without the dimensions of the mean. Raises RuntimeError for integers without a `dtype`.

    >>> import flambeau as torch
    >>> torch.mean(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), dim=1)
    tensor([1.5000, 4.5000])

    Source: https://pytorch.org/docs/stable/generated/torch.mean.html
    """
    if keepdim is not False:
        check_keepdim("mean", keepdim, dim)
    kind = _float_input("mean", input, dtype)
    axes = _axes(input, dim)
    total = wrap(reduced("reduce_sum", cast_value(input._read(), kind), axes, keepdim))
    return div(total, _count(input, axes))


def _count(x: Tensor, axes: Ints) -> float:
    return float(math.prod(x._type.shape[a] for a in axes))


def _from_the_first(x: Tensor, axes: Ints) -> Tensor:
    """x less its first element along the axes: of equal numbers zero, of which the mean is exact, as theirs need not be."""
    shape = x._type.shape
    if not x.numel() or not axes:
        return x
    limit = tuple(1 if i in axes else n for i, n in enumerate(shape))
    first = slice_(x._read(), start=(0,) * len(shape), limit=limit, stride=(1,) * len(shape))
    return sub(x, wrap(stop_gradient(first)))


def _correction(unbiased: bool | None, correction: float | None) -> float:
    if correction is not None:
        return correction
    return 1.0 if unbiased is None or unbiased else 0.0


def _dim_and_unbiased(dim: Any, unbiased: bool | None) -> tuple[Any, bool | None]:
    """torch's var(unbiased) overload: a lone bool is not a dimension."""
    return (None, dim) if isinstance(dim, bool) else (dim, unbiased)


@method()
@with_out
def var(input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None) -> Tensor:
    """The variance: squared distance from the mean, divided by n - correction (1 by default)."""
    return _variance("var", input, dim, unbiased, keepdim, correction)


@rounded_once
def _variance(name: str, input: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: float | None) -> Tensor:
    dim, unbiased = _dim_and_unbiased(dim, unbiased)
    if not input.dtype.is_inexact:
        raise RuntimeError(f"{name if '_' in name else 'std and var'} only support floating point and complex dtypes")
    axes = _axes(input, dim)
    shifted = _from_the_first(input, axes)
    centred = sub(shifted, mean(shifted, axes, True) if axes else shifted)
    squares = square(absolute(centred) if input.dtype.is_complex else centred)
    total = wrap(reduced("reduce_sum", squares._read(), axes, keepdim))
    rest = _count(input, axes) - _correction(unbiased, correction)
    if rest <= 0:
        tell(f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor (input numel "
             "divided by output numel).")
    return div(total, rest if rest > 0 else 0.0)


@method()
@with_out
def std(input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None) -> Tensor:
    """The standard deviation, the square root of `var`."""
    return _deviation("std", input, dim, unbiased, keepdim, correction)


@rounded_once
def _deviation(name: str, input: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: float | None) -> Tensor:
    return power(_variance(name, input, dim, unbiased, keepdim, correction), 0.5)


def power(x: Tensor, exponent: float) -> Tensor:
    """x to the power of a number other than zero, for x >= 0, with a gradient of zero where x is zero."""
    zero = x == 0
    return where(zero, 0.0 if exponent > 0 else math.inf, power_of_size(where(zero, 1, x), exponent))


@with_out
def var_mean(input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *,
             correction: float | None = None) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    dim, unbiased = _dim_and_unbiased(dim, unbiased)
    return (_variance("var_mean", input, dim, unbiased, keepdim, correction), mean(input, () if dim is None else dim, keepdim))


@with_out
def std_mean(input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *,
             correction: float | None = None) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean."""
    dim, unbiased = _dim_and_unbiased(dim, unbiased)
    return (_deviation("std_mean", input, dim, unbiased, keepdim, correction), mean(input, () if dim is None else dim, keepdim))


# --- Extremes ---------------------------------------------------------------------------------------------------------

_MaxResult, _MinResult = return_type("max"), return_type("min")


def _require_elements(name: str, input: Tensor, axes: Ints, given: Any) -> None:
    if any(input._type.shape[a] == 0 for a in axes):
        if len(axes) == input.ndim > 0 and (given is None or _is_empty(given)):
            raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
                               "dim with the 'dim' argument.")
        raise IndexError(f"{name}(): Expected reduction dim {next(a for a in axes if input._type.shape[a] == 0)} to have "
                         "non-zero size.")


@method()
@with_out_of(_EXTREME)
def amax(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The largest elements along `dim`; equal ones share the gradient evenly."""
    if keepdim is not False:
        check_keepdim("amax", keepdim)
    axes = _axes(input, dim)
    _require_elements("amax", input, axes, dim)
    require_kind("max_values_cpu", input, ORDERED)
    return wrap(reduced("reduce_max", input._read(), axes, keepdim))


def _whole_extreme(op: str, input: Tensor) -> Tensor:
    """The extreme of all elements. Unlike `amax`, it gives the gradient at NaN to the elements that are NaN."""
    _require_elements(op[-3:], input, tuple(range(input.ndim)), None)
    x = input._read()
    axes = tuple(range(input.ndim))
    if not (x.requires_grad and axes):
        return wrap(reduced(op, x, axes, False))
    extreme = reduced(op, stop_gradient(x), axes, True)
    both_nan = logical_and(isnan(input), isnan(wrap(extreme)))
    chosen = logical_or(eq(input, wrap(extreme)), both_nan)
    shared = div(sum(where(chosen, input, 0)), sum(chosen))  # evenly: no more than its gradient is used
    return wrap(with_value(shared._read(), same_shape(extreme, ())))


@method()
@with_out_of(_EXTREME)
def amin(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The smallest elements along `dim`; equal ones share the gradient evenly."""
    if keepdim is not False:
        check_keepdim("amin", keepdim)
    axes = _axes(input, dim)
    _require_elements("amin", input, axes, dim)
    require_kind("min_values_cpu", input, ORDERED)
    return wrap(reduced("reduce_min", input._read(), axes, keepdim))


def _extreme(name: str, whole: Any, arg: str, of_two: Any, result: Any) -> Any:
    @named(name, f"The {name}imum of all elements; or (values, indices) along `dim`; or of two tensors.")
    @with_out_of(CASTS, several=(EXACT,))
    def function(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        if isinstance(dim, Tensor) or other is not None:
            return of_two(input, dim if other is None else other)
        if keepdim is not False:
            check_keepdim(name, keepdim, dim)
        if dim is None:
            require_kind(f"{name}_all", input, ORDERED)
            return whole(input)
        if input.dtype.is_complex:
            raise RuntimeError(f"{name}(): does not support complex input")
        axis = checked_dim(dim, input.ndim)
        if input.ndim == 0:
            return result(input.clone(), wrap(number_value(0, dtypes.int64, (), input._device)))
        _require_elements(name, input, (axis,), True)
        indices = same_shape(OPS[arg](input._read(), axis=axis), _kept(input._type.shape, (axis,), True))
        values = take_along(input._read(), indices, axis)
        shape = _kept(input._type.shape, (axis,), keepdim)
        return result(wrap(same_shape(values, shape)), wrap(same_shape(indices, shape)))

    return method(name)(function)


def _arg(name: str) -> Any:
    @named(name, f"The index of the {name[3:]}imum (the first of equal ones), of all elements or along `dim`.")
    @with_out_of(EXACT)
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        if keepdim is not False:
            check_keepdim(name, keepdim)
        for kind, word in ((input.dtype.is_complex, "complex"), (input.dtype is dtypes.boolean, "bool")):
            if kind:
                raise RuntimeError(f"{name}(): does not support {word} input")
        x = input.reshape(-1) if dim is None or input.ndim == 0 else input
        axis = checked_dim(0 if dim is None else dim, x.ndim)
        if dim is None and not input.numel():
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        _require_elements(name, x, (axis,), True)
        result = OPS[name](x._read(), axis=axis)
        if dim is None:
            return wrap(same_shape(result, (1,) * input.ndim if keepdim else ()))
        return wrap(same_shape(result, _kept(input._type.shape, (axis,), keepdim) if input.ndim else ()))

    return method(name)(function)


argmax, argmin = _arg("argmax"), _arg("argmin")
max = _extreme("max", lambda x: _whole_extreme("reduce_max", x), "argmax", maximum, _MaxResult)
min = _extreme("min", lambda x: _whole_extreme("reduce_min", x), "argmin", minimum, _MinResult)


# --- Truth ------------------------------------------------------------------------------------------------------------


def _truth(name: str, op: str) -> Any:
    @named(name, f"Whether {name} element is true (non-zero), of the whole tensor or along `dim`.")
    @with_out_of(_TRUTH[name])
    def function(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        test = input if input.dtype is dtypes.boolean else ne(input, 0)
        axes = () if _is_empty(dim) else _axes(input, dim)  # of none it is each element's truth, unlike in sums
        result = reduced(op, test._read(), axes, keepdim)
        return wrap(cast_value(result, dtypes.uint8) if input.dtype is dtypes.uint8 else result)  # once torch's type of masks

    return method(name)(function)


all, any_ = _truth("all", "reduce_and"), _truth("any", "reduce_or")


@method()
@spelled
def count_nonzero(input: Tensor, *dims: Any, dim: Dims = None) -> Tensor:
    """How many elements are not zero, of the whole tensor or along dimensions."""
    return sum(ne(input, 0), shape_argument(dims, name="dim") if dims and dims != (None,) else dim)


@method()
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape and equal elements. Reads the value."""
    check_tensors(equal, (input, other), 2)
    return input._type.shape == other._type.shape and bool(all(input == other))


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """|input - other| <= atol + rtol * |other|, elementwise."""
    check_tensors(isclose, (input, other), 2)
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{scalar_name(input.dtype)} did not match {scalar_name(other.dtype)}")
    for name, bound in (("rtol", rtol), ("atol", atol)):
        if not bound >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {bound:g}")
    if input.dtype is dtypes.boolean:
        return input == other
    near = absolute(sub(input, other)) <= add(mul(absolute(other), rtol), atol)
    near = (near & other.isfinite()) | (input == other)
    return near | (input.isnan() & other.isnan()) if equal_nan else near


@method()
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close. Reads the value."""
    return bool(all(isclose(input, other, rtol, atol, equal_nan)))


method()(isclose)


# --- Without NaN ------------------------------------------------------------------------------------------------------


@method()
@with_out
def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """The sum of all elements, or along `dim`, with NaN counting as zero; integers sum to int64.

    >>> import flambeau as torch
    >>> torch.nansum(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    if keepdim is not False:
        check_keepdim("nansum", keepdim)
    if input.dtype.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    numbers = where(isnan(input), 0, input) if input.dtype.is_floating_point else input
    return sum(numbers, () if dim is None else dim, keepdim, dtype=dtype)


@method()
@with_out
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """The mean of the elements that are not NaN, of the whole tensor or along `dim`; NaN where there are none.

    >>> import flambeau as torch
    >>> torch.nanmean(torch.tensor([[1.0, float("nan")], [2.0, 4.0]]), dim=1)
    tensor([1., 3.])
    """
    if keepdim is not False:
        check_keepdim("nanmean", keepdim)
    if not input.dtype.is_inexact:
        raise RuntimeError("nanmean(): expected input to have floating point or complex dtype but got "
                           f"{scalar_name(input.dtype)}")
    if dtype is not None and not dtype.is_inexact:
        raise RuntimeError("nanmean(): could not infer output dtype. Optional dtype must be either a floating point or complex "
                           f"dtype. Got: {scalar_name(dtype)}")
    dim = () if dim is None else dim
    count = sum(logical_not(isnan(input)), dim, keepdim)
    return div(nansum(input, dim, keepdim, dtype=dtype), count)


# --- Both extremes ----------------------------------------------------------------------------------------------------


_Extremes = return_type("aminmax", "min max")


@method()
@with_out_of(EXACT)
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """(min, max) of all elements, or along one dimension; NaN wins both, and equal elements share the gradient evenly.

    >>> import flambeau as torch
    >>> torch.aminmax(torch.tensor([3, 1, 2])).max
    tensor(3)
    """
    if input.dtype.is_complex:
        raise NotImplementedError(f"\"aminmax_cpu\" not implemented for '{scalar_name(input.dtype)}'")
    axis = None if dim is None else checked_dim(dim, input.ndim)
    if axis is None and input.numel() == 0:
        raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
    if axis is not None and input.ndim and input._type.shape[axis] == 0:
        raise IndexError(f"aminmax: Expected reduction dim {axis} to have non-zero size.")
    return _Extremes(amin(input, axis, keepdim), amax(input, axis, keepdim))


# --- Sums of other kinds ----------------------------------------------------------------------------------------------


@method()
@with_out
@rounded_once
def logsumexp(input: Tensor, dim: int | Sequence[int], keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along `dim`, without overflow."""
    if keepdim is not False:
        check_keepdim("logsumexp", keepdim)
    x = input if input.dtype.is_inexact else input.to(Defaults.dtype)
    axes = _axes(x, dim)
    size = real(x._read()) if x.dtype.is_complex else x._read()
    top = wrap(stop_gradient(reduced("reduce_max", size, axes, True)))  # of nothing -inf
    top = where(top.isfinite(), top, 0.0)
    total = add(log(sum(exp(sub(x, top)), axes, True)), top)
    return total if keepdim else wrap(same_shape(total._read(), _kept(x._type.shape, axes, False)))


@method()
def sum_to_size(self: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """Summed to a shape that broadcasts to its own, the transpose of `expand`; itself if it has that shape.

    >>> import flambeau as torch
    >>> torch.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    if not sizes and size is None:
        raise TypeError('sum_to_size() missing 1 required positional arguments: "size"')
    wanted, shape = shape_argument(sizes, size), self._type.shape
    lead = len(shape) - len(wanted)
    if lead < 0 or any(n not in (1, m) for n, m in zip(wanted, shape[lead:])):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    if wanted == shape and shape:
        return self
    axes = [d for d, m in enumerate(shape) if d < lead or (wanted[d - lead] == 1 and m != 1)]
    return reshape(sum(self, axes, True) if axes or not shape else self, wanted)
