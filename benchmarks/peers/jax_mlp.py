"""The perceptron and its whole training step with Adam, by hand in JAX."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ..work import Arrays, Train
from .jax_optim import AdamState, adam_init, adamw

Layers = list[tuple[jax.Array, jax.Array]]


def from_torch(weights: Arrays) -> Layers:
    """(weight (in, out), bias) per layer, from torch's parameters of an nn.Sequential."""
    names = [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]
    return [(jnp.array(weights[f"{n}.weight"].T), jnp.array(weights[f"{n}.bias"])) for n in names]


def loss_of(p: Layers, x: jax.Array, y: jax.Array) -> jax.Array:
    """The mean cross entropy in nats."""
    for w, b in p[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = p[-1]
    return -jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), y[:, None], axis=-1).mean()


@partial(jax.jit, donate_argnums=(0, 1))
def step(p: Layers, state: AdamState, lr: jax.Array, x: jax.Array,
         y: jax.Array) -> tuple[Layers, AdamState, jax.Array]:
    """Forward, backward and Adam."""
    loss, gradients = jax.value_and_grad(loss_of)(p, x, y)
    return *adamw(p, gradients, state, lr), loss  # without weight decay AdamW is Adam


def trainer(weights: Arrays, lr: float) -> Train:
    """`train(x, y)` takes a step and returns the loss."""
    p = from_torch(weights)
    held = p, adam_init(p)

    def train(x: Any, y: Any) -> Any:
        nonlocal held
        *held, loss = step(*held, lr, x, y)
        return loss

    return train
