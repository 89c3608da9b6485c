"""Sorting: https://pytorch.org/docs/stable/torch.html#comparison-ops"""

from __future__ import annotations

from typing import Any

from ..ir import dtypes
from ..ir.graph import Value
from ..ops import sorting as ops
from ..ops.elementwise import alias
from ..ops.structural import iota, transpose
from ..tensor.tensor import Tensor
from .dims import checked_dim, whole_number
from .layout import as_input, lies
from .methods import EXACT, method, with_out, with_out_of
from .return_types import pair, return_type, zero_index
from .slicing import sliced
from .spelling import spelled

_Sorted, _TopK = return_type("sort"), return_type("topk")


def _to_last(value: Value, axis: int) -> Value:
    """The value with `axis` exchanged with the last."""
    order = list(range(value.type.ndim))
    order[axis], order[-1] = order[-1], order[axis]
    return value if axis == len(order) - 1 else transpose(value, permutation=tuple(order))


# --- Sorting ----------------------------------------------------------------------------------------------------------


def _sorted(value: Value, axis: int, descending: bool) -> tuple[Value, Value]:
    places = iota.on(value.device, shape=value.type.shape, axis=axis, dtype=dtypes.int64)
    values, indices = ops.sort(value, places, axis=axis, descending=descending, keys=1)
    return values, indices


def _require_real(name: str, input: Tensor) -> None:
    if input.dtype.is_complex:
        raise RuntimeError(f"{name} does not support complex dtypes")


@method()
@with_out_of(EXACT)
@lies(as_input)
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """(values, indices) in order along `dim`; equal elements keep their order, NaN counts as the largest.

    >>> import flambeau as torch
    >>> torch.sort(torch.tensor([3, 1, 2])).indices
    tensor([1, 2, 0])
    """
    _require_real("Sort", input)
    axis = checked_dim(dim, input.ndim)
    if input.ndim == 0:
        return pair(_Sorted, alias(input._read()), zero_index(input))
    return pair(_Sorted, *_sorted(input._read(), axis, descending))


@method()
@spelled
@with_out
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort the input along `dim`."""
    return sort(input, dim, descending).indices


@method()
@with_out_of(EXACT)
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort(input, 0).values


@method()
@with_out_of(EXACT)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The largest elements along a dimension, or the smallest, and where they are.

    Args: `input` (*); `k`, how many; `dim`, along which; `largest`, False for the smallest; `sorted`, accepted: they
    always come in order; `out`, two tensors to write to.
    Returns (values, indices), with size k along `dim`; NaN counts as the largest. Raises RuntimeError if k is larger
    than the dimension.

    >>> import flambeau as torch
    >>> torch.topk(torch.tensor([3.0, 1.0, 2.0]), 2).indices
    tensor([0, 2])

    Source: https://pytorch.org/docs/stable/generated/torch.topk.html
    """
    _require_real("topk", input)
    if input.dtype is dtypes.boolean:
        raise RuntimeError("topk does not support bool dtypes on CPU")
    axis, value = checked_dim(dim, input.ndim), input._read()
    k = whole_number(k, "k")
    if not 0 <= k <= (input._type.shape[axis] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if input.ndim == 0:
        return pair(_TopK, alias(value), zero_index(input))
    if largest:
        values, indices = ops.top_k(_to_last(value, axis), k=k)
        return pair(_TopK, _to_last(values, axis), _to_last(indices, axis))
    return _TopK(*(sliced(t, axis, 0, k).clone() for t in sort(input, axis)))
