"""The program as data: values, the nodes that compute them, and ordered snapshots of both.

A `Value` never changes. The recorded nodes are the autograd tape; there is no second one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from .source import Position, describe, file_and_line
from .types import Type

if TYPE_CHECKING:
    from .op import Op


class GradientHooks(Protocol):
    """The hooks of one gradient: functions that see, and may replace, it when a backward walk reaches it."""

    @property
    def key(self) -> tuple[int, ...]:
        """Equal as long as the hooks are the same."""

    def copy(self) -> GradientHooks:
        """Hooks of their own, the same for now."""

    def all(self) -> Iterable[Callable[[Any], Any]]:
        """Each of them."""

    def run(self, gradient: Value) -> Value:
        """The gradient as the hooks leave it."""

    def recorded(self, value: Value, size: int | None = None) -> Value:
        """`value`, with the hooks as an op behind it; over a batch of `size` if one is given."""

    def accumulated(self, leaf: Any) -> None:
        """Tell the hooks for it that `.grad` was filled."""


class Value:
    """An immutable result: a type and a buffer, or the node that computes it, or both.

    `leaf` refers to the tensor whose `.grad` receives this value's cotangent; `device` is where the buffer lives;
    `owned` says that a storage holds this value. No two storages hold the same one.
    """

    __slots__ = ("type", "node", "index", "buffer", "requires_grad", "leaf", "device", "owned", "__weakref__")

    def __init__(self, type: Type, device: str, buffer: Any = None, node: Node | None = None, index: int = 0,
                 requires_grad: bool = False) -> None:
        self.type = type
        self.device = device
        self.buffer = buffer
        self.node = node
        self.index = index
        self.requires_grad = requires_grad
        self.leaf: Callable[[], Any] | None = None
        self.owned = False

    def twin(self) -> Value:
        """Another value with the same buffer, and without history."""
        lend = getattr(self.buffer, "lend", None)  # what lies in a pack must know that it is held twice
        if lend is not None:
            lend()
        return Value(self.type, self.device, self.buffer)

    def __repr__(self) -> str:
        origin = "buffer" if self.buffer is not None else self.node.op.name if self.node else "input"
        return f"<Value {self.type} from {origin}>"


class Node:
    """One application of a primitive.

    `where` is the user's source position, `scope` the module path, `of` the forward node that this node is the
    backward of. `spent` marks a node whose gradient was taken without `retain_graph`, or tells for which of its outputs
    there is none any more (of a node that stands for a graph). Outputs are held weakly, so that a value dies with its last
    user; `outputs` makes them again when needed, with the buffers that are `saved` by index for a gradient. `hooks` are those
    of the gradients of its outputs, by index. A backward walk comes to nodes in the order of their `number`, the last first;
    `kept` is what must live as long.
    """

    __slots__ = ("op", "inputs", "params", "types", "where", "scope", "of", "spent", "done", "released", "saved",
                 "device", "requires_grad", "hooks", "number", "kept", "_outputs", "__weakref__")

    def __init__(self, op: Op, inputs: tuple[Value, ...], params: dict[str, Any], types: tuple[Type, ...],
                 where: Position, scope: str = "", of: Node | None = None, device: str = "cpu",
                 requires_grad: bool = False) -> None:
        self.op, self.inputs, self.params, self.types = op, inputs, params, types
        self.where, self.scope, self.of = where, scope, of
        self.device, self.requires_grad, self.number = device, requires_grad, next(_numbers)
        self.spent: bool | frozenset[int] = False
        self.done = self.released = False
        self.saved: dict[int, Any] | None = None
        self.hooks: dict[int, GradientHooks] | None = None
        self.kept: Any = None
        self._outputs: list[ref[Value] | None] = [None] * len(types)

    def output(self, index: int) -> Value:
        """The value at `index`: the living one, or a new one standing for it."""
        held = self._outputs[index]
        value = None if held is None else held()
        if value is None:
            kind = self.types[index].dtype
            buffer = self.saved.get(index) if self.saved is not None else None
            value = Value(self.types[index], self.device, buffer, self, index, self.requires_grad and kind.is_inexact)
            self._outputs[index] = ref(value)
        return value

    def living(self, index: int) -> Value | None:
        """The value at `index` if anybody still holds it."""
        held = self._outputs[index]
        return held() if held is not None else None

    @property
    def outputs(self) -> tuple[Value, ...]:
        """All output values."""
        return tuple(self.output(i) for i in range(len(self.types)))

    @property
    def location(self) -> tuple[str, int]:
        """The user's file and line."""
        return file_and_line(self.where)

    def settle(self) -> None:
        """Of a node that ran: release it, unless a gradient can still flow through it or a value is still due."""
        if self.spent is True or not self.requires_grad:
            living = [v for v in map(self.living, range(len(self.types))) if v is not None]
            if all(v.buffer is not None for v in living):
                self.release()

    def is_spent(self, index: int) -> bool:
        """Whether the gradient of this output was taken."""
        return self.spent is True or (self.spent is not False and index in self.spent)

    def spend(self, outputs: frozenset[int] | None = None) -> None:
        """Mark these outputs, all without any; let go of what was saved if no gradient is left that could read it."""
        if outputs is not None:
            outputs |= self.spent or frozenset()  # type: ignore[operator]
            living = [v for i in range(len(self.types)) if i not in outputs and (v := self.living(i)) is not None]
        self.spent = True if outputs is None or not any(v.requires_grad for v in living) else outputs
        if self.done:
            self.settle()  # else a loss that is kept would keep what was saved for its gradient

    def hooks_of(self, index: int, make: Callable[[], GradientHooks]) -> GradientHooks:
        """The hooks of the gradient of one output; made if there are none yet."""
        self.hooks = self.hooks or {}
        return self.hooks.setdefault(index, make())

    @property
    def stops_gradient(self) -> bool:
        """Whether it was recorded under `no_grad`: a gradient could flow through it, and must not when it is replayed."""
        return not self.requires_grad and self.op.differentiable and any(v.requires_grad for v in self.inputs)

    @property
    def on_tape(self) -> tuple[Any, ...]:
        """What is known of gradients through the node, beside its op."""
        hooks = tuple((i, h.key) for i, h in self.hooks.items()) if self.hooks else ()
        return self.stops_gradient, hooks, *(graph.tape for graph in graphs_in(self.params.values()))

    def release(self) -> None:
        """Let go of the inputs of a node that ran and that no gradient can flow through."""
        self.done = True
        self.released = bool(self.inputs)
        self.inputs = ()
        self.saved = None

    def __repr__(self) -> str:
        return f"<Node {self.op.name} -> {', '.join(map(str, self.types))} at {describe(self.where)}>"


