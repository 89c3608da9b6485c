"""What Adam and its relatives do alike: weights decay beside the gradient or in it, means of it and of its square are kept."""

from __future__ import annotations

from typing import Any

from ..tracer.jit.hyperparameters import enabled, hyper, static
from ..tracer.tensor.tensor import Tensor
from .group import Group
from .optimizer import State


def means_and_decay(group: Group, lr: Any, beta1: Any, beta2: Any) -> dict[str, Any]:
    """The weights of the running means, and what weights are multiplied with, if they decay."""
    numbers = {"mean": 1 - beta1, "keep": beta2, "new": 1 - beta2}
    if enabled(group, "weight_decay"):
        decay = hyper(group, "weight_decay")
        numbers["decay"] = 1 - lr * decay if static(group, "decoupled_weight_decay") else decay
    return numbers


def decayed(param: Tensor, grad: Tensor, group: Group, c: Any) -> tuple[Tensor, Tensor]:
    """The parameter and its gradient, one of which the decay has changed."""
    if not enabled(group, "weight_decay"):
        return param, grad
    return (param * c.decay, grad) if static(group, "decoupled_weight_decay") else (param, grad + param * c.decay)


def updated(state: State, grad: Tensor, c: Any) -> tuple[Tensor, Tensor]:
    """The running means of the gradient and of its square, with this one in them."""
    m, v = state["exp_avg"], state["exp_avg_sq"]
    state["exp_avg"] = m = m + (grad - m) * c.mean
    state["exp_avg_sq"] = v = v * c.keep + grad * grad * c.new
    return m, v
