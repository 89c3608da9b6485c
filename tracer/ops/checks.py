"""Checks in the program: ops that find the first thing that is wrong, and say so in a report.

A report is int64[2]: which check failed, counted from 1 (0 says that none did), and the offending number. Each is one
reduction; `lead` counts leading dimensions, of a batch, that keep a report each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.checks import Check
from ..ir.constants import with_leading
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register, zero_gradient
from ..ir.types import Type
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


def _lower_first(h: Emitter, codes: Operand, numbers: Operand, lead: int) -> Operand:
    """`_first` in one pass: a code of a bool or a number, and the number beside it."""
    kind = Type.of((), codes.type.dtype)
    shape = codes.type.shape[:lead]
    zero, nothing = h.constant("False" if kind is FLAG else "0", kind), h.constant("0", NUMBER)

    def earlier(a: Operand, m: Operand, b: Operand, n: Operand) -> list[Operand]:
        wrong = a if kind is FLAG else _compare(h, a, zero, "NE")
        return [h.op("select", (wrong, a, b), kind), h.op("select", (wrong, m, n), NUMBER)]

    code, number = h.ops("reduce", (codes, numbers, zero, nothing), (kind.with_shape(shape), NUMBER.with_shape(shape)),
                         f"dimensions = {array_attribute(tuple(range(lead, codes.type.ndim)))}",
                         (h.region((kind, NUMBER, kind, NUMBER), earlier),))
    wide, column = NUMBER.with_shape(shape), NUMBER.with_shape((*shape, 1))
    flag = code if kind is FLAG else _compare(h, code, h.constant("0", wide), "NE")
    number = h.op("select", (flag, number, h.constant("0", wide)), wide)
    parts = [h.op("convert", (code,), wide) if kind is FLAG else code, number]
    return h.op("concatenate", [h.op("reshape", (x,), column) for x in parts], REPORT.with_shape((*shape, 2)),
                f"dimension = {lead} : i64")


def _compare(h: Emitter, x: Operand, y: Operand, direction: str) -> Operand:
    return h.op("compare", (x, y), FLAG.with_shape(x.type.shape),
                f"comparison_direction = #stablehlo<comparison_direction {direction}>")


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
    flag = FLAG.with_shape(x.type.shape)
    numbers = x if x.type.dtype is dtypes.int64 else h.op("convert", (x,), wide)
    below, above = (_compare(h, numbers, h.constant(str(bound), wide), direction)
                    for bound, direction in ((low, "LT"), (high, "GE")))
    wrong = h.op("or", (below, above), flag)
    wrong = h.op("not", (wrong,), flag) if inside else wrong
    if not low <= exempt < high:
        wrong = h.op("and", (wrong, _compare(h, numbers, h.constant(str(exempt), wide), "NE")), flag)
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
    pairs = [_columns(h, r, offset, lead) for r, offset in zip(reports, offsets)]
    count = sum(code.type.shape[-1] for code, _ in pairs)
    shape = reports[0].type.shape[:lead]
    codes, numbers = (column[0] if len(pairs) == 1 else
                      h.op("concatenate", column, NUMBER.with_shape((*shape, count)), f"dimension = {lead} : i64")
                      for column in zip(*pairs))
    return _lower_first(h, codes, numbers, lead)


def _columns(h: Emitter, report: Operand, offset: int, lead: int) -> tuple[Operand, Operand]:
    """The codes of reports, with the offset added where there is one, and their numbers."""
    shape = report.type.shape[:lead]
    count = report.type.size // max(2 * int(np.prod(shape)), 1)
    rows = h.op("reshape", (report,), NUMBER.with_shape((*shape, count, 2)))
    wide, zeros = NUMBER.with_shape((*shape, count)), (0,) * lead
    code, number = (h.op("reshape", (h.op(
        "slice", (rows,), NUMBER.with_shape((*shape, count, 1)), f"start_indices = {array_attribute((*zeros, 0, i))}, "
        f"limit_indices = {array_attribute((*shape, count, i + 1))}, strides = {array_attribute((1,) * (lead + 2))}"),), wide)
        for i in (0, 1))
    if offset:
        nothing = h.constant("0", wide)
        moved = h.op("add", (code, h.constant(str(offset), wide)), wide)
        code = h.op("select", (_compare(h, code, nothing, "NE"), moved, nothing), wide)
    return code, number


def _report_batch(size: int, batched: Sequence[bool], *reports: Value, offsets: Ints, lead: int) -> Value:
    report: Value = first_report(*(with_leading(size, b, r) for b, r in zip(batched, reports)), offsets=offsets, lead=lead + 1)
    return report


# first_report(*reports; offsets, lead) -> the first report of a failure; its code is counted from the report's offset.
first_report = register(Op("first_report", _report_infer, _report_reference, _report_lower, zero_gradient, _report_batch,
                           exact=True))


# --- Checks -----------------------------------------------------------------------------------------------------------


def joined(checks: Sequence[Check]) -> Check:
    """Several checks, in the order of the program, as one that has the sites of all."""
    if len(checks) == 1 and checks[0].report.type is REPORT:
        return checks[0]
    offsets, count = [], 0
    for check in checks:
        offsets.append(count)
        count += len(check.sites)
    report = first_report(*(c.report for c in checks), offsets=tuple(offsets), lead=0)
    return Check(report, tuple(site for c in checks for site in c.sites))
