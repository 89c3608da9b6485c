"""Families whose parameter is given as probabilities or as log odds; the one that is not given is made when asked for."""

from __future__ import annotations

from typing import Any

from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from .distribution import Distribution
from .utils import lazy_property, logits_to_probs, probs_to_logits

EITHER = "Either `probs` or `logits` must be specified, but not both."


def check_one(probs: Any, logits: Any) -> None:
    """ValueError unless one of both is given."""
    if (probs is None) == (logits is None):
        raise ValueError(EITHER)


class Odds(Distribution):
    """What such families have in common."""

    _param: Tensor
    _binary = True

    def _set(self, probs: Tensor | None, logits: Tensor | None) -> None:
        if probs is not None:
            self.probs = self._param = probs
        elif logits is not None:
            self.logits = self._param = logits

    @lazy_property
    def logits(self) -> Tensor:
        """Log odds (of classes: logarithms of their probabilities)."""
        return probs_to_logits(self.probs, is_binary=self._binary)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits, is_binary=self._binary)

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._param.size()

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._param.new(*args, **kwargs)
