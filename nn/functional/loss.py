"""Losses: https://pytorch.org/docs/stable/nn.functional.html#loss-functions"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ...tracer.functions.activation import check_real, log_softmax
from ...tracer.functions.arithmetic import add, div, mul, sub
from ...tracer.functions.checks import check_none, check_range
from ...tracer.functions.choosing import clamp, where
from ...tracer.functions.defaults import Defaults
from ...tracer.functions.dims import checked_dim, whole_place
from ...tracer.functions.layout import in_pieces
from ...tracer.functions.methods import CASTS, check_shape
from ...tracer.functions.operands import float_kind, number_value, scalar_name, wrap
from ...tracer.functions.precision import fitting, rounded_once
from ...tracer.functions.reduce import amax, mean, sum
from ...tracer.functions.refusals import not_implemented, refuse_gradients, require_kind
from ...tracer.functions.special import xlogy
from ...tracer.functions.unary import exp, log, log1p, neg, sqrt, square
from ...tracer.ir import dtypes
from ...tracer.ir.told import tell
from ...tracer.ops.indexing import take
from ...tracer.tensor.scalar import real
from ...tracer.tensor.tensor import Tensor
from .activation import logsigmoid, softplus
from .linear import classes_equal, pairwise_distance

F = TypeVar("F", bound=Callable[..., Any])


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of the elements, or all of them (`none`)."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    if reduction == "elementwise_mean":
        tell("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.")
        return mean(loss)
    check_reduction(reduction)
    return loss


def check_reduction(reduction: str) -> None:
    """torch's ValueError for another word than none, mean and sum."""
    if reduction not in ("none", "mean", "elementwise_mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def older_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that torch's older two words mean, with its warning; `reduction` if neither is given."""
    if size_average is None and reduce is None:
        return reduction
    average, reduced = (True if given is None else bool(given) for given in (size_average, reduce))  # of a tensor: an error
    meant = "mean" if average and reduced else "sum" if reduced else "none"
    tell("size_average and reduce args will be deprecated, please use "
         f"reduction='{meant}' instead.")
    return meant


def with_older_words(function: F) -> F:
    """Let `size_average` and `reduce` say the reduction; a call without them costs one look at its arguments."""
    known = inspect.signature(function)
    first = list(known.parameters).index("size_average")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) <= first and "size_average" not in kwargs and "reduce" not in kwargs:
            return function(*args, **kwargs)
        bound = known.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        given["reduction"] = older_reduction(given["size_average"], given["reduce"], given["reduction"])
        return function(*bound.args, **bound.kwargs)

    return call  # type: ignore[return-value]


# --- Classes ----------------------------------------------------------------------------------------------------------


@with_older_words
def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
                  ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """-log softmax(input) at the target class (or weighted by target probabilities).

    Arguments: input (N, C), (C) or (N, C, d1, ...); target: classes as integers (N, d1, ...), or probabilities in the
    shape of input. The mean is over the classes' weights, without targets equal to `ignore_index`. A class
    that there is not is an IndexError, when it is known.
    """
    if label_smoothing > 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    dim = 0 if input.ndim == 1 else 1
    soft = target._type.shape == input._type.shape
    if not soft and not label_smoothing > 0.0:
        target = _of_one_sample(input, target)
    if soft and not target.dtype.is_floating_point:
        raise RuntimeError(f"Expected floating point type for target with class probabilities, got {scalar_name(target.dtype)}\n"
                           f"(classes as integers have the shape {[*input.shape[:dim], *input.shape[dim + 1:]]})")
    check_real("log_softmax", input, checked_dim(dim, input.ndim))
    x = input.to(dtypes.float32) if input.dtype.itemsize < 4 else input
    ignore_index = whole_place(ignore_index, "ignore_index")
    if soft:
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        _check_weight_of_classes(input, weight, input._type.shape[dim], "cross_entropy: ")
        loss = _soft_cross_entropy(x, target, weight, reduction, label_smoothing, dim)
        return loss.to(functools.reduce(dtypes.promote_types, [t.dtype for t in (input, target, weight) if t is not None]))
    _check_classes("cross_entropy", input, target, weight, dim, ignore_index)
    shifted = sub(x, amax(x, dim, True).detach()) if x._type.shape[dim] else x
    total = log(sum(exp(shifted), dim))
    # log softmax at one class is its shifted input minus the log of the sum: only one number per row is formed
    chosen = sub(_at_class(shifted, target, dim), total)
    if not label_smoothing > 0.0:  # below 0, too, as in torch
        return _weighted_nll(chosen, target, weight, ignore_index, reduction).to(input.dtype)
    smooth = sub(shifted, total.unsqueeze(dim))
    smooth = sum(smooth if weight is None else mul(smooth, _along(weight, input.ndim, dim)), dim)
    loss = _weighted_nll(chosen, target, weight, ignore_index, "none")
    return _smoothed(loss, smooth, target, weight, ignore_index, reduction, label_smoothing,
                     input._type.shape[dim]).to(input.dtype)


