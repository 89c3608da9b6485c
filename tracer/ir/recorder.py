"""Taking down nodes: the one function through which every primitive is recorded."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .errors import device_mismatch
from .graph import Graph, Node, Value
from .source import Position, user_position
from .stand_in import known_parameters
from .state import state
from .types import Type

if TYPE_CHECKING:
    from .checks import Check
    from .op import Op

_inferred: dict[tuple[Any, ...], tuple[Type, ...]] = {}
_parameters: dict[Op, tuple[str, ...]] = {}  # their names, in the order in which every call gives them


class Recorder:
    """Where nodes go: an ordered list. Lazy mode, a jit trace and a sub-program each have their own.

    `lazy` says that what is recorded here may be run at any time; `cut` is where it was last run for its length.
    `storages` are those whose value became pending here; lazy mode looks through them for what is still alive.
    `checks` are on values of these nodes: they are to run, whether or not anybody reads what they stand beside.
    """

    __slots__ = ("checks", "cut", "lazy", "nodes", "storages")

    def __init__(self) -> None:
        self.lazy = False
        self.cut: Position | None = None
        self.nodes: list[Node] = []
        self.storages: list[weakref.ref[Any]] = []
        self.checks: list[Check] = []


def record(op: Op, inputs: tuple[Value, ...], params: dict[str, Any], device: str | None = None) -> Node:
    """Append a node of `op` to the thread's recorder and return it.

    Types are inferred (and remembered per op, input types and parameters); gradients flow through the node when
    grad mode is on and an input requires them. The node runs where its inputs are, or on the `device` that is given.
    """
    current, anywhere = state, device is not None
    recorder = current.recorder or thread_recorder()
    if params and not recorder.lazy:  # only where a trace may be in progress
        params = known_parameters(params)
    key: tuple[Any, ...]
    if len(inputs) == 2:  # the common cases by themselves: a general key takes three times as long
        key = (op, inputs[0].type, inputs[1].type)
    elif len(inputs) == 1:
        key = (op, inputs[0].type)
    else:
        key = (op, *[v.type for v in inputs])
    if params:
        key = (*key, *(op.key_of(params) if op.of_gradient else params.values()))
    inferred = _inferred.get(key)
    if inferred is None:
        inferred = _inferred[key] = _infer(op, inputs, params)
    flows = False
    for value in inputs:
        if value.requires_grad:
            flows = True
        if device is None:
            device = value.device
        elif value.device != device and not anywhere:
            raise device_mismatch(op.name, [v.device for v in inputs])
    of = current.of
    if of is None:
        node = Node(op, inputs, params, inferred, user_position(3), current.scope, None, device or "cpu",
                    flows and current.grad and op.differentiable)
    else:
        node = Node(op, inputs, params, inferred, of.where, of.scope, of, device or "cpu",
                    flows and current.grad and op.differentiable)
    recorder.nodes.append(node)
    return node


def result_types(op: Op, inputs: tuple[Value, ...], params: dict[str, Any]) -> tuple[Type, ...]:
    """What `record` finds out, without recording; the op's error for operands that it does not take."""
    key = (op, *[v.type for v in inputs], *op.key_of(params))
    inferred = _inferred.get(key)
    if inferred is None:
        inferred = _inferred[key] = _infer(op, inputs, params)
    return inferred


def _infer(op: Op, inputs: tuple[Value, ...], params: dict[str, Any]) -> tuple[Type, ...]:
    """Output types. Keys of nodes hold the values of parameters without their names, so the order must be one."""
    given = tuple(params)
    assert _parameters.setdefault(op, given) == given, f"{op.name} got the parameters {given}, before {_parameters[op]}"
    return op.infer_types(tuple(v.type for v in inputs), params)


def thread_recorder() -> Recorder:
    """The recorder of this thread; a thread starts in lazy mode."""
    recorder = state.recorder
    if recorder is None:
        recorder = state.recorder = Recorder()
        recorder.lazy = True
    return recorder


@contextmanager
def recording(recorder: Recorder | None = None) -> Iterator[Recorder]:
    """Send the nodes of this block to `recorder` (a new one by default)."""
    recorder = recorder or Recorder()
    before = state.recorder
    state.recorder = recorder
    try:
        yield recorder
    finally:
        state.recorder = before


@contextmanager
def backward_of(node: Node | None) -> Iterator[None]:
    """Nodes recorded in this block are the backward of `node` and carry its source position."""
    before = state.of
    state.of = node
    try:
        yield
    finally:
        state.of = before


@contextmanager
def user_backward() -> Iterator[None]:
    """Nodes of this block are recorded by a user's backward or hook: they carry the line there, and what they belong to."""
    node, recorder = state.of, thread_recorder()
    start = len(recorder.nodes)
    with backward_of(None):
        yield
    for made in recorder.nodes[start:]:
        if made.of is None:
            made.of, made.scope = node, made.scope or (node.scope if node is not None else "")


@contextmanager
def grad_mode(enabled: bool) -> Iterator[None]:
    """Whether nodes recorded in this block let gradients flow."""
    before = state.grad
    state.grad = enabled
    try:
        yield
    finally:
        state.grad = before


@contextmanager
def replayed(node: Node) -> Iterator[None]:
    """What is recorded in this block stands for `node`: where its gradient stopped, this one does."""
    with grad_mode(state.grad and not node.stops_gradient):
        yield


def placeholder(type: Type, device: str = "cpu", requires_grad: bool = False) -> Value:
    """A value without buffer or node: an input of a graph under construction."""
    return Value(type, device, requires_grad=requires_grad)


def capture(function: Any, types: list[Type], device: str = "cpu", name: str = "body") -> tuple[Graph, tuple[Value, ...]]:
    """Record `function(*placeholders) -> values` as a graph of its own.

    Returns the graph and the values from outside that it uses, which are appended to the graph's inputs.
    """
    inputs = [placeholder(t, device) for t in types]
    with recording() as recorder:
        outputs = tuple(function(*inputs))
    return close(inputs, recorder.nodes, outputs, name)


def close(inputs: list[Value], nodes: list[Node], outputs: tuple[Value, ...],
          name: str = "body") -> tuple[Graph, tuple[Value, ...]]:
    """A graph of `nodes` whose free values are made inputs, after `inputs`; also returns those free values."""
    known = set(inputs)
    inside = set(nodes)
    free: dict[Value, Value] = {}
    for value in [*(v for node in nodes for v in node.inputs), *outputs]:
        if value not in known and value.node not in inside:
            known.add(value)
            free[value] = value
    return Graph([*inputs, *free], nodes, outputs, name), tuple(free)
