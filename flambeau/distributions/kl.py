"""Kullback-Leibler divergences: https://pytorch.org/docs/stable/distributions.html#module-torch.distributions.kl

The pairs themselves are in `kl_same` (of one family), `kl_discrete`, `kl_pairs` (of different ones) and `kl_normal`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ..tracer.tensor.context import context
from ..tracer.tensor.tensor import Tensor
from .distribution import Distribution

__all__ = ["kl_divergence", "register_kl"]

Rule = TypeVar("Rule", bound=Callable[[Any, Any], Any])

_KL_REGISTRY: dict[tuple[type, type], Callable[..., Any]] = {}
_KL_MEMOIZE: dict[tuple[type, type], Callable[..., Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """Register a function of p and q for `kl_divergence`, as a decorator.

    The function of the most special classes is taken. Raises TypeError for what is no class of distributions.

    >>> import flambeau as torch
    >>> class Mine(torch.distributions.Normal):
    ...     pass
    >>> @torch.distributions.register_kl(Mine, Mine)
    ... def kl_mine_mine(p, q):
    ...     return torch.tensor(0.0)
    >>> torch.distributions.kl_divergence(Mine(0.0, 1.0), Mine(1.0, 1.0))
    tensor(0.)

    Source: https://pytorch.org/docs/stable/distributions.html#torch.distributions.kl.register_kl
    """
    for name, given in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(given, type) or not issubclass(given, Distribution):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {given}")

    def register(function: Rule) -> Rule:
        _KL_REGISTRY[type_p, type_q] = function
        _KL_MEMOIZE.clear()
        return function

    return register


def _found(type_p: type, type_q: type) -> Callable[..., Any]:
    """The function for the most special pair that both fit; NotImplemented (which is not callable) without one."""
    matches = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return NotImplemented
    left = min(matches, key=lambda m: (type_p.__mro__.index(m[0]), type_q.__mro__.index(m[1])))
    right = min(matches, key=lambda m: (type_q.__mro__.index(m[1]), type_p.__mro__.index(m[0])))
    found = _KL_REGISTRY[left]
    if found is not _KL_REGISTRY[right]:
        warnings.warn(f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please register_kl("
                      f"{left[0].__name__}, {right[1].__name__})", RuntimeWarning, stacklevel=3)
    return found


def _rule(key: tuple[type, type]) -> Callable[..., Any]:
    function = _KL_MEMOIZE.get(key)
    if function is None:
        function = _KL_MEMOIZE[key] = _found(*key)
    return function


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    r"""KL(p || q): the mean, over draws x from p, of log p(x) - log q(x).

    Args: `p` and `q`, distributions whose batch shapes broadcast.
    Returns a tensor of the shape of the batch. Raises NotImplementedError for a pair that is not registered.

    >>> import flambeau as torch
    >>> from flambeau.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)

    Source: https://pytorch.org/docs/stable/distributions.html#torch.distributions.kl.kl_divergence
    """
    key = type(p), type(q)
    function = _rule(key)
    if context.trace is not None and function is not NotImplemented:
        context.trace.guard(f"the rule of kl_divergence for {key[0].__name__} and {key[1].__name__}", partial(_rule, key))
        context.trace.follow(function)
    if function is NotImplemented:
        raise NotImplementedError(f"No KL(p || q) is implemented for p type {p.__class__.__name__} and q type "
                                  f"{q.__class__.__name__}")
    return function(p, q)
