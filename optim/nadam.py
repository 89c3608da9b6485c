"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.arithmetic import pow
from ..tracer.functions.creation import ones, zeros_like
from ..tracer.functions.unary import sqrt
from ..tracer.ir.dtypes import float32
from ..tracer.jit.hyperparameters import hyper
from ..tracer.tensor.tensor import Tensor
from .checks import check_betas, check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .means import decayed, means_and_decay, updated
from .optimizer import Optimizer, State


class NAdam(Optimizer):
    """Adam with Nesterov's momentum.

        g = g + weight_decay * p                      (p = p - lr * weight_decay * p with decoupled_weight_decay)
        mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2)
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g * g
        h = (1 - mu_t) / (1 - mu_1 ... mu_t) * g + mu_(t+1) / (1 - mu_1 ... mu_(t+1)) * m
        p = p - lr * h / (sqrt(v / (1 - beta2^t)) + eps)

    Args: `lr` may be a tensor of one element; `betas` two floats in [0, 1); `maximize` climbs.
    Source: https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ;
    https://pytorch.org/docs/stable/generated/torch.optim.NAdam.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8944], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
                 decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False) -> None:
        check_learning_rate(lr)
        check_non_negative({"eps": eps})
        check_betas(betas)
        check_non_negative({"weight_decay": weight_decay, "momentum_decay": momentum_decay})
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable})

    def init_single(self, param: Tensor, group: Group) -> State:
        """m = v = 0; the empty product is 1."""
        return {"mu_product": ones((), dtype=float32, device=param.device), "exp_avg": zeros_like(param),
                "exp_avg_sq": zeros_like(param)}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The weights of the running means, mu of this step and of the next."""
        assert step is not None
        t, lr = step.double(), hyper(group, "lr")
        beta1, beta2, slower = hyper(group, "betas", 0), hyper(group, "betas", 1), hyper(group, "momentum_decay")
        mu, following = (beta1 * (1 - 0.5 * pow(0.96, at * slower)) for at in (t, t + 1))
        return {**means_and_decay(group, lr, beta1, beta2), "eps": hyper(group, "eps"), "root": sqrt(1 - pow(beta2, t)),
                "mu": mu, "following": following, "lr": lr}

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - lr * h / (sqrt(v) / root + eps)."""
        param, grad = decayed(param, grad, group, c)
        mu, following = c.numbers["mu"], c.numbers["following"]
        state["mu_product"] = product = state["mu_product"] * mu.to(float32)
        m, v = updated(state, grad, c)
        ahead = grad * ((1 - mu) / (1 - product)) + m * (following / (1 - product * following))
        return param - ahead * c.lr / (sqrt(v) / c.root + c.eps)


nadam = functional(
    NAdam, "exp_avgs:exp_avg exp_avg_sqs:exp_avg_sq mu_products:mu_product state_steps:step",
    "decoupled_weight_decay foreach capturable differentiable has_complex maximize")
