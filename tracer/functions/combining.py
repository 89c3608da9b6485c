"""Tensors put together in all combinations: https://pytorch.org/docs/stable/torch.html#other-operations"""

from __future__ import annotations

import itertools

import numpy as np

from ..tensor.tensor import Tensor
from .creation import from_numpy, zeros
from .joining import cat, stack
from .operands import result_dtype
from .scattering import index_select
from .shape import atleast_2d, meshgrid, ravel, reshape
from .spelling import spelled


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of one that is zero elsewhere; vectors count as rows.

    >>> import flambeau as torch
    >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor([3]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    if not tensors:
        return zeros(1, 0)
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
        if x.ndim > 2:
            raise RuntimeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                               f"Input {i} has {x.ndim} dimensions")
    blocks = [atleast_2d(x) for x in tensors]
    kind, width = result_dtype(*tensors), sum(x.shape[1] for x in blocks)
    rows, before = [], 0
    for x in blocks:
        height, columns = x.shape
        left, right = (zeros(height, n, dtype=kind, device=x.device) for n in (before, width - before - columns))
        rows.append(cat([left, x, right], 1))
        before += columns
    return cat(rows, 0)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of one element of each vector, as rows; of one vector itself.

    >>> import flambeau as torch
    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    for x in tensors:
        if x.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([ravel(grid) for grid in meshgrid(*tensors, indexing="ij")], 1)


@spelled
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, in its order, as rows.

    >>> import flambeau as torch
    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return zeros(0, dtype=input.dtype, device=input.device)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input.numel()), r)), dtype=np.int64).reshape(-1, r)
    places = from_numpy(rows.ravel()).to(device=input.device)
    return reshape(index_select(input, 0, places), rows.shape)
