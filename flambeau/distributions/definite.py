"""Positive definite matrices and their triangular factors, in the few forms that the families need."""

from __future__ import annotations

from ..tracer.functions.factorizations import cholesky_ex
from ..tracer.functions.factorizations import linalg_cholesky as cholesky
from ..tracer.functions.operands import broadcast_shapes
from ..tracer.functions.ranges import eye
from ..tracer.functions.spectra import eigvalsh
from ..tracer.functions.systems import solve_triangular
from ..tracer.tensor.tensor import Tensor

__all__ = ["cholesky", "factor_of_inverse", "half_log_det", "identity_like", "inverse_from", "is_positive_definite",
           "is_positive_semidefinite", "mahalanobis", "solve_lower", "trace_of_square"]


def solve_lower(factor: Tensor, right: Tensor, transposed: bool = False) -> Tensor:
    """The X with L X = right, or L^T X = right, for lower triangular L; batches broadcast."""
    return solve_triangular(factor.mT if transposed else factor, right, upper=transposed)


def inverse_from(factor: Tensor) -> Tensor:
    """The inverse of L L^T."""
    return solve_lower(factor, solve_lower(factor, identity_like(factor)), transposed=True)


def factor_of_inverse(matrix: Tensor) -> Tensor:
    """The lower triangular L with L L^T the inverse of `matrix`, from the factor of the matrix in reverse order."""
    reversed_factor = cholesky(matrix.flip(-2, -1)).flip(-2, -1).transpose(-2, -1)
    return solve_lower(reversed_factor, identity_like(matrix))


def identity_like(matrix: Tensor) -> Tensor:
    """The identity of the size and dtype of square matrices."""
    return eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def half_log_det(factor: Tensor) -> Tensor:
    """log |L|, half of log |L L^T|."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def trace_of_square(matrix: Tensor) -> Tensor:
    """The trace of M M^T: the sum of squares."""
    return (matrix * matrix).flatten(-2).sum(-1)


def mahalanobis(factor: Tensor, x: Tensor) -> Tensor:
    """x^T (L L^T)^-1 x for vectors along the last dimension; leading dimensions that L has not become columns of one solve."""
    batch = factor.shape[:-2]
    lead = x.ndim - 1 - len(batch)
    if lead < 0:
        return (solve_lower(factor, x.unsqueeze(-1)).squeeze(-1)**2).sum(-1)
    inner = broadcast_shapes(batch, x.shape[lead:-1])
    columns = x.expand((*x.shape[:lead], *inner, x.shape[-1])).reshape((-1, *inner, x.shape[-1])).movedim(0, -1)
    solved = (solve_lower(factor, columns)**2).sum(-2)
    return solved.movedim(-1, 0).reshape((*x.shape[:lead], *inner))


def is_positive_definite(matrix: Tensor) -> Tensor:
    """A bool for each symmetric matrix."""
    return cholesky_ex(matrix).info == 0


def is_positive_semidefinite(matrix: Tensor) -> Tensor:
    """A bool for each symmetric matrix."""
    return (eigvalsh(matrix) >= 0).all(-1)
