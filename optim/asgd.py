"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.creation import full, ones, zeros_like
from ..tracer.ir.dtypes import float32
from ..tracer.jit.hyperparameters import enabled, hyper
from ..tracer.tensor.tensor import Tensor
from .checks import check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .optimizer import Optimizer, State


class ASGD(Optimizer):
    """Gradient descent at a falling rate, with the mean of the parameters beside it.

        g = g + weight_decay * p
        p = p - eta * lambd * p - eta * g
        a = a + mu * (p - a)                          (the mean, in the state as 'ax')
        eta = lr / (1 + lambd * lr * t)^alpha         (for the next step)
        mu = 1 / max(1, t - t0)

    Args: `lr` may be a tensor of one element; `maximize` climbs.
    Source: https://dl.acm.org/doi/10.1137/0330046; https://pytorch.org/docs/stable/generated/torch.optim.ASGD.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.ASGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-2, lambd: float = 1e-4, alpha: float = 0.75,
                 t0: float = 1e6, weight_decay: float = 0, foreach: bool | None = None, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:
        check_learning_rate(lr)
        check_non_negative({"weight_decay": weight_decay})
        super().__init__(params, {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable})

    def init_single(self, param: Tensor, group: Group) -> State:
        """eta = lr, mu = 1, a = 0."""
        rate, on = group["lr"], param.device
        eta = rate.detach().to(device=on, dtype=float32, copy=True).reshape(()) if isinstance(rate, Tensor) else full(
            (), rate, dtype=float32, device=on)
        return {"eta": eta, "mu": ones((), dtype=float32, device=on), "ax": zeros_like(param)}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The rate and the weight in the mean of the next step, and decays."""
        assert step is not None
        t, lr, lambd = step.double(), hyper(group, "lr"), hyper(group, "lambd")
        numbers = {"eta": lr / (1 + lambd * lr * t) ** hyper(group, "alpha"),
                   "mu": 1 / (t - hyper(group, "t0")).clamp(min=1), "lambd": lambd}
        if enabled(group, "weight_decay"):
            numbers["decay"] = hyper(group, "weight_decay")
        return numbers

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - eta * (lambd * p + g)."""
        if enabled(group, "weight_decay"):
            grad = grad + param * c.decay
        eta, mean = state["eta"], state["ax"]
        param = param * (1 - c.lambd * eta) - grad * eta
        state["ax"] = mean + (param - mean) * state["mu"]
        state["eta"], state["mu"] = c.numbers["eta"].reshape(()), c.numbers["mu"]
        return param


asgd = functional(
    ASGD, "axs:ax mus:mu etas:eta state_steps:step",
    "foreach maximize differentiable capturable has_complex")
