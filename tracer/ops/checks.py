"""Checks in the program: ops that find the first thing that is wrong, and say so in a report.

A report is int64[2]: which check failed, counted from 1 (0 says that none did), and the offending number. Each is one
reduction; `lead` counts leading dimensions, of a batch, that keep a report each.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import accumulate, groupby
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
_EXACT = 1 << 24  # integers up to this one are float32 numbers


def _lower_first(h: Emitter, codes: Operand, numbers: Operand, lead: int) -> Operand:
    """`_first`: a code of a bool or a number, and the number beside it."""
    return _lower_report(h, *_lower_pair(h, codes, numbers, lead), lead)


def _lower_pair(h: Emitter, codes: Operand, numbers: Operand, lead: int) -> Pair:
    """The first code that is not 0 and its number, of each example."""
    wrong = codes if codes.type.dtype is dtypes.boolean else compared(h, "NE", codes, h.constant("0", codes.type))
    [place] = _first_places(h, [wrong], lead)
    if place is None:
        return (h.constant("0", NUMBER.with_shape(codes.type.shape[:lead])),) * 2
    code = h.op("convert", (place[1],), NUMBER.with_shape(place[1].type.shape))
    return code if codes.type.dtype is dtypes.boolean else _at(h, codes, *place), _at(h, numbers, *place)


def _first_places(h: Emitter, flags: Sequence[Operand], lead: int) -> list[Pair | None]:
    """Of each example the first flag that holds, of the first that has one: for each of `flags` its place there and whether
    it is in this one; None for one without elements.

    It is one minimum over all of them. That takes half the time of a reduction of pairs that carries the number along, which is
    a chain of choices, element by element; and each kernel costs some 10 us on a CPU where several run at once, of which XLA
    makes one for a reduction of float32 and a tree of three for integers.
    """
    shape = flags[0].type.shape[:lead]
    examples = max(Type.of(shape, dtypes.boolean).size, 1)
    counts = [f.type.size // examples for f in flags]
    total = sum(counts)
    if not total:
        return [None] * len(flags)
    dtype = dtypes.float32 if total <= _EXACT else dtypes.int32 if total < 1 << 31 else dtypes.int64
    whole, places = Type.of((*shape, total), dtype), []
    parts = [h.op("reshape", (f,), f.type.with_shape((*shape, count))) for f, count in zip(flags, counts) if count]
    wrong = parts[0] if len(parts) == 1 else h.op(
        "concatenate", parts, parts[0].type.with_shape(whole.shape), f"dimension = {lead} : i64")
    at = h.op("iota", (), whole, f"iota_dimension = {lead} : i64")
    first = _reduced(h, "minimum", h.op("select", (wrong, at, h.constant(str(total), whole)), whole), str(total), lead)
    one, start = Type.of(shape, dtypes.int32 if dtype is dtypes.float32 else dtype), 0
    first = first if first.type == one else h.op("convert", (first,), one)
    for count in counts:
        here = compared(h, "LT", first, h.constant(str(start + count), one))
        if start:
            here = both(h, here, compared(h, "GE", first, h.constant(str(start), one)))
        place = first if not start else h.op("subtract", (first, h.constant(str(start), one)), one)
        places.append((place, here) if count else None)
        start += count
    return places


def _at(h: Emitter, x: Operand, place: Operand, found: Operand) -> Operand:
    """The elements of x, those of an example in one row, in the places; 0 where `found` does not hold."""
    shape = place.type.shape
    lead, zero = len(shape), h.constant("0", x.type.with_shape(shape))
    flat = h.op("reshape", (x,), x.type.with_shape((*shape, x.type.size // max(zero.type.size, 1))))
    if shape:
        places = place.type.with_shape(flat.type.shape)
        rows = f"broadcast_dimensions = {array_attribute(tuple(range(lead)))}"
        here = compared(h, "EQ", h.op("iota", (), places, f"iota_dimension = {lead} : i64"),
                        h.op("broadcast_in_dim", (place,), places, rows))
        one = _reduced(h, "add", h.op("select", (here, flat, h.constant("0", flat.type)), flat.type), "0", lead)
    else:
        one = h.op("dynamic_slice", (flat, place), x.type.with_shape((1,)), "slice_sizes = array<i64: 1>")
        one = h.op("reshape", (one,), zero.type)
    return h.op("select", (found, one, zero), zero.type)


def _reduced(h: Emitter, op: str, x: Operand, start: str, lead: int) -> Operand:
    kind = x.type.with_shape(())
    return h.ops("reduce", (x, h.constant(start, kind)), (x.type.with_shape(x.type.shape[:lead]),),
                 f"dimensions = {array_attribute((lead,))}", (h.region((kind, kind), lambda a, b: h.op(op, (a, b), kind)),))[0]


def _lower_report(h: Emitter, code: Operand, number: Operand, lead: int) -> Operand:
    shape = code.type.shape
    return h.op("concatenate", [h.op("reshape", (x,), NUMBER.with_shape((*shape, 1))) for x in (code, number)],
                REPORT.with_shape((*shape, 2)), f"dimension = {lead} : i64")


# --- outside ----------------------------------------------------------------------------------------------------------


Bounds = tuple[int, int, int, bool]  # low, high, exempt, inside


def _outside_infer(*xs: Type, bounds: tuple[Bounds, ...], lead: int) -> Type:
    requires(len(xs) == len(bounds) > 0, "outside", "bounds for each operand", (xs, bounds))
    requires(all(x.dtype in INTEGER for x in xs), "outside", "integers", xs)
    requires(all(lead <= x.ndim and x.shape[:lead] == xs[0].shape[:lead] for x in xs) and lead >= 0, "outside",
             f"{lead} leading dimensions that are the same", xs)
    return _report_type(xs[0], lead)


def wrong_integers(x: Any, low: int, high: int, exempt: int, inside: bool) -> Any:
    """Which elements of a numpy array `outside` reports."""
    wrong = ((x >= low) & (x < high)) == inside
    return wrong if low <= exempt < high else wrong & (x != exempt)


def _outside_reference(*xs: Any, bounds: tuple[Bounds, ...], lead: int) -> Any:
    reports = (_first(wrong_integers(x, *b), x, lead) for x, b in zip(xs, bounds))
    return _report_reference(*reports, offsets=range(len(xs)), lead=lead)


def _outside_lower(h: Emitter, *xs: Operand, bounds: tuple[Bounds, ...], lead: int) -> Operand:
    numbers = [x if x.type.dtype is dtypes.int64 else h.op("convert", (x,), NUMBER.with_shape(x.type.shape)) for x in xs]
    places = _first_places(h, [_lower_wrong(h, x, *b) for x, b in zip(numbers, bounds)], lead)
    one = NUMBER.with_shape(xs[0].type.shape[:lead])
    code = number = h.constant("0", one)
    for i, (x, place) in enumerate(zip(numbers, places)):
        if place is not None:
            code = h.op("select", (place[1], h.constant(str(i + 1), one), code), one)
            number = h.op("select", (place[1], _at(h, x, *place), number), one)
    return _lower_report(h, code, number, lead)


def _lower_wrong(h: Emitter, x: Operand, low: int, high: int, exempt: int, inside: bool) -> Operand:
    """`wrong_integers` of int64."""
    below, above = (compared(h, direction, x, h.constant(str(bound), x.type)) for bound, direction in ((low, "LT"), (high, "GE")))
    wrong = either(h, below, above)
    wrong = h.op("not", (wrong,), wrong.type) if inside else wrong
    return wrong if low <= exempt < high else both(h, wrong, compared(h, "NE", x, h.constant(str(exempt), x.type)))


def _outside_batch(size: int, batched: Sequence[bool], *xs: Value, bounds: tuple[Bounds, ...], lead: int) -> Value:
    report: Value = outside(*(with_leading(size, b, x) for b, x in zip(batched, xs)), bounds=bounds, lead=lead + 1)
    return report


# outside(*xs; bounds, lead) -> the report of the first x that is not in [low, high), or that is, if `inside`; its code is the
# operand that it is of. The number `exempt` is right wherever it lies.
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


def _report_reference(*reports: Any, offsets: Sequence[int], lead: int) -> Any:
    """Of each example the first report of a failure; codes are counted from the report's offset."""
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
    checks = [c for kind, group in groupby(first.values(), _is_of_integers) for c in (_united([*group]) if kind else group)]
    if len(checks) == 1 and checks[0].report.type is REPORT:
        return checks[0]
    offsets = accumulate((len(c.sites) for c in checks[:-1]), initial=0)
    report = first_report(*(c.report for c in checks), offsets=tuple(offsets), lead=0)
    return Check(report, tuple(site for c in checks for site in c.sites))


def _is_of_integers(check: Check) -> bool:
    """Whether a check is one of integers, for one example, that is still to run."""
    node = check.report.node
    return node is not None and node.op is outside and not node.params["lead"] and not node.done


def _united(checks: Sequence[Check]) -> Sequence[Check]:
    """Checks of integers, which follow each other, in one operation."""
    if len(checks) == 1:
        return checks
    nodes = [node for check in checks if (node := check.report.node)]
    bounds = tuple(b for node in nodes for b in node.params["bounds"])
    report = outside(*(x for node in nodes for x in node.inputs), bounds=bounds, lead=0)
    return [Check(report, tuple(site for check in checks for site in check.sites))]


def _what(check: Check) -> Hashable:
    """Equal for checks that fail together, of which the first is told."""
    node = check.report.node
    if node is None or node.op.multiple:
        return check.report
    return node.op, node.inputs, tuple(node.params.values())
