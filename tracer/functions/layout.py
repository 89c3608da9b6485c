"""How the results of elementwise functions lie in memory: in the order that torch gives them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..ir import dtypes
from ..ir.constants import from_literal, literal
from ..ir.dtypes import dtype
from ..ir.errors import OpError
from ..ir.op import Op
from ..ir.state import state
from ..ops.elementwise import convert
from ..ops.pieces import piecewise
from ..ops.structural import Ints, constant
from ..tensor.layouts import channels_last, channels_last_3d, contiguous_format, memory_format, preserve_format
from ..tensor.strides import Geometry, dense_stride, is_contiguous, is_dense
from ..tensor.tensor import Tensor
from .masked_reads import MaskedRead, any_read, over
from .operands import common_shape, expand_value, operands, result_dtype, wrap
from .refusals import refusal
from .spelling import REFUSED, check_tensors, respelled, tensors_first

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
            elif _keeps_dtype(op, x._type.dtype, y):
                value = x._read()
                same = constant.on(value.device, value=literal(y, value.type.dtype), shape=value.type.shape,
                                   dtype=value.type.dtype)
                result = wrap(op(value, same))
                return result if x._geometry is None else laid_out(result, xs)
    kind = kind or result_dtype(*xs)
    if op.name in _WIDE and kind.itemsize < 4 and kind.is_floating_point and meets_wider(kind, *xs):
        result = wrap(convert(op(*operands(*xs, kind=dtypes.float32)), dtype=kind))
    else:
        result = wrap(op(*operands(*xs, kind=kind)))
    plain = all(x._geometry is None for x in xs if isinstance(x, Tensor))
    return result if plain else laid_out(result, xs)


_WIDE = frozenset({"mul", "div"})  # these take a number beside a half tensor as it is; others round it first


def _keeps_dtype(op: Op, kind: dtype, number: Any) -> bool:
    """Whether an operation of a tensor of `kind` with that plain Python number stays in `kind`."""
    if type(number) is float:
        return kind.is_inexact and (kind.itemsize >= 4 or op.name not in _WIDE or _holds(kind, number))
    return type(number) is int and kind.category != dtypes.BOOLEAN and (
        kind.itemsize >= 4 or not kind.is_floating_point or op.name not in _WIDE or _holds(kind, float(number)))


@functools.lru_cache(maxsize=1024)
def _holds(kind: dtype, number: float) -> bool:
    """Whether a half type has exactly that number."""
    return float(from_literal(literal(number, kind), kind)) == number or number != number


def meets_wider(kind: dtype, x: Any, y: Any) -> bool:
    """Whether a half tensor meets a number, or as its second operand a 0-d tensor of a wider type, as torch has it."""
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return True
    return y._type.ndim == 0 and y._type.dtype.is_floating_point and y._type.dtype.itemsize > kind.itemsize


def keeps_layout(function: F) -> F:
    """Let the result of an elementwise function have its dimensions in the order that its operands have in memory."""

    tensors = tensors_first(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            for x in args:
                if isinstance(x, Tensor):
                    if x._geometry is not None:
                        break
                elif x is args[0] or tensors > 1:  # the first is a number, or a number is where a tensor must be
                    check_tensors(function, args, tensors)
            else:
                return function(*args, **kwargs)
            if tensors > 1:
                check_tensors(function, args, tensors)
            if any_read(args):
                return over(call, *args, **kwargs)
            result = function(*args, **kwargs)
        except OpError as error:
            raise refusal(error, function.__name__, (*args, *kwargs.values())) from None
        except REFUSED:
            check_tensors(function, args, tensors)
            args, kwargs = respelled(function, args, kwargs)
            result = function(*args, **kwargs)
        return laid_out(result, args) if isinstance(result, Tensor) and kwargs.get("out") is None else result

    return call  # type: ignore[return-value]


def in_format(made: Tensor, form: memory_format | None, like: Tensor | None = None) -> Tensor:
    """A new tensor as it was asked to lie in memory: by default as the one that it was made of."""
    if form is None or form is preserve_format:
        if like is not None and like._geometry is not None and made._base is None and made is not like and (
                made._type.shape == like._type.shape and is_dense(like._type.shape, like.stride())):
            made._geometry = Geometry(like.stride())  # all of them, also those of dimensions of size 1
            return made
        return made if like is None else laid_out(made, [like])
    if form.order is not None:
        made._geometry = Geometry(form.stride(made._type.shape))
    return made


def suggested_format(x: Tensor) -> memory_format:
    """The format that the strides tell, as torch's suggest_memory_format: where they could be of both, as they come."""
    form = {4: channels_last, 5: channels_last_3d}.get(x.ndim)
    return contiguous_format if form is None or not _is_in(form, x._type.shape, x.stride()) else form


