"""The geometric distribution: https://pytorch.org/docs/stable/distributions.html#geometric"""

from __future__ import annotations

from typing import Any

from ..nn.functional import binary_cross_entropy_with_logits
from ..tracer.autograd.modes import no_grad
from ..tracer.functions.checks import check_told
from ..tracer.functions.choosing import clamp, where
from ..tracer.functions.creation import zeros_like
from ..tracer.functions.random import rand
from ..tracer.functions.reduce import all as all_
from ..tracer.ir.dtypes import finfo
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .odds import Odds, check_one
from .utils import SCALAR, broadcast_all, is_number

__all__ = ["Geometric"]


class Geometric(Odds):
    r"""How many trials of probability p fail before the first that succeeds: k with probability (1 - p)**k p.

    Args: `probs`, p; or `logits`, log(p / (1 - p)).

    >>> import flambeau as torch
    >>> torch.distributions.Geometric(torch.tensor(0.25)).mean
    tensor(3.)

    Source: https://pytorch.org/docs/stable/distributions.html#geometric
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer
    _batched = {"probs": 0, "logits": 0, "_param": 0}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        check_one(probs, logits)
        given, = broadcast_all(logits if probs is None else probs)
        self._set(*((None, given) if probs is None else (given, None)))
        number = is_number(logits if probs is None else probs)
        super().__init__(SCALAR if number else given.size(), validate_args=validate_args)
        if self._validate_args and probs is not None:
            self._require_positive()

    def _require_positive(self) -> None:
        valid = self.probs > 0

        def told(now: bool) -> str:
            shown = f":\n{self.probs[~valid]}" if now else ""
            return (f"Expected parameter probs ({type(self.probs).__name__} of shape {tuple(self.probs.shape)}) of "
                    f"distribution {self._shown(now)} to be positive but found invalid values{shown}")

        check_told("Geometric", ~all_(valid), ValueError, told)

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        with no_grad():
            u = rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
            return (clamp(u, min=finfo(u.dtype).tiny).log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        probs = where((probs == 1) & (value == 0), 0, probs)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
