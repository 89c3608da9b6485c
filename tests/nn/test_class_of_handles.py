"""The class of a module changes under the handles that `jit` of it gave, and by them: with it goes `parametrize`."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn.utils import parametrizations, parametrize

pytestmark = pytest.mark.usefixtures("numpy_engine")


class Square(nn.Module):
    """Of a weight."""

    def forward(self, x: Any) -> Any:
        return x * x


class Called(nn.Linear):
    """A module whose class has a call of its own."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs) * 2


KINDS: dict[str, Callable[[], Any]] = {"Linear": lambda: nn.Linear(2, 2), "a call of its own": lambda: Called(2, 2)}
REGISTER: dict[str, Callable[[Any], Any]] = {
    "register_parametrization": lambda m: parametrize.register_parametrization(m, "weight", Square()),
    "twice": lambda m: [parametrize.register_parametrization(m, "weight", Square()) for _ in range(2)],
    "weight and bias": lambda m: [parametrize.register_parametrization(m, name, Square()) for name in ("weight", "bias")],
    "orthogonal": parametrizations.orthogonal, "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm}
# Which module the registered one is of the plain one, and which is called.
PLACES: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "the handle": lambda m: (j := torch.jit(m), j), "the module, called by the handle": lambda m: (m, torch.jit(m)),
    "the handle, called by the module": lambda m: (torch.jit(m), m),
    "a handle on it": lambda m: (j := torch.jit(torch.jit(m)), j),
    "another handle": lambda m: (torch.jit(m), torch.jit(m)), "within": lambda m: (j := torch.jit(m), nn.Sequential(j)),
    "within a jitted": lambda m: (m, torch.jit(nn.Sequential(torch.jit(m)))),
    "in place": lambda m: (m.compile() or m, m)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", REGISTER)
def test_parametrize(how: str, place: str, kind: str) -> None:
    x = torch.ones(1, 2)
    plain = KINDS[kind]()
    target, called = PLACES[place](copy.deepcopy(plain))
    called(x)
    for model in plain, target:
        torch.manual_seed(1)
        REGISTER[how](model)
    for mode in (False, True, True):
        plain.train(mode)
        called.train(mode)
        assert called(x).tolist() == plain(x).tolist()
    assert parametrize.is_parametrized(target) and target.weight.tolist() == plain.weight.tolist()
    assert parametrize.type_before_parametrizations(target) is type(KINDS[kind]())
    with parametrize.cached():
        assert target.weight is target.weight
    again = copy.deepcopy(target)
    assert again(x).tolist() == plain(x).tolist() and again.weight.tolist() == plain.weight.tolist()
    with pytest.raises(RuntimeError, match="state_dict"):
        pickle.dumps(target)
    for model in plain, target:
        parametrize.remove_parametrizations(model, "weight")
    assert called(x).tolist() == plain(x).tolist() and isinstance(target.weight, nn.Parameter)


class More(nn.Linear):
    """Another class that a module may get."""

    def extra(self) -> int:
        return 7

    def forward(self, x: Any) -> Any:
        return super().forward(x) * 3


class Slots(nn.Linear):
    """One that it may not get."""

    __slots__ = ("more",)


@pytest.mark.parametrize("set_on", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_class_that_is_set(kind: str, set_on: int) -> None:
    model = KINDS[kind]()
    handles = [model, torch.jit(model), torch.jit(torch.jit(model))]
    x, before = torch.ones(1, 2), type(model)
    y = nn.functional.linear(x, model.weight, model.bias)
    for m in handles:
        m(x)
    handles[set_on].__class__ = More
    assert [type(m) for m in handles] == [More] * 3 and [m.extra() for m in handles] == [7] * 3
    assert all(m(x).tolist() == (y * 3).tolist() for m in handles)
    with pytest.raises(TypeError):
        handles[set_on].__class__ = Slots
    assert [type(m) for m in handles] == [More] * 3
    handles[set_on].__class__ = before
    assert type(model) is before and all(isinstance(m, before) for m in handles)
    assert all(m(x).tolist() == (y * (2 if before is Called else 1)).tolist() for m in handles)


@pytest.mark.parametrize("wrap", [torch.jit, lambda m: nn.Sequential(torch.jit(m)), lambda m: torch.jit(nn.Sequential(m))])
def test_lazy_modules_become_what_they_are(wrap: Callable[[Any], Any]) -> None:
    lazy = nn.LazyLinear(3)
    model = wrap(lazy)
    assert model(torch.ones(1, 2)).shape == (1, 3) and type(lazy) is nn.Linear
    assert type(model if model == lazy else model[0]) is nn.Linear


def test_handles_that_are_gone_are_forgotten() -> None:
    model = nn.Linear(2, 2)
    for _ in range(10):
        torch.jit(model)
    assert len(model._handles or ()) <= 2
    model.__class__ = More
    assert type(model) is More
