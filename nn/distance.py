"""Distances: https://pytorch.org/docs/stable/nn.html#distance-functions"""

from __future__ import annotations

from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module


class CosineSimilarity(Module):
    """The cosine of the angle between vectors: 1 where they point the same way, -1 where the opposite.

    y = x1 . x2 / (max(|x1|, eps) * max(|x2|, eps))

    Args: `dim`, along which the vectors lie; `eps`, the least length. Takes two tensors that broadcast, returns their shape
    without `dim`.

    >>> import flambeau as torch
    >>> torch.nn.CosineSimilarity()(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([0.7071])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The cosines."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of the difference of vectors.

    y = |x1 - x2 + eps|_p

    Args: `p`, of the norm; `eps`, added to each difference, so that no length is 0; `keepdim`, whether the last dimension
    stays. Takes (N, D) or (D,) twice, returns (N,) or ().

    >>> import flambeau as torch
    >>> torch.nn.PairwiseDistance()(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    tensor([5.])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.PairwiseDistance.html
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The distances."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
