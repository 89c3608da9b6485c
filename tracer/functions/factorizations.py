"""Cholesky, LU and QR: https://pytorch.org/docs/stable/linalg.html#matrix-decompositions"""

from __future__ import annotations

from typing import Any

from ..ir import dtypes
from ..ir.errors import LinAlgError
from ..ir.graph import Value
from ..ir.state import state
from ..ir.told import tell_of_successor
from ..ops import linalg as ops
from ..ops import lu as lu_ops
from ..ops import qr as qr_ops
from ..ops.elementwise import stop_gradient
from ..tensor.tensor import Tensor
from .arithmetic import add, mul, sub
from .checks import check_info
from .comparing import eq
from .creation import empty
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
from .methods import EXACT, castable, method, with_out, with_out_of
from .operands import scalar_name, wrap
from .ranges import arange, eye
from .refusals import COMPLEX, FULL, require_kind
from .return_types import return_type
from .shape import unsqueeze
from .slicing import narrow
from .triangular import diag_embed, tril, triu

_CholeskyEx = return_type("linalg_cholesky_ex", "L info")
_LuFactor, _LuFactorEx = return_type("linalg_lu_factor", "LU pivots"), return_type("linalg_lu_factor_ex", "LU pivots info")
_Lu, _LuUnpack = return_type("linalg_lu", "P L U"), return_type("lu_unpack", "P L U")
_LuWithInfo = return_type("_lu_with_info", "LU pivots info")
_Qr, _LinalgQr = return_type("qr", "Q R"), return_type("linalg_qr", "Q R")
_Geqrf = return_type("geqrf", "a tau")

# --- Cholesky ---------------------------------------------------------------------------------------------------------

NOT_DEFINITE = ("{name}: {{batch}}The factorization could not be completed because the input is not positive-definite (the "
                "leading minor of order {{value}} is not positive-definite).")


def _cholesky(x: Tensor, upper: bool) -> tuple[Tensor, Tensor]:
    factor, info = ops.cholesky(from_triangle(x, upper))
    lower = wrap(factor)
    return by_columns(wrap(adjoint(lower)._read()) if upper else lower), wrap(info)


def _checked_cholesky(name: str, x: Tensor, upper: bool) -> Tensor:
    factor, info = _cholesky(x, upper)
    check_info(name, info, LinAlgError, NOT_DEFINITE.format(name=name))
    return factor


