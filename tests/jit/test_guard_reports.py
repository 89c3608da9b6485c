"""Ways of going stale that users of other tracing frameworks have reported, in our words."""

from __future__ import annotations

import collections
import types
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

from .test_guard_places import check

Case = tuple[Callable[[Any], Any], Callable[[int], Any]]


def dictionary_with_attributes() -> Case:
    class Options(dict[str, Any]):
        __getattr__ = dict.get
        __setattr__ = dict.__setitem__  # type: ignore[assignment]

    options = Options(deep=Options(rate=2.0))
    return (lambda x: x * options.deep.rate * (options.later or 1.0),
            lambda k: options.update(later=3.0) if k else options.pop("later"))


def frozen_configuration() -> Case:
    class Frozen(collections.OrderedDict[str, Any]):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self.__dict__.update(given)

        def __setitem__(self, key: str, value: Any) -> None:
            if hasattr(self, "rate"):
                raise TypeError("frozen")
            super().__setitem__(key, value)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._inside = Frozen(rate=2.0)

        @property
        def config(self) -> Any:
            return self._inside

        def forward(self, x: Any) -> Any:
            return x * self.config.rate * self.config["rate"]

    net = Net()
    return net, lambda k: setattr(net, "_inside", Frozen(rate=2.0 + k))


def backward_hook_that_comes_later() -> Case:
    layer, handles = nn.Linear(3, 3, bias=False), []

    def gradient(x: Any) -> Any:
        leaf = x.clone().requires_grad_()
        layer(leaf).sum().backward()
        layer.zero_grad()
        return leaf.grad

    def change(k: int) -> None:
        if k:
            handles.append(layer.register_full_backward_pre_hook(lambda module, grads: tuple(g * 2 for g in grads)))
        else:
            handles.pop().remove()

    return gradient, change


def forward_that_is_exchanged_inside() -> Case:
    options, layer = types.SimpleNamespace(rate=2.0), nn.Identity()

    def patched(x: Any) -> Any:
        layer.forward = lambda y: y * options.rate  # type: ignore[assignment]
        try:
            return layer(x)
        finally:
            del layer.forward

    return patched, lambda k: setattr(options, "rate", 2.0 + k)


def object_whose_hash_follows_its_state() -> Case:
    class Model:
        def __init__(self) -> None:
            self.rate = 2.0

        def step(self, x: Any) -> Any:
            return x * self.rate

        def __hash__(self) -> int:
            return hash(self.rate)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Model) and self.rate == other.rate

    model = Model()
    return model.step, lambda k: setattr(model, "rate", 2.0 + k)


def number_as_a_key() -> Case:
    cache, now = {1.0: 2.0, 2.0: 5.0}, types.SimpleNamespace(key=1.0)
    return lambda x: x * cache[now.key], lambda k: setattr(now, "key", 1.0 + k)


def forward_of_the_second_layer() -> Case:
    """The first one is a compiled function of its own."""
    layers = [torch.jit(nn.Linear(3, 3)), nn.Linear(3, 3)]
    return (lambda x: layers[1](layers[0](x)).detach(),
            lambda k: setattr(layers[1], "forward", lambda x: x + 1) if k else delattr(layers[1], "forward"))


CASES = [dictionary_with_attributes, frozen_configuration, backward_hook_that_comes_later, forward_that_is_exchanged_inside,
         object_whose_hash_follows_its_state, number_as_a_key, forward_of_the_second_layer]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_change_is_seen(case: Callable[[], Case]) -> None:
    check(*case(), traces=3)
