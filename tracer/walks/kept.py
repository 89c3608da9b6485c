"""What is kept of a forward pass for a backward pass that comes later, in a program of its own.

A vjp reads some inputs and outputs of its node. Not all of these are kept: what light operations (`Op.light`: those that
XLA fuses into whoever reads their result) make of other values is made again when it is read. So a composition such
as GELU, a normalisation or a softmax keeps one buffer, as an op with a hand-written gradient does. Which values to keep
is a minimum cut of the graph between what is heavy to compute and what is read, weighed in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise

from ..ir.graph import Node, Value
from ..ir.recorder import placeholder, recording
from ..ir.state import state
from .reverse import pull_back

Flags = tuple[bool, ...]

MADE_AGAIN = 16  # light operations in a row that are made again at most: a long chain of them is not run a second time
_AVOIDED, _UNBOUNDED = 1 << 50, 1 << 60  # bytes

_reads: dict[tuple[object, ...], tuple[Flags, Flags]] = {}


def read_by_gradients(nodes: Sequence[Node], roots: Iterable[Value]) -> list[Value]:
    """What a backward walk from `roots` through `nodes` reads of their inputs and outputs."""
    inside = set(nodes)
    needed: set[Node] = set()
    stack = [v.node for v in roots if v.requires_grad]
    while stack:
        node = stack.pop()
        if node is None or node in needed or node not in inside or not node.requires_grad or node.spent is True:
            continue
        needed.add(node)
        stack.extend(v.node for v in node.inputs if v.requires_grad)
    read: dict[Value, None] = {}
    for node in nodes:
        if node in needed:
            outs, ins = vjp_reads(node)
            read.update((v, None) for v, flag in zip(node.outputs, outs) if flag)
            read.update((v, None) for v, flag in zip(node.inputs, ins) if flag)
    return list(read)


def vjp_reads(node: Node, flags: Flags | None = None) -> tuple[Flags, Flags]:
    """Which outputs and inputs the op's vjp uses: as it says, or found by recording it once per op and types.

    `flags` say which inputs require a gradient, if they are others than when the node was recorded.
    """
    if node.op.reads is not None:
        return node.op.reads(len(node.types), len(node.inputs), **node.params)
    if flags is None:
        flags = tuple(v.requires_grad for v in node.inputs)
    key = (node.op, *(v.type for v in node.inputs), flags, *node.params.items())
    found = _reads.get(key)
    if found is None:
        found = _reads[key] = _trace_vjp(node, flags)
    return found


def _trace_vjp(node: Node, flags: Flags) -> tuple[Flags, Flags]:
    inputs = [placeholder(v.type, node.device, flag) for v, flag in zip(node.inputs, flags)]
    with recording() as recorder:
        before, state.grad = state.grad, True
        try:
            made = node.op(*inputs, **node.params)
        finally:
            state.grad = before
        outputs = made if isinstance(made, tuple) else (made,)
        count = len(recorder.nodes)
        inexact = [v for v in outputs if v.requires_grad]
        cotangents = [placeholder(v.type, node.device) for v in inexact]
        try:
            found = pull_back(inexact, cotangents, inputs)
        except NotImplementedError:  # there is no gradient to save for; a backward walk will say so
            found = {}
    needed = set(found.values())
    for backward in reversed(recorder.nodes[count:]):
        if any(v in needed for v in backward.outputs):
            needed.update(backward.inputs)
    return tuple(v in needed for v in outputs), tuple(v in needed for v in inputs)


def smallest_to_keep(nodes: Sequence[Node], read: Iterable[Value], kept: Collection[Value] = (),
                     keepable: Callable[[Value], bool] = lambda value: True, passing: Collection[Value] = ()) -> list[Value]:
    """The fewest bytes of results of `nodes` from which light operations make all that is `read`.

    Values that `nodes` do not compute are there anyway, as are those in `kept`, but for the `passing` ones, which are
    there now and not later. Where there is a choice a value that is not `keepable` is avoided, and of equally small sets
    it is the one nearest to what is read.
    """
    inside, made_again = set(nodes), _made_again(nodes)

    def lost(value: Value) -> bool:
        return (value.node in inside or value in passing) and value not in kept

    network = _Network()
    stack, seen = [v for v in read if lost(v)], dict[Value, None]()
    for value in stack:
        network.join(network.leaves(value), network.sink, _UNBOUNDED)
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen[value] = None
        node = value.node
        network.join(network.enters(value), network.leaves(value),
                     max(value.type.nbytes, 1) if keepable(value) else _AVOIDED)
        if node not in made_again:
            network.join(network.source, network.enters(value), _UNBOUNDED)
            continue
        for operand in node.inputs:
            if lost(operand):
                network.join(network.leaves(operand), network.enters(value), _UNBOUNDED)
                stack.append(operand)
    beyond = network.beyond_the_cut()
    return [v for v in seen if network.leaves(v) in beyond and network.enters(v) not in beyond]


def _made_again(nodes: Sequence[Node]) -> set[Node]:
    """The light nodes, without those at which a row of them has got long."""
    row: dict[Node, int] = {}
    for node in nodes:
        if node.op.light:
            row[node] = 1 + max((row.get(v.node, 0) for v in node.inputs), default=0)  # type: ignore[arg-type]
            if row[node] > MADE_AGAIN:
                del row[node]
    return set(row)


class _Network:
    """A flow network by adjacency, and its minimum cut (Dinic, "Algorithm for solution of a problem of maximum flow",
    1970). A value is an edge between two vertices, since it is values that are cut."""

    source, sink = 0, 1

    def __init__(self) -> None:
        self._vertices: dict[Value, int] = {}
        self._edges: list[dict[int, int]] = [{}, {}]  # by vertex, then by the vertex at the other end: what fits through

    def enters(self, value: Value) -> int:
        """The vertex before the value's edge."""
        vertex = self._vertices.get(value)
        if vertex is None:
            vertex = self._vertices[value] = len(self._edges)
            self._edges += [{}, {}]
        return vertex

    def leaves(self, value: Value) -> int:
        """The vertex behind it."""
        return self.enters(value) + 1

    def join(self, start: int, end: int, capacity: int) -> None:
        """An edge."""
        self._edges[start][end] = capacity
        self._edges[end].setdefault(start, 0)

    def beyond_the_cut(self) -> set[int]:
        """The vertices from which the sink is reached when as much flows as can."""
        while True:
            distance = self._distances()
            if self.source not in distance:
                return set(distance)
            self._fill(distance)

    def _distances(self) -> dict[int, int]:
        """From each vertex to the sink, along edges through which more fits."""
        distance, frontier = {self.sink: 0}, [self.sink]
        while frontier:
            reached = []
            for vertex in frontier:
                for before in self._edges[vertex]:
                    if before not in distance and self._edges[before][vertex]:
                        distance[before] = distance[vertex] + 1
                        reached.append(before)
            frontier = reached
        return distance

    def _fill(self, distance: dict[int, int]) -> None:
        """Let flow all that fits along shortest paths."""
        left = {vertex: list(self._edges[vertex]) for vertex in distance}
        path = [self.source]
        while path:
            vertex = path[-1]
            if vertex == self.sink:
                amount = min(self._edges[a][b] for a, b in pairwise(path))
                for a, b in pairwise(path):
                    self._edges[a][b] -= amount
                    self._edges[b][a] += amount
                path = [self.source]
                continue
            choices = left[vertex]
            while choices and not (self._edges[vertex][choices[-1]]
                                   and distance.get(choices[-1], -1) == distance[vertex] - 1):
                choices.pop()
            if choices:
                path.append(choices[-1])
            else:
                path.pop()
                if path:
                    left[path[-1]].pop()
