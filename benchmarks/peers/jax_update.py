"""p -= 0.1 * x for a list of parameters in JAX, the list donated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..calling import gradient, initial


def jax_update(count: int, side: int) -> tuple[Callable[[], object], Callable[[], list[np.ndarray[Any, Any]]]]:
    """A call that updates all parameters, and a wait that gives the first and the last of them."""
    held = [jnp.array(p) for p in initial(count, side)]
    x = jnp.array(gradient(side))

    @partial(jax.jit, donate_argnums=0)
    def update(parameters: list[jax.Array], x: jax.Array) -> list[jax.Array]:
        return [p - 0.1 * x for p in parameters]

    def call() -> None:
        nonlocal held
        held = update(held, x)

    def wait() -> list[np.ndarray[Any, Any]]:
        jax.block_until_ready(held)  # type: ignore[no-untyped-call]
        return [np.array(held[0]), np.array(held[-1])]

    return call, wait
