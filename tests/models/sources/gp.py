"""A Gaussian process: hyperparameters by the evidence, through a Cholesky factor."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize


class Positive(nn.Module):
    def forward(self, x):
        return nn.functional.softplus(x)

    def right_inverse(self, y):
        return y + torch.log(-torch.expm1(-y))


class GP(nn.Module):
    def __init__(self, dim=2):
        super().__init__()
        self.lengthscale = nn.Parameter(torch.ones(dim))
        self.outputscale = nn.Parameter(torch.tensor(1.0))
        self.noise = nn.Parameter(torch.tensor(0.3))
        self.mean = nn.Parameter(torch.zeros(()))
        for name in ("lengthscale", "outputscale", "noise"):
            parametrize.register_parametrization(self, name, Positive())

    def kernel(self, a, b):
        scaled = torch.cdist(a / self.lengthscale, b / self.lengthscale)
        return self.outputscale * (1 + math.sqrt(3) * scaled) * torch.exp(-math.sqrt(3) * scaled)

    def forward(self, x, y):
        covariance = self.kernel(x, x) + (self.noise + 1e-5) * torch.eye(len(x), dtype=x.dtype)
        factor = torch.linalg.cholesky(covariance)
        residual = (y - self.mean).unsqueeze(-1)
        alpha = torch.cholesky_solve(residual, factor)
        fit = (residual.T @ alpha).squeeze()
        return -0.5 * (fit + 2 * factor.diagonal().log().sum() + len(x) * math.log(2 * math.pi))

    def predict(self, x, y, new):
        factor = torch.linalg.cholesky(self.kernel(x, x) + (self.noise + 1e-5) * torch.eye(len(x), dtype=x.dtype))
        cross = self.kernel(x, new)
        weights = torch.linalg.solve_triangular(factor, cross, upper=False)
        white = torch.linalg.solve_triangular(factor, (y - self.mean)[:, None], upper=False)
        return self.mean + (weights.mT @ white).squeeze(-1), self.kernel(new, new).diagonal() - weights.square().sum(0)


def build():
    return GP()


def batch(seed):
    random = np.random.default_rng(seed)
    x = random.uniform(-2, 2, (12, 2))
    y = np.sin(x[:, 0]) + 0.5 * x[:, 1] + 0.1 * random.standard_normal(12)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.float32))


def loss(model, batch):
    x, y = batch
    mean, variance = model.predict(x[:8], y[:8], x[8:])
    held_out = nn.GaussianNLLLoss()(mean, y[8:], variance + model.noise)
    return -model(x, y) / len(x) + 0.1 * held_out


def optimizer(model):
    return torch.optim.Rprop(model.parameters(), lr=0.01)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
