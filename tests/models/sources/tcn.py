"""A temporal convolutional network (https://arxiv.org/abs/1803.01271): dilated causal convolutions with normalised weights."""

import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.parametrizations import weight_norm


class Chomp1d(nn.Module):
    """Takes off what padding added at the end."""

    def __init__(self, chomp_size):
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, x):
        return x[:, :, :-self.chomp_size].contiguous()


class TemporalBlock(nn.Module):
    def __init__(self, n_inputs, n_outputs, kernel_size, dilation, dropout=0.0):
        super().__init__()
        padding = (kernel_size - 1) * dilation
        self.conv1 = weight_norm(nn.Conv1d(n_inputs, n_outputs, kernel_size, padding=padding, dilation=dilation))
        self.conv2 = weight_norm(nn.Conv1d(n_outputs, n_outputs, kernel_size, padding=padding, dilation=dilation))
        self.net = nn.Sequential(self.conv1, Chomp1d(padding), nn.ReLU(), nn.Dropout(dropout),
                                 self.conv2, Chomp1d(padding), nn.ReLU(), nn.Dropout(dropout))
        self.downsample = nn.Conv1d(n_inputs, n_outputs, 1) if n_inputs != n_outputs else None
        self.relu = nn.ReLU()

    def forward(self, x):
        out = self.net(x)
        res = x if self.downsample is None else self.downsample(x)
        return self.relu(out + res)


class TCN(nn.Module):
    def __init__(self, input_size, output_size, num_channels, kernel_size=3):
        super().__init__()
        layers = []
        for i, out_channels in enumerate(num_channels):
            in_channels = input_size if i == 0 else num_channels[i - 1]
            layers += [TemporalBlock(in_channels, out_channels, kernel_size, dilation=2**i)]
        self.network = nn.Sequential(*layers)
        self.linear = nn.Linear(num_channels[-1], output_size)

    def forward(self, x):
        return self.linear(self.network(x)[:, :, -1])


def build():
    return TCN(2, 1, [6, 6])


def batch(seed):
    """The adding problem: two of the values are marked, their sum is wanted."""
    random = np.random.default_rng(seed)
    values, marks = random.random((8, 20)), np.zeros((8, 20))
    first, second = random.integers(0, 10, 8), random.integers(10, 20, 8)
    marks[np.arange(8), first] = marks[np.arange(8), second] = 1
    sums = values[np.arange(8), first] + values[np.arange(8), second]
    return (torch.from_numpy(np.stack([values, marks], axis=1).astype(np.float32)),
            torch.from_numpy(sums[:, None].astype(np.float32)))


def loss(model, batch):
    x, y = batch
    return nn.functional.mse_loss(model(x), y)


def optimizer(model):
    return getattr(torch.optim, "Adam")(model.parameters(), lr=4e-3)


def step(model, optimizer, batch, clip=0.5):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    if clip > 0:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
