"""A graph as the text of a StableHLO module. What is dumped is what is compiled."""

from __future__ import annotations

from collections.abc import Mapping

from ..tracer.ir.graph import Graph
from .emitter import Operand, Overrides, TextEmitter, type_text
from .functions import embedded


def module_text(graph: Graph, *, donated: Mapping[int, int] | None = None, overrides: Overrides | None = None,
                locations: bool = True) -> str:
    """The module whose `main` computes `graph`.

    `donated` maps an input's position to the output that takes over its buffer. `overrides` replace `lower` rules
    by op name, for one platform. Locations hold module path and node number only, never a file or a line, so that
    moving code changes no cache key.
    """
    donated = donated or {}
    emitter = TextEmitter(overrides, locations)
    arguments = [Operand(f"%arg{i}", v.type) for i, v in enumerate(graph.inputs)]
    results = emitter.inline(graph, arguments)
    head = ", ".join(
        f"{a.name}: {type_text(a.type)}" + (f" {{tf.aliasing_output = {donated[i]} : i32}}" if i in donated else "")
        for i, a in enumerate(arguments))
    types = ", ".join(type_text(r.type) for r in results)
    body = "\n    ".join(emitter.lines)
    functions = "".join(embedded(text, prefix) for text, prefix in emitter.functions.items())
    return (f"module @{_symbol(graph.name)} {{\n  func.func public @main({head}) -> ({types}) {{\n    {body}\n"
            f"    return {', '.join(r.name for r in results)}{' : ' + types if results else ''}\n  }}\n{functions}}}\n")


def _symbol(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name) or "main"
