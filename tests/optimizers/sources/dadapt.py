"""D-Adaptation for Adam: the rate from a lower bound of the distance to the solution (https://arxiv.org/abs/2301.07733)."""

import torch
from torch.optim import Optimizer


class DAdaptAdam(Optimizer):
    def __init__(self, params, lr=1.0, betas=(0.9, 0.999), eps=1e-8, d0=1e-3, growth_rate=float("inf")):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))
        self.growth_rate = growth_rate
        self.d, self.numerator = torch.tensor(d0), torch.tensor(0.0)

    @torch.no_grad()
    def step(self, closure=None):
        s_norm, numerator = torch.zeros(()), torch.zeros(())
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            dlr = self.d * group["lr"]
            root = beta2**0.5
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "step" not in state:
                    state["step"] = 0
                    state["s"] = torch.zeros_like(p)
                    state["exp_avg"] = torch.zeros_like(p)
                    state["exp_avg_sq"] = torch.zeros_like(p)
                state["step"] += 1
                state["exp_avg"].mul_(beta1).add_(p.grad * dlr * (1 - beta1))
                state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                denom = state["exp_avg_sq"].sqrt().add_(group["eps"])
                numerator += dlr * torch.dot(p.grad.flatten(), state["s"].div(denom).flatten())
                state["s"].mul_(root).add_(p.grad * dlr * (1 - root))
                s_norm += state["s"].abs().sum()
        self.numerator.mul_(root).add_(numerator, alpha=1 - root)
        d_hat = self.numerator / ((1 - root) * s_norm).clamp(min=1e-30)
        self.d.copy_(torch.maximum(self.d, torch.minimum(d_hat, self.d * self.growth_rate)))
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    p.addcdiv_(state["exp_avg"], state["exp_avg_sq"].sqrt().add_(group["eps"]), value=-1)
