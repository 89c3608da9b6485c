"""A jitted forward on the tape of the code around it, so that its backward is one compiled program too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.graph import Graph, Node, Value
from ..ir.recorder import record, recording
from ..ops.call import call as call_op
from ..tensor.tensor import Tensor
from ..walks.kept import read_by_gradients, smallest_to_keep


class Tape:
    """Puts one `call` node, which has run already, where the step was called.

    `requires` says of each output whether gradients flow through it, `leaves` which tensor each input is a leaf of.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = Graph(graph.inputs, graph.nodes, graph.outputs, graph.name)
        self.requires = [v.requires_grad for v in graph.outputs]
        self.leaves = [v.leaf() if v.leaf is not None else None for v in graph.inputs]

    def mark_leaves(self) -> None:
        """Let the values that leaves hold now say so."""
        for leaf in self.leaves:
            if isinstance(leaf, Tensor) and leaf._storage.trace is None:
                leaf._read()

    def attach(self, results: list[Any], inputs: list[Value]) -> list[Value]:
        """Values of the results, from which `backward()` flows into `inputs`."""
        with recording():  # it is not pending: it ran
            node: Node = record(call_op, tuple(inputs), {"graph": self.graph})
        outputs = list(node.outputs)
        for value, buffer in zip(outputs, results, strict=True):
            value.buffer = buffer
        node.done, node.saved = True, dict(enumerate(results))
        return outputs


def kept_for_backward(nodes: Sequence[Node], outputs: Sequence[Value], differentiable: Sequence[Value]) -> list[Value]:
    """What a backward from outside will read, beside the outputs."""
    return smallest_to_keep(nodes, read_by_gradients(nodes, differentiable), set(outputs)) if differentiable else []


def has_history(value: Value) -> bool:
    """Whether gradients can flow through an output: not if it is a leaf, or a backward inside has used up its history."""
    return value.requires_grad and value.leaf is None and value.node is not None and not value.node.spent
