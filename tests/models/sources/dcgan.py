"""A convolutional GAN (https://arxiv.org/abs/1511.06434): two networks with an optimizer each, trained in turns."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

NZ, NGF, NDF, NC = 6, 4, 4, 1


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        torch.nn.init.normal_(m.weight, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        torch.nn.init.normal_(m.weight, 1.0, 0.02)
        torch.nn.init.zeros_(m.bias)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(NZ, NGF * 2, 4, 1, 0, bias=False), nn.BatchNorm2d(NGF * 2), nn.ReLU(True),
            nn.ConvTranspose2d(NGF * 2, NGF, 4, 2, 1, bias=False), nn.BatchNorm2d(NGF), nn.ReLU(True),
            nn.ConvTranspose2d(NGF, NC, 4, 2, 1, bias=False), nn.Tanh(),
        )  # (B, NC, 16, 16)

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(NC, NDF, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(NDF, NDF * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(NDF * 2), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(NDF * 2, 1, 4, 1, 0, bias=False), nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input).view(-1, 1).squeeze(1)


class GAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.netG = Generator()
        self.netD = Discriminator()
        self.netG.apply(weights_init)
        self.netD.apply(weights_init)

    def forward(self, real, noise):
        return self.netD(real), self.netD(self.netG(noise))


def build():
    return GAN()


def batch(seed):
    random = np.random.default_rng(seed)
    real = np.tanh(random.standard_normal((6, NC, 16, 16)).cumsum(-1))
    noise = random.standard_normal((6, NZ, 1, 1))
    return torch.from_numpy(real.astype(np.float32)), torch.from_numpy(noise.astype(np.float32))


criterion = nn.BCELoss()


def loss(model, batch):
    real_score, fake_score = model(*batch)
    return criterion(real_score, torch.ones_like(real_score)) + criterion(fake_score, torch.zeros_like(fake_score))


def optimizer(model):
    return (optim.Adam(model.netD.parameters(), lr=0.002, betas=(0.5, 0.999)),
            optim.Adam(model.netG.parameters(), lr=0.002, betas=(0.5, 0.999)))


def step(model, optimizer, batch):
    netD, netG = model.netD, model.netG
    optimizerD, optimizerG = optimizer
    real, noise = batch
    # The discriminator: real images are real, made ones are not.
    netD.zero_grad()
    label = torch.full((real.size(0),), 1.0, dtype=real.dtype, device=real.device)
    errD_real = criterion(netD(real), label)
    errD_real.backward()
    fake = netG(noise)
    label.fill_(0.0)
    errD_fake = criterion(netD(fake.detach()), label)
    errD_fake.backward()
    optimizerD.step()
    # The generator: made images should pass for real ones.
    netG.zero_grad()
    label.fill_(1.0)
    errG = criterion(netD(fake), label)
    errG.backward()
    optimizerG.step()
    return errD_real.detach() + errD_fake.detach() + errG.detach()


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
