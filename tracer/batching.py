"""vmap as a transformation of a graph: replay its nodes with the ops' batch rules."""

from __future__ import annotations

from collections.abc import Sequence

from .graph import Graph, Value
from .ops.elementwise import with_leading


def batched_call(graph: Graph, size: int, batched: Sequence[bool], values: Sequence[Value]) -> list[tuple[Value, bool]]:
    """Record `graph` over a leading dimension of `size`.

    `batched[i]` says whether `values[i]` has that dimension. Returns the outputs, each with the same flag.
    """
    env: dict[Value, tuple[Value, bool]] = dict(zip(graph.inputs, zip(values, batched), strict=True))
    for node in graph.nodes:
        pairs = [env[v] for v in node.inputs]
        flags, inputs = [flag for _, flag in pairs], [value for value, _ in pairs]
        any_batched = any(flags)
        if any_batched:
            results = node.op.batch(size, flags, *inputs, **node.params)
        elif inputs:
            results = node.op(*inputs, **node.params)
        else:
            results = node.op.on(node.device, **node.params)
        outputs = results if isinstance(results, tuple) else (results,)
        pairs = [_unspread(value) if any_batched else (value, False) for value in outputs]
        env.update(zip(node.outputs, pairs, strict=True))
    return [env[v] for v in graph.outputs]


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
