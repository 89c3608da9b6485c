"""What the samples cannot say of windows: gradients at ties, where there is no derivative but torch has a choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flambeau.tracer.ir.graph import Graph, Value
from flambeau.tracer.ir.recorder import Recorder, recording
from flambeau.tracer.ops import OPS
from flambeau.tracer.ops.running import running_position
from flambeau.tracer.walks.reverse import pull_back

from .harness import interpret, placeholder, run_xla, type_of
from .sample import reals

TIES = np.array([[1, 3, 3, 2, 3, 0, 5, 5], [2, 2, 2, 2, 2, 2, 2, 2], [9, 8, 7, 6, 5, 4, 3, 2]], np.float32)
NANS = np.array([1, np.nan, 3, 2, np.nan, 0, 5], np.float32)
engines = pytest.mark.parametrize("run", [interpret, run_xla])


def gradient(call: Callable[[Value], Value], x: np.ndarray, g: np.ndarray, run: Any) -> np.ndarray:
    operand, cotangent = placeholder(type_of(x), requires_grad=True), placeholder(type_of(g))
    with recording(Recorder()) as recorder:
        found = pull_back([call(operand)], [cotangent], [operand])
        graph = Graph([operand, cotangent], recorder.nodes, [found[operand]], "gradient").check()
    return run(graph, [x, g])[0]


def positions(op: str, x: np.ndarray, axis: int, reverse: bool, run: Any) -> np.ndarray:
    operand = placeholder(type_of(x))
    with recording(Recorder()) as recorder:
        found = running_position(operand, OPS[op](operand, axis=axis, reverse=reverse), axis, reverse)
        graph = Graph([operand], recorder.nodes, [found], "positions").check()
    return run(graph, [x])[0]


@engines
@pytest.mark.parametrize(("x", "axis"), [(TIES, 1), (TIES, 0), (NANS, 0)], ids=str)
@pytest.mark.parametrize("op", ["cummax", "cummin"])
def test_running_extremes_choose_torchs_element(op: str, x: np.ndarray, axis: int, run: Any) -> None:
    torch = pytest.importorskip("torch")
    operand, g = torch.from_numpy(x).requires_grad_(), reals(*x.shape)
    values, indices = getattr(torch, op)(operand, axis)
    values.backward(torch.from_numpy(g))
    np.testing.assert_array_equal(positions(op, x, axis, False, run), indices.numpy())
    got = gradient(lambda v: OPS[op](v, axis=axis, reverse=False), x, g, run)
    np.testing.assert_allclose(got, operand.grad.numpy(), rtol=1e-6)


@engines
@pytest.mark.parametrize("op", ["cummax", "cummin"])
def test_reverse_running_extremes_mirror_the_forward_ones(op: str, run: Any) -> None:
    g, last = reals(*TIES.shape), TIES.shape[1] - 1
    np.testing.assert_array_equal(positions(op, TIES, 1, True, run),
                                  last - positions(op, TIES[:, ::-1].copy(), 1, False, run)[:, ::-1])
    backward, forward = (gradient(lambda v, r=r: OPS[op](v, axis=1, reverse=r), x, c, run) for r, x, c in (
        (True, TIES, g), (False, TIES[:, ::-1].copy(), g[:, ::-1].copy())))
    np.testing.assert_array_equal(backward, forward[:, ::-1])


@engines
def test_an_infinite_cotangent_stays_with_its_element(run: Any) -> None:
    x, g = np.array([1, 2, 3], np.float32), np.array([1, np.inf, 2], np.float32)
    got = gradient(lambda v: OPS["cummax"](v, axis=0, reverse=False), x, g, run)
    np.testing.assert_array_equal(got, g)


@engines
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_pooling_gives_the_cotangent_of_a_tie_to_the_first(kind: str, dilation: int, run: Any) -> None:
    torch = pytest.importorskip("torch")
    sign = 1 if kind == "max" else -1
    operand = torch.from_numpy(sign * TIES).requires_grad_()
    out = torch.nn.functional.max_pool1d(operand, 3, 2, 1, dilation)
    g = reals(*out.shape)
    out.backward(torch.from_numpy(g))
    slide = {"window": (1, 3), "strides": (1, 2), "padding": ((0, 0), (1, 1)), "base_dilation": (1, 1),
             "window_dilation": (1, dilation)}
    got = gradient(lambda v: OPS["reduce_window"](v, kind=kind, **slide), TIES, g, run)
    np.testing.assert_allclose(got, operand.grad.numpy(), rtol=1e-6)


@engines
def test_both_gradients_of_a_selection_agree_where_both_apply(run: Any) -> None:
    """XLA's own scatter, and the comparison of positions that stands in for it on the CPU, and where dtypes differ."""
    g, slide = reals(3, 4), {"window": (2, 3), "strides": (1, 2), "padding": ((0, 1), (1, 1))}

    def scattered(own: bool) -> np.ndarray:
        values, cotangent = placeholder(type_of(TIES), requires_grad=True), placeholder(type_of(g))
        with recording(Recorder()) as recorder:
            if own:
                found = OPS["select_and_scatter"](values, cotangent, kind="max", **slide)
            else:
                out = OPS["reduce_window"](values, kind="max", **slide, base_dilation=(1, 1), window_dilation=(1, 1))
                found = pull_back([out], [cotangent], [values])[values]
            graph = Graph([values, cotangent], recorder.nodes, [found], "gradient").check()
        assert any(node.op.name == "select_and_scatter" for node in graph.nodes) == own
        return run(graph, [TIES, g])[0]

    np.testing.assert_allclose(scattered(True), scattered(False), rtol=1e-6)


