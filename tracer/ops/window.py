"""Windows that slide: pooling and its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..ir import dtypes
from ..ir.constants import from_literal, full_like, literal, with_leading
from ..ir.dtypes import dtype
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .conditions import both, compared, either
from .convolution import Pairs, dilated, padding_attribute, spread_and_pad, window_count, window_view, zeros
from .elementwise import LOGICAL, NUMBER, REAL, add, compare, in_type, mul, select, times
from .reduction import NEUTRAL, accumulator, precedes, widened
from .structural import Ints, array_attribute, constant, iota, pad, reshape, slice_


class Kind(NamedTuple):
    """What a window does with its elements."""

    hlo: str
    accepts: frozenset[dtype]
    reduce: Any


KINDS = {
    "add": Kind("add", NUMBER, np.add),
    "mul": Kind("multiply", NUMBER, np.multiply),
    "max": Kind("maximum", REAL | LOGICAL, np.maximum),
    "min": Kind("minimum", REAL | LOGICAL, np.minimum),
}
SELECTS = {"max": np.greater, "min": np.less}
_BEFORE = {"max": "GT", "min": "LT"}


class Slide(NamedTuple):
    """How a window moves: per axis its size, stride, low and high padding, and holes in the operand and the window."""

    window: Ints
    strides: Ints
    padding: Pairs
    base_dilation: Ints
    window_dilation: Ints

    @property
    def is_dense(self) -> bool:
        """Whether there are no holes."""
        return all(d == 1 for d in (*self.base_dilation, *self.window_dilation))

    def batched(self) -> Slide:
        """The same under one more leading axis."""
        return Slide((1, *self.window), (1, *self.strides), ((0, 0), *self.padding), (1, *self.base_dilation),
                     (1, *self.window_dilation))

    def positions(self) -> list[Ints]:
        """The places in the window, in row-major order."""
        return list(product(*map(range, self.window)))


def slid_shape(op: str, x: Type, s: Slide) -> Ints:
    """The number of windows along each axis of `x`."""
    requires(all(len(v) == x.ndim for v in s), op, f"a window, stride, padding and dilation for each axis of {x}",
             tuple(s))
    requires(all(n >= 1 for v in (s.window, s.strides, s.base_dilation, s.window_dilation) for n in v), op,
             "positive window sizes, strides and dilations", tuple(s))
    padded = [dilated(n, d) + low + high for n, d, (low, high) in zip(x.shape, s.base_dilation, s.padding)]
    requires(all(n >= 0 for n in padded), op, "padding that leaves a non-negative size", s.padding)
    return tuple(map(window_count, padded, map(dilated, s.window, s.window_dilation), s.strides))


def slide_attributes(s: Slide) -> str:
    """MLIR text of a window's movement."""
    return (f"window_dimensions = {array_attribute(s.window)}, window_strides = {array_attribute(s.strides)}, "
            f"base_dilations = {array_attribute(s.base_dilation)}, "
            f"window_dilations = {array_attribute(s.window_dilation)}, padding = {padding_attribute(s.padding)}")


def array_windows(x: Any, s: Slide, value: Any) -> Any:
    """numpy: a view (*windows, *window) of `x` with `value` in the padding and the holes."""
    axes = range(x.ndim)
    return window_view(spread_and_pad(x, axes, s.base_dilation, s.padding, value), axes, s.window, s.strides,
                       s.window_dilation)


# --- Windows in terms of slices and pads: one position at a time ------------------------------------------------------


def pad_window(x: Value, s: Slide, value: Value) -> Value:
    """`x` with `value` in the padding and the holes."""
    low, high = zip(*s.padding) if s.padding else ((), ())
    return pad(x, value, low=tuple(low), high=tuple(high), interior=tuple(d - 1 for d in s.base_dilation))


def _at(padded: Value, position: Ints, s: Slide, out: Ints) -> Value:
    """What each window has at one position."""
    start = tuple(k * d for k, d in zip(position, s.window_dilation))
    limit = tuple(a + (n - 1) * t + 1 if n else a for a, n, t in zip(start, out, s.strides))
    return slice_(padded, start=start, limit=limit, stride=s.strides)


def _put(g: Value, position: Ints, s: Slide, padded: Ints) -> Value:
    """The transpose of `_at`: what each window has, put at one position."""
    low = tuple(k * d for k, d in zip(position, s.window_dilation))
    high = tuple(p - a - dilated(n, t) for p, a, n, t in zip(padded, low, g.type.shape, s.strides))
    zero = zeros(g.device, Type.of((), g.type.dtype))
    return pad(g, zero, low=low, high=high, interior=tuple(t - 1 for t in s.strides))


