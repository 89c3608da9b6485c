"""Reverse mode: one walk over recorded nodes, from outputs to inputs, that records the backward nodes.

It serves `Tensor.backward`, `autograd.grad`, `create_graph=True` and the transforms of `func`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter

from ..ir.constants import full_like
from ..ir.graph import GradientHooks, Node, Value
from ..ir.op import OPS
from ..ir.recorder import backward_of, grad_mode
from ..ir.source import describe
from ..ir.state import state

SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward.")


def pull_back(outputs: Sequence[Value], cotangents: Sequence[Value], wanted: Iterable[Value] | None = None, *,
              retain_graph: bool = False, create_graph: bool = False) -> dict[Value, Value]:
    """Cotangents of the `wanted` values (of all leaves when None), given those of `outputs`.

    With `create_graph` the recorded nodes can be differentiated again; without `retain_graph` a second walk over the
    same nodes raises torch's RuntimeError.
    """
    targets = None if wanted is None else Targets(wanted)
    order = useful_nodes(outputs, targets)
    sums: dict[Value, Value] = {}
    results: dict[Value, Value] = {}
    useful = set() if targets is None else set(order)
    with grad_mode(create_graph):
        for value, cotangent in zip(outputs, cotangents, strict=True):
            _accumulate(sums, value, cotangent)
        flows = {node: _step(node, sums, results, targets, useful) for node in reversed(order)}
        for value, cotangent in sums.items():
            target = _target(value, targets)
            if target is not None:
                _accumulate(results, target, _after_hooks(value, cotangent))
    if state.anomaly is not None:
        state.anomaly.check()
    if not retain_graph:
        for node, flow in flows.items():  # users first: what they alone held is gone when its own node comes
            node.spend(None if node.op.used_up is None else _used_up(node, flow, targets, useful))
    return results


class Targets:
    """The values whose cotangents are wanted. A leaf that was written under no_grad meanwhile stands for all it has been."""

    def __init__(self, wanted: Iterable[Value]) -> None:
        self.values = set(wanted)
        self.leaves = {v.leaf(): v for v in self.values if v.leaf is not None}

    def find(self, value: Value) -> Value | None:
        """The wanted value that this one's cotangent belongs to, if any."""
        if value in self.values:
            return value
        target = self.leaves.get(value.leaf()) if value.leaf is not None and self.leaves else None
        return target if target is not None and target.type is value.type else None


def _target(value: Value, targets: Targets | None) -> Value | None:
    """The value whose result a cotangent of `value` is part of, if it is wanted."""
    if targets is None:
        return value if value.leaf is not None else None
    return targets.find(value)


