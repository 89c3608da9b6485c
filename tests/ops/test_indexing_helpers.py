"""The value-level functions of indexing against torch, and what the samples table cannot say of its ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from flambeau.tracer.ir.errors import OpError
from flambeau.tracer.ir.graph import Graph, Value
from flambeau.tracer.ir.recorder import Recorder, placeholder, recording
from flambeau.tracer.ops.indexing import index_nd, index_put_nd, put_along, take, take_along
from flambeau.tracer.walks.interpret import interpret
from flambeau.tracer.walks.reverse import pull_back

from .harness import batch_graph, forward_graph, run_xla, type_of, zeros_like
from .sample import Sample, integers, reals
from .samples.indexing import rows

Call = Callable[..., Value]


def graph_of(function: Call, arrays: Sequence[Any], differentiated: Sequence[int] = ()) -> Graph:
    """`function` of values of those types; with `differentiated`, the gradients of sum(out * last input) as well."""
    inputs = [placeholder(type_of(a), requires_grad=i in differentiated) for i, a in enumerate(arrays)]
    with recording(Recorder()) as recorder:
        out = function(*inputs)
        if not differentiated:
            return Graph(inputs, recorder.nodes, [out]).check()
        g = placeholder(out.type)
        wanted = [inputs[i] for i in differentiated]
        found = pull_back([out], [g], wanted)
        gradients = [found.get(v) or zeros_like(v) for v in wanted]
    return Graph([*inputs, g], recorder.nodes, [out, *gradients]).check()


def agree(function: Call, oracle: Callable[..., Any], arrays: Sequence[Any],
          differentiated: Sequence[int] = (0,)) -> None:
    """Result and gradients are torch's, on numpy and on XLA."""
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(np.array(a)).requires_grad_(i in differentiated) for i, a in enumerate(arrays)]
    out = oracle(torch, *tensors)
    expected = [out.detach().numpy()]
    inputs = list(arrays)
    if differentiated:
        g = reals(*out.shape, seed=9)
        inputs.append(g)
        out.backward(torch.from_numpy(g))
        expected += [tensors[i].grad.numpy() for i in differentiated]
    graph = graph_of(function, arrays, differentiated)
    for results in (interpret(graph, inputs), run_xla(graph, inputs)):
        for e, got in zip(expected, results, strict=True):
            assert got.shape == e.shape and got.dtype == e.dtype
            np.testing.assert_allclose(got, e, rtol=1e-5, atol=1e-5)


X = reals(3, 5, 4)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_take_selects_along_an_axis(axis: int) -> None:
    def oracle(t, x, i):
        a = axis % 3
        return x.index_select(axis, i.reshape(-1)).reshape(*x.shape[:a], *i.shape, *x.shape[a + 1:])

    agree(lambda x, i: take(x, i, axis), oracle, [X, integers(2, 6, low=0, high=3)])
    agree(lambda x, i: take(x, i, axis), oracle, [X, np.array(1)])
    agree(lambda x, i: take(x, i, axis), oracle, [X, np.zeros((2, 0), np.int64)])


def test_nothing_can_be_taken_from_nothing() -> None:
    agree(lambda x, i: take(x, i, 0), lambda t, x, i: x[i], [reals(0, 3), np.zeros((2, 0), np.int64)])
    agree(lambda x, i: take_along(x, i, 1), lambda t, x, i: x.gather(1, i), [reals(2, 0), np.zeros((2, 0), np.int64)])
    agree(lambda x, i: index_nd(x, [i, i]), lambda t, x, i: x[i, i], [reals(3, 0, 2), np.zeros(0, np.int64)])
    for call in (lambda x, i: take(x, i, 0), lambda x, i: take_along(x, i, 0), lambda x, i: index_nd(x, [i])):
        with pytest.raises(OpError, match="requires an operand that has elements along the indexed axes"):
            graph_of(call, [reals(0), np.zeros(1, np.int64)])


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 4), (3, 1, 2), (2, 0, 4)], ids=str)
def test_take_along_is_gather(axis: int, shape: tuple[int, ...]) -> None:
    index = integers(*shape, low=0, high=3)
    agree(lambda x, i: take_along(x, i, axis), lambda t, x, i: x.gather(axis, i), [X, index])


def test_take_along_takes_more_than_there_is_along_its_axis() -> None:
    agree(lambda x, i: take_along(x, i, 2), lambda t, x, i: x.gather(2, i), [X, integers(3, 5, 9, low=0, high=4)])


