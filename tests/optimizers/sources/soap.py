"""SOAP: Adam in the eigenbasis of Shampoo's moments (https://arxiv.org/abs/2409.11321)."""

import torch


class SOAP(torch.optim.Optimizer):
    def __init__(self, params, lr=3e-3, betas=(0.95, 0.95), shampoo_beta=0.9, eps=1e-8, precondition_frequency=10):
        super().__init__(params, dict(lr=lr, betas=betas, shampoo_beta=shampoo_beta, eps=eps))
        self.precondition_frequency = precondition_frequency

    def _project(self, x, state):
        for basis in state["Q"]:
            x = torch.tensordot(x, basis, dims=[[0], [0]])
        return x

    def _project_back(self, x, state):
        for basis in state["Q"]:
            x = torch.tensordot(x, basis, dims=[[0], [1]])
        return x

    def _update_moments(self, grad, state, beta):
        for i, moment in enumerate(state["GG"]):
            others = [d for d in range(grad.dim()) if d != i]
            moment.lerp_(torch.tensordot(grad, grad, dims=[others, others]), 1 - beta)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad, state = p.grad, self.state[p]
                if "step" not in state:
                    state["step"] = 0
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
                    sizes = p.shape if p.dim() > 1 else ()  # vectors are left as they are
                    state["GG"] = [torch.zeros(n, n) for n in sizes]
                    state["Q"] = [torch.eye(n) for n in sizes]
                if state["step"] == 0:  # the first gradient only gives the basis
                    self._update_moments(grad, state, group["shampoo_beta"])
                    for basis, moment in zip(state["Q"], state["GG"]):
                        ramp = torch.arange(moment.shape[0]) * 1e-2  # equal eigenvalues would leave the basis open
                        _, vectors = torch.linalg.eigh(moment + torch.diag(ramp))
                        basis.copy_(vectors.flip(1))
                    state["step"] += 1
                    continue
                projected = self._project(grad, state)
                exp_avg = state["exp_avg"].mul_(beta1).add_(grad, alpha=1 - beta1)
                exp_avg_sq = state["exp_avg_sq"].mul_(beta2).add_(projected.square(), alpha=1 - beta2)
                step_size = group["lr"] * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
                update = self._project(exp_avg, state) / exp_avg_sq.sqrt().add_(group["eps"])
                p.add_(self._project_back(update, state), alpha=-step_size)
                self._update_moments(grad, state, group["shampoo_beta"])
                if state["step"] % self.precondition_frequency == 0:
                    for basis, moment in zip(state["Q"], state["GG"]):
                        q, _ = torch.linalg.qr(moment @ basis)
                        basis.copy_(q * torch.sign((q * basis).sum(0)))
                state["step"] += 1
