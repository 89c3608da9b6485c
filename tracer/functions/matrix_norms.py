"""Norms of vectors and of matrices, and condition numbers: https://pytorch.org/docs/stable/linalg.html#matrix-properties"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from ..ir.dtypes import dtype
from ..tensor.scalar import real
from ..tensor.tensor import Tensor
from .arithmetic import div, mul
from .choosing import where
from .comparing import eq
from .dims import checked_dim, checked_dims, whole_numbers
from .matrices import require_inexact, require_matrices, require_square
from .methods import EXACT, Out, method, with_out, with_out_of
from .norms import length
from .operands import scalar_name
from .precision import rounded_once
from .reduce import Dims, amax, amin, sum
from .shape import movedim, reshape
from .slicing import select
from .spectra import svdvals
from .systems import inv_ex
from .unary import abs as absolute

_EITHER: Final = Out("linalg.norm expected out tensor dtype {result} but got: {out}")
_MATRIX: Final = Out("linalg.matrix_norm expected out tensor dtype {result} but got: {out}")
Order = float | str | None

# --- Of vectors -------------------------------------------------------------------------------------------------------


def _converted(name: str, x: Tensor, kind: dtype | None) -> Tensor:
    """x in the dtype that is asked for, under torch's conditions."""
    if kind is None:
        return x
    if not kind.is_inexact:
        raise RuntimeError(f"{name}: dtype should be floating point or complex, but got {scalar_name(kind)}")
    if kind.is_complex != x.dtype.is_complex:
        one = "complex" if x.dtype.is_complex else "real"
        raise RuntimeError(f"{name}: dtype should be {one} for {one} inputs, but got {scalar_name(kind)}")
    if kind.itemsize < x.dtype.itemsize:
        raise RuntimeError(f"{name}: the dtype of the input ({scalar_name(x.dtype)}) should be convertible without narrowing to "
                           f"the specified dtype ({scalar_name(kind)})")
    return x.to(kind)


@with_out_of(EXACT)
@rounded_once
def vector_norm(x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """(sum |x|^ord)^(1 / ord) of all elements, or along `dim`; the largest or least |x| for inf or -inf, the count of others
    than zero for 0.

    Args: `x` (*), of floats or complex numbers; `dim`, one dimension or several; `dtype`, into which x is converted first.

    >>> import flambeau as torch
    >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
    tensor(5.)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html
    """
    if isinstance(ord, str):
        raise TypeError("linalg_vector_norm(): argument 'ord' (position 2) must be Number, not str")
    require_inexact("linalg.vector_norm", x, low_precision=True)
    dims = None if dim is None else whole_numbers(dim, "dim")
    axes = checked_dims(dims or None, x.ndim)
    order = real(ord)
    if order < 0 or order == math.inf:
        _require_elements(x, order, axes if dims else None)
    return length(_converted("linalg.vector_norm", x, dtype), order, axes if x.ndim else None, keepdim)


def _require_elements(x: Tensor, order: float, axes: Sequence[int] | None) -> None:
    """torch's RuntimeErrors for the extreme of nothing."""
    if x.numel():
        return
    if axes is None:
        raise RuntimeError(f"linalg.vector_norm cannot compute the {order:g} norm on an empty tensor because the operation does "
                           "not have an identity")
    for d in axes:
        if x._type.shape[d] == 0:
            raise RuntimeError(f"linalg.vector_norm cannot compute the {order:g} norm on the dimension {d}because this dimension "
                               "is empty and the operation does not have an identity")


# --- Of matrices ------------------------------------------------------------------------------------------------------

_COLUMNS_OR_ROWS = (1.0, -1.0, math.inf, -math.inf)


def _two_dims(x: Tensor, dim: Any) -> tuple[int, int]:
    given = whole_numbers(dim, "dim")
    if len(given) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, given))}")
    rows, columns = (checked_dim(d, x.ndim) for d in given)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({given[0]}, {given[1]})")
    return rows, columns


@with_out_of(_MATRIX)
def matrix_norm(A: Tensor, ord: Order = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *,
                dtype: dtype | None = None) -> Tensor:
    """A norm of matrices, or what goes by the name.

    "fro" is the root of the sum of squares, "nuc" the sum of the singular values, 2 and -2 the largest and the least of these;
    1 and -1 the largest and least sum of a column's absolute values, inf and -inf of a row's.

    Args: `A` (*, m, n); `dim`, the two dimensions of the matrices; `dtype`, into which A is converted first.
    Raises RuntimeError for another order.

    >>> import flambeau as torch
    >>> torch.linalg.matrix_norm(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), float("inf"))
    tensor(7.)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.matrix_norm.html
    """
    name = "linalg.matrix_norm"
    require_matrices(name, A)
    require_inexact(name, A, low_precision=True)
    rows, columns = _two_dims(A, dim)
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    elif (order := abs(float(ord))) not in (1, 2, math.inf):  # type: ignore[arg-type]
        raise RuntimeError(f"linalg.matrix_norm: Order {order:g} not supported.")
    A = _converted(name, A, dtype)
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord != "nuc" and float(ord) in _COLUMNS_OR_ROWS:  # type: ignore[arg-type]
        return _largest_sum(A, float(ord), rows, columns, keepdim)  # type: ignore[arg-type]
    require_inexact(name, A)
    values = svdvals(movedim(A, (rows, columns), (-2, -1)))
    nothing = values._type.shape[-1] == 0 and ord in (2, 2.0)
    found = sum(values, -1) if ord == "nuc" or nothing else (amax if float(ord) > 0 else amin)(values, -1)  # type: ignore[arg-type]
    return reshape(found, [1 if i in (rows, columns) else n for i, n in enumerate(A._type.shape)]) if keepdim else found