_numbers = count()  # of all nodes, in the order in which they were recorded


class Graph:
    """An ordered snapshot of a program: `inputs`, `nodes` in execution order, `outputs`.

    `str(graph)` is typed text that `flambeau.tracer.ir.text.parse` reads back; `check()` infers every type again.
    """

    __slots__ = ("name", "inputs", "nodes", "outputs", "labels", "_key", "_hash", "_tape")

    def __init__(self, inputs: Iterable[Value], nodes: Iterable[Node], outputs: Iterable[Value],
                 name: str = "main", labels: dict[Value, str] | None = None) -> None:
        self.name = name
        self.inputs, self.nodes, self.outputs = tuple(inputs), tuple(nodes), tuple(outputs)
        self.labels = labels or {}
        self._key: tuple[Any, ...] | None = None
        self._hash: int | None = None
        self._tape: tuple[Any, ...] | None = None

    @property
    def tape(self) -> tuple[Any, ...]:
        """What `key` does not say of the gradient: where it stops, which hooks it meets; inner graphs included."""
        if self._tape is None:
            self._tape = tuple(node.on_tape for node in self.nodes)
        return self._tape

    @property
    def key(self) -> tuple[Any, ...]:
        """Structure without values, files and lines: equal for graphs that mean the same program text."""
        if self._key is None:
            numbers: dict[Value, int] = {value: i for i, value in enumerate(self.inputs)}
            body = key_of_nodes(self.nodes, numbers)
            self._key = (tuple(v.type for v in self.inputs), body, tuple(numbers[v] for v in self.outputs))
        return self._key

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and self.key == other.key)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.key)
        return self._hash

    def __str__(self) -> str:
        return render(self)

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.inputs)} inputs, {len(self.nodes)} nodes, {len(self.outputs)} outputs>"

    def check(self) -> Graph:
        """Raise `GraphError` unless every input is defined before use and every type is what `infer` says."""
        defined = set(self.inputs)
        held = []
        for position, node in enumerate(self.nodes):
            for value in node.inputs:
                if value not in defined:
                    raise GraphError(f"{value} is used before it is defined", self, position)
            inferred = node.op.infer_types(tuple(v.type for v in node.inputs), node.params)
            if inferred != node.types:
                raise GraphError(f"{node.op.name} gives {inferred}, the node says {node.types}", self, position)
            held.append(node.outputs)
            defined.update(held[-1])
        for value in self.outputs:
            if value not in defined:
                raise GraphError(f"the output {value} is not defined in the graph", self, len(self.nodes))
        return self


