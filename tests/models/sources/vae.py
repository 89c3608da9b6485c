"""A variational autoencoder (https://arxiv.org/abs/1312.6114); the noise comes with the batch, so that runs can be compared."""

import numpy as np
import torch
from torch import nn, optim
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F


class VAE(nn.Module):
    def __init__(self, features=36, hidden=24, latent=4):
        super().__init__()
        self.fc1 = nn.Linear(features, hidden)
        self.fc21 = nn.Linear(hidden, latent)
        self.fc22 = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, features)
        self.features = features

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar, eps=None):
        std = torch.exp(0.5 * logvar)
        if eps is None:
            eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x, eps=None):
        mu, logvar = self.encode(x.view(-1, self.features))
        z = self.reparameterize(mu, logvar, eps)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x.view(-1, recon_x.shape[-1]), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    prior = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    again = kl_divergence(Normal(mu, torch.exp(0.5 * logvar)), prior).sum()
    return bce + 0.5 * (kld + again)  # the formula and the library say the same


def build():
    return VAE()


def batch(seed):
    random = np.random.default_rng(seed)
    images = (random.random((8, 1, 6, 6)) < np.linspace(0.1, 0.9, 6)).astype(np.float32)
    return torch.from_numpy(images), torch.from_numpy(random.standard_normal((8, 4)).astype(np.float32))


def loss(model, batch):
    images, noise = batch
    recon, mu, logvar = model(images, noise)
    return loss_function(recon, images, mu, logvar) / len(images)


def optimizer(model):
    return optim.Adam(model.parameters(), lr=1e-2)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
