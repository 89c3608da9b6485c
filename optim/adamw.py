"""AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.tensor.tensor import Tensor
from .adam import Adam
from .functional import functional


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters directly: see `Adam` for the formula.

    Source: https://arxiv.org/abs/1711.05101; https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused, decoupled_weight_decay=True)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


adamw = functional(
    AdamW, "exp_avgs:exp_avg exp_avg_sqs:exp_avg_sq max_exp_avg_sqs:max_exp_avg_sq state_steps:step",
    "foreach capturable differentiable fused grad_scale found_inf has_complex", decoupled_weight_decay=True)
