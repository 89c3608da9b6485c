"""vmap as a transformation of a graph: replay its nodes with the ops' batch rules."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.constants import with_leading
from ..ir.graph import Graph, Node, Value
from ..ir.recorder import replayed, thread_recorder
from ..ir.state import state


def batched_call(graph: Graph, size: int, batched: Sequence[bool], values: Sequence[Value]) -> list[tuple[Value, bool]]:
    """Record `graph` over a leading dimension of `size`.

    `batched[i]` says whether `values[i]` has that dimension. Returns the outputs, each with the same flag.
    """
    env: dict[Value, tuple[Value, bool]] = dict(zip(graph.inputs, zip(values, batched), strict=True))
    origin: dict[Node, Node] = {}
    for node in graph.nodes:
        pairs = [env[v] for v in node.inputs]
        start = len(thread_recorder().nodes)
        with replayed(node):
            outputs = _batched_node(node, size, [value for value, _ in pairs], [flag for _, flag in pairs])
        _keep_position(node, thread_recorder().nodes[start:], origin)
        any_batched = any(flag for _, flag in pairs)
        if node.hooks:
            over = size if any_batched else None
            outputs = tuple(node.hooks[i].recorded(v, over) if i in node.hooks else v for i, v in enumerate(outputs))
        env.update(zip(node.outputs, [_unspread(v) if any_batched else (v, False) for v in outputs], strict=True))
    return [env[v] for v in graph.outputs]


def _batched_node(node: Node, size: int, inputs: Sequence[Value], flags: Sequence[bool]) -> tuple[Value, ...]:
    if any(flags):
        results = node.op.batch(size, flags, *inputs, **node.params)
    elif inputs:
        results = node.op(*inputs, **node.params)
    else:
        results = node.op.on(node.device, **node.params)
    return results if isinstance(results, tuple) else (results,)


def _keep_position(node: Node, made: Sequence[Node], origin: dict[Node, Node]) -> None:
    """What stands for `node` comes from the same line, and is the backward of what stands for the same node."""
    if made:
        origin[node] = made[-1]
    if state.of is None:
        for copy in made:
            copy.where, copy.scope = node.where, node.scope
            copy.of = None if node.of is None else origin.get(node.of, node.of)


def _unspread(value: Value) -> tuple[Value, bool]:
    """A batched result and True; or, if a rule has only spread it over the batch, what it is for each example and False."""
    node, each = value.node, value.type.shape[1:]
    if (node is not None and node.op.name == "broadcast" and node.inputs[0].type.shape == each
            and node.params["dims"] == tuple(range(1, len(each) + 1))):
        return node.inputs[0], False
    return value, True


def full_batch(size: int, outputs: Sequence[tuple[Value, bool]]) -> list[Value]:
    """The outputs of `batched_call`, all with the leading dimension."""
    return [with_leading(size, flag, value) for value, flag in outputs]
