"""Simplifications of a graph before it is printed. Each has a name; tests check the graph after every one.

XLA does the same and more; ours keep the text short and the dumps readable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.constants import from_literal, literal
from ..ir.graph import Graph, Node, Value
from ..ir.op import OPS
from ..ir.recorder import placeholder
from ..ir.types import Type

# Not merged when equal and not dropped when unused.
EFFECTS = frozenset({"custom_call"})
_FOLD_LIMIT = 1  # elements; only scalars are folded, so that no large literal enters the text


class Builder:
    """Copies a graph node by node, so that rewriting one never changes another."""

    def __init__(self, graph: Graph, merge: bool = False) -> None:
        self._seen: dict[tuple[Any, ...], tuple[Value, ...]] | None = {} if merge else None
        self.nodes: list[Node] = []
        self.env: dict[Value, Value] = {}
        self._origin: dict[Node, Node] = {}
        self._graph = graph
        self._held: list[tuple[Value, ...]] = []
        self.inputs = [self._input(v) for v in graph.inputs]

    def _input(self, value: Value) -> Value:
        self.env[value] = fresh = placeholder(value.type, value.device, value.requires_grad)
        return fresh

    def add(self, node: Node, inputs: tuple[Value, ...], op: Any = None, params: dict[str, Any] | None = None,
            types: tuple[Type, ...] | None = None) -> tuple[Value, ...]:
        """A node like `node` with new inputs (and another op, parameters or types); with `merge` an equal one there is."""
        op = op or node.op
        params = node.params if params is None else params
        key = (op, inputs, tuple(params.values())) if self._seen is not None and op.name not in EFFECTS else None
        if key is not None and self._seen is not None and key in self._seen:
            return self._seen[key]
        of = self._origin.get(node.of) if node.of is not None else None
        made = Node(op, inputs, params, types or node.types, node.where, node.scope, of, node.device, node.requires_grad)
        made.hooks = node.hooks
        self.nodes.append(made)
        self._origin[node] = made
        outputs = made.outputs
        self._held.append(outputs)
        if key is not None and self._seen is not None:
            self._seen[key] = outputs
        return outputs

    def finish(self) -> Graph:
        """The rewritten graph."""
        graph = self._graph
        labels = {self.env[v]: text for v, text in graph.labels.items()}
        return Graph(self.inputs, self.nodes, [self.env[v] for v in graph.outputs], graph.name, labels)


Rule = Callable[[Builder, Node, "tuple[Value, ...]"], "tuple[Value, ...] | None"]


def rewrite(graph: Graph, *rules: Rule, merge: bool = False) -> Graph:
    """Copy the graph; the first of `rules(builder, node, new inputs)` that gives outputs replaces a node's copy."""
    builder = Builder(graph, merge)
    env = builder.env
    for node in graph.nodes:
        inputs = tuple([env[v] for v in node.inputs])
        outputs = None
        for rule in rules:
            outputs = rule(builder, node, inputs)
            if outputs is not None:
                break
        else:
            outputs = builder.add(node, inputs)
        for i, value in enumerate(outputs):
            env[node.output(i)] = value
    return builder.finish()


def dead_code(graph: Graph) -> Graph:
    """Drop nodes that no output depends on."""
    needed = set(graph.outputs)
    kept: set[Node] = set()
    for node in reversed(graph.nodes):
        if node.op.name in EFFECTS or any(v is not None and v in needed for v in map(node.living, range(len(node.types)))):
            kept.add(node)
            needed.update(node.inputs)
    if len(kept) == len(graph.nodes):
        return graph
    return Graph(graph.inputs, [n for n in graph.nodes if n in kept], graph.outputs, graph.name, graph.labels)


def common_subexpressions(graph: Graph) -> Graph:
    """Compute equal things once."""
    return rewrite(graph, merge=True)


