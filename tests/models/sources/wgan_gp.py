"""A Wasserstein GAN with a gradient penalty (https://arxiv.org/abs/1704.00028) and a spectrally normalised critic."""

import numpy as np
import torch
from torch import autograd, nn
from torch.nn.utils import spectral_norm


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3),
                                  nn.InstanceNorm2d(channels, affine=True), nn.ReLU(inplace=True))

    def forward(self, x):
        return x + self.body(x)


class Networks(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 4 * 16), nn.Unflatten(1, (4, 4, 4)), nn.Upsample(scale_factor=2), Residual(4),
                                       nn.Conv2d(4, 1, 3, padding=1), nn.Tanh())
        self.critic = nn.Sequential(spectral_norm(nn.Conv2d(1, 4, 3, stride=2, padding=1)), nn.Softplus(),
                                    nn.Flatten(), spectral_norm(nn.Linear(64, 1)))

    def forward(self, z):
        return self.critic(self.generator(z)).view(-1)


@torch.enable_grad()
def compute_gradient_penalty(critic, real, fake, alpha):
    interpolates = (alpha * real + ((1 - alpha) * fake)).requires_grad_(True)
    d_interpolates = critic(interpolates)
    gradients = autograd.grad(outputs=d_interpolates, inputs=interpolates, grad_outputs=torch.ones_like(d_interpolates),
                              create_graph=True, retain_graph=True, only_inputs=True)[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def build():
    return Networks()


def batch(seed):
    random = np.random.default_rng(seed)
    real = np.tanh(random.standard_normal((3, 1, 8, 8)).cumsum(-1))
    arrays = real, random.standard_normal((3, 4)), random.random((3, 1, 1, 1))
    return tuple(torch.from_numpy(a.astype(np.float32)) for a in arrays)


def loss(model, batch):
    real, z, alpha = batch
    fake_scores = model(z)
    with torch.no_grad():
        fake = model.generator(z)
    penalty = compute_gradient_penalty(model.critic, real.data, fake.data, alpha)
    return fake_scores.mean() - model.critic(real).mean() + 10 * penalty


def optimizer(model):
    return (torch.optim.Adam(model.critic.parameters(), lr=1e-3, betas=(0.0, 0.9)),
            torch.optim.Adam(model.generator.parameters(), lr=1e-3, betas=(0.0, 0.9)))


def step(model, optimizer, batch):
    critic_optimizer, generator_optimizer = optimizer
    model.zero_grad()
    value = loss(model, batch)
    value.backward()
    critic_optimizer.step()
    for p in model.critic.parameters():
        p.requires_grad = False
    generator_optimizer.zero_grad()
    (-model(batch[1]).mean()).backward()
    generator_optimizer.step()
    for p in model.critic.parameters():
        p.requires_grad = True
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
