"""Objects of this package's own classes that a step comes to: hooks, masks, methods of pruning, contexts, loaders.

What they hold, and what they read of modules, is watched as if a user had written them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.nn.attention import flex_attention as flex
from flambeau.nn.utils import prune
from flambeau.nn.utils.spectral_norm_hook import SpectralNorm
from flambeau.nn.utils.weight_norm_hook import WeightNorm
from flambeau.tracer.guards.whose import of_ours, of_us

pytestmark = pytest.mark.usefixtures("numpy_engine")

X = torch.arange(6.0).reshape(2, 3) / 7


class Loud(SpectralNorm):
    """A user's."""

    def __call__(self, module: Any, inputs: Any) -> None:
        super().__call__(module, inputs)


def normed(make: Callable[..., Any] = torch.nn.utils.spectral_norm) -> Any:
    layer = torch.nn.Linear(3, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(9.0).reshape(3, 3) / 10 + torch.eye(3))
        layer.bias.zero_()
    made = make(layer)
    _again(made)
    return made


def _again(layer: Any) -> None:
    """The vectors of the power iteration as at first."""
    layer.weight_u.copy_(torch.tensor([1.0, 0.0, 0.0]))
    layer.weight_v.copy_(torch.tensor([0.0, 1.0, 0.0]))


def _hook(layer: Any) -> Any:
    return next(iter(layer._forward_pre_hooks.values()))


def _exchanged(layer: Any, hook: Any) -> Any:
    layer._forward_pre_hooks.clear()
    layer.register_forward_pre_hook(hook)
    return layer


# --- What our hooks read of a module ----------------------------------------------------------------------------------


def _plain() -> tuple[Any, Any]:
    layer = normed()
    return layer, layer


def _in_a_sequence() -> tuple[Any, Any]:
    layer = normed()
    return torch.nn.Sequential(layer), layer


def _beside_dropout() -> tuple[Any, Any]:
    layer = normed()
    return torch.nn.Sequential(torch.nn.Dropout(0.0), layer), layer


def _called_by_a_users_hook() -> tuple[Any, Any]:
    layer, hook = normed(), SpectralNorm("weight")
    return _exchanged(layer, lambda module, inputs: hook(module, inputs)), layer


def _of_a_users_class() -> tuple[Any, Any]:
    layer = normed()
    return _exchanged(layer, Loud("weight")), layer


PLACES = [_plain, _in_a_sequence, _beside_dropout, _called_by_a_users_hook, _of_a_users_class]


@pytest.mark.parametrize("first", [True, False], ids=["trains first", "evaluates first"])
@pytest.mark.parametrize("jitted", ["a function", "the module"])
@pytest.mark.parametrize("place", PLACES)
def test_a_mode_that_a_hook_of_ours_reads(place: Callable[[], tuple[Any, Any]], jitted: str, first: bool) -> None:
    found = []
    for lazily in (True, False):
        model, layer = place()
        step = model if lazily else torch.jit(model) if jitted == "the module" else torch.jit(model.__call__)
        for training in (first, not first, first):
            layer.train(training)
            _again(layer)
            found.append((step(X).tolist(), layer.weight_u.tolist()))
    assert found[:3] == found[3:]
    assert found[0] != found[1]
    assert step.stats.compiles == 2


# --- What they hold ---------------------------------------------------------------------------------------------------


def _iterations() -> tuple[Any, Any]:
    layer = normed()
    layer.train()

    def again(x: Any) -> Any:
        _again(layer)
        return layer(x)

    return again, lambda: setattr(_hook(layer), "n_power_iterations", 20)


def _iterations_of_a_users() -> tuple[Any, Any]:
    layer, hook = normed(), Loud("weight")
    _exchanged(layer, hook)

    def again(x: Any) -> Any:
        _again(layer)
        return layer(x)

    return again, lambda: setattr(hook, "n_power_iterations", 20)


def _amount() -> tuple[Any, Any]:
    method = prune.L1Unstructured(2)
    return lambda x: x * method.amount, lambda: setattr(method, "amount", 4)


