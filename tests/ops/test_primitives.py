"""Every primitive: reference against torch, XLA against reference, gradients to second order, batch against loop."""

from __future__ import annotations

import numpy as np
import pytest

from flambeau.tracer.ir.errors import OpError
from flambeau.tracer.ops import OPS

from .harness import (
    batch_graph,
    forward_graph,
    gradient_graph,
    inner,
    interpret,
    run_xla,
    type_of,
    widen,
)
from .sample import BadSample, Sample
from .samples import BAD, SAMPLES

every = pytest.mark.parametrize("sample", SAMPLES, ids=str)
with_torch = pytest.mark.parametrize("sample", [s for s in SAMPLES if s.torch], ids=str)
differentiable = pytest.mark.parametrize("sample", [s for s in SAMPLES if s.gradient], ids=str)


def test_every_primitive_has_a_sample() -> None:
    assert {s.op for s in SAMPLES} == set(OPS)


def test_every_differentiable_primitive_has_a_gradient_sample() -> None:
    # The gradients of these are deliberately not their derivatives: the tests of detach() cover the first one,
    # those of autograd.Function the last.
    wanted = {name for name, op in OPS.items()
              if op.differentiable and not op.vjp.__qualname__.startswith("no_gradient.")}
    wanted -= {"with_value", "with_polygamma", "reduce_precision", "custom_gradient"}
    assert wanted <= {s.op for s in SAMPLES if s.gradient}


def test_every_primitive_that_can_be_given_wrong_operands_has_a_bad_sample() -> None:
    takes_anything = {"constant", "alias", "stop_gradient", "piecewise", "foreign_call"}
    assert {s.op for s in BAD} == set(OPS) - takes_anything


@every
def test_xla_agrees_with_the_reference(sample: Sample) -> None:
    if not sample.xla:
        pytest.skip(sample.note)
    graph = forward_graph(sample, [type_of(a) for a in sample.arrays])
    ours, theirs = interpret(graph, sample.arrays), run_xla(graph, sample.arrays)
    for expected, got in zip(ours, theirs, strict=True):
        assert got.dtype == expected.dtype and got.shape == expected.shape
        if OPS[sample.op].is_exact([v.type for v in graph.inputs]):
            np.testing.assert_array_equal(got, expected)
        else:
            close(got, expected, sample.tolerance)


@with_torch
def test_reference_agrees_with_torch(sample: Sample) -> None:
    torch = pytest.importorskip("torch")
    graph = forward_graph(sample, [type_of(a) for a in sample.arrays])
    results = sample.torch(torch, *[torch.from_numpy(np.array(a)) for a in sample.arrays])
    results = results if isinstance(results, (tuple, list)) else (results,)
    for expected, got in zip(results, interpret(graph, sample.arrays), strict=True):
        expected = expected.resolve_conj().numpy()
        assert got.shape == expected.shape
        close(got, expected.astype(got.dtype), sample.tolerance)


@differentiable
def test_gradient_is_the_derivative(sample: Sample) -> None:
    """<g, J v> by central differences of the reference equals <J* g, v>."""
    arrays = [widen(a) for a in sample.arrays]
    types = [type_of(a) for a in arrays]
    forward, backward = forward_graph(sample, types), gradient_graph(sample, types, 1)
    rng = np.random.default_rng(0)
    cotangents = [noise(rng, v.type) for v in forward.outputs if v.type.dtype.is_inexact]
    directions = [noise(rng, types[i]) for i in sample.gradient]
    numeric = inner(cotangents, directional(forward, arrays, sample.gradient, directions))
    exact = inner(interpret(backward, [*arrays, *cotangents]), directions)
    np.testing.assert_allclose(exact, numeric, rtol=2e-5, atol=1e-6)


