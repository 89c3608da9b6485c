"""`call`: a whole graph as one op. A jitted forward is one on the tape, so that its backward is one program too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.checks import Check, Site, note
from ..ir.constants import full_like
from ..ir.errors import requires
from ..ir.graph import Graph, Node, Value, needed_nodes
from ..ir.op import Emitter, Op, Operand, register
from ..ir.recorder import close, grad_mode, placeholder, recording
from ..ir.state import state
from ..ir.types import Type
from ..walks import batch as batching
from ..walks import forward as pushforward
from ..walks import reverse as autodiff
from ..walks.interpret import interpret
from ..walks.kept import vjp_reads
from ..walks.replay import replay, replay_node
from .checks import joined
from .custom import runs_users_code
from .elementwise import alias, stop_gradient


def _infer(*types: Type, graph: Graph) -> tuple[Type, ...]:
    wanted = tuple(v.type for v in graph.inputs)
    requires(types == wanted, "call", f"operands of types {wanted}", types)
    return tuple(v.type for v in graph.outputs)


def _lower(h: Emitter, *operands: Operand, graph: Graph) -> tuple[Operand, ...]:
    return h.inline(graph, operands)


def _vjp(g: tuple[Value | None, ...], out: tuple[Value, ...], *inputs: Value, graph: Graph) -> Sequence[Value | None]:
    """One call of the backward graph, which reads the outputs that the forward call saved."""
    return _between((), g, out, *inputs, graph=graph)


def _between(wanted: tuple[int, ...], g: tuple[Value | None, ...], out: tuple[Value, ...], *inputs: Value,
             graph: Graph, cut: tuple[int, ...] = ()) -> Sequence[Value | None]:
    """The same for the wanted outputs, from which the graph computes others; for the inputs if none is.

    Nothing flows through the outputs in `cut` but what `g` says, which hooks have seen.
    """
    flows = tuple(c is not None for c in g)
    key = (graph, graph.tape, wanted, flows, cut, tuple(v.requires_grad for v in inputs))
    found = _backwards.get(key)
    if found is None and runs_users_code(graph):
        return _openly(wanted, g, out, inputs, graph, cut)
    if found is None:
        found = _backward_graph(graph, inputs, wanted, flows, cut)
        if not found[2]:  # what a user's backward takes from outside may be another value next time
            _backwards[key] = found
    body, flags, free, sites = found
    operands = (*inputs, *out, *(full_like(v, 0) if c is None else c for v, c in zip(out, g)), *free)
    made = call(*operands, graph=body)
    if state.grad and any(v.requires_grad for v in made):
        flowing = _flowing(body, [v.requires_grad for v in operands])
        made = [v if o in flowing else stop_gradient(v) for v, o in zip(made, body.outputs)]
    results = iter(made)
    if sites:
        note(Check(next(results), sites))
    return [next(results) if flag else None for flag in flags]


Backward = tuple[Graph, tuple[bool, ...], tuple[Value, ...], tuple[Site, ...]]
_backwards: dict[Any, Backward] = {}


def _openly(wanted: tuple[int, ...], g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value], graph: Graph,
            cut: tuple[int, ...]) -> Sequence[Value | None]:
    """The cotangents, recorded where the walk is, so that users' code sees real tensors; what the outputs are is known."""
    ends = {graph.outputs[k]: _as_leaf(out[k]) for k in cut if graph.outputs[k] not in graph.inputs}
    with grad_mode(True):
        operands = [alias(v) if v.requires_grad else v for v in inputs]  # whose hooks are those of the walk around this one
        outputs = _replayed(graph, operands, ends)
    for value, known in zip(outputs, out):
        if value.buffer is None:
            value.buffer = known.buffer
    before, state.stands_for = state.stands_for, {**state.stands_for, **dict(zip(operands, inputs))}
    try:
        return _pulled(outputs, g, [ends.get(graph.outputs[k], outputs[k]) for k in wanted] or operands, state.grad)
    finally:
        state.stands_for = before


def _pulled(outputs: Sequence[Value], cotangents: Sequence[Value | None], ends_at: Sequence[Value],
            create_graph: bool) -> list[Value | None]:
    """The cotangents of the values in which the walk ends; None in those of outputs says that no gradient flows to one."""
    pairs = [(o, c) for o, c in zip(outputs, cotangents) if o.requires_grad and c is not None]
    found = autodiff.pull_back([o for o, _ in pairs], [c for _, c in pairs], ends_at, create_graph=create_graph)
    return [found.get(v) for v in ends_at]


def _as_leaf(value: Value) -> Value:
    """The same value, in which gradients end."""
    twin = value.twin() if value.buffer is not None else alias(value)
    twin.requires_grad = True
    return twin


def _replayed(graph: Graph, operands: Sequence[Value], ends: dict[Value, Value]) -> tuple[Value, ...]:
    """The outputs, recorded again; those in which gradients are to end are others for whoever computes with them.

    Hooks of the outputs are those of the node that calls the graph.
    """
    now, whole = dict(zip(graph.inputs, operands, strict=True)), dict[Value, Value]()
    outputs = set(graph.outputs)
    for node in graph.nodes:
        bare = [v.index for v in node.outputs if v in outputs] if node.hooks else ()
        now.update(zip(node.outputs, replay_node(node, [now[v] for v in node.inputs], bare), strict=True))
        for v in node.outputs:
            if v in ends:
                whole[v], now[v] = now[v], ends[v]
    return tuple(whole.get(v, now[v]) for v in graph.outputs)


