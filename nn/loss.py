"""Losses as modules: https://pytorch.org/docs/stable/nn.html#loss-functions"""

from __future__ import annotations

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .functional.loss import older_reduction
from .module import Module


class _Loss(Module):
    """`reduction` is `mean`, `sum` or `none`; `size_average` and `reduce` are torch's older words for it."""

    reduction: str

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = older_reduction(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    """A loss with a buffer `weight`, a tensor or None."""

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """The loss of classifiers: how surprised the model is by the true class, from scores that need no normalisation.

    loss[n] = -weight[t[n]] * log(softmax(x[n])[t[n]]), or -sum over c of weight[c] * t[n, c] * log(softmax(x[n])[c])

    Args: `weight` (C,), of the classes; `ignore_index`, targets of this number count for nothing; `reduction`, "mean"
    (divided by the weights of the targets), "sum" or "none"; `label_smoothing`, the share of the target that is spread
    over all classes; `size_average` and `reduce`, torch's older words for `reduction`.
    Takes scores (N, C), (C,) or (N, C, *), and classes (N,), (), (N, *) as integers, or probabilities in the shape of
    the scores.
    Returns a number, or losses in the shape of the classes. Raises ValueError or RuntimeError for shapes that do not
    fit.

    >>> import flambeau as torch
    >>> torch.nn.CrossEntropyLoss()(torch.zeros(3, 10), torch.tensor([1, 2, 3]))  # log(10): it knows nothing
    tensor(2.3026)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.cross_entropy(input, target, weight=self.weight, ignore_index=self.ignore_index,
                               label_smoothing=self.label_smoothing, reduction=self.reduction)


class NLLLoss(_WeightedLoss):
    """The negative log likelihood of the true classes, for models that give log probabilities.

    loss[n] = -weight[t[n]] * x[n, t[n]]

    Args: `weight` (C,), of the classes; `ignore_index`, targets of this number count for nothing; `reduction`, "mean"
    (divided by the weights of the targets), "sum" or "none"; `size_average` and `reduce`, torch's older words for
    `reduction`.
    Takes log probabilities (N, C), (C,) or (N, C, *), and classes (N,), () or (N, *) as integers.
    Returns a number, or losses in the shape of the classes. Raises ValueError or RuntimeError for shapes that do not
    fit.

    >>> import flambeau as torch
    >>> torch.nn.NLLLoss()(torch.tensor([[-0.5, -1.0], [-2.0, -0.25]]), torch.tensor([0, 1]))
    tensor(0.3750)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    """

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index,
                          reduction=self.reduction)


class BCELoss(_WeightedLoss):
    """Binary cross entropy: how surprised a model is by yes or no, from its probability of yes.

    loss = -weight * (t * log(x) + (1 - t) * log(1 - x)), where logarithms are at least -100

    Args: `weight`, of the elements, broadcast to them; `reduction`, "mean", "sum" or "none"; `size_average` and
    `reduce`, torch's older words for `reduction`.
    Takes probabilities (*) and targets between 0 and 1 of the same shape. Returns a number, or losses (*).
    Raises ValueError for shapes that differ. From scores, `BCEWithLogitsLoss` is exact where a sigmoid would round to 0
    or 1.

    >>> import flambeau as torch
    >>> torch.nn.BCELoss()(torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]))  # log(2): it knows nothing
    tensor(0.6931)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BCELoss.html
    """

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """Binary cross entropy from scores: sigmoid and loss in one, exact for large scores too.

    loss = -weight * (pos_weight * t * log(sigmoid(x)) + (1 - t) * log(1 - sigmoid(x)))

    Args: `weight`, of the elements, broadcast to them; `pos_weight` (C,), how much more a yes of each class counts;
    `reduction`, "mean", "sum" or "none"; `size_average` and `reduce`, torch's older words for `reduction`.
    Takes scores (*) and targets between 0 and 1 of the same shape. Returns a number, or losses (*).
    Raises ValueError for shapes that differ.

    >>> import flambeau as torch
    >>> torch.nn.BCEWithLogitsLoss()(torch.tensor([0.0, 1000.0]), torch.tensor([1.0, 1.0]))
    tensor(0.3466)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None,
                 reduce: bool | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.binary_cross_entropy_with_logits(input, target, weight=self.weight, pos_weight=self.pos_weight,
                                                  reduction=self.reduction)


