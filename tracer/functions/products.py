"""Products that are added to a tensor, products in space, powers and chains of matrices.

Source: https://pytorch.org/docs/stable/torch.html#blas-and-lapack-operations
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..ir.dtypes import boolean, dtype
from ..ir.told import tell
from ..ops.structural import Ints
from ..tensor.scalar import Scalar, plain
from ..tensor.tensor import Tensor
from .arithmetic import add, mul, sub
from .choosing import where
from .comparing import logical_and, logical_or
from .dims import checked_dim, whole_number
from .joining import stack
from .linear import contract, is_nought, matmul, nothing_of, outer, refuse_bools, require_batched, require_vectors
from .methods import EXACT, Out, in_place, method, with_out, with_out_of
from .operands import Number, common_shape, number_value, result_dtype, scalar_name, wrap
from .precision import fitting
from .ranges import eye
from .shape import expand, reshape, unsqueeze
from .slicing import unbind
from .systems import inv

# --- Added to a tensor ------------------------------------------------------------------------------------------------


def _scaled(x: Tensor, factor: Number) -> Tensor:
    """factor * x, the factor converted to the dtype of x."""
    if type(factor) is not Scalar and factor == 1:
        return x
    if isinstance(factor, complex) and not x.dtype.is_complex:
        names = {"float32": "float", "float64": "double", "int64": "int64_t", "int32": "int"}
        wanted = names.get(x.dtype.name, scalar_name(x.dtype))
        raise RuntimeError(f"value cannot be converted to type {wanted} without overflow")
    return mul(x, wrap(number_value(fitting(factor, x.dtype), x.dtype, x._type.shape, x._device)))


def _added(input: Tensor, beta: Number, product: Tensor, alpha: Number) -> Tensor:
    """beta * input + alpha * product; what a factor of 0 multiplies does not count."""
    parts = [nothing_of(x) if is_nought(factor) else _scaled(x, factor) for x, factor in ((input, beta), (product, alpha))]
    return add(*parts)


@in_place()
@with_out_of(EXACT)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec), for a matrix [n, m], a vector [m] and an input [n] or of one element.

    With beta = 0 the input does not count, even if it is NaN.

    >>> import flambeau as torch
    >>> torch.addmv(torch.ones(2), torch.eye(2), torch.tensor([3.0, 4.0]), alpha=2)
    tensor([7., 9.])
    """
    if not (mat.ndim == 2 and vec.ndim == 1 and input.ndim <= 1):
        raise RuntimeError(f"vector + matrix @ vector expected, got {input.ndim}, {mat.ndim}, {vec.ndim}")
    (rows, columns), (count,) = mat._type.shape, vec._type.shape
    if columns != count or input.numel() not in (1, rows):
        raise RuntimeError(f"size mismatch, got input ({input.numel()}), mat ({rows}x{columns}), vec ({count})")
    if not input.dtype is mat.dtype is vec.dtype:
        raise RuntimeError("addmv input tensors must have the same dtype, but got "
                           f"{scalar_name(input.dtype)}, {scalar_name(mat.dtype)}, and {scalar_name(vec.dtype)}")
    refuse_bools("addmv_impl_cpu", mat)
    return _added(input, beta, matmul(mat, vec), alpha)


addmv_ = getattr(Tensor, "addmv_")  # noqa: B009  (mypy does not see what a decorator attaches)


def _check_factor(name: str, factor: Number, kind: dtype) -> None:
    """torch's conditions for the numbers of `addr`."""
    factor = plain(factor)
    if isinstance(factor, bool) and kind is not boolean:
        raise RuntimeError(f"Boolean {name} only supported for Boolean results.")
    if isinstance(factor, (float, complex)) and not kind.is_inexact:
        raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")


