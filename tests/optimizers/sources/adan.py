"""Adan: Nesterov's momentum from differences of gradients (https://arxiv.org/abs/2208.06677)."""

import math

import torch
from torch.optim.optimizer import Optimizer


class Adan(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.98, 0.92, 0.99), eps=1e-8, weight_decay=0.0, no_prox=False,
                 first_difference=True):
        self.first_difference = first_difference  # or that of the first step is zero
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, no_prox=no_prox)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            beta1, beta2, beta3 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state, grad = self.state[p], p.grad
                if len(state) == 0:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(p)
                    state["exp_avg_diff"] = torch.zeros_like(p)
                    state["exp_avg_sq"] = torch.zeros_like(p)
                    state["pre_grad"] = torch.zeros_like(p) if self.first_difference else grad.clone()
                state["step"] += 1
                diff = grad - state["pre_grad"]
                update = grad + beta2 * diff
                state["exp_avg"].mul_(beta1).add_(grad, alpha=1 - beta1)
                state["exp_avg_diff"].mul_(beta2).add_(diff, alpha=1 - beta2)
                state["exp_avg_sq"].mul_(beta3).addcmul_(update, update, value=1 - beta3)
                c1, c2, c3 = (1.0 - beta ** state["step"] for beta in (beta1, beta2, beta3))
                denom = (state["exp_avg_sq"].sqrt() / math.sqrt(c3)).add_(group["eps"])
                update = (state["exp_avg"] / c1 + beta2 * state["exp_avg_diff"] / c2).div_(denom)
                if group["no_prox"]:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-group["lr"])
                else:
                    p.add_(update, alpha=-group["lr"])
                    p.div_(1 + group["lr"] * group["weight_decay"])
                state["pre_grad"].copy_(grad)
