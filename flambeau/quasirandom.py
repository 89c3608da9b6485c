"""`torch.quasirandom`: https://pytorch.org/docs/stable/generated/torch.quasirandom.SobolEngine.html"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import qmc

from .tracer.functions.creation import from_numpy
from .tracer.functions.defaults import Defaults
from .tracer.functions.methods import into
from .tracer.functions.random import randint
from .tracer.ir.dtypes import dtype
from .tracer.tensor.tensor import Tensor


class SobolEngine:
    """Points that fill the unit cube evenly, one after the other: a Sobol sequence.

    Args: `dimension`, up to 21201; `scramble`, whether it begins somewhere by chance, which keeps the points as even;
    `seed`, of that chance. Raises ValueError for other dimensions.

    >>> SobolEngine(2).draw(3)
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [0.7500, 0.2500]])

    Source: Joe, Kuo: "Constructing Sobol sequences with better two-dimensional projections",
    https://doi.org/10.1137/070709359
    """

    MAXBIT, MAXDIM = 30, 21201

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]")
        self.dimension, self.scramble, self.seed, self.num_generated = dimension, scramble, seed, 0
        chance = int(randint(2**31 - 1, ())) if scramble and seed is None else seed
        self._engine = qmc.Sobol(dimension, scramble=scramble, bits=self.MAXBIT, rng=chance)

    def draw(self, n: int = 1, out: Tensor | None = None, dtype: dtype | None = None) -> Tensor:
        """The next `n` points, as rows."""
        kind = dtype or Defaults.dtype
        points = np.empty((0, self.dimension)) if n == 0 else np.concatenate([self._engine.random(1) for _ in range(n)])
        self.num_generated += n
        return into(out, from_numpy(points).to(kind))

    def draw_base2(self, m: int, out: Tensor | None = None, dtype: dtype | None = None) -> Tensor:
        """The next 2^m points; ValueError where the points so far would not be a power of two, and so not even."""
        total = self.num_generated + 2**m
        if total & (total - 1):
            raise ValueError("The balance properties of Sobol' points require n to be a power of 2. "
                             f"{self.num_generated} points have been previously generated, then: "
                             f"n={self.num_generated}+2**{m}={total}. If you still want to do this, please use "
                             "'SobolEngine.draw()' instead.")
        return self.draw(2**m, out=out, dtype=dtype)

    def reset(self) -> SobolEngine:
        """Begin anew."""
        self._engine.reset()
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out `n` points."""
        self._engine.fast_forward(n)
        self.num_generated += n
        return self

    def __repr__(self) -> str:
        given = [f"dimension={self.dimension}"]
        if self.scramble:
            given += ["scramble=True"]
        if self.seed is not None:
            given += [f"seed={self.seed}"]
        return f"{type(self).__name__}({', '.join(given)})"


__all__: list[Any] = ["SobolEngine"]
