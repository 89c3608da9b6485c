"""Adam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.arithmetic import pow
from ..tracer.functions.choosing import maximum
from ..tracer.functions.creation import zeros_like
from ..tracer.functions.unary import sqrt
from ..tracer.jit.hyperparameters import hyper, static
from ..tracer.tensor.tensor import Tensor
from .checks import check_betas, check_execution, check_learning_rate, check_non_negative
from .functional import functional
from .group import Group
from .means import decayed, means_and_decay, updated
from .optimizer import Optimizer, State


class Adam(Optimizer):
    """Adaptive moments: a running mean of gradients, divided by the root of a running mean of their squares.

        g = g + weight_decay * p                      (Adam)
        p = p - lr * weight_decay * p                 (AdamW: decoupled_weight_decay)
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g * g
        p = p - size * m / (sqrt(v) + eps * root)     where root = sqrt(1 - beta2^t), size = lr * root / (1 - beta1^t)

    With `amsgrad`, v in the last line is the largest v so far. The last line is torch's
    lr / (1 - beta1^t) * m / (sqrt(v) / root + eps) with both sides of the fraction multiplied by root; size and root
    are computed in double precision.

    Args: `lr` may be a tensor of one element; `betas` two floats in [0, 1); `maximize` climbs.
    Source: https://arxiv.org/abs/1412.6980 (end of section 2);
    https://pytorch.org/docs/stable/generated/torch.optim.Adam.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = torch.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None, decoupled_weight_decay: bool = False) -> None:
        by_value = bool(foreach) and not capturable
        if isinstance(lr, Tensor) and by_value:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        check_learning_rate(lr)
        check_non_negative({"eps": eps})
        check_betas(betas)
        check_non_negative({"weight_decay": weight_decay})
        _check_kinds(betas, by_value)
        if fused and differentiable:
            raise RuntimeError("`fused` does not support `differentiable`")
        check_execution(foreach, fused)
        betas = (float(betas[0]), float(betas[1]))  # tensors are read here, once
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            "fused": fused, "decoupled_weight_decay": decoupled_weight_decay})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name in ("amsgrad", "maximize", "decoupled_weight_decay"):
                group.setdefault(name, False)

    def init_single(self, param: Tensor, group: Group) -> State:
        """m = v = 0."""
        state = {"exp_avg": zeros_like(param), "exp_avg_sq": zeros_like(param)}
        if static(group, "amsgrad"):
            state["max_exp_avg_sq"] = zeros_like(param)
        return state

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The weights of the running means, and what corrects their start at zero."""
        assert step is not None
        t = step.double()
        lr, beta1, beta2 = hyper(group, "lr"), hyper(group, "betas", 0), hyper(group, "betas", 1)
        root = sqrt(1 - pow(beta2, t))
        return {**means_and_decay(group, lr, beta1, beta2), "size": lr * root / (1 - pow(beta1, t)),
                "eps": hyper(group, "eps") * root}

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - size * m / (sqrt(v) + eps * root)."""
        param, grad = decayed(param, grad, group, c)
        m, v = updated(state, grad, c)
        if static(group, "amsgrad"):
            state["max_exp_avg_sq"] = v = maximum(state["max_exp_avg_sq"], v)
        return param - m * c.size / (sqrt(v) + c.eps)


def _check_kinds(betas: tuple[Any, Any], by_value: bool) -> None:
    """Both are floats, or tensors of one element where those may be."""
    if not any(all(isinstance(beta, kind) for beta in betas) for kind in (float, Tensor)):
        raise ValueError("betas must be either both floats or both Tensors")
    for i, beta in enumerate(betas):
        if isinstance(beta, Tensor) and by_value:
            raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True")
        if isinstance(beta, Tensor) and beta.numel() != 1:
            raise ValueError(f"Tensor betas[{i}] must be 1-element")


adam = functional(
    Adam, "exp_avgs:exp_avg exp_avg_sqs:exp_avg_sq max_exp_avg_sqs:max_exp_avg_sq state_steps:step",
    "foreach capturable differentiable fused grad_scale found_inf has_complex decoupled_weight_decay")