@rounded_once
def _largest_sum(A: Tensor, order: float, rows: int, columns: int, keepdim: bool) -> Tensor:
    summed, rest = (rows, columns) if abs(order) == 1 else (columns, rows)
    sums = sum(absolute(A), summed, True)
    if order > 0 and sums._type.shape[rest] == 0:  # the largest of no sums is 0, as these are not negative
        sums = sum(sums, rest, True)
    found = (amax if order > 0 else amin)(sums, rest, True)
    return found if keepdim else reshape(found, [n for i, n in enumerate(A._type.shape) if i not in (rows, columns)])


@with_out_of(_EITHER)
def linalg_norm(A: Tensor, ord: Order = None, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """`vector_norm` or `matrix_norm`, as `dim` says: of one dimension or of two; by default of all elements, flattened.

    Without `dim` but with `ord`, of a vector or of a matrix, whichever the tensor is.

    >>> import flambeau as torch
    >>> torch.linalg.norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), 2)
    tensor(4.)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.norm.html
    """
    dims = None if dim is None else whole_numbers(dim, "dim")
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if dims is None and ord is not None and A.ndim not in (1, 2):
        raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
                           f"Got {A.ndim}D.")
    matrices = (len(dims) if dims is not None else A.ndim) == 2
    if ord is not None and (matrices or isinstance(ord, str)):
        return matrix_norm(A, ord, dims if dims is not None else tuple(range(A.ndim)), keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype)


@with_out_of(EXACT)
@rounded_once
def norm(input: Tensor, p: Order = "fro", dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """The p-norm of all elements, or along `dim`: the older name of `torch.linalg.vector_norm`, and for "nuc" of `matrix_norm`.

    >>> import flambeau as torch
    >>> torch.norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), dim=1)
    tensor([3., 4.])

    Source: https://pytorch.org/docs/stable/generated/torch.norm.html
    """
    if isinstance(p, str) and (p != "fro" or (isinstance(dim, Sequence) and len(dim) > 2)):
        return matrix_norm(input, p, tuple(range(input.ndim)) if dim is None else dim, keepdim,  # type: ignore[arg-type]
                           dtype=dtype)
    require_inexact("linalg.vector_norm", input, low_precision=True)
    if not isinstance(p, str) and p is not None and not input.numel() and ((order := real(p)) < 0 or order == math.inf):
        dims = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        _require_elements(input, order, checked_dims(dims, input.ndim) if dims else None)
    return length(input.to(dtype) if dtype else input, 2.0 if p in ("fro", None) else real(p), dim, keepdim)


@method("norm")
def _norm_method(self: Tensor, p: Order = "fro", dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """`torch.norm`, with the dtype in torch's place."""
    return norm(self, p, dim, keepdim, dtype=dtype)


@with_out
def frobenius_norm(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """The root of the sum of the squares along one dimension or two, or along all for an empty sequence.

    Args: `input` (*); `dim`, the dimensions; `keepdim`, whether they stay with size 1. Raises RuntimeError for more than two.

    >>> import flambeau as torch
    >>> torch.frobenius_norm(torch.tensor([[3.0, 4.0]]), (0, 1))
    tensor(5.)

    Source: https://pytorch.org/docs/stable/generated/torch.norm.html
    """
    if isinstance(dim, Sequence) and len(dim) > 2:
        raise RuntimeError(f"Expected at most 2 dimensions, but got {len(dim)} dimensions instead.")
    return norm(input, 2.0, dim, keepdim)


@with_out
def nuclear_norm(input: Tensor, dim: Sequence[int] | bool = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values of matrices, `matrix_norm` of the order "nuc".

    Args: `input` (*, m, n); `dim`, the two dimensions of the matrices; `keepdim`, whether they stay with size 1,
    which may stand in the place of `dim`.

    >>> import flambeau as torch
    >>> torch.nuclear_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(7.)

    Source: https://pytorch.org/docs/stable/generated/torch.norm.html
    """
    dim, keepdim = ((-2, -1), dim) if isinstance(dim, bool) else (dim, keepdim)
    return matrix_norm(input, "nuc", dim, keepdim)


# --- Condition --------------------------------------------------------------------------------------------------------


@with_out
def cond(A: Tensor, p: Order = None) -> Tensor:
    """The condition number |A| |A^-1| in the matrix norm `p`, by default 2, of which it is the ratio of singular values.

    Args: `A` (*, m, n); `p` as the order of `matrix_norm`, for which, but 2 and -2, A is square. inf for a singular A.

    >>> import flambeau as torch
    >>> torch.linalg.cond(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(2.)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.cond.html
    """
    if A.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if isinstance(p, str) and p not in ("fro", "nuc"):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if p is None or p in (2, -2):
        return _ratio(svdvals(A), p == -2)
    require_square(f"linalg.cond(ord={p if isinstance(p, str) else f'{p:g}'})", A)
    inverse, info = inv_ex(A)
    product = mul(matrix_norm(A, p), matrix_norm(inverse, p))
    return where(eq(info, 0), product, math.inf)


def _ratio(s: Tensor, least_first: bool) -> Tensor:
    if s._type.shape[-1] == 0:
        return sum(s, -1)
    first, last = select(s, -1, 0), select(s, -1, s._type.shape[-1] - 1)
    return div(last, first) if least_first else div(first, last)
