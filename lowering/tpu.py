"""What XLA's TPU compiler cannot take as it is written elsewhere. Overrides of `lower` rules, by op name."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..tracer.ir.errors import DeviceError
from ..tracer.ir.graph import Graph, Node
from ..tracer.ir.op import Emitter, Operand
from ..tracer.ir.source import describe
from ..tracer.ops.foreign import lower_for
from ..tracer.ops.window import select_and_scatter


def require_supported(graph: Graph) -> None:
    """DeviceError for complex128: the compiler does not refuse it but ends the process, for a division, say.

    So for what XLA has no text for, and for factorisations of float64, which its expansions on TPUs do not take.
    """
    for node in graph.nodes:
        _require_factorisation(node)
        for inner in _graphs_of(node):
            require_supported(inner)
        for value in (*node.inputs, *node.outputs):
            if value.type.dtype.name == "complex128":
                at = f" at {describe(node.where)}" if node.where else ""
                raise DeviceError(f"TPUs have no complex128, got {value.type} in {node.op.name}{at}: use complex64")


FACTORISATIONS = frozenset({"cholesky", "eig", "eigh", "geqrf", "lu", "qr", "svd"})


def _require_factorisation(node: Node) -> None:
    if node.op.name not in FACTORISATIONS:
        return
    at = f" at {describe(node.where)}" if node.where else ""
    kind = node.inputs[0].type
    if node.op.name == "eig":
        raise DeviceError(f"TPUs have no eig, the eigenvalues of general matrices, got {kind}{at}: it needs LAPACK. Move the "
                          "matrices with .cpu(), or take eigh if they are Hermitian")
    if kind.dtype.name == "float64":
        raise DeviceError(f"TPUs have no {node.op.name} of float64, got {kind}{at}: use float32")


def _graphs_of(node: Node) -> list[Graph]:
    """The graphs of its regions."""
    parts = [p for value in node.params.values() for p in (value if isinstance(value, tuple) else (value,))]
    return [p for p in parts if isinstance(p, Graph)]


def select_and_scatter_with_unit_axes(h: Emitter, x: Operand, source: Operand, *, kind: str, window: tuple[int, ...],
                                      strides: tuple[int, ...], padding: tuple[tuple[int, int], ...]) -> Operand:
    """The compiler wants two axes along which no window moves, to tile them; axes of size one will do."""
    still = sum(n == s == 1 for n, s in zip(window, strides))
    missing = max(0, 2 - still)
    if not missing or 0 in (x.type.size, source.type.size):
        return select_and_scatter.lower(h, x, source, kind=kind, window=window, strides=strides,
                                        padding=padding)
    ones = (1,) * missing
    out = h.out
    wide = [h.op("reshape", (v,), v.type.with_shape((*v.type.shape, *ones))) for v in (x, source)]
    h.out = out.with_shape((*out.shape, *ones))
    result = select_and_scatter.lower(h, *wide, kind=kind, window=(*window, *ones), strides=(*strides, *ones),
                                      padding=(*padding, *((0, 0),) * missing))
    h.out = out
    return h.op("reshape", (result,), out)


OVERRIDES: dict[str, Any] = {"select_and_scatter": select_and_scatter_with_unit_axes,
                             "foreign_call": partial(lower_for, "tpu")}
