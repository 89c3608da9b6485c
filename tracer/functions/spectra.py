"""Singular values and eigenvalues: https://pytorch.org/docs/stable/linalg.html#matrix-decompositions

Vectors are known up to their phases. Gradients are those of results that do not depend on these, and need values that differ.
"""

from __future__ import annotations

from typing import Any

from ..ir.errors import LinAlgError
from ..ops import spectral as ops
from ..tensor.tensor import Tensor
from .arithmetic import sub
from .checks import check_first, check_info
from .comparing import isfinite, isnan, logical_not
from .creation import zeros
from .factorizations import linalg_cholesky, linalg_qr
from .linear import matmul
from .matrices import (
    adjoint,
    by_columns,
    from_triangle,
    require_factored,
    require_inexact,
    require_matrices,
    require_square,
)
from .methods import EXACT, method, with_out, with_out_of
from .operands import wrap
from .random import randn
from .rearranging import flip
from .reduce import any_, mean
from .return_types import return_type
from .slicing import narrow
from .systems import solve_triangular

_Svd, _LinalgSvd = return_type("svd", "U S V"), return_type("linalg_svd", "U S Vh")
_Eig, _Eigh = return_type("linalg_eig", "eigenvalues eigenvectors"), return_type("linalg_eigh", "eigenvalues eigenvectors")

NOT_FINITE = "{name}: {{batch}}The algorithm failed to converge because the input matrix contained non-finite values."
ILL = ("{name}: {{batch}}The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated "
       "{what} (error code: {{value}}).")

# --- Singular values --------------------------------------------------------------------------------------------------


def _svd(x: Tensor, full: bool, vectors: bool, driver: str | None = None) -> tuple[Tensor, ...]:
    """(U, S, V^H), or (S,)."""
    require_matrices("linalg.svd", x)
    require_inexact("linalg.svd", x, low_precision=True)
    require_factored("linalg_svd_cpu", x)
    if driver is not None:
        raise RuntimeError("torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.")
    *found, info = (wrap(v) for v in ops.svd(x._read(), full=full, vectors=vectors))
    check_info("linalg.svd", any_(isnan(x.detach()).flatten(-2), -1).to(info.dtype), LinAlgError,
               NOT_FINITE.format(name="linalg.svd"))
    check_info("linalg.svd", info, LinAlgError, ILL.format(name="linalg.svd", what="singular values"))
    return tuple(by_columns(v) if v.ndim == x.ndim else v for v in found)


@with_out_of(EXACT)
def linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """(U, S, V^H) with A = U diag(S) V^H: orthonormal columns in U and V, the singular values from the largest to the smallest.

    Args: `A` (*, m, n); `full_matrices`, whether U and V are square or have min(m, n) columns; `driver` is for other platforms.
    A gradient through U or V needs singular values that differ. Raises LinAlgError for matrices that are not finite: at once
    outside `jit`, else when the program has run.

    >>> import flambeau as torch
    >>> torch.linalg.svd(torch.tensor([[0.0, 2.0], [1.0, 0.0]])).S
    tensor([2., 1.])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.svd.html
    """
    return _LinalgSvd(*_svd(A, full_matrices, True, driver))


