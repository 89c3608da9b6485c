"""A Fourier neural operator (https://arxiv.org/abs/2010.08895): complex weights on the low frequencies."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class SpectralConv1d(nn.Module):
    def __init__(self, in_channels, out_channels, modes1):
        super().__init__()
        self.out_channels, self.modes1 = out_channels, modes1
        self.scale = 1 / (in_channels * out_channels)
        self.weights1 = nn.Parameter(self.scale * torch.rand(in_channels, out_channels, self.modes1, 2))

    def compl_mul1d(self, input, weights):
        return torch.einsum("bix,iox->box", input, weights)

    def forward(self, x):
        batchsize = x.shape[0]
        x_ft = torch.fft.rfft(x)
        out_ft = torch.zeros(batchsize, self.out_channels, x.size(-1) // 2 + 1, device=x.device, dtype=x_ft.dtype)
        out_ft[:, :, : self.modes1] = self.compl_mul1d(x_ft[:, :, : self.modes1], torch.view_as_complex(self.weights1))
        return torch.fft.irfft(out_ft, n=x.size(-1))


class FNO1d(nn.Module):
    def __init__(self, modes=4, width=6):
        super().__init__()
        self.fc0 = nn.Linear(2, width)
        self.spectral = nn.ModuleList([SpectralConv1d(width, width, modes) for _ in range(2)])
        self.w = nn.ModuleList([nn.Conv1d(width, width, 1) for _ in range(2)])
        self.fc1, self.fc2 = nn.Linear(width, 12), nn.Linear(12, 1)

    def forward(self, x):
        x = torch.cat((x, self.get_grid(x.shape, x.device).to(x.dtype)), dim=-1)
        x = self.fc0(x).permute(0, 2, 1)
        for i, (spectral, w) in enumerate(zip(self.spectral, self.w)):
            x = spectral(x) + w(x)
            if i == 0:
                x = F.gelu(x)
        return self.fc2(F.gelu(self.fc1(x.permute(0, 2, 1))))

    def get_grid(self, shape, device):
        batchsize, size_x = shape[0], shape[1]
        gridx = torch.tensor(np.linspace(0, 1, size_x), dtype=torch.float)
        return gridx.reshape(1, size_x, 1).repeat([batchsize, 1, 1]).to(device)


class LpLoss:
    """Relative error in a p norm."""

    def __init__(self, p=2):
        self.p = p

    def __call__(self, x, y):
        num_examples = x.size()[0]
        diff_norms = torch.norm(x.reshape(num_examples, -1) - y.reshape(num_examples, -1), self.p, 1)
        y_norms = torch.norm(y.reshape(num_examples, -1), self.p, 1)
        return torch.mean(diff_norms / y_norms)


def build():
    return FNO1d()


def batch(seed):
    random = np.random.default_rng(seed)
    grid = np.linspace(0, 1, 16, endpoint=False)
    a, shift = random.random((4, 1)) + 0.5, random.random((4, 1))
    x, y = a * np.sin(2 * np.pi * (grid + shift)), a * np.cos(4 * np.pi * (grid + shift))
    return tuple(torch.from_numpy(v[..., None].astype(np.float32)) for v in (x, y))


def loss(model, batch):
    x, y = batch
    return LpLoss()(model(x), y)


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
