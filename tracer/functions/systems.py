"""Linear systems, inverses and determinants: https://pytorch.org/docs/stable/linalg.html#solvers"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..ir import dtypes
from ..ir.errors import LinAlgError
from ..ir.graph import Value
from ..ir.told import tell_of_successor
from ..ops import linalg as ops
from ..ops import lu as lu_ops
from ..ops.custom import custom_gradient
from ..ops.elementwise import alias, stop_gradient
from ..tensor.tensor import Tensor
from .arithmetic import add, mul, remainder
from .checks import check_info, check_none
from .choosing import where
from .comparing import eq, ne
from .complex_numbers import conj, imag
from .creation import zeros, zeros_like
from .dims import whole_list, whole_number
from .linear import matmul
from .matrices import (
    adjoint,
    by_columns,
    by_rows,
    require_factored,
    require_fit,
    require_inexact,
    require_same_dtype,
    require_square,
)
from .methods import EXACT, Out, castable, method, with_out, with_out_of
from .operands import broadcast_shapes, scalar_name, wrap
from .ranges import arange, eye
from .reduce import prod, sum
from .return_types import return_type
from .ruled import Derivative
from .shape import expand, reshape, squeeze, unsqueeze
from .spelling import spelled
from .strided import diagonal
from .triangular import diag_embed
from .unary import abs as absolute
from .unary import log, neg, sgn

_SolveEx, _InvEx = return_type("linalg_solve_ex", "result info"), return_type("linalg_inv_ex", "inverse info")
_Slogdet, _LinalgSlogdet = return_type("slogdet", "sign logabsdet"), return_type("linalg_slogdet", "sign logabsdet")

_SOLVED: Final = Out("expected scalar type {result} but found {out}")
_TriangularSolve = return_type("triangular_solve", "solution cloned_coefficient")

SINGULAR = "{name}: {{batch}}The solver failed because the input matrix is singular."
NO_INVERSE = ("{name}: {{batch}}The diagonal element {{value}} is zero, the inversion could not be completed because the input "
              "matrix is singular.")

# --- Systems with a factorisation, and their gradient -----------------------------------------------------------------


class Factored:
    """The LU of matrices A, by which several systems and the gradients of their solutions are solved."""

    def __init__(self, a: Tensor) -> None:
        self.a = a
        packed, pivots, info = (wrap(v) for v in lu_ops.lu(stop_gradient(a._read())))
        self.packed, self.pivots, self.info = packed, pivots, info
        self.order = wrap(lu_ops.permutation(pivots._read(), a._type.shape[-1]))

    def expanded(self, lead: Sequence[int]) -> Factored:
        """The same for a broadcast A: it is factored once."""
        if tuple(lead) == self.a._type.shape[:-2]:
            return self
        made = object.__new__(Factored)
        made.a, made.packed = (expand(x, (*lead, *x._type.shape[-2:])) for x in (self.a, self.packed))
        made.order = expand(self.order, (*lead, self.order._type.shape[-1]))
        made.pivots, made.info = self.pivots, self.info
        return made

    def solve(self, b: Tensor, adjoint: bool = False) -> Tensor:
        """A^-1 b, or A^-H b."""
        return _solved(self.a, b, self.packed, self.order, adjoint)

    def diagonal(self) -> Tensor:
        """That of U."""
        return diagonal(self.packed, 0, -2, -1)

    def sign(self) -> Tensor:
        """1 or -1, by which the permutation multiplies the determinant."""
        count = self.pivots._type.shape[-1]
        moved = ne(self.pivots, arange(1, count + 1, dtype=dtypes.int32, device=self.a.device))
        odd = remainder(sum(moved, -1), 2) if count else zeros(self.pivots._type.shape[:-1], device=self.a.device)
        return add(mul(odd, -2), 1).to(self.packed.dtype)


def _solved(a: Tensor, b: Tensor, packed: Tensor, order: Tensor, adjoint: bool) -> Tensor:
    """A^-1 b or A^-H b by the factorisation that is there, with the gradients of a and b."""
    fixed = [stop_gradient(x._read()) for x in (packed, order, b)]
    result = lu_ops.solved(fixed[0], fixed[1], fixed[2], adjoint)
    rule = _OF_ADJOINT if adjoint else _OF_SOLUTION
    found: tuple[Value, ...] = custom_gradient(a._read(), b._read(), *fixed[:2], result, outputs=1, rule=rule)
    return wrap(found[0])


def _pull_solution(g: Tensor, x: Tensor, a: Tensor, b: Tensor, packed: Tensor, order: Tensor) -> Sequence[Tensor | None]:
    """A x = b: gb = A^-H g, gA = -gb x^H."""
    gb = _solved(a, g, packed, order, True)
    return neg(matmul(gb, adjoint(x))), gb, None, None


def _pull_adjoint(g: Tensor, x: Tensor, a: Tensor, b: Tensor, packed: Tensor, order: Tensor) -> Sequence[Tensor | None]:
    """A^H x = b: gb = A^-1 g, gA = -x gb^H."""
    gb = _solved(a, g, packed, order, False)
    return neg(matmul(x, adjoint(gb))), gb, None, None


_OF_SOLUTION, _OF_ADJOINT = Derivative("LinalgSolve", _pull_solution), Derivative("LinalgSolveAdjoint", _pull_adjoint)

# --- solve and inv ----------------------------------------------------------------------------------------------------


def _is_vector(a: Tensor, b: Tensor) -> bool:
    """Whether the right-hand side is vectors, one for each matrix, and no matrices."""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and b._type.shape == a._type.shape[:-1])


def _solve(A: Tensor, B: Tensor, left: bool) -> tuple[Tensor, Tensor]:
    require_square("linalg.solve", A)
    require_inexact("linalg.solve", A, kernel="lu_cpu")
    require_same_dtype("linalg.solve", A, B)
    vector = _is_vector(A, B) if left or B.ndim == 1 else False
    right = unsqueeze(B, -1) if vector else B
    require_fit("linalg.solve", A, right, left)
    lead = broadcast_shapes(right._type.shape[:-2], A._type.shape[:-2])
    right = expand(right, (*lead, *right._type.shape[-2:]))
    factored = Factored(A)
    found = factored.expanded(lead).solve(right if left else adjoint(right), adjoint=not left)
    if vector:
        found = squeeze(found if left else adjoint(found), -1)
        return by_columns(by_rows(found)) if found.ndim > 1 else found, factored.info
    return by_columns(found) if left else by_rows(adjoint(found)), factored.info


def _checked_solve(name: str, A: Tensor, B: Tensor, left: bool) -> tuple[Tensor, Tensor]:
    found, info = _solve(A, B, left)
    check_info(name, info, LinAlgError, SINGULAR.format(name=name))
    return found, info


@with_out_of(EXACT)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X with A X = B, or X A = B if not `left`.

    Args: `A` (*, n, n); `B` (*, n, k), or vectors (n,) or (*, n) with the leading dimensions of A; these broadcast.
    Returns what B broadcasts to. Raises LinAlgError for a singular A: at once outside `jit`, else when the program has run.

    >>> import flambeau as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.solve.html
    """
    return _checked_solve("torch.linalg.solve", A, B, left)[0]