def _unpad(g: Value, s: Slide) -> Value:
    """The transpose of `pad_window`."""
    zero = zeros(g.device, Type.of((), g.type.dtype))
    inner = pad(g, zero, low=tuple(-a for a, _ in s.padding), high=tuple(-b for _, b in s.padding),
                interior=(0,) * len(s.padding))
    return slice_(inner, start=(0,) * inner.type.ndim, limit=inner.type.shape, stride=s.base_dilation)


# --- reduce_window ----------------------------------------------------------------------------------------------------


def _infer(x: Type, *, kind: str, **params: Any) -> Type:
    requires(kind in KINDS, "reduce_window", f"a kind among {', '.join(KINDS)}", kind)
    requires(x.dtype in KINDS[kind].accepts, "reduce_window", f"an operand that {kind} takes", x)
    return x.with_shape(slid_shape("reduce_window", x, Slide(**params)))


def wide(x: Any) -> Any:
    """Half-precision types as float32."""
    kind = dtypes.from_numpy(x.dtype)
    return x.astype(np.float32) if kind.is_floating_point and kind.itemsize < 4 else x


def neutral(kind: str, type: dtype) -> str:
    """The literal that a reduction of that kind starts from."""
    return NEUTRAL[KINDS[kind].hlo](type)


def _reference(x: Any, *, kind: str, **params: Any) -> Any:
    type = dtypes.from_numpy(x.dtype)
    windows = array_windows(wide(x), Slide(**params), from_literal(neutral(kind, type), type))
    with np.errstate(all="ignore"):
        result = KINDS[kind].reduce.reduce(windows.reshape(*windows.shape[:x.ndim], math.prod(windows.shape[x.ndim:])),
                                           axis=-1, dtype=windows.dtype)
    return in_type(result, type)


def lower_windows(h: Emitter, x: Operand, *, kind: str, **params: Any) -> Operand:
    hlo, out = KINDS[kind].hlo, h.out
    scalar = Type.of((), accumulator(x.type.dtype, hlo))
    body = h.region([scalar, scalar], lambda a, b: h.op(hlo, (a, b), scalar))
    start = h.constant(neutral(kind, scalar.dtype), scalar)
    total = h.ops("reduce_window", (widened(h, x, scalar.dtype), start), (out.with_dtype(scalar.dtype),),
                  slide_attributes(Slide(**params)), (body,))[0]
    return widened(h, total, out.dtype)


def _vjp(g: Value, out: Value, x: Value, *, kind: str, **params: Any) -> tuple[Value]:
    s = Slide(**params)
    if 0 in (g.type.size, x.type.size):
        return (full_like(x, 0),)
    if kind == "add":
        return (_spread_sums(g, x.type, s),)
    if kind == "mul":
        return (_spread_products(g, x, s),)
    return (_scatter_selected(g, x, kind, s),)


def _spread_sums(g: Value, x: Type, s: Slide) -> Value:
    """For each element the sum of g over the windows that hold it: a window sum again, strides and holes exchanged."""
    padding = []
    for n, k, t, (low, _), base, hole, m in zip(x.shape, *s, g.type.shape):
        reach = dilated(k, hole)
        first = reach - 1 - low
        padding.append((first, (n - 1) * base + reach - dilated(m, t) - first))
    return reduce_window(g, kind="add", window=s.window, strides=s.base_dilation, padding=tuple(padding),
                         base_dilation=s.strides, window_dilation=s.window_dilation)


def _spread_products(g: Value, x: Value, s: Slide) -> Value:
    """g times the product of the window's other elements, from both sides, so that zeros are no special case."""
    one = constant.on(x.device, value=literal(1, x.type.dtype), shape=(), dtype=x.type.dtype)
    padded = pad_window(x, s, one)
    positions = s.positions()
    parts = [_at(padded, p, s, g.type.shape) for p in positions]
    before, after = [full_like(g, 1)], [full_like(g, 1)]
    for part, mirror in zip(parts[:-1], parts[:0:-1]):
        before.append(mul(before[-1], part))
        after.append(mul(after[-1], mirror))
    total = None
    for p, left, right in zip(positions, before, reversed(after)):
        piece = _put(times(g, mul(left, right)), p, s, padded.type.shape)
        total = piece if total is None else add(total, piece)
    assert total is not None
    return _unpad(total, s)


def _batch(size: int, batched: Sequence[bool], x: Value, *, kind: str, **params: Any) -> Value:
    return reduce_window(x, kind=kind, **Slide(**params).batched()._asdict())


reduce_window = register(Op("reduce_window", _infer, _reference, lower_windows, _vjp, _batch, exact_on_integers=True))


# --- The selected element of each window: gather and scatter, each the other's transpose ------------------------------


