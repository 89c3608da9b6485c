"""Forward mode: one walk over recorded nodes, from inputs to outputs, that records the tangents.

An op's vjp is linear in its cotangent, so the vjp of that vjp is the op's derivative along a tangent: forward mode is
reverse mode twice, node by node. The cotangent of the first time is a stand-in that nothing may depend on afterwards.
Ops that have no vjp bring a `jvp` rule of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.constants import full_like
from ..ir.graph import Node, Value, needed_nodes
from ..ir.recorder import backward_of, grad_mode, placeholder, recording, thread_recorder
from .reverse import Targets, pull_back, useful_nodes


def push_forward(outputs: Sequence[Value], tangents: Mapping[Value, Value]) -> list[Value | None]:
    """Tangents of `outputs`, None for those that do not move, given the tangents of some values they depend on.

    The recorded nodes can be differentiated again.
    """
    moving = dict(tangents)
    for node in useful_nodes(outputs, Targets(tangents)):
        incoming = [moving.get(v) for v in node.inputs]
        if all(t is None for t in incoming):
            continue
        with backward_of(node), grad_mode(True):
            found = _twice(node, incoming) if node.op.jvp is None else node.op.jvp(incoming, *node.inputs, **node.params)[1]
        moving.update((v, t) for v, t in zip(node.outputs, found) if t is not None and v not in tangents)
    return [moving.get(v) for v in outputs]


def _twice(node: Node, tangents: Sequence[Value | None]) -> list[Value | None]:
    """The vjp of the node's vjp, without what depends on the stand-in for the cotangent."""
    outputs = node.outputs
    with recording() as recorder:
        stand_ins = [placeholder(v.type, v.device, True) if v.type.dtype.is_inexact else full_like(v, 0) for v in outputs]
        single = len(outputs) == 1 and not node.op.multiple
        cotangents = node.op.vjp(stand_ins[0] if single else tuple(stand_ins), outputs[0] if single else outputs,
                                 *node.inputs, **node.params)
        pairs = [(c, t) for c, t in zip(cotangents, tangents, strict=True) if c is not None and t is not None]
        found = pull_back([c for c, _ in pairs], [t for _, t in pairs], stand_ins, retain_graph=True, create_graph=True)
    pushed = [found.get(v) for v in stand_ins]
    kept = needed_nodes(recorder.nodes, [t for t in pushed if t is not None])
    for made in kept:
        assert not any(v in stand_ins for v in made.inputs), f"the vjp of {node.op.name} is not linear in its cotangent"
        made.of = node
    thread_recorder().nodes.extend(kept)
    return pushed