@with_out_of(EXACT)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """`solve` that does not raise: (result, info), where info is the first zero on the diagonal of A's U, counted from 1."""
    return _SolveEx(*(_checked_solve("torch.linalg.solve_ex", A, B, left) if check_errors else _solve(A, B, left)))


def _inverse(A: Tensor) -> tuple[Tensor, Tensor]:
    require_square("linalg.inv", A)
    require_inexact("linalg.inv", A)
    factored = Factored(A)
    ones = eye(A._type.shape[-1], dtype=A.dtype, device=A.device)
    return by_columns(factored.solve(expand(ones, A._type.shape))), factored.info


def checked_inverse(name: str, A: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse and info, of which the function of that name says what is wrong."""
    found, info = _inverse(A)
    check_info(name, info, LinAlgError, NO_INVERSE.format(name=name))
    return found, info


@with_out_of(EXACT)
def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices.

    Args: `A` (*, n, n). Raises LinAlgError if there is none: at once outside `jit`, else when the program has run. For
    A^-1 @ B, `solve` is faster and more exact.

    >>> import flambeau as torch
    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.inv.html
    """
    return checked_inverse("linalg.inv", A)[0]


@with_out_of(EXACT)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """`inv` that does not raise: (inverse, info), where info is the first zero on the diagonal of A's U, counted from 1."""
    return _InvEx(*(checked_inverse("linalg.inv_ex", A) if check_errors else _inverse(A)))


@method()
@with_out_of(EXACT)
def inverse(input: Tensor) -> Tensor:
    """`torch.linalg.inv` under its older name."""
    return checked_inverse("linalg.inv", input)[0]


# --- Determinants -----------------------------------------------------------------------------------------------------


def _pull_det(g: Tensor, out: Tensor, a: Tensor, packed: Tensor, order: Tensor, sign: Tensor) -> Sequence[Tensor | None]:
    """g conj(det) A^-H. Of a singular A too, as the determinant is smooth: zeros among the pivots are made tiny."""
    pivots = diagonal(packed, 0, -2, -1)
    zero = eq(pivots, 0)
    tiny = dtypes.finfo(packed.dtype.real_form if packed.dtype.is_complex else packed.dtype).eps
    moved = add(packed, diag_embed(where(zero, tiny, 0.0).to(packed.dtype)))
    factor = where(sum(zero, -1) > 0, mul(prod(diagonal(moved, 0, -2, -1), -1), sign), out)
    return _times_inverse(mul(g, conj(factor)), a, moved, order), None, None, None


def _times_inverse(g: Tensor, a: Tensor, packed: Tensor, order: Tensor) -> Tensor:
    """g A^-H, with one number for each matrix."""
    ones = eye(a._type.shape[-1], dtype=a.dtype, device=a.device)
    return _solved(a, mul(unsqueeze(unsqueeze(g, -1), -1), ones), packed, order, True)


def _pull_logabsdet(g: Tensor, out: Tensor, a: Tensor, packed: Tensor, order: Tensor) -> Sequence[Tensor | None]:
    """g A^-H."""
    return _times_inverse(g.to(a.dtype), a, packed, order), None, None


def _pull_phase(g: Tensor, out: Tensor, a: Tensor, packed: Tensor, order: Tensor) -> Sequence[Tensor | None]:
    """-i Im(conj(g) sign) A^-H: a complex sign turns as the determinant does; a real one does not."""
    if not a.dtype.is_complex:
        return zeros_like(a), None, None
    turn = imag(mul(conj(g), out)).to(a.dtype)
    return _times_inverse(mul(turn, -1j), a, packed, order), None, None


_OF_DET, _OF_LOGABSDET = Derivative("LinalgDet", _pull_det), Derivative("LinalgLogabsdet", _pull_logabsdet)
_OF_PHASE = Derivative("LinalgSign", _pull_phase)


def _with_rule(rule: Derivative, result: Tensor, *inputs: Tensor) -> Tensor:
    found: tuple[Value, ...] = custom_gradient(*(x._read() for x in inputs), result._read(), outputs=1, rule=rule)
    return wrap(found[0])


@with_out_of(EXACT)
def linalg_det(A: Tensor) -> Tensor:
    """The determinants of square matrices (*, n, n), as (*): the product of U's diagonal, with the sign of the permutation.

    >>> import flambeau as torch
    >>> torch.linalg.det(torch.tensor([[2.0, 1.0], [0.0, 4.0]]))
    tensor(8.)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.det.html
    """
    require_square("linalg.det", A)
    require_inexact("linalg.det", A, kernel="lu_cpu")
    factored = Factored(A)
    sign = factored.sign()
    return _with_rule(_OF_DET, mul(prod(factored.diagonal(), -1), sign), A, factored.packed, factored.order, sign)


@method()
def det(input: Tensor) -> Tensor:
    """`torch.linalg.det` under its older name."""
    return linalg_det(input)


def _slogdet(name: str, A: Tensor) -> tuple[Tensor, Tensor]:
    require_square(name, A)
    require_inexact(name, A)
    factored = Factored(A)
    pivots, parts = factored.diagonal(), (A, factored.packed, factored.order)
    size = _with_rule(_OF_LOGABSDET, sum(log(absolute(pivots)), -1), *parts)
    sign = mul(prod(sgn(pivots), -1), factored.sign())
    return _with_rule(_OF_PHASE, sign, *parts), size


@with_out_of(EXACT)
def linalg_slogdet(A: Tensor) -> Any:
    """(sign, logarithm of the absolute value) of determinants, which overflow where these do not.

    >>> import flambeau as torch
    >>> sign, logabsdet = torch.linalg.slogdet(-torch.eye(3))
    >>> sign
    tensor(-1.)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.slogdet.html
    """
    return _LinalgSlogdet(*_slogdet("linalg.slogdet", A))


@method()
@with_out_of(EXACT)
def slogdet(input: Tensor) -> Any:
    """`torch.linalg.slogdet` under its older name."""
    return _Slogdet(*_slogdet("linalg.slogdet", input))


@method()
@spelled
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN for a negative one."""
    sign, size = _slogdet("logdet", input)
    return add(log(sign), size) if input.dtype.is_complex else where(eq(sign, -1), float("nan"), size)


# --- Triangular systems -----------------------------------------------------------------------------------------------


def _triangular(a: Tensor, b: Tensor, left: bool, upper: bool, unit: bool, transpose: str = "NO_TRANSPOSE") -> Tensor:
    lead = broadcast_shapes(a._type.shape[:-2], b._type.shape[:-2])
    a, b = (expand(x, (*lead, *x._type.shape[-2:])) for x in (a, b))
    return wrap(ops.triangular_solve(a._read(), b._read(), left_side=left, lower=not upper, unit_diagonal=unit,
                                     transpose_a=transpose))


@with_out_of(_SOLVED)
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """The X with A X = B, or X A = B if not `left`, for a triangular A, of which the other triangle is not read.

    With `unitriangular` the diagonal is not read either, and ones stand for it. A zero on it gives infinities.

    >>> import flambeau as torch
    >>> A = torch.tensor([[1.0, 2.0], [0.0, 4.0]])
    >>> torch.linalg.solve_triangular(A, torch.tensor([[3.0], [4.0]]), upper=True)
    tensor([[1.],
            [1.]])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.solve_triangular.html
    """
    require_square("linalg.solve_triangular", A)
    require_same_dtype("linalg.solve_triangular", A, B)
    require_fit("linalg.solve_triangular", A, B, left)
    require_factored("triangular_solve_cpu", A)
    return by_columns(_triangular(A, B, left, upper, unitriangular))


def _check_pair(name: str, b: Tensor, a: Tensor) -> None:
    for which, x in (("b", b), ("A", a)):
        if x.ndim < 2:
            raise RuntimeError(f"{which} should have at least 2 dimensions, but has {x.ndim} dimensions instead")
    (m, n), k = a._type.shape[-2:], b._type.shape[-2]
    if k != m:
        raise RuntimeError(f"Incompatible matrix sizes for {name}: each A matrix is {m} by {m} but each b matrix is {k} by "
                           f"{b._type.shape[-1]}")
    if m != n:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {m} by {n} matrices")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"Expected b and A to have the same dtype, but found b of type {scalar_name(b.dtype)} and A of type "
                           f"{scalar_name(a.dtype)} instead.")
    require_factored(f"{name}_cpu", a)


@method()
@with_out_of(EXACT)
def triangular_solve(input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    """`torch.linalg.solve_triangular` under its older name: (solution, a copy of A)."""
    tell_of_successor("torch.triangular_solve", "torch.linalg.solve_triangular")
    _check_pair("triangular_solve", input, A)
    lead = broadcast_shapes(A._type.shape[:-2], input._type.shape[:-2])
    found = _triangular(A, input, True, upper, unitriangular, "TRANSPOSE" if transpose else "NO_TRANSPOSE")
    copied = wrap(alias(expand(A, (*lead, *A._type.shape[-2:]))._read()))
    return _TriangularSolve(by_columns(found), by_columns(copied))


@method()
@with_out_of(castable("cholesky_solve"))
def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False) -> Tensor:
    """The X with A X = `input`, where A = L L^H, or L^H L if `upper`, with `input2` as L."""
    _check_pair("cholesky_solve", input, input2)
    lead = broadcast_shapes(input2._type.shape[:-2], input._type.shape[:-2])
    b, factor = (expand(x, (*lead, *x._type.shape[-2:])) for x in (input, input2))
    return by_columns(_by_cholesky(b, factor, upper))


def _by_cholesky(b: Tensor, factor: Tensor, upper: bool) -> Tensor:
    """The solution, with torch's gradient of the factor, which is not projected on its triangle."""
    first, second = ("ADJOINT", "NO_TRANSPOSE") if upper else ("NO_TRANSPOSE", "ADJOINT")
    fixed_b, fixed = (wrap(stop_gradient(x._read())) for x in (b, factor))
    result = _triangular(fixed, _triangular(fixed, fixed_b, True, upper, False, first), True, upper, False, second)
    return _with_rule(_OF_UPPER if upper else _OF_LOWER, result, b, factor)


def _pull_by_lower(g: Tensor, x: Tensor, b: Tensor, factor: Tensor) -> Sequence[Tensor]:
    """L L^H x = b: gb = (L L^H)^-1 g, gL = -(gb x^H + x gb^H) L."""
    gb = _by_cholesky(g, factor, False)
    half = matmul(gb, adjoint(x))
    return gb, neg(matmul(add(half, adjoint(half)), factor))


def _pull_by_upper(g: Tensor, x: Tensor, b: Tensor, factor: Tensor) -> Sequence[Tensor]:
    """U^H U x = b: gb = (U^H U)^-1 g, gU = -U (gb x^H + x gb^H)."""
    gb = _by_cholesky(g, factor, True)
    half = matmul(gb, adjoint(x))
    return gb, neg(matmul(factor, add(half, adjoint(half))))


_OF_LOWER, _OF_UPPER = Derivative("CholeskySolve", _pull_by_lower), Derivative("CholeskySolveUpper", _pull_by_upper)


@method()
@with_out_of(castable("cholesky_inverse"))
def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """The inverse of input input^H, or of input^H input if `upper`."""
    require_square("cholesky_inverse", input)
    require_factored("cholesky_inverse_out_cpu", input)
    diagonal = input.detach().diagonal(0, -2, -1)
    numbers = add(arange(diagonal._type.shape[-1], device=input.device), 1)
    check_none("cholesky_inverse", diagonal == 0, LinAlgError, "cholesky_inverse: The diagonal element {value} is zero, the "
               "inversion could not be completed because the input matrix is singular.", numbers)
    ones = expand(eye(input._type.shape[-1], dtype=input.dtype, device=input.device), input._type.shape)
    return cholesky_solve(ones, input, upper)


# --- With a factorisation that is given -------------------------------------------------------------------------------


@with_out_of(EXACT)
def linalg_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """The X with A X = B, or X A = B if not `left`, for the LU that `lu_factor` gave of A; with `adjoint`, of A^H."""
    _check_lu(LU, pivots, B, left)
    lead = broadcast_shapes(LU._type.shape[:-2], B._type.shape[:-2])
    packed, b = (expand(x, (*lead, *x._type.shape[-2:]))._read() for x in (LU, B if left else _adjoint(B)))
    order = expand(wrap(lu_ops.permutation(stop_gradient(pivots._read()), LU._type.shape[-1])), (*lead, LU._type.shape[-1]))
    found = wrap(lu_ops.solved(packed, order._read(), b, adjoint == left))
    return by_columns(found) if left else by_rows(_adjoint(found))


_adjoint = adjoint


def _check_lu(LU: Tensor, pivots: Tensor, B: Tensor, left: bool) -> None:
    require_inexact("linalg.lu_solve", LU, kernel="linalg.lu_solve_cpu")
    require_same_dtype("linalg.lu_solve", LU, B, "LU")
    if pivots.dtype is not dtypes.int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    require_square("torch.linalg.lu_solve", LU)
    require_fit("linalg.lu_solve", LU, B, left)
    if pivots._type.shape != LU._type.shape[:-1]:
        raise RuntimeError("linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix")


@method()
@with_out_of(EXACT)
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """`torch.linalg.lu_solve` under its older name."""
    return linalg_lu_solve(LU_data, LU_pivots, input)


# --- Tensors as matrices ----------------------------------------------------------------------------------------------


def _count(sizes: Sequence[int]) -> int:
    product = 1
    for n in sizes:
        product *= n
    return product


@with_out
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a linear map from its dimensions from `ind` on to those before, whose sizes have one product."""
    ind = whole_number(ind, "ind")
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    first, last = A._type.shape[:ind], A._type.shape[ind:]
    if _count(first) != _count(last):
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
                           f"{_count(last)} != {_count(first)}")
    found = checked_inverse("inv", reshape(A, (_count(first), _count(last))))[0]
    return reshape(found, (*last, *first))


@with_out
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """The X with tensordot(A, X, X.ndim) = B; the dimensions `dims` of A are moved to its end first."""
    if dims is not None:
        moved = [d % A.ndim for d in whole_list(dims, "dims")]
        A = A.permute([d for d in range(A.ndim) if d not in moved] + moved)
    rest, rows = A._type.shape[B.ndim:], B.numel()
    if _count(rest) != rows:
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
                           f"prod(self.shape[:other.ndim]), but got {_count(rest)} != {rows}")
    return reshape(solve(reshape(A, (rows, rows)), reshape(B, (-1,))), rest)
