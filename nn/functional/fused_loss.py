"""A projection and its cross entropy: https://pytorch.org/docs/stable/generated/torch.nn.functional.linear_cross_entropy.html"""

from __future__ import annotations

from typing import Any

from ...tracer.functions.linear import sums_of
from ...tracer.functions.shape import flatten, reshape
from ...tracer.ir import dtypes
from ...tracer.ir.told import tell
from ...tracer.tensor.tensor import Tensor
from .linear import linear, projected
from .loss import cross_entropy


def linear_cross_entropy(input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None,
                         weight: Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
                         label_smoothing: float = 0.0, options: Any = None) -> Tensor:
    """cross_entropy(linear(input, linear_weight, linear_bias), target).

    Args: `input` (N, I) or (I,); `linear_weight` (C, I), or (C, *, I) for classes at several places; `target`, classes (N, *)
    or probabilities (N, C, *); `linear_bias` (C, *); the rest as for `cross_entropy`. `options` say how torch splits the
    batch to save memory: they are accepted and do not change the program, which XLA fuses.
    Raises RuntimeError for shapes that do not fit.

    >>> import flambeau as torch
    >>> torch.nn.functional.linear_cross_entropy(torch.ones(2, 3), torch.zeros(4, 3), torch.tensor([0, 1]))
    tensor(1.3863)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.linear_cross_entropy.html
    """
    shape = _logits_shape(input, linear_weight, linear_bias)
    if target._type.shape == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    pieces = options is not None
    if pieces and (len(shape) > input.ndim or label_smoothing or target.dtype is not dtypes.int64):
        pieces = False
        tell("linear_cross_entropy: ``options`` ignored; they need label_smoothing == 0, classes as int64, and one "
             "class for each input")
    bias = None if linear_bias is None else flatten(linear_bias)
    matrix = flatten(linear_weight, 0, -2)
    wide = sums_of(input.dtype) if pieces and input.dtype is matrix.dtype else None  # torch rounds pieces at the end alone
    logits = linear(input, matrix, bias) if wide is None else projected(input._read(), matrix._read(), bias, wide)
    loss = cross_entropy(reshape(logits, shape), target, weight=weight.to(wide) if weight is not None and wide else weight,
                         ignore_index=-100 if ignore_index is None else ignore_index, reduction=reduction,
                         label_smoothing=label_smoothing)
    return loss if wide is None else loss.to(input.dtype)


def _logits_shape(input: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[int, ...]:
    """The shape of the logits; torch's RuntimeErrors for operands that do not fit."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if weight.ndim < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {weight.ndim}")
    given, wanted = input._type.shape[-1], weight._type.shape[-1]
    if given != wanted:
        raise RuntimeError("expected equal input and linear_weight last dimensions (in_features), got "
                           f"{given} and {wanted}, respectively")
    outputs = weight._type.shape[:-1]
    if bias is not None and bias._type.shape != outputs:
        raise RuntimeError(f"expected linear_bias shape {outputs}, got {tuple(bias.shape)}")
    if len(outputs) > 1 and input.ndim == 1:
        raise RuntimeError(f"K-dimensional loss defined by linear_weight shape {tuple(weight.shape)} requires batched input, "
                           f"(N, {given}), got unbatched input with shape {tuple(input.shape)}")
    return (*input._type.shape[:-1], *outputs)
