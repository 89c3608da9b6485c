"""Schedule-free AdamW: gradients between a fast sequence and its mean (https://arxiv.org/abs/2405.15682)."""

import torch


class AdamWScheduleFree(torch.optim.Optimizer):
    def __init__(self, params, lr=0.0025, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, warmup_steps=10):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, warmup_steps=warmup_steps))
        self.k, self.weight_sum, self.train_mode = 0, 0.0, True

    @torch.no_grad()
    def eval(self):
        if self.train_mode:
            self._between(lambda beta1: 1 - 1 / beta1)
        self.train_mode = False

    @torch.no_grad()
    def train(self):
        if not self.train_mode:
            self._between(lambda beta1: 1 - beta1)
        self.train_mode = True

    def _between(self, weight):
        for group in self.param_groups:
            for p in group["params"]:
                if "z" in self.state[p]:
                    p.lerp_(self.state[p]["z"], weight(group["betas"][0]))

    @torch.no_grad()
    def step(self, closure=None):
        if not self.train_mode:
            raise Exception("Not in train mode!")
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            k = self.k
            sched = min(1.0, (k + 1) / group["warmup_steps"])
            lr = group["lr"] * sched * (1 - beta2 ** (k + 1)) ** 0.5
            weight = lr**2
            self.weight_sum = self.weight_sum + weight
            ckp1 = weight / self.weight_sum
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "z" not in state:
                    state["z"] = torch.clone(p)
                    state["exp_avg_sq"] = torch.zeros_like(p)
                y, z, grad = p, state["z"], p.grad
                exp_avg_sq = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                update = grad / exp_avg_sq.sqrt().add_(group["eps"])
                update.add_(y, alpha=group["weight_decay"])
                y.lerp_(end=z, weight=ckp1)
                y.add_(update, alpha=lr * (beta1 * (1 - ckp1) - 1))
                z.sub_(update, alpha=lr)
        self.k += 1
