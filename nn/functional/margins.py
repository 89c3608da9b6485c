"""Losses of margins between classes: https://pytorch.org/docs/stable/nn.functional.html#loss-functions"""

from __future__ import annotations

from collections.abc import Callable

from ...tracer.functions.arithmetic import add, div, mul, rsub, sub
from ...tracer.functions.checks import check_range
from ...tracer.functions.choosing import clamp, minimum, where
from ...tracer.functions.comparing import logical_and, logical_not
from ...tracer.functions.cumulative import cumprod
from ...tracer.functions.operands import scalar_name, wrap
from ...tracer.functions.precision import rounded_once
from ...tracer.functions.reduce import any_, sum
from ...tracer.functions.refusals import FULL, refuse_gradients, require_kind
from ...tracer.functions.scattering import gather
from ...tracer.functions.unary import neg, square
from ...tracer.ir import dtypes
from ...tracer.ops.indexing import take
from ...tracer.tensor.tensor import Tensor
from .activation import logsigmoid
from .linear import classes_equal, pairwise_distance
from .loss import check_reduction, check_triplet, reduced, with_older_words


def _check_long(target: Tensor) -> None:
    if target.dtype is not dtypes.int64:
        raise RuntimeError(f"expected scalar type Long but found {scalar_name(target.dtype)}")


def _check_input(input: Tensor) -> None:
    if input.ndim > 2 or not all(input._type.shape[-1:]):
        raise RuntimeError("Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
                           f"{list(input.shape)}")


@with_older_words
@rounded_once
def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
                      size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """The hinge loss of classes: sum over i != t of max(0, margin - x[t] + x[i]) ** p * weight[t], divided by C.

    Args: `input` (N, C) or (C,); `target`, classes (N,), or () of one row; `p`, 1 or 2; `weight` (C,), of the classes.
    """
    check_reduction(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    refuse_gradients("multi_margin_loss", weight=weight)
    _check_input(input)
    x = input if input.ndim == 2 else input.reshape(1, -1)
    if target.ndim > 1 or target.numel() != x._type.shape[0]:
        raise RuntimeError("multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples "
                           f"(batch size). Expected target size [{x._type.shape[0]}], but got {list(target.shape)}. Input has "
                           f"shape {list(input.shape)}.")
    t, classes = target.reshape(-1), x._type.shape[1]
    if weight is not None and weight._type.shape[0] != classes:
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.shape)}")
    _check_long(target)
    check_range("multi_margin_loss", t, 0, classes, RuntimeError, "target out of range")
    require_kind("multi_margin_loss_cpu_kernel", input, FULL)
    hit = classes_equal(t, classes, 1)
    gap = add(sub(x, sum(where(hit, x, 0.0), 1, True)), margin)
    gap = where(gap > 0, gap, 0.0)  # as in torch, NaN is none
    gap = gap if p == 1 else square(gap)
    if weight is not None:
        gap = mul(gap, wrap(take(weight._read(), t._read(), 0)).unsqueeze(1))
    loss = div(sum(where(hit, 0.0, gap), 1), classes)
    return reduced(loss if target.ndim else loss.squeeze(0), reduction)


@with_older_words
@rounded_once
def multilabel_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
                           reduction: str = "mean") -> Tensor:
    """The hinge loss of sets of classes: sum of max(0, 1 - x[j] + x[i]) over j of the set and i outside, divided by C.

    Args: `input` (N, C) or (C,); `target` (N, C) or (C,), the classes of the set, up to the first -1.
    """
    check_reduction(reduction)
    _check_input(input)
    if target._type.shape != input._type.shape:
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    x, t = (input, target) if input.ndim == 2 else (input.reshape(1, -1), target.reshape(1, -1))
    classes = x._type.shape[1]
    require_kind("multilabel_margin_loss_forward_out_frame", input, FULL)
    _check_long(target)
    check_range("multilabel_margin_loss", t, -1, classes, RuntimeError, "argument #2 'target' is out of range")
    valid = cumprod((t >= 0).to(dtypes.int64), 1) > 0
    label = where(valid, t, 0)
    inside = any_(logical_and(classes_equal(label, classes, 2), valid.unsqueeze(2)), 1)  # (N, C)
    gap = add(x.unsqueeze(1), rsub(gather(x, 1, label).unsqueeze(2), 1))  # (N, the set, C), rounded as in torch
    counted = logical_and(valid.unsqueeze(2), logical_not(inside).unsqueeze(1))
    loss = div(sum(where(logical_and(counted, gap > 0), gap, 0.0), (1, 2)), classes)  # as in torch, NaN is none
    return reduced(loss if input.ndim == 2 else loss.squeeze(0), reduction)


@with_older_words
@rounded_once
def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                size_average: bool | None = None, reduce: bool | None = None,
                                reduction: str = "mean") -> Tensor:
    """Binary cross entropy of the sigmoid of each class, averaged over the classes, weighted by `weight` (C,)."""
    loss = neg(add(mul(target, logsigmoid(input)), mul(1 - target, logsigmoid(neg(input)))))
    loss = loss if weight is None else mul(loss, weight)
    classes = input.ndim - 1
    return reduced(div(sum(loss, classes), input.size(classes)), reduction)


def triplet_margin_with_distance_loss(anchor: Tensor, positive: Tensor, negative: Tensor, *,
                                      distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
                                      margin: float = 1.0, swap: bool = False, reduction: str = "mean") -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) for any distance d; `swap` takes d(p, n) if it is smaller than d(a, n)."""
    check_reduction(reduction)
    check_triplet(anchor, positive, negative, margin)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp(add(sub(near, far), margin), min=0), reduction)
