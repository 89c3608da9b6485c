"""`jit(check_nan=True)`: a check that no value of a program is NaN, whose error names what gave the first one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..ir import dtypes
from ..ir.checks import Check, Site
from ..ir.errors import NanError
from ..ir.graph import Node, Value
from ..ir.recorder import record
from ..ir.source import describe, user_position
from ..ops.checks import first_wrong
from ..ops.elementwise import compare, imag, is_finite, not_, or_, real
from ..ops.reduction import reduce_or, reduce_sum
from ..ops.structural import concatenate, iota, reshape


@dataclass(frozen=True, slots=True, eq=False)
class Origin(Site):
    """Where a value comes from: one of the `origins` of all values, in the order of the program, with a verb each."""

    origins: tuple[tuple[str, str], ...] = ()
    at: int = 0

    def failure(self, number: int, note: str = "") -> Exception:
        """The error for a NaN here; `number` counts, from 1, to the first infinity, and is 0 if there is none."""
        text = f"{' '.join(self.origins[self.at])} the first NaN"
        if 0 < number <= self.at:
            text += f"; before it, the first infinity came from {self.origins[number - 1][0]}"
        return NanError(text + note)


def nan_checks(inputs: Mapping[Value, str], nodes: Iterable[Node]) -> list[Check]:
    """A check that none of these inputs, with their names, and of what these nodes compute is NaN; none if none can be."""
    origins = [(v, (f"the input {name}", "holds")) for v, name in inputs.items()]
    origins += [(v, (_described(node), "gave")) for node in nodes if not node.op.exact  # exact ones only move data
                for v in node.outputs]
    origins = [(v, origin) for v, origin in origins if v.type.dtype.is_inexact and v.type.size]
    if not origins:
        return []
    values, texts = [v for v, _ in origins], tuple(text for _, text in origins)
    report = _row([_first(_row([_any(flag(v)) for v in values])) for flag in (_has_nan, _has_infinity)])
    here = user_position()
    return [Check(report, tuple(Origin(NanError, "", "check_nan", "", here, "", False, texts, at) for at in range(len(texts))))]


def _described(node: Node) -> str:
    scope = f" in {node.scope}" if node.scope else ""
    backward = f"the backward of {node.of.op.name}: " if node.of is not None else ""
    return f"{backward}{node.op.name} at {describe(node.where)}{scope}"


def _first(flags: Value) -> Value:
    """The number, counted from 1, of the first flag that holds; 0 if none does."""
    places = iota.on(flags.device, shape=flags.type.shape, axis=0, dtype=dtypes.int64)
    number: Value = reduce_sum(first_wrong(flags, places, lead=0), axes=(0,))  # 1 and where it is, or 0 and 0
    return number


def _row(values: Sequence[Value]) -> Value:
    """0-d values as a vector, where the first of them is: numbers among them are on no device."""
    parts = tuple(reshape(v, shape=(1,)) for v in values)
    return record(concatenate, parts, {"axis": 0}, parts[0].device).output(0)


def _any(flags: Value) -> Value:
    return reduce_or(flags, axes=tuple(range(flags.type.ndim))) if flags.type.ndim else flags


def _has_nan(x: Value) -> Value:
    return compare(x, x, direction="NE")


def _has_infinity(x: Value) -> Value:
    if x.type.dtype.is_complex:
        return or_(_has_infinity(real(x)), _has_infinity(imag(x)))
    return not_(or_(is_finite(x), _has_nan(x)))