@with_out_of(EXACT)
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values of matrices (*, m, n), from the largest to the smallest, as (*, min(m, n)).

    >>> import flambeau as torch
    >>> torch.linalg.svdvals(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    tensor([2., 1.])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.svdvals.html
    """
    return _svd(A, False, False, driver)[0]


@method()
@with_out_of(EXACT)
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """`torch.linalg.svd` under its older name, with V in the place of V^H; without `compute_uv`, U and V are zeros."""
    if compute_uv:
        u, s, vh = _svd(input, not some, True)
        return _Svd(u, s, adjoint(vh))
    values = _svd(input, False, False)[0]
    *lead, m, n = input._type.shape
    u, v = (zeros(*lead, k, k, dtype=input.dtype, device=input.device) for k in (m, n))
    return _Svd(u, values, v)


def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) of the q largest singular values of A - M, nearly, from products with q random vectors (Halko et al. 2009).

    Args: `A` (*, m, n); `q`, rather more than the rank; `niter`, products more, which make it more exact; `M`, subtracted.

    >>> import flambeau as torch
    >>> U, S, V = torch.svd_lowrank(torch.ones(4, 3), q=2)
    >>> torch.dist(U @ torch.diag(S) @ V.T, torch.ones(4, 3)) < 1e-5
    tensor(True)
    """
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    A = A if M is None else sub(A, M.expand(A._type.shape))
    wide = A._type.shape[-2] < A._type.shape[-1]
    A = adjoint(A) if wide else A
    Q = _range(A, q, niter)
    U, S, Vh = linalg_svd(matmul(adjoint(Q), A), full_matrices=False)
    U, V = matmul(Q, U), adjoint(Vh)
    return (V, S, U) if wide else (U, S, V)


def _range(A: Tensor, q: int, niter: int) -> Tensor:
    """Orthonormal columns that nearly span what A maps to."""
    X = matmul(A, randn(A._type.shape[-1], q, dtype=A.dtype, device=A.device))
    Q = linalg_qr(X).Q
    for _ in range(niter):
        Q = linalg_qr(matmul(A, linalg_qr(matmul(adjoint(A), Q)).Q)).Q
    return Q


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """`svd_lowrank` of a matrix whose rows are observations; with `center`, of what these differ from their mean.

    By default q is the least of 6, m and n. ValueError for a q, or an `niter`, out of range.

    >>> import flambeau as torch
    >>> U, S, V = torch.pca_lowrank(torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]]), q=1)
    >>> S
    tensor([2.8284])
    """
    m, n = A._type.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    require_inexact("pca_lowrank", A, low_precision=True)
    return svd_lowrank(sub(A, mean(A, -2, True)) if center else A, q, niter)


# --- Eigenvalues of Hermitian matrices --------------------------------------------------------------------------------


def _eigh(name: str, x: Tensor, uplo: str, vectors: bool) -> tuple[Tensor, ...]:
    require_square(name, x)
    if uplo.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")
    require_factored("linalg_eigh_cpu", x)
    *found, info = (wrap(v) for v in ops.eigh(from_triangle(x, uplo.upper() == "U"), vectors=vectors))
    check_info(name, info, LinAlgError, ILL.format(name=name, what="eigenvalues"))
    return tuple(by_columns(v) if v.ndim == x.ndim else v for v in found)


@with_out_of(EXACT)
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """(w, V) with A = V diag(w) V^H for Hermitian A: the eigenvalues, ascending and real, and orthonormal eigenvectors.

    Args: `A` (*, n, n), of which one triangle is read; `UPLO`, "L" for the lower one or "U" for the upper one.
    A gradient through V needs eigenvalues that differ.

    >>> import flambeau as torch
    >>> torch.linalg.eigh(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).eigenvalues
    tensor([-1.,  1.])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.eigh.html
    """
    return _Eigh(*_eigh("linalg.eigh", A, UPLO, True))


@with_out_of(EXACT)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of Hermitian matrices (*, n, n), of which one triangle is read, ascending and real, as (*, n)."""
    return _eigh("linalg.eigh", A, UPLO, False)[0]


def lobpcg(A: Tensor, k: int | None = None, B: Tensor | None = None, X: Tensor | None = None, n: int | None = None,
           iK: Tensor | None = None, niter: int | None = None, tol: float | None = None, largest: bool | None = None,
           method: str | None = None, tracker: Any = None, ortho_iparams: Any = None, ortho_fparams: Any = None,
           ortho_bparams: Any = None) -> tuple[Tensor, Tensor]:
    """The k largest, or smallest, eigenvalues w of A x = w B x and their vectors, for symmetric A and positive definite B.

    Computed by a whole decomposition: what torch's iteration is told (`X` but for its width, `iK`, `niter`, `tol`, `method`,
    ...) changes nothing. Returns (w [*, k], vectors [*, n, k]). ValueError unless 3 k <= n.

    >>> import flambeau as torch
    >>> torch.lobpcg(torch.diag(torch.tensor([1.0, 4.0, 2.0])), k=1)[0]
    tensor([4.])

    Source: https://pytorch.org/docs/stable/generated/torch.lobpcg.html
    """
    require_square("lobpcg", A)
    count = (n or (1 if X is None else X._type.shape[-1])) if k is None else k
    rows = A._type.shape[-1]
    if rows < 3 * count:
        raise ValueError(f"LPBPCG algorithm is not applicable when the number of A rows (={rows}) is smaller than 3 x the number "
                         f"of requested eigenpairs (={count})")
    first = largest is None or largest
    if B is None:
        w, v = _eigh("linalg.eigh", A, "L", True)
    else:
        L = linalg_cholesky(B)
        half = solve_triangular(L, A, upper=False)
        w, v = _eigh("linalg.eigh", solve_triangular(L, adjoint(half), upper=False), "L", True)
        v = solve_triangular(adjoint(L), v, upper=True)
    w, v = (flip(narrow(x, -1, rows - count, count), -1) if first else narrow(x, -1, 0, count) for x in (w, v))
    return w, v


# --- Eigenvalues of general matrices ----------------------------------------------------------------------------------


def _eig(name: str, x: Tensor, vectors: bool) -> tuple[Tensor, ...]:
    require_square(name, x)
    require_inexact(name, x, kernel="linalg_eig_out_cpu")
    check_first("eig", logical_not(isfinite(x.detach())), RuntimeError,
                "torch.linalg.eig: input tensor should not contain infs or NaNs.")
    *found, info = (wrap(v) for v in ops.eig(x._read(), vectors=vectors))
    check_info(name, info, LinAlgError, ILL.format(name=name, what="eigenvalues"))
    return tuple(by_columns(v) if v.ndim == x.ndim else v for v in found)


@with_out
def eig(A: Tensor) -> Any:
    """(w, V), complex, with A V = V diag(w): eigenvalues in no particular order, eigenvectors of length one in V's columns.

    Args: `A` (*, n, n). Only the CPU has it. A gradient needs eigenvalues that differ.

    >>> import flambeau as torch
    >>> torch.linalg.eig(torch.tensor([[0.0, -1.0], [1.0, 0.0]])).eigenvalues
    tensor([0.+1.j, 0.-1.j])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.eig.html
    """
    return _Eig(*_eig("linalg.eig", A, True))


@with_out
def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of square matrices (*, n, n), complex, in no particular order, as (*, n)."""
    return _eig("linalg.eigvals", A, False)[0]
