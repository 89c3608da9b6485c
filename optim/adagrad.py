"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.creation import full_like
from ..tracer.functions.unary import sqrt
from ..tracer.jit.hyperparameters import enabled, hyper
from ..tracer.tensor.tensor import Tensor
from .checks import check_execution, check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .optimizer import Optimizer, State


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares so far.

        g = g + weight_decay * p
        s = s + g * g                                 (from initial_accumulator_value on)
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Args: `lr` may be a tensor of one element; `maximize` climbs.
    Source: https://jmlr.org/papers/v12/duchi11a.html;
    https://pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
                 maximize: bool = False, differentiable: bool = False, fused: bool | None = None) -> None:
        check_learning_rate(lr)
        check_non_negative({"lr_decay": lr_decay, "weight_decay": weight_decay,
                            "initial_accumulator_value": initial_accumulator_value, "eps": eps})
        check_execution(foreach, fused)
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused})
        self.make_state()

    def init_single(self, param: Tensor, group: Group) -> State:
        """s = initial_accumulator_value, in both parts of complex numbers."""
        start = group["initial_accumulator_value"]
        return {"sum": full_like(param, complex(start, start) if param.is_complex() else start)}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The decayed learning rate, and eps."""
        assert step is not None
        lr = hyper(group, "lr")
        if enabled(group, "lr_decay"):
            lr = lr / (1 + (step.double() - 1) * hyper(group, "lr_decay"))
        numbers = {"lr": lr, "eps": hyper(group, "eps")}
        if enabled(group, "weight_decay"):
            numbers["decay"] = hyper(group, "weight_decay")
        return numbers

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - lr * g / (sqrt(s) + eps)."""
        if enabled(group, "weight_decay"):
            grad = grad + param * c.decay
        state["sum"] = total = state["sum"] + grad * grad
        return param - grad / (sqrt(total) + c.eps) * c.lr


adagrad = functional(
    Adagrad, "state_sums:sum state_steps:step",
    "fused grad_scale found_inf has_sparse_grad foreach differentiable has_complex")
