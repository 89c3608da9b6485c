"""Exponentials of matrices, products of many, Vandermonde's: https://pytorch.org/docs/stable/linalg.html#matrix-functions"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..ir import dtypes
from ..ir.graph import Value
from ..ops.custom import custom_gradient
from ..ops.elementwise import stop_gradient
from ..tensor.tensor import Tensor
from .arithmetic import add, mul
from .choosing import clamp, where
from .comparing import isfinite, lt
from .complex_numbers import conj
from .control import while_loop
from .creation import zeros_like
from .dims import checked_dim, whole_number
from .joining import cat, stack
from .linear import matmul
from .matrices import adjoint, require_inexact, require_same_dtype, require_square
from .matrix_norms import matrix_norm
from .methods import EXACT, method, with_out, with_out_of
from .operands import c_name, wrap
from .precision import rounded_once
from .products import chained, cross
from .ranges import eye
from .rearranging import flip
from .reduce import amax, sum
from .ruled import Derivative
from .shape import expand, squeeze, unsqueeze
from .slicing import narrow
from .spelling import spelled
from .strided import diagonal
from .unary import ceil, exp2, log2

# --- The exponential --------------------------------------------------------------------------------------------------

DEGREE, SMALL = 16, {4: 1.9, 8: 0.78}  # up to that 1-norm the series of that degree is exact to the digits of the type


@method()
@rounded_once
def matrix_exp(input: Tensor) -> Tensor:
    """The exponential 1 + input + input^2 / 2 + input^3 / 6 + ... of square matrices (*, n, n).

    Of input / 2^s by sixteen terms, squared s times, where s is the least that makes the norm small: as often as the matrix that
    needs it most does.

    >>> import flambeau as torch
    >>> torch.linalg.matrix_exp(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.matrix_exp.html
    """
    require_square("linalg.matrix_exp", input)
    require_inexact("linalg.matrix_exp", input, low_precision=True)
    if input.numel() == 0:
        return input.clone()
    return _exponential(input)


def _exponential(A: Tensor) -> Tensor:
    result = _squared_series(wrap(stop_gradient(A._read())))
    found: tuple[Value, ...] = custom_gradient(A._read(), result._read(), outputs=1, rule=_OF_EXPONENTIAL)
    return wrap(found[0])


def _moved(a: Tensor, t: Tensor) -> Tensor:
    """How the exponential moves when A does by t: the upper right block of that of [[A, t], [0, A]] (Mathias 1996)."""
    n = a._type.shape[-1]
    whole = cat([cat([a, t], -1), cat([zeros_like(a), a], -1)], -2)
    return narrow(narrow(_exponential(whole), -2, 0, n), -1, n, n)


def _pull_exponential(g: Tensor, out: Tensor, a: Tensor) -> Sequence[Tensor]:
    return (_moved(adjoint(a), g),)


@dataclass(frozen=True)
class _OfExponential(Derivative):
    """The same formula both ways; transposed, the way back would go through its own gradient."""

    def push_forward(self, tangents: Sequence[Value | None], out: Sequence[Value],
                     inputs: Sequence[Value]) -> Sequence[Value | None]:
        """How the result moves."""
        tangent = tangents[0]
        return [None if tangent is None else _moved(wrap(inputs[0]), wrap(tangent))._read()]


_OF_EXPONENTIAL = _OfExponential("LinalgMatrixExp", _pull_exponential)


def _squared_series(A: Tensor) -> Tensor:
    real = A.dtype.real_form if A.dtype.is_complex else A.dtype
    norm = matrix_norm(A, 1, keepdim=True)
    counts = where(isfinite(norm), clamp(ceil(log2(clamp(norm, min=1e-30) / SMALL[real.itemsize])), 0), 0.0)
    start = _series(mul(A, exp2(-counts).to(A.dtype)))
    most = amax(counts)

    def square(i: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return i + 1, where(lt(i, counts), matmul(x, x), x)

    return while_loop(lambda i, x: lt(i, most), square, (zeros_like(most), start))[1]


def _series(A: Tensor) -> Tensor:
    """Sixteen terms by six products (Paterson and Stockmeyer 1973)."""
    one = expand(eye(A._type.shape[-1], dtype=A.dtype, device=A.device), A._type.shape)
    second = matmul(A, A)
    powers = [one, A, second, matmul(second, A)]
    fourth = matmul(second, second)
    found = mul(fourth, 1 / math.factorial(DEGREE))
    for block in (12, 8, 4, 0):
        for i, power in enumerate(powers):
            found = add(found, mul(power, 1 / math.factorial(block + i)))
        found = matmul(found, fourth) if block else found
    return found


# --- Products ---------------------------------------------------------------------------------------------------------


@with_out
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of at least two matrices, in the order that takes the fewest multiplications; the ends may be vectors.

    >>> import flambeau as torch
    >>> torch.linalg.multi_dot([torch.ones(3), torch.ones(3, 4), torch.ones(4)])
    tensor(12.)

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.multi_dot.html
    """
    _check_chain(tensors)
    first, last = tensors[0].ndim == 1, tensors[-1].ndim == 1
    chain = list(tensors)
    if first:
        chain[0] = unsqueeze(chain[0], 0)
    if last:
        chain[-1] = unsqueeze(chain[-1], -1)
    found = chained(chain)
    found = squeeze(found, -1) if last else found
    return squeeze(found, 0) if first else found


def _check_chain(tensors: Sequence[Tensor]) -> None:
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    for at, x in ((0, tensors[0]), (len(tensors) - 1, tensors[-1])):
        if not 1 <= x.ndim <= 2:
            raise RuntimeError(f"multi_dot(): the {'last' if at else 'first'} tensor must be 1D or 2D but got {x.ndim}D")
    for i, x in enumerate(tensors):
        if 0 < i < len(tensors) - 1 and x.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {x.ndim}D")
        if x.dtype is not tensors[0].dtype:
            names = (c_name(y.dtype) for y in (tensors[0], x))
            raise RuntimeError("multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                               f"{next(names)} and tensor {i} {next(names)}")
        if i and tensors[i - 1]._type.shape[-1] != x._type.shape[0]:
            raise RuntimeError(f"multi_dot(): tensors {i - 1} and {i} with shapes {list(tensors[i - 1].shape)} and "
                               f"{list(x.shape)} cannot be multiplied")


@with_out
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """sum conj(x) y along `dim` of two tensors that broadcast.

    >>> import flambeau as torch
    >>> torch.linalg.vecdot(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    require_inexact("linalg.vecdot", x, low_precision=True)
    require_same_dtype("linalg.vecdot", x, y, "x", "y")
    return sum(mul(conj(x), y), dim)


@with_out_of(EXACT)
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """`torch.cross` along the last dimension by default."""
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    sizes = [x._type.shape[checked_dim(dim, x.ndim)] for x in (input, other)]
    if sizes != [3, 3]:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {sizes[0]} and {sizes[1]}")
    return cross(input, other, dim)


@with_out
def linalg_matmul(input: Tensor, other: Tensor) -> Tensor:
    """`torch.matmul`."""
    return matmul(input, other)


def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """`torch.diagonal` of the last two dimensions by default."""
    return diagonal(A, offset, dim1, dim2)


# --- Vandermonde ------------------------------------------------------------------------------------------------------


def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0 to N - 1 of the elements, along a new last dimension; by default as many as x is long.

    >>> import flambeau as torch
    >>> torch.linalg.vander(torch.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [1, 2, 4],
            [1, 3, 9]])
    """
    count = whole_number(N, "N") if N is not None else x._type.shape[-1] if x.ndim else 1
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    return _powers(x if x.ndim else unsqueeze(x, 0), count)


def _powers(x: Tensor, count: int) -> Tensor:
    """x^0, x^1, ... by products, so that gradients are right at zero."""
    kind = x.dtype if x.dtype.is_inexact else dtypes.int64
    x = x.to(kind)
    columns = [x.new_ones(x._type.shape)] if count else []
    while len(columns) < count:
        columns.append(mul(columns[-1], x))
    return stack(columns, -1) if columns else x.new_empty((*x._type.shape, 0))


@spelled
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """`torch.linalg.vander` of a vector, with the powers from the highest to the lowest unless `increasing`."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    N = None if N is None else whole_number(N, "N")
    if N is not None and N < 0:
        raise RuntimeError("N must be non-negative.")
    found = _powers(x, x._type.shape[0] if N is None else N)
    return found if increasing else flip(found, -1)
