"""Products of groups of matrices, of which one side lies together: torch.nn.functional.grouped_mm."""

from __future__ import annotations

from ...tracer.functions.linear import matmul
from ...tracer.functions.ranges import arange
from ...tracer.functions.reduce import sum
from ...tracer.ir.dtypes import dtype
from ...tracer.tensor.tensor import Tensor


def grouped_mm(mat_a: Tensor, mat_b: Tensor, *, offs: Tensor | None = None, bias: Tensor | None = None,
               out_dtype: dtype | None = None) -> Tensor:
    """A product per group: group g of a matrix is from `offs[g - 1]` up to `offs[g]`.

    Args: `mat_a` (G, M, K), or (M, K) of which rows, or with a `mat_b` (K, N) columns, lie together; `mat_b` (G, K, N), or
    (K, N) of which columns, or rows, lie together; `offs` (G,), the ends of the groups where a matrix has two dimensions;
    `out_dtype`, of the result. Returns (M, N), or (G, M, N) where both have as many dimensions as each other.
    Raises RuntimeError without the ends, NotImplementedError for a `bias`.

    >>> import flambeau as torch
    >>> a, b = torch.ones(3, 2), torch.stack([torch.ones(2, 1), 10 * torch.ones(2, 1)])
    >>> torch.nn.functional.grouped_mm(a, b, offs=torch.tensor([1, 3])).T
    tensor([[ 2., 20., 20.]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.grouped_mm.html
    """
    if bias is not None:
        raise NotImplementedError("grouped_mm takes no bias, as in torch: add it to the result")
    if mat_a.ndim == mat_b.ndim == 3:
        return matmul(mat_a, mat_b).to(out_dtype or mat_a.dtype)
    if offs is None:
        raise RuntimeError("grouped_mm requires offs, the ends of the groups, where a matrix has two dimensions")
    along = mat_a.shape[0] if mat_b.ndim == 3 else mat_b.shape[1] if mat_a.ndim == 3 else mat_a.shape[1]
    chosen = _members(offs, along).to(mat_a.dtype)  # (G, along)
    if mat_a.ndim == mat_b.ndim:
        made = matmul(mat_a * chosen.unsqueeze(1), mat_b)
    else:
        made = sum(matmul(mat_a, mat_b) * chosen.unsqueeze(2 if mat_b.ndim == 3 else 1), 0)
    return made.to(out_dtype or mat_a.dtype)


def _members(ends: Tensor, size: int) -> Tensor:
    """Which places are in which group."""
    places, column = arange(size, device=ends.device), ends.unsqueeze(1)
    inside = places < column
    return inside & ~inside.roll(1, 0).logical_and(arange(ends.shape[0], device=ends.device).unsqueeze(1) > 0)
