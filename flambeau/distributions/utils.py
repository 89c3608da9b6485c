"""What the families share: parameters as tensors of one shape, attributes made on first use, odds and probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload
from weakref import WeakKeyDictionary, WeakSet

from ..nn.functional import softmax
from ..tracer.functions.choosing import clamp
from ..tracer.functions.creation import scalar_tensor
from ..tracer.functions.defaults import get_default_dtype
from ..tracer.functions.operands import NUMBERS
from ..tracer.functions.random import randn
from ..tracer.functions.shape import broadcast_tensors
from ..tracer.ir.dtypes import finfo
from ..tracer.tensor.context import context
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor

__all__ = ["SCALAR", "broadcast_all", "clamp_probs", "is_number", "lazy_property", "logits_to_probs", "probs_to_logits",
           "standard_normal", "sum_rightmost", "tril_matrix_to_vec", "vec_to_tril_matrix"]

Kept = TypeVar("Kept")

SCALAR = Size()  # the shape of one number


def is_number(x: Any) -> bool:
    """Whether an argument is a number and no tensor."""
    return isinstance(x, NUMBERS)


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; numbers take the dtype and the device of the first tensor.

    Raises ValueError for anything else.

    >>> import flambeau as torch
    >>> from flambeau.distributions.utils import broadcast_all
    >>> broadcast_all(torch.zeros(2), 1.0)
    (tensor([0., 0.]), tensor([1., 1.]))
    """
    if not all(isinstance(v, Tensor) or is_number(v) for v in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects implementing "
                         "__torch_function__.")
    first = next((v for v in values if isinstance(v, Tensor)), None)
    kind, on = (get_default_dtype(), None) if first is None else (first.dtype, first.device)
    return broadcast_tensors(*(v if isinstance(v, Tensor) else scalar_tensor(v, dtype=kind, device=on) for v in values))


def standard_normal(shape: Any, like: Tensor) -> Tensor:
    """Normal numbers of that shape, in the dtype and on the device of `like`."""
    return randn(shape, dtype=like.dtype, device=like.device)


def sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` dimensions."""
    return value.reshape((*value.shape[:value.ndim - dim], -1)).sum(-1) if dim else value


# --- Probabilities and logits -----------------------------------------------------------------------------------------


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """The probabilities of log odds, or (not binary) of logarithms of weights along the last dimension."""
    return logits.sigmoid() if is_binary else softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept eps away from 0 and 1."""
    eps = finfo(probs.dtype).eps
    return clamp(probs, min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """The inverse of `logits_to_probs`, of probabilities that are kept away from 0 and 1."""
    inside = clamp_probs(probs)
    return inside.log() - (-inside).log1p() if is_binary else inside.log()


# --- Attributes made on first use -------------------------------------------------------------------------------------


_made: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()  # by trace


def made_here(instance: Any) -> None:
    """Tell that an object is made in the trace in progress, if there is one."""
    if context.trace is not None:
        _made.setdefault(context.trace, WeakSet()).add(instance)


def is_made_here(instance: Any) -> bool:
    """Whether it was."""
    return instance in _made.get(context.trace, ())


class lazy_property(Generic[Kept]):
    """A method whose result, made on first use, becomes the attribute of that name."""

    def __init__(self, wrapped: Callable[[Any], Kept]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> lazy_property[Kept]: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Kept: ...
    def __get__(self, instance: object | None, owner: Any = None) -> Any:
        if instance is None:
            return self
        made = self.wrapped(instance)
        if context.trace is not None and isinstance(made, Tensor) and made.requires_grad and not is_made_here(instance):
            return made  # what a step leaves outside has no history, and the next call would find it
        setattr(instance, self.__name__, made)
        return made


# --- Triangles as vectors ---------------------------------------------------------------------------------------------


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The lower triangular matrix whose elements on and below a diagonal are, row by row, those of `vec`."""
    count = vec.shape[-1]
    size = -(1 + 2 * diag) + ((1 + 2 * diag)**2 + 8 * count + 4 * abs(diag) * (diag + 1))**0.5
    n = round(size / 2)
    if abs(size / 2 - n) > 1e-6:
        raise ValueError(f"The size of last dimension is {count} which cannot be expressed as the lower triangular part of "
                         "a square D x D matrix.")
    rows, columns = _triangle(n, diag)
    matrix = vec.new_zeros((*vec.shape[:-1], n, n))
    matrix[..., rows, columns] = vec
    return matrix


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The elements on and below a diagonal, row by row; ValueError for a diagonal outside the matrix."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = _triangle(n, diag)
    return mat[..., rows, columns]


def _triangle(n: int, diag: int) -> tuple[list[int], list[int]]:
    places = [(i, j) for i in range(n) for j in range(min(n, max(0, i + diag + 1)))]
    return [i for i, _ in places], [j for _, j in places]
