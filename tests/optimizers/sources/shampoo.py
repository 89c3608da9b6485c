"""Shampoo: gradients between roots of the second moments of rows and columns (https://arxiv.org/abs/1802.09568)."""

import torch
from torch.optim.optimizer import Optimizer


def _matrix_power(matrix, power):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=1e-12).pow(power)) @ vectors.mT


class Shampoo(Optimizer):
    def __init__(self, params, lr=1e-1, momentum=0.9, weight_decay=0.0, epsilon=1e-2, update_freq=10):
        defaults = dict(lr=lr, momentum=momentum, weight_decay=weight_decay, epsilon=epsilon)
        self.update_freq = update_freq
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad, state, order = p.grad, self.state[p], p.grad.ndimension()
                if len(state) == 0:
                    state["step"] = 0
                    state["momentum_buffer"] = torch.zeros_like(grad)
                    for dim_id, dim in enumerate(grad.size()):
                        state[f"precond_{dim_id}"] = group["epsilon"] * torch.eye(dim)
                        state[f"inv_precond_{dim_id}"] = torch.zeros((dim, dim))
                grad = grad.add(p, alpha=group["weight_decay"])
                for dim_id, dim in enumerate(grad.size()):
                    precond = state[f"precond_{dim_id}"]
                    inv_precond = state[f"inv_precond_{dim_id}"]
                    grad = grad.transpose(0, dim_id).contiguous()
                    transposed_size = grad.size()
                    grad = grad.view(dim, -1)
                    precond.add_(grad @ grad.t())
                    if state["step"] % self.update_freq == 0:
                        inv_precond.copy_(_matrix_power(precond, -1 / (2 * order)))
                    grad = (inv_precond @ grad).view(transposed_size).transpose(0, dim_id)
                state["step"] += 1
                buf = state["momentum_buffer"].mul_(group["momentum"]).add_(grad)
                p.add_(buf, alpha=-group["lr"])
