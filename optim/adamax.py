"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.arithmetic import pow
from ..tracer.functions.choosing import maximum
from ..tracer.functions.creation import zeros_like
from ..tracer.functions.unary import abs
from ..tracer.jit.hyperparameters import enabled, hyper
from ..tracer.tensor.tensor import Tensor
from .checks import check_betas, check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .optimizer import Optimizer, State


class Adamax(Optimizer):
    """Adam with the largest gradient of late in the place of the root of the mean of squares.

        g = g + weight_decay * p
        m = m + (1 - beta1) * (g - m)
        u = max(beta2 * u, |g| + eps)
        p = p - lr / (1 - beta1^t) * m / u

    Args: `lr` may be a tensor of one element; `betas` two floats in [0, 1); `maximize` climbs.
    Source: https://arxiv.org/abs/1412.6980; https://pytorch.org/docs/stable/generated/torch.optim.Adamax.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, foreach: bool | None = None, *, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        check_learning_rate(lr)
        check_non_negative({"eps": eps})
        check_betas(betas)
        check_non_negative({"weight_decay": weight_decay})
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable})

    def init_single(self, param: Tensor, group: Group) -> State:
        """m = u = 0."""
        return {"exp_avg": zeros_like(param), "exp_inf": zeros_like(param)}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The weights of the running means, and the rate that corrects the start of m at zero."""
        assert step is not None
        beta1 = hyper(group, "betas", 0)
        numbers = {"mean": 1 - beta1, "keep": hyper(group, "betas", 1), "eps": hyper(group, "eps"),
                   "size": hyper(group, "lr") / (1 - pow(beta1, step.double()))}
        if enabled(group, "weight_decay"):
            numbers["decay"] = hyper(group, "weight_decay")
        return numbers

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - size * m / u."""
        if enabled(group, "weight_decay"):
            grad = grad + param * c.decay
        state["exp_avg"] = m = state["exp_avg"] + (grad - state["exp_avg"]) * c.mean
        state["exp_inf"] = u = maximum(state["exp_inf"] * c.keep, abs(grad) + c.eps)
        return param - m * c.size / u


adamax = functional(
    Adamax, "exp_avgs:exp_avg exp_infs:exp_inf state_steps:step",
    "foreach maximize differentiable capturable has_complex")
