"""The demo's GPT and its whole training step, as one writes them by hand in JAX.

Parameters are one dict of arrays, named as torch names them; dense weights are stored (in, out), which is what JAX
users do and what `from_torch` makes of torch's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..timing import timed
from ..work import Arrays, Batch, GptSize, Train
from .jax_optim import AdamState, adam_init, adamw, clip_by_norm

Params = dict[str, jax.Array]
EMBEDDINGS = ("tokens.weight", "positions.weight")


def from_torch(weights: Arrays) -> Params:
    """Torch's parameters, dense weights transposed."""
    return {name: jnp.array(w.T if w.ndim == 2 and name not in EMBEDDINGS else w) for name, w in weights.items()}


def initial(size: GptSize, seed: int = 0) -> Params:
    """Parameters drawn as the demo's model draws them."""
    rng = np.random.default_rng(seed)
    C = size.width
    shapes = {"tokens.weight": (size.vocabulary, C), "positions.weight": (size.window, C),
              "norm.weight": (C,), "norm.bias": (C,), "head.weight": (C, size.vocabulary)}
    for i in range(size.layers):
        at = f"blocks.{i}."
        shapes |= {at + "norm1.weight": (C,), at + "norm1.bias": (C,), at + "norm2.weight": (C,), at + "norm2.bias": (C,),
                   at + "attention.qkv.weight": (C, 3 * C), at + "attention.qkv.bias": (3 * C,),
                   at + "attention.proj.weight": (C, C), at + "attention.proj.bias": (C,),
                   at + "mlp.0.weight": (C, 4 * C), at + "mlp.0.bias": (4 * C,),
                   at + "mlp.2.weight": (4 * C, C), at + "mlp.2.bias": (C,)}

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        if len(shape) == 2:
            return rng.normal(0.0, 0.02, shape)
        return np.ones(shape) if name.endswith("weight") else np.zeros(shape)

    return {name: jnp.array(draw(name, shape), jnp.float32) for name, shape in shapes.items()}


# --- The model --------------------------------------------------------------------------------------------------------


def dense(p: Params, name: str, x: jax.Array) -> jax.Array:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def layer_norm(p: Params, name: str, x: jax.Array) -> jax.Array:
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def dropout(x: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    if rate == 0.0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1.0 - rate, x.shape), x / (1.0 - rate), 0.0)


def attention(p: Params, at: str, x: jax.Array, heads: int, rate: float, keys: jax.Array) -> jax.Array:
    B, T, C = x.shape
    q, k, v = (y.reshape(B, T, heads, C // heads).transpose(0, 2, 1, 3)        # (B, H, T, D) each
               for y in jnp.split(dense(p, f"{at}.qkv", x), 3, axis=-1))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(C // heads).astype(np.float32)   # (B, H, T, T)
    scores = jnp.where(jnp.tril(jnp.ones((T, T), bool)), scores, -jnp.inf)
    y = dropout(jax.nn.softmax(scores), rate, keys[0]) @ v                     # (B, H, T, D)
    y = y.transpose(0, 2, 1, 3).reshape(B, T, C)                               # (B, T, C)
    return dropout(dense(p, f"{at}.proj", y), rate, keys[1])


def logits(p: Params, tokens: jax.Array, size: GptSize, rate: float, key: jax.Array) -> jax.Array:
    """Next-character logits, (B, T, V)."""
    keys = jax.random.split(key, 1 + 3 * size.layers)
    x = p["tokens.weight"][tokens] + p["positions.weight"][jnp.arange(tokens.shape[1])]
    x = dropout(x, rate, keys[0])                                              # (B, T, C)
    for i in range(size.layers):
        at, mine = f"blocks.{i}", keys[1 + 3 * i:4 + 3 * i]
        x = x + attention(p, f"{at}.attention", layer_norm(p, f"{at}.norm1", x), size.heads, rate, mine)
        y = jax.nn.gelu(dense(p, f"{at}.mlp.0", layer_norm(p, f"{at}.norm2", x)), approximate=False)
        x = x + dropout(dense(p, f"{at}.mlp.2", y), rate, mine[2])
    return layer_norm(p, "norm", x) @ p["head.weight"]


def loss_of(p: Params, tokens: jax.Array, targets: jax.Array, size: GptSize, rate: float, key: jax.Array) -> jax.Array:
    """The mean cross entropy in nats."""
    logs = jax.nn.log_softmax(logits(p, tokens, size, rate, key))
    return -jnp.take_along_axis(logs, targets[..., None], axis=-1).mean()


# --- The step ---------------------------------------------------------------------------------------------------------


def step(size: GptSize, rate: float, p: Params, state: AdamState, key: jax.Array, lr: jax.Array, tokens: jax.Array,
         targets: jax.Array) -> tuple[Params, AdamState, jax.Array, jax.Array]:
    """Forward, backward, clipping to norm 1 and AdamW as the demo sets it."""
    key, now = jax.random.split(key)
    loss, gradients = jax.value_and_grad(loss_of)(p, tokens, targets, size, rate, now)
    p, state = adamw(p, clip_by_norm(gradients, 1.0), state, lr, betas=(0.9, 0.99), weight_decay=0.1)
    return p, state, key, loss


def new_step(size: GptSize, rate: float) -> Any:
    """The step, jitted, with parameters, optimizer state and key donated; a function that jax has not seen before."""
    return jax.jit(partial(step, size, rate), donate_argnums=(0, 1, 2))


def trace_and_lower(size: GptSize, rate: float, batch: Batch, cold: bool) -> float:
    """Seconds from a function that jax has not seen to its module; `cold` empties jax's caches before."""
    p = initial(size)
    arguments = p, adam_init(p), jax.random.key(0), 1e-3, *batch
    if cold:
        jax.clear_caches()  # type: ignore[no-untyped-call]
    return timed(lambda: new_step(size, rate).trace(*arguments).lower())


def trainer(size: GptSize, rate: float, weights: Arrays | None, lr: float) -> Train:
    """`train(tokens, targets)` takes a step and returns the loss."""
    jitted = new_step(size, rate)
    p = initial(size) if weights is None else from_torch(weights)
    held = p, adam_init(p), jax.random.key(0)

    def train(tokens: Any, targets: Any) -> Any:
        nonlocal held
        *held, loss = jitted(*held, lr, tokens, targets)
        return loss

    return train
