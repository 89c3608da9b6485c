"""An MLP-Mixer (https://arxiv.org/abs/2105.01601), trained with mixed-up images."""

from functools import partial

import numpy as np
import torch
from torch import nn


class PreNormResidual(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        return self.fn(self.norm(x)) + x


def feed_forward(dim, expansion, dense):
    inner = int(dim * expansion)
    return nn.Sequential(dense(dim, inner), nn.GELU(), dense(inner, dim))


class Patches(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        x = x.unfold(2, self.size, self.size).unfold(3, self.size, self.size)  # (B, C, H/s, W/s, s, s)
        return x.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=1)


def mixer(image_size, channels, patch_size, dim, depth, num_classes):
    num_patches = (image_size // patch_size) ** 2
    chan_first, chan_last = partial(nn.Conv1d, kernel_size=1), nn.Linear
    return nn.Sequential(
        Patches(patch_size),
        nn.Linear((patch_size**2) * channels, dim),
        *[nn.Sequential(
            PreNormResidual(dim, feed_forward(num_patches, 2, chan_first)),
            PreNormResidual(dim, feed_forward(dim, 0.5, chan_last)),
        ) for _ in range(depth)],
        nn.LayerNorm(dim),
        Mean(),
        nn.Linear(dim, num_classes),
    )


def build():
    return mixer(image_size=12, channels=3, patch_size=4, dim=16, depth=1, num_classes=5)


def batch(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 5, 6)
    images = random.standard_normal((6, 3, 12, 12)) + labels[:, None, None, None] / 3
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels), torch.from_numpy(random.permutation(6))


def loss(model, batch, share=0.3):
    images, labels, order = batch
    one_hot = nn.functional.one_hot(labels, 5).to(images.dtype)
    mixed = share * images + (1 - share) * images[order]
    targets = torch.lerp(one_hot[order], one_hot, share)
    return nn.functional.cross_entropy(model(mixed), targets)


def optimizer(model):
    return torch.optim.NAdam(model.parameters(), lr=2e-3, decoupled_weight_decay=True, weight_decay=0.01)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