def test_no_dimensions() -> None:
    zero = np.array(0)
    agree(lambda x, i: take_along(x, i, -1), lambda t, x, i: x.gather(-1, i), [reals(), zero])
    agree(lambda x, i, u: put_along(x, i, u, 0, "set"), lambda t, x, i, u: x.scatter(0, i, u),
          [reals(), zero, reals(seed=1)], (0, 2))


REDUCE = {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}
TIED = integers(3, 5, 4, low=1, high=4).astype(np.float32)


def torch_scatter(combiner: str, axis: int) -> Callable[..., Any]:
    if combiner == "set":
        return lambda t, x, i, u: x.scatter(axis, i, u)
    return lambda t, x, i, u: x.scatter_reduce(axis, i, u, REDUCE[combiner])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 4), (1, 1, 2)], ids=str)
@pytest.mark.parametrize("combiner", ["add", "mul", "min", "max"])
def test_put_along_is_scatter_reduce(combiner: str, axis: int, shape: tuple[int, ...]) -> None:
    """Repeated indices and many ties."""
    updates = integers(*shape, seed=2, low=1, high=4).astype(np.float32)
    agree(lambda x, i, u: put_along(x, i, u, axis, combiner), torch_scatter(combiner, axis),
          [TIED, integers(*shape, low=0, high=3), updates], (0, 2))


@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_products_with_zeros_have_torchs_gradient(zeros: int) -> None:
    updates = np.array([2, 3, 5, 7], np.float32)
    updates[:zeros] = 0
    for x in (np.array([1.5, 2.5], np.float32), np.array([0, 2.5], np.float32)):
        agree(lambda x, i, u: put_along(x, i, u, 0, "mul"), torch_scatter("mul", 0),
              [x, np.array([0, 0, 0, 1]), updates], (0, 2))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_put_along_sets(axis: int) -> None:
    """Each index once along the axis, so that the result does not depend on the order."""
    index = np.argsort(reals(3, 5, 4, seed=5), axis)
    for part in (index, np.take(index, [1], axis)):
        agree(lambda x, i, u: put_along(x, i, u, axis, "set"), torch_scatter("set", axis),
              [X, part, reals(*part.shape, seed=6)], (0, 2))


def test_put_along_uses_the_first_updates_only() -> None:
    """torch allows longer updates too, but has no gradient for them; the oracle cuts them."""
    index = integers(2, 3, 4, low=0, high=3)
    agree(lambda x, i, u: put_along(x, i, u, 0, "add"), lambda t, x, i, u: x.scatter_add(0, i, u[:2, :3]),
          [X, index, reals(4, 5, 4, seed=6)], (0, 2))


def test_nothing_put_changes_nothing() -> None:
    none = np.zeros((0, 5, 4), np.int64)
    agree(lambda x, i, u: put_along(x, i, u, 0, "max"), lambda t, x, i, u: x + 0 * u.sum(),
          [X, none, reals(0, 5, 4)], (0,))


