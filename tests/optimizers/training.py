"""Research optimizers' sources, run with either library as `torch`, and what they train."""

from pathlib import Path

import numpy as np
import pytest

from .. import libraries

torch = pytest.importorskip("torch")

STEPS = 50
SOURCES = Path(__file__).parent / "sources"


def load(lib, file, name):
    """A class from a source that says `import torch`, run with `lib` as that."""
    return getattr(libraries.load(lib, SOURCES / f"{file}.py"), name)


class Training:
    """A small network, its optimizer, and a step of the two."""

    def __init__(self, lib, make):
        random = np.random.default_rng(0)
        self.lib = lib
        self.params = [lib.tensor(np.asarray(random.normal(size=s) / 2, "f")).requires_grad_() for s in ((4, 6), (6,), (6, 2))]
        self.optimizer = make(lib, self.params)

    def loss(self, x, y):
        first, bias, last = self.params
        return (((x @ first + bias).tanh() @ last - y) ** 2).mean()

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss

    def sharp_step(self, x, y):
        self.loss(x, y).backward()
        self.optimizer.first_step(zero_grad=True)
        self.loss(x, y).backward()
        self.optimizer.second_step(zero_grad=True)

    def closing_step(self, x, y):
        def closure():
            loss = self.loss(x, y)
            loss.backward()
            return loss

        closure()
        self.optimizer.step(closure)
        self.optimizer.zero_grad()

    def measure(self, x, y):
        self.optimizer.zero_grad()
        self.loss(x, y).backward()
        self.optimizer.update_hessian()

    def batches(self, steps=STEPS):
        random = np.random.default_rng(1)
        for _ in range(steps):
            x = np.asarray(random.normal(size=(8, 4)), "f")
            yield [self.lib.tensor(a) for a in (x, np.asarray(np.sin(x[:, :2]) + x[:, 2:], "f"))]


def close(ours, theirs, tolerance=2e-4):
    for a, b in zip(ours.params, theirs.params, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)
    first = Training(torch, lambda lib, params: None)
    assert any(not np.allclose(a.detach(), b.detach(), atol=1e-3) for a, b in zip(first.params, theirs.params, strict=True))


def of(file, name, **options):
    return lambda lib, params: load(lib, file, name)(params, **options)


def in_groups(file, name, **options):
    return lambda lib, params: load(lib, file, name)([{"params": params[:2]}, {"params": params[2:], "lr": 0.004}], **options)


def sharp(base, **options):
    return lambda lib, params: load(lib, "sam", "SAM")(params, getattr(lib.optim, base), **options)