@with_out_of(EXACT)
def linalg_cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with L L^H = A for Hermitian positive definite A; with `upper`, L^H.

    Args: `A` (*, n, n), of which one triangle is read; `upper`, which one, and what is returned.
    Returns (*, n, n). Raises LinAlgError, saying which leading minor is not positive definite: at once outside `jit`, else
    when the program has run.

    >>> import flambeau as torch
    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.cholesky.html
    """
    require_square("linalg.cholesky", A)
    require_inexact("linalg.cholesky", A, low_precision=True)
    require_factored("cholesky_cpu", A)
    return _checked_cholesky("linalg.cholesky", A, upper)


@with_out_of(EXACT)
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """`cholesky` that does not raise: (L, info), where info is the order of the first minor that is not positive definite."""
    require_square("linalg.cholesky", A)
    require_inexact("linalg.cholesky", A, low_precision=True)
    require_factored("cholesky_cpu", A)
    if check_errors:
        _checked_cholesky("linalg.cholesky_ex", A, upper)
    return _CholeskyEx(*_cholesky(A, upper))


@method()
@with_out_of(castable("cholesky"))
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """`torch.linalg.cholesky` under its older name."""
    tell_of_successor("torch.cholesky", "torch.linalg.cholesky")
    if input.numel() == 0:  # which torch looks at no more closely
        return input.clone()
    require_square("cholesky", input)
    require_factored("cholesky_cpu", input)
    return _checked_cholesky("cholesky", input, upper)


# --- LU ---------------------------------------------------------------------------------------------------------------

ZERO_PIVOT = ("torch.{name}: {{batch}}U[{{value}},{{value}}] is zero and using it on lu_solve would result in a division by "
              "zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
              "linalg.lu_factor_ex(A, pivot)")


def _lu(name: str, x: Tensor, pivot: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    if x.ndim < 2:
        raise RuntimeError(f"torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: {list(x.shape)} instead")
    require_factored("lu_cpu", x)
    if not pivot and x.numel():
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU")
    packed, pivots, info = (wrap(v) for v in lu_ops.lu(x._read()))
    return by_columns(packed), pivots, info


@with_out_of(EXACT)
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """LU with partial pivoting, packed: (LU, pivots), as `lu_solve` takes them.

    LU has U in its upper triangle and L, without its diagonal of ones, below; row i was exchanged with row pivots[i],
    counted from 1. Raises RuntimeError for a zero on U's diagonal.

    >>> import flambeau as torch
    >>> LU, pivots = torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [4.0, 2.0]]))
    >>> LU, pivots
    (tensor([[4.0000, 2.0000],
            [0.2500, 1.5000]]), tensor([2, 2], dtype=torch.int32))

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.lu_factor.html
    """
    packed, pivots, info = _lu("linalg.lu_factor", A, pivot)
    check_info("linalg.lu_factor", info, RuntimeError, ZERO_PIVOT.format(name="linalg.lu_factor"))
    return _LuFactor(packed, pivots)


@with_out_of(EXACT)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """`lu_factor` that does not raise: (LU, pivots, info), where info is the first zero of U's diagonal, counted from 1."""
    found = _lu("linalg.lu_factor", A, pivot)
    if check_errors:
        check_info("linalg.lu_factor_ex", found[2], RuntimeError, ZERO_PIVOT.format(name="linalg.lu_factor_ex"))
    return _LuFactorEx(*found)


def permutation(pivots: Tensor, size: int) -> Value:
    """The rows p of a matrix of `size` rows with A[p] = L U."""
    return lu_ops.permutation(stop_gradient(pivots._read()), size)


