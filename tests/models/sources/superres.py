"""Super-resolution by sub-pixel convolution (https://arxiv.org/abs/1609.05158), beside a bicubic enlargement."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class ChannelAttention(nn.Module):
    def __init__(self, n_feat, reduction=2):
        super().__init__()
        self.conv_du = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(n_feat, n_feat // reduction, 1), nn.LeakyReLU(0.1),
                                     nn.Conv2d(n_feat // reduction, n_feat, 1), nn.Hardsigmoid())

    def forward(self, x):
        return x * self.conv_du(x)


class Net(nn.Module):
    def __init__(self, upscale_factor=2, width=6):
        super().__init__()
        self.scale = upscale_factor
        self.head = nn.Conv2d(3, width, 3, padding=1, padding_mode="reflect")
        self.body = nn.ModuleList([nn.Sequential(nn.Conv2d(width, width, 3, padding=1, padding_mode="circular"), nn.PReLU(width),
                                                 ChannelAttention(width)) for _ in range(2)])
        self.tail = nn.Sequential(nn.Conv2d(width, 3 * upscale_factor**2, 3, 1, 1), nn.PixelShuffle(upscale_factor))
        self.register_buffer("mean", torch.tensor([0.45, 0.44, 0.4]).view(1, 3, 1, 1))
        nn.init.orthogonal_(self.head.weight, nn.init.calculate_gain("relu"))

    def forward(self, x):
        x = x - self.mean
        enlarged = F.interpolate(x, scale_factor=self.scale, mode="bicubic", align_corners=False)
        x = self.head(x)
        for block in self.body:
            x = x + 0.1 * block(x)
        return (self.tail(x) + enlarged + self.mean).clamp(0, 1)


def total_variation(x):
    return (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., :, 1:] - x[..., :, :-1]).abs().mean()


def build():
    return Net()


def batch(seed):
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:12, :12]
    phase = random.random((2, 3, 1, 1)) * 6
    images = 0.5 + 0.4 * np.sin(phase + 0.5 * rows + 0.3 * columns)
    return (torch.from_numpy(images.astype(np.float32)),)


def loss(model, batch):
    (high,) = batch
    low = F.interpolate(high, size=(6, 6), mode="area")
    made = model(low)
    psnr_like = F.mse_loss(made, high).add(1e-8).log10()
    return F.l1_loss(made, high) + 0.01 * total_variation(made) + 0.05 * psnr_like + 0.1 * F.huber_loss(made, high, delta=0.05)


def optimizer(model):
    return torch.optim.Adadelta(model.parameters(), lr=0.5)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
