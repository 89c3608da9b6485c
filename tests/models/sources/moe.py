"""A mixture of experts: the two best of several networks for each token, with a loss that balances them (arXiv 1701.06538)."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Expert(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_embd, 2 * n_embd), nn.Mish(), nn.Linear(2 * n_embd, n_embd))

    def forward(self, x):
        return self.net(x)


class TopkRouter(nn.Module):
    def __init__(self, n_embed, num_experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.linear = nn.Linear(n_embed, num_experts)

    def forward(self, mh_output):
        logits = self.linear(mh_output)
        top_k_logits, indices = logits.topk(self.top_k, dim=-1)
        sparse_logits = torch.full_like(logits, float("-inf")).scatter(-1, indices, top_k_logits)
        return F.softmax(sparse_logits, dim=-1), indices, logits


class SparseMoE(nn.Module):
    def __init__(self, n_embed, num_experts=4, top_k=2):
        super().__init__()
        self.num_experts = num_experts
        self.router = TopkRouter(n_embed, num_experts, top_k)
        self.experts = nn.ModuleList([Expert(n_embed) for _ in range(num_experts)])

    def forward(self, x):
        gates, indices, logits = self.router(x)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-2)  # (B, T, E, C)
        out = torch.einsum("bte,btec->btc", gates, outputs)
        chosen = F.one_hot(indices, self.num_experts).sum(dim=-2).to(x.dtype)
        balance = self.num_experts * (chosen.mean((0, 1)) * logits.softmax(-1).mean((0, 1))).sum()
        z_loss = torch.logsumexp(logits, dim=-1).square().mean()
        return out, balance + 0.1 * z_loss


class Model(nn.Module):
    def __init__(self, vocab=21, dim=12, layers=2):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.mix = nn.GRU(dim, dim, batch_first=True)
        self.layers = nn.ModuleList(SparseMoE(dim) for _ in range(layers))
        self.norms = nn.ModuleList(nn.RMSNorm(dim) for _ in range(layers))
        self.head = nn.Linear(dim, vocab)

    def forward(self, tokens):
        x, _ = self.mix(self.embed(tokens))
        auxiliary = x.new_zeros(())
        for norm, layer in zip(self.norms, self.layers):
            y, extra = layer(norm(x))
            x, auxiliary = x + y, auxiliary + extra
        return self.head(x), auxiliary


def build():
    return Model()


def batch(seed):
    random = np.random.default_rng(seed)
    tokens = (random.integers(0, 21, (4, 1)) + random.integers(1, 4, (4, 1)) * np.arange(9)) % 21
    return torch.from_numpy(tokens[:, :-1].copy()), torch.from_numpy(tokens[:, 1:].copy())


def loss(model, batch):
    x, y = batch
    logits, auxiliary = model(x)
    return F.cross_entropy(logits.transpose(1, 2), y) + 0.01 * auxiliary


def optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=5e-3)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
