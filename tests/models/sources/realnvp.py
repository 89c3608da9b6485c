"""RealNVP (https://arxiv.org/abs/1605.08803): coupling layers as transforms of a distribution."""

import numpy as np
import torch
from torch import distributions, nn


class Coupling(distributions.Transform):
    domain = codomain = distributions.constraints.real_vector
    bijective = True

    def __init__(self, mask, scale_net, translate_net):
        super().__init__(cache_size=1)
        self.mask, self.scale_net, self.translate_net = mask, scale_net, translate_net

    def _parts(self, held):
        return self.scale_net(held) * (1 - self.mask), self.translate_net(held) * (1 - self.mask)

    def _call(self, x):
        s, t = self._parts(x * self.mask)
        return x * self.mask + (1 - self.mask) * (x * torch.exp(s) + t)

    def _inverse(self, y):
        s, t = self._parts(y * self.mask)
        return y * self.mask + (1 - self.mask) * (y - t) * torch.exp(-s)

    def log_abs_det_jacobian(self, x, y):
        return self._parts(x * self.mask)[0].sum(-1)


class RealNVP(nn.Module):
    def __init__(self, dim=2, hidden=8, layers=3):
        super().__init__()
        self.register_buffer("masks", torch.stack([torch.arange(dim) % 2 == i % 2 for i in range(layers)]).float())
        self.s = nn.ModuleList([self._net(dim, hidden, nn.Tanh()) for _ in range(layers)])
        self.t = nn.ModuleList([self._net(dim, hidden) for _ in range(layers)])
        self.loc = nn.Parameter(torch.zeros(dim))

    @staticmethod
    def _net(dim, hidden, *last):
        return nn.Sequential(nn.Linear(dim, hidden), nn.LeakyReLU(), nn.Linear(hidden, dim), *last)

    def distribution(self):
        base = distributions.Independent(distributions.Normal(self.loc, torch.ones_like(self.loc)), 1)
        return distributions.TransformedDistribution(base, [Coupling(m, s, t) for m, s, t in zip(self.masks, self.s, self.t)])

    def forward(self, x):
        return self.distribution().log_prob(x)


def build():
    return RealNVP()


def batch(seed):
    random = np.random.default_rng(seed)
    angle, side = random.random(16) * np.pi, random.integers(0, 2, 16)
    points = np.stack([np.cos(angle) + side - 0.5, np.sin(angle) * (1 - 2 * side)], axis=1)
    return (torch.from_numpy((points + 0.05 * random.standard_normal((16, 2))).astype(np.float32)),)


def loss(model, batch):
    return -model(batch[0]).mean()


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=5e-3)


def step(model, optimizer, batch):
    optimizer.zero_grad(set_to_none=True)
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
