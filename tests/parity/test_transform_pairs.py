"""Every two of grad, vmap, jvp, jit, checkpoint and cond, one around the other and the reverse, on parts of real models.

The oracle is `torch.func` on the same mathematics in plain torch; jit and checkpoint change no value there, and cond is
a choice between two results.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

oracle = pytest.importorskip("torch")

import flambeau  # noqa: E402
from flambeau import nn  # noqa: E402

from ..engines import on_numpy  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's own, in forward mode

Function = Callable[[Any], Any]

# --- Models: ours with layers, torch's with plain functions on the same weights ---------------------------------------


class Block(nn.Module):
    """A block of a GPT: attention and a perceptron, each after a norm, each added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(4), nn.LayerNorm(4)
        self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 4)
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:  # (T, 4), two heads of 2
        q, k, v = (part.unflatten(-1, (2, 2)).transpose(-3, -2) for part in self.qkv(self.first(x)).chunk(3, -1))
        heads = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(heads.transpose(-3, -2).flatten(-2))
        return x + self.down(nn.functional.gelu(self.up(self.second(x))))


def normed(x: Any) -> Any:
    """torch's own layer norm gives wrong second derivatives in forward mode: central differences agree with this one."""
    centred = x - x.mean(-1, keepdim=True)
    return centred * (centred.square().mean(-1, keepdim=True) + 1e-5).rsqrt()


def block(w: dict[str, Any], x: Any) -> Any:
    f = oracle.nn.functional
    y = normed(x) * w["first.weight"] + w["first.bias"]
    q, k, v = (part.unflatten(-1, (2, 2)).transpose(-3, -2)
               for part in f.linear(y, w["qkv.weight"], w["qkv.bias"]).chunk(3, -1))
    scores = q @ k.transpose(-1, -2) / 2**0.5
    hidden = oracle.ones(scores.shape[-2:], dtype=oracle.bool).triu(1)
    heads = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v
    x = x + f.linear(heads.transpose(-3, -2).flatten(-2), w["out.weight"], w["out.bias"])
    y = normed(x) * w["second.weight"] + w["second.bias"]
    return x + f.linear(f.gelu(f.linear(y, w["up.weight"], w["up.bias"])), w["down.weight"], w["down.bias"])


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 1)

    def forward(self, x: Any) -> Any:  # (2, 4, 4)
        y = nn.functional.silu(self.norm(self.conv(x.unsqueeze(0))))
        return self.last(nn.functional.avg_pool2d(y, 2)).squeeze(0)


def conv(w: dict[str, Any], x: Any) -> Any:
    f = oracle.nn.functional
    y = f.conv2d(x.unsqueeze(0), w["conv.weight"], w["conv.bias"], padding=1)
    y = f.silu(f.group_norm(y, 2, w["norm.weight"], w["norm.bias"]))
    return f.conv2d(f.avg_pool2d(y, 2), w["last.weight"], w["last.bias"]).squeeze(0)


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4)

    def forward(self, x: Any) -> Any:  # (T, 3)
        return self.lstm(x)[0]


def lstm(w: dict[str, Any], x: Any) -> Any:
    f, outputs = oracle.nn.functional, []
    h = c = x.new_zeros(4)
    for row in x.unbind(0):
        gates = (f.linear(row, w["lstm.weight_ih_l0"], w["lstm.bias_ih_l0"])
                 + f.linear(h, w["lstm.weight_hh_l0"], w["lstm.bias_hh_l0"]))
        i, forget, g, o = gates.chunk(4, -1)
        c = forget.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return oracle.stack(outputs)


MODELS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "GPT block": (Block, block, (3, 4)), "conv block": (Conv, conv, (2, 4, 4)), "LSTM": (Lstm, lstm, (3, 3))}

# --- Transforms: functions of x to functions of x ----------------------------------------------------------------------


def weighed(t: Any, y: Any) -> Any:
    """A scalar of which every element of y has another share."""
    return (y * t.arange(1, y.numel() + 1, dtype=t.float64).reshape(y.shape).cos()).sum()


TRANSFORMS: dict[str, Callable[[Any, Function], Function]] = {
    "grad": lambda t, f: t.func.grad(lambda x: weighed(t, f(x))),
    "vmap": lambda t, f: lambda x: t.vmap(f)(t.stack([x, -0.5 * x])),
    "jvp": lambda t, f: lambda x: t.func.jvp(f, (x,), (x.cos(),))[1],
    "jit": lambda t, f: t.jit(f) if t is flambeau else f,
    "checkpoint": lambda t, f: (lambda x: t.utils.checkpoint.checkpoint(f, x, use_reentrant=False)) if t is flambeau else f,
    "cond": lambda t, f: (lambda x: t.cond(x.sum() > 0, f, lambda x: 2 * f(x), (x,))) if t is flambeau else (
        lambda x: t.where(x.sum() > 0, f(x), 2 * f(x))),
}


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """XLA for what jit compiles; the numpy engine, which compiles nothing, for the many other programs."""
    with on_numpy("jit" not in request.node.callspec.params["pair"]):
        yield


@pytest.mark.parametrize("pair", list(itertools.product(TRANSFORMS, repeat=2)), ids=" of ".join)
@pytest.mark.parametrize("name", MODELS)
def test_pair(engine: None, name: str, pair: tuple[str, str]) -> None:
    make, plain, shape = MODELS[name]
    rng = np.random.default_rng(0)
    model = make().double()
    weights = {key: rng.standard_normal(tuple(p.shape)) for key, p in model.named_parameters()}
    model.load_state_dict({key: flambeau.tensor(w) for key, w in weights.items()})
    for p in model.parameters():
        p.requires_grad_(False)
    theirs = {key: oracle.tensor(w) for key, w in weights.items()}
    x = rng.standard_normal(shape)

    def composed(t: Any, f: Function) -> Function:
        outer, inner = (TRANSFORMS[n] for n in pair)
        return outer(t, inner(t, f))

    wanted = composed(oracle, lambda x: plain(theirs, x))(oracle.tensor(x))
    got = composed(flambeau, lambda x: model(x))(flambeau.tensor(x))
    np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy(), rtol=1e-7, atol=1e-9)
