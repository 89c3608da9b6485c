"""Checks in the program: ops that find the first thing that is wrong, and say so in a report.

A report is int64[2]: which check failed, counted from 1 (0 says that none did), and the offending number. Each is one
reduction; `lead` counts leading dimensions, of a batch, that keep a report each.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.checks import Check
from ..ir.constants import with_leading
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register, zero_gradient
from ..ir.types import Type
from .conditions import both, compared, either
from .elementwise import INTEGER
from .structural import Ints, array_attribute

REPORT = Type.of((2,), dtypes.int64)
FLAG, NUMBER = Type.of((), dtypes.boolean), Type.of((), dtypes.int64)


def _report_type(x: Type, lead: int) -> Type:
    return REPORT.with_shape((*x.shape[:lead], 2))


# --- The reduction ----------------------------------------------------------------------------------------------------


def _first(codes: Any, numbers: Any, lead: int) -> Any:
    """Of each example the first code that is not 0, with its number."""
    shape = codes.shape[:lead]
    codes, numbers = (x.reshape(*shape, -1) for x in (codes, numbers))
    if not codes.shape[-1]:
        return np.zeros((*shape, 2), np.int64)
    at = np.argmax(codes != 0, -1)[..., None]
    found = np.concatenate([np.take_along_axis(x, at, -1) for x in (codes, numbers)], -1)
    return np.where(found[..., :1] != 0, found, 0).astype(np.int64)


Pair = tuple[Operand, Operand]  # codes and numbers


def _lower_first(h: Emitter, codes: Operand, numbers: Operand, lead: int) -> Operand:
    """`_first`: a code of a bool or a number, and the number beside it."""
    return _lower_report(h, *_lower_pair(h, codes, numbers, lead), lead)


def _lower_pair(h: Emitter, codes: Operand, numbers: Operand, lead: int) -> Pair:
    """The first code that is not 0 and its number, of each example.

    Where it is comes from a minimum, which takes half the time of a reduction of pairs that carries the number along: that
    one is a chain of choices, element by element.
    """
    shape = codes.type.shape[:lead]
    count = codes.type.size // max(Type.of(shape, dtypes.boolean).size, 1)
    one = NUMBER.with_shape(shape)
    if not count:
        return (h.constant("0", one),) * 2
    flat, place = (*shape, count), Type.of((*shape, count), dtypes.int32 if count < 1 << 31 else dtypes.int64)
    codes, numbers = (h.op("reshape", (x,), x.type.with_shape(flat)) for x in (codes, numbers))
    wrong = codes if codes.type.dtype is dtypes.boolean else compared(h, "NE", codes, h.constant("0", codes.type))
    places = h.op("iota", (), place, f"iota_dimension = {lead} : i64")
    nowhere = h.constant(str(count), place)
    first = _reduced(h, "minimum", h.op("select", (wrong, places, nowhere), place), str(count), lead)
    found = compared(h, "LT", first, h.constant(str(count), first.type))
    return ((h.op("convert", (found,), one) if codes.type.dtype is dtypes.boolean else _at(h, codes, first, places, found)),
            _at(h, numbers, first, places, found))


def _at(h: Emitter, x: Operand, first: Operand, places: Operand, found: Operand) -> Operand:
    """The elements of the last dimension in the places `first`, 0 where there is none."""
    zero, shape = h.constant("0", x.type.with_shape(first.type.shape)), first.type.shape
    if shape:
        rows = f"broadcast_dimensions = {array_attribute(tuple(range(len(shape))))}"
        here = h.op("broadcast_in_dim", (first,), places.type, rows)
        here = compared(h, "EQ", places, here)
        return _reduced(h, "add", h.op("select", (here, x, h.constant("0", x.type)), x.type), "0", len(shape))
    one = h.op("dynamic_slice", (x, first), x.type.with_shape((1,)), "slice_sizes = array<i64: 1>")
    return h.op("select", (found, h.op("reshape", (one,), zero.type), zero), zero.type)


def _reduced(h: Emitter, op: str, x: Operand, start: str, lead: int) -> Operand:
    kind = x.type.with_shape(())
    return h.ops("reduce", (x, h.constant(start, kind)), (x.type.with_shape(x.type.shape[:lead]),),
                 f"dimensions = {array_attribute((lead,))}", (h.region((kind, kind), lambda a, b: h.op(op, (a, b), kind)),))[0]


def _lower_report(h: Emitter, code: Operand, number: Operand, lead: int) -> Operand:
    shape = code.type.shape
    return h.op("concatenate", [h.op("reshape", (x,), NUMBER.with_shape((*shape, 1))) for x in (code, number)],
                REPORT.with_shape((*shape, 2)), f"dimension = {lead} : i64")


# --- outside ----------------------------------------------------------------------------------------------------------


def _outside_infer(x: Type, *, low: int, high: int, exempt: int, inside: bool, lead: int) -> Type:
    requires(x.dtype in INTEGER, "outside", "integers", x)
    requires(0 <= lead <= x.ndim, "outside", f"a lead of at most {x.ndim}", lead)
    return _report_type(x, lead)


def wrong_integers(x: Any, low: int, high: int, exempt: int, inside: bool) -> Any:
    """Which elements of a numpy array `outside` reports."""
    wrong = ((x >= low) & (x < high)) == inside
    return wrong if low <= exempt < high else wrong & (x != exempt)


def _outside_reference(x: Any, *, low: int, high: int, exempt: int, inside: bool, lead: int) -> Any:
    return _first(wrong_integers(x, low, high, exempt, inside), x, lead)


def _outside_lower(h: Emitter, x: Operand, *, low: int, high: int, exempt: int, inside: bool, lead: int) -> Operand:
    wide = NUMBER.with_shape(x.type.shape)
    numbers = x if x.type.dtype is dtypes.int64 else h.op("convert", (x,), wide)
    below, above = (compared(h, direction, numbers, h.constant(str(bound), wide))
                    for bound, direction in ((low, "LT"), (high, "GE")))
    wrong = either(h, below, above)
    wrong = h.op("not", (wrong,), wrong.type) if inside else wrong
    if not low <= exempt < high:
        wrong = both(h, wrong, compared(h, "NE", numbers, h.constant(str(exempt), wide)))
    return _lower_first(h, wrong, numbers, lead)


def _outside_batch(size: int, batched: Sequence[bool], x: Value, *, lead: int, **params: Any) -> Value:
    report: Value = outside(x, **params, lead=lead + 1)
    return report


# outside(x; low, high, exempt, inside, lead) -> the report of the first x that is not in [low, high), or that is, if
# `inside`. The number `exempt` is right wherever it lies.
outside = register(Op("outside", _outside_infer, _outside_reference, _outside_lower, zero_gradient, _outside_batch, exact=True))


# --- first_wrong ------------------------------------------------------------------------------------------------------


def _wrong_infer(flags: Type, numbers: Type, *, lead: int) -> Type:
    requires(flags.dtype is dtypes.boolean and numbers.dtype is dtypes.int64 and flags.shape == numbers.shape, "first_wrong",
             "bools, and int64 numbers in their shape", (flags, numbers))
    requires(0 <= lead <= flags.ndim, "first_wrong", f"a lead of at most {flags.ndim}", lead)
    return _report_type(flags, lead)


def _wrong_batch(size: int, batched: Sequence[bool], *xs: Value, lead: int) -> Value:
    report: Value = first_wrong(*(with_leading(size, b, x) for b, x in zip(batched, xs)), lead=lead + 1)
    return report


# first_wrong(flags, numbers; lead) -> the report of the first number whose flag holds.
first_wrong = register(Op("first_wrong", _wrong_infer, lambda flags, numbers, *, lead: _first(flags, numbers, lead),
                          lambda h, flags, numbers, *, lead: _lower_first(h, flags, numbers, lead), zero_gradient, _wrong_batch,
                          exact=True))


# --- first_report -----------------------------------------------------------------------------------------------------


def _report_infer(*reports: Type, offsets: Ints, lead: int) -> Type:
    requires(len(offsets) == len(reports) > 0, "first_report", "an offset for each report", (reports, offsets))
    first = reports[0]
    requires(all(r.dtype is dtypes.int64 and r.ndim > lead and r.shape[-1] == 2 and r.shape[:lead] == first.shape[:lead]
                 for r in reports), "first_report", f"reports with the same {lead} leading dimensions", reports)
    return _report_type(first, lead)


def _report_reference(*reports: Any, offsets: Ints, lead: int) -> Any:
    rows = [r.reshape(*r.shape[:lead], -1, 2) for r in reports]
    codes = [np.where(r[..., 0] != 0, r[..., 0] + offset, 0) for r, offset in zip(rows, offsets)]
    return _first(np.concatenate(codes, lead), np.concatenate([r[..., 1] for r in rows], lead), lead)


def _report_lower(h: Emitter, *reports: Operand, offsets: Ints, lead: int) -> Operand:
    """A choice from the last to the first: XLA makes one kernel of it, with what comes before and after."""
    pairs = [_lower_pair(h, *_columns(h, r, offset), lead) if r.type.ndim > lead + 1 else
             _columns(h, r, offset) for r, offset in zip(reports, offsets)]
    code, number = pairs.pop()
    for earlier, beside in reversed(pairs):
        failed = compared(h, "NE", earlier, h.constant("0", earlier.type))
        code, number = (h.op("select", (failed, x, y), x.type) for x, y in ((earlier, code), (beside, number)))
    return _lower_report(h, code, number, lead)


def _columns(h: Emitter, report: Operand, offset: int) -> Pair:
    """The codes of reports, with the offset added where there is one, and their numbers."""
    shape = report.type.shape[:-1]
    wide, zeros = NUMBER.with_shape(shape), (0,) * len(shape)
    code, number = (h.op("reshape", (h.op(
        "slice", (report,), NUMBER.with_shape((*shape, 1)), f"start_indices = {array_attribute((*zeros, i))}, "
        f"limit_indices = {array_attribute((*shape, i + 1))}, strides = {array_attribute((1,) * (len(shape) + 1))}"),), wide)
        for i in (0, 1))
    if offset:
        nothing = h.constant("0", wide)
        moved = h.op("add", (code, h.constant(str(offset), wide)), wide)
        code = h.op("select", (compared(h, "NE", code, nothing), moved, nothing), wide)
    return code, number


def _report_batch(size: int, batched: Sequence[bool], *reports: Value, offsets: Ints, lead: int) -> Value:
    report: Value = first_report(*(with_leading(size, b, r) for b, r in zip(batched, reports)), offsets=offsets, lead=lead + 1)
    return report


# first_report(*reports; offsets, lead) -> the first report of a failure; its code is counted from the report's offset.
first_report = register(Op("first_report", _report_infer, _report_reference, _report_lower, zero_gradient, _report_batch,
                           exact=True))


# --- Checks -----------------------------------------------------------------------------------------------------------


def joined(checks: Sequence[Check]) -> Check:
    """Several checks, in the order of the program, as one that has the sites of all that differ."""
    first: dict[Hashable, Check] = {}
    for check in checks:
        first.setdefault(_what(check), check)
    checks = [*first.values()]
    if len(checks) == 1 and checks[0].report.type is REPORT:
        return checks[0]
    offsets, count = [], 0
    for check in checks:
        offsets.append(count)
        count += len(check.sites)
    report = first_report(*(c.report for c in checks), offsets=tuple(offsets), lead=0)
    return Check(report, tuple(site for c in checks for site in c.sites))


def _what(check: Check) -> Hashable:
    """Equal for checks that fail together, of which the first is told."""
    node = check.report.node
    if node is None or node.op.multiple:
        return check.report
    return node.op, node.inputs, tuple(node.params.values())
