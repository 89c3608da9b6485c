"""Model-agnostic meta-learning (https://arxiv.org/abs/1703.03400): gradients through the steps of an inner training."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, vmap


class MAML(nn.Module):
    def __init__(self, inner_lr=0.1, inner_steps=2):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 1))
        self.inner_lr, self.inner_steps = inner_lr, inner_steps

    def adapted(self, x, y):
        def inner_loss(params):
            return F.mse_loss(functional_call(self.net, params, (x,)), y)

        params = dict(self.net.named_parameters())
        for _ in range(self.inner_steps):
            grads = grad(inner_loss)(params)
            params = {name: p - self.inner_lr * grads[name] for name, p in params.items()}
        return params

    def forward(self, x_support, y_support, x_query):
        def one_task(x, y, query):
            return functional_call(self.net, self.adapted(x, y), (query,))

        return vmap(one_task)(x_support, y_support, x_query)


def build():
    return MAML()


def batch(seed):
    random = np.random.default_rng(seed)
    amplitude, phase = random.random((3, 1, 1)) * 4 + 1, random.random((3, 1, 1)) * np.pi
    x = random.random((3, 10, 1)) * 10 - 5
    y = amplitude * np.sin(x + phase)
    arrays = x[:, :5], y[:, :5], x[:, 5:], y[:, 5:]
    return tuple(torch.from_numpy(a.astype(np.float32)) for a in arrays)


def loss(model, batch):
    x_support, y_support, x_query, y_query = batch
    return F.mse_loss(model(x_support, y_support, x_query), y_query)


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-2)


def step(model, optimizer, batch):
    value = loss(model, batch)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
