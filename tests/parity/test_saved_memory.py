"""Between a loss and its backward no more bytes are held than PyTorch's graph saves for the same code."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

oracle = pytest.importorskip("torch")

import flambeau  # noqa: E402
from flambeau.runtime import devices  # noqa: E402
from flambeau.tracer.backend import backend  # noqa: E402

BATCH, WIDTH = 64, 96

ACTIVATIONS = ["relu", "tanh", "sigmoid", "gelu", "silu", "mish", "softplus", "elu", "selu", "hardswish", "hardsigmoid",
               "hardtanh", "leaky_relu", "logsigmoid", "softsign", "relu6", "celu", "tanhshrink"]


def perceptron(t: Any, between: Callable[[Any], Any]) -> Any:
    linear = t.nn.Linear
    layers = [linear(WIDTH, WIDTH), linear(WIDTH, WIDTH), linear(WIDTH, WIDTH)]

    def forward(x: Any) -> Any:
        for layer in layers[:-1]:
            x = between(layer(x))
        return layers[-1](x).square().mean()

    return forward


def with_norm(t: Any) -> Any:
    norm = t.nn.LayerNorm(WIDTH)
    return perceptron(t, lambda x: t.nn.functional.gelu(norm(x)))


def with_dropout(t: Any) -> Any:
    return perceptron(t, lambda x: t.nn.functional.dropout(t.nn.functional.relu(x), 0.3))


def with_softmax(t: Any) -> Any:
    return perceptron(t, lambda x: t.softmax(x * 2, -1))


def with_residuals(t: Any) -> Any:
    norm = t.nn.LayerNorm(WIDTH)
    return perceptron(t, lambda x: x + t.nn.functional.gelu(norm(x), approximate="tanh"))


def classifier(t: Any) -> Any:
    layer = t.nn.Linear(WIDTH, WIDTH)
    labels = t.arange(BATCH) % WIDTH
    return lambda x: t.nn.functional.cross_entropy(layer(t.nn.functional.log_softmax(layer(x), -1)), labels)


def convolutions(t: Any) -> Any:
    first, norm, second = t.nn.Conv2d(3, 8, 3, padding=1), t.nn.BatchNorm2d(8), t.nn.Conv2d(8, 8, 3, padding=1)

    def forward(x: Any) -> Any:
        x = t.nn.functional.relu(norm(first(x[:, :48].reshape(BATCH, 3, 4, 4))))
        return second(t.nn.functional.silu(norm(second(x)))).square().mean()

    return forward


def pooled(t: Any) -> Any:
    first, norm, second = t.nn.Conv2d(3, 8, 3, padding=1), t.nn.BatchNorm2d(8), t.nn.Linear(32, 5)

    def forward(x: Any) -> Any:
        x = t.nn.functional.relu(norm(first(x[:, :48].reshape(BATCH, 3, 4, 4))))
        return second(t.nn.functional.max_pool2d(x, 2).flatten(1)).square().mean()

    return forward


def attention(t: Any) -> Any:
    qkv, out = t.nn.Linear(12, 36), t.nn.Linear(12, 12)

    def forward(x: Any) -> Any:
        q, k, v = qkv(x.reshape(BATCH, 8, 12)).chunk(3, -1)
        scores = (q @ k.transpose(-1, -2) * 0.3).softmax(-1)
        return out(t.nn.functional.dropout(scores, 0.1) @ v).square().mean()

    return forward


def mixed(t: Any) -> Any:
    scale = t.nn.Linear(WIDTH, WIDTH)

    def forward(x: Any) -> Any:
        a, b = scale(x).chunk(2, -1)
        y = (a * t.sigmoid(b) + a.exp().clamp(max=3.0)).sqrt().nan_to_num()
        return t.nn.functional.huber_loss(y, t.zeros(BATCH, WIDTH // 2)) + t.cat([a, b], 0).pow(3).mean()

    return forward


NETS: dict[str, Callable[[Any], Any]] = {
    **{name: lambda t, name=name: perceptron(t, getattr(t.nn.functional, name)) for name in ACTIVATIONS},
    "gelu_tanh": lambda t: perceptron(t, lambda x: t.nn.functional.gelu(x, approximate="tanh")),
    "layer_norm": with_norm, "dropout": with_dropout, "softmax": with_softmax, "residuals": with_residuals,
    "classifier": classifier, "convolutions": convolutions, "pooled": pooled, "attention": attention, "mixed": mixed}


def held() -> int:
    """The bytes of all buffers of the device."""
    flambeau.synchronize()
    gc.collect()
    return sum(backend().download(buffer).nbytes for buffer in devices.client("cpu").raw.live_buffers())


def ours(make: Callable[[Any], Any]) -> tuple[int, int]:
    """The bytes that are held between loss and backward, and after it, when the model is gone as well."""
    flambeau.manual_seed(0)
    x = flambeau.rand(BATCH, WIDTH)
    start = held()
    loss_of = make(flambeau)
    before = held()
    loss = loss_of(x)
    loss.item()
    between = held()
    loss.backward()
    del loss_of, loss
    return between - before, held() - start


def theirs(make: Callable[[Any], Any]) -> int:
    """The bytes that torch's graph saves, of which parameters and the input are none."""
    loss_of, x = make(oracle), oracle.rand(BATCH, WIDTH)
    saved: dict[int, Any] = {}

    def note(tensor: Any) -> Any:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with oracle.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = loss_of(x)
    saved.pop(x.untyped_storage().data_ptr(), None)
    assert loss.requires_grad
    return sum(t.untyped_storage().nbytes() for t in saved.values() if not isinstance(t, oracle.nn.Parameter))


SLACK = 4 * 1024  # the loss itself, statistics and the state of the generator: small, and kept in other shapes


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[int, int]]:
    """Those of all nets, from a process of its own: what other tests leave, and let go of meanwhile, is no part of it."""
    text = ("import json\nfrom tests.parity.test_saved_memory import NETS, ours\n"
            "print(json.dumps({name: ours(make) for name, make in NETS.items()}))")
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=600)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, tuple[int, int]] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", NETS)
def test_no_more_is_held_than_in_pytorch(measured: dict[str, tuple[int, int]], name: str) -> None:
    between, after = measured[name]
    assert after <= 64  # places of slices, numbers of eight bytes, which are kept for the next time
    assert 0 < between <= theirs(NETS[name]) + SLACK
