"""Three models in plain PyTorch style, written for whichever `torch` they are given."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import flambeau.demo


def gpt_module(torch: ModuleType) -> ModuleType:
    """The demo's model file, with `torch` in place of its `import flambeau as torch`."""
    path = Path(flambeau.demo.__path__[0]) / "gpt.py"
    source = path.read_text().replace("import flambeau as torch\n", "\n")
    spec = importlib.util.spec_from_loader(f"gpt_on_{torch.__name__}", loader=None)
    module = importlib.util.module_from_spec(spec)
    module.__dict__["torch"] = torch
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def mlp(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 5))


def cnn(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(6, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 5))


def gpt(torch: Any) -> Any:
    return gpt_module(torch).GPT(23, window=12, layers=2, heads=2, width=16, dropout=0.0)


def batches(name: str, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random inputs, and targets that can be learned from them."""
    rng = np.random.default_rng(0)
    if name == "gpt":
        tokens = [rng.integers(0, 23, (4, 12)) for _ in range(count)]
        return [(x, (x + 1) % 23) for x in tokens]
    shape = (16, 20) if name == "mlp" else (8, 1, 8, 8)
    inputs = [rng.standard_normal(shape).astype(np.float32) for _ in range(count)]
    return [(x, x.reshape(len(x), -1)[:, :5].argmax(1)) for x in inputs]


MODELS = {"mlp": mlp, "cnn": cnn, "gpt": gpt}


def loss_function(torch: Any, name: str) -> Any:
    def loss(model: Any, x: Any, y: Any) -> Any:
        out = model(x)
        if name == "gpt":
            out, y = out.view(-1, out.shape[-1]), y.view(-1)
        return torch.nn.functional.cross_entropy(out, y)

    return loss


def optimizer_of(torch: Any, name: str, model: Any) -> Any:
    if name == "cnn":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    return (torch.optim.AdamW if name == "gpt" else torch.optim.Adam)(model.parameters(), lr=3e-3)
