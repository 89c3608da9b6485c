"""Functional forms against torch: what the layers' own tests do not reach."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flambeau import nn  # noqa: E402
from flambeau.nn import functional as ours  # noqa: E402
from flambeau.tracer.functions.random import manual_seed  # noqa: E402
from flambeau.tracer.ir import dtypes  # noqa: E402

from .nn_common import close, compare, ours_of, theirs_of  # noqa: E402

theirs = torch.nn.functional
rng = np.random.default_rng(1)


def floats(*shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


signs = np.where(rng.random((5,)) < 0.5, -1.0, 1.0).astype(np.float32)
CASES: dict[str, tuple[Any, list[Any]]] = {
    "sdpa": (lambda F, *x: F.scaled_dot_product_attention(*x),
             [floats(2, 3, 4, 5), floats(2, 3, 6, 5), floats(2, 3, 6, 7)]),
    "sdpa causal": (lambda F, *x: F.scaled_dot_product_attention(*x, is_causal=True),
                    [floats(2, 4, 5), floats(2, 6, 5), floats(2, 6, 5)]),
    "sdpa causal with more queries than keys": (lambda F, *x: F.scaled_dot_product_attention(*x, is_causal=True),
                                                [floats(1, 6, 5), floats(1, 4, 5), floats(1, 4, 5)]),
    "sdpa scale": (lambda F, *x: F.scaled_dot_product_attention(*x, scale=0.3), [floats(4, 5)] * 3),
    "sdpa number mask": (lambda F, q, k, v, m: F.scaled_dot_product_attention(q, k, v, m),
                         [floats(2, 3, 4, 5), floats(2, 3, 6, 5), floats(2, 3, 6, 5), floats(2, 1, 4, 6)]),
    "sdpa bool mask": (lambda F, q, k, v, m: F.scaled_dot_product_attention(q, k, v, m > 0),
                       [floats(2, 3, 4, 5), floats(2, 3, 6, 5), floats(2, 3, 6, 5),
                        np.array([[1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]] * 2, np.float32)]),
    "sdpa shared heads": (lambda F, *x: F.scaled_dot_product_attention(*x, enable_gqa=True),
                          [floats(2, 6, 4, 5), floats(2, 2, 3, 5), floats(2, 2, 3, 5)]),
    "cross entropy in space": (lambda F, x, t: F.cross_entropy(x, t.long()),
                               [floats(2, 4, 3), rng.integers(0, 4, (2, 3))]),
    "cross entropy of one": (lambda F, x, t: F.cross_entropy(x, t.long()), [floats(4), np.array(2)]),
    "cross entropy of probabilities": (lambda F, x, t: F.cross_entropy(x, t.softmax(1), label_smoothing=0.1),
                                       [floats(3, 4, 2), floats(3, 4, 2)]),
    "cross entropy of weighted probabilities": (
        lambda F, x, t, w: F.cross_entropy(x, t.softmax(1), w * w, reduction="none"),
        [floats(3, 4), floats(3, 4), floats(4)]),
    "cross entropy ignoring by default": (lambda F, x, t: F.cross_entropy(x, t.long()),
                                          [floats(3, 4), np.array([1, -100, 2])]),
    "cross entropy of infinity": (lambda F, x, t: F.cross_entropy(x, t.long()),
                                  [np.array([[-np.inf, 0, 1], [2, 0, 1]], np.float32), np.array([1, 2])]),
    "cross entropy of large inputs": (lambda F, x, t: F.cross_entropy(x * 1000, t.long()),
                                      [floats(3, 4), np.array([1, 0, 2])]),
    "nll in space": (lambda F, x, t: F.nll_loss(F.log_softmax(x, 1), t.long()),
                     [floats(2, 4, 3), rng.integers(0, 4, (2, 3))]),
    "batchmean": (lambda F, x, t: F.kl_div(x.log_softmax(1), t.softmax(1), reduction="batchmean"),
                  [floats(3, 4), floats(3, 4)]),
    "gaussian nll": (lambda F, x, t, v: F.gaussian_nll_loss(x, t, v * v, full=True), [floats(5), floats(5), floats(5)]),
    "gaussian nll near zero": (lambda F, x, t, v: F.gaussian_nll_loss(x, t, v * 0 + 1e-9, eps=0.1), [floats(5)] * 3),
    "hinge": (lambda F, x: F.hinge_embedding_loss(x, (x.detach() > 0) * 2.0 - 1), [floats(5)]),
    "ranking": (lambda F, x, y, t: F.margin_ranking_loss(x, y, t.detach(), margin=0.3), [floats(5), floats(5), signs]),
    "cosine embedding": (lambda F, x, y, t: F.cosine_embedding_loss(x, y, t.detach(), margin=0.1),
                         [floats(5, 3), floats(5, 3), signs]),
    "triplet": (lambda F, *x: F.triplet_margin_loss(*x, swap=True), [floats(5, 3), floats(5, 3), floats(5, 3)]),
    "normalize": (lambda F, x: F.normalize(x), [floats(3, 4)]),
    "normalize zeros": (lambda F, x: F.normalize(x * 0, dim=-1), [floats(3, 4)]),
    "normalize by sums": (lambda F, x: F.normalize(x, p=1, dim=0), [floats(3, 4)]),
    "cosine": (lambda F, x, y: F.cosine_similarity(x, y), [floats(3, 4), floats(1, 4)]),
    "distance": (lambda F, x, y: F.pairwise_distance(x, y, keepdim=True), [floats(3, 4), floats(3, 4)]),
    "linear of a vector weight": (lambda F, x, w: F.linear(x, w), [floats(3, 4), floats(4)]),
    "one hot": (lambda F, x: F.one_hot(x.long()), [np.array([[0, 3], [1, 1]])]),
    "one hot of six": (lambda F, x: F.one_hot(x.long(), 6), [np.array([0, 3])]),
    "pad two dimensions": (lambda F, x: F.pad(x, (1, 2, 3, 0), value=2.5), [floats(2, 3, 4)]),
    "pad cutting": (lambda F, x: F.pad(x, (-1, 2, 0, -2)), [floats(3, 4)]),
    "pad replicate cutting": (lambda F, x: F.pad(x, (-1, 2), "replicate"), [floats(2, 3, 4)]),
    "pad circular": (lambda F, x: F.pad(x, (4, 1), "circular"), [floats(2, 3, 4)]),
    "pad nothing": (lambda F, x: F.pad(x, ()), [floats(3)]),
    "instance norm": (lambda F, x: F.instance_norm(x), [floats(2, 3, 4)]),
    "layer norm": (lambda F, x, w: F.layer_norm(x, (4,), w), [floats(2, 3, 4), floats(4)]),
    "batch norm by statistics": (lambda F, x, m, v: F.batch_norm(x, m.detach(), (v * v).detach()),
                                 [floats(2, 3, 4), floats(3), floats(3)]),
    "same with holes": (lambda F, x, w: F.conv2d(x, w, padding="same", dilation=(1, 3)),
                        [floats(1, 2, 6, 7), floats(3, 2, 2, 4)]),
    "lp pool": (lambda F, x: F.lp_pool2d(x.abs() + 0.1, 2, 2), [floats(1, 2, 4, 4)]),
    "softplus": (lambda F, x: F.softplus(x * 20), [floats(20)]),
    "bce at certainty": (lambda F, x, t: F.binary_cross_entropy(x, t.detach()),
                         [np.array([0.0, 1.0, 1.0], np.float32), np.array([0.0, 1.0, 0.0], np.float32)]),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", CASES)
def test_function(name: str) -> None:
    function, arrays = CASES[name]
    compare(lambda *x: function(ours, *x), lambda *x: function(theirs, *x), arrays)


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize("name", ["sdpa", "sdpa causal", "layer norm", "cross entropy in space", "instance norm"])
def test_other_types(name: str, kind: str) -> None:
    function, arrays = CASES[name]
    tolerance = {"bfloat16": 3e-2, "float16": 4e-3, "float64": 1e-10}[kind]

    def cast(x: Any, module: Any) -> Any:
        return x.to(getattr(module, kind)) if x.dtype.is_floating_point else x

    compare(lambda *x: function(ours, *(cast(a, dtypes) for a in x)),
            lambda *x: function(theirs, *(cast(a, torch) for a in x)), arrays, tolerance)


ERRORS: dict[str, tuple[Any, list[Any]]] = {
    "linear": (lambda F, x, w: F.linear(x, w), [floats(3, 4), floats(2, 5)]),
    "layer norm": (lambda F, x: F.layer_norm(x, (3,)), [floats(2, 4)]),
    "group norm": (lambda F, x: F.group_norm(x, 3), [floats(2, 4)]),
    "dropout": (lambda F, x: F.dropout(x, 1.5), [floats(2)]),
    "batch size": (lambda F, x, t: F.cross_entropy(x, t.long()), [floats(3, 4), np.array([1, 2])]),
    "reduction": (lambda F, x: F.mse_loss(x, x, reduction="wrong"), [floats(2)]),
    "gelu": (lambda F, x: F.gelu(x, approximate="wrong"), [floats(2)]),
    "channels": (lambda F, x, w: F.conv2d(x, w), [floats(1, 3, 4, 4), floats(2, 2, 2, 2)]),
    "kernel": (lambda F, x, w: F.conv1d(x, w), [floats(1, 2, 3), floats(2, 2, 5)]),
    "odd": (lambda F, x: F.pad(x, (1,)), [floats(2, 3)]),
    "halves": (lambda F, x: F.glu(x), [floats(2, 3)]),
    "one value": (lambda F, x: F.batch_norm(x, None, None, training=True), [floats(1, 3)]),
    "sizes": (lambda F, x, t: F.binary_cross_entropy_with_logits(x, t), [floats(3), floats(4)]),
    "mask and causal": (lambda F, x: F.scaled_dot_product_attention(x, x, x, x, is_causal=True), [floats(2, 2)]),
    "smoothing": (lambda F, x, t: F.cross_entropy(x, t.long(), label_smoothing=2.0), [floats(1, 4), np.array([1])]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_is_torchs(name: str) -> None:
    function, arrays = ERRORS[name]
    with pytest.raises(Exception) as expected:
        function(theirs, *map(theirs_of, arrays))
    with pytest.raises(type(expected.value)) as given:
        function(ours, *map(ours_of, arrays))
    assert str(given.value)[:40] == str(expected.value)[:40]


def test_dropout_keeps_the_mean_and_scales_the_gradient() -> None:
    manual_seed(0)
    x = ours_of(np.ones(20000, np.float32), grad=True)
    y = ours.dropout(x, 0.25)
    y.sum().backward()
    values = set(np.unique(y.detach().numpy()).tolist())
    assert values == {0.0, float(np.float32(1 / 0.75))}
    assert abs(float(y.detach().mean()) - 1) < 0.02
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert ours.dropout(x, 0.25, training=False) is x


def test_dropout_of_channels_drops_them_whole() -> None:
    manual_seed(1)
    y = ours.dropout2d(ours_of(np.ones((40, 10, 3, 3), np.float32)), 0.5).numpy()
    whole = y.reshape(400, 9)
    assert (whole == whole[:, :1]).all() and 120 < (whole[:, 0] == 0).sum() < 280


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    manual_seed(2)
    y = ours.alpha_dropout(ours_of(rng.standard_normal(50000).astype(np.float32)), 0.3, training=True).numpy()
    assert abs(y.mean()) < 0.03 and abs(y.std() - 1) < 0.03


def test_gumbel_softmax_hard_is_one_hot_with_a_gradient() -> None:
    manual_seed(3)
    x = ours_of(np.log(np.array([[0.2, 0.5, 0.3]] * 4000, np.float32)), grad=True)
    y = ours.gumbel_softmax(x, hard=True)
    np.testing.assert_allclose(y.detach().numpy().sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(y.detach().numpy().mean(0), [0.2, 0.5, 0.3], atol=0.03)
    (y * ours_of(floats(4000, 3))).sum().backward()
    assert float(x.grad.abs().sum()) > 0


def test_attention_dropout_is_random_and_unbiased() -> None:
    manual_seed(4)
    q, k, v = (ours_of(floats(2000, 1, 4)), ours_of(floats(2000, 3, 4)), ours_of(np.ones((2000, 3, 4), np.float32)))
    y = ours.scaled_dot_product_attention(q, k, v, dropout_p=0.5).numpy()
    assert y.std() > 0.3 and abs(y.mean() - 1) < 0.06


def test_clipping() -> None:
    gradients = [floats(3, 4), floats(5), floats()]
    for function, args in [("clip_grad_norm_", (0.7,)), ("clip_grad_norm_", (100.0,)), ("clip_grad_norm_", (0.5, 1.0)),
                           ("clip_grad_norm_", (0.5, math.inf)), ("clip_grad_value_", (0.4,))]:
        mine = [nn.Parameter(ours_of(g)) for g in gradients]
        yours = [torch.nn.Parameter(theirs_of(g)) for g in gradients]
        for p, q, g in zip(mine, yours, gradients):
            p.grad, q.grad = ours_of(g * 2), theirs_of(g * 2)
        a = getattr(nn.utils, function)([*mine, nn.Parameter(ours_of(floats(2)))], *args)
        b = getattr(torch.nn.utils, function)(yours, *args)
        close(a, b) if b is not None else None
        for p, q in zip(mine, yours):
            close(p.grad, q.grad)


def test_parameters_as_a_vector_and_back() -> None:
    layer = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    nn.utils.vector_to_parameters(vector.detach() * 2, layer.parameters())
    np.testing.assert_allclose(nn.utils.parameters_to_vector(layer.parameters()).detach().numpy(),
                               2 * vector.detach().numpy(), rtol=1e-6)


def test_one_hot_gives_int64() -> None:
    assert ours.one_hot(ours_of(np.array([1, 0])), 3).dtype is dtypes.int64
