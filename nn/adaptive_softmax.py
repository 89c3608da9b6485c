"""Softmax over very many classes: https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveLogSoftmaxWithLoss.html"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from ..tracer.functions.arithmetic import add
from ..tracer.functions.checks import check_none, first_of, known
from ..tracer.functions.choosing import clamp, where
from ..tracer.functions.joining import cat
from ..tracer.functions.scattering import gather
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])  # torch prints it under that name


class AdaptiveLogSoftmaxWithLoss(Module):
    """The negative log likelihood of one of very many classes, of which the rare ones share small projections.

    Frequent classes are told apart by the head; it also knows the clusters of rarer ones, each with a softmax of its own on
    a projection that is the smaller the rarer the classes are: log p(c) = log p(cluster) + log p(c in cluster).

    Args: `in_features`; `n_classes`, ordered by falling frequency; `cutoffs`, where the clusters begin; `div_value`, by which
    each projection is smaller than the one before; `head_bias`, whether the head has a bias; `device` and `dtype`, of the
    parameters. Takes (N, in_features) and classes (N,), or one of both. Returns (output, loss): the log likelihood of each
    class, and minus their mean. Raises ValueError for cutoffs that do not rise, RuntimeError for shapes that do not fit or a
    class that there is not.

    >>> import flambeau as torch
    >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 100, cutoffs=[10, 40])
    >>> layer(torch.ones(3, 16), torch.tensor([2, 20, 99])).output.shape
    torch.Size([3])

    Source: Grave et al.: "Efficient softmax approximation for GPUs", https://arxiv.org/abs/1609.04309;
    https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveLogSoftmaxWithLoss.html
    """

    def __init__(self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0,
                 head_bias: bool = False, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        given = list(cutoffs)
        if not given:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if given != sorted(set(given)) or min(given) <= 0 or max(given) > n_classes - 1 or any(int(c) != c for c in given):
            raise ValueError("cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where "
                             "each value is between 1 and n_classes-1")
        self.in_features, self.n_classes, self.div_value, self.head_bias = in_features, n_classes, div_value, head_bias
        self.cutoffs = [*given, n_classes]
        self.shortlist_size, self.n_clusters = given[0], len(given)
        self.head_size = self.shortlist_size + self.n_clusters
        options = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            width = int(in_features // div_value ** (i + 1))
            self.tail.append(Sequential(Linear(in_features, width, bias=False, **options),
                                        Linear(width, high - low, bias=False, **options)))

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """The log likelihood of each target, and minus their mean."""
        x, t = self._batched(input_, target_)
        self._check_classes(t)
        logs = F.log_softmax(self.head(x), 1)
        output = _at(logs, clamp(t, max=self.shortlist_size - 1))
        # every cluster of every row: no shape depends on data
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            inside = _at(F.log_softmax(self.tail[i](x), 1), clamp(t - low, 0, high - low - 1))
            output = where((t >= low) & (t < high), add(logs.select(1, self.shortlist_size + i), inside), output)
        loss = (-output).mean()
        return _ASMoutput(output if target_.ndim else output.squeeze(0), loss)

    def _batched(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        if t.ndim == 1:
            if x._type.shape[:1] != t._type.shape:
                raise RuntimeError("Input and target should have the same size in the batch dimension.")
            if x.ndim != 2:
                raise RuntimeError(f"1D target tensor expects 2D input tensors, but found inputs with size {x.shape}")
            return x, t
        if t.ndim:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if x.ndim != 1:
            raise RuntimeError(f"0D target tensor expects 1D input tensors, but found inputs with size {x.shape}")
        return x.unsqueeze(0), t.unsqueeze(0)

    def _check_classes(self, t: Tensor) -> None:
        there, text = known(t), f"Target values should be in [0, {self.n_classes - 1}], but values in range "
        if there is not None and there.size and not (there.min() >= 0 and there.max() < self.n_classes):
            raise first_of(RuntimeError(f"{text}[{there.min()}, {there.max()}] were found. "))
        check_none("AdaptiveLogSoftmaxWithLoss", (t < 0) | (t >= self.n_classes), RuntimeError,
                   f"{text}with {{value}} were found", t)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log probabilities (N, n_classes) of all classes."""
        return self._get_full_log_prob(input, self.head(input))

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        logs = F.log_softmax(head_output, 1)
        parts = [logs.narrow(1, 0, self.shortlist_size)]
        for i, tail in enumerate(self.tail):
            parts.append(add(F.log_softmax(tail(input), 1), logs.narrow(1, self.shortlist_size + i, 1)))
        return cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row."""
        return self._get_full_log_prob(input, self.head(input)).argmax(1)


def _at(logs: Tensor, place: Tensor) -> Tensor:
    return gather(logs, 1, place.unsqueeze(1)).squeeze(1)
