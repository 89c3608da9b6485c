"""Rows of `foreign_call`, with functions of JAX."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from flambeau.runtime.jax_call import JaxFunction

from ..sample import Sample, reals


def _two(x: Any, y: Any) -> list[Any]:
    return [jnp.tanh(x @ y), jnp.sin(y)]


SAMPLES = [
    Sample("foreign_call", [reals(3, 4), reals(4)], {"function": JaxFunction(_two, "two")},
           lambda t, x, y: ((x @ y).tanh(), y.sin()), [0, 1]),
]
BAD = []
