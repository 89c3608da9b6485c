"""A neural ODE by Runge-Kutta steps of fixed size; the vector field also says its divergence (https://arxiv.org/abs/1806.07366)."""

import numpy as np
import torch
import torch.nn as nn


class ODEFunc(nn.Module):
    def __init__(self, dim=2, hidden=12):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim + 1, hidden), nn.Tanh(), nn.Linear(hidden, dim))
        self.nfe = 0
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.1)
                nn.init.constant_(m.bias, val=0)

    def forward(self, t, state):
        y, _ = state
        self.nfe += 1
        with torch.enable_grad():
            if not y.requires_grad:
                y = y.requires_grad_(True)
            time = torch.ones_like(y[:, :1]) * t
            dy = self.net(torch.cat([y, time], dim=1))
            divergence = 0.0
            for i in range(y.shape[1]):
                divergence = divergence + torch.autograd.grad(dy[:, i].sum(), y, create_graph=True)[0][:, i]
        return dy, -divergence


def rk4_step(func, t, dt, state):
    def moved(k, scale):
        return tuple(s + scale * dt * d for s, d in zip(state, k))

    k1 = func(t, state)
    k2 = func(t + dt / 2, moved(k1, 0.5))
    k3 = func(t + dt / 2, moved(k2, 0.5))
    k4 = func(t + dt, moved(k3, 1.0))
    return tuple(s + (a + 2 * b + 2 * c + d) * dt / 6 for s, a, b, c, d in zip(state, k1, k2, k3, k4))


def odeint(func, state, times):
    trajectory = [state]
    for t0, t1 in zip(times[:-1], times[1:]):
        state = rk4_step(func, t0, t1 - t0, state)
        trajectory.append(state)
    return tuple(torch.stack(part) for part in zip(*trajectory))


class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.func = ODEFunc()
        self.register_buffer("times", torch.linspace(1.0, 0.0, 4))

    def forward(self, x):
        zero = torch.zeros(x.shape[0]).type_as(x)
        z, change = odeint(self.func, (x, zero), self.times)
        base = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
        return base.log_prob(z[-1]) - change[-1]


def build():
    return Flow()


def batch(seed):
    random = np.random.default_rng(seed)
    angle = random.random(16) * 2 * np.pi
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.1 * random.standard_normal((16, 2))
    return (torch.from_numpy(points.astype(np.float32)),)


def loss(model, batch):
    return -model(batch[0]).mean()


def optimizer(model):
    return torch.optim.Adamax(model.parameters(), lr=1e-2)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
