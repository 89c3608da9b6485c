"""LAMB: Adam with the update of each layer as long as its weights (https://arxiv.org/abs/1904.00962)."""

import torch


class Lamb(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01, clamp_value=10.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))
        self.clamp_value = clamp_value

    @torch.no_grad()
    def step(self, closure=None):
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        global_norm = torch.stack([g.norm() for g in grads]).norm()
        clip = torch.where(global_norm > 1.0, global_norm, torch.ones_like(global_norm))
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad, state = p.grad / clip, self.state[p]
                if not state:
                    state["step"] = 0
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
                state["step"] += 1
                state["exp_avg"].lerp_(grad, 1 - beta1)
                state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                m = state["exp_avg"] / (1 - beta1 ** state["step"])
                v = state["exp_avg_sq"] / (1 - beta2 ** state["step"])
                update = m / (v.sqrt() + group["eps"])
                if group["weight_decay"] != 0:
                    update.add_(p, alpha=group["weight_decay"])
                w_norm, u_norm = p.norm(2.0).clamp(0, self.clamp_value), update.norm(2.0)
                one = torch.ones_like(w_norm)
                trust = torch.where((w_norm > 0) & (u_norm > 0), w_norm / u_norm, one)
                p.add_(update * trust, alpha=-group["lr"])