@in_place()
@with_out
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2), promoted; input broadcasts to [n, m]. Bools are combined by or and and.

    With beta = 0 the input does not count, even if it is NaN.

    >>> import flambeau as torch
    >>> torch.addr(torch.zeros(2, 2), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    require_vectors("addr", vec1=vec1, vec2=vec2)
    input = expand(input, vec1._type.shape + vec2._type.shape)
    kind = result_dtype(input, vec1, vec2)
    _check_factor("beta", beta, kind)
    _check_factor("alpha", alpha, kind)
    if kind is boolean:
        both = logical_and(unsqueeze(vec1, 1), vec2)
        return logical_or(_scaled(input, beta != 0), _scaled(both, alpha != 0))
    product = _scaled(outer(vec1.to(kind), vec2.to(kind)), alpha)  # unlike in other products, NaN times 0 is NaN
    return _added(input.to(kind), beta, product, 1)


def _check_batches(input: Tensor, batch1: Tensor, batch2: Tensor) -> None:
    require_batched(batch1, batch2)
    for name, x in (("batch1", batch1), ("batch2", batch2)):
        if x.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    (many, rows, inner), (other, depth, columns) = batch1._type.shape, batch2._type.shape
    if many != other:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {many} and {other}")
    if inner != depth:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({rows}x{inner} and {depth}x{columns})")
    for name, x, y in (("mat1", batch1, batch2), ("self", input, batch2)):
        if x.dtype is not y.dtype:
            raise RuntimeError(f"{name} and mat2 must have the same dtype, but got {scalar_name(x.dtype)} and "
                               f"{scalar_name(y.dtype)}")
    refuse_bools("addmm_impl_cpu_", batch1)


@in_place()
@with_out_of(Out("self and mat2 must have the same dtype, but got {out} and {result}"))
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * sum over b of batch1[b] @ batch2[b], for [b, n, k] and [b, k, m]; input broadcasts to [n, m].

    One contraction over b and k. With beta = 0 the input does not count, even if it is NaN.

    >>> import flambeau as torch
    >>> torch.addbmm(torch.zeros(1, 2), torch.ones(3, 1, 4), torch.ones(3, 4, 2))
    tensor([[12., 12.]])
    """
    _check_batches(input, batch1, batch2)
    input = expand(input, (batch1._type.shape[1], batch2._type.shape[2]))
    product = wrap(contract(batch1._read(), batch2._read(), ((0, 2), (0, 1))))
    return wrap(_added(input, beta, product, alpha)._read())  # which lies in rows, however the input lies


# --- Of two tensors ---------------------------------------------------------------------------------------------------


@method()
@with_out
def ger(input: Tensor, vec2: Tensor) -> Tensor:
    """`outer` under its older name: all products of elements of two vectors."""
    return outer(input, vec2)


def _space(input: Tensor, other: Tensor, dim: int | None) -> int:
    """The dimension of the coordinates: by default the first of size 3."""
    if dim is None and 3 not in input._type.shape:
        raise RuntimeError("no dimension of size 3 in input")
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    axis = input._type.shape.index(3) if dim is None else checked_dim(dim, input.ndim)
    sizes = [x._type.shape[axis] if x.ndim else 1 for x in (input, other)]
    if sizes != [3, 3]:
        raise RuntimeError(f"linalg.cross: inputs dimension {axis} must have length 3. Got {sizes[0]} and {sizes[1]}")
    return axis


@method()
@with_out_of(EXACT)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector at a right angle to two in space, whose coordinates lie along `dim`, by default the first of size 3.

    (a2 b3 - a3 b2, a3 b1 - a1 b3, a1 b2 - a2 b1). The other dimensions broadcast.

    >>> import flambeau as torch
    >>> torch.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), dim=0)
    tensor([0., 0., 1.])
    """
    axis = _space(input, other, dim)
    shape = common_shape(input._type.shape, other._type.shape)
    refuse_bools("cross", input)
    if input.dtype is not other.dtype:
        raise RuntimeError(f"expected scalar type {scalar_name(input.dtype)} but found {scalar_name(other.dtype)}")
    a, b = (unbind(expand(x, shape), axis) for x in (input, other))
    return stack([sub(mul(a[i - 2], b[i - 1]), mul(a[i - 1], b[i - 2])) for i in range(3)], axis)


@method()
@with_out
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: every element of the input times all of other. Sizes multiply, from the last dimension on.

    >>> import flambeau as torch
    >>> torch.kron(torch.tensor([1, 10]), torch.tensor([1, 2, 3]))
    tensor([ 1,  2,  3, 10, 20, 30])
    """
    if not isinstance(other, Tensor):
        raise TypeError(f"kron(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    ndim = max(input.ndim, other.ndim)
    a, b = ((1,) * (ndim - x.ndim) + x._type.shape for x in (input, other))
    blocks = mul(reshape(input, [n for size in a for n in (size, 1)]), reshape(other, [n for size in b for n in (1, size)]))
    return reshape(blocks, [m * n for m, n in zip(a, b)])


# --- Of many matrices -------------------------------------------------------------------------------------------------

@method()
@with_out
def matrix_power(input: Tensor, n: int) -> Tensor:
    """The n-th power of square matrices [..., m, m] by repeated squaring, about log2(n) products; n = 0 gives the identity.

    A negative n gives powers of the inverse; LinAlgError if there is none.

    >>> import flambeau as torch
    >>> torch.matrix_power(torch.tensor([[1, 1], [1, 0]]), 10)
    tensor([[89, 55],
            [55, 34]])
    """
    shape, n = input._type.shape, whole_number(n, "n", "matrix_power", 2)
    if len(shape) < 2:
        raise RuntimeError("linalg.matrix_power: The input tensor A must have at least 2 dimensions.")
    if shape[-1] != shape[-2]:
        raise RuntimeError("linalg.matrix_power: A must be batches of square matrices, but they are "
                           f"{shape[-2]} by {shape[-1]} matrices")
    if n < 0:
        input, n = inv(input), -n
    if n == 0:
        return where(eye(shape[-1], dtype=boolean, device=input.device), 1, nothing_of(input)).to(input.dtype)
    if n > 1:
        refuse_bools("addmm_impl_cpu_", input)
    return input.clone() if n == 1 else _power(input, n)


def _power(x: Tensor, n: int) -> Tensor:
    if n == 1:
        return x
    half = _power(x, n // 2)
    squared = matmul(half, half)
    return matmul(squared, x) if n % 2 else squared


@with_out_of(Out("multi_dot(): expected out tensor to have dtype {c_result} but got {c_out}"))
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices, multiplied in the order that takes the fewest multiplications.

    >>> import flambeau as torch, warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     torch.chain_matmul(torch.ones(2, 3), torch.ones(3, 4), torch.ones(4, 1))
    tensor([[12.],
            [12.]])
    """
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    tell("torch.chain_matmul is deprecated and will be removed in a future PyTorch release. Use torch.linalg.multi_dot instead, "
         "which takes the matrices as one list.")
    return chained(matrices)


def chained(matrices: Sequence[Tensor]) -> Tensor:
    """The product of matrices, multiplied in the order that takes the fewest multiplications."""
    for x in matrices:
        if x.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {x.ndim}, expected 2 instead.")
    for i, (x, y) in enumerate(pairwise(matrices)):
        if x._type.shape[1] != y._type.shape[0]:
            raise RuntimeError(f"multi_dot(): tensors {i} and {i + 1} with shapes {list(x.shape)} and {list(y.shape)} cannot "
                               "be multiplied")
    sizes = (*(x._type.shape[0] for x in matrices), matrices[-1]._type.shape[1])
    return _chained(matrices, _best_cuts(sizes), 0, len(matrices))


def _best_cuts(sizes: Ints) -> dict[tuple[int, int], int]:
    """Where to cut every stretch of a chain of matrices, of which number i is sizes[i] x sizes[i + 1]."""
    count = len(sizes) - 1
    costs, cuts = {(i, i + 1): 0 for i in range(count)}, {}
    for width in range(2, count + 1):
        for start in range(count - width + 1):
            end = start + width
            prices = {cut: costs[start, cut] + costs[cut, end] + sizes[start] * sizes[cut] * sizes[end]
                      for cut in range(start + 1, end)}
            cuts[start, end] = min(prices, key=lambda cut: prices[cut])
            costs[start, end] = prices[cuts[start, end]]
    return cuts


def _chained(matrices: Sequence[Tensor], cuts: dict[tuple[int, int], int], start: int, end: int) -> Tensor:
    if end - start == 1:
        return matrices[start]
    cut = cuts[start, end]
    return matmul(_chained(matrices, cuts, start, cut), _chained(matrices, cuts, cut, end))
