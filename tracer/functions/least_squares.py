"""Pseudo-inverses, ranks and least squares: https://pytorch.org/docs/stable/linalg.html#inverses"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir import dtypes
from ..ir.graph import Value
from ..ops.custom import custom_gradient
from ..ops.elementwise import stop_gradient
from ..tensor.tensor import Tensor
from .arithmetic import add, mul, sub
from .checks import can_read
from .choosing import maximum, where
from .comparing import gt
from .creation import empty, zeros
from .layout import in_pieces
from .linear import matmul
from .matrices import adjoint, by_columns, require_matrices, require_square
from .methods import castable, method, with_out_of
from .operands import broadcast_shapes, scalar_name, wrap
from .reading import item
from .reduce import all as all_
from .reduce import amax, sum
from .return_types import return_type
from .ruled import Derivative
from .shape import expand, reshape, squeeze, unsqueeze
from .slicing import narrow
from .spectra import eigh, eigvalsh, linalg_svd, svdvals
from .unary import abs as absolute
from .unary import reciprocal, sgn, square

_Lstsq = return_type("linalg_lstsq", "solution residuals rank singular_values")

# --- Which singular values count --------------------------------------------------------------------------------------

Tolerance = float | Tensor | None


def _bound(x: Tensor, largest: Tensor, atol: Tolerance, rtol: Tolerance) -> Tensor:
    """max(atol, rtol * largest); rtol is by default eps * max(m, n), or 0 where an absolute bound is given."""
    if rtol is None:
        by_size = dtypes.finfo(x.dtype).eps * max(x._type.shape[-2:])
        rtol = where(gt(atol, 0), 0.0, by_size).to(largest.dtype) if isinstance(atol, Tensor) else 0.0 if atol else by_size
    relative = mul(largest, rtol)
    return maximum(relative, atol if isinstance(atol, Tensor) else largest.new_tensor(atol or 0.0))


def _check_bounds(name: str, **bounds: Tolerance) -> None:
    for key, bound in bounds.items():
        if isinstance(bound, Tensor) and bound.dtype.is_complex:
            raise RuntimeError(f"{name}: {key} tensor of complex type is not supported. Got {scalar_name(bound.dtype)}")


def _largest(values: Tensor) -> Tensor:
    shape = values._type.shape
    return amax(values, -1) if shape[-1] else zeros(shape[:-1], dtype=values.dtype, device=values.device)


@with_out_of(castable("torch.linalg.matrix_rank"))
def matrix_rank(A: Tensor, tol: Tolerance = None, hermitian: bool = False, *, atol: Tolerance = None,
                rtol: Tolerance = None) -> Tensor:
    """How many singular values of matrices (*, m, n) are above max(atol, rtol * the largest), int64.

    `rtol` is by default eps * max(m, n), or 0 where `atol` is given; `tol` is the older name of an absolute bound. With
    `hermitian` the absolute values of the eigenvalues are counted, which is faster.

    >>> import flambeau as torch
    >>> torch.linalg.matrix_rank(torch.ones(3, 3))
    tensor(1)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.matrix_rank.html
    """
    name = "torch.linalg.matrix_rank"
    require_matrices(name, A, "input")
    if tol is not None:
        atol, rtol = tol, 0.0
    _check_bounds(name, atol=atol, rtol=rtol)
    if rtol is None and (not A.dtype.is_inexact or A.dtype.itemsize < 4):
        raise RuntimeError("This function doesn't handle types other than float and double")
    if A.numel() == 0:
        return zeros(A._type.shape[:-2], dtype=dtypes.int64, device=A.device)
    values = absolute(eigvalsh(A)) if hermitian else svdvals(A)
    bound = _bound(A, _largest(values), atol, rtol)
    return sum(gt(values, unsqueeze(bound, -1)), -1)


# --- pinv -------------------------------------------------------------------------------------------------------------


def _pull_pinv(g: Tensor, p: Tensor, a: Tensor) -> Sequence[Tensor]:
    """-P^H g P^H + (1 - A P) g^H P P^H + P^H P g^H (1 - P A), of constant rank (Golub and Pereyra 1973)."""
    ph, gh = adjoint(p), adjoint(g)
    first, last = matmul(gh, matmul(p, ph)), matmul(matmul(ph, p), gh)
    found = add(sub(first, matmul(a, matmul(p, first))), sub(last, matmul(matmul(last, p), a)))
    return (sub(found, matmul(ph, matmul(g, ph))),)


_OF_PINV = Derivative("LinalgPinv", _pull_pinv)


def _pinv(x: Tensor, atol: Tolerance, rtol: Tolerance, hermitian: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The pseudo-inverse, the singular values, and the rank."""
    fixed = wrap(stop_gradient(x._read()))
    if hermitian:
        w, v = eigh(fixed)
        s, signs, vh = absolute(w), sgn(w), adjoint(v)
        u = mul(v, unsqueeze(signs, -2).to(x.dtype))
    else:
        u, s, vh = linalg_svd(fixed, False)
    counted = gt(s, unsqueeze(_bound(x, _largest(s), atol, rtol), -1))
    inverses = where(counted, reciprocal(where(counted, s, 1.0)), 0.0).to(x.dtype)
    result = matmul(mul(adjoint(vh), unsqueeze(inverses, -2)), adjoint(u))
    found: tuple[Value, ...] = custom_gradient(x._read(), result._read(), outputs=1, rule=_OF_PINV)
    return wrap(found[0]), s, sum(counted, -1)