def _require_selectable(op: str, x: Type, kind: str) -> None:
    requires(kind in SELECTS, op, "max or min as kind", kind)
    requires(x.dtype in REAL | LOGICAL, op, "a real operand to select from", x)


def _selected(x: Any, kind: str, s: Slide) -> tuple[Any, Any]:
    """numpy: the position in each window that is selected, and whether there is any.

    As PyTorch does it: of equal elements the first is selected, and the last NaN, if there is one.
    """
    windows = array_windows(wide(x), s, 0)
    inside = array_windows(np.ones(x.shape, np.bool_), s, False)
    windows, inside = (v.reshape(*v.shape[:x.ndim], math.prod(s.window)) for v in (windows, inside))
    place, found = np.zeros(windows.shape[:-1], np.int64), np.zeros(windows.shape[:-1], np.bool_)
    best = np.zeros(windows.shape[:-1], windows.dtype)
    for k in range(windows.shape[-1]):
        other = windows[..., k]
        with np.errstate(all="ignore"):
            take = inside[..., k] & (~found | (other != other) | SELECTS[kind](other, best))
        place, best, found = np.where(take, k, place), np.where(take, other, best), found | take
    return place, found


def _gather_infer(x: Type, values: Type, *, kind: str, **params: Any) -> Type:
    _require_selectable("select_and_gather", x, kind)
    requires(values.shape == x.shape, "select_and_gather", f"values of the shape of {x}", values)
    return values.with_shape(slid_shape("select_and_gather", x, Slide(**params)))


def _gather_reference(x: Any, values: Any, *, kind: str, **params: Any) -> Any:
    s = Slide(**params)
    place, found = _selected(x, kind, s)
    windows = array_windows(values, s, values.dtype.type(0))
    flat = windows.reshape(*place.shape, math.prod(s.window))
    taken = np.take_along_axis(flat, place[..., None], -1)[..., 0]
    return np.where(found, taken, values.dtype.type(0)).astype(values.dtype, copy=False)


def _gather_lower(h: Emitter, x: Operand, values: Operand, *, kind: str, **params: Any) -> Operand:
    types = key, place, item = tuple(Type.of((), d) for d in (x.type.dtype, _numbering(x.type), values.type.dtype))

    def body(a: Operand, p: Operand, v: Operand, b: Operand, q: Operand, w: Operand) -> tuple[Operand, ...]:
        """Whichever order the window is gone through in, which XLA leaves open: what is equal is told apart by its place."""
        selected = either(h, precedes(h, _BEFORE[kind], a, p, b, q, nan="GT"), compared(h, "LT", q, zero))
        keep = both(h, compared(h, "GE", p, zero), selected)
        return tuple(h.op("select", (keep, *pair), t) for pair, t in zip(((a, b), (p, q), (v, w)), types))

    zero, nowhere = h.constant("0", place), h.constant("-1", place)
    flat = h.op("iota", (), Type.of((x.type.size,), place.dtype), "iota_dimension = 0 : i64")
    places = h.op("reshape", (flat,), x.type.with_dtype(place.dtype))
    starts = [h.constant(literal(0, key.dtype), key), nowhere, h.constant(literal(0, item.dtype), item)]
    outs = [h.out.with_dtype(t.dtype) for t in types]
    return h.ops("reduce_window", (x, places, values, *starts), outs, slide_attributes(Slide(**params)),
                 (h.region((*types, *types), body),))[2]


def _numbering(x: Type) -> dtype:
    """The dtype of the places in an operand: as narrow as it may be, since windows of them are gone through."""
    return dtypes.int32 if x.size < 1 << 31 else dtypes.int64


def _gather_vjp(g: Value, out: Value, x: Value, values: Value, *, kind: str,
                **params: Any) -> tuple[Value | None, Value]:
    if 0 in (g.type.size, x.type.size):
        return None, full_like(values, 0)
    return None, _scatter_selected(g, x, kind, Slide(**params))


def _gather_batch(size: int, batched: Sequence[bool], x: Value, values: Value, *, kind: str, **params: Any) -> Value:
    x, values = (with_leading(size, b, v) for b, v in zip(batched, (x, values)))
    return select_and_gather(x, values, kind=kind, **Slide(**params).batched()._asdict())


select_and_gather = register(Op("select_and_gather", _gather_infer, _gather_reference, _gather_lower, _gather_vjp,
                                _gather_batch, exact_on_integers=True))


