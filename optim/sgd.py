"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.creation import zeros_like
from ..tracer.jit.hyperparameters import enabled, hyper, static
from ..tracer.tensor.tensor import Tensor
from .checks import check_execution, check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .optimizer import Optimizer, State
from .state import PRIVATE_STEP


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

        g = g + weight_decay * p
        b = momentum * b + (1 - dampening) * g        (b = g in the first step)
        g = g + momentum * b  if nesterov  else  b
        p = p - lr * g

    Args: `lr` may be a tensor of one element; `momentum`, `dampening`, `weight_decay` as above; `maximize` climbs.
    Source: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000, 1.6000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None) -> None:
        check_learning_rate(lr)
        check_non_negative({"momentum": momentum, "weight_decay": weight_decay})
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_execution(foreach, fused)
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused})

    counter = None

    def counter_of(self, group: Group) -> str | None:
        """Only dampening has to know which step is the first."""
        return PRIVATE_STEP if enabled(group, "momentum") and enabled(group, "dampening") else None

    def is_new(self, state: State) -> bool:
        """Whether there is no buffer yet; others may have put something else there."""
        return "momentum_buffer" not in state

    def init_single(self, param: Tensor, group: Group) -> State:
        """A buffer of zeros: `momentum * 0 + g` is the first step's g."""
        return {"momentum_buffer": zeros_like(param)} if enabled(group, "momentum") else {}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """lr, momentum, weight decay, and the weight of a new gradient: 1 in the first step."""
        numbers = {"lr": hyper(group, "lr")}
        if enabled(group, "weight_decay"):
            numbers["decay"] = hyper(group, "weight_decay")
        if enabled(group, "momentum"):
            numbers["momentum"] = hyper(group, "momentum")
        if step is not None:
            numbers["weight"] = 1 - (step.double() - 1).clamp(max=1) * hyper(group, "dampening")
        return numbers

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - lr * g."""
        if enabled(group, "weight_decay"):
            grad = grad + param * c.decay
        if enabled(group, "momentum"):
            buffer = state["momentum_buffer"] * c.momentum
            buffer = buffer + (grad * c.weight if enabled(group, "dampening") else grad)
            state["momentum_buffer"] = buffer
            grad = grad + buffer * c.momentum if static(group, "nesterov") else buffer
        return param - grad * c.lr


sgd = functional(
    SGD, "momentum_buffer_list:momentum_buffer",
    "has_sparse_grad foreach fused grad_scale found_inf")
