"""Members of packs that a step updates alike, updated as one array.

XLA makes a kernel of each write into a pack, which costs about 1 us whatever its size: three for each parameter of Adam.
Where the new values of several members are one elementwise function of members that lie side by side, of numbers, and of
a few other values (their gradients), these others are gathered, and the function is computed once, of arrays of them all.

What is computed alike for several members stands here as a `Row`, a value for each of them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from ..ir.constants import literal
from ..ir.dtypes import int64
from ..ir.graph import Value
from ..ops.elementwise import ELEMENTWISE
from ..ops.indexing import dynamic_update_slice
from ..ops.structural import broadcast, constant, reshape, slice_

Row = tuple[Value, ...]
Update = tuple[Value, Value]  # what a member is before the step and after it

_NEAR = 64  # values of an update that are looked at for what it depends on
_MOST = 256  # rows that are looked at
_NOWHERE: Mapping[Value, Any] = {}


# --- Which members are updated alike ----------------------------------------------------------------------------------


def kinds(updates: Sequence[Update | None]) -> list[int | None]:
    """A number for each member, the same for those that are updated alike; None where there is no elementwise update.

    Members that depend on each other, as a parameter and its moments, belong together. Two are of one kind if those that
    they belong to are computed from their old values by the same operations, and they themselves by the same of these.
    """
    number = {update[0]: k for k, update in enumerate(updates) if update is not None}
    near = [_near(update[1]) if update is not None else {} for update in updates]
    spread = {_number(v) for values in near for v in values if v.node is not None and v.node.op is broadcast}
    ways: dict[Any, int] = {}
    way = [ways.setdefault(_way(update[0], near[k], spread), len(ways)) if update is not None and update[0] in near[k] else None
           for k, update in enumerate(updates)]
    known: dict[Any, int] = {}
    found: list[int | None] = [None] * len(updates)
    for group in _connected([[k, *(number[v] for v in values if v in number)] for k, values in enumerate(near)]):
        members = [k for k in group if way[k] is not None]
        together = tuple(sorted(way[k] for k in members))  # type: ignore[type-var]
        for place, k in enumerate(members):
            same = sum(way[j] == way[k] for j in members[:place])
            found[k] = known.setdefault((together, way[k], same), len(known))
    return found


_Near = dict[Value, tuple[Value, int] | None]


def _near(value: Value) -> _Near:
    """The values that this one is an elementwise function of, the nearest first, each with what reads it, as which operand."""
    found: _Near = {_bare(value): None}
    waiting = [*found]
    for value in waiting:
        node = value.node
        if node is None or node.op.name not in ELEMENTWISE or len(found) > _NEAR:
            continue
        for position, operand in enumerate(map(_bare, node.inputs)):
            if operand not in found:
                found[operand] = value, position
                waiting.append(operand)
    return found


def _way(value: Value, near: _Near, spread: Container[Any]) -> tuple[Any, ...]:
    """The operations from a value on; and the numbers in them, which are those that are `spread` where all have one element."""
    way: list[Any] = []
    while (reader := near[value]) is not None:
        value, position = reader
        node: Any = value.node
        numbers = [_number(v) for v in node.inputs]
        way.append((node.op.name, *node.params.values(), position,
                    *(n if not isinstance(n, Value) or n in spread else None for n in numbers)))
    return tuple(way)


def _connected(groups: Iterable[Sequence[int]]) -> list[list[int]]:
    """The groups, those that share a number joined; each in order."""
    of: dict[int, list[int]] = {}
    for group in groups:
        joined = sorted({k for member in group for k in of.get(member, (member,))})
        of.update(dict.fromkeys(joined, joined))
    return list({id(group): group for group in of.values()}.values())


def _bare(value: Value, places: Mapping[Value, Any] = _NOWHERE) -> Value:
    """What a value is a reshaping of, no further than to one in `places`: in a flat array shapes mean nothing."""
    while value not in places and value.node is not None and value.node.op is reshape:
        value = value.node.inputs[0]
    return value


def _number(value: Value) -> Any:
    """What tells a value of equal elements, known to be so, from others; None of values that are not."""
    node = value.node
    if node is not None and node.op is constant:
        return node.params["value"], value.type.dtype
    if node is not None and node.op is broadcast:
        value = node.inputs[0]
    return _bare(value) if value.type.size == 1 else None


# --- Computing them as one --------------------------------------------------------------------------------------------


class Together:
    """Rows of values, computed as flat arrays; `places` says which values lie in an array, and where."""

    def __init__(self, places: Mapping[Value, tuple[Value, int]]) -> None:
        self._places = places
        self._rows: list[Row] = []
        self._numbers: dict[Row, int] = {}
        self._operands: list[list[int] | None] = []  # of each row
        self._gathered: set[int] = set()
        self._made: dict[int, Value] = {}

    def joined(self, rows: Iterable[Iterable[Value]]) -> list[Value | None]:
        """For each row an array of its values; None where these cost as little one by one."""
        roots = [self._row(values) for values in rows]
        for row in self._rows:  # to which this adds
            self._operands.append(self._read(row))
        self._gathered = fewest(roots, self._operands)
        return [None if root in self._gathered else self._array(root) for root in roots]

    def _row(self, values: Iterable[Value]) -> int:
        row = tuple([_bare(v, self._places) for v in values])
        if row not in self._numbers:
            self._numbers[row] = len(self._rows)
            self._rows.append(row)
        return self._numbers[row]

    def _read(self, row: Row) -> list[int] | None:
        """The rows that this one is computed from: none if it lies in an array or is a number; None if it must be gathered."""
        if self._place(row) is not None or _is_number(row):
            return []
        node = row[0].node
        if node is None or node.op.name not in ELEMENTWISE or len(self._rows) > _MOST or not _is_one_operation(row):
            return None
        return [self._row(values) for values in zip(*(v.node.inputs for v in row))]  # type: ignore[union-attr]

    def _place(self, row: Row) -> tuple[Value, int, int] | None:
        """The array in which the values lie side by side, and from where to where."""
        if row[0] not in self._places:
            return None
        flat, start = self._places[row[0]]
        stop = start
        for value in row:
            if self._places.get(value) != (flat, stop):
                return None
            stop += value.type.size
        return flat, start, stop

    def _array(self, number: int) -> Value:
        if number not in self._made:
            self._made[number] = self._computed(number)
        return self._made[number]

    def _computed(self, number: int) -> Value:
        row, operands = self._rows[number], self._operands[number]
        place, first, size = self._place(row), row[0], sum([v.type.size for v in row])
        if place is not None:
            return piece(*place)
        if operands and number not in self._gathered:
            node: Any = first.node
            made: Value = node.op(*map(self._array, operands), **node.params)
            made.node.where, made.node.scope = node.where, node.scope  # type: ignore[union-attr]
            return made
        if number not in self._gathered:
            return _filled(first, size)
        flat = constant.on(first.device, value=literal(0, first.type.dtype), shape=(size,), dtype=first.type.dtype)
        return written(flat, row, accumulate([v.type.size for v in row[:-1]], initial=0))


def _is_number(row: Row) -> bool:
    number = _number(row[0])
    return number is not None and all([_number(v) == number for v in row])


def _is_one_operation(row: Row) -> bool:
    first: Any = row[0].node
    types = [v.type.dtype for v in first.inputs]
    return all([node is not None and node.op is first.op and node.params == first.params
                and [v.type.dtype for v in node.inputs] == types for node in (v.node for v in row)])


def _filled(value: Value, size: int) -> Value:
    """A flat array of a number."""
    node = value.node
    if node is not None and node.op is constant:
        return constant.on(value.device, value=node.params["value"], shape=(size,), dtype=value.type.dtype)
    if node is not None and node.op is broadcast:
        value = node.inputs[0]
    return broadcast(reshape(value, shape=()), shape=(size,), dims=())


def piece(flat: Value, start: int, stop: int) -> Value:
    """The elements of a flat array from `start` to `stop`."""
    return flat if stop - start == flat.type.size else slice_(flat, start=(start,), limit=(stop,), stride=(1,))


def written(flat: Value, values: Iterable[Value | None], offsets: Iterable[int]) -> Value:
    """The flat array with each value from its offset on; None leaves what is there.

    XLA does these updates in the array itself; joining the values by a concatenation took 2 to 7 times as long (measured
    with 10 to 400 of 64 elements on the CPU).
    """
    for value, start in zip(values, offsets):
        if value is not None:
            at = constant.on(flat.device, value=str(start), shape=(), dtype=int64)
            flat = dynamic_update_slice(flat, reshape(value, shape=(value.type.size,)), at)
    return flat


# --- The fewest rows to gather ----------------------------------------------------------------------------------------

_Edge = tuple[int | None, int | None]


def fewest(roots: Iterable[int], operands: Sequence[Sequence[int] | None]) -> set[int]:
    """The fewest rows such that every way from a root to a row with operands None leads through one; those next to the roots.

    `operands` are numbers of rows, which form no circle.

    >>> sorted(fewest([0, 1, 2], [[1, 3], [3], [3, 3], None]))
    [3]
    >>> fewest([0], [[1], None])
    {0}

    They are as many as there are ways that share no row (Menger's theorem). These are found one by one, each turning back along
    earlier ones where it meets them (Ford, Fulkerson: Flows in Networks, 1962).
    """
    roots = list(dict.fromkeys(roots))
    ways: set[_Edge] = set()
    while True:
        reached = _reached(roots, operands, ways)
        end = next((at for at in reached if at[1] and operands[at[0]] is None and (at[0], None) not in ways), None)
        if end is None:
            return {row for row, through in reached if not through and (row, True) not in reached}
        ways.add((end[0], None))
        while (before := reached[end]) is not None:
            if before[0] != end[0]:
                if before[1]:
                    ways.add((before[0], end[0]))
                else:
                    ways.remove((end[0], before[0]))
            end = before
        ways.add((None, end[0]))


_At = tuple[int, bool]  # a row, before it and (True) behind it


def _reached(roots: Iterable[int], operands: Sequence[Sequence[int] | None], ways: set[_Edge]) -> dict[_At, _At | None]:
    """Where another way can come to beside `ways`, and from where."""
    came, onward = {b: a for a, b in ways}, {a: b for a, b in ways}
    found: dict[_At, _At | None] = {(root, False): None for root in roots}
    waiting = [*found]
    for at in waiting:
        for following in _onward(at, operands[at[0]], came, onward):
            if following not in found:
                found[following] = at
                waiting.append(following)
    return found


def _onward(at: _At, operands: Sequence[int] | None, came: Mapping[int | None, int | None],
            onward: Mapping[int | None, int | None]) -> Iterator[_At]:
    row, through = at
    if through:
        yield from ((operand, False) for operand in operands or ())
    if row not in onward:
        if not through:
            yield row, True
    elif through:
        yield row, False
    elif came[row] is not None:
        yield came[row], True  # type: ignore[misc]