def _fold(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    constant = OPS["constant"]
    if not inputs or len(node.types) != 1:
        return None
    for value in inputs:
        if value.node is None or value.node.op is not constant:
            return None
    out = node.types[0]
    if node.op.name in ("broadcast", "reshape", "transpose", "alias"):
        text = inputs[0].node.params["value"]  # type: ignore[union-attr]
    elif out.size <= _FOLD_LIMIT and out.ndim == 0 and node.op.is_exact([v.type for v in inputs]):
        arrays = [v.node.op.reference(**v.node.params) for v in inputs]  # type: ignore[union-attr]
        text = literal(np.asarray(node.op.reference(*arrays, **node.params))[()], out.dtype)
    else:
        return None
    return builder.add(node, (), constant, {"value": text, "shape": out.shape, "dtype": out.dtype})


def constant_folding(graph: Graph) -> Graph:
    """Evaluate exact operations on scalar constants, and broadcasts of them."""
    return rewrite(graph, _fold)


def _is_constant(value: Value, number: float) -> bool:
    node = value.node
    return (node is not None and node.op.name == "constant"
            and node.params["value"] == literal(number, value.type.dtype))


def _same(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    return inputs[0]


def _if_same_type(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    return inputs[0] if inputs[0].type is node.types[0] else None


def _identity_transpose(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    return inputs[0] if node.params["permutation"] == tuple(range(inputs[0].type.ndim)) else None


def _whole_slice(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    return inputs[0] if inputs[0].type is node.types[0] and all(s == 1 for s in node.params["stride"]) else None


def _times_one(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    x, y = inputs
    return x if _is_constant(y, 1) else y if _is_constant(x, 1) else None


def _over_one(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    return inputs[0] if _is_constant(inputs[1], 1) else None


def _plus_zero(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """Not for floats: -0.0 + 0.0 is 0.0."""
    return inputs[0] if not inputs[0].type.dtype.is_inexact and _is_constant(inputs[1], 0) else None


def _of_no_axes(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    return inputs[0] if not node.params["axes"] else None


# The input that an operation merely passes on, if it does, by op name.
_FORWARDED: dict[str, Callable[[Node, tuple[Value, ...]], Value | None]] = {
    "alias": _same, "stop_gradient": _same, "linked": _same, "piecewise": _same,
    "with_value": lambda node, inputs: inputs[1],
    "reshape": _if_same_type, "broadcast": _if_same_type, "convert": _if_same_type,
    "concatenate": lambda node, inputs: inputs[0] if len(inputs) == 1 else None,
    "transpose": _identity_transpose, "slice": _whole_slice, "mul": _times_one, "div": _over_one,
    "add": _plus_zero, "sub": _plus_zero,
    "reduce_sum": _of_no_axes, "reduce_max": _of_no_axes, "reduce_min": _of_no_axes, "reduce_prod": _of_no_axes}


def is_zero(value: Value) -> bool:
    """Whether the value is a constant that is 0.0 in its type: 1e-9 is in float16."""
    node = value.node
    if node is None or node.op.name != "constant":
        return False
    number = from_literal(node.params["value"], value.type.dtype)
    return bool(number == 0 and not np.signbit(number))


def _zero_added(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """x + 0.0 of floats said as: 0.0 where x is 0, else x. XLA would leave out the addition, and -0.0 be what it was."""
    if node.op.name != "add" or not node.types[0].dtype.is_floating_point:
        return None
    for x, zero in (inputs, inputs[::-1]):
        if is_zero(zero):
            flag = (node.types[0].with_dtype(dtypes.boolean),)
            (test,) = builder.add(node, (x, zero), OPS["compare"], {"direction": "EQ"}, flag)
            return builder.add(node, (test, zero, x), OPS["select"], {})
    return None


def _over_power_of_two(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """x over a power of two said as the product that it is, to the last bit: it joins what is around it, as quotients do not."""
    if node.op.name != "div":
        return None
    below, kind = inputs[1].node, node.types[0].dtype
    if not kind.is_floating_point or below is None or below.op.name != "constant":
        return None
    number = float(from_literal(below.params["value"], kind))
    fraction, exponent = math.frexp(number)
    if abs(fraction) != 0.5 or abs(exponent) > 14:  # of which each type has the reciprocal
        return None
    reciprocal = builder.add(node, (), below.op, {**below.params, "value": literal(1 / number, kind)}, (inputs[1].type,))
    return builder.add(node, (inputs[0], *reciprocal), OPS["mul"], {})


def _cancel(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    name = node.op.name
    if name == "custom_gradient":
        return inputs[len(inputs) - len(node.types):]
    forward = _FORWARDED.get(name)
    if forward is not None:
        forwarded = forward(node, inputs)
        if forwarded is not None:
            return (forwarded,)
    if name not in ("reshape", "transpose", "neg"):
        return None
    before = inputs[0].node
    if before is None or before.op is not node.op:
        return None
    source = before.inputs[0]
    if name == "neg":
        return (source,)
    if name == "reshape":
        return (source,) if source.type is node.types[0] else builder.add(node, (source,))
    joined = tuple(before.params["permutation"][p] for p in node.params["permutation"])
    if joined == tuple(range(len(joined))):
        return (source,)
    return builder.add(node, (source,), params={"permutation": joined})


def algebraic(graph: Graph) -> Graph:
    """Remove operations that change nothing, keep what XLA takes for one; join a transpose or reshape with the one before it."""
    return rewrite(graph, _cancel, _zero_added, _over_power_of_two)


def simplifications(graph: Graph) -> Graph:
    """Algebra, folding and common subexpressions in one sweep: what `simplify` runs."""
    return rewrite(graph, _cancel, _zero_added, _over_power_of_two, _fold, merge=True)


PASSES: Mapping[str, Callable[[Graph], Graph]] = {
    "dead code": dead_code,
    "algebraic": algebraic,
    "constant folding": constant_folding,
    "common subexpressions": common_subexpressions,
    "all in one sweep": simplifications,
}


PIPELINE = (("dead code", dead_code), ("all in one sweep", simplifications), ("dead code after", dead_code))


def simplify(graph: Graph, *, after: Callable[[str, Graph], None] | None = None) -> Graph:
    """Drop what is dead, simplify the rest in one sweep, drop what that left; `after(name, graph)` sees each result."""
    for name, run in PIPELINE:
        graph = run(graph)
        if after is not None:
            after(name, graph)
    return graph