def _amount_of_a_mask() -> tuple[Any, Any]:
    method = prune.LnStructured(1, n=2, dim=0)
    return lambda x: x * method.dim + method.n, lambda: setattr(method, "n", 1)


def _narrow_context() -> tuple[Any, Any]:
    context = torch.autocast("cpu", dtype=torch.bfloat16)

    def product(x: Any) -> Any:
        with context:
            return (x @ x.T).float()

    return product, lambda: setattr(context, "_enabled", False)


def _dtype_of_a_context() -> tuple[Any, Any]:
    context = torch.autocast("cpu", dtype=torch.bfloat16)

    def product(x: Any) -> Any:
        with context:
            return x @ x.T

    return product, lambda: setattr(context, "fast_dtype", torch.float16)


def _workers() -> tuple[Any, Any]:
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.arange(4.0)), batch_size=2)
    return lambda x: x + loader.num_workers, lambda: setattr(loader, "num_workers", 3)


def _users_attribute() -> tuple[Any, Any]:
    loader: Any = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.arange(4.0)), batch_size=2)
    return lambda x: x + getattr(loader, "scale", 1), lambda: setattr(loader, "scale", 5)


def _attend(mask: Any) -> Any:
    def attend(x: Any) -> Any:
        q = x.reshape(1, 1, 3, 2)
        return flex.flex_attention(q, q, q, block_mask=mask)

    return attend


def _mask_function() -> tuple[Any, Any]:
    mask = flex.create_block_mask(lambda b, h, i, j: i >= j, 1, 1, 3, 3, device="cpu")
    return _attend(mask), lambda: setattr(mask, "mask_mod", lambda b, h, i, j: i == j)


def _closure_of_a_mask() -> tuple[Any, Any]:
    width = {"w": 0}
    mask = flex.create_block_mask(lambda b, h, i, j: i >= j - width["w"], 1, 1, 3, 3, device="cpu")
    return _attend(mask), lambda: width.update(w=2)


HELD = [_iterations, _iterations_of_a_users, _amount, _amount_of_a_mask, _narrow_context, _dtype_of_a_context, _workers,
        _users_attribute, _mask_function, _closure_of_a_mask]


@pytest.mark.parametrize("make", HELD)
def test_a_change_of_what_they_hold_is_seen(make: Callable[[], tuple[Any, Any]]) -> None:
    found = []
    for decorate in (lambda f: f, torch.jit):
        function, change = make()
        step = decorate(function)
        found.append([step(X).tolist(), step(X).tolist()])
        change()
        found.append([step(X).tolist(), step(X).tolist()])
    assert found[:2] == found[2:]
    assert found[0] != found[1]
    assert step.stats.compiles == 2


# --- All of them ------------------------------------------------------------------------------------------------------

PUBLIC = ("nn.utils", "nn.attention", "utils.data", "amp", "distributions", "optim.lr_scheduler", "optim.grad_scaler",
          "optim.swa_utils")
OTHERS = {
    "BaseIterator", "SingleProcessIterator", "MultiProcessIterator",  # advance with every batch, which they give outside of steps
    "CausalBias", "CausalVariant", "SDPBackend", "OptState",  # tensors and enumerations
    "Homes", "MapFetcher", "IterableFetcher", "ExceptionWrapper", "WorkerInfo", "Ended", "Resumed", "Job", "NumpyFirst",  # inner
    "lazy_property",  # of classes
}


def test_every_public_class_is_watched() -> None:
    seen = set()
    for name, module in list(sys.modules.items()):
        if any(name.startswith(f"flambeau.{package}") for package in PUBLIC):
            seen |= {kind for kind in vars(module).values() if inspect.isclass(kind) and of_us(kind)
                     and any("__init__" in vars(base) for base in kind.__mro__[:-1])
                     and not issubclass(kind, (BaseException, torch.Tensor, tuple)) and not kind.__name__.startswith("_")
                     and any(kind.__module__.startswith(f"flambeau.{package}") for package in PUBLIC)}
    assert {WeightNorm, SpectralNorm, flex.BlockMask} <= seen
    missing = {kind.__name__ for kind in seen if not of_ours(kind, "_guarded") and not of_ours(kind, "_snapshot")}
    assert missing <= OTHERS, missing - OTHERS
