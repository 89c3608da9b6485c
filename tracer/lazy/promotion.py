"""Numbers of a program outside jit that are its inputs: a loop over mini-batches `X[i:i + n]` is one program.

Where slices and pads start is always an input, their extents never. To make it one when it is seen with a second value
would be another program, with another fusion: XLA summed a transposed slice in another order then (tried). Inputs cost
no measurable time (an attention block and a recurrent net of 40 steps, each with its backward).
A constant becomes an input when it is seen with a second value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..backend import backend
from ..ir.constants import from_literal
from ..ir.dtypes import int64
from ..ir.graph import Graph, Node, Value
from ..ir.recorder import placeholder, recording
from ..ir.types import Type
from ..ops.indexing import dynamic_slice, dynamic_update_slice
from ..ops.structural import Ints, broadcast, constant, pad, slice_
from ..walks.simplify import Builder

_scalar = Type.of((), int64)


def _parts_of_slice(node: Node) -> tuple[Any, Any]:
    start, _, stride = node.params.values()
    return start, (node.types[0], stride)


def _parts_of_pad(node: Node) -> tuple[Any, Any]:
    low, high, interior = node.params.values()
    if any(n < 0 for n in (*low, *high)):
        return None, (low, high, interior)
    return low, (node.types[0], interior)


# Of a node's parameters what may become an input (None if nothing can), and the rest.
parts: dict[Any, Callable[[Node], tuple[Any, Any]]] = {slice_: _parts_of_slice, pad: _parts_of_pad}


def starts(holders: Sequence[Node]) -> tuple[int, ...]:
    """Which of the numbers of a program say where something starts."""
    return tuple(i for i, node in enumerate(holders) if node.op is not constant)


def buffers(node: Node, number: Any, device: str) -> list[Any]:
    """What the program gets for a number that is an input."""
    if node.op is constant:
        return [backend(device).upload(np.asarray(from_literal(number, node.types[0].dtype)), device)]
    engine: Any = backend(device)
    return [_position(engine, device, number[axis]) for axis in _free_axes(node)]


@lru_cache(maxsize=4096)
def _position(engine: Any, device: str, start: int) -> Any:
    return engine.upload(np.asarray(start, np.int64), device)


def _free_axes(node: Node) -> list[int]:
    """The axes along which what is cut out, or put in, is smaller than what it is part of."""
    whole, part = (node.inputs[0].type, _window(node)) if node.op is slice_ else (node.types[0], _window(node))
    return [axis for axis, (n, m) in enumerate(zip(whole.shape, part)) if n != m]


def _window(node: Node) -> Ints:
    """The extent of what a slice cuts out, or of what a pad puts in."""
    inner, steps = ((node.types[0].shape, node.params["stride"]) if node.op is slice_ else
                    (node.inputs[0].type.shape, tuple(i + 1 for i in node.params["interior"])))
    return tuple((n - 1) * s + 1 if n else 0 for n, s in zip(inner, steps))


def with_inputs(graph: Graph, promoted: Sequence[int]) -> Graph:
    """The graph with some of its numbers made inputs, after the others; they count in the order of the nodes."""
    builder = Builder(graph)
    chosen, count, extra = set(promoted), -1, []
    for node in graph.nodes:
        inputs = tuple(builder.env[v] for v in node.inputs)
        count += holds_number(node)
        if count in chosen and holds_number(node):
            made = [placeholder(Type.of((), node.types[0].dtype), node.device)] if node.op is constant else [
                placeholder(_scalar, node.device) for _ in _free_axes(node)]
            extra += made
            outputs = _moved(builder, node, inputs, made)
        else:
            outputs = builder.add(node, inputs)
        builder.env.update(zip(node.outputs, outputs))
    finished = builder.finish()
    return Graph([*finished.inputs, *extra], finished.nodes, finished.outputs, graph.name, finished.labels)


def holds_number(node: Node) -> bool:
    """Whether a number of the node may become an input."""
    if node.op is constant:
        return True
    split = parts.get(node.op)
    return split is not None and split(node)[0] is not None


def _moved(builder: Builder, node: Node, inputs: tuple[Value, ...], made: list[Value]) -> tuple[Value, ...]:
    """The node with inputs in place of its number."""
    if node.op is constant:
        return builder.add(node, tuple(made), broadcast, {"shape": node.types[0].shape, "dims": ()})
    with recording() as recorder:
        result = _of_slice(node, inputs[0], made) if node.op is slice_ else _of_pad(node, inputs[0], inputs[1], made)
    for step in recorder.nodes:
        step.where, step.scope = node.where, node.scope
    builder.nodes.extend(recorder.nodes)
    return (result,)


def _starts(node: Node, made: list[Value]) -> list[Value]:
    zero = constant.on(node.device, value="0", shape=(), dtype=int64)
    given = dict(zip(_free_axes(node), made))
    return [given.get(axis, zero) for axis in range(node.types[0].ndim)]


def _of_slice(node: Node, x: Value, made: list[Value]) -> Value:
    window = _window(node)
    part: Value = dynamic_slice(x, *_starts(node, made), sizes=window)
    stride = node.params["stride"]
    if all(s == 1 for s in stride):
        return part
    return slice_(part, start=(0,) * len(window), limit=window, stride=stride)


def _of_pad(node: Node, x: Value, filler: Value, made: list[Value]) -> Value:
    interior = node.params["interior"]
    if any(interior):
        none = (0,) * len(interior)
        x = pad(x, filler, low=none, high=none, interior=interior)
    whole = broadcast(filler, shape=node.types[0].shape, dims=())
    return dynamic_update_slice(whole, x, *_starts(node, made))
