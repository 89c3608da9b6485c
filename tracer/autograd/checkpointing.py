"""Checkpointing: compute a region's values again in the backward pass instead of keeping them.

The region is recorded as usual, but no gradient flows through its nodes; a `custom_gradient` node passes its results on,
and the rule holds a copy of the region. Everything the region read is an operand of that node (parameters, the state of
random numbers), so the second run sees what the first one saw, and draws the same numbers; what it wrote is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..functions.operands import wrap
from ..ir.errors import requires
from ..ir.graph import Graph, Node, Value
from ..ir.recorder import Recorder, close, grad_mode, recording, thread_recorder
from ..ir.state import state
from ..ops.control import optimization_barrier
from ..ops.custom import Flags, PassedOn, custom_gradient, runs_users_code, transposed
from ..ops.elementwise import with_value
from ..tensor.nested import leaves, map_structure
from ..tensor.storage import Storage
from ..tensor.tensor import Tensor
from ..walks.replay import replay_node
from ..walks.reverse import pull_back
from ..walks.simplify import rewrite

Policy = Callable[[str], bool] | Collection[str] | None


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, policy: Policy = None,
               preserve_rng_state: bool = True, determinism_check: str = "default", debug: bool = False,
               early_stop: bool = True, context_fn: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, whose intermediate values are computed again when gradients are.

    `policy` names the operations whose results are kept all the same, for example {"dot", "convolution"}: a collection of
    names, or a function from a name to a bool. Random numbers are the same the second time, in any case. The remaining
    arguments are torch's, and change nothing here: https://pytorch.org/docs/stable/checkpoint.html

    >>> import flambeau as torch
    >>> x = torch.tensor(0.0, requires_grad=True)
    >>> torch.utils.checkpoint.checkpoint(lambda x: x.exp().sin(), x).backward()
    >>> round(x.grad.item(), 4)
    0.5403
    """
    requires(determinism_check in ("default", "none"), "checkpoint", "determinism_check of 'default' or 'none'",
             repr(determinism_check))
    if context_fn is not None and getattr(context_fn, "__name__", "") != "noop_context_fn":
        raise NotImplementedError("checkpoint has no context_fn: say with policy which operations' results are kept")
    if not state.grad:
        return function(*args, **kwargs)
    with _region() as region:
        result = function(*args, **kwargs)
        outputs = _differentiable(result)
        values = [x._read() for x in outputs]
    left = _left_behind(region)
    passed = _passed_on(region.nodes, dict.fromkeys([*values, *left.values()]), _chosen(policy))
    for storage, value in left.items():
        storage.write(passed[value])
    made = {id(x): _with_gradient(x, passed[v]) for x, v in zip(outputs, values)}
    return map_structure(result, lambda x, _: made.get(id(x), x))


def _with_gradient(x: Tensor, value: Value) -> Tensor:
    """A result with its history replaced; `x` itself where `detach` left the history with the handle."""
    if x._graph is None:
        return wrap(value)
    x._graph = value
    return x


def _differentiable(result: Any) -> list[Tensor]:
    return [x for x in leaves(result) if isinstance(x, Tensor) and x.requires_grad]


def _chosen(policy: Policy) -> Callable[[str], bool]:
    if policy is None:
        return lambda name: False
    return policy if callable(policy) else frozenset(policy).__contains__


@contextmanager
def _region() -> Iterator[Recorder]:
    """What is recorded in this block; it goes where it would have gone anyway."""
    with recording() as region:
        yield region
    outer = thread_recorder()
    outer.nodes += region.nodes
    outer.storages += region.storages
    outer.checks += region.checks


def _left_behind(region: Recorder) -> dict[Storage, Value]:
    """Storages that the function wrote or that are kept (a loss in an attribute), if gradients flow through their values."""
    inside = set(region.nodes)
    held = {s: s.read() for s in (ref() for ref in region.storages) if s is not None}
    return {s: v for s, v in held.items() if v.requires_grad and v.leaf is None and v.node in inside}


