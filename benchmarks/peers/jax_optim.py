"""Adam, AdamW and clipping by hand, on pytrees."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class AdamState(NamedTuple):
    """The number of steps taken and the running means."""

    taken: jax.Array
    m: Any
    v: Any


def adam_init(p: Any) -> AdamState:
    """Zeros; every leaf in memory of its own, so that it can be donated."""
    return AdamState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p))


def clip_by_norm(gradients: Any, limit: float) -> Any:
    """Gradients scaled so that their norm, all taken as one vector, is at most `limit`."""
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradients)))
    factor = jnp.minimum(limit / (norm + 1e-6), 1.0)
    return jax.tree.map(lambda g: g * factor, gradients)


def adamw(p: Any, gradients: Any, state: AdamState, lr: Any, betas: tuple[float, float] = (0.9, 0.999),
          eps: float = 1e-8, weight_decay: float = 0.0) -> tuple[Any, AdamState]:
    """One step of AdamW; of Adam without weight decay. Source: https://arxiv.org/abs/1711.05101"""
    b1, b2 = betas
    count = state.taken + 1
    m = jax.tree.map(lambda m, g: m + (1 - b1) * (g - m), state.m, gradients)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.v, gradients)
    c1, c2 = 1 - b1 ** count, jnp.sqrt(1 - b2 ** count)
    shrink = 1 - lr * weight_decay if weight_decay else 1.0
    p = jax.tree.map(lambda p, m, v: p * shrink - lr / c1 * m / (jnp.sqrt(v) / c2 + eps), p, m, v)
    return p, AdamState(count, m, v)
