"""Exponential families: densities exp(<t(x), theta> - F(theta) + k(x))."""

from __future__ import annotations

from typing import Any

from ..tracer.functions.creation import ones_like
from ..tracer.tensor.tensor import Tensor
from ..tracer.transforms.reverse import vjp
from .distribution import Distribution
from .utils import sum_rightmost

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    r"""A family of densities exp(<t(x), theta> - F(theta) + k(x)), of which entropy and kl_divergence follow.

    A subclass defines `_natural_params` (theta), `_log_normalizer` (F) and `_mean_carrier_measure` (the mean of k).

    >>> import flambeau as torch
    >>> issubclass(torch.distributions.Normal, torch.distributions.ExponentialFamily)
    True

    Source: https://pytorch.org/docs/stable/distributions.html#exponentialfamily
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """F(theta) - <grad F(theta), theta> - the mean of k; as in torch, no gradient flows to the parameters."""
        result: Any = -self._mean_carrier_measure
        normalizer, terms = bregman_terms(self, [p.detach() for p in self._natural_params])
        result = result + normalizer
        for term in terms:
            result = result - term
        return result


def bregman_terms(p: Any, at: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """F(theta) of a distribution, and <grad F(theta), x> for each of its natural parameters and the x of `at`.

    No gradient flows to the distribution: torch detaches its parameters here.
    """
    natural = tuple(t.detach() for t in p._natural_params)
    normalizer, pull = vjp(p._log_normalizer, *natural)
    slopes = pull(ones_like(normalizer))
    return normalizer, [sum_rightmost(x * s, (x * s).ndim - len(p.batch_shape)) for x, s in zip(at, slopes)]
