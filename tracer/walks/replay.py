"""Recording the nodes of a graph again, on other values."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..ir.graph import Graph, Node, Value
from ..ir.recorder import replayed


def replay(graph: Graph, values: Sequence[Value]) -> tuple[Value, ...]:
    """Record the nodes of `graph` again, on `values`."""
    env = dict(zip(graph.inputs, values, strict=True))
    for node in graph.nodes:
        env.update(zip(node.outputs, replay_node(node, [env[v] for v in node.inputs]), strict=True))
    return tuple(env[v] for v in graph.outputs)


def replay_node(node: Node, inputs: Sequence[Value], bare: Collection[int] = ()) -> tuple[Value, ...]:
    """Record one node again, with its hooks, but for those of `bare` outputs."""
    with replayed(node):
        made = node.op(*inputs, **node.params) if inputs else node.op.on(node.device, **node.params)
    outputs = made if isinstance(made, tuple) else (made,)
    if node.hooks:
        outputs = tuple(node.hooks[i].recorded(v) if i in node.hooks and i not in bare else v for i, v in enumerate(outputs))
    return outputs
