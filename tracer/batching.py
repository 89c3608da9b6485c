"""vmap as a transformation of a graph: replay its nodes with the ops' batch rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .graph import Graph, Node, Value
from .ops.elementwise import with_leading
from .recorder import replayed


def batched_call(graph: Graph, size: int, batched: Sequence[bool], values: Sequence[Value]) -> list[tuple[Value, bool]]:
    """Record `graph` over a leading dimension of `size`.

    `batched[i]` says whether `values[i]` has that dimension. Returns the outputs, each with the same flag.
    """
    env: dict[Value, tuple[Value, bool]] = dict(zip(graph.inputs, zip(values, batched), strict=True))
    for node in graph.nodes:
        pairs = [env[v] for v in node.inputs]
        flags, inputs = [flag for _, flag in pairs], [value for value, _ in pairs]
        any_batched = any(flags)
        with replayed(node):
            results = _applied(node, size, flags, inputs)
        outputs = results if isinstance(results, tuple) else (results,)
        if node.hooks:
            over = size if any_batched else None
            outputs = tuple(node.hooks[i].recorded(v, over) if i in node.hooks else v for i, v in enumerate(outputs))
        env.update(zip(node.outputs, [(value, any_batched) for value in outputs], strict=True))
    return [env[v] for v in graph.outputs]


def _applied(node: Node, size: int, flags: Sequence[bool], inputs: Sequence[Value]) -> Any:
    if any(flags):
        return node.op.batch(size, flags, *inputs, **node.params)
    return node.op(*inputs, **node.params) if inputs else node.op.on(node.device, **node.params)


def full_batch(size: int, outputs: Sequence[tuple[Value, bool]]) -> list[Value]:
    """The outputs of `batched_call`, all with the leading dimension."""
    return [with_leading(size, flag, value) for value, flag in outputs]