def _unpacked(packed: Tensor, pivots: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P, L and U with A = P L U."""
    rows, columns = packed._type.shape[-2:]
    count = min(rows, columns)
    order = wrap(permutation(pivots, rows))
    numbers = arange(rows, dtype=dtypes.int32, device=packed.device)
    P = eq(unsqueeze(order, -2), unsqueeze(numbers, -1)).to(packed.dtype)
    L = add(tril(narrow(packed, -1, 0, count), -1), eye(rows, count, dtype=packed.dtype, device=packed.device))
    return P, L, triu(narrow(packed, -2, 0, count))


@with_out_of(EXACT)
def linalg_lu(A: Tensor, *, pivot: bool = True) -> Any:
    """(P, L, U) with A = P L U: a permutation, a lower triangle with ones on its diagonal, an upper triangle.

    >>> import flambeau as torch
    >>> torch.linalg.lu(torch.tensor([[1.0, 2.0], [4.0, 2.0]])).U
    tensor([[4.0000, 2.0000],
            [0.0000, 1.5000]])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.lu.html
    """
    if A.ndim < 2:
        raise RuntimeError("linalg.lu: The input tensor must have at least 2 dimensions.")
    packed, pivots, _ = _lu("linalg.lu_factor", A, pivot)
    P, L, U = _unpacked(packed, pivots)
    return _Lu(P if pivot else empty(0, dtype=A.dtype, device=A.device), L, U)


@with_out_of(EXACT)
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """(P, L, U) of what `torch.linalg.lu_factor` gives; what is not to be unpacked is empty."""
    if unpack_pivots and LU_pivots.dtype is not dtypes.int32:
        raise RuntimeError("torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
                           "Note: this function is intended to be used with the output produced by torch.linalg.lu_factor")
    nothing = empty(0, dtype=LU_data.dtype, device=LU_data.device)
    P, L, U = _unpacked(LU_data, LU_pivots)
    return _LuUnpack(P if unpack_pivots else nothing, *((L, U) if unpack_data else (nothing, nothing)))


@method()
@with_out
def lu(self: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """`torch.linalg.lu_factor_ex` under its older name: (LU, pivots), and info if asked."""
    tell_of_successor("torch.lu", "torch.linalg.lu_factor / torch.linalg.lu_factor_ex")
    found = _lu("linalg.lu_factor", self, pivot)
    return _LuWithInfo(*found) if get_infos else found[:2]


# --- QR ---------------------------------------------------------------------------------------------------------------


def _qr(x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    require_matrices("linalg.qr", x)
    require_inexact("linalg.qr", x, low_precision=True)
    require_factored("geqrf_cpu", x)
    if mode == "r" and state.grad and x.requires_grad:
        raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
                           "linalg.qr(A, mode='reduced') if you are going to require gradients")
    q, r = qr_ops.qr(x._read(), full=mode == "complete")
    return empty(0, dtype=x.dtype, device=x.device) if mode == "r" else by_columns(wrap(q)), by_columns(wrap(r))


@with_out_of(EXACT)
def linalg_qr(A: Tensor, mode: str = "reduced") -> Any:
    """(Q, R) with A = Q R: Q with orthonormal columns, R upper triangular.

    Args: `A` (*, m, n); `mode`, "reduced" for min(m, n) columns of Q, "complete" for m, "r" for an empty Q.
    Q and R are known up to the signs of their columns and rows; a gradient exists where the first min(m, n) columns of A are
    independent. Raises RuntimeError for another mode.

    >>> import flambeau as torch
    >>> Q, R = torch.linalg.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> torch.dist(Q @ R, torch.tensor([[3.0, 1.0], [4.0, 2.0]])) < 1e-6
    tensor(True)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.qr.html
    """
    return _LinalgQr(*_qr(A, mode))


@method()
@with_out_of(EXACT)
def qr(input: Tensor, some: bool = True) -> Any:
    """`torch.linalg.qr` under its older name."""
    tell_of_successor("torch.qr", "torch.linalg.qr")
    return _Qr(*_qr(input, "reduced" if some else "complete"))


@method()
@with_out_of(castable("torch.geqrf", "a"), castable("torch.geqrf", "tau"))
def geqrf(input: Tensor) -> Any:
    """QR as LAPACK leaves it: (R with the vectors of Q's reflections below its diagonal, their factors tau)."""
    if input.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    require_factored("geqrf_cpu", input)
    packed, tau = qr_ops.geqrf(input._read())
    return _Geqrf(by_columns(wrap(packed)), wrap(tau))


def _reflections(input: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """V and T with (1 - tau v v^H)(...) = 1 - V T V^H: products of matrices and one triangular system say all of them.

    T = (1 + D S)^-1 D with D = diag(tau), S the strict upper triangle of V^H V (Joffrain et al. 2006).
    """
    count = tau._type.shape[-1]
    V = narrow(input, -1, 0, count)
    rows = V._type.shape[-2]
    V = add(tril(V, -1), eye(rows, count, dtype=input.dtype, device=input.device))
    D = diag_embed(tau)
    system, right = mul(unsqueeze(tau, -1), triu(matmul(adjoint(V), V), 1)), D
    T = ops.triangular_solve(system._read(), right._read(), left_side=True, lower=False, unit_diagonal=True,
                             transpose_a="NO_TRANSPOSE")
    return V, wrap(T)


@with_out
def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """The first n columns of the product of the reflections 1 - tau[i] v[i] v[i]^H, in which `geqrf` gives Q.

    Args: `input` (*, m, n) with the vectors below its diagonal, of which ones are meant; `tau` (*, k), k <= n <= m.

    >>> import flambeau as torch
    >>> A = torch.tensor([[3.0, 1.0], [4.0, 2.0]])
    >>> torch.linalg.householder_product(*torch.geqrf(A)).allclose(torch.linalg.qr(A).Q)
    True

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.householder_product.html
    """
    _check_reflections("torch.linalg.householder_product", input, tau)
    m, n = input._type.shape[-2:]
    if m < n:
        raise RuntimeError("torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if n < tau._type.shape[-1]:
        raise RuntimeError("torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    require_kind("orgqr_cpu", input, FULL | COMPLEX)
    V, T = _reflections(input, tau)
    product = matmul(V, matmul(T, adjoint(narrow(V, -2, 0, n))))
    return by_columns(sub(eye(m, n, dtype=input.dtype, device=input.device), product))


@method()
@with_out
def orgqr(input: Tensor, input2: Tensor) -> Tensor:
    """`linalg.householder_product`, with `input2` as tau."""
    return householder_product(input, input2)


def _check_reflections(name: str, input: Tensor, tau: Tensor) -> None:
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if tau.ndim != input.ndim - 1:
        raise RuntimeError(f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {tau.ndim} "
                           f"and input.ndim is equal to {input.ndim}")
    if tau._type.shape[:-1] != input._type.shape[:-2]:
        raise RuntimeError(f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
                           f"{list(tau.shape[:-1])}")
    if tau.dtype is not input.dtype:
        raise RuntimeError(f"{name}: tau dtype {scalar_name(tau.dtype)} does not match input dtype {scalar_name(input.dtype)}")


@method()
@with_out
def ormqr(input: Tensor, input2: Tensor, input3: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """Q @ input3, or input3 @ Q, with the square Q that `geqrf` gave as `input` and `input2`; with `transpose`, Q^H."""
    tau, other = input2, input3
    _check_multiplied(input, tau, other, left)
    require_kind("ormqr_cpu", input, FULL | COMPLEX)
    V, T = _reflections(input, tau)
    T = adjoint(T) if transpose else T
    product = matmul(V, matmul(T, matmul(adjoint(V), other))) if left else matmul(matmul(matmul(other, V), T), adjoint(V))
    return by_columns(sub(other, product))


def _check_multiplied(input: Tensor, tau: Tensor, other: Tensor, left: bool) -> None:
    for name, x in (("input", input), ("other", other)):
        if x.ndim < 2:
            raise RuntimeError(f"torch.ormqr: {name} must have at least 2 dimensions.")
    side, rows, count = -2 if left else -1, input._type.shape[-2], tau._type.shape[-1] if tau.ndim else 0
    if other._type.shape[side] < count:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be greater than or equal to tau.shape[-1]")
    if other._type.shape[side] != rows:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if count > min(input._type.shape[-1], other._type.shape[side]):
        raise RuntimeError(f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])")
    if tau.ndim != input.ndim - 1:
        raise RuntimeError("torch.ormqr: Expected tau to have one dimension less than input, but got tau.ndim equal to "
                           f"{tau.ndim} and input.ndim is equal to {input.ndim}")
    if other.ndim != input.ndim:
        raise RuntimeError("torch.ormqr: Expected other to have the same number of dimensions as input, but got other.ndim "
                           f"equal to {other.ndim} and input.ndim is equal to {input.ndim}")
    for what, name, x, lead in (("tau", "tau", tau, tau.shape[:-1]), ("other", "other", other, other.shape[:-2])):
        if tuple(lead) != input._type.shape[:-2]:
            raise RuntimeError(f"torch.ormqr: Expected batch dimensions of {what} to be equal to input.shape[:-2], but got "
                               f"{list(lead)}")
        if x.dtype is not input.dtype:
            raise RuntimeError(f"torch.ormqr: Expected input and {name} to have the same dtype, but input has dtype"
                               f"{scalar_name(input.dtype)} and {name} has dtype {scalar_name(x.dtype)}")
