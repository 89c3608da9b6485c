"""Contrastive learning of two views of each image (https://arxiv.org/abs/2002.05709)."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class SimCLR(nn.Module):
    def __init__(self, features=12, dim=8):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(features, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.projector = nn.Sequential(nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, dim))

    def forward(self, x):
        return self.projector(self.backbone(x))


def info_nce_loss(features, n_views=2, temperature=0.2):
    batch_size = features.shape[0] // n_views
    labels = torch.cat([torch.arange(batch_size) for i in range(n_views)], dim=0)
    labels = (labels.unsqueeze(0) == labels.unsqueeze(1)).float()
    features = F.normalize(features, dim=1)
    similarity_matrix = torch.matmul(features, features.T)
    mask = torch.eye(labels.shape[0], dtype=torch.bool)
    labels = labels[~mask].view(labels.shape[0], -1)
    similarity_matrix = similarity_matrix[~mask].view(similarity_matrix.shape[0], -1)
    positives = similarity_matrix[labels.bool()].view(labels.shape[0], -1)
    negatives = similarity_matrix[~labels.bool()].view(similarity_matrix.shape[0], -1)
    logits = torch.cat([positives, negatives], dim=1)
    return logits / temperature, torch.zeros(logits.shape[0], dtype=torch.long)


def build():
    return SimCLR()


def batch(seed):
    random = np.random.default_rng(seed)
    images = random.standard_normal((5, 12))
    views = [images + 0.2 * random.standard_normal(images.shape) for _ in range(2)]
    return (torch.from_numpy(np.concatenate(views).astype(np.float32)),)


def loss(model, batch):
    logits, labels = info_nce_loss(model(batch[0]))
    return F.cross_entropy(logits, labels)


def optimizer(model):
    return torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-4)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