def _passed_on(nodes: list[Node], values: Collection[Value], keeps: Callable[[str], bool]) -> dict[Value, Value]:
    """What stands for `values`, computed by `nodes`: the same, with a gradient that computes them again."""
    if not values:
        return {}
    nodes = _after_leaves(nodes)
    graph, free = close([], nodes, tuple(values), "checkpoint")
    kept = [i for i, node in enumerate(nodes) if keeps(node.op.name)]
    saved = [v for i in kept for v in nodes[i].outputs]
    rule = Checkpoint(rewrite(graph), tuple(kept))
    for node in nodes:
        _cut(node)
    return dict(zip(values, custom_gradient(*free, *saved, *values, outputs=len(values), rule=rule)))


def _after_leaves(nodes: list[Node]) -> list[Node]:
    """The nodes without those that read leaves which are views: gradients end there, so the rule must be given their values."""
    made = {value for node in nodes for value in map(node.living, range(len(node.types))) if value is not None}
    todo, before = [value.node for value in made if value.leaf is not None], set[Node]()
    while todo:
        node = todo.pop()
        if node is not None and node not in before:
            before.add(node)
            todo += [value.node for value in node.inputs if value in made]
    return [node for node in nodes if node not in before] if before else nodes


def _cut(node: Node) -> None:
    """Let no gradient flow through a node: those of its region go through the rule."""
    node.requires_grad = False
    for value in map(node.living, range(len(node.types))):
        if value is not None and value.leaf is None:
            value.requires_grad = False


class Checkpoint(PassedOn):
    """The rule of a checkpointed region; `kept` are the nodes whose outputs are operands."""

    name = "Checkpoint"

    def __init__(self, graph: Graph, kept: tuple[int, ...]) -> None:
        self.graph, self.kept = graph, kept
        self.of_user = runs_users_code(graph)
        self._key = graph, graph.tape, kept

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Checkpoint({len(self.graph.nodes)} nodes)"

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """The region again, behind a barrier so that XLA does not merge it with the first run; then backward through it.

        The cotangents stand behind the same barrier: nothing is computed again before it is needed.
        """
        given = [c for c in g if c is not None]
        differentiated = state.grad
        held = optimization_barrier(*inputs, *given)
        again, cotangents = held[:len(inputs)], iter(held[len(inputs):])
        for value, before in zip(again, inputs):
            value.requires_grad = before.requires_grad  # here the walk below ends
        with grad_mode(True):
            results = self._run(again)
            pairs = [(v, next(cotangents)) for v, c in zip(results, g) if c is not None]
        pairs = [(v, c) for v, c in pairs if v.requires_grad]
        found = pull_back([v for v, _ in pairs], [c for _, c in pairs], again,
                          retain_graph=differentiated, create_graph=differentiated)
        return [found.get(v) for v in again]

    def _run(self, inputs: Sequence[Value]) -> list[Value]:
        """The outputs of the graph, where a kept node's values stand in for those computed again."""
        count = len(self.graph.inputs)
        saved, kept = iter(inputs[count:]), set(self.kept)
        env = dict(zip(self.graph.inputs, inputs))
        for i, node in enumerate(self.graph.nodes):
            made = replay_node(node, [env[v] for v in node.inputs])
            if i in kept:
                made = tuple(with_value(v, next(saved)) for v in made)
            env.update(zip(node.outputs, made, strict=True))
        return [env[v] for v in self.graph.outputs]

    def push_forward(self, tangents: Sequence[Value | None], out: Sequence[Value],
                     inputs: Sequence[Value]) -> Sequence[Value | None]:
        """The pull-back, transposed."""
        return transposed(self, tangents, out, inputs)

    def reads(self, out: int, inputs: int) -> tuple[Flags, Flags]:
        """All operands, no result."""
        return (False,) * out, (True,) * inputs


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None,
                          **kwargs: Any) -> Any:
    """Modules (or functions) one after another, in `segments` checkpointed pieces; the last piece is not checkpointed.

    >>> import flambeau as torch
    >>> model = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Tanh(), torch.nn.Tanh())
    >>> torch.utils.checkpoint.checkpoint_sequential(model, 3, torch.zeros(2))
    tensor([0., 0.])
    """
    pieces = list(functions.children()) if hasattr(functions, "children") else list(functions)
    length = len(pieces) // segments

    def runner(start: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for piece in pieces[start:end]:
                x = piece(x)
            return x

        return run

    for start in range(0, length * (segments - 1), max(length, 1)):
        input = checkpoint(runner(start, start + length), input, use_reentrant=use_reentrant, **kwargs)
    return runner(length * (segments - 1), len(pieces))(input)
