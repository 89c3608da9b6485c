"""What the functions of `torch.linalg` share: torch's conditions on matrices, their parts, how results lie in memory."""

from __future__ import annotations

from typing import Any

from ..ir import dtypes
from ..ir.graph import Value
from ..ops.elementwise import add, stop_gradient, with_value
from ..ops.structural import Ints
from ..tensor.strides import Geometry, contiguous_stride
from ..tensor.tensor import Tensor
from .complex_numbers import conj
from .operands import scalar_name, wrap
from .shape import swapaxes
from .triangular import tril, triu

FACTORED = frozenset({dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128})

# --- Conditions -------------------------------------------------------------------------------------------------------


def require_matrices(name: str, x: Tensor, argument: str = "A") -> None:
    """torch's RuntimeError for less than two dimensions."""
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def require_square(name: str, x: Tensor, argument: str = "A") -> None:
    """torch's RuntimeError for matrices that are not square."""
    require_matrices(name, x, argument)
    rows, columns = x._type.shape[-2:]
    if rows != columns:
        raise RuntimeError(f"{name}: {argument} must be batches of square matrices, but they are {rows} by {columns} matrices")


def require_inexact(name: str, x: Tensor, low_precision: bool = False, kernel: str = "") -> None:
    """torch's RuntimeErrors for integers, and for half types unless these are allowed; of a kernel it is that which refuses."""
    if not x.dtype.is_inexact:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {scalar_name(x.dtype)}")
    if kernel:
        require_factored(kernel, x)
    if not low_precision and x.dtype not in FACTORED:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {scalar_name(x.dtype)}")


def require_factored(kernel: str, x: Tensor) -> None:
    """torch's error for a dtype that one of its kernels is not made for."""
    if x.dtype not in FACTORED:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(x.dtype)}'")


def require_same_dtype(name: str, x: Tensor, y: Tensor, first: str = "A", second: str = "B") -> None:
    """torch's RuntimeError for two dtypes."""
    if x.dtype is not y.dtype:
        raise RuntimeError(f"{name}: Expected {first} and {second} to have the same dtype, but found {first} of type "
                           f"{scalar_name(x.dtype)} and {second} of type {scalar_name(y.dtype)} instead")


def require_fit(name: str, a: Tensor, b: Tensor, left: bool = True) -> None:
    """torch's RuntimeError for systems whose sides do not fit."""
    require_matrices(name, b, "B")
    if a._type.shape[-2] != b._type.shape[-2 if left else -1]:
        equation = "AX = B" if left else "XA = B"
        (m, n), (k, columns) = a._type.shape[-2:], b._type.shape[-2:]
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {equation} ({m}x{n} and {k}x{columns})")


# --- Parts and arrangement --------------------------------------------------------------------------------------------


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose."""
    flipped = swapaxes(x, -2, -1)
    return conj(flipped) if x.dtype.is_complex else flipped


def from_triangle(x: Tensor, upper: bool) -> Value:
    """Hermitian matrices of which only one triangle is read, with the gradient, Hermitian again, of both."""
    fixed = wrap(stop_gradient(x._read()))
    kept, strict = (triu(fixed), triu(fixed, 1)) if upper else (tril(fixed), tril(fixed, -1))
    result: Value = with_value(x._read(), add(kept._read(), adjoint(strict)._read()))
    return result


def by_rows(x: Tensor) -> Tensor:
    """A transposed result in memory of its own."""
    return wrap(x._read())


def by_columns(x: Any) -> Any:
    """A new result as it lies in torch, whose LAPACK wrote it a column after the other."""
    shape: Ints = x._type.shape
    if x._geometry is None and x._base is None and 0 not in shape:
        rows, columns = shape[-2:]
        stride, step = [1, rows], rows * columns
        for n in reversed(shape[:-2]):
            stride.insert(0, step)
            step *= n
        if tuple(stride) != contiguous_stride(shape):
            x._geometry = Geometry(tuple(stride))
    return x
