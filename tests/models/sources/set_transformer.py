"""A Set Transformer (https://arxiv.org/abs/1810.00825) that describes mixtures of Gaussians."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class MAB(nn.Module):
    def __init__(self, dim_Q, dim_K, dim_V, num_heads, ln=False):
        super().__init__()
        self.dim_V, self.num_heads = dim_V, num_heads
        self.fc_q, self.fc_k, self.fc_v = nn.Linear(dim_Q, dim_V), nn.Linear(dim_K, dim_V), nn.Linear(dim_K, dim_V)
        if ln:
            self.ln0, self.ln1 = nn.LayerNorm(dim_V), nn.LayerNorm(dim_V)
        self.fc_o = nn.Linear(dim_V, dim_V)

    def forward(self, Q, K):
        Q = self.fc_q(Q)
        K, V = self.fc_k(K), self.fc_v(K)
        dim_split = self.dim_V // self.num_heads
        Q_, K_, V_ = (torch.cat(x.split(dim_split, 2), 0) for x in (Q, K, V))
        A = torch.softmax(Q_.bmm(K_.transpose(1, 2)) / math.sqrt(self.dim_V), 2)
        O = torch.cat((Q_ + A.bmm(V_)).split(Q.size(0), 0), 2)
        O = O if getattr(self, "ln0", None) is None else self.ln0(O)
        O = O + F.relu(self.fc_o(O))
        return O if getattr(self, "ln1", None) is None else self.ln1(O)


class ISAB(nn.Module):
    def __init__(self, dim_in, dim_out, num_heads, num_inds, ln=False):
        super().__init__()
        self.I = nn.Parameter(torch.Tensor(1, num_inds, dim_out))
        nn.init.xavier_uniform_(self.I)
        self.mab0 = MAB(dim_out, dim_in, dim_out, num_heads, ln=ln)
        self.mab1 = MAB(dim_in, dim_out, dim_out, num_heads, ln=ln)

    def forward(self, X):
        H = self.mab0(self.I.repeat(X.size(0), 1, 1), X)
        return self.mab1(X, H)


class PMA(nn.Module):
    def __init__(self, dim, num_heads, num_seeds, ln=False):
        super().__init__()
        self.S = nn.Parameter(torch.Tensor(1, num_seeds, dim))
        nn.init.xavier_uniform_(self.S)
        self.mab = MAB(dim, dim, dim, num_heads, ln=ln)

    def forward(self, X):
        return self.mab(self.S.repeat(X.size(0), 1, 1), X)


class SetTransformer(nn.Module):
    def __init__(self, dim_input, num_outputs, dim_output, num_inds=4, dim_hidden=8, num_heads=2, ln=True):
        super().__init__()
        self.enc = nn.Sequential(ISAB(dim_input, dim_hidden, num_heads, num_inds, ln=ln),
                                 ISAB(dim_hidden, dim_hidden, num_heads, num_inds, ln=ln))
        self.dec = nn.Sequential(PMA(dim_hidden, num_heads, num_outputs, ln=ln), nn.Linear(dim_hidden, dim_output))

    def forward(self, X):
        return self.dec(self.enc(X))


class MixtureOfMVNs:
    """Diagonal Gaussians, from what the network gives."""

    def parse(self, raw):
        pi = torch.softmax(raw[..., 0], 1)
        mu = raw[..., 1:3]
        sigma = F.softplus(raw[..., 3:])
        return pi, mu, sigma

    def log_prob(self, X, pi, mu, sigma):
        X = X.unsqueeze(2)
        diff = X - mu.unsqueeze(1)
        ll = -0.5 * math.log(2 * math.pi) - sigma.log().unsqueeze(1) - 0.5 * (diff / sigma.unsqueeze(1)) ** 2
        return torch.logsumexp(ll.sum(-1) + (pi + 1e-10).log().unsqueeze(1), dim=-1).sum(1).mean()


def build():
    return SetTransformer(2, 3, 5)


def batch(seed):
    random = np.random.default_rng(seed)
    centres = random.standard_normal((4, 3, 2)) * 2
    points = centres[np.arange(4)[:, None], random.integers(0, 3, (4, 12))] + 0.3 * random.standard_normal((4, 12, 2))
    return (torch.from_numpy(points.astype(np.float32)),)


def loss(model, batch):
    (points,) = batch
    mixture = MixtureOfMVNs()
    return -mixture.log_prob(points, *mixture.parse(model(points))) / points.size(1)


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-2)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
