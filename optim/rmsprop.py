"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.creation import zeros_like
from ..tracer.functions.unary import sqrt
from ..tracer.jit.hyperparameters import enabled, hyper, static
from ..tracer.tensor.tensor import Tensor
from .checks import check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .optimizer import Optimizer, State


class RMSprop(Optimizer):
    """Gradients divided by the root of a running mean of their squares.

        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g * g
        a = a + (1 - alpha) * (g - a)                 (centered)
        d = sqrt(v - a * a) + eps  if centered  else  sqrt(v) + eps
        b = momentum * b + g / d                      (with momentum, else b = g / d)
        p = p - lr * b

    Args: `lr` may be a tensor of one element; `maximize` climbs.
    Source: https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0, momentum: float = 0, centered: bool = False, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False) -> None:
        check_learning_rate(lr)
        check_non_negative({"eps": eps, "momentum": momentum, "weight_decay": weight_decay, "alpha": alpha})
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable})

    def init_single(self, param: Tensor, group: Group) -> State:
        """v = b = a = 0."""
        state = {"square_avg": zeros_like(param)}
        if enabled(group, "momentum"):
            state["momentum_buffer"] = zeros_like(param)
        if static(group, "centered"):
            state["grad_avg"] = zeros_like(param)
        return state

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """lr, eps, the weights of the running means."""
        alpha = hyper(group, "alpha")
        numbers = {"lr": hyper(group, "lr"), "eps": hyper(group, "eps"), "keep": alpha, "new": 1 - alpha}
        numbers.update({name: hyper(group, name) for name in ("weight_decay", "momentum") if enabled(group, name)})
        return numbers

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - lr * g / (sqrt(v) + eps)."""
        if enabled(group, "weight_decay"):
            grad = grad + param * c.weight_decay
        state["square_avg"] = v = state["square_avg"] * c.keep + grad * grad * c.new
        if static(group, "centered"):
            mean = state["grad_avg"]
            state["grad_avg"] = mean = mean + (grad - mean) * c.new
            v = v - mean * mean
        update = grad / (sqrt(v) + c.eps)
        if enabled(group, "momentum"):
            state["momentum_buffer"] = update = state["momentum_buffer"] * c.momentum + update
        return param - update * c.lr


rmsprop = functional(
    RMSprop, "square_avgs:square_avg grad_avgs:grad_avg momentum_buffer_list:momentum_buffer state_steps:step",
    "foreach maximize differentiable capturable has_complex")
