"""What is measured: how large, on which numbers, and which peers there are."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]
GPT_FILE = Path(__file__).parent.parent / "flambeau" / "demo" / "gpt.py"  # found without importing flambeau
Batch = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
Train = Callable[[Any, Any], Any]  # one training step: takes a batch, gives the loss


@dataclass(frozen=True)
class GptSize:
    """The demo's GPT and its batch."""

    vocabulary: int = 103  # characters in the demo's text
    window: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    batch: int = 16

    def batches(self, count: int, seed: int) -> list[Batch]:
        """Random tokens, and targets that can only partly be learned from them: losses stay away from zero."""
        rng = np.random.default_rng(seed)
        tokens = [rng.integers(0, self.vocabulary, (self.batch, self.window)) for _ in range(count)]
        return [(x, (x + rng.integers(1, 4, x.shape)) % self.vocabulary) for x in tokens]


@dataclass(frozen=True)
class MlpSize:
    """A multi-layer perceptron with ReLU and its batch."""

    widths: tuple[int, ...] = (784, 512, 512, 10)
    batch: int = 128

    def batches(self, count: int, seed: int) -> list[Batch]:
        """Random inputs; a fifth of the labels is noise, so that losses stay away from zero."""
        rng = np.random.default_rng(seed)
        made = []
        for _ in range(count):
            x = rng.standard_normal((self.batch, self.widths[0]), np.float32)
            label = x[:, :self.widths[-1]].argmax(1)
            noise = rng.integers(0, self.widths[-1], self.batch)
            made.append((x, np.where(rng.random(self.batch) < 0.2, noise, label)))
        return made


@dataclass(frozen=True)
class Settings:
    """How much is run."""

    rounds: int = 7
    slow_rounds: int = 3  # of benchmarks whose round takes many seconds
    slow_peers: bool = False  # torch.compile takes minutes
    warm_up: bool = True  # an uncounted first round of process starts fills page caches and caches on disk
    ops: int = 200  # recorded between two clearings; far from where lazy mode cuts a long loop
    batches: int = 10
    parameters: tuple[int, ...] = (10, 100, 400)
    calls: int = 100
    steps: int = 20
    rows: int = 20_000
    lookups: int = 4096
    gpt: GptSize = field(default_factory=GptSize)
    mlp: MlpSize = field(default_factory=MlpSize)


TINY = Settings(rounds=1, slow_rounds=1, warm_up=False, ops=4, batches=1, parameters=(5,), calls=2, steps=2, rows=20, lookups=8,
                gpt=GptSize(vocabulary=11, window=6, layers=1, heads=2, width=8, batch=2),
                mlp=MlpSize((12, 8, 8, 4), 6))


def installed(package: str) -> bool:
    """Whether a peer is there to be measured."""
    return importlib.util.find_spec(package) is not None


def peer(name: str) -> ModuleType:
    """A module of `benchmarks.peers`, loaded only when it is measured: it brings in the peer's whole package."""
    return importlib.import_module(f"benchmarks.peers.{name}")


# --- Models: one source for flambeau and PyTorch ----------------------------------------------------------------------


def gpt_model(torch: Any, size: GptSize, dropout: float) -> Any:
    """The demo's model file, run with `torch` in place of its `import flambeau as torch`."""
    return gpt_module(torch).GPT(size.vocabulary, size.window, size.layers, size.heads, size.width, dropout)


def gpt_module(torch: Any) -> ModuleType:
    """The demo's model file as a module on `torch`."""
    source = GPT_FILE.read_text(encoding="utf-8")
    line = "import flambeau as torch\n"
    if line not in source:
        raise ValueError(f"{GPT_FILE} requires the line {line.strip()!r}")
    module = ModuleType(f"gpt_on_{torch.__name__}")
    module.__dict__["torch"] = torch
    exec(compile(source.replace(line, "\n"), str(GPT_FILE), "exec"), module.__dict__)
    return module


def mlp_model(torch: Any, size: MlpSize) -> Any:
    """Linear layers with ReLU between them."""
    layers: list[Any] = []
    for a, b in zip(size.widths, size.widths[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def weights_of(model: Any) -> Arrays:
    """The model's parameters, by torch's names."""
    return {name: np.array(p.detach().numpy()) for name, p in model.named_parameters()}
