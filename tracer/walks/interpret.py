"""Running a graph on numpy with the ops' reference rules: the second opinion on every lowering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.graph import Graph, Value


def interpret(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """The graph's outputs as numpy arrays. Raises AssertionError if a rule's result is not of the inferred type."""
    env: dict[Value, Any] = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes:
        results = node.op.reference(*[env[v] for v in node.inputs], **node.params)
        results = results if isinstance(results, tuple) else (results,)
        for value, array in zip(node.outputs, results, strict=True):
            array = np.asarray(array)
            assert array.shape == value.type.shape and array.dtype == value.type.dtype.numpy, (
                f"{node.op.name}: the reference gives {array.dtype}{list(array.shape)}, infer says {value.type}")
            env[value] = array
    return [env[v] for v in graph.outputs]
