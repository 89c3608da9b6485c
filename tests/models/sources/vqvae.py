"""A VQ-VAE (https://arxiv.org/abs/1711.00937): nearest codes, straight-through gradients, codes as running averages."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Quantize(nn.Module):
    def __init__(self, dim, n_embed, decay=0.9, eps=1e-5):
        super().__init__()
        self.dim, self.n_embed, self.decay, self.eps = dim, n_embed, decay, eps
        embed = torch.randn(dim, n_embed)
        self.register_buffer("embed", embed)
        self.register_buffer("cluster_size", torch.zeros(n_embed))
        self.register_buffer("embed_avg", embed.clone())

    def forward(self, input):
        flatten = input.reshape(-1, self.dim)
        dist = flatten.pow(2).sum(1, keepdim=True) - 2 * flatten @ self.embed + self.embed.pow(2).sum(0, keepdim=True)
        _, embed_ind = (-dist).max(1)
        embed_onehot = F.one_hot(embed_ind, self.n_embed).type(flatten.dtype)
        embed_ind = embed_ind.view(*input.shape[:-1])
        quantize = self.embed_code(embed_ind)
        if self.training:
            self.cluster_size.data.mul_(self.decay).add_(embed_onehot.sum(0), alpha=1 - self.decay)
            embed_sum = flatten.detach().transpose(0, 1) @ embed_onehot
            self.embed_avg.data.mul_(self.decay).add_(embed_sum, alpha=1 - self.decay)
            n = self.cluster_size.sum()
            cluster_size = (self.cluster_size + self.eps) / (n + self.n_embed * self.eps) * n
            self.embed.data.copy_(self.embed_avg / cluster_size.unsqueeze(0))
        diff = (quantize.detach() - input).pow(2).mean()
        quantize = input + (quantize - input).detach()
        return quantize, diff, embed_ind

    def embed_code(self, embed_id):
        return F.embedding(embed_id, self.embed.transpose(0, 1))


class VQVAE(nn.Module):
    def __init__(self, channel=8, embed_dim=4, n_embed=6):
        super().__init__()
        self.enc = nn.Sequential(nn.Conv2d(1, channel, 4, stride=2, padding=1), nn.ReLU(inplace=True),
                                 nn.Conv2d(channel, embed_dim, 1))
        self.quantize = Quantize(embed_dim, n_embed)
        self.dec = nn.Sequential(nn.Conv2d(embed_dim, channel, 3, padding="same"), nn.ReLU(inplace=True),
                                 nn.ConvTranspose2d(channel, 1, 4, stride=2, padding=1))

    def forward(self, input):
        quant, diff, codes = self.quantize(self.enc(input).permute(0, 2, 3, 1))
        return self.dec(quant.permute(0, 3, 1, 2)), diff.unsqueeze(0), codes


def build():
    return VQVAE()


def batch(seed):
    random = np.random.default_rng(seed)
    return (torch.from_numpy(np.tanh(random.standard_normal((3, 1, 8, 8)).cumsum(-1)).astype(np.float32)),)


def loss(model, batch):
    (images,) = batch
    out, latent_loss, _ = model(images)
    return F.mse_loss(out, images) + 0.25 * latent_loss.mean()


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=3e-3)


def step(model, optimizer, batch):
    model.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
