"""Deep copies of tensors: those that share a memory share one again, as the memo of `copy.deepcopy` tells."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ..ir.graph import Value
from ..ir.recorder import grad_mode
from ..ops.elementwise import alias
from .assigned import pending, settle
from .steps import signs
from .storage import has_contents, without_history
from .strides import Geometry, dense_stride, is_contiguous, is_dense

if TYPE_CHECKING:
    from .tensor import Tensor

NOT_A_LEAF = "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment."


def fresh(value: Value) -> Value:
    """A new value with the same contents."""
    return value.twin() if has_contents(value) else alias(value)


def copied_alone(x: Tensor) -> Tensor:
    """The elements without history, in memory of their own, which lie there as those of `x`."""
    with grad_mode(False):
        made = x._of(fresh(without_history(x._read())))
    if x._geometry is not None:
        shape, stride = x._type.shape, x._geometry.stride
        stride = stride if is_dense(shape, stride) else dense_stride(shape, [stride])
        made._geometry = None if is_contiguous(shape, stride) else Geometry(stride)
    return made


def copied_with_memory(x: Tensor, memo: dict[int, Any]) -> Tensor:
    """`x` on a copy of its whole memory, one for all tensors of this `deepcopy` that show it."""
    if pending:
        settle()
    if any(signs(x)):  # torch writes these out
        return copied_alone(x)
    with grad_mode(False):
        return _shown(x, memo).detach() if x._base is not None else _whole(x, memo)


def _shown(x: Tensor, memo: dict[int, Any]) -> Tensor:
    if x._base is None:
        return _whole(x, memo)
    return _shown(x._root, memo)._viewed(x._steps, x._geometry, x._type)


def _whole(x: Tensor, memo: dict[int, Any]) -> Tensor:
    """What spans the copy of a memory: at first the tensor itself that it was made of, then others beside it."""
    storage = x._storage
    whole: Tensor | None = memo.get(id(storage))
    if whole is not None:
        made = whole.detach()
    else:
        made = memo[id(storage)] = x._of(fresh(without_history(x._read())))
        memo.setdefault(id(memo), []).append(storage)  # whose id must not become another's meanwhile
    made._geometry = x._geometry
    return made


def copied_leaf(x: Tensor, memo: dict[int, Any], own: frozenset[str]) -> Tensor:
    """A copy with class, attributes (those that are not among its `own` fields) and gradient."""
    if not x.is_leaf:
        raise RuntimeError(NOT_A_LEAF)
    found: Tensor | None = memo.get(id(x))
    if found is not None:
        return found
    made = copied_with_memory(x, memo)
    made.__class__ = x.__class__
    if x._requires_grad:
        made.requires_grad_()
    gradient = x.grad
    if gradient is not None:
        made.grad = gradient.__deepcopy__(memo)
    made.__dict__.update({name: deepcopy(value, memo) for name, value in x.__dict__.items() if name not in own})
    memo[id(x)] = made
    return made
