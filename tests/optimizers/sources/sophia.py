"""Sophia-G: momentum over a diagonal Hessian, estimated now and then, and clipped (https://arxiv.org/abs/2305.14342)."""

import torch


class SophiaG(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.965, 0.99), rho=0.04, weight_decay=0.1, batch_size=16):
        self.batch_size = batch_size
        super().__init__(params, dict(lr=lr, betas=betas, rho=rho, weight_decay=weight_decay))

    def _state_of(self, p):
        state = self.state[p]
        if len(state) == 0:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(p)
            state["hessian"] = torch.zeros_like(p)
        return state

    @torch.no_grad()
    def update_hessian(self):
        for group in self.param_groups:
            _, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is not None:
                    self._state_of(p)["hessian"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            beta1, _ = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self._state_of(p)
                state["step"] += 1
                p.mul_(1 - group["lr"] * group["weight_decay"])
                exp_avg = state["exp_avg"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
                ratio = (exp_avg.abs() / (group["rho"] * self.batch_size * state["hessian"] + 1e-15)).clamp(None, 1)
                p.addcmul_(exp_avg.sign(), ratio, value=-group["lr"])