class GraphError(Exception):
    """A graph is malformed; the message shows the offending line among its neighbours."""

    def __init__(self, problem: str, graph: Graph, position: int) -> None:
        lines = [f"{'->' if i == position else '  '} {i}: {node.op.name} {[v.type for v in node.inputs]}"
                 for i, node in enumerate(graph.nodes)][max(0, position - 3):position + 4]
        super().__init__("\n".join([problem, *lines]))


def needed_nodes(nodes: Sequence[Node], outputs: Iterable[Value], given: Iterable[Value] = ()) -> list[Node]:
    """The nodes that `outputs` depend on, in order; what is `given` depends on nothing."""
    given = set(given)
    needed, kept = set(outputs) - given, []
    for node in reversed(nodes):
        if any(v in needed for v in node.outputs):
            kept.append(node)
            needed.update(v for v in node.inputs if v not in given)
    return kept[::-1]


def graphs_in(params: Iterable[Any]) -> Iterator[Graph]:
    """The graphs among a node's parameters."""
    for param in params:
        if isinstance(param, Graph):
            yield param
        elif isinstance(param, tuple):
            yield from graphs_in(param)


def key_of_nodes(nodes: Sequence[Node], numbers: dict[Value, int]) -> tuple[Any, ...]:
    """A hashable description of `nodes`; `numbers` maps known values to integers and is extended with new ones."""
    parts: list[Any] = []
    add = parts.append
    for node in nodes:
        add(node.op)
        for value in node.inputs:
            add(numbers[value])
        if node.params:
            add(tuple(node.params.values()))
        for i in range(len(node.types)):
            numbers[node.output(i)] = len(numbers)
    return tuple(parts)


def render(graph: Graph, *, sources: bool = True) -> str:
    """The text of a graph, its inner graphs (loop bodies, branches) first."""
    inner: dict[Graph, str] = {}
    blocks: list[str] = []
    _render_into(graph, graph.name, inner, blocks, sources)
    return "\n\n".join(blocks)


def _render_into(graph: Graph, name: str, inner: dict[Graph, str], blocks: list[str], sources: bool) -> None:
    names = {value: f"%{i}" for i, value in enumerate(graph.inputs)}
    origin: dict[Node, str] = {}

    def typed(value: Value) -> str:
        label = f' "{graph.labels[value]}"' if value in graph.labels else ""
        return f"{names[value]}: {value.type}{label}"

    inputs = [typed(v) for v in graph.inputs]
    lines = []
    held = []  # keeps outputs that nobody uses alive, so that their names stay theirs
    for node in graph.nodes:
        operands = "".join(f" {names[v]}" + "," * (v_i < len(node.inputs) - 1) for v_i, v in enumerate(node.inputs))
        params = ", ".join(f"{key}={_render_param(p, inner, blocks, sources)}" for key, p in node.params.items())
        outputs = node.outputs
        held.append(outputs)
        for value in outputs:
            names[value] = f"%{len(names)}"
        results = ", ".join([typed(v) for v in outputs])
        line = f"  {results} = {node.op.name}{operands}{' {' + params + '}' if params else ''}"
        if sources:
            line = f"{line:<72}  # {_render_source(node, origin)}"
        origin[node] = ", ".join(names[v] for v in outputs)
        lines.append(line)
    separator = ",\n      " if len(inputs) > 4 else ", "
    head = f"graph {name}({separator.join(inputs)}) {{"
    tail = f"  return {', '.join(names[v] for v in graph.outputs)}".rstrip()
    blocks.append("\n".join([head, *lines, tail, "}"]))


def _render_source(node: Node, origin: dict[Node, str]) -> str:
    text = describe(node.where) + (f" {node.scope}" if node.scope else "")
    if node.of is None:
        return text
    return f"{text} (backward of {origin.get(node.of, node.of.op.name)})"


def _render_param(param: Any, inner: dict[Graph, str], blocks: list[str], sources: bool) -> str:
    if isinstance(param, Graph):
        if param not in inner:
            inner[param] = f"{param.name}_{len(inner)}"
            _render_into(param, inner[param], inner, blocks, sources)
        return "@" + inner[param]
    if isinstance(param, tuple):
        inside = ", ".join(_render_param(p, inner, blocks, sources) for p in param)
        return f"({inside},)" if len(param) == 1 else f"({inside})"
    return getattr(param, "short", None) or repr(param)