@with_out_of(castable("linalg.pinv"))
def pinv(A: Tensor, rcond: Tolerance = None, hermitian: bool = False, *, atol: Tolerance = None,
         rtol: Tolerance = None) -> Tensor:
    """The pseudo-inverse of matrices (*, m, n), as (*, n, m): the inverse where there is one, zero on the rest.

    Singular values up to max(atol, rtol * the largest) count as zero; `rtol` is by default eps * max(m, n), or 0 where `atol`
    is given, and `rcond` its older name. With `hermitian` one triangle is read, and eigenvalues are taken.

    >>> import flambeau as torch
    >>> torch.linalg.pinv(torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.pinv.html
    """
    if A.ndim < 2 or A.dtype.name not in ("float32", "float64", "complex64", "complex128"):
        raise RuntimeError(f"linalg.pinv({scalar_name(A.dtype)}{{{list(A.shape)}}}): expected a tensor with 2 or more "
                           "dimensions of float, double, cfloat or cdouble types")
    rtol = rcond if rtol is None else rtol
    _check_bounds("torch.linalg.pinv", atol=atol, rtol=rtol)
    if A.numel() == 0:
        return adjoint(in_pieces(A)).clone()
    if hermitian:
        require_square("linalg.eigh", A)
    return _pinv(A, atol, rtol, hermitian)[0]


@method()
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """`torch.linalg.pinv` under its older name."""
    return pinv(input, rcond)


# --- lstsq ------------------------------------------------------------------------------------------------------------

DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@with_out_of(castable("torch.linalg.lstsq", "solution"))
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X with the least |A X - B|, and of several the shortest: (solution, residuals, rank, singular values).

    Args: `A` (*, m, n); `B` (*, m, k), or vectors (*, m); `rcond`, below which part of the largest a singular value counts as
    zero, by default eps * max(m, n); `driver`, of "gelsy" (the default), "gels", "gelsd" and "gelss", says what is returned
    beside the solution: all compute by singular values. Residuals, the squared lengths of A X - B, come with all but "gelsy"
    if m > n and all A have full rank, which is taken for granted inside `jit`; the rank with all but "gels", the singular
    values with "gelsd" and "gelss". What does not come is empty.

    >>> import flambeau as torch
    >>> torch.linalg.lstsq(torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [3.0]])).solution.round()
    tensor([[2.]])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.lstsq.html
    """
    driver = "gelsy" if driver is None else driver
    vector = _check_lstsq(A, B, driver)
    right = unsqueeze(B, -1) if vector else B
    lead = broadcast_shapes(A._type.shape[:-2], right._type.shape[:-2])
    a, b = (expand(x, (*lead, *x._type.shape[-2:])) for x in (A, right))
    inverse, s, rank = _pinv(a, None, rcond, False)
    solution = matmul(inverse, b)
    nothing = empty(0, dtype=s.dtype, device=s.device)
    residuals = _residuals(a, solution, b, rank, driver)
    if residuals is None:  # through which a gradient flows in torch
        residuals = absolute(narrow(reshape(solution, (-1,)), 0, 0, 0))
    return _Lstsq(squeeze(solution, -1) if vector else by_columns(solution), residuals,
                  empty(0, dtype=dtypes.int64, device=s.device) if driver == "gels" else rank,
                  s if driver in ("gelsd", "gelss") else nothing)


def _check_lstsq(A: Tensor, B: Tensor, driver: str) -> bool:
    """torch's conditions; whether B holds vectors."""
    name = "torch.linalg.lstsq"
    for x, what, least in ((A, "input", 2), (B, "other", 1)):
        if x.ndim < least:
            raise RuntimeError(f"{name}: {what} must have at least {least} dimension{'s' if least > 1 else ''}.")
    gap = A.ndim - B.ndim
    if not 0 <= gap <= 1:
        raise RuntimeError(f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1")
    vector = B.ndim == 1 or (gap == 1 and B._type.shape == A._type.shape[:-1])
    rows = B._type.shape[-1 if vector else -2]
    if A._type.shape[-2] != rows:
        raise RuntimeError(f"{name}: input.size(-2) should match other.size({-1 if vector else -2})")
    if A.dtype is not B.dtype:
        raise RuntimeError(f"{name}: Expected input and other to have the same dtype, but got input's dtype "
                           f"{scalar_name(A.dtype)} and other's dtype {scalar_name(B.dtype)}")
    if driver not in DRIVERS:
        raise RuntimeError(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    if not A.dtype.is_inexact:
        raise RuntimeError("This function doesn't handle types other than float and double")
    return vector


def _residuals(a: Tensor, x: Tensor, b: Tensor, rank: Tensor, driver: str) -> Tensor | None:
    m, n = a._type.shape[-2:]
    if m <= n or driver == "gelsy":
        return None
    if driver != "gels" and can_read(rank) and not item(all_(rank == n)):
        return None
    return sum(square(absolute(sub(matmul(a, x), b))), -2)
