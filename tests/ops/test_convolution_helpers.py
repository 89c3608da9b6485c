"""`conv` and `conv_transpose` are torch's layers, in values and gradients, at every combination of their settings."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from flambeau.tracer.ir.errors import OpError
from flambeau.tracer.ir.graph import Graph, Value
from flambeau.tracer.ir.recorder import Recorder, recording
from flambeau.tracer.ops.convolution import conv, conv_transpose
from flambeau.tracer.walks.reverse import pull_back

from .harness import interpret, placeholder, run_xla, type_of
from .sample import reals

SIZES = (7, 5, 4)
KERNELS = (3, 2, 2)
PAIRS = list(product((1, 2, 3), (1, 2), (0, 1, 2), (1, 2)))  # stride, dilation, padding, groups


def graph_of(call: Any, x: np.ndarray, w: np.ndarray) -> Graph:
    """Inputs x, w and the cotangent; outputs the value and both gradients."""
    operands = [placeholder(type_of(a), requires_grad=True) for a in (x, w)]
    with recording(Recorder()) as recorder:
        out: Value = call(*operands)
        g = placeholder(out.type)
        found = pull_back([out], [g], operands)
        return Graph([*operands, g], recorder.nodes, [out, *(found[v] for v in operands)], "helper").check()


def compare(call: Any, oracle: Any, x: np.ndarray, w: np.ndarray, run: Any) -> None:
    torch = pytest.importorskip("torch")
    tx, tw = (torch.from_numpy(a).requires_grad_() for a in (x, w))
    expected = oracle(torch.nn.functional, tx, tw)
    g = np.random.default_rng(0).standard_normal(expected.shape)
    expected.backward(torch.from_numpy(g))
    for got, want in zip(run(graph_of(call, x, w), [x, w, g]), (expected.detach(), tx.grad, tw.grad), strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-9, atol=1e-9)


def check_conv(rank: int, stride: int, dilation: int, padding: int, groups: int, run: Any) -> None:
    x = reals(2, 4, *SIZES[:rank], dtype=np.float64)
    w = reals(6, 4 // groups, *KERNELS[:rank], seed=1, dtype=np.float64)
    each = [(n,) * rank for n in (stride, padding, dilation)]
    compare(lambda a, b: conv(a, b, each[0], ((padding, padding),) * rank, each[2], groups),
            lambda f, a, b: getattr(f, f"conv{rank}d")(a, b, None, *each, groups), x, w, run)


def check_conv_transpose(rank: int, stride: int, dilation: int, padding: int, groups: int, run: Any) -> None:
    x = reals(2, 4, *SIZES[:rank], dtype=np.float64)
    w = reals(4, 6 // groups, *KERNELS[:rank], seed=1, dtype=np.float64)
    extra = (max(stride, dilation) - 1,) * rank
    each = [(n,) * rank for n in (stride, padding, dilation)]
    compare(lambda a, b: conv_transpose(a, b, each[0], each[1], extra, each[2], groups),
            lambda f, a, b: getattr(f, f"conv_transpose{rank}d")(a, b, None, each[0], each[1], extra, groups, each[2]),
            x, w, run)


@pytest.mark.parametrize(("stride", "dilation", "padding", "groups"), PAIRS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_is_torchs(rank: int, stride: int, dilation: int, padding: int, groups: int) -> None:
    check_conv(rank, stride, dilation, padding, groups, interpret)


@pytest.mark.parametrize(("stride", "dilation", "padding", "groups"), PAIRS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_transpose_is_torchs(rank: int, stride: int, dilation: int, padding: int, groups: int) -> None:
    check_conv_transpose(rank, stride, dilation, padding, groups, interpret)


@pytest.mark.parametrize("check", [check_conv, check_conv_transpose])
@pytest.mark.parametrize("settings", [(1, 3, 1, 2, 2), (2, 1, 1, 1, 1), (2, 2, 2, 1, 2), (3, 2, 1, 1, 1)], ids=str)
def test_xla_agrees_with_torch(check: Any, settings: tuple[int, ...]) -> None:
    check(*settings, run_xla)


def test_conv_transpose_with_other_channel_counts() -> None:
    x, w = reals(1, 6, 5, dtype=np.float64), reals(6, 2, 4, seed=1, dtype=np.float64)
    compare(lambda a, b: conv_transpose(a, b, (3,), (1,), (2,), (1,), 3),
            lambda f, a, b: f.conv_transpose1d(a, b, None, 3, 1, 2, 3, 1), x, w, interpret)


def test_conv_transpose_refuses_too_much_output_padding() -> None:
    x, w = (placeholder(type_of(a)) for a in (reals(1, 2, 5), reals(2, 2, 3)))
    with recording(Recorder()), pytest.raises(OpError, match="conv_transpose requires output padding smaller"):
        conv_transpose(x, w, (2,), (0,), (2,), (1,), 1)


def test_conv_transpose_refuses_a_kernel_that_groups_do_not_divide() -> None:
    x, w = (placeholder(type_of(a)) for a in (reals(1, 3, 5), reals(3, 2, 3)))
    with recording(Recorder()), pytest.raises(OpError, match="conv_transpose requires a kernel"):
        conv_transpose(x, w, (1,), (0,), (0,), (1,), 2)
