"""A recommender: bags of sparse features, dense features, and the products of all pairs (https://arxiv.org/abs/1906.00091)."""

import numpy as np
import torch
import torch.nn as nn


class DLRM(nn.Module):
    def __init__(self, sizes=(11, 7, 5), dim=6, dense=4):
        super().__init__()
        self.emb_l = nn.ModuleList()
        for mode, n in zip(("sum", "mean", "sum"), sizes):
            bag = nn.EmbeddingBag(n, dim, mode=mode)
            bag.weight.data = torch.from_numpy(np.random.default_rng(n).uniform(-0.3, 0.3, (n, dim)).astype(np.float32))
            self.emb_l.append(bag)
        self.bot_l = self.create_mlp([dense, 8, dim])
        pairs = (len(sizes) + 1) * len(sizes) // 2
        self.top_l = self.create_mlp([pairs + dim, 8, 1], sigmoid_layer=1)

    @staticmethod
    def create_mlp(ln, sigmoid_layer=-1):
        layers = nn.ModuleList()
        for i in range(0, len(ln) - 1):
            n, m = ln[i], ln[i + 1]
            layers.append(nn.Linear(int(n), int(m), bias=True))
            layers.append(nn.Sigmoid() if i == sigmoid_layer else nn.ReLU())
        return torch.nn.Sequential(*layers)

    def interact_features(self, x, ly):
        (batch_size, d) = x.shape
        T = torch.cat([x] + ly, dim=1).view((batch_size, -1, d))
        Z = torch.bmm(T, torch.transpose(T, 1, 2))
        _, ni, nj = Z.shape
        li = torch.tensor([i for i in range(ni) for j in range(i)])
        lj = torch.tensor([j for i in range(nj) for j in range(i)])
        return torch.cat([x] + [Z[:, li, lj]], dim=1)

    def forward(self, dense_x, lS_o, lS_i):
        x = self.bot_l(dense_x.log1p())
        ly = [bag(indices, offsets) for bag, indices, offsets in zip(self.emb_l, lS_i, lS_o)]
        return self.top_l(self.interact_features(x, ly))


def build():
    return DLRM()


def batch(seed):
    random = np.random.default_rng(seed)
    offsets = np.sort(random.integers(0, 9, (3, 4)), axis=1)
    offsets[:, 0] = 0
    indices = np.stack([random.integers(0, n, 9) for n in (11, 7, 5)])
    return (torch.from_numpy(random.random((4, 4)).astype(np.float32)), torch.from_numpy(offsets), torch.from_numpy(indices),
            torch.from_numpy(random.integers(0, 2, (4, 1)).astype(np.float32)))


def loss(model, batch):
    dense, offsets, indices, clicks = batch
    weights = torch.where(clicks > 0, 2.0, 1.0)
    return torch.nn.BCELoss(reduction="none")(model(dense, offsets, indices), clicks).mul(weights).mean()


def optimizer(model):
    return torch.optim.Adagrad(model.parameters(), lr=0.05, initial_accumulator_value=0.1)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