INDICES = [integers(2, 6, low=0, high=3), integers(2, 6, seed=1, low=0, high=4)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_index_nd_reads_at_positions(count: int) -> None:
    index = [*INDICES, INDICES[0]][:count]
    agree(lambda x, *i: index_nd(x, i), lambda t, x, *i: x[i], [X, *index])


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("combiner", ["set", "add"])
def test_index_put_nd_writes_at_positions(count: int, combiner: str) -> None:
    size = int(np.prod(X.shape[:count]))
    distinct = np.unravel_index(np.random.default_rng(0).permutation(size)[:size // 2 + 1], X.shape[:count])
    index = list(distinct) if combiner == "set" else [*INDICES, INDICES[0]][:count]
    updates = reals(*index[0].shape, *X.shape[count:], seed=3)
    agree(lambda x, u, *i: index_put_nd(x, i, u, combiner),
          lambda t, x, u, *i: x.index_put(i, u, accumulate=combiner == "add"), [X, updates, *index], (0, 1))


def test_integer_and_bool_operands() -> None:
    index = integers(2, 6, low=0, high=3)
    for x in (integers(3, 4, dtype=np.int32), integers(3, 4, low=0, high=2).astype(np.bool_)):
        agree(lambda x, i: take(x, i, 0), lambda t, x, i: x[i], [x, index], ())
        agree(lambda x, i: take_along(x, i, 1), lambda t, x, i: x.gather(1, i), [x, index], ())
        agree(lambda x, i, u: index_put_nd(x, [i], u, "set"), lambda t, x, i, u: x.index_put((i,), u),
              [x, np.array([2, 0]), x[:2]], ())


@pytest.mark.parametrize(("call", "arrays", "message"), [
    (lambda x, i: take(x, i, 3), [X, INDICES[0]], "take requires an axis of"),
    (lambda x, i: take_along(x, i, 1), [X, INDICES[0]], "take_along requires indices of 3 dimensions"),
    (lambda x, i: take_along(x, i, 1), [X, integers(4, 5, 4)], "take_along requires indices of 3 dimensions"),
    (lambda x, i, u: put_along(x, i, u, 0, "add"), [X, integers(3, 5, 4), reals(2, 5, 4)], "put_along requires"),
    (lambda x, i: index_nd(x, [i, i, i, i]), [X, INDICES[0]], "index_nd requires 1 to 3 index arrays of one type"),
    (lambda x, i, j: index_nd(x, [i, j]), [X, INDICES[0], integers(2)], "index_nd requires 1 to 3 index arrays"),
    (lambda x, i, u: index_put_nd(x, [i], u, "set"), [X, INDICES[0], reals(2, 6, 5)], "index_put_nd requires updates"),
], ids=lambda p: p if isinstance(p, str) else "")
def test_wrong_shapes_are_refused(call: Call, arrays: list[Any], message: str) -> None:
    with pytest.raises(OpError, match=message):
        graph_of(call, arrays)


# --- What the samples table cannot say --------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["dynamic_slice", "dynamic_update_slice"])
def test_batched_starts_that_differ_and_stick_out(op: str) -> None:
    """The table's batches repeat 0-d operands; here each example has its own window, one of them clamped."""
    x, u = reals(2, 5, 6), reals(2, 3, 2, seed=1)
    starts = np.array([1, 4]), np.array([-2, 3])
    arrays = [x, *starts] if op == "dynamic_slice" else [x, u, *starts]
    params = {"sizes": (3, 2)} if op == "dynamic_slice" else {}
    sample = Sample(op, [a[0] for a in arrays], params)
    types, patterns = [type_of(a[0]) for a in arrays], [(True,) * len(arrays), (False,) * (len(arrays) - 1) + (True,)]
    for pattern in patterns:
        inputs = [a if b else a[0] for a, b in zip(arrays, pattern)]
        graph, plain = batch_graph(sample, 2, types, pattern), forward_graph(sample, types)
        for results in (interpret(graph, inputs), run_xla(graph, inputs)):
            for i in range(2):
                expected, = interpret(plain, [a[i] if b else a for a, b in zip(inputs, pattern)])
                np.testing.assert_array_equal(results[0][i], expected)


@pytest.mark.parametrize("pattern", [(True, True, True), (True, False, False), (False, True, False)], ids=str)
def test_batches_of_no_examples(pattern: tuple[bool, ...]) -> None:
    sample = Sample("scatter", [X[0], np.array([1, 4]), reals(2, 4)], rows("mul"))
    types = [type_of(a) for a in sample.arrays]
    graph = batch_graph(sample, 0, types, pattern)
    inputs = [np.zeros((0, *a.shape), a.dtype) if b else a for a, b in zip(sample.arrays, pattern)]
    for results in (interpret(graph, inputs), run_xla(graph, inputs)):
        assert results[0].shape == (0, 5, 4)


def test_the_last_of_several_updates_stays_on_the_host() -> None:
    sample = Sample("scatter", [np.zeros(2), np.array([1, 1, 0, 1]), np.array([1.0, 2, 3, 4])],
                    rows("set") | {"update_window_dims": ()})
    graph = forward_graph(sample, [type_of(a) for a in sample.arrays])
    np.testing.assert_array_equal(interpret(graph, sample.arrays)[0], [3, 4])


def test_a_nan_is_the_extreme_and_all_that_went_there_get_nan() -> None:
    """As in torch, which divides among those that are equal to it: none is."""
    x, u = np.array([np.nan, 1, 2], np.float32), np.array([5, np.nan], np.float32)
    graph = graph_of(lambda x, i, u: put_along(x, i, u, 0, "max"), [x, np.array([1, 2]), u], (0, 2))
    out, gx, gu = interpret(graph, [x, np.array([1, 2]), u, np.array([3, 4, 5], np.float32)])
    np.testing.assert_array_equal(out, [np.nan, 5, np.nan])
    np.testing.assert_array_equal(gx, [np.nan, 0, np.nan])
    np.testing.assert_array_equal(gu, [4, np.nan])
