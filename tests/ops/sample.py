"""One row of the samples table: how to call a primitive, and what torch says it should give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """`op` applied to `arrays` with `params`.

    `torch(torch_module, *torch_tensors)` is the oracle of the reference rule (None where torch has no such function).
    `gradient` lists the operands to differentiate; `tolerance` is relative, of the comparisons in float32.
    `xla` is False for the few that XLA:CPU cannot say (float8 arithmetic, say); give the reason in `note`.
    """

    op: str
    arrays: Sequence[Any] = ()
    params: dict[str, Any] = field(default_factory=dict)
    torch: Callable[..., Any] | None = None
    gradient: Sequence[int] = ()
    tolerance: float = 2e-5
    batch: bool = True
    xla: bool = True
    second_order: bool = True
    note: str = ""

    def __str__(self) -> str:
        shapes = ",".join(f"{np.asarray(a).dtype}{list(np.shape(a))}" for a in self.arrays)
        return f"{self.op}({shapes}){self.note}"


@dataclass(frozen=True)
class BadSample:
    """`op` applied to operands it must refuse, with words of the message."""

    op: str
    arrays: Sequence[Any]
    params: dict[str, Any]
    message: str

    def __str__(self) -> str:
        return f"{self.op}: {self.message}"


def reals(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0, dtype: Any = np.float32) -> np.ndarray:
    """Uniform random numbers, the same for the same arguments."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape).astype(dtype)


def complexes(*shape: int, seed: int = 0) -> np.ndarray:
    """Uniform random complex64 numbers."""
    return (reals(*shape, seed=seed) + 1j * reals(*shape, seed=seed + 1)).astype(np.complex64)


def integers(*shape: int, seed: int = 0, low: int = -5, high: int = 6, dtype: Any = np.int64) -> np.ndarray:
    """Uniform random integers of [low, high)."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(dtype)


def distinct(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers no two of which are close, for ops with kinks at equality."""
    count = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(count).reshape(shape) * 0.37 - count * 0.15).astype(np.float32)