def _scatter_selected(g: Value, x: Value, kind: str, s: Slide) -> Value:
    """Add each window's g to its selected element.

    XLA's own instruction knows one dtype, no holes and no padding beyond a window, and on the CPU it goes through a window in
    an order of its own, so that another one of equal elements is selected. Else the chosen places are found first, and compared
    with one position of the window at a time, which takes the CPU as long.
    """
    known = s.is_dense and _padding_is_inside(s.window, s.padding) and g.type.dtype is x.type.dtype
    if known and not x.device.startswith("cpu"):
        return select_and_scatter(x, g, kind=kind, window=s.window, strides=s.strides, padding=s.padding)
    number = _numbering(x.type)
    places = reshape(iota.on(x.device, shape=(x.type.size,), axis=0, dtype=number), shape=x.type.shape)
    chosen = select_and_gather(x, places, kind=kind, **s._asdict())
    nowhere = constant.on(x.device, value="-1", shape=(), dtype=number)
    padded = pad_window(places, s, nowhere)
    total = None
    for p in s.positions():
        hit = compare(chosen, _at(padded, p, s, g.type.shape), direction="EQ")
        piece = _put(select(hit, g, full_like(g, 0)), p, s, padded.type.shape)
        total = piece if total is None else add(total, piece)
    assert total is not None
    return _unpad(total, s)


def _padding_is_inside(window: Ints, padding: Pairs) -> bool:
    return all(0 <= low < n and 0 <= high < n for n, (low, high) in zip(window, padding))


def _dense(window: Ints, strides: Ints, padding: Pairs) -> Slide:
    ones = (1,) * len(window)
    return Slide(window, strides, padding, ones, ones)


def _scatter_infer(x: Type, source: Type, *, kind: str, window: Ints, strides: Ints, padding: Pairs) -> Type:
    _require_selectable("select_and_scatter", x, kind)
    shape = slid_shape("select_and_scatter", x, _dense(window, strides, padding))
    requires(source.shape == shape and source.dtype is x.dtype and x.dtype in NUMBER, "select_and_scatter",
             f"a number of the dtype of {x} for each of {shape} windows", source)
    requires(_padding_is_inside(window, padding), "select_and_scatter", "padding from 0 to less than the window",
             padding)
    requires(x.size > 0 or source.size == 0, "select_and_scatter", "an operand with elements", x)
    return source.with_shape(x.shape)


def _scatter_reference(x: Any, source: Any, *, kind: str, window: Ints, strides: Ints, padding: Pairs) -> Any:
    s = _dense(window, strides, padding)
    place, found = _selected(x, kind, s)
    numbers = array_windows(np.arange(x.size).reshape(x.shape), s, 0).reshape(*place.shape, math.prod(window))
    target = np.take_along_axis(numbers, place[..., None], -1)[..., 0]
    result = np.zeros(x.size, wide(source).dtype)
    np.add.at(result, target[found], wide(source)[found])
    return in_type(result.reshape(x.shape), dtypes.from_numpy(source.dtype))


def _scatter_lower(h: Emitter, x: Operand, source: Operand, *, kind: str, window: Ints, strides: Ints,
                   padding: Pairs) -> Operand:
    if 0 in (x.type.size, source.type.size):
        return h.constant(literal(0, h.out.dtype), h.out)
    out, item = h.out, Type.of((), accumulator(h.out.dtype, "add"))
    x, source = widened(h, x, item.dtype), widened(h, source, item.dtype)

    def chooses(a: Operand, b: Operand) -> Operand:
        behind = h.op("not", (compared(h, _BEFORE[kind], b, a),), Type.of((), dtypes.boolean))
        return both(h, behind, compared(h, "EQ", b, b)) if item.dtype.is_floating_point else behind

    adds = h.region((item, item), lambda a, b: h.op("add", (a, b), item))
    attributes = (f"window_dimensions = {array_attribute(window)}, window_strides = {array_attribute(strides)}, "
                  f"padding = {padding_attribute(padding)}")
    zero = h.constant(literal(0, item.dtype), item)
    total = h.ops("select_and_scatter", (x, source, zero), (out.with_dtype(item.dtype),), attributes,
                  (h.region((item, item), chooses), adds))[0]
    return widened(h, total, out.dtype)


def _scatter_vjp(g: Value, out: Value, x: Value, source: Value, *, kind: str, window: Ints, strides: Ints,
                 padding: Pairs) -> tuple[Value | None, Value]:
    return None, select_and_gather(x, g, kind=kind, **_dense(window, strides, padding)._asdict())


def _scatter_batch(size: int, batched: Sequence[bool], x: Value, source: Value, *, kind: str, window: Ints,
                   strides: Ints, padding: Pairs) -> Value:
    x, source = (with_leading(size, b, v) for b, v in zip(batched, (x, source)))
    return select_and_scatter(x, source, kind=kind, window=(1, *window), strides=(1, *strides),
                              padding=((0, 0), *padding))


select_and_scatter = register(Op("select_and_scatter", _scatter_infer, _scatter_reference, _scatter_lower, _scatter_vjp,
                                 _scatter_batch, exact_on_integers=True))
