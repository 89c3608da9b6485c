"""Simplifications of a graph before it is printed. Each has a name; tests check the graph after every one.

XLA does the same and more; ours keep the text short and the dumps readable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .graph import Graph, Node, Value
from .ops import OPS
from .ops.elementwise import literal
from .recorder import placeholder

# Not merged when equal and not dropped when unused.
EFFECTS = frozenset({"custom_call"})
_FOLD_LIMIT = 1  # elements; only scalars are folded, so that no large literal enters the text


class Builder:
    """Copies a graph node by node, so that rewriting one never changes another."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Node] = []
        self.env: dict[Value, Value] = {}
        self._origin: dict[Node, Node] = {}
        self._graph = graph
        self._held: list[tuple[Value, ...]] = []
        self.inputs = [self._input(v) for v in graph.inputs]

    def _input(self, value: Value) -> Value:
        self.env[value] = fresh = placeholder(value.type, value.device)
        return fresh

    def add(self, node: Node, inputs: tuple[Value, ...], op: Any = None,
            params: dict[str, Any] | None = None) -> tuple[Value, ...]:
        """A node like `node` with new inputs (and another op or parameters)."""
        of = self._origin.get(node.of) if node.of is not None else None
        made = Node(op or node.op, inputs, node.params if params is None else params, node.types, node.where,
                    node.scope, of, node.device)
        self.nodes.append(made)
        self._origin[node] = made
        outputs = made.outputs
        self._held.append(outputs)
        return outputs

    def finish(self) -> Graph:
        """The rewritten graph."""
        graph = self._graph
        labels = {self.env[v]: text for v, text in graph.labels.items()}
        return Graph(self.inputs, self.nodes, [self.env[v] for v in graph.outputs], graph.name, labels)


def rewrite(graph: Graph, rule: Callable[[Builder, Node, tuple[Value, ...]], tuple[Value, ...] | None]) -> Graph:
    """Copy the graph; `rule(builder, node, new inputs)` may give the outputs to use instead of a copy of the node."""
    builder = Builder(graph)
    for node in graph.nodes:
        inputs = tuple(builder.env[v] for v in node.inputs)
        outputs = rule(builder, node, inputs)
        if outputs is None:
            outputs = builder.add(node, inputs)
        builder.env.update(zip(node.outputs, outputs, strict=True))
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
    seen: dict[tuple[Any, ...], tuple[Value, ...]] = {}

    def rule(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        key = (node.op, inputs, tuple(node.params.values()))
        if node.op.name in EFFECTS or key not in seen:
            seen[key] = builder.add(node, inputs)
        return seen[key]

    return rewrite(graph, rule)


def constant_folding(graph: Graph) -> Graph:
    """Evaluate exact operations on scalar constants, and broadcasts of them."""
    constant = OPS["constant"]

    def rule(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if not inputs or len(node.types) != 1 or any(v.node is None or v.node.op is not constant for v in inputs):
            return None
        out = node.types[0]
        if node.op.name in ("broadcast", "reshape", "transpose", "alias"):
            value = inputs[0].node.params["value"]  # type: ignore[union-attr]
        elif out.size <= _FOLD_LIMIT and out.ndim == 0 and node.op.is_exact([v.type for v in inputs]):
            arrays = [v.node.op.reference(**v.node.params) for v in inputs]  # type: ignore[union-attr]
            value = literal(np.asarray(node.op.reference(*arrays, **node.params))[()], out.dtype)
        else:
            return None
        return builder.add(node, (), constant, {"value": value, "shape": out.shape, "dtype": out.dtype})

    return rewrite(graph, rule)


def _is_constant(value: Value, number: float) -> bool:
    node = value.node
    return (node is not None and node.op.name == "constant"
            and node.params["value"] == literal(number, value.type.dtype))


def _forwarded(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """The input that an operation merely passes on, if it does."""
    name, params = node.op.name, node.params
    x = inputs[0] if inputs else None
    if x is None:
        return None
    if name in ("alias", "stop_gradient"):
        return x
    if name == "with_value":
        return inputs[1]
    if name in ("reshape", "broadcast") and x.type is node.types[0]:
        return x
    if name == "convert" and params["dtype"] is x.type.dtype:
        return x
    if name == "transpose" and params["permutation"] == tuple(range(x.type.ndim)):
        return x
    if name == "slice" and x.type is node.types[0] and all(s == 1 for s in params["stride"]):
        return x
    if name == "concatenate" and len(inputs) == 1:
        return x
    if name == "mul" and _is_constant(inputs[1], 1):
        return x
    if name == "mul" and _is_constant(x, 1):
        return inputs[1]
    if name == "div" and _is_constant(inputs[1], 1):
        return x
    if name in ("add", "sub") and not x.type.dtype.is_inexact and _is_constant(inputs[1], 0):
        return x  # not for floats: -0.0 + 0.0 is 0.0
    if name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod") and not params["axes"]:
        return x
    return None


def algebraic(graph: Graph) -> Graph:
    """Remove operations that change nothing; join a transpose or reshape with the one before it."""

    def rule(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        forwarded = _forwarded(node, inputs)
        if forwarded is not None:
            return (forwarded,)
        before = inputs[0].node if inputs else None
        if before is None or before.op is not node.op:
            return None
        if node.op.name == "reshape":
            source = before.inputs[0]
            return (source,) if source.type is node.types[0] else builder.add(node, (source,))
        if node.op.name == "transpose":
            joined = tuple(before.params["permutation"][p] for p in node.params["permutation"])
            if joined == tuple(range(len(joined))):
                return (before.inputs[0],)
            return builder.add(node, (before.inputs[0],), params={"permutation": joined})
        if node.op.name == "neg":
            return (before.inputs[0],)
        return None

    return rewrite(graph, rule)


PASSES: Mapping[str, Callable[[Graph], Graph]] = {
    "dead code": dead_code,
    "algebraic": algebraic,
    "constant folding": constant_folding,
    "common subexpressions": common_subexpressions,
    "dead code after": dead_code,
}


def simplify(graph: Graph, *, after: Callable[[str, Graph], None] | None = None) -> Graph:
    """Run all passes in order; `after(name, graph)` sees each result."""
    for name, run in PASSES.items():
        graph = run(graph)
        if after is not None:
            after(name, graph)
    return graph

