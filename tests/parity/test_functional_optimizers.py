"""Steps of optimizers as functions of lists, three in a row, against torch's: parameters and all state."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

pytestmark = pytest.mark.usefixtures("numpy_engine")

ADAM = {"beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("adadelta", {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.1, "maximize": False}),
    ("adagrad", {"lr": 0.1, "weight_decay": 0.1, "lr_decay": 0.1, "eps": 1e-6, "maximize": False}),
    ("adam", {**ADAM, "amsgrad": True, "maximize": False}), ("adam", {**ADAM, "amsgrad": False, "maximize": True}),
    ("adamw", {**ADAM, "amsgrad": False, "maximize": False}), ("adamax", ADAM),
    ("asgd", {"lambd": 1e-2, "lr": 0.1, "t0": 1.0, "alpha": 0.75, "weight_decay": 0.1}),
    ("nadam", {**ADAM, "momentum_decay": 0.01}), ("nadam", {**ADAM, "momentum_decay": 0.01, "decoupled_weight_decay": True}),
    ("radam", ADAM), ("radam", {**ADAM, "maximize": True}),
    ("rmsprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.9, "centered": True}),
    ("rmsprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False}),
    ("rprop", {"step_size_min": 1e-6, "step_size_max": 50, "etaminus": 0.5, "etaplus": 1.2}),
    ("sgd", {"weight_decay": 0.1, "momentum": 0.9, "lr": 0.1, "dampening": 0.5, "nesterov": False, "maximize": False}),
    ("sgd", {"weight_decay": 0.0, "momentum": 0.9, "lr": 0.1, "dampening": 0.0, "nesterov": True, "maximize": True}),
    ("sgd", {"weight_decay": 0.1, "momentum": 0.0, "lr": 0.1, "dampening": 0.0, "nesterov": False, "maximize": False}),
]
START = {"mus": 1.0, "etas": 0.1, "mu_products": 1.0, "state_steps": 0.0}


def lists_of(name: str) -> list[str]:
    """The lists of state that torch's function takes after parameters and gradients."""
    parameters = inspect.signature(getattr(importlib.import_module(f"torch.optim.{name}"), name)).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD][2:]


def state(library: Any, name: str, listed: str, params: list[Any]) -> list[Any]:
    if name == "sgd":
        return [None for _ in params]
    if listed in START:
        return [library.tensor(START[listed]) for _ in params]
    return [library.full_like(p, 0.1 if listed == "step_sizes" else 0.0) for p in params]


def trained(library: Any, name: str, options: dict[str, Any], by_name: bool) -> list[Any]:
    step = getattr(importlib.import_module(f"{library.__name__}.optim.{name}"), name)
    params = [library.tensor([1.0, -2.0, 3.0]), library.tensor([[0.5]])]
    states = {listed: state(library, name, listed, params) for listed in lists_of(name)}
    for k in range(3):
        grads = [library.tensor([0.1, 0.25, -0.5]) * (k + 1), library.tensor([[0.4]]) * (-1) ** k]
        if by_name:
            step(params, grads, **states, **options)
        else:
            step(params, grads, *states.values(), **options)
    return [np.asarray(x.numpy()) for x in [*params, *(x for listed in states.values() for x in listed)] if x is not None]


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_steps_are_torchs(name: str, options: dict[str, Any], by_name: bool) -> None:
    theirs, ours = trained(torch, name, options, by_name), trained(flambeau, name, options, by_name)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_scaled_gradients_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="unscale_"):
        flambeau.optim.sgd.sgd([flambeau.ones(1)], [flambeau.ones(1)], [None], found_inf=flambeau.ones(1), lr=0.1, momentum=0.0,
                               weight_decay=0.0, dampening=0.0, nesterov=False, maximize=False)
