"""What guards cost a model as large libraries write them, beside the same model written plainly."""

from __future__ import annotations

import collections
import logging
from collections.abc import Iterator
from typing import Any

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F

from .timing import OURS, Contender, Goal, Row, interleaved, timed
from .work import Settings

WIDTH, LAYERS = 32, 4
SWITCHES = {"residual"}
logger = logging.getLogger(__name__)


class NewLayers(collections.OrderedDict[str, Any]):
    """A table that makes a new object at each reading."""

    def __getitem__(self, key: str) -> Any:
        kind, options = super().__getitem__(key)
        return kind(**options)


ACTIVATIONS = NewLayers(gelu=(nn.GELU, {}), leaky=(nn.LeakyReLU, {"negative_slope": 0.1}))


class Config:
    """Many options, and other names for some of them."""

    names = {"num_layers": "n_layer"}  # noqa: RUF012

    def __init__(self) -> None:
        self.n_layer, self.act, self.impl = LAYERS, "gelu", "eager"
        for i in range(60):
            setattr(self, f"option_{i}", i)

    def __getattribute__(self, key: str) -> Any:
        known = super().__getattribute__("names")
        return super().__getattribute__(known.get(key, key))


class ForeignAttention(nn.Module):
    """Its parts are found by names that are put together."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.pruned = config, set[int]()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.norm, self.act = nn.LayerNorm(WIDTH), ACTIVATIONS[config.act]

    def forward(self, x: Any) -> Any:
        y = self.norm(x)
        q, k, v = (getattr(self, name)(y) for name in "qkv")
        out = self.act(self.o(getattr(self, "attend_" + self.config.impl)(q, k, v)))
        return x + out if "residual" in SWITCHES else out

    def attend_eager(self, q: Any, k: Any, v: Any) -> Any:
        return F.softmax(q @ k.transpose(-1, -2), dim=-1) @ v


class Foreign(nn.Module):
    """Computed names, a table that makes objects, a logger, optional attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.config = Config()
        for i in range(self.config.num_layers):  # type: ignore[attr-defined]
            setattr(self, f"block_{i}", ForeignAttention(self.config))

    def forward(self, x: Any) -> Any:
        for i in range(self.config.num_layers):  # type: ignore[attr-defined]
            x = getattr(self, f"block_{i}")(x)
        if getattr(self, "checkpointing", False) or hasattr(self.config, "extra"):
            logger.warning("not used here")
        return ACTIVATIONS["leaky"](x)


class PlainAttention(nn.Module):
    """The same arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.norm, self.act = nn.LayerNorm(WIDTH), nn.GELU()

    def forward(self, x: Any) -> Any:
        y = self.norm(x)
        q, k, v = self.q(y), self.k(y), self.v(y)
        return x + self.act(self.o(F.softmax(q @ k.transpose(-1, -2), dim=-1) @ v))


class Plain(nn.Module):
    """The same arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.act = nn.ModuleList(PlainAttention() for _ in range(LAYERS)), nn.LeakyReLU(0.1)

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.act(x)


def foreign(settings: Settings) -> Iterator[Row]:
    """Microseconds of a training step."""
    contenders = {name: _training(model, settings.calls) for name, model in ((OURS, Foreign()), ("plain", Plain()))}
    samples = interleaved(contenders, settings.rounds)
    yield Row("foreign", f"a step of {LAYERS} layers as large libraries write them", "us", samples, Goal(1.3, "plain"))


def _training(model: nn.Module, calls: int) -> Contender:
    optimizer, x = torch.optim.SGD(model.parameters(), lr=1e-3), torch.ones(2, 4, WIDTH)

    @torch.jit
    def step(x: Any) -> Any:
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def batch() -> None:
        for _ in range(calls):
            step(x)
        torch.synchronize()

    return lambda: timed(batch, calls)