CLASSES = (dtypes.int64, dtypes.uint8)  # the types that numbers of classes come in


def _of_one_sample(input: Tensor, target: Tensor) -> Tensor:
    """The target of an input (C,), which may be in a vector of one; torch's ValueError for a vector of another size."""
    if input.ndim != 1 or target.ndim != 1 or target.dtype not in CLASSES:
        return target
    size = target._type.shape[0]
    if size != 1:
        raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {size}")
    return target.reshape(())


def _check_classes(name: str, input: Tensor, target: Tensor, weight: Tensor | None, dim: int, ignore_index: int) -> None:
    refuse_gradients("nll_loss_forward" if input.ndim < 3 else "nll_loss2d_forward", weight=weight)
    if not input.ndim:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    wanted = (*input._type.shape[:dim], *input._type.shape[dim + 1:])
    if target._type.shape != wanted:
        batch = target._type.shape[0] if target.ndim else 0
        if input.ndim > 1 and batch != input._type.shape[0]:
            raise ValueError(f"Expected input batch_size ({input._type.shape[0]}) to match target batch_size ({batch}).")
        text = "0D or 1D target tensor expected, multi-target not supported" if input.ndim < 3 else \
            f"Expected target size {list(wanted)}, got {list(target.shape)}"
        raise RuntimeError(f"{text}\n{name} requires a target of shape {list(wanted)} for an input of shape {list(input.shape)}")
    if target.dtype not in CLASSES:
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {scalar_name(target.dtype)}\n{name} requires "
                           "integer class targets of shape (N, d1, ...), or probabilities in the shape of the input, got "
                           f"{list(target.shape)} for {list(input.shape)}")
    classes = input._type.shape[dim]
    _check_weight_of_classes(input, weight, classes)
    if input.ndim > 2 and target.dtype is dtypes.uint8:
        raise RuntimeError("expected scalar type Long but found Byte")
    check_range(name, target, 0, classes, IndexError, "Target {value} is out of bounds.", ignore_index)


def _check_weight_of_classes(input: Tensor, weight: Tensor | None, classes: int, name: str = "") -> None:
    if weight is None:
        return
    if weight._type.shape != (classes,):
        raise RuntimeError("weight tensor should be defined either for all or no classes" if input.ndim > 2 and not name else
                           f"{name}weight tensor should be defined either for all {classes} classes or no classes but got weight "
                           f"tensor of shape: {list(weight.shape)}")
    if weight.dtype is not input.dtype and not name:
        raise RuntimeError(f"expected scalar type {scalar_name(input.dtype)} but found {scalar_name(weight.dtype)}")


def _at_class(x: Tensor, target: Tensor, dim: int) -> Tensor:
    """x at the target's class along `dim`. Compared and summed, since the gradient of a gather is a slow scatter."""
    hit = classes_equal(target, x._type.shape[dim], dim)
    return sum(where(hit, x, 0.0), dim)


def _along(weight: Tensor, ndim: int, dim: int) -> Tensor:
    return weight.reshape(-1, *(1,) * (ndim - 1 - dim))


def _class_weights(target: Tensor, weight: Tensor | None, ignore_index: int, kind: Any) -> Tensor:
    """The weight of each target's class, 0 where it is ignored."""
    counted = target != ignore_index
    if weight is None:
        return counted.to(kind)
    return where(counted, wrap(take(weight._read(), where(counted, target, 0).to(dtypes.int64)._read(), 0)), 0.0)


