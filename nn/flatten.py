"""Layers that reshape: https://pytorch.org/docs/stable/nn.html#utilities"""

from __future__ import annotations

from collections.abc import Sequence

from ..tracer.tensor.tensor import Tensor
from .module import Module


class Flatten(Module):
    """Joins neighbouring dimensions into one, as between convolutions and linear layers.

    Args: `start_dim` and `end_dim`, the first and the last of the dimensions to join; by default all but the batch.
    Takes (N, C, H, W), or any shape, and returns (N, C * H * W); elements keep their order, and where the memory allows
    it the result is a view. IndexError for a dimension that is not there, RuntimeError if `start_dim` comes after
    `end_dim`.

    >>> import flambeau as torch
    >>> torch.nn.Flatten()(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 48])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Flatten.html
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """(N, *) to (N, product)."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits one dimension into several, the inverse of `Flatten`.

    Args: `dim`, the dimension to split; `unflattened_size`, what it becomes: sizes whose product is its size, one of
    which may be -1 and is then computed.
    Takes (N, C * H * W) and returns (N, C, H, W) for the default use; elements keep their order, and the result is a
    view. RuntimeError if the sizes do not multiply to that of the dimension.

    >>> import flambeau as torch
    >>> torch.nn.Unflatten(1, (3, 4, 4))(torch.ones(2, 48)).shape
    torch.Size([2, 3, 4, 4])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Unflatten.html
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(f"unflattened_size must be a tuple of ints, but found type {type(unflattened_size).__name__}")
        for at, n in enumerate(unflattened_size):
            if not isinstance(n, int):
                raise TypeError("unflattened_size must be tuple of ints, but found element of type "
                                f"{type(n).__name__} at pos {at}")
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        """(N, product) to (N, *sizes)."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
