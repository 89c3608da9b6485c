"""A jitted forward on the tape of the code around it, so that its backward is one compiled program too."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..ir.graph import Graph, Node, Value, needed_nodes
from ..ir.recorder import record, recording
from ..ops.call import call as call_op
from ..tensor.tensor import Tensor
from ..walks.kept import read_by_gradients, smallest_to_keep


class Tape:
    """Puts one `call` node, which has run already, where the step was called.

    `requires` says of each output whether gradients flow through it, `leaves` which tensor each input is a leaf of. A leaf
    whose value the program computes (it was written before it was used, shares its memory with another one, or is made by the
    step and leaves it) is `inner`: an output of the program, by its number, and an input of the node.
    """

    def __init__(self, graph: Graph, inner: Sequence[Value], stand_ins: Sequence[Tensor]) -> None:
        nodes = needed_nodes(graph.nodes, graph.outputs, inner)
        self.graph = Graph([*graph.inputs, *inner], nodes, graph.outputs, graph.name)
        # A tensor and another handle on it, such as x.detach(), are one input: the number of each, and of the first.
        self.repeated = [(i, first) for i, v in enumerate(self.graph.inputs) if (first := self.graph.inputs.index(v)) != i]
        self.requires = [v.requires_grad and v not in inner for v in graph.outputs]
        self.leaves = [v.leaf() if v.leaf is not None else None for v in graph.inputs]
        arguments = {id(x): i for i, x in enumerate(stand_ins)}
        # Outputs, each with the leaf, with the number of the argument that is one, or None for one that is yet to be made of it.
        self.inner: list[tuple[int, Any]] = [
            (graph.outputs.index(v), arguments.get(id(leaf), leaf if leaf._storage.trace is None else None))
            for v in inner if v.leaf and (leaf := v.leaf()) is not None]
        for at, which in self.inner:
            self.requires[at] = which is None
        # Hooks that the step registered on what it returns come before those that are registered on that outside.
        self.hooks = {at: hooks for at, v in enumerate(graph.outputs)
                      if v.node is not None and v.node.hooks and self.requires[at] and (hooks := v.node.hooks.get(v.index))}

    def mark_leaves(self) -> None:
        """Let the values that leaves hold now say so."""
        for leaf in self.leaves:
            if isinstance(leaf, Tensor) and leaf._storage.trace is None:
                leaf._read()

    def attach(self, results: list[Any], inputs: list[Value], arguments: Sequence[Any]) -> list[Value]:
        """Values of the results, from which `backward()` flows into `inputs` and into inner leaves."""
        own: list[Value] = []
        for i, first in self.repeated:  # what they are one input of is x
            inputs[i] = inputs[first] = inputs[i] if inputs[i].requires_grad else inputs[first]
        for i, leaf in enumerate(self.leaves):
            value = inputs[i]
            if isinstance(leaf, Tensor) and leaf._storage.trace is None and (value.leaf is None or value.leaf() is not leaf):
                inputs[i] = value.twin()  # the memory is another leaf's too
                leaf._mark_leaf(inputs[i])
        for at, leaf in self.inner:
            output = self.graph.outputs[at]
            own.append(Value(output.type, output.device, results[at]))
            if leaf is None:
                own[-1].requires_grad = True
                continue
            (arguments[leaf] if isinstance(leaf, int) else leaf)._mark_leaf(own[-1])
        with recording():  # it is not pending: it ran
            node: Node = record(call_op, (*inputs, *own), {"graph": self.graph})
        node.hooks = {at: hooks.copy() for at, hooks in self.hooks.items()} or None
        outputs = list(node.outputs)
        for value, buffer in zip(outputs, results, strict=True):
            value.buffer = buffer
        for (at, leaf), value in zip(self.inner, own):
            if leaf is None:
                outputs[at] = value
        node.done, node.saved = True, dict(enumerate(results))
        return outputs


def inner_leaves(nodes: Sequence[Node], differentiable: Sequence[Value], stand_ins: Sequence[Tensor],
                 outputs: Collection[Value]) -> list[Value]:
    """Values that the program computes, that a tensor is a leaf of, and that gradients flow into: one outside, an argument, or
    one that the step makes, if it is among the outputs."""
    made = set(nodes)
    todo, found = list(differentiable), dict.fromkeys(differentiable)
    for value in todo:
        if not _is_leaf(value) and value.node in made:
            more = [v for v in value.node.inputs if v.requires_grad and v not in found]
            todo += more
            found.update(dict.fromkeys(more))
    leaves = [(v, v.leaf()) for v in found if _is_leaf(v) and v.node in made]  # type: ignore[misc]
    arguments = set(map(id, stand_ins))
    return [v for v, leaf in leaves if leaf is not None and (leaf._storage.trace is None or id(leaf) in arguments
                                                             or v in outputs)]


def kept_for_backward(nodes: Sequence[Node], outputs: Sequence[Value], differentiable: Sequence[Value]) -> list[Value]:
    """What a backward from outside will read, beside the outputs."""
    return smallest_to_keep(nodes, read_by_gradients(nodes, differentiable), set(outputs)) if differentiable else []


def has_history(value: Value) -> bool:
    """Whether gradients can flow through an output: not if it is a leaf, or a backward inside has used up its history."""
    return (value.requires_grad and not _is_leaf(value) and value.node is not None and not value.node.is_spent(value.index))


def _is_leaf(value: Value) -> bool:
    """Whether gradients end in it; one that `retain_grad()` marked is passed through."""
    leaf = value.leaf() if value.leaf is not None else None
    return value.leaf is not None and (leaf is None or leaf._requires_grad)
