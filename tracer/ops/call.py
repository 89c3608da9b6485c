"""`call`: a whole graph as one op. A jitted forward is one on the tape, so that its backward is one program too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.checks import Check, Site, note
from ..ir.constants import full_like
from ..ir.errors import requires
from ..ir.graph import Graph, Value, needed_nodes
from ..ir.op import Emitter, Op, Operand, register
from ..ir.recorder import close, grad_mode, placeholder, recording
from ..ir.types import Type
from ..walks import batch as batching
from ..walks import forward as pushforward
from ..walks import reverse as autodiff
from ..walks.interpret import interpret
from ..walks.replay import replay
from .checks import joined


def _infer(*types: Type, graph: Graph) -> tuple[Type, ...]:
    wanted = tuple(v.type for v in graph.inputs)
    requires(types == wanted, "call", f"operands of types {wanted}", types)
    return tuple(v.type for v in graph.outputs)


def _lower(h: Emitter, *operands: Operand, graph: Graph) -> tuple[Operand, ...]:
    return h.inline(graph, operands)


def _vjp(g: tuple[Value, ...], out: tuple[Value, ...], *inputs: Value, graph: Graph) -> Sequence[Value | None]:
    """One call of the backward graph, which reads the outputs that the forward call saved."""
    return _between((), g, out, *inputs, graph=graph)


def _between(wanted: tuple[int, ...], g: tuple[Value | None, ...], out: tuple[Value, ...], *inputs: Value,
             graph: Graph) -> Sequence[Value | None]:
    """The same for the wanted outputs, from which the graph computes others; for the inputs if none is."""
    flows = tuple(c is not None for c in g)
    key = (graph, graph.tape, wanted, flows, tuple(v.requires_grad for v in inputs))
    found = _backwards.get(key)
    if found is None:
        found = _backward_graph(graph, inputs, wanted, flows)
        if not found[2]:  # what a user's backward takes from outside may be another value next time
            _backwards[key] = found
    body, flags, free, sites = found
    cotangents = [full_like(v, 0) if c is None else c for v, c in zip(out, g)]
    results = iter(call(*inputs, *out, *cotangents, *free, graph=body))
    if sites:
        note(Check(next(results), sites))
    return [next(results) if flag else None for flag in flags]


Backward = tuple[Graph, tuple[bool, ...], tuple[Value, ...], tuple[Site, ...]]
_backwards: dict[Any, Backward] = {}


def _backward_graph(graph: Graph, inputs: Sequence[Value], wanted: tuple[int, ...], flows: Sequence[bool]) -> Backward:
    """The graph from (inputs, outputs, cotangents) to the cotangents of the inputs, and which of these there are.

    If some outputs are `wanted`, by their numbers, it goes to theirs instead; `flows` says which have a cotangent.
    Then the values from outside that a user's backward took, which are further operands, and the sites of the checks in
    it, on which the first output reports.
    """
    operands = [placeholder(v.type, v.device, v.requires_grad) for v in inputs]
    with recording() as recorder, grad_mode(True):
        outputs = replay(graph, operands)
        forward = len(recorder.nodes)
        cotangents = [placeholder(v.type, v.device) for v in outputs]
        pairs = [(o, c) for o, c, flow in zip(outputs, cotangents, flows) if o.requires_grad and flow]
        ends_at = [outputs[k] for k in wanted] or operands
        gradients = autodiff.pull_back([o for o, _ in pairs], [c for _, c in pairs], ends_at,
                                       create_graph=True)  # the graph may be differentiated in its turn
        check = joined(recorder.checks) if recorder.checks else None
    saved = {o: placeholder(o.type, o.device) for o in outputs if o not in operands}
    for node in recorder.nodes[forward:]:
        node.inputs = tuple(saved.get(v, v) for v in node.inputs)
    kept = [gradients.get(v) for v in ends_at]
    ends = [*([check.report] if check else ()), *(saved.get(v, v) for v in kept if v is not None)]
    slots = [saved[o] if o in saved else placeholder(o.type, o.device) for o in outputs]
    # Only what the ends need: what the forward saved is not computed again.
    body, free = close([*operands, *slots, *cotangents], needed_nodes(recorder.nodes, ends), tuple(ends), "backward")
    return body, tuple(v is not None for v in kept), free, check.sites if check else ()


def _jvp(tangents: Sequence[Value | None], *inputs: Value,
         graph: Graph) -> tuple[tuple[Value, ...], list[Value | None]]:
    """Forward mode goes through the nodes of the graph, recorded again."""
    outputs = replay(graph, inputs)
    return outputs, pushforward.push_forward(outputs, {v: t for v, t in zip(inputs, tangents) if t is not None})


def _batch(size: int, batched: Sequence[bool], *inputs: Value, graph: Graph) -> tuple[Value, ...]:
    return tuple(batching.full_batch(size, batching.batched_call(graph, size, batched, inputs)))


call = register(Op("call", _infer, lambda *arrays, graph: tuple(interpret(graph, arrays)), _lower, _vjp, _batch,
                   jvp=_jvp, multiple=True, between=_between))
