"""A WaveNet on mu-law samples (https://arxiv.org/abs/1609.03499): gated dilated causal convolutions with skips."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def mu_law_encode(audio, channels):
    mu = channels - 1
    safe = torch.clamp(audio, -1, 1)
    compressed = torch.sign(safe) * torch.log1p(mu * torch.abs(safe)) / np.log1p(mu)
    return ((compressed + 1) / 2 * mu + 0.5).long()


class CausalConv1d(nn.Conv1d):
    def __init__(self, in_channels, out_channels, kernel_size, dilation=1):
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation)
        self.left = (kernel_size - 1) * dilation

    def forward(self, x):
        return super().forward(F.pad(x, (self.left, 0)))


class WaveNet(nn.Module):
    def __init__(self, classes=16, residual=6, skip=8, dilations=(1, 2)):
        super().__init__()
        self.classes = classes
        self.causal = CausalConv1d(classes, residual, 2)
        self.gates = nn.ModuleList()
        self.residuals = nn.ModuleList()
        self.skips = nn.ModuleList()
        for d in dilations:
            self.gates.append(CausalConv1d(residual, 2 * residual, 2, dilation=d))
            self.residuals.append(nn.Conv1d(residual, residual, 1))
            self.skips.append(nn.Conv1d(residual, skip, 1))
        self.post = nn.Sequential(nn.ReLU(), nn.Conv1d(skip, skip, 1), nn.ReLU(), nn.Conv1d(skip, classes, 1))

    def forward(self, samples):
        x = F.one_hot(samples, self.classes).transpose(1, 2).to(self.causal.weight.dtype)
        x = self.causal(x)
        skips = 0
        for gate, residual, skip in zip(self.gates, self.residuals, self.skips):
            filtered, gated = torch.split(gate(x), x.size(1), dim=1)
            h = torch.tanh(filtered) * torch.sigmoid(gated)
            skips = skips + skip(h)
            x = (x + residual(h)) * 0.5**0.5
        return self.post(skips)


def build():
    return WaveNet()


def batch(seed):
    random = np.random.default_rng(seed)
    phase, pitch = random.random((3, 1)) * 6, random.random((3, 1)) + 0.2
    audio = 0.8 * np.sin(phase + pitch * np.arange(17)) + 0.05 * random.standard_normal((3, 17))
    return (torch.from_numpy(audio.astype(np.float32)),)


def loss(model, batch):
    samples = mu_law_encode(batch[0], model.classes)
    return F.cross_entropy(model(samples[:, :-1]), samples[:, 1:])


def optimizer(model):
    return torch.optim.RAdam(model.parameters(), lr=1e-2)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    torch.nn.utils.clip_grad_value_(model.parameters(), 0.1)
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