def _weighted_nll(chosen: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    weights = _class_weights(target, weight, ignore_index, chosen.dtype)
    # chosen is masked itself: infinite log probabilities of ignored targets must not become NaN
    loss = neg(mul(where(target != ignore_index, chosen, 0.0), weights))
    if reduction == "mean":
        return div(sum(loss), sum(weights))
    return reduced(loss, reduction)


def _smoothed(loss: Tensor, smooth: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str,
              label_smoothing: float, classes: int) -> Tensor:
    """(1 - s) * loss + s / C * (minus the sum of all log probabilities)."""
    spread = neg(where(target != ignore_index, smooth, 0.0))
    both = add(mul(loss, 1 - label_smoothing), mul(spread, label_smoothing / classes))
    if reduction == "mean":
        return div(sum(both), sum(_class_weights(target, weight, ignore_index, loss.dtype)))
    return reduced(both, reduction)


def _soft_cross_entropy(x: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float,
                        dim: int) -> Tensor:
    if label_smoothing > 0:
        target = add(mul(target, 1 - label_smoothing), label_smoothing / x._type.shape[dim])
    logs = log_softmax(x, dim)
    if weight is not None:
        logs = mul(logs, _along(weight, x.ndim, dim))
    loss = neg(sum(mul(logs, target), dim))
    if reduction == "mean":
        return div(sum(loss), loss.numel())
    return reduced(loss, reduction)


@with_older_words
@rounded_once
def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
             ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """-input at the target class: cross entropy of what are log probabilities already."""
    dim = 0 if input.ndim == 1 else 1
    ignore_index = whole_place(ignore_index, "ignore_index")
    target = _of_one_sample(input, target)
    _check_classes("nll_loss", input, target, weight, dim, ignore_index)
    require_kind("nll_loss_out_frame", input)
    return _weighted_nll(_at_class(in_pieces(input), target, dim), target, weight, ignore_index, reduction)


def _check_size(input: Tensor, target: Tensor, name: str) -> None:
    if target._type.shape != input._type.shape:
        raise ValueError(f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
                         "deprecated. Please ensure they have the same size." if name == "bce" else
                         f"Target size ({target.shape}) must be the same as input size ({input.shape})")


@with_older_words
@rounded_once
def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
                         reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """-(t * log(p) + (1 - t) * log(1 - p)), with logarithms not below -100."""
    _check_size(input, target, "bce")
    refuse_gradients("binary_cross_entropy", weight=weight)
    if target.dtype is not input.dtype:
        raise RuntimeError(f"Found dtype {scalar_name(target.dtype)} but expected {scalar_name(input.dtype)}")
    if not input.dtype.is_floating_point:
        raise not_implemented("binary_cross_entropy", input.dtype)
    check_none("binary_cross_entropy", ~((input >= 0) & (input <= 1)), RuntimeError,
               "all elements of input should be between 0 and 1", input.detach(), "{value}")
    check_none("binary_cross_entropy", ~((target >= 0) & (target <= 1)), RuntimeError,
               "all elements of target should be between 0 and 1", target.detach(), "{value}")
    certain = mul(input, 1 - input).detach() < 1e-12
    x = where(certain, 0.5, input)
    loss = neg(add(mul(target, log(x)), mul(1 - target, log1p(neg(x)))))
    loss = where(certain, _certain_loss(input, target), loss)
    return reduced(loss if weight is None else mul(loss, weight), reduction)


def _certain_loss(input: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy at probabilities of 0 and 1, with torch's gradient (p - t) / 1e-12 there."""
    p = input.detach()
    yes, no = clamp(log(p), min=-100), clamp(log1p(neg(p)), min=-100)
    value = neg(add(mul(target, yes), mul(1 - target, no)))
    return add(value, mul(sub(input, p), div(sub(p, target.detach()), 1e-12)))


@with_older_words
def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     size_average: bool | None = None, reduce: bool | None = None,
                                     reduction: str = "mean", pos_weight: Tensor | None = None) -> Tensor:
    """Binary cross entropy of sigmoid(input): (1 - t) * x - log(sigmoid(x)), positives weighted by `pos_weight`.

    The loss has the dtype of the target, in which torch sums it up.
    """
    _check_size(input, target, "logits")
    refuse_gradients("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    logs = logsigmoid(input)
    CASTS.check(target.dtype, dtypes.promote_types(input.dtype, target.dtype))
    if pos_weight is not None:
        logs = mul(logs, add(mul(sub(pos_weight, 1), target), 1))
    loss = sub(mul(1 - target, input), logs)
    loss = loss if weight is None else mul(loss, weight)
    return reduced(loss if loss.dtype is target.dtype else loss.to(target.dtype), reduction)


@with_older_words
def kl_div(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
           reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target * (log(target) - input), for log probabilities as input; `batchmean` divides the sum by the batch."""
    for refused, what in ((input.dtype.is_complex or target.dtype.is_complex, "Complex"),
                          (not (input.dtype.is_inexact and target.dtype.is_inexact), "Integral")):
        if refused:
            raise RuntimeError(f"kl_div: {what} inputs not supported.")
    if reduction == "mean":
        tell("reduction: 'mean' divides the total loss by both the batch size and the support size. The divergence is that of "
             "'batchmean', which divides by the batch size alone.")
    if log_target:
        loss = mul(exp(target), sub(target, input))
    else:
        loss = sub(xlogy(target, target), mul(target, input))  # of a negative target NaN
    if reduction == "batchmean":
        return div(sum(loss), input._type.shape[0]) if input.ndim else sum(loss)
    return reduced(loss, reduction)


# --- Distributions and distances --------------------------------------------------------------------------------------


@with_older_words
def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool = True, full: bool = False,
                     size_average: bool | None = None, eps: float = 1e-8, reduce: bool | None = None,
                     reduction: str = "mean") -> Tensor:
    """exp(x) - t * x, or x - t * log(x + eps); `full` adds Stirling's term."""
    loss = sub(exp(input), mul(target, input)) if log_input else sub(input, mul(target, log(add(input, eps))))
    if full:
        safe = where(target > 1, target, 1.0)
        stirling = add(sub(mul(safe, log(safe)), target), mul(log(mul(safe, 6.283185307179586)), 0.5))
        loss = add(loss, where(target > 1, stirling, 0.0)).to(loss.dtype)
    return reduced(loss, reduction)


def gaussian_nll_loss(input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6,
                      reduction: str = "mean") -> Tensor:
    """(log(var) + (x - t) ** 2 / var) / 2, with var not below eps; `full` adds log(2 pi) / 2."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    spread = var if isinstance(var, Tensor) else mul(add(mul(input.detach(), 0), 1), var)
    check_none("gaussian_nll_loss", spread < 0, ValueError, "var has negative entry/entries", spread.detach(), "{value}")
    if spread._type.shape != input._type.shape:
        if spread._type.shape == input._type.shape[:-1]:
            spread = spread.unsqueeze(-1)
        elif spread.ndim != input.ndim or [n for n, m in zip(spread._type.shape, input._type.shape) if n != m] != [1]:
            raise ValueError("var is of incorrect size")
    if not spread.dtype.is_inexact:  # torch clamps a copy of it in place
        CASTS.check(spread.dtype, Defaults.dtype)
    safe = add(sub(spread, spread.detach()), clamp(spread.detach(), min=eps))  # the clamp has no part in the gradient
    loss = mul(add(log(safe), div(square(sub(input, target)), safe)), 0.5)
    return reduced(add(loss, 0.9189385332046727) if full else loss, reduction)


@with_older_words
def soft_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
                     reduction: str = "mean") -> Tensor:
    """log(1 + exp(-t * x)) for targets of 1 and -1; of the shape and the dtype of x."""
    refuse_gradients("soft_margin_loss", target=target)
    exponent = mul(neg(input), target)
    check_shape(input, exponent._type.shape)
    for kind in (exponent.dtype, float_kind(input)):
        CASTS.check(input.dtype, kind)
    exponent = exponent.to(input.dtype)
    loss = log(add(exp(exponent), 1)) if exponent.dtype.is_complex else softplus(exponent, threshold=float("inf"))
    return reduced(loss, reduction)


@with_older_words
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, size_average: bool | None = None,
                         reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1."""
    edge = wrap(number_value(fitting(margin, input.dtype), input.dtype, (), input._device))  # in the dtype of the input
    apart = clamp(sub(edge, input), min=0)
    return reduced(add(where(target != 1, apart, 0), where(target != -1, input, 0)), reduction)


@with_older_words
def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                        size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Tensor:
    """max(0, -t * (x1 - x2) + margin)."""
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError("margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
                           f"{input1.shape}, input2: {input2.shape}, target: {target.shape} ")
    return reduced(clamp(add(mul(neg(target), sub(input1, input2)), real(margin)), min=0), reduction)


@with_older_words
@rounded_once
def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                          size_average: bool | None = None, reduce: bool | None = None,
                          reduction: str = "mean") -> Tensor:
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1. Squared lengths have 1e-12 added, for zeros."""
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if not input1.ndim == input2.ndim == target.ndim + 1:
        raise RuntimeError(f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with sizes "
                           f"{list(input1.shape)} and {list(input2.shape)}.")
    squares = [add(sum(square(x), -1), 1e-12) for x in (input1, input2)]
    cosine = div(sum(mul(input1, input2), -1), sqrt(mul(*squares)))
    loss = where(target == 1, 1 - cosine, where(target == -1, clamp(sub(cosine, margin), min=0), 0.0))
    return reduced(loss, reduction)


def check_triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> None:
    """torch's errors for a margin that is not positive, and for inputs of several numbers of dimensions."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError("The anchor, positive, and negative tensors are expected to have the same number of dimensions, but "
                           f"got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs")


@with_older_words
def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2,
                        eps: float = 1e-6, swap: bool = False, size_average: bool | None = None,
                        reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """max(0, |a - p| - |a - n| + margin); `swap` takes |p - n| if it is smaller than |a - n|."""
    check_triplet(anchor, positive, negative, margin)
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return reduced(clamp(add(sub(near, far), margin), min=0), reduction)
