"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.arithmetic import pow
from ..tracer.functions.choosing import where
from ..tracer.functions.creation import zeros_like
from ..tracer.functions.unary import sqrt
from ..tracer.jit.hyperparameters import hyper
from ..tracer.tensor.tensor import Tensor
from .checks import check_betas, check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .means import decayed, means_and_decay, updated
from .optimizer import Optimizer, State

_TRACTABLE = 5.0  # the length of the average from which on its variance is taken into account


class RAdam(Optimizer):
    """Adam that adapts rates only once the variance of the adaptation is known well enough.

        g = g + weight_decay * p                      (p = p - lr * weight_decay * p with decoupled_weight_decay)
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g * g
        n = n_max - 2 * t * beta2^t / (1 - beta2^t)   where n_max = 2 / (1 - beta2) - 1
        r = sqrt((n - 4) * (n - 2) * n_max / ((n_max - 4) * (n_max - 2) * n))
        p = p - lr / (1 - beta1^t) * m * (r * sqrt(1 - beta2^t) / (sqrt(v) + eps)  if n > 5  else  1)

    Args: `lr` may be a tensor of one element; `betas` two floats in [0, 1); `maximize` climbs.
    Source: https://arxiv.org/abs/1908.03265; https://pytorch.org/docs/stable/generated/torch.optim.RAdam.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, decoupled_weight_decay: bool = False, *,
                 foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
                 differentiable: bool = False) -> None:
        check_learning_rate(lr)
        check_non_negative({"eps": eps})
        check_betas(betas)
        check_non_negative({"weight_decay": weight_decay})
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable})

    def init_single(self, param: Tensor, group: Group) -> State:
        """m = v = 0."""
        return {"exp_avg": zeros_like(param), "exp_avg_sq": zeros_like(param)}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The weights of the running means, the rate, and the rectification: 0 where there is none."""
        assert step is not None
        t = step.double()
        lr, beta1, beta2 = hyper(group, "lr"), hyper(group, "betas", 0), hyper(group, "betas", 1)
        longest = 2 / (1 - beta2) - 1
        left = pow(beta2, t)
        length = longest - 2 * t * left / (1 - left)
        square = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length) * (1 - left)
        return {**means_and_decay(group, lr, beta1, beta2), "eps": hyper(group, "eps"), "size": lr / (1 - pow(beta1, t)),
                "rectified": where(length > _TRACTABLE, sqrt(square), 0.0)}

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - size * m, adapted if that is rectified."""
        param, grad = decayed(param, grad, group, c)
        m, v = updated(state, grad, c)
        return param - m * c.size * where(c.rectified > 0, c.rectified / (sqrt(v) + c.eps), 1.0)


radam = functional(
    RAdam, "exp_avgs:exp_avg exp_avg_sqs:exp_avg_sq state_steps:step",
    "decoupled_weight_decay foreach differentiable capturable has_complex maximize")