def _backward_graph(graph: Graph, inputs: Sequence[Value], wanted: tuple[int, ...], flows: Sequence[bool],
                    cut: tuple[int, ...]) -> Backward:
    """The graph from (inputs, outputs, cotangents) to the cotangents of the inputs, and which of these there are.

    If some outputs are `wanted`, by their numbers, it goes to theirs instead; `flows` says which have a cotangent.
    Then the values from outside that a user's backward took, which are further operands, and the sites of the checks in
    it, on which the first output reports.
    """
    operands = [placeholder(v.type, v.device, v.requires_grad) for v in inputs]
    ends = {v: placeholder(v.type, v.device, True) for v in (graph.outputs[k] for k in cut) if v not in graph.inputs}
    with recording() as recorder, grad_mode(True):
        outputs = _replayed(graph, operands, ends)
        cotangents = [placeholder(v.type, v.device) for v in outputs]
        ends_at = [ends.get(graph.outputs[k], outputs[k]) for k in wanted] or operands
        kept = _pulled(outputs, [c if flow else None for c, flow in zip(cotangents, flows)], ends_at,
                       True)  # the graph may be differentiated in its turn
        check = joined(recorder.checks) if recorder.checks else None
    saved = {o: placeholder(o.type, o.device) for o in outputs if o not in operands}
    slots = [saved[o] if o in saved else placeholder(o.type, o.device) for o in outputs]
    known = {end: slots[graph.outputs.index(v)] for v, end in ends.items()}
    for node in recorder.nodes:  # what was computed from an output reads it too, so that second orders flow through it
        node.inputs = tuple(known.get(v) or saved.get(v, v) for v in node.inputs)
    results = [*([check.report] if check else ()), *(saved.get(v, v) for v in kept if v is not None)]
    # Only what these need: what the forward saved is not computed again.
    body, free = close([*operands, *slots, *cotangents], needed_nodes(recorder.nodes, results), tuple(results), "backward")
    return body, tuple(v is not None for v in kept), free, check.sites if check else ()


def _order(k: int, *, graph: Graph) -> int:
    """The position of the node that computes an output."""
    return next((i for i, node in enumerate(graph.nodes) if node is graph.outputs[k].node), -1)


def _used_up(flow: tuple[bool, ...], wanted: tuple[int, ...], onward: tuple[bool, ...], sources: tuple[bool, ...], *,
             graph: Graph) -> frozenset[int]:
    """The outputs whose gradients read what was let go of after a walk from those that `flow` tells.

    It went to the outputs `wanted` and to the inputs that `onward` tells.
    """
    key = graph, graph.tape, flow, wanted, onward, sources
    found = _gone.get(key)
    if found is None:
        flowing = _flowing(graph, sources)
        leads, every = _to_goals(graph, wanted, onward, flowing), _to_goals(graph, (), sources, flowing)
        gone = _reading([v for v, taken in zip(graph.outputs, flow) if taken], leads, flowing)
        found = _gone[key] = frozenset(k for k, v in enumerate(graph.outputs) if gone & _reading([v], every, flowing))
    return found


_gone: dict[Any, frozenset[int]] = {}


def _leading(wanted: tuple[int, ...], onward: tuple[bool, ...], sources: tuple[bool, ...], *, graph: Graph) -> frozenset[int]:
    """The outputs that are `wanted` or computed from what is."""
    leads = _to_goals(graph, wanted, onward, _flowing(graph, sources))
    return frozenset(k for k, v in enumerate(graph.outputs) if k in wanted or v.node in leads
                     or (v in graph.inputs and onward[graph.inputs.index(v)]))


def _flowing(graph: Graph, sources: Sequence[bool]) -> set[Value]:
    """The values of a graph that require a gradient if these inputs do, which need not be those for which it was recorded."""
    found = {v for v, flows in zip(graph.inputs, sources, strict=True) if flows}
    for node in graph.nodes:
        if node.op.differentiable and not node.stops_gradient and any(v in found for v in node.inputs):
            found.update(v for v in node.outputs if v.type.dtype.is_inexact)
    return found


def _to_goals(graph: Graph, wanted: tuple[int, ...], onward: Sequence[bool], flowing: set[Value]) -> set[Node]:
    """The nodes through which gradients come to the `wanted` outputs and the inputs that `onward` tells."""
    goals = {graph.outputs[k] for k in wanted}
    goals.update(v for v, goes_on in zip(graph.inputs, onward) if goes_on)
    goals &= flowing
    found = set()
    for node in graph.nodes:
        through = [v for v in node.outputs if v in flowing]
        if through and any(v in goals for v in node.inputs):
            found.add(node)
            goals.update(through)
    return found


def _reading(ends: Sequence[Value], among: set[Node], flowing: set[Value]) -> set[Node]:
    """The nodes, of these, from which a walk from `ends` reads something that was saved."""
    met: set[Node] = set()
    stack = [v.node for v in ends]
    while stack:
        node = stack.pop()
        if node in among and node not in met:
            met.add(node)
            stack += [v.node for v in node.inputs if v in flowing]
    return {node for node in met if any(map(any, vjp_reads(node, tuple(v in flowing for v in node.inputs))))}


def _jvp(tangents: Sequence[Value | None], *inputs: Value,
         graph: Graph) -> tuple[tuple[Value, ...], list[Value | None]]:
    """Forward mode goes through the nodes of the graph, recorded again."""
    outputs = replay(graph, inputs)
    return outputs, pushforward.push_forward(outputs, {v: t for v, t in zip(inputs, tangents) if t is not None})


def _batch(size: int, batched: Sequence[bool], *inputs: Value, graph: Graph) -> tuple[Value, ...]:
    return tuple(batching.full_batch(size, batching.batched_call(graph, size, batched, inputs)))


call = register(Op("call", _infer, lambda *arrays, graph: tuple(interpret(graph, arrays)), _lower, _vjp, _batch,
                   jvp=_jvp, multiple=True, takes_none=True, between=_between, used_up=_used_up,
                   leading=_leading, order=_order))
