"""One model source, built with both libraries from the same weights, and what is compared of the two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau

from ..libraries import load

torch = pytest.importorskip("torch")

SOURCES = Path(__file__).parent / "sources"


def numbers(x: Any) -> Any:
    """Tensors as arrays, in whatever holds them."""
    if isinstance(x, (torch.Tensor, flambeau.Tensor)):
        return np.array(x.detach().numpy())
    if isinstance(x, dict):
        return {name: numbers(item) for name, item in x.items()}
    return [numbers(item) for item in x] if isinstance(x, (list, tuple)) else x


def leaves(x: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """All that lists and dicts hold, with where it is."""
    if not isinstance(x, (dict, list)):
        yield where, x
        return
    for name, item in x.items() if isinstance(x, dict) else enumerate(x):
        yield from leaves(item, f"{where} {name}")


def same(ours: Any, theirs: Any, tolerance: float) -> None:
    """Equal in structure, and in numbers up to the tolerance, which is also one of the greatest number of all."""
    mine, yours = dict(leaves(ours)), dict(leaves(theirs))
    assert list(mine) == list(yours)
    reals = {where: x for where, x in yours.items() if isinstance(x, np.ndarray) and x.dtype.kind in "fc"}
    greatest = max((np.abs(x[np.isfinite(x)]).max(initial=0) for x in reals.values()), default=0)
    for where, expected in yours.items():
        if where not in reals:
            np.testing.assert_equal(mine[where], expected, where)
            continue
        assert (mine[where].dtype, mine[where].shape) == (expected.dtype, expected.shape), where
        np.testing.assert_allclose(mine[where], expected, rtol=tolerance, atol=tolerance * greatest, err_msg=where)


@contextmanager
def default_dtype(name: str) -> Iterator[None]:
    """Both libraries make numbers of this dtype in this block."""
    before = torch.get_default_dtype(), flambeau.get_default_dtype()
    torch.set_default_dtype(getattr(torch, name))
    flambeau.set_default_dtype(getattr(flambeau, name))
    try:
        yield
    finally:
        torch.set_default_dtype(before[0])
        flambeau.set_default_dtype(before[1])


class Side:
    """A source with one library: its model, its optimizer or optimizers, its batches."""

    def __init__(self, lib: Any, name: str) -> None:
        self.lib, self.source = lib, load(lib, SOURCES / f"{name}.py")
        self.renew()

    def renew(self) -> None:
        """A model and optimizer with nothing of what was trained."""
        self.lib.manual_seed(0)
        self.model = self.source.build()
        self.optimizer = self.source.optimizer(self.model)
        self.optimizers = self.optimizer if isinstance(self.optimizer, tuple) else (self.optimizer,)

    def batch(self, seed: int) -> tuple[Any, ...]:
        """Inputs and targets, real ones in the default dtype."""
        kind = self.lib.get_default_dtype()
        return tuple(x.to(kind) if x.is_floating_point() else x for x in self.source.batch(seed))

    def evaluate(self, seed: int, train: bool) -> dict[str, Any]:
        """What the model gives for a batch, its loss, and in training the gradients and what the buffers are then."""
        outputs: list[Any] = []
        watch = self.model.register_forward_hook(lambda module, inputs, output: outputs.append(numbers(output)))
        self.model.train(train)
        self.model.zero_grad()
        with self.lib.set_grad_enabled(train):
            loss = self.source.loss(self.model, self.batch(seed))
        watch.remove()
        found = {"outputs": outputs, "loss": numbers(loss)}
        if train:
            loss.backward()
            found["gradients"] = {name: numbers(p.grad) for name, p in self.model.named_parameters()}
            found["buffers"] = {name: numbers(b) for name, b in self.model.named_buffers()}
        return found

    def train(self, steps: range, step: Any) -> list[float]:
        """The losses of these steps."""
        self.model.train()
        return [float(step(self.model, self.optimizer, self.batch(i)).item()) for i in steps]

    def save(self, path: Path) -> None:
        """All state, as people write checkpoints."""
        self.lib.save({"model": self.model.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers],
                       "epoch": 3}, path)

    def load(self, path: Path) -> None:
        """State from a file, by the library's default way of loading."""
        checkpoint = self.lib.load(path)
        assert checkpoint["epoch"] == 3
        self.model.load_state_dict(checkpoint["model"])
        for optimizer, state in zip(self.optimizers, checkpoint["optimizers"], strict=True):
            optimizer.load_state_dict(state)

    def state(self) -> dict[str, Any]:
        """Weights, buffers and the optimizers' state."""
        return {"model": numbers(dict(self.model.state_dict())),
                "optimizers": [numbers(o.state_dict()) for o in self.optimizers]}


def twins(name: str) -> tuple[Side, Side]:
    """Ours and torch's, with torch's weights in both."""
    ours, theirs = Side(flambeau, name), Side(torch, name)
    weights = {key: flambeau.from_numpy(value.numpy()) for key, value in theirs.model.state_dict().items()}
    assert list(weights) == list(ours.model.state_dict())
    ours.model.load_state_dict(weights)
    return ours, theirs
