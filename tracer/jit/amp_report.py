"""What autocast did to a step: which functions computed in which dtype and why, and what ran in float32 without need."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..functions.autocast import NARROW, Decision
from ..ir import dtypes
from ..ir.graph import Graph, Node, Value, graphs_in
from ..ir.source import describe

_PRODUCTS = ("dot", "convolution")
_WHY = {
    "full": "on the list of functions that need float32's range or precision",
    "full_result": "on the list of functions that need float32's range, as long as no dtype is asked for",
    "full_values": "on the list of functions that need float32's precision, as long as no indices are asked for",
    "widest": "on the list of functions that take the widest of their operands' types, and one is float32",
    "kept": "on no list: it computes in the type of its operands",
}
_Group = tuple[Any, str]  # of nodes: the user's position, and the module


@dataclass(frozen=True)
class Row:
    """So many times the same, at one place: what a function or an operation did."""

    count: int
    name: str
    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.count:>5}  {self.name:<24}  {self.where:<28}  {self.what}"


@dataclass(frozen=True)
class AmpReport:
    """What `amp_report()` gives; prints as tables.

    `functions` are those of a list, with the dtype that they computed in; `casts` what was cast for them; `kept` the ones
    in float32, each with the reason; `unneeded` what is in float32 without one, and what to do; `operations` count the
    program's, backward included, by dtype.
    """

    name: str
    functions: tuple[Row, ...]
    casts: tuple[Row, ...]
    kept: tuple[Row, ...]
    unneeded: tuple[Row, ...]
    operations: dict[str, int]

    def __str__(self) -> str:
        if not self.functions:
            return f"{self.name}: autocast did nothing in it"
        counts = ", ".join(f"{count} in {kind}" for kind, count in self.operations.items())
        parts = (("functions under autocast", self.functions), ("casts inserted", self.casts),
                 ("kept in float32", self.kept), ("in float32 without need", self.unneeded))
        tables = [f"{title}: {sum(row.count for row in rows)}" + "".join(f"\n{row}" for row in rows) for title, rows in parts]
        return "\n\n".join([f"{self.name}: {counts} (operations on floating-point numbers)", *tables])

    __repr__ = __str__


def amp_report(name: str, decisions: Iterable[Decision], graph: Graph, results: Sequence[Value]) -> AmpReport:
    """The report on a program, by what autocast decided when it was traced; `results` are the outputs that the step gives."""
    decisions = tuple(decisions)
    whole = [d for d in decisions if d.result is dtypes.float32]
    casts = Counter((d.function, f"{old.name} -> {d.to.name}", d.where, d.scope) for d in decisions if d.to is not None
                    for old in d.cast)
    return AmpReport(
        name, _rows((d.function, d.result.name, d.where, d.scope) for d in decisions),
        tuple(_row(count, key) for key, count in casts.items()),
        _rows((d.function, _WHY.get(d.rule, "its operands are not cast"), d.where, d.scope) for d in whole),
        tuple(_unneeded(graph, {(d.where, d.scope) for d in whole}, results)) if decisions else (), _operations(graph))


def _rows(keys: Iterable[tuple[str, str, Any, str]]) -> tuple[Row, ...]:
    return tuple(_row(count, key) for key, count in Counter(keys).items())


def _row(count: int, key: tuple[str, str, Any, str]) -> Row:
    name, what, where, scope = key
    return Row(count, name, what, f"{describe(where)} {scope}".rstrip())


# --- The program ------------------------------------------------------------------------------------------------------


def _nodes(graph: Graph) -> Iterator[Node]:
    """All nodes, also those of bodies of control flow."""
    for node in graph.nodes:
        yield node
        for inner in graphs_in(node.params.values()):
            yield from _nodes(inner)


def _operations(graph: Graph) -> dict[str, int]:
    """How many operations compute in which dtype, the most frequent first; what only moves data does not count.

    A product computes in the dtype of its operands, though its sums may be wider.
    """
    found = Counter((node.inputs if node.op.name in _PRODUCTS else node.outputs)[0].type.dtype.name for node in _nodes(graph)
                    if node.types and node.types[0].dtype.is_inexact and not node.op.exact and node.op.name != "convert")
    return dict(found.most_common())


def _unneeded(graph: Graph, needed: set[_Group], results: Sequence[Value]) -> Iterator[Row]:
    """Forward operations in float32 that no list asks for: products, and what a float32 operand made wide."""
    groups: defaultdict[_Group, list[Node]] = defaultdict(list)
    for node in _nodes(graph):
        if node.of is None:
            groups[node.where, node.scope].append(node)
    used = _used(graph, results)
    for group, nodes in groups.items():
        if group in needed:
            continue
        for name in dict.fromkeys(node.op.name for node in nodes if node.op.name in _PRODUCTS
                                  and _is_wide(node.inputs[0].type.dtype)):
            count = sum(node.op.name == name for node in nodes)
            yield _row(count, (name, "a product outside of autocast: put it into the block", *group))
        wide = [node for node in nodes if node.op.name not in ("convert", *_PRODUCTS) and not node.op.exact
                and any(_is_wide(v.type.dtype) and used.get(v, set()) - {group} for v in node.outputs)]
        if wide and (narrow := _widened(nodes)):
            text = f"{narrow} met float32 in {_met(nodes, graph)}: cast that"
            yield _row(len(wide), (", ".join(dict.fromkeys(node.op.name for node in wide)), text, *group))


def _is_wide(kind: Any) -> bool:
    return kind is dtypes.float32


def _used(graph: Graph, results: Sequence[Value]) -> dict[Value, set[_Group | None]]:
    """By which groups of forward operations each value is used; None for the step's results."""
    used: dict[Value, set[_Group | None]] = {value: {None} for value in results}
    for node in _nodes(graph):
        if node.of is None:
            for value in node.inputs:
                used.setdefault(value, set()).add((node.where, node.scope))
    return used


def _widened(nodes: Sequence[Node]) -> str:
    """The narrow dtype of an operand from elsewhere that the group cast to float32; empty if there is none."""
    made = set(chain.from_iterable(node.outputs for node in nodes))
    kinds = [node.inputs[0].type.dtype for node in nodes if node.op.name == "convert" and _is_wide(node.types[0].dtype)
             and node.inputs[0] not in made]
    return next((kind.name for kind in kinds if kind in NARROW), "")


def _met(nodes: Sequence[Node], graph: Graph) -> str:
    """The operand in float32 from elsewhere, by its name if it has one."""
    made = set(chain.from_iterable(node.outputs for node in nodes))
    others = [v for node in nodes for v in node.inputs if _is_wide(v.type.dtype) and v not in made]
    named = [graph.labels[v] for v in others if v in graph.labels]
    return (named or [str(v.type) for v in others] or ["a constant"])[0]
