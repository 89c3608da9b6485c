"""convolution: the one sliding contraction; every conv layer, its transpose and both its gradients are spellings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..ir import dtypes
from ..ir.constants import literal
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .elementwise import NUMBER, conjugate
from .pieces import zero_slope
from .structural import Ints, array_attribute, constant, inverse_permutation, reshape, reverse, transpose

Pairs = tuple[tuple[int, int], ...]
Layout = tuple[Ints, Ints, Ints]


class Window(NamedTuple):
    """How the kernel moves along each spatial axis; the parameters of the op, in the order they are passed."""

    strides: Ints
    padding: Pairs
    lhs_dilation: Ints
    rhs_dilation: Ints
    window_reversal: tuple[bool, ...]
    feature_groups: int
    batch_groups: int
    dimension_numbers: Layout


def nc_layout(rank: int) -> Layout:
    """torch's layout: input (N, C, *spatial), kernel (O, I, *spatial), output (N, C, *spatial).

    Each tuple says which axis of the array plays the first role, the second, and each spatial one, so that channels
    last in two dimensions is `((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))` with a kernel (*spatial, I, O).
    """
    order = tuple(range(rank + 2))
    return order, order, order


def dilated(size: int, by: int) -> int:
    """How far `size` elements reach with `by - 1` holes between neighbours."""
    return (size - 1) * by + 1 if size else 0


def window_count(padded: int, reach: int, stride: int) -> int:
    """How many windows that reach over `reach` elements fit into `padded` elements."""
    return (padded - reach) // stride + 1 if padded >= reach else 0


def padding_attribute(padding: Pairs) -> str:
    """MLIR text of low and high padding counts."""
    rows = ", ".join(f"[{low}, {high}]" for low, high in padding)
    return f"dense<[{rows}]> : tensor<{len(padding)}x2xi64>" if padding else "dense<> : tensor<0x2xi64>"


def zeros(device: str, type: Type) -> Value:
    """The constant zero of a type."""
    return constant.on(device, value=literal(0, type.dtype), shape=type.shape, dtype=type.dtype)


# --- Types ------------------------------------------------------------------------------------------------------------


def _require_window(x: Type, w: Type, p: Window) -> None:
    rank = x.ndim - 2
    requires(x.dtype is w.dtype and x.dtype in NUMBER, "convolution", "numeric operands of one dtype", (x, w))
    requires(rank >= 1 and w.ndim == x.ndim, "convolution",
             "operands of equal rank with a batch, a feature and spatial axes", (x, w))
    requires(all(sorted(layout) == list(range(x.ndim)) for layout in p.dimension_numbers)
             and len(p.dimension_numbers) == 3, "convolution", f"three permutations of {x.ndim} axes as layout",
             p.dimension_numbers)
    per_axis = (p.strides, p.padding, p.lhs_dilation, p.rhs_dilation, p.window_reversal)
    requires(all(len(v) == rank for v in per_axis), "convolution",
             f"a stride, padding, dilation and reversal for each of {rank} spatial axes", per_axis)
    requires(all(n >= 1 for n in (*p.strides, *p.lhs_dilation, *p.rhs_dilation)), "convolution",
             "positive strides and dilations", (p.strides, p.lhs_dilation, p.rhs_dilation))


def _require_groups(x: Type, w: Type, p: Window) -> None:
    batch, features = (x.shape[a] for a in p.dimension_numbers[0][:2])
    outputs, inputs = (w.shape[a] for a in p.dimension_numbers[1][:2])
    requires(p.feature_groups >= 1 and p.batch_groups >= 1 and 1 in (p.feature_groups, p.batch_groups), "convolution",
             "positive group counts, one of which is 1", (p.feature_groups, p.batch_groups))
    requires(features == inputs * p.feature_groups, "convolution",
             f"{inputs} input features in each of {p.feature_groups} groups", f"{features} in {x}, with the kernel {w}")
    requires(outputs % (p.feature_groups * p.batch_groups) == 0, "convolution",
             f"a multiple of {p.feature_groups * p.batch_groups} output features", f"{outputs} in {w}")
    requires(batch % p.batch_groups == 0, "convolution", f"a multiple of {p.batch_groups} as batch",
             f"{batch} in {x}")


def _infer(x: Type, w: Type, **params: Any) -> Type:
    p = Window(**params)
    _require_window(x, w, p)
    _require_groups(x, w, p)
    lhs, rhs, out = p.dimension_numbers
    requires(all(w.shape[a] > 0 for a in rhs[2:]), "convolution", "a kernel of positive spatial sizes", w)
    shape = [0] * x.ndim
    shape[out[0]], shape[out[1]] = x.shape[lhs[0]] // p.batch_groups, w.shape[rhs[0]]
    for i, (a, b, c) in enumerate(zip(lhs[2:], rhs[2:], out[2:])):
        padded = dilated(x.shape[a], p.lhs_dilation[i]) + sum(p.padding[i])
        requires(padded >= 0, "convolution", "padding that leaves a non-negative size", p.padding)
        shape[c] = window_count(padded, dilated(w.shape[b], p.rhs_dilation[i]), p.strides[i])
    return x.with_shape(tuple(shape))


# --- Reference --------------------------------------------------------------------------------------------------------


def spread_and_pad(x: Any, axes: Sequence[int], dilation: Sequence[int], padding: Sequence[tuple[int, int]],
                   value: Any = 0) -> Any:
    """numpy: `x` with holes and edges of `value` along `axes`; negative padding cuts."""
    shape, places = list(x.shape), [slice(None)] * x.ndim
    for a, d in zip(axes, dilation):
        shape[a], places[a] = dilated(shape[a], d), slice(None, None, d)
    spread = np.full(shape, value, x.dtype)
    spread[tuple(places)] = x
    if not axes:
        return spread
    widths, cut = [(0, 0)] * x.ndim, [slice(None)] * x.ndim
    for a, (low, high) in zip(axes, padding):
        widths[a] = (max(low, 0), max(high, 0))
        cut[a] = slice(max(-low, 0), max(low, 0) + shape[a] + high)
    return np.pad(spread, widths, constant_values=value)[tuple(cut)]


def window_view(x: Any, axes: Sequence[int], window: Sequence[int], strides: Sequence[int],
                dilation: Sequence[int]) -> Any:
    """numpy: a view whose `axes` count windows, and whose last axes are the positions inside them."""
    shape, steps, inner = list(x.shape), list(x.strides), []
    for a, k, s, d in zip(axes, window, strides, dilation):
        inner.append(x.strides[a] * d)
        shape[a], steps[a] = window_count(x.shape[a], dilated(k, d), s), x.strides[a] * s
    return np.lib.stride_tricks.as_strided(x, (*shape, *window), (*steps, *inner), writeable=False)


def _reference(x: Any, w: Any, **params: Any) -> Any:
    p = Window(**params)
    kind = dtypes.from_numpy(x.dtype)
    wide = np.float32 if kind.is_floating_point and x.dtype.itemsize < 4 else x.dtype
    x = np.transpose(x, p.dimension_numbers[0]).astype(wide, copy=False)
    w = np.transpose(w, p.dimension_numbers[1]).astype(wide, copy=False)
    rank, groups = x.ndim - 2, p.feature_groups * p.batch_groups
    axes = range(2, x.ndim)
    w = np.flip(w, tuple(a for a in axes if p.window_reversal[a - 2]))
    columns = window_view(spread_and_pad(x, axes, p.lhs_dilation, p.padding), axes, w.shape[2:], p.strides,
                          p.rhs_dilation)  # (N, C, *out, *kernel)
    spatial = columns.shape[2:2 + rank]
    if p.batch_groups > 1:
        columns = columns.reshape(groups, -1 if columns.size else x.shape[0] // groups, *columns.shape[1:])
        columns = np.moveaxis(columns, 2, -rank - 1)  # (G, N, *out, C, *kernel)
    else:
        columns = columns.reshape(x.shape[0], groups, w.shape[1], *columns.shape[2:])
        columns = np.moveaxis(np.moveaxis(columns, 1, 0), 2, -rank - 1)
    batch, depth, each = columns.shape[1], math.prod(w.shape[1:]), w.shape[0] // groups
    with np.errstate(all="ignore"):
        result = np.matmul(columns.reshape(groups, batch * math.prod(spatial), depth),
                           np.swapaxes(w.reshape(groups, each, depth), 1, 2))  # (G, N * out, O / G)
    result = np.moveaxis(result.reshape(groups, batch, *spatial, each), (1, 0, -1), (0, 1, 2))
    result = result.reshape(batch, groups * each, *spatial)
    result = np.transpose(result, inverse_permutation(p.dimension_numbers[2]))
    return np.ascontiguousarray(result).astype(kind.numpy, copy=False)


# --- Lowering ---------------------------------------------------------------------------------------------------------


def _labels(layout: Ints, first: str, second: str) -> str:
    names = {axis: str(i) for i, axis in enumerate(layout[2:])} | {layout[0]: first, layout[1]: second}
    return f"[{', '.join(names[i] for i in range(len(layout)))}]"


def _lower(h: Emitter, x: Operand, w: Operand, **params: Any) -> Operand:
    p = Window(**params)
    if 0 in (x.type.size, w.type.size):  # nothing to sum: backends differ in what they accept here
        return h.constant(literal(0, x.type.dtype), h.out)
    lhs, rhs, out = p.dimension_numbers
    flags = ", ".join("true" if r else "false" for r in p.window_reversal)
    return h.op("convolution", (x, w), attributes=(
        f"window_strides = {array_attribute(p.strides)}, padding = {padding_attribute(p.padding)}, "
        f"lhs_dilation = {array_attribute(p.lhs_dilation)}, rhs_dilation = {array_attribute(p.rhs_dilation)}, "
        f"window_reversal = array<i1: {flags}>, dimension_numbers = #stablehlo.conv<{_labels(lhs, 'b', 'f')}x"
        f"{_labels(rhs, 'o', 'i')}->{_labels(out, 'b', 'f')}>, feature_group_count = {p.feature_groups} : i64, "
        f"batch_group_count = {p.batch_groups} : i64, "
        "precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]"))


# --- Moving a dimension into another, and out again -------------------------------------------------------------------


def move_into(x: Value, source: int, target: int, outer: int) -> Value:
    """Merge axis `source` into axis `target` (numbered without `source`), below its first factor `outer`."""
    shape = list(x.type.shape)
    size = shape.pop(source)
    inner = shape[target] // outer
    split = [*x.type.shape]
    at = target + (target >= source)
    split[at:at + 1] = [outer, inner]
    moved = source + (source > at)
    order = [i for i in range(len(split)) if i != moved]
    order.insert(target + 1, moved)
    shape[target] *= size
    return reshape(transpose(reshape(x, shape=tuple(split)), permutation=tuple(order)), shape=tuple(shape))


def move_out(x: Value, source: int, size: int, target: int, outer: int) -> Value:
    """Undo `move_into`: take the factor `size` below `outer` out of axis `source`, as a new axis `target`."""
    shape = list(x.type.shape)
    inner = shape[source] // (size * outer)
    split = [*shape[:source], outer, size, inner, *shape[source + 1:]]
    order = [i for i in range(len(split)) if i != source + 1]
    shape[source] = outer * inner
    order.insert(target + (target > source), source + 1)
    shape.insert(target, size)
    return reshape(transpose(reshape(x, shape=tuple(split)), permutation=tuple(order)), shape=tuple(shape))


# --- Gradients: convolutions again ------------------------------------------------------------------------------------


def _vjp(g: Value, out: Value, x: Value, w: Value, **params: Any) -> tuple[Value, Value]:
    p = Window(**params)
    if 0 in (g.type.size, x.type.size, w.type.size):
        return zero_slope(x, w, g), zero_slope(w, x, g)
    flipped = tuple(a for a, r in zip(p.dimension_numbers[1][2:], p.window_reversal) if r)
    plain = p._replace(window_reversal=(False,) * len(p.strides))
    kernel = reverse(w, axes=flipped) if flipped else w
    gw = _kernel_gradient(g, conjugate(x), w.type, plain)
    return _input_gradient(g, x.type, conjugate(kernel), plain), reverse(gw, axes=flipped) if flipped else gw


def _input_gradient(g: Value, x: Type, w: Value, p: Window) -> Value:
    """Sum over t and k with t * stride + k * rhs_dilation = i * lhs_dilation + low of g[t] w[k], for each i.

    That is g, dilated by the stride, under the reversed kernel whose input and output features are exchanged.
    """
    lhs, rhs, out = p.dimension_numbers
    groups = p.feature_groups * p.batch_groups
    if groups > 1:  # (G * O, I) -> (O, G * I)
        w = _exchange_groups(w, rhs[0], rhs[1], groups)
    padding = []
    for i, (a, b, c) in enumerate(zip(lhs[2:], rhs[2:], out[2:])):
        reach = dilated(w.type.shape[b], p.rhs_dilation[i])
        low = reach - 1 - p.padding[i][0]
        need = (x.shape[a] - 1) * p.lhs_dilation[i] + reach
        padding.append((low, need - dilated(g.type.shape[c], p.strides[i]) - low))
    result = convolution(g, reverse(w, axes=rhs[2:]), **p._replace(
        strides=p.lhs_dilation, padding=tuple(padding), lhs_dilation=p.strides, feature_groups=groups, batch_groups=1,
        dimension_numbers=(out, (rhs[1], rhs[0], *rhs[2:]), lhs))._asdict())
    if p.batch_groups > 1:  # (N, G * C) -> (G * N, C)
        result = _exchange_groups(result, lhs[1], lhs[0], groups)
    return result


def _exchange_groups(x: Value, source: int, target: int, groups: int) -> Value:
    """Move the leading factor `groups` of axis `source` to the front of axis `target`."""
    shape = list(x.type.shape)
    shape[source:source + 1] = [groups, shape[source] // groups]
    return move_into(reshape(x, shape=tuple(shape)), source, target, 1)


def _kernel_gradient(g: Value, x: Value, w: Type, p: Window) -> Value:
    """Sum over t of g[t] x[t * stride + k * rhs_dilation], for each k.

    That is x under the kernel g, batch and features exchanged. The groups of features
    become groups of the batch, and the other way round.
    """
    lhs, rhs, out = p.dimension_numbers
    padding = []
    for i, (a, b, c) in enumerate(zip(lhs[2:], rhs[2:], out[2:])):
        low = p.padding[i][0]
        need = (w.shape[b] - 1) * p.rhs_dilation[i] + dilated(g.type.shape[c], p.strides[i])
        padding.append((low, need - dilated(x.type.shape[a], p.lhs_dilation[i]) - low))
    return convolution(x, g, **p._replace(
        strides=p.rhs_dilation, padding=tuple(padding), rhs_dilation=p.strides, feature_groups=p.batch_groups,
        batch_groups=p.feature_groups, dimension_numbers=(
            (lhs[1], lhs[0], *lhs[2:]), (out[1], out[0], *out[2:]), (rhs[1], rhs[0], *rhs[2:])))._asdict())


# --- Batch: one more dimension, folded into one that is there ---------------------------------------------------------


def _batch(size: int, batched: Sequence[bool], x: Value, w: Value, **params: Any) -> Value:
    p = Window(**params)
    lhs, rhs, out = p.dimension_numbers
    groups = p.feature_groups * p.batch_groups
    if size == 0:
        kinds = (v.type.with_shape(v.type.shape[1:]) if b else v.type for b, v in zip(batched, (x, w)))
        return zeros(x.device, Type.of((0, *_infer(*kinds, **params).shape), x.type.dtype))
    if all(batched):
        x = move_into(x, 0, lhs[1] if p.batch_groups == 1 else lhs[0], 1)
        w = move_into(w, 0, rhs[0], 1)
        field = "feature_groups" if p.batch_groups == 1 else "batch_groups"
        return move_out(convolution(x, w, **(params | {field: size * groups})), out[1], size, 0, 1)
    if batched[0]:
        x = move_into(x, 0, lhs[0], p.batch_groups)
        return move_out(convolution(x, w, **params), out[0], size, 0, 1)
    w = move_into(w, 0, rhs[0], groups)
    return move_out(convolution(x, w, **params), out[1], size, 0, groups)


convolution = register(Op("convolution", _infer, _reference, _lower, _vjp, _batch))


# --- The two spellings that layers use --------------------------------------------------------------------------------


def conv(x: Value, w: Value, strides: Ints, padding: Pairs, dilation: Ints, groups: int) -> Value:
    """The convolution (cross-correlation) of torch's conv1d, conv2d, conv3d, for any number of spatial axes.

    out[n, o, t] = sum over c and k of x[n, c, t * stride + k * dilation - low] * w[o, c, k]

    Arguments: `x` (N, C, *spatial), `w` (O, C / groups, *kernel); per spatial axis a stride, a pair (low, high) of
    padding counts (negative ones cut) and a dilation of the kernel. Returns (N, O, *out).
    Errors: OpError where sizes, groups or dtypes do not fit.
    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html
    """
    rank = len(strides)
    return convolution(x, w, strides=strides, padding=padding, lhs_dilation=(1,) * rank, rhs_dilation=dilation,
                       window_reversal=(False,) * rank, feature_groups=groups, batch_groups=1,
                       dimension_numbers=nc_layout(rank))


def conv_transpose(x: Value, w: Value, strides: Ints, padding: Ints, output_padding: Ints, dilation: Ints,
                   groups: int) -> Value:
    """The gradient of `conv` with respect to its input, taken as a layer: torch's conv_transpose1d, 2d, 3d.

    out size = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1

    Arguments: `x` (N, C, *spatial), `w` (C, O / groups, *kernel); per spatial axis a stride, the padding of the
    convolution it undoes, the rows to add at the high end (fewer than the stride or the dilation), a dilation of the
    kernel. Returns (N, O, *out). Errors: OpError where sizes, groups or dtypes do not fit.
    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose2d.html
    """
    rank = len(strides)
    fits = (0 <= o < max(s, d) for o, s, d in zip(output_padding, strides, dilation))
    requires(len(output_padding) == rank and all(fits), "conv_transpose",
             "output padding smaller than stride or dilation", output_padding)
    requires(groups >= 1 and w.type.ndim == rank + 2 and w.type.shape[0] % groups == 0, "conv_transpose",
             f"a kernel (C, O / groups, *{rank} sizes) with C a multiple of {groups}", w.type)
    if groups > 1:
        w = _exchange_groups(w, 0, 1, groups)  # (G * C, O) -> (C, G * O)
    reaches = [d * (k - 1) for k, d in zip(w.type.shape[2:], dilation)]
    pairs = tuple((r - p, r - p + o) for r, p, o in zip(reaches, padding, output_padding))
    order = nc_layout(rank)[0]
    return convolution(x, reverse(w, axes=order[2:]), strides=(1,) * rank, padding=pairs, lhs_dilation=strides,
                       rhs_dilation=dilation, window_reversal=(False,) * rank, feature_groups=groups, batch_groups=1,
                       dimension_numbers=(order, (1, 0, *order[2:]), order))
