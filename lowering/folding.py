"""Programs that XLA would compute in part while it compiles them, and for too long.

Its constant folding evaluates instructions of constants alone in an interpreter, a step at a time, and says so on the
terminal after a second. It refuses large results, but not small ones of many steps, such as windows over constants.
"""

from __future__ import annotations

import math

from ..tracer.ir.graph import Graph, Node, Value

WINDOWS = 1_000_000  # steps of windows, products and the like; some ten million a second
ELEMENTS = 10_000_000  # of instructions that take a step per element


def folds_slowly(graph: Graph) -> bool:
    """Whether some instruction, here or in a region, knows all its operands and takes too many steps."""
    fixed: set[Value] = set()
    held = []
    for node in graph.nodes:
        if any(isinstance(part, Graph) and folds_slowly(part) for part in node.params.values()):
            return True
        if not _is_fixed(node, fixed):
            continue
        if node.inputs and _is_long(node):
            return True
        held.append(node.outputs)  # a node makes its outputs anew when nobody holds them
        fixed.update(held[-1])
    return False


def _is_fixed(node: Node, fixed: set[Value]) -> bool:
    return all(x in fixed for x in node.inputs) if node.inputs else node.op.name in ("constant", "iota")


def _is_long(node: Node) -> bool:
    largest = max(t.size for t in (*node.types, *(x.type for x in node.inputs)))
    steps = _steps(node)
    return largest > ELEMENTS or (steps > 1 and steps * node.types[0].size > WINDOWS)


def _steps(node: Node) -> int:
    """Steps for one element of the result."""
    name, params, shapes = node.op.name, node.params, [x.type.shape for x in node.inputs]
    if "window" in params:
        return math.prod(params["window"])
    if name.startswith("cum"):
        return shapes[0][params["axis"]] if shapes[0] else 1
    if name == "convolution":
        return math.prod(shapes[1]) // max(1, max(shapes[1]))
    if name == "dot":
        return math.prod(shapes[0][d] for d in params["contract"][0])
    return 1
