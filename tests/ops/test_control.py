"""What the samples table cannot say of control flow: examples that differ in their path, and nesting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from flambeau.lowering.module import module_text
from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.constants import full_like
from flambeau.tracer.ir.graph import Graph, Value
from flambeau.tracer.ir.recorder import capture, placeholder, recording
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops.control import case, custom_call, while_
from flambeau.tracer.ops.elementwise import add, compare, convert, mul, sin
from flambeau.tracer.ops.reduction import reduce_sum
from flambeau.tracer.ops.scan import scan
from flambeau.tracer.walks.batch import batched_call, full_batch
from flambeau.tracer.walks.reverse import pull_back

from .harness import interpret, run_xla

NUMBER, ROW = Type.of((), dtypes.float64), Type.of((3,), dtypes.float64)
LONG, COUNT = Type.of((), dtypes.int64), Type.of((), dtypes.int32)


def graph(function: Callable[..., Any], *types: Type) -> Graph:
    return capture(lambda *values: function(*values), list(types))[0].check()


def vmapped(plain: Graph, batched: Sequence[bool], size: int) -> Graph:
    inputs = [placeholder(v.type.with_shape((size, *v.type.shape)) if b else v.type)
              for v, b in zip(plain.inputs, batched)]
    with recording() as recorder:
        outputs = full_batch(size, batched_call(plain, size, batched, inputs))
    return Graph(inputs, recorder.nodes, outputs).check()


def gradient(plain: Graph) -> Graph:
    """Inputs of `plain` -> cotangents of its float inputs for a cotangent of ones of its first output."""
    inputs = [placeholder(v.type, requires_grad=v.type.dtype.is_inexact) for v in plain.inputs]
    with recording() as recorder:
        out = batched_call(plain, 1, [False] * len(inputs), inputs)[0][0]
        wanted = [v for v in inputs if v.requires_grad]
        found = pull_back([out], [full_like(out, 1)], wanted)
    return Graph(inputs, recorder.nodes, [found[v] for v in wanted]).check()


def check_against_loop(plain: Graph, arrays: Sequence[Any], batched: Sequence[bool], size: int) -> None:
    rows = [interpret(plain, [a[i] if b else a for a, b in zip(arrays, batched)]) for i in range(size)]
    together = vmapped(plain, batched, size)
    for engine in (interpret, run_xla):
        for position, got in enumerate(engine(together, arrays)):
            np.testing.assert_allclose(got, np.stack([row[position] for row in rows]), rtol=1e-12)


def until_large() -> Graph:
    """x doubles, and n counts, until the sum of x passes `limit`."""
    types = (ROW, LONG, NUMBER)
    cond = graph(lambda x, n, limit: (compare(reduce_sum(x, axes=(0,)), limit, direction="LT"),), *types)
    body = graph(lambda x, n, limit: (add(x, x), add(n, full_like(n, 1))), *types)
    return graph(lambda x, n, limit: while_(x, n, limit, cond=cond, body=body, carried=2), *types)


def three_ways() -> Graph:
    types = (ROW, ROW)
    branches = (graph(lambda x, y: (mul(x, y),), *types), graph(lambda x, y: (sin(x),), *types),
                graph(lambda x, y: (y,), *types))
    return graph(lambda i, x, y: case(i, x, y, branches=branches), COUNT, *types)


def stepwise() -> Graph:
    """h = branch[i](h, w) for i = 0, 1, ...: a case in a scan, sum of the result."""
    branches = (graph(lambda h, w: (mul(h, w),), ROW, ROW), graph(lambda h, w: (sin(add(h, w)),), ROW, ROW))
    body = graph(lambda i, h, w: (add(i, full_like(i, 1)), *case(i, h, w, branches=branches)), COUNT, ROW, ROW)

    def run(h: Value, w: Value) -> list[Value]:
        start = convert(full_like(reduce_sum(h, axes=(0,)), 0), dtype=dtypes.int32)
        final = scan(start, h, w, body=body, carried=2, scanned=0, length=3, reverse=False)[1]
        return [reduce_sum(final, axes=(0,))]

    return graph(run, ROW, ROW)


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 1, (count, 3))


def test_examples_of_a_while_stop_at_different_steps() -> None:
    starts, limits = rows(4), np.array([1.9, 100.0, 7.0, -1.0])
    counts = interpret(vmapped(until_large(), [True, False, True], 4), [starts, np.array(0), limits])[1]
    assert len(set(counts.tolist())) == 4
    check_against_loop(until_large(), [starts, np.array(0), limits], [True, False, True], 4)
    check_against_loop(until_large(), [starts[0], np.array(0), limits], [False, False, True], 4)


def test_while_over_a_batch_of_none() -> None:
    none = vmapped(until_large(), [True, False, False], 0)
    assert run_xla(none, [rows(0), np.array(0), np.array(9.0)])[0].shape == (0, 3)


def test_examples_of_a_case_take_different_branches() -> None:
    index = np.array([0, 1, 2, 9, -3, 1], np.int32)
    check_against_loop(three_ways(), [index, rows(6), rows(6, 1)], [True, True, True], 6)
    check_against_loop(three_ways(), [index, rows(1)[0], rows(6, 1)], [True, False, True], 6)
    check_against_loop(three_ways(), [index, rows(1)[0], rows(1, 1)[0]], [True, False, False], 6)


def test_gradients_of_different_branches_in_one_batch() -> None:
    index = np.array([0, 1, 2], np.int32)
    check_against_loop(gradient(three_ways()), [index, rows(3), rows(3, 1)], [True, True, True], 3)


def test_gradient_of_a_case_in_a_scan() -> None:
    torch = pytest.importorskip("torch")
    arrays = [rows(1)[0], rows(1, 1)[0]]
    h, w = (torch.tensor(a, requires_grad=True) for a in arrays)
    (((h * w + w).sin() + w).sin()).sum().backward()
    for engine in (interpret, run_xla):
        for got, expected in zip(engine(gradient(stepwise()), arrays), (h.grad, w.grad), strict=True):
            np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12)


def test_vmap_of_the_gradient_of_a_scan() -> None:
    check_against_loop(gradient(stepwise()), [rows(4), rows(1, 1)[0]], [True, False], 4)
    check_against_loop(gradient(stepwise()), [rows(4), rows(4, 1)], [True, True], 4)


def test_the_counter_of_a_batched_scan_stays_one_number() -> None:
    """What depends on no batched input is carried once; a case on it then runs one branch."""
    node = next(n for n in vmapped(stepwise(), [True, False], 4).nodes if n.op is scan)
    assert node.types[0] is COUNT


def test_reverse_mode_through_while_says_what_to_do() -> None:
    with pytest.raises(NotImplementedError, match="use scan"):
        gradient(until_large())


def pushed(x: Value, n: Value, factor: Value, tx: Value, tfactor: Value | None) -> list[Value]:
    """while x.sum() < 50: x, n = sin(x) * factor + 2 x, n + 1, with tangents."""
    types = (ROW, LONG, ROW)
    cond = graph(lambda x, n, w: (compare(reduce_sum(x, axes=(0,)), full_like(reduce_sum(x, axes=(0,)), 50),
                                          direction="LT"),), *types)
    body = graph(lambda x, n, w: (add(mul(sin(x), w), add(x, x)), add(n, full_like(n, 1))), *types)
    assert while_.jvp is not None
    outputs, tangents = while_.jvp([tx, None, tfactor], x, n, factor, cond=cond, body=body, carried=2)
    assert tangents[1] is None
    return [*outputs, tangents[0]]


@pytest.mark.parametrize("both", [True, False])
def test_forward_mode_through_while(both: bool) -> None:
    """By central differences in x, or in x and the captured factor."""
    plain = graph(lambda x, n, w, tx, tw: pushed(x, n, w, tx, tw if both else None), ROW, LONG, ROW, ROW, ROW)
    x, w, tx, tw = rows(4)
    tw = tw * both

    def at(t: float) -> Any:
        return interpret(plain, [x + t * tx, np.array(0), w + t * tw, tx, tw])

    numeric = (at(1e-6)[0] - at(-1e-6)[0]) / 2e-6
    assert at(0)[1] > 3
    for engine in (interpret, run_xla):
        np.testing.assert_allclose(engine(plain, [x, np.array(0), w, tx, tw])[2], numeric, rtol=1e-6)


def test_custom_call_is_printed_as_given_and_refuses_transforms() -> None:
    params = {"target": "my.kernel", "results": (ROW,), "config": "{scale = 2.0 : f32}", "api_version": 4,
              "has_side_effect": True}
    plain = graph(lambda x: custom_call(x, **params), ROW)
    text = module_text(plain)
    assert 'call_target_name = "my.kernel"' in text and "backend_config = {scale = 2.0 : f32}" in text
    assert "has_side_effect = true" in text and "api_version = 4 : i32" in text
    with pytest.raises(NotImplementedError, match=r"autograd\.Function"):
        gradient(plain)
    with pytest.raises(NotImplementedError, match=r"vmap over the custom call 'my\.kernel'"):
        vmapped(plain, [True], 2)
    with pytest.raises(NotImplementedError, match="no numpy reference"):
        interpret(plain, [np.zeros(3)])
