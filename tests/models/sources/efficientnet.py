"""An EfficientNet: MBConv blocks with squeeze-and-excitation and stochastic depth (https://arxiv.org/abs/1905.11946)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class BlockConfig:
    expand: int
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    repeats: int


def round_filters(filters, width, divisor=4):
    new = max(divisor, int(filters * width + divisor / 2) // divisor * divisor)
    if new < 0.9 * filters * width:
        new += divisor
    return int(new)


class SqueezeExcitation(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        scale = x.mean((2, 3), keepdim=True)
        scale = torch.sigmoid(self.expand(F.silu(self.reduce(scale))))
        return x * scale


def drop_path(x, p, training):
    """Drops whole rows of the batch."""
    if p == 0.0 or not training:
        return x
    keep = 1 - p
    mask = torch.floor(keep + torch.rand([x.shape[0], 1, 1, 1], dtype=x.dtype, device=x.device))
    return x / keep * mask


class MBConv(nn.Module):
    def __init__(self, config, stride, in_channels, drop=0.0, se_ratio=0.25):
        super().__init__()
        hidden = in_channels * config.expand
        norm = dict(momentum=0.01, eps=1e-3)
        self.expand_conv = None
        if config.expand != 1:
            self.expand_conv = nn.Sequential(nn.Conv2d(in_channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden, **norm),
                                             nn.SiLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(hidden, hidden, config.kernel, stride=stride, padding=config.kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden, **norm), nn.SiLU())
        self.se = SqueezeExcitation(hidden, max(1, int(in_channels * se_ratio)))
        self.project = nn.Sequential(nn.Conv2d(hidden, config.out_channels, 1, bias=False),
                                     nn.BatchNorm2d(config.out_channels, **norm))
        self.skip = stride == 1 and in_channels == config.out_channels
        self.drop = drop

    def forward(self, inputs):
        x = inputs
        if self.expand_conv is not None:
            x = self.expand_conv(x)
        x = self.project(self.se(self.depthwise(x)))
        if self.skip:
            x = drop_path(x, self.drop, self.training) + inputs
        return x


class EfficientNet(nn.Module):
    def __init__(self, width=1.0, depth=1.0, num_classes=7, drop=0.0):
        super().__init__()
        configs = [BlockConfig(1, 3, 1, 8, 8, 1), BlockConfig(2, 5, 2, 8, 12, 2)]
        stem = round_filters(8, width)
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(stem),
                                  nn.SiLU(inplace=True))
        self.blocks = nn.ModuleList([])
        for config in configs:
            for i in range(int(math.ceil(depth * config.repeats))):
                first = i == 0
                self.blocks.append(MBConv(config, config.stride if first else 1,
                                          config.in_channels if first else config.out_channels, drop))
        self.head = nn.Conv2d(configs[-1].out_channels, 20, kernel_size=1, bias=False)
        self.head_norm = nn.BatchNorm2d(20)
        self.fc = nn.Linear(20, num_classes)

    def extract_features(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return F.silu(self.head_norm(self.head(x)))

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.extract_features(x), 1).squeeze(-1).squeeze(-1)
        return self.fc(x)


def build():
    return EfficientNet()


def batch(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, 3)
    images = random.standard_normal((3, 3, 12, 12)) + labels[:, None, None, None] / 3
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)


def loss(model, batch):
    images, labels = batch
    return F.cross_entropy(model(images), labels, label_smoothing=0.1)


def optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=2.0)
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
