"""LARS: momentum with a rate for each layer (https://arxiv.org/abs/1708.03888)."""

import torch
from torch.optim.optimizer import Optimizer, required


class LARS(Optimizer):
    def __init__(self, params, lr=required, momentum=0.9, weight_decay=1e-4, trust_coefficient=0.01, nesterov=False):
        defaults = dict(lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov,
                        trust_coefficient=trust_coefficient)
        super().__init__(params, defaults)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad.add(p, alpha=group["weight_decay"])
                if p.ndim > 1:
                    p_norm, g_norm = torch.norm(p), torch.norm(grad)
                    trust = group["trust_coefficient"] * p_norm / g_norm
                    grad = grad.mul(torch.where(p_norm > 0, torch.where(g_norm > 0, trust, 1.0), 1.0))
                param_state = self.state[p]
                if "momentum_buffer" not in param_state:
                    param_state["momentum_buffer"] = torch.zeros_like(p)
                buf = param_state["momentum_buffer"]
                buf.mul_(group["momentum"]).add_(grad)
                p.add_(grad.add(buf, alpha=group["momentum"]) if group["nesterov"] else buf, alpha=-group["lr"])
