"""How the results of elementwise functions lie in memory: in the order that torch gives them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..ir import dtypes
from ..ir.constants import literal
from ..ir.dtypes import dtype
from ..ir.op import Op
from ..ops.structural import Ints, constant
from ..tensor.strides import Geometry, dense_stride, is_contiguous
from ..tensor.tensor import Tensor
from .operands import common_shape, expand_value, operands, result_dtype, wrap

F = TypeVar("F", bound=Callable[..., Any])


def apply(op: Op, *xs: Any, kind: dtype | None = None) -> Tensor:
    """An elementwise op on promoted, broadcast operands; the result lies in memory as torch lays it out."""
    if len(xs) == 2 and kind is None:
        x, y = xs
        if isinstance(x, Tensor):
            if isinstance(y, Tensor):
                if x._type.dtype is y._type.dtype:
                    a, b = x._read(), y._read()
                    if a.type is not b.type:
                        shape = common_shape(a.type.shape, b.type.shape)
                        a, b = expand_value(a, shape), expand_value(b, shape)
                    result = wrap(op(a, b))
                    return result if x._geometry is None and y._geometry is None else laid_out(result, xs)
            elif _keeps_dtype(x._type.dtype, type(y)):
                value = x._read()
                same = constant.on(value.device, value=literal(y, value.type.dtype), shape=value.type.shape,
                                   dtype=value.type.dtype)
                result = wrap(op(value, same))
                return result if x._geometry is None else laid_out(result, xs)
    result = wrap(op(*operands(*xs, kind=kind)))
    plain = all(x._geometry is None for x in xs if isinstance(x, Tensor))
    return result if plain else laid_out(result, xs)


def _keeps_dtype(kind: dtype, number: type) -> bool:
    """Whether an operation of a tensor of `kind` with a plain Python number of that class stays in `kind`."""
    return kind.is_inexact if number is float else number is int and kind.category != dtypes.BOOLEAN


def keeps_layout(function: F) -> F:
    """Let the result of an elementwise function have its dimensions in the order that its operands have in memory."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        for x in args:
            if isinstance(x, Tensor) and x._geometry is not None:
                return result if kwargs.get("out") is not None else laid_out(result, args)
        return result

    return call  # type: ignore[return-value]


def laid_out(result: Tensor, operands: Sequence[Any]) -> Tensor:
    """A new result with the strides that torch's elementwise functions give it."""
    if result._base is not None or result._geometry is not None or any(result is x for x in operands):
        return result
    tensors = [x for x in operands if isinstance(x, Tensor)]
    shape = result._type.shape
    if not all(x.is_contiguous() and x._type.shape == shape for x in tensors):
        kind = result_dtype(*operands)
        stride = dense_stride(shape, [_broadcast_stride(x, kind, shape) for x in tensors])
        result._geometry = None if is_contiguous(shape, stride) else Geometry(stride)
    return result


def _broadcast_stride(x: Tensor, kind: dtype, shape: Ints) -> Ints:
    """The strides of an operand of that shape; one that is converted first is dense by then."""
    stride = x._strides.stride if x._type.dtype is kind else dense_stride(x._type.shape, [x._strides.stride])
    own = [0 if n == 1 and m != 1 else s for s, n, m in zip(stride, x._type.shape, shape[len(shape) - x._type.ndim:])]
    return (*[0] * (len(shape) - len(own)), *own)
