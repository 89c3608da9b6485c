"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.creation import zeros_like
from ..tracer.functions.unary import sqrt
from ..tracer.jit.hyperparameters import enabled, hyper
from ..tracer.tensor.tensor import Tensor
from .checks import check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .optimizer import Optimizer, State


class Adadelta(Optimizer):
    """Gradients scaled by the size of the updates so far over the size of the gradients so far.

        g = g + weight_decay * p
        s = rho * s + (1 - rho) * g * g
        d = sqrt(a + eps) / sqrt(s + eps) * g
        a = rho * a + (1 - rho) * d * d
        p = p - lr * d

    Args: `lr` may be a tensor of one element; `rho` in [0, 1]; `maximize` climbs.
    Source: https://arxiv.org/abs/1212.5701; https://pytorch.org/docs/stable/generated/torch.optim.Adadelta.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.Adadelta([w])
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9968], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0, foreach: bool | None = None, *, capturable: bool = False,
                 maximize: bool = False, differentiable: bool = False) -> None:
        check_learning_rate(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_non_negative({"eps": eps, "weight_decay": weight_decay})
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable})

    def init_single(self, param: Tensor, group: Group) -> State:
        """s = a = 0."""
        return {"square_avg": zeros_like(param), "acc_delta": zeros_like(param)}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """lr, eps, and the weights of the running means."""
        rho = hyper(group, "rho")
        numbers = {"lr": hyper(group, "lr"), "eps": hyper(group, "eps"), "keep": rho, "new": 1 - rho}
        if enabled(group, "weight_decay"):
            numbers["decay"] = hyper(group, "weight_decay")
        return numbers

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - lr * d."""
        if enabled(group, "weight_decay"):
            grad = grad + param * c.decay
        state["square_avg"] = s = state["square_avg"] * c.keep + grad * grad * c.new
        delta = sqrt(state["acc_delta"] + c.eps) / sqrt(s + c.eps) * grad
        state["acc_delta"] = state["acc_delta"] * c.keep + delta * delta * c.new
        return param - delta * c.lr


adadelta = functional(
    Adadelta, "square_avgs:square_avg acc_deltas:acc_delta state_steps:step",
    "capturable foreach differentiable has_complex")
