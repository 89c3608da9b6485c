"""What every primitive is put through; see `test_primitives.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.graph import Graph, Value
from flambeau.tracer.ir.recorder import Recorder, placeholder, recording
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops import OPS
from flambeau.tracer.walks.batch import batched_call, full_batch
from flambeau.tracer.walks.interpret import interpret
from flambeau.tracer.walks.reverse import pull_back

from .sample import Sample


def type_of(array: Any) -> Type:
    array = np.asarray(array)
    return Type.of(array.shape, dtypes.from_numpy(array.dtype))


def widen(array: Any) -> Any:
    """float64 for float32 and complex128 for complex64, for exact-enough derivatives."""
    array = np.asarray(array)
    return array.astype({"float32": np.float64, "complex64": np.complex128}.get(array.dtype.name, array.dtype))


def apply(sample: Sample, values: Sequence[Value]) -> tuple[Value, ...]:
    op = OPS[sample.op]
    out = op(*values, **sample.params) if values else op.on("cpu", **sample.params)
    return out if isinstance(out, tuple) else (out,)


def forward_graph(sample: Sample, types: Sequence[Type]) -> Graph:
    inputs = [placeholder(t) for t in types]
    with recording(Recorder()) as recorder:
        outputs = apply(sample, inputs)
    return Graph(inputs, recorder.nodes, outputs, sample.op).check()


def gradient_graph(sample: Sample, types: Sequence[Type], order: int) -> Graph:
    """Inputs: operands, cotangents of outputs (and, at second order, cotangents of the gradients).

    Outputs: the pulled-back cotangents of the operands in `sample.gradient`; at second order those of
    sum(gradients * second cotangents) for the same operands, and for the first cotangents.
    """
    operands = [placeholder(t, requires_grad=i in sample.gradient) for i, t in enumerate(types)]
    with recording(Recorder()) as recorder:
        outputs = apply(sample, operands)
        inexact = [v for v in outputs if v.type.dtype.is_inexact]
        cotangents = [placeholder(v.type, requires_grad=order > 1) for v in inexact]
        wanted = [operands[i] for i in sample.gradient]
        found = pull_back(inexact, cotangents, wanted, create_graph=order > 1, retain_graph=True)
        gradients = [found.get(v) or zeros_like(v) for v in wanted]
        inputs = [*operands, *cotangents]
        if order == 1:
            return Graph(inputs, recorder.nodes, gradients, sample.op).check()
        seconds = [placeholder(v.type) for v in gradients]
        wanted = [*wanted, *cotangents]
        found = pull_back(gradients, seconds, wanted)
        results = [found.get(v) or zeros_like(v) for v in wanted]
    return Graph([*inputs, *seconds], recorder.nodes, results, sample.op).check()


def zeros_like(value: Value) -> Value:
    from flambeau.tracer.ir.constants import full_like  # noqa: PLC0415

    return full_like(value, 0)


def inner(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    """Real inner product, the one torch's complex gradients are taken in."""
    return float(sum(np.real(np.sum(np.conj(x) * y)) for x, y in zip(xs, ys)))


def batch_graph(sample: Sample, size: int, types: Sequence[Type], batched: Sequence[bool]) -> Graph:
    plain = forward_graph(sample, types)
    inputs = [placeholder(t.with_shape((size, *t.shape)) if b else t) for t, b in zip(types, batched)]
    with recording(Recorder()) as recorder:
        outputs = full_batch(size, batched_call(plain, size, batched, inputs))
    return Graph(inputs, recorder.nodes, outputs, sample.op).check()


def run_xla(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    from flambeau.lowering.module import module_text  # noqa: PLC0415
    from flambeau.runtime import pjrt  # noqa: PLC0415

    client = _client()
    executable = client.compile(module_text(graph))
    handlers = client.result_handlers([(v.type.shape, v.type.dtype.numpy) for v in graph.outputs], 0)
    buffers = [client.upload(np.asarray(a)) for a in arrays]
    return [pjrt.download(b) for b in executable.execute(buffers).consume_with_handlers(handlers)]


_clients: list[Any] = []


def _client() -> Any:
    from flambeau.runtime import pjrt  # noqa: PLC0415

    if not _clients:
        _clients.append(pjrt.cpu_client())
    return _clients[0]


__all__ = ["apply", "batch_graph", "forward_graph", "gradient_graph", "inner", "interpret", "run_xla", "type_of", "widen"]
