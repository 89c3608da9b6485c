"""More losses as modules, of margins, sequences and many classes: https://pytorch.org/docs/stable/nn.html#loss-functions"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from ..tracer.ir import dtypes
from ..tracer.ir.told import tell
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .linear import Linear
from .loss import NLLLoss, _Loss, _WeightedLoss


class MultiMarginLoss(_WeightedLoss):
    """The hinge loss of classifiers: the score of the true class should be above the others by a margin.

    loss = sum over i != t of weight[t] * max(0, margin - x[t] + x[i]) ** p / C

    Args: `p`, 1 or 2; `margin`; `weight` (C,), of the classes; `reduction`, "mean", "sum" or "none"; `size_average` and
    `reduce`, torch's older words for `reduction`. Takes (N, C) or (C,) and classes (N,) or (). ValueError for another p.

    >>> import flambeau as torch
    >>> torch.nn.MultiMarginLoss()(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([3]))
    tensor(0.3250)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html
    """

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, size_average: bool | None = None,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.ndim != 1:
            raise ValueError(f"weight must be None or 1-dimensional, got {weight.ndim}-dimensional")
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """The hinge loss of sets of classes: each class of the set should score above all others by 1.

    loss = sum over j in the set, i outside of max(0, 1 - x[j] + x[i]) / C

    Args: `reduction`, "mean", "sum" or "none"; `size_average` and `reduce`, torch's older words for it. Takes (N, C) or (C,),
    and classes in the same shape, a set being what comes before the first -1.

    >>> import flambeau as torch
    >>> torch.nn.MultiLabelMarginLoss()(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Binary cross entropy of each class, averaged over the classes.

    loss = -sum over c of weight[c] * (t[c] * log(sigmoid(x[c])) + (1 - t[c]) * log(1 - sigmoid(x[c]))) / C

    Args: `weight` (C,), of the classes; `reduction`, "mean", "sum" or "none"; `size_average` and `reduce`, torch's older
    words for it. Takes scores (N, C) and targets of 0 and 1 in the same shape.

    >>> import flambeau as torch
    >>> torch.nn.MultiLabelSoftMarginLoss()(torch.zeros(1, 3), torch.ones(1, 3))  # log(2): it knows nothing
    tensor(0.6931)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html
    """

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(weight, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """Pulls an anchor nearer to a positive than to a negative by a margin, in any distance.

    loss = max(0, d(a, p) - d(a, n) + margin)

    Args: `distance_function`, of two tensors, the Euclidean one by default; `margin`; `swap`, whether d(p, n) counts where
    it is smaller than d(a, n); `reduction`, "mean", "sum" or "none". Takes (N, D) three times. ValueError for a margin that
    is not positive.

    >>> import flambeau as torch
    >>> loss = torch.nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().sum(-1))
    >>> loss(torch.zeros(1, 2), torch.ones(1, 2), 4 * torch.ones(1, 2))
    tensor(0.)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.TripletMarginWithDistanceLoss.html
    """

    def __init__(self, *, distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
                 swap: bool = False, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: expected margin to be greater than 0, got {margin} instead")
        self.distance_function = F.pairwise_distance if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss."""
        return F.triplet_margin_with_distance_loss(anchor, positive, negative, distance_function=self.distance_function,
                                                   margin=self.margin, swap=self.swap, reduction=self.reduction)


class CTCLoss(_Loss):
    """How improbable a sequence of labels is, for models that give a distribution at every step of a longer sequence.

    loss = -log(sum over alignments a of the product of probs[t, a[t]])

    Args: `blank`, the class that stands for no label; `reduction`, "mean" (divided by the target's length first), "sum" or
    "none"; `zero_infinity`, whether the loss of targets that do not fit is 0. Takes log probabilities (T, N, C), targets
    (N, S) or one after the other, and the lengths (N,) of both. RuntimeError for lengths that do not fit.

    >>> import flambeau as torch
    >>> scores = torch.zeros(2, 1, 3).log_softmax(-1)
    >>> torch.nn.CTCLoss()(scores, torch.tensor([[1]]), (2,), (1,))
    tensor(1.0986)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        """The loss."""
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)


class NLLLoss2d(NLLLoss):
    """`NLLLoss` under its old name for images."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        tell("`NLLLoss2d` has been deprecated. Please use `NLLLoss` instead as a drop-in replacement.", FutureWarning)
        super().__init__(*args, **kwargs)


@dataclasses.dataclass
class LinearCrossEntropyOptions:
    """How torch splits the batch of `LinearCrossEntropyLoss` to save memory; accepted here, where XLA decides.

    Raises ValueError for values that torch does not know.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LinearCrossEntropyOptions.html
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("accurate", "balanced", "compact", "auto"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        name, colon, factor = (self.chunking_method or "auto").partition(":")
        if name != "auto" and not (name == "aspect_ratio" and (not colon or (factor.isdigit() and int(factor)))):
            raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        kinds = (None, dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)
        if not any(self.acc_dtype is kind for kind in kinds):
            raise ValueError(f"acc_dtype must be None or a floating dtype, got {self.acc_dtype!r}")


class LinearCrossEntropyLoss(_Loss):
    """A linear layer and the cross entropy of its results in one, as at the end of language models.

    loss = cross_entropy(x @ weight.T + bias, t)

    Args: `in_features`; `num_classes`; `out_features`, the places that each have a class; `bias`; `device` and `dtype`, of the
    parameters; `reduction`, `weight` (num_classes,), `ignore_index` and `label_smoothing` as for `CrossEntropyLoss`;
    `options`, a `LinearCrossEntropyOptions`. Takes (N, in_features), and classes (N, *out_features) or probabilities (N,
    num_classes, *out_features). Raises RuntimeError for weights of another size.

    >>> import flambeau as torch
    >>> torch.nn.LinearCrossEntropyLoss(3, 5)(torch.ones(2, 3), torch.tensor([0, 4])).shape
    torch.Size([])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LinearCrossEntropyLoss.html
    """

    def __init__(self, in_features: int, num_classes: int, *, out_features: Sequence[int] = (), bias: bool = False,
                 device: Any = None, dtype: Any = None, reduction: str = "mean", weight: Tensor | None = None,
                 ignore_index: int | None = None, label_smoothing: float = 0.0,
                 options: LinearCrossEntropyOptions | None = None) -> None:
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.num_classes, self.out_features = num_classes, out_features
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options
        self.linear = Linear(in_features, num_classes * math.prod(out_features), bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        outputs = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input, self.linear.weight.reshape(*outputs, -1), target, linear_bias=None if bias is None else bias.reshape(outputs),
            weight=self.weight, reduction=self.reduction, ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing, options=self.options)

    def extra_repr(self) -> str:
        return (f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
                f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
                f"label_smoothing={self.label_smoothing}, options={self.options!r}")
