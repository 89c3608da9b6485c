"""Prodigy: Adam that estimates its own rate from the distance to the start (https://arxiv.org/abs/2306.06101)."""

import torch
from torch.optim import Optimizer


class Prodigy(Optimizer):
    """The estimate is a tensor of the state of the first parameter: no value is read."""

    def __init__(self, params, lr=1.0, betas=(0.9, 0.999), eps=1e-8, d0=1e-3, growth_rate=float("inf")):
        self.d0 = d0
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, d0=d0, growth_rate=growth_rate))

    @torch.no_grad()
    def step(self, closure=None):
        loss = closure() if closure is not None else None
        first = self.param_groups[0]["params"][0]
        shared = self.state[first].setdefault("shared", {})
        if not shared:
            shared["k"] = 0
            shared["d"] = torch.full((), self.d0)
            shared["numerator"] = torch.zeros(())
        d, denominator = shared["d"], torch.zeros(())
        beta1, beta2 = self.param_groups[0]["betas"]
        beta3 = beta2**0.5
        shared["numerator"].mul_(beta3)
        for group in self.param_groups:
            bias_correction = (1 - beta2 ** (shared["k"] + 1)) ** 0.5 / (1 - beta1 ** (shared["k"] + 1))
            dlr = d * group["lr"] * bias_correction
            for p in group["params"]:
                if p.grad is None:
                    continue
                state, grad = self.state[p], p.grad
                if "s" not in state:
                    state["s"] = torch.zeros_like(p.data.flatten()).detach()
                    state["p0"] = p.flatten().detach().clone()
                    state["exp_avg"] = torch.zeros_like(p)
                    state["exp_avg_sq"] = torch.zeros_like(p)
                moved = torch.dot(grad.flatten(), state["p0"] - p.flatten())
                shared["numerator"].add_(d / group["d0"] * dlr * moved)
                state["exp_avg"].mul_(beta1).add_(grad * d, alpha=1 - beta1)
                state["exp_avg_sq"].mul_(beta2).add_(grad * grad * d * d, alpha=1 - beta2)
                state["s"].mul_(beta3).add_(grad.flatten() * (d / group["d0"] * dlr))
                denominator += state["s"].abs().sum()
        for group in self.param_groups:
            d_hat = shared["numerator"] / denominator.clamp(min=1e-30)
            grown = torch.minimum(torch.maximum(d, d_hat), d * group["growth_rate"])
            dlr = d * group["lr"] * bias_correction
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    denom = state["exp_avg_sq"].sqrt().add_(d * group["eps"])
                    p.sub_(dlr * state["exp_avg"] / denom)
        d.copy_(grown)
        shared["k"] += 1
        return loss


class ReadingProdigy(Prodigy):
    """As it was first written, with the numerator as a number of Python."""

    @torch.no_grad()
    def step(self, closure=None):
        numerator = 0.0
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "p0" not in state:
                    state["p0"] = p.detach().clone()
                numerator += torch.dot(p.grad.flatten(), (state["p0"] - p).flatten()).item()  # read here
                p.sub_(p.grad * (numerator + group["d0"]))
