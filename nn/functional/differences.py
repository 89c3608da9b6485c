"""Losses of the difference between an input and its target: squares, absolute values, and both."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ...tracer.functions.arithmetic import div, mul, sub
from ...tracer.functions.choosing import where
from ...tracer.functions.comparing import logical_not
from ...tracer.functions.methods import CASTS
from ...tracer.functions.precision import rounded_once
from ...tracer.functions.reduce import sum
from ...tracer.functions.refusals import not_implemented
from ...tracer.functions.unary import abs as absolute
from ...tracer.functions.unary import square
from ...tracer.ir import dtypes
from ...tracer.ir.dtypes import dtype
from ...tracer.ir.told import tell
from ...tracer.tensor.tensor import Tensor
from .loss import reduced, with_older_words

F = TypeVar("F", bound=Callable[..., Any])


def of_one_dtype(kernel: str) -> Callable[[F], F]:
    """Give a function of input and target both in the dtype that they promote to, which must be a floating one.

    As two tensors of one shape: torch expands them first, so that one without dimensions counts as much as the other.
    """

    def give(function: F) -> F:
        @functools.wraps(function)
        def call(input: Tensor, target: Any, *args: Any, **kwargs: Any) -> Any:
            kind = _common_dtype(input, target)
            if not kind.is_floating_point:
                raise not_implemented(kernel, kind)
            if input._type.dtype is not target._type.dtype:
                input, target = input.to(kind), target.to(kind)
            return function(input, target, *args, **kwargs)

        return call  # type: ignore[return-value]

    return give


def _common_dtype(input: Tensor, target: Any) -> dtype:
    """The dtype that tensors of one shape promote to; torch's error for a target that is no tensor."""
    if not isinstance(target, Tensor):
        raise AttributeError(f"'{type(target).__name__}' object has no attribute 'size'\n(a loss requires a tensor as target)")
    return dtypes.promote_types(input._type.dtype, target._type.dtype)


@with_older_words
@of_one_dtype("mse_cpu")
@rounded_once
def mse_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
             reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x - t) ** 2."""
    _tell_sizes(input, target)
    if weight is not None:
        _check_weight(weight, input)
    loss = square(sub(input, target))
    if weight is None:
        return reduced(loss, reduction)
    if reduction == "mean":
        return div(sum(mul(loss, weight)), sum(weight))
    return reduced(mul(loss, weight), reduction)


@with_older_words
def l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
            reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x - t|, times `weight` of the input's shape; the mean is then one over the weights."""
    _tell_sizes(input, target)
    kind, difference = _common_dtype(input, target), sub(input, target)
    loss = absolute(difference if difference.dtype is kind else sub(input.to(kind), target.to(kind)))
    if weight is None:
        return reduced(loss, reduction)
    _check_weight(weight, input)
    if reduction == "mean":
        return div(sum(mul(loss, weight)), sum(weight))
    return reduced(mul(loss, weight), reduction)


def _tell_sizes(input: Tensor, target: Tensor) -> None:
    """torch's warning for a target that is broadcast, which is hardly ever meant: (N, 1) beside (N,) gives (N, N)."""
    if input._type.shape != target._type.shape:
        tell(f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will likely lead "
             "to incorrect results due to broadcasting. Please ensure they have the same size.")


def _check_weight(weight: Tensor, input: Tensor) -> None:
    if weight._type.shape != input._type.shape:
        raise ValueError("Weights and input must have the same size.")


@with_older_words
def smooth_l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
                   reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d ** 2 / (2 * beta) for |d| < beta, else |d| - beta / 2."""
    if not beta >= 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    _tell_sizes(input, target)
    return _smooth_l1(input, target, reduction, beta)


@of_one_dtype("smooth_l1_cpu")
@rounded_once
def _smooth_l1(input: Tensor, target: Tensor, reduction: str, beta: float) -> Tensor:
    difference = sub(input, target)
    distance = absolute(difference)
    near = logical_not(distance >= beta)  # only a near distance is squared: the gradient of an infinite one would be NaN
    loss = where(near, mul(square(where(near, difference, 0.0)), 0.5 / beta), sub(distance, 0.5 * beta))
    return reduced(loss, reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
               weight: Tensor | None = None) -> Tensor:
    """d ** 2 / 2 for |d| <= delta, else delta * (|d| - delta / 2); times `weight` of the input's shape.

    The loss has the dtype of the input, which must hold what it promotes to with the target.
    """
    if not delta > 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _tell_sizes(input, target)
    kind = _common_dtype(input, target)
    CASTS.check(input.dtype, kind)
    loss = _huber(input, target, reduction, delta, weight)
    if kind is input.dtype:
        return loss
    return loss.to(input.dtype if weight is None else dtypes.promote_types(input.dtype, weight.dtype))


@of_one_dtype("huber_cpu")
@rounded_once
def _huber(input: Tensor, target: Tensor, reduction: str, delta: float, weight: Tensor | None) -> Tensor:
    difference = sub(input, target)
    distance = absolute(difference)
    near = logical_not(distance >= delta)
    far = sub(where(near, 0.0, distance), 0.5 * delta)  # by a delta of inf the gradient of what is near would be NaN
    loss = where(near, mul(square(where(near, difference, 0.0)), 0.5), mul(far, delta))
    if weight is not None:
        _check_weight(weight, input)
        loss = mul(loss, weight)
    return reduced(loss, reduction)
