"""What hooks of ours write, what a `Function` kept, whose memory an argument is on: the same at each call, and one program."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn


@pytest.mark.parametrize("name", ["cudnn", "cuda", "mps", "mkl", "mkldnn", "openmp", "cpu", "opt_einsum", "nnpack", "quantized"])
def test_switches_are_modules(name: str) -> None:
    assert importlib.util.find_spec(f"flambeau.backends.{name}") is not None
    assert importlib.import_module(f"flambeau.backends.{name}") is getattr(torch.backends, name)


class Kept(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, run: Any, *params: Any) -> Any:
        ctx.run, ctx.params = run, params
        ctx.save_for_backward(x, *params)
        return run(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, *saved = ctx.saved_tensors
        assert all(a is b for a, b in zip(saved, ctx.params)) and all(type(p) is nn.Parameter for p in saved)
        with torch.enable_grad():
            inner = x.detach().requires_grad_()
            y = ctx.run(inner)
        first, *others = torch.autograd.grad(y, (inner, *ctx.params), g, allow_unused=True)
        return first, None, *others


@pytest.mark.parametrize("wrap", [lambda f: f, torch.jit])
@pytest.mark.parametrize("inside", [False, True])
def test_a_context_gives_what_it_was_given(wrap: Callable[..., Any], inside: bool, numpy_engine: None) -> None:
    layer = nn.Linear(3, 2)

    def forward(x: Any) -> Any:
        loss = Kept.apply(x, layer, *layer.parameters()).sum()
        return loss.backward() if inside else loss

    step = wrap(forward)
    for _ in range(3):
        loss = step(torch.ones(4, 3))
        if not inside:
            loss.backward()
    assert layer.weight.grad.tolist() == [[12.0] * 3] * 2 and layer.bias.grad.tolist() == [12.0] * 2


HOOKED = {"pruned": lambda layer: nn.utils.prune.l1_unstructured(layer, "weight", amount=0.3),
          "weight norm": nn.utils.weight_norm, "spectral norm": nn.utils.spectral_norm}


@pytest.mark.parametrize("name", HOOKED)
def test_weights_of_hooks(name: str, numpy_engine: None) -> None:
    layer = HOOKED[name](nn.Linear(3, 2))
    step = torch.jit(layer, max_compiles=1)
    for _ in range(3):
        y = step(torch.ones(1, 3))
        assert np.allclose(y.detach().numpy(), (torch.ones(1, 3) @ layer.weight.T + layer.bias).detach().numpy())
        layer(torch.ones(1, 3))  # whose weight has a history


@pytest.mark.parametrize("made", [lambda: torch.from_numpy(np.ones(3, "f4")), lambda: torch.ones(3, requires_grad=True).detach()])
def test_arguments_on_memory_of_others(made: Callable[[], Any], numpy_engine: None) -> None:
    kept: dict[str, Any] = {}

    def put(x: Any) -> Any:
        kept["a"] = x * 2
        return x + 1

    step = torch.jit(put, max_compiles=1)
    for _ in range(3):
        step(made())
        assert kept["a"].tolist() == [2.0] * 3


class Momentum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.n = nn.Linear(3, 2), 0

    def forward(self, x: Any) -> Any:
        with torch.no_grad():
            for p in self.layer.parameters():
                p.data = p.data * 0.5
        self.n += 1
        return self.layer(x)


def test_data_assigned_beside_a_counter(numpy_engine: None) -> None:
    model = Momentum()
    first = model.layer.weight.tolist()[0][0]
    step = torch.jit(model, max_compiles=1)
    for _ in range(4):
        step(torch.ones(1, 3))
    assert model.n == 4 and np.isclose(model.layer.weight.tolist()[0][0], first / 16)


def test_channels_last_of_one_channel() -> None:
    assert torch.ones(4, 1, 3, 3).to(memory_format=torch.channels_last).stride() == (9, 1, 3, 1)
