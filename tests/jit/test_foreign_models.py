"""A model as large libraries write them: tables that make objects when they are read, sets, computed names, lazy modules."""

from __future__ import annotations

import collections
import dataclasses
import logging
import queue
import types
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F
from flambeau.tracer.guards.outside import Outside

MADE: Any = queue.SimpleQueue()  # made in C, so that no step is taken to write into it
SWITCHES = {"residual", "scale"}
logger = logging.getLogger(__name__)


class LazyModule(types.ModuleType):
    """Imports what it is asked for; half of it needs packages that are not there."""

    def __getattr__(self, name: str) -> Any:
        MADE.put(name)
        raise ImportError(f"{name} needs a package that is not installed")


class Layers(collections.OrderedDict[str, Any]):
    """Gives a new layer at each reading."""

    def __getitem__(self, key: str) -> Any:
        content = super().__getitem__(key)
        kind, options = content if isinstance(content, tuple) else (content, {})
        MADE.put(key)
        return kind(**options)


class Families(collections.OrderedDict[str, Any]):
    """Loads what it is asked for."""

    def __getitem__(self, key: str) -> Any:
        return getattr(LAZY[0], key)

    def values(self) -> Any:
        return [self[key] for key in self.keys()]

    def items(self) -> Any:
        return [(key, self[key]) for key in self.keys()]


LAZY = [LazyModule("lazy_models_of_a_test")]  # in a list, since pytest asks what it finds in a module
ACTIVATIONS = Layers(gelu=nn.GELU, leaky=(nn.LeakyReLU, {"negative_slope": 0.1}))
FAMILIES = Families(first="First", second="Second")


class Config:
    attribute_map = {"num_layers": "n_layer"}  # noqa: RUF012

    def __init__(self) -> None:
        self.n_layer, self.width, self.act, self.impl, self.kinds = 2, 8, "gelu", "eager", ["full", "local"]
        for i in range(50):
            setattr(self, f"option_{i}", i)

    def __getattribute__(self, key: str) -> Any:
        known = super().__getattribute__("attribute_map")
        return super().__getattribute__(known.get(key, key))


@dataclasses.dataclass
class Output(collections.OrderedDict[str, Any]):
    logits: Any = None

    def __post_init__(self) -> None:
        self["logits"] = self.logits


class Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.pruned = config, set[int]()
        self.q, self.k, self.v = (nn.Linear(config.width, config.width) for _ in range(3))

    def forward(self, x: Any) -> Any:
        q, k, v = (getattr(self, name)(x) for name in ("q", "k", "v"))
        return getattr(self, "attend_" + self.config.impl)(q, k, v)

    def attend_eager(self, q: Any, k: Any, v: Any) -> Any:
        return F.softmax(q @ k.transpose(-1, -2), dim=-1) @ v


class Model(nn.Module):
    tied = {"head.weight"}  # noqa: RUF012

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        for i in range(config.num_layers):  # type: ignore[attr-defined]
            setattr(self, f"block_{i}", Attention(config))
        self.head, self.act = nn.Linear(config.width, 3), ACTIVATIONS[config.act]

    def forward(self, x: Any, family: str = "first") -> Output:
        for i in range(self.config.num_layers):  # type: ignore[attr-defined]
            out = getattr(self, f"block_{i}")(x)
            x = x + out if "residual" in SWITCHES else out
        if getattr(self, "checkpointing", False) or hasattr(self.config, "extra"):
            logger.warning("not used here")
        if family not in FAMILIES:
            raise ValueError(LAZY[0].message)
        return Output(self.head(ACTIVATIONS["leaky"](self.act(x))))


@pytest.fixture
def step() -> Any:
    torch.manual_seed(0)
    model = Model(Config())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    @torch.jit
    def update(x: Any) -> Any:
        loss = model(x).logits.pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    update.function.model = model
    return update


def test_one_compile_and_nothing_is_made(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.ones(2, 4, 8)
    losses = [step(x).item()]
    count = MADE.qsize()
    losses.append(step(x).item())  # the slow way once: the trace made modules
    monkeypatch.setattr(Outside, "changes", lambda self: pytest.fail("compared the slow way"))
    losses += [step(x).item() for _ in range(48)]
    assert step.stats.compiles == 1 and MADE.qsize() == count
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("change", [
    lambda m: setattr(m.config, "n_layer", 1), lambda m: SWITCHES.discard("residual"),
    lambda m: setattr(m, "checkpointing", True), lambda m: setattr(m.act, "approximate", "tanh"),
    lambda m: dict.update(ACTIVATIONS, leaky=(nn.LeakyReLU, {"negative_slope": 0.5})),
    lambda m: dict.__getitem__(ACTIVATIONS, "leaky")[1].update(negative_slope=0.3),
    lambda m: setattr(m, "block_1", Attention(m.config)), lambda m: setattr(m.config, "extra", 1)])
def test_a_change_is_seen(step: Any, change: Any) -> None:
    x, model = torch.ones(2, 4, 8), step.function.model
    forward = torch.jit(lambda x: model(x).logits)
    forward(x)
    try:
        change(model)
        np.testing.assert_allclose(forward(x).detach().numpy(), model(x).logits.detach().numpy(), rtol=1e-5)
        assert forward.stats.compiles == 2
        forward(x)
        assert forward.stats.compiles == 2
    finally:
        SWITCHES.add("residual")
        dict.update(ACTIVATIONS, leaky=(nn.LeakyReLU, {"negative_slope": 0.1}))