@engines
@pytest.mark.parametrize("kind", ["max", "min"])
def test_a_selection_is_the_first_of_equal_elements_and_the_last_nan_in_any_order_of_the_window(kind: str, run: Any) -> None:
    """XLA goes through windows of some shapes in another order: three dimensions of two, the last one padded at its end."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 3, (4, 6, 5)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    places = np.arange(x.size).reshape(x.shape)
    for side in (2, 3):
        slide = {"window": (side,) * 3, "strides": (2, 2, 2), "padding": ((0, 0), (0, side - 2), (0, 1)),
                 "base_dilation": (1, 1, 1), "window_dilation": (1, 1, 1)}
        keys, values = placeholder(type_of(x)), placeholder(type_of(places))
        with recording(Recorder()) as recorder:
            out = OPS["select_and_gather"](keys, values, kind=kind, **slide)
            graph = Graph([keys, values], recorder.nodes, [out], "selected").check()
        found = run(graph, [x, places])[0]
        for i, j, k in np.ndindex(*found.shape):
            inside = tuple(slice(2 * n, 2 * n + side) for n in (i, j, k))
            window, at = x[inside].ravel(), places[inside].ravel()
            best = np.nanmax(window) if kind == "max" else np.nanmin(window)
            wanted = at[np.isnan(window)][-1] if np.isnan(window).any() else at[window == best][0]
            assert found[i, j, k] == wanted


@pytest.mark.parametrize("x", [[2, 0, 3, 0.5], [2, 0, 3, 0], [0, 0, 0, 1], [1, 2, 3, 4]], ids=str)
def test_cumprod_at_zeros_is_torchs(x: list[float]) -> None:
    torch = pytest.importorskip("torch")
    array, g = np.array(x, np.float64), reals(4, dtype=np.float64)
    operand = torch.from_numpy(array).requires_grad_()
    operand.cumprod(0).backward(torch.from_numpy(g))
    got = gradient(lambda v: OPS["cumprod"](v, axis=0, reverse=False), array, g, interpret)
    np.testing.assert_allclose(got, operand.grad.numpy(), rtol=1e-12)