@differentiable
def test_vjp_is_linear_in_the_cotangent(sample: Sample) -> None:
    arrays = [widen(a) for a in sample.arrays]
    types = [type_of(a) for a in arrays]
    forward, backward = forward_graph(sample, types), gradient_graph(sample, types, 1)
    rng = np.random.default_rng(1)
    a, b = ([noise(rng, v.type) for v in forward.outputs if v.type.dtype.is_inexact] for _ in range(2))
    together = interpret(backward, [*arrays, *(x - 3 * y for x, y in zip(a, b))])
    parts = [p - 3 * q for p, q in zip(interpret(backward, [*arrays, *a]), interpret(backward, [*arrays, *b]))]
    for x, y in zip(together, parts):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.gradient and s.second_order], ids=str)
def test_second_order_gradient_is_the_derivative_of_the_first(sample: Sample) -> None:
    arrays = [widen(a) for a in sample.arrays]
    types = [type_of(a) for a in arrays]
    first, second = gradient_graph(sample, types, 1), gradient_graph(sample, types, 2)
    rng = np.random.default_rng(2)
    cotangents = [noise(rng, v.type) for v in first.inputs[len(types):]]
    seconds = [noise(rng, v.type) for v in first.outputs]
    moved = [*sample.gradient, *range(len(types), len(types) + len(cotangents))]
    directions = [noise(rng, first.inputs[i].type) for i in moved]
    numeric = inner(seconds, directional(first, [*arrays, *cotangents], moved, directions))
    exact = inner(interpret(second, [*arrays, *cotangents, *seconds]), directions)
    np.testing.assert_allclose(exact, numeric, rtol=5e-5, atol=1e-5)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.gradient and s.xla], ids=str)
def test_xla_gradient_agrees_with_the_reference(sample: Sample) -> None:
    types = [type_of(a) for a in sample.arrays]
    backward = gradient_graph(sample, types, 1)
    rng = np.random.default_rng(3)
    inputs = [*sample.arrays, *(noise(rng, v.type) for v in backward.inputs[len(types):])]
    for expected, got in zip(interpret(backward, inputs), run_xla(backward, inputs), strict=True):
        close(got, expected, 20 * sample.tolerance)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.batch and s.arrays], ids=str)
def test_batch_agrees_with_a_loop(sample: Sample) -> None:
    """All operands batched, then each one alone."""
    arrays = [np.asarray(a) for a in sample.arrays]
    types = [type_of(a) for a in arrays]
    plain = forward_graph(sample, types)
    count = len(arrays)
    patterns = [[True] * count] + [[i == j for j in range(count)] for i in range(count) if count > 1]
    for pattern in patterns:
        stacked = [np.stack([a, np.roll(a, 1) if a.ndim else a]) if b else a for a, b in zip(arrays, pattern)]
        graph = batch_graph(sample, 2, types, pattern)
        got = interpret(graph, stacked)
        for i in range(2):
            expected = interpret(plain, [a[i] if b else a for a, b in zip(stacked, pattern)])
            for e, g in zip(expected, got):
                close(g[i], e, sample.tolerance)


@pytest.mark.parametrize("sample", BAD, ids=str)
def test_bad_operands_are_refused(sample: BadSample) -> None:
    with pytest.raises(OpError, match=sample.message):
        forward_graph(Sample(sample.op, sample.arrays, sample.params), [type_of(a) for a in sample.arrays])


def noise(rng: np.random.Generator, type: object) -> np.ndarray:
    x = rng.standard_normal(type.shape)
    if type.dtype.is_complex:
        x = x + 1j * rng.standard_normal(type.shape)
    return np.asarray(x).astype(type.dtype.numpy)


def directional(graph: object, arrays: list, moved: object, directions: list, step: float = 1e-6) -> list:
    """Central difference of the graph's inexact outputs along `directions` of the operands `moved`."""
    def at(t: float) -> list:
        shifted = list(arrays)
        for i, d in zip(moved, directions):
            shifted[i] = arrays[i] + t * d
        return [x for x, v in zip(interpret(graph, shifted), graph.outputs) if v.type.dtype.is_inexact]

    return [(up - down) / (2 * step) for up, down in zip(at(step), at(-step))]


def close(got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    if expected.dtype.kind in "biu":
        np.testing.assert_array_equal(got, expected)
        return
    if expected.dtype.itemsize < 4:
        got, expected, tolerance = got.astype(np.float32), expected.astype(np.float32), max(tolerance, 2e-2)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
