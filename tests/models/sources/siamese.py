"""Siamese networks: one tower for three inputs, with a triplet, a contrastive and a cosine loss."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class EmbeddingNet(nn.Module):
    def __init__(self, out=6):
        super(EmbeddingNet, self).__init__()
        self.convnet = nn.Sequential(nn.Conv2d(1, 4, 5), nn.PReLU(), nn.MaxPool2d(2, stride=2),
                                     nn.Conv2d(4, 8, 3), nn.PReLU(8), nn.MaxPool2d(2, stride=2))
        self.fc = nn.Sequential(nn.LazyLinear(16), nn.PReLU(), nn.Linear(16, out))

    def forward(self, x):
        output = self.convnet(x)
        output = output.view(output.size()[0], -1)
        return F.normalize(self.fc(output), p=2, dim=1)


class TripletNet(nn.Module):
    def __init__(self, embedding_net):
        super(TripletNet, self).__init__()
        self.embedding_net = embedding_net

    def forward(self, x1, x2, x3):
        return self.embedding_net(x1), self.embedding_net(x2), self.embedding_net(x3)

    def get_embedding(self, x):
        return self.embedding_net(x)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin):
        super().__init__()
        self.margin = margin
        self.eps = 1e-9

    def forward(self, output1, output2, target, size_average=True):
        distances = (output2 - output1).pow(2).sum(1)
        losses = 0.5 * (target.float() * distances
                        + (1 + -1 * target).float() * F.relu(self.margin - (distances + self.eps).sqrt()).pow(2))
        return losses.mean() if size_average else losses.sum()


def build():
    model = TripletNet(EmbeddingNet())
    with torch.no_grad():
        model.get_embedding(torch.zeros(1, 1, 14, 14))  # the lazy layer learns its size
    return model


def batch(seed):
    random = np.random.default_rng(seed)
    classes = random.standard_normal((2, 1, 1, 14, 14))
    noise = random.standard_normal((3, 4, 1, 14, 14)) / 2
    return tuple(torch.from_numpy((classes[i] + noise[j]).astype(np.float32)) for j, i in enumerate((0, 0, 1)))


def loss(model, batch):
    anchor, positive, negative = model(*batch)
    triplet = nn.TripletMarginLoss(margin=0.5)(anchor, positive, negative)
    same, different = torch.ones(len(anchor), dtype=torch.long), torch.zeros(len(anchor), dtype=torch.long)
    contrastive = ContrastiveLoss(1.0)
    pairs = contrastive(anchor, positive, same) + contrastive(anchor, negative, different)
    cosine = F.cosine_embedding_loss(anchor, negative, torch.full((len(anchor),), -1.0), margin=0.1)
    return triplet + pairs + cosine


def optimizer(model):
    return torch.optim.Adagrad(model.parameters(), lr=0.02)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