def _is_in(form: memory_format, shape: Ints, stride: Ints) -> bool:
    least, order = 0, form.order or ()
    if not stride[1]:
        return False
    for d in reversed(order):
        if not shape[d] or stride[d] < least or (d == 0 and least == stride[1]):
            return False
        least = stride[d] * max(shape[d], 1)
    return True


# --- How functions of torch that are not elementwise lay their results out --------------------------------------------


Rule = Callable[[Tensor, Tensor], None]  # puts a new tensor where torch's function puts the result of that input


def lies(rule: Rule) -> Callable[[F], F]:
    """Let the new tensors that a function of an input returns lie in memory by a rule."""

    def give(function: F) -> F:
        first = next(iter(inspect.signature(function).parameters))

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return laid_out_by(rule, function(*args, **kwargs), args[0] if args else kwargs.get(first))

        return call  # type: ignore[return-value]

    return give


def laid_out_by(rule: Rule, result: Any, x: Any) -> Any:
    """New tensors, one or several, by a rule. An input in rows leaves them in rows."""
    if isinstance(x, Tensor) and x._geometry is not None:
        for made in (result,) if isinstance(result, Tensor) else result:
            if made._base is None and made is not x:
                rule(made, x)
    return result


def in_rows(made: Tensor, x: Tensor) -> None:
    """Row-major, however the input lies."""
    made._geometry = None


def as_input(made: Tensor, x: Tensor) -> None:
    """With the strides of the input if these leave no gaps, else its dimensions in their order."""
    if made._type.shape == x._type.shape:
        made._geometry = None
        in_format(made, None, x)


def as_image(made: Tensor, x: Tensor) -> None:
    """With the channels last if the input, of images or volumes, suggests it; else row-major."""
    made._geometry = None
    form = suggested_format(x)
    if form.order is not None and made.ndim == x.ndim:
        made._geometry = Geometry(form.stride(made._type.shape))


def as_sequence(made: Tensor, x: Tensor) -> None:
    """`as_image`, of sequences (N, C, L): torch takes them for images of one row."""
    made._geometry = None
    if x.ndim == made.ndim == 3:
        (n, c, length), stride = x._type.shape, x.stride()
        if _is_in(channels_last, (n, c, 1, length), (*stride[:2], length * stride[2], stride[2])):
            n, c, length = made._type.shape
            stride = channels_last.stride((n, c, 1, length))
            made._geometry = Geometry((*stride[:2], stride[3]))


def as_images(rank: int) -> Rule:
    """The rule for a function over that many dimensions of space."""
    return as_sequence if rank == 1 else as_image


# --- Elementwise ------------------------------------------------------------------------------------------------------


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


def in_pieces(x: Tensor, *others: Tensor | None) -> Tensor:
    """x, as the argument of a function of straight pieces of it, the gradient of whose gradient is zeros (`ops.pieces`).

    `others` are arguments of the function, with respect to which it is, too.
    """
    if type(x) is MaskedRead or not (state.grad and x.requires_grad):
        return x
    return laid_out(wrap(piecewise(x._read(), *(y._read() for y in others if y is not None and y.requires_grad))), [x])