class MSELoss(_Loss):
    """The mean squared error, the loss of regression under Gaussian noise.

    loss = (x - t) ** 2

    Args: `reduction`, "mean" (over all elements), "sum" or "none"; `size_average` and `reduce`, torch's older words for
    it.
    Takes x and t (*), which should have one shape: others are broadcast, with a warning. Returns a number, or losses
    (*). Large errors count by their square: where some targets are wrong, `HuberLoss` is the sturdier choice.

    >>> import flambeau as torch
    >>> torch.nn.MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0]))
    tensor(4.5000)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """The mean absolute error, whose minimiser is the median.

    loss = |x - t|

    Args: `reduction`, "mean" (over all elements), "sum" or "none"; `size_average` and `reduce`, torch's older words for
    it.
    Takes x and t (*), which should have one shape: others are broadcast, with a warning. Returns a number, or losses
    (*). The gradient is the sign of the error, and 0 where there is none.

    >>> import flambeau as torch
    >>> torch.nn.L1Loss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0]))
    tensor(1.5000)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.L1Loss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """A squared error near zero and an absolute one beyond, with a slope of at most 1.

    loss = (x - t) ** 2 / (2 * beta) where |x - t| < beta, |x - t| - beta / 2 else

    Args: `beta`, where the two meet; `reduction`, "mean", "sum" or "none"; `size_average` and `reduce`, torch's older
    words for `reduction`.
    Takes x and t (*), which should have one shape: others are broadcast, with a warning. Returns a number, or losses
    (*).
    Raises RuntimeError for a negative `beta`; 0 makes it `L1Loss`. It is `HuberLoss` divided by beta.

    >>> import flambeau as torch
    >>> torch.nn.SmoothL1Loss(reduction="none")(torch.tensor([0.0, 0.0]), torch.tensor([0.5, 3.0]))
    tensor([0.1250, 2.5000])

    Source: Girshick: "Fast R-CNN", https://arxiv.org/abs/1504.08083;
    https://pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.smooth_l1_loss(input, target, beta=self.beta, reduction=self.reduction)


class HuberLoss(_Loss):
    """A squared error near zero and a linear one beyond, so that targets that are far off do not rule the fit.

    loss = (x - t) ** 2 / 2 where |x - t| < delta, delta * (|x - t| - delta / 2) else

    Args: `reduction`, "mean" (over all elements), "sum" or "none"; `delta`, where the two meet.
    Takes x and t (*), which should have one shape: others are broadcast, with a warning. Returns a number, or losses
    (*).
    Raises ValueError unless `delta` is positive.

    >>> import flambeau as torch
    >>> torch.nn.HuberLoss(reduction="none", delta=2.0)(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 3.0]))
    tensor([0.5000, 4.0000])

    Source: Huber: "Robust estimation of a location parameter", https://doi.org/10.1214/aoms/1177703732;
    https://pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.huber_loss(input, target, delta=self.delta, reduction=self.reduction)


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence of a model's distribution from a target: what coding by the wrong one costs.

    loss = t * (log(t) - x), for log probabilities x; with `log_target`, exp(t) * (t - x)

    Args: `reduction`, "mean", "batchmean" (the sum divided by N, which is the divergence proper), "sum" or "none";
    `log_target`, whether the targets are logarithms too; `size_average` and `reduce`, torch's older words for
    `reduction`.
    Takes log probabilities (*) and probabilities of the same shape. Returns a number, or losses (*). Where t is 0 the
    loss is 0.

    >>> import flambeau as torch
    >>> half = torch.tensor([[0.5, 0.5]])
    >>> torch.nn.KLDivLoss(reduction="batchmean")(half.log(), torch.tensor([[1.0, 0.0]]))  # log(2)
    tensor(0.6931)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 log_target: bool = False) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.kl_div(input, target, log_target=self.log_target, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """exp(x) - t * x."""

    def __init__(self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.poisson_nll_loss(log_input, target, log_input=self.log_input, full=self.full, eps=self.eps,
                                  reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-t * x))."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """(log(var) + (x - t) ** 2 / var) / 2."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """The loss."""
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class HingeEmbeddingLoss(_Loss):
    """x where the target is 1, max(0, margin - x) where it is -1."""

    def __init__(self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """max(0, -t * (x1 - x2) + margin)."""

    def __init__(self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """Pulls pairs that belong together to one direction, and pushes the others apart.

    loss = 1 - cos(x1, x2) where t is 1, max(0, cos(x1, x2) - margin) where t is -1

    Args: `margin`, the cosine up to which pairs that do not belong together cost nothing, -1 to 1; `reduction`, "mean",
    "sum" or "none"; `size_average` and `reduce`, torch's older words for `reduction`.
    Takes x1 and x2 (N, D) or (D,), and t (N,) or (). Returns a number, or losses (N,).
    Raises RuntimeError for shapes that do not fit.

    >>> import flambeau as torch
    >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> torch.nn.CosineEmbeddingLoss(reduction="none")(x, 2 * x, torch.tensor([1, -1]))
    tensor([0., 1.])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html
    """

    def __init__(self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """Wants an anchor nearer to a positive example than to a negative one, by a margin.

    loss = max(0, d(a, p) - d(a, n) + margin), with the distance d(x, y) = norm(x - y + eps)

    Args: `margin`; `p`, of the norm; `eps`, against a distance of zero; `swap`, whether the distance of positive and
    negative stands in for d(a, n) where it is smaller; `reduction`, "mean", "sum" or "none"; `size_average` and
    `reduce`, torch's older words for `reduction`.
    Takes anchor, positive and negative (N, D) or (D,). Returns a number, or losses (N,). Raises ValueError for a
    negative margin.

    >>> import flambeau as torch
    >>> a, p, n = torch.tensor([[0.0]]), torch.tensor([[1.0]]), torch.tensor([[3.0]])
    >>> torch.nn.TripletMarginLoss(margin=2.5)(a, p, n).round(decimals=4)
    tensor(0.5000)

    Source: Balntas et al.: "Learning local feature descriptors with triplets", BMVC 2016;
    https://pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html
    """

    def __init__(self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
                 size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss."""
        return F.triplet_margin_loss(anchor, positive, negative, self.margin, self.p, self.eps, self.swap,
                                     reduction=self.reduction)
