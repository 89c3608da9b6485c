"""A network that solves Burgers' equation: its loss holds second derivatives (https://arxiv.org/abs/1711.10561)."""

import numpy as np
import torch
import torch.nn as nn


class Sine(nn.Module):
    def __init__(self, w0=2.0):
        super().__init__()
        self.w0 = w0

    def forward(self, x):
        return torch.sin(self.w0 * x)


class PINN(nn.Module):
    def __init__(self, layers=(2, 16, 16, 1)):
        super().__init__()
        net = []
        for i, (a, b) in enumerate(zip(layers, layers[1:])):
            net.append(nn.Linear(a, b))
            nn.init.xavier_normal_(net[-1].weight, gain=nn.init.calculate_gain("tanh"))
            if i < len(layers) - 2:
                net.append(Sine() if i == 0 else nn.Tanh())
        self.net = nn.Sequential(*net)
        self.nu = nn.Parameter(torch.tensor(0.05))

    def forward(self, x, t):
        return self.net(torch.cat([x, t], dim=1))

    @torch.enable_grad()
    def residual(self, x, t):
        x, t = x.clone().requires_grad_(True), t.clone().requires_grad_(True)
        u = self(x, t)
        u_x, u_t = torch.autograd.grad(u, (x, t), grad_outputs=torch.ones_like(u), create_graph=True)
        u_xx = torch.autograd.grad(u_x, x, grad_outputs=torch.ones_like(u_x), create_graph=True)[0]
        return u_t + u * u_x - self.nu.abs() * u_xx


def build():
    return PINN()


def batch(seed):
    random = np.random.default_rng(seed)
    x, t, x0 = random.uniform(-1, 1, (16, 1)), random.random((16, 1)), random.uniform(-1, 1, (8, 1))
    return tuple(torch.from_numpy(a.astype(np.float32)) for a in (x, t, x0))


def loss(model, batch):
    x, t, x0 = batch
    initial = -torch.sin(np.pi * x0)
    edges = torch.cat([model(torch.full_like(t, side), t) for side in (-1.0, 1.0)])
    parts = [model.residual(x, t), model(x0, torch.zeros_like(x0)) - initial, edges]
    return sum(part.square().mean() for part in parts)


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=5e-3)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
