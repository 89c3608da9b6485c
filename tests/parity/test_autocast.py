"""autocast against torch: the dtype that each function gives on the CPU, and the losses of a small model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

Made = Callable[..., Any]


def integers(m: Any, *numbers: int) -> Any:
    return m.tensor(list(numbers))


CALLS: dict[str, Callable[[Any, Any, Made], Any]] = {
    "mm": lambda m, F, x: m.mm(x(2, 3), x(3, 2)),
    "matmul": lambda m, F, x: x(2, 3) @ x(3),
    "bmm": lambda m, F, x: m.bmm(x(1, 2, 3), x(1, 3, 2)),
    "addmm": lambda m, F, x: m.addmm(x(2, 2), x(2, 3), x(3, 2)),
    "baddbmm": lambda m, F, x: m.baddbmm(x(1, 2, 2), x(1, 2, 3), x(1, 3, 2)),
    "mv": lambda m, F, x: m.mv(x(2, 3), x(3)),
    "dot": lambda m, F, x: m.dot(x(3), x(3)),
    "outer": lambda m, F, x: m.outer(x(3), x(3)),
    "tensordot": lambda m, F, x: m.tensordot(x(2, 3), x(3, 2), 1),
    "einsum": lambda m, F, x: m.einsum("ij,jk->ik", x(2, 3), x(3, 2)),
    "einsum of one": lambda m, F, x: m.einsum("ij->i", x(2, 3)),
    "mm of doubles": lambda m, F, x: m.mm(x(2, 3).double(), x(3, 2).double()),
    "linear": lambda m, F, x: F.linear(x(2, 3), x(4, 3), x(4)),
    "linear of two types": lambda m, F, x: F.linear(x(2, 3).bfloat16(), m.ones(4, 3), m.ones(4)),
    "bilinear": lambda m, F, x: F.bilinear(x(2, 3), x(2, 3), x(4, 3, 3)),
    "conv1d": lambda m, F, x: F.conv1d(x(1, 2, 5), x(3, 2, 2)),
    "conv2d": lambda m, F, x: F.conv2d(x(1, 2, 5, 5), x(3, 2, 2, 2), x(3)),
    "conv3d": lambda m, F, x: F.conv3d(x(1, 2, 3, 3, 3), x(3, 2, 2, 2, 2)),
    "conv_transpose2d": lambda m, F, x: F.conv_transpose2d(x(1, 2, 5, 5), x(2, 3, 2, 2)),
    "attention": lambda m, F, x: F.scaled_dot_product_attention(x(1, 2, 3, 4), x(1, 2, 3, 4), x(1, 2, 3, 4)),
    "prelu": lambda m, F, x: F.prelu(x(2, 3), x(1)),
    "cat": lambda m, F, x: m.cat([x(2), m.ones(2, dtype=m.bfloat16)]),
    "cat of one type": lambda m, F, x: m.cat([m.ones(2, dtype=m.bfloat16), m.ones(2, dtype=m.bfloat16)]),
    "stack": lambda m, F, x: m.stack([x(2), m.ones(2)]),
    "hstack": lambda m, F, x: m.hstack([x(2), m.ones(2)]),
    "prod": lambda m, F, x: m.prod(x(3)),
    "sum": lambda m, F, x: m.sum(x(3)),
    "cumsum": lambda m, F, x: m.cumsum(x(3), 0),
    "norm": lambda m, F, x: m.norm(x(3)),
    "exp": lambda m, F, x: m.exp(x(3)),
    "pow": lambda m, F, x: x(3) ** 2,
    "softmax": lambda m, F, x: F.softmax(x(3), 0),
    "log_softmax": lambda m, F, x: m.log_softmax(x(3), 0),
    "layer_norm": lambda m, F, x: F.layer_norm(x(2, 3), (3,)),
    "group_norm": lambda m, F, x: F.group_norm(x(2, 4), 2),
    "batch_norm": lambda m, F, x: F.batch_norm(x(2, 4), None, None, training=True),
    "quantile": lambda m, F, x: m.quantile(x(4), 0.5),
    "nanquantile": lambda m, F, x: m.nanquantile(x(4), 0.5),
    "trace": lambda m, F, x: m.trace(x(2, 2)),
    "polar": lambda m, F, x: m.polar(x(2), x(2)),
    "view_as_complex": lambda m, F, x: m.view_as_complex(x(2, 2)),
    "mse_loss": lambda m, F, x: F.mse_loss(x(3), x(3)),
    "l1_loss": lambda m, F, x: F.l1_loss(x(3), x(3)),
    "smooth_l1_loss": lambda m, F, x: F.smooth_l1_loss(x(3), x(3)),
    "huber_loss": lambda m, F, x: F.huber_loss(x(3), x(3)),
    "cross_entropy": lambda m, F, x: F.cross_entropy(x(2, 3), integers(m, 0, 1)),
    "nll_loss": lambda m, F, x: F.nll_loss(x(2, 3), integers(m, 0, 1)),
    "kl_div": lambda m, F, x: F.kl_div(x(2, 3), x(2, 3), reduction="sum"),
    "binary_cross_entropy": lambda m, F, x: F.binary_cross_entropy(x(3), x(3)),
    "binary_cross_entropy_with_logits": lambda m, F, x: F.binary_cross_entropy_with_logits(x(3), x(3)),
    "poisson_nll_loss": lambda m, F, x: F.poisson_nll_loss(x(3), x(3)),
    "gaussian_nll_loss": lambda m, F, x: F.gaussian_nll_loss(x(3), x(3), x(3)),
    "soft_margin_loss": lambda m, F, x: F.soft_margin_loss(x(3), x(3)),
    "hinge_embedding_loss": lambda m, F, x: F.hinge_embedding_loss(x(3), x(3)),
    "margin_ranking_loss": lambda m, F, x: F.margin_ranking_loss(x(3), x(3), x(3)),
    "cosine_embedding_loss": lambda m, F, x: F.cosine_embedding_loss(x(2, 3), x(2, 3), m.ones(2)),
    "triplet_margin_loss": lambda m, F, x: F.triplet_margin_loss(x(2, 3), x(2, 3), x(2, 3)),
    "cosine_similarity": lambda m, F, x: F.cosine_similarity(x(2, 3), x(2, 3)),
    "avg_pool2d": lambda m, F, x: F.avg_pool2d(x(1, 1, 2, 2), 2),
    "avg_pool3d": lambda m, F, x: F.avg_pool3d(x(1, 1, 2, 2, 2), 2),
    "adaptive_avg_pool3d": lambda m, F, x: F.adaptive_avg_pool3d(x(1, 1, 2, 2, 2), 1),
    "gelu": lambda m, F, x: F.gelu(x(3)),
    "softplus": lambda m, F, x: F.softplus(x(3)),
    "add": lambda m, F, x: x(3) + m.ones(3),
    "addcmul": lambda m, F, x: m.addcmul(x(3), x(3), x(3)),
    "embedding": lambda m, F, x: F.embedding(integers(m, 0), x(3, 2)),
    "mean": lambda m, F, x: x(3).mean(),
    "logsumexp": lambda m, F, x: m.logsumexp(x(3), 0),
}


def given(m: Any, name: str, kind: str, narrow: str) -> str:
    def ones(*shape: int) -> Any:
        return m.ones(*shape, dtype=getattr(m, kind)) * 0.5

    with m.autocast("cpu", dtype=getattr(m, narrow)):
        return str(CALLS[name](m, m.nn.functional, ones).dtype)


@pytest.mark.parametrize("name", CALLS)
def test_result_dtypes(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about polar and the like
        for kind, narrow in (("float32", "bfloat16"), ("bfloat16", "bfloat16")):
            assert given(flambeau, name, kind, narrow) == given(torch, name, kind, narrow), (kind, narrow)
    if not name.startswith("cat"):  # torch takes no float16 and bfloat16 together there
        assert given(flambeau, name, "float32", "float16") == given(torch, name, "float32", "float16")


def models(make: Callable[[Any], Any]) -> list[tuple[Any, Any]]:
    torch.manual_seed(0)
    pairs = [(m, make(m)) for m in (torch, flambeau)]
    weights = {name: t.detach().numpy() for name, t in pairs[0][1].state_dict().items()}
    pairs[1][1].load_state_dict({name: flambeau.tensor(w) for name, w in weights.items()})
    return pairs


def losses(m: Any, model: Any, jitted: bool, steps: int = 12) -> list[float]:
    data = np.random.default_rng(0)
    x, y = data.normal(size=(16, 3, 8, 8)).astype(np.float32), data.integers(0, 4, 16)
    optimizer = m.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def step(x: Any, y: Any) -> Any:
        with m.autocast("cpu"):
            loss = m.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    run = flambeau.jit(step) if jitted else step
    return [run(m.tensor(x), m.tensor(y)).item() for _ in range(steps)]


def network(m: Any) -> Any:
    nn = m.nn
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(),
                         nn.Linear(32, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 4))


@pytest.mark.parametrize("jitted", [False, True], ids=["lazily", "jitted"])
def test_losses_of_a_model(jitted: bool) -> None:
    (_, theirs), (_, ours) = models(network)
    expected, found = losses(torch, theirs, False), losses(flambeau, ours, jitted)
    np.testing.assert_allclose(found, expected, rtol=0.02)
    assert found[-1] < found[0] - 0.2
    assert all(p.dtype is flambeau.float32 for p in ours.parameters())


def test_multihead_attention() -> None:
    (_, theirs), (_, ours) = models(lambda m: m.nn.MultiheadAttention(8, 2))
    x = np.random.default_rng(1).normal(size=(5, 2, 8)).astype(np.float32)
    results = []
    for m, model in ((torch, theirs), (flambeau, ours)):
        with m.autocast("cpu"):
            y = model(m.tensor(x), m.tensor(x), m.tensor(x))[0]
        results.append((str(y.dtype), y.detach().float().numpy()))
    assert results[0][0] == results[1][0]
    np.testing.assert_allclose(results[1][1], results[0][1], atol=0.02)


STATES: dict[str, Callable[[Any], Any]] = {
    "off": lambda m: m.is_autocast_enabled("cpu"),
    "default": lambda m: (str(m.get_autocast_dtype("cpu")), str(m.get_autocast_dtype("cuda"))),
    "unknown device": lambda m: m.autocast(3),
    "unsupported dtype": lambda m: m.autocast("cpu", dtype=m.float64),
}


@pytest.mark.parametrize("name", STATES)
def test_states(name: str) -> None:
    outcomes = []
    for m in (torch, flambeau):
        try:
            outcomes.append(STATES[name](m))
        except Exception as error:
            outcomes.append((type(error), str(error)[:50]))
    assert outcomes[0] == outcomes[1]