def useful_nodes(outputs: Sequence[Value], targets: Targets | None) -> list[Node]:
    """The nodes between outputs and targets, inputs before their users: as they were recorded, as torch's engine has them."""
    order: list[Node] = []
    in_time = True
    useful: dict[Node, bool] = {}
    stack: list[tuple[Node, bool]] = [(_unspent(v), False) for v in outputs if _flows(v)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            useful[node] = targets is None or any(
                targets.find(v) is not None or (_flows(v) and useful.get(v.node, False)) for v in node.inputs) or (  # type: ignore[arg-type]
                node.op.between is not None and any(targets.find(v) is not None for v in node.outputs))
            if useful[node]:
                order.append(node)
            continue
        if node in useful:
            continue
        useful[node] = False
        stack.append((node, True))
        above = [_unspent(v) for v in node.inputs if _flows(v)]
        in_time = in_time and all(other.number < node.number for other in above)
        stack.extend((other, False) for other in above if other not in useful)
    if in_time:
        order.sort(key=_number)
    return order


_number = attrgetter("number")


def _unspent(value: Value) -> Node:
    """The node of a value, whose gradient must not have been taken."""
    node = value.node
    if node.spent and node.is_spent(value.index):  # type: ignore[union-attr]
        raise RuntimeError(f"{SECOND_TIME} (first through {node.op.name} at {describe(node.where)})")  # type: ignore[union-attr]
    return node  # type: ignore[return-value]


def _flows(value: Value) -> bool:
    return value.node is not None and value.requires_grad and value.node.requires_grad


def _step(node: Node, sums: dict[Value, Value], results: dict[Value, Value], targets: Targets | None,
          useful: Collection[Node]) -> tuple[bool, ...]:
    """Move the cotangents of one node's outputs to its inputs; tell of which outputs there are any."""
    outputs, through = node.outputs, node.op.between is not None
    incoming = [sums.pop(v) if v in sums else None for v in outputs]
    hooks = node.hooks or {}
    if node.op.leading is not None and targets is not None:
        leading = node.op.leading(_wanted(node, targets), _onward(node, targets, useful), _sources(node), **node.params)
        incoming = [g if k in leading else None for k, g in enumerate(incoming)]
        hooks = {k: of_one for k, of_one in hooks.items() if k in leading}
    with backward_of(node):
        incoming = _hooked_in_turn(node, incoming, hooks) if through and hooks else [
            None if g is None else _after_hooks(v, g) for v, g in zip(outputs, incoming)]
    flow = tuple(g is not None for g in incoming)
    if not any(flow):
        return flow
    for value, cotangent in zip(outputs, _whole(node, incoming, targets)):
        if cotangent is not None and (target := _target(value, targets)) is not None:
            _accumulate(results, target, cotangent)
    with backward_of(node):
        for value, cotangent in zip(node.inputs, _pulled(node, incoming), strict=True):
            if cotangent is not None and value.requires_grad:
                assert cotangent.type is value.type, (
                    f"the vjp of {node.op.name} gives {cotangent.type} for an input of type {value.type}")
                _accumulate(sums, value, cotangent)
    return flow


def _pulled(node: Node, incoming: list[Value | None]) -> Sequence[Value | None]:
    """The cotangents of a node's inputs."""
    outputs = node.outputs
    if node.hooks and node.op.between is not None:
        return node.op.between((), tuple(incoming), outputs, *node.inputs, cut=tuple(node.hooks), **node.params)
    filled = tuple(full_like(v, 0) if g is None and not node.op.takes_none else g for v, g in zip(outputs, incoming))
    single = len(outputs) == 1 and not node.op.multiple
    cotangents = node.op.vjp(filled[0] if single else filled, outputs[0] if single else outputs, *node.inputs, **node.params)
    if state.anomaly is not None:
        state.anomaly.note(node, cotangents)
    return cotangents


def _whole(node: Node, incoming: list[Value | None], targets: Targets | None) -> list[Value | None]:
    """The cotangents of a node's outputs, with what flows to one that is wanted from others of the same node."""
    if node.op.between is None:
        return incoming
    outputs, whole = node.outputs, [*incoming]
    hooks = node.hooks or {}
    wanted = tuple(k for k in _wanted(node, targets) if k not in hooks)
    if wanted and any(g is not None for k, g in enumerate(incoming) if wanted != (k,)):
        with backward_of(node):
            found = node.op.between(wanted, tuple(incoming), outputs, *node.inputs, cut=tuple(hooks), **node.params)
        for k, cotangent in zip(wanted, found):
            whole[k] = cotangent
    return whole


def _wanted(node: Node, targets: Targets | None) -> tuple[int, ...]:
    return tuple(k for k, v in enumerate(node.outputs) if v.requires_grad and _target(v, targets) is not None)


def _hooked_in_turn(node: Node, incoming: list[Value | None], hooks: dict[int, GradientHooks]) -> list[Value | None]:
    """The cotangents of a node's outputs, of which some are computed from others, as their hooks leave them: users first."""
    outputs, between, order = node.outputs, node.op.between, node.op.order
    assert between is not None and order is not None
    for k in sorted(hooks, reverse=True, key=lambda k: order(k, **node.params)):
        others = tuple(None if i == k else g for i, g in enumerate(incoming))
        if any(g is not None for g in others):
            (more,) = between((k,), others, outputs, *node.inputs, cut=tuple(hooks), **node.params)
            if more is not None:
                g = incoming[k]
                incoming[k] = more if g is None else OPS["add"](g, more)
        if (g := incoming[k]) is not None:
            incoming[k] = hooks[k].run(g)
    return incoming


def _used_up(node: Node, flow: tuple[bool, ...], targets: Targets | None, useful: Collection[Node]) -> frozenset[int] | None:
    """The outputs of a node that stands for a graph whose gradients cannot be taken any more; None for all."""
    assert node.op.used_up is not None
    left = [v for i, taken in enumerate(flow) if not taken and (v := node.living(i)) is not None]
    if targets is None and not any(v.requires_grad for v in left):
        return None
    sources = _sources(node)
    onward = sources if targets is None else _onward(node, targets, useful)
    return node.op.used_up(flow, _wanted(node, targets), onward, sources, **node.params)


def _onward(node: Node, targets: Targets, useful: Collection[Node]) -> tuple[bool, ...]:
    """The inputs of a node that lead to what is wanted."""
    return tuple(v.requires_grad and (v.node in useful or targets.find(v) is not None) for v in node.inputs)


def _sources(node: Node) -> tuple[bool, ...]:
    """The inputs of a node that require a gradient."""
    return tuple(v.requires_grad for v in node.inputs)


def _after_hooks(value: Value, cotangent: Value) -> Value:
    """A complete cotangent as the hooks of the value's node, or of the leaf that it is of, leave it."""
    node, leaf = value.node, value.leaf() if value.leaf is not None else None
    if node is not None and node.hooks and value.index in node.hooks:
        cotangent = node.hooks[value.index].run(cotangent)
    if leaf is not None and leaf._hooks is not None:
        cotangent = leaf._hooks.run(cotangent)
    return cotangent


def _accumulate(sums: dict[Value, Value], value: Value, cotangent: Value) -> None:
    before = sums.get(value)
    sums[value] = cotangent if before is None else OPS["add"](before, cotangent)
