"""What XLA's CPU compiler does better when it is said another way. Overrides of `lower` rules, by op name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tracer.ir import dtypes
from ..tracer.ir.constants import literal
from ..tracer.ir.op import Emitter, Operand
from ..tracer.ops.conditions import compared, either
from ..tracer.ops.convolution import Window, convolution
from ..tracer.ops.elementwise import div, mul
from ..tracer.ops.structural import array_attribute
from . import lapack


def grouped_batch_convolution(h: Emitter, x: Operand, w: Operand, **params: Any) -> Operand:
    """Groups of the batch said as groups of features: XLA:CPU takes many times as long for the former."""
    p = Window(**params)
    groups, (batch, features) = p.batch_groups, p.dimension_numbers[0][:2]
    if groups == 1 or groups == w.type.shape[p.dimension_numbers[1][0]] or x.type.size == 0:
        return convolution.lower(h, x, w, **params)
    shape = list(x.type.shape)
    shape[batch:batch + 1] = [groups, shape[batch] // groups]
    split = h.op("reshape", (x,), x.type.with_shape(tuple(shape)))
    order = [i for i in range(len(shape)) if i != batch]
    order.insert(order.index(features + (features > batch)), batch)
    moved = h.op("transpose", (split,), x.type.with_shape(tuple(shape[i] for i in order)),
                 f"permutation = {array_attribute(tuple(order))}")
    merged = list(x.type.shape)
    merged[batch], merged[features] = merged[batch] // groups, merged[features] * groups
    joined = h.op("reshape", (moved,), x.type.with_shape(tuple(merged)))
    return convolution.lower(h, joined, w, **p._replace(feature_groups=groups, batch_groups=1)._asdict())


def opaque_barrier(h: Emitter, *xs: Operand) -> tuple[Operand, ...]:
    """Each operand chosen by a predicate that is true and that XLA does not see through.

    XLA:CPU drops an optimization_barrier before it merges equal computations, so that what a checkpoint computes again
    would be kept from the first time after all. The predicate reads an element of the last floating operand, a cotangent
    there: so nothing is computed again before the cotangent is.
    """
    floats = [x for x in xs if x.type.dtype.is_floating_point and x.type.size]
    if not floats:
        return h.ops("optimization_barrier", xs, [x.type for x in xs])
    flag = _undecided(h, floats[-1])
    return tuple(h.op("select", (flag, x, h.constant(literal(0, x.type.dtype), x.type)), x.type) for x in xs)


def _undecided(h: Emitter, x: Operand) -> Operand:
    """s == s or s != s, of the first element of x: true also for NaN."""
    ones = (1,) * x.type.ndim
    origin, stride = array_attribute((0,) * x.type.ndim), array_attribute(ones)
    first = h.op("slice", (x,), x.type.with_shape(ones), f"start_indices = {origin}, limit_indices = {stride}, "
                 f"strides = {stride}")
    s = h.op("reshape", (first,), x.type.with_shape(()))
    return either(h, compared(h, "EQ", s, s), compared(h, "NE", s, s))


def rounded_product(h: Emitter, x: Operand, y: Operand) -> Operand:
    """A product of float16 that passes through a selection, so that LLVM cannot join it with a sum that follows.

    Where the processor has such instructions, that fused multiply-add does not round the product, of which float16 keeps three
    digits and nothing above 65504. A product of float32 that is converted would not do: LLVM makes it one of float16 again.
    """
    product = mul.lower(h, x, y)
    if x.type.dtype is not dtypes.float16:
        return product
    return h.op("select", (compared(h, "NE", product, product), h.constant("nan", product.type), product))


def rounded_quotient(h: Emitter, x: Operand, y: Operand) -> Operand:
    """A quotient of floats whose divisor XLA does not see.

    Where it is one number for many elements, or a constant, XLA multiplies by its reciprocal, which rounds twice: 41 / 41 would
    be less than 1. The barrier is gone before anything is fused.
    """
    if x.type.dtype.is_floating_point:
        y = h.op("optimization_barrier", (y,), y.type)
    return div.lower(h, x, y)


OVERRIDES: dict[str, Callable[..., Any]] = {
    "convolution": grouped_batch_convolution, "optimization_barrier": opaque_barrier, "mul": rounded_product,
    "div": rounded_quotient,
    **lapack.OVERRIDES}
