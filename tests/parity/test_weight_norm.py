"""Weight normalisation by a hook, lazily and in compiled steps, against torch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

LAYERS = {
    "Linear": (lambda t: t.nn.Linear(4, 3), (5, 4)), "Linear without bias": (lambda t: t.nn.Linear(4, 3, bias=False), (5, 4)),
    "Conv1d": (lambda t: t.nn.Conv1d(4, 3, 2), (5, 4, 6)), "Conv2d": (lambda t: t.nn.Conv2d(4, 3, 2), (2, 4, 5, 5)),
    "ConvTranspose1d": (lambda t: t.nn.ConvTranspose1d(4, 3, 2), (5, 4, 6))}
DIMS = [0, 1, None, -1, -2]


def pair(layer: str, dim: int | None) -> tuple[Any, Any, np.ndarray[Any, Any]]:
    """One layer of both, with the same weights, and an input."""
    make, shape = LAYERS[layer]
    theirs = make(torch)
    ours = make(flambeau)
    ours.load_state_dict({name: flambeau.tensor(p.detach().numpy()) for name, p in theirs.named_parameters()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch has another form beside this one
        torch.nn.utils.weight_norm(theirs, dim=dim)
    assert flambeau.nn.utils.weight_norm(ours, dim=dim) is ours
    return ours, theirs, np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def agree(ours: Any, theirs: Any) -> None:
    assert list(dict(ours.named_parameters())) == list(dict(theirs.named_parameters()))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert tuple(a.shape) == tuple(b.shape), name
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), rtol=1e-4, atol=1e-5)


def trainer(library: Any, model: Any) -> Any:
    optimizer = library.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x: Any) -> Any:
        loss = (model(x) ** 2).mean() + model.weight.abs().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


@pytest.mark.parametrize("layer, dim, how", [
    *((layer, dim, "lazily") for layer in LAYERS for dim in DIMS),
    *((layer, dim, "under jit") for layer in ("Linear", "Conv2d") for dim in DIMS)])
def test_training(layer: str, dim: int | None, how: str) -> None:
    ours, theirs, x = pair(layer, dim)
    agree(ours, theirs)
    ours_step, theirs_step = trainer(flambeau, ours), trainer(torch, theirs)
    if how == "under jit":
        ours_step = flambeau.jit(ours_step, max_compiles=2)  # the second for momentum, which the first step makes
    for _ in range(3):
        mine, loss = ours_step(flambeau.tensor(x)), theirs_step(torch.tensor(x))
        assert mine.item() == pytest.approx(loss.item(), rel=1e-4)
    agree(ours, theirs)
    with flambeau.no_grad(), torch.no_grad():
        np.testing.assert_allclose(ours(flambeau.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy(), rtol=1e-4, atol=1e-4)
    agree(ours, theirs)
    assert flambeau.nn.utils.remove_weight_norm(ours) is ours
    agree(ours, torch.nn.utils.remove_weight_norm(theirs))


def test_two_calls_before_one_backward() -> None:
    ours, theirs, x = pair("Linear", 0)
    for t, model in ((flambeau, ours), (torch, theirs)):
        first = model(t.tensor(x))
        (first * model(t.tensor(x + 1))).sum().backward()
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("compiled", [False, True])
def test_another_dtype(compiled: bool) -> None:
    ours, theirs, x = pair("Conv1d", 0)
    ours.double(), theirs.double()
    ours.load_state_dict({name: flambeau.tensor(p.numpy()) for name, p in theirs.state_dict().items()})  # norms were rounded
    for _ in range(2):
        y = ours(flambeau.tensor(x).double())
        assert y.dtype == flambeau.float64
        np.testing.assert_allclose(y.detach().numpy(), theirs(torch.tensor(x).double()).detach().numpy(), rtol=1e-6)
    if compiled:
        np.testing.assert_allclose(flambeau.jit(ours)(flambeau.tensor(x).double()).detach().numpy(), y.detach().numpy())


def test_what_is_refused() -> None:
    layer = flambeau.nn.utils.weight_norm(flambeau.nn.Linear(2, 3))
    with pytest.raises(RuntimeError, match="Cannot register two weight_norm hooks on the same parameter weight"):
        flambeau.nn.utils.weight_norm(layer)
    with pytest.raises(ValueError, match="weight_norm of 'bias' not found in Linear"):
        flambeau.nn.utils.remove_weight_norm(layer, "bias")
    flambeau.nn.utils.weight_norm(layer, "bias")
    assert [name for name, _ in layer.named_parameters()] == ["weight_g", "weight_v", "bias_g", "bias_v"]
    assert layer(flambeau.ones(2)).shape == (3,)
