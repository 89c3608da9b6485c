"""Graph attention (https://arxiv.org/abs/1710.10903) over a list of edges, with the softmax taken per target node."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class GATLayer(nn.Module):
    def __init__(self, in_features, out_features, heads, concat=True, dropout=0.0, add_skip=True):
        super().__init__()
        self.heads, self.out_features, self.concat = heads, out_features, concat
        self.linear_proj = nn.Linear(in_features, heads * out_features, bias=False)
        self.scoring_fn_source = nn.Parameter(torch.Tensor(1, heads, out_features))
        self.scoring_fn_target = nn.Parameter(torch.Tensor(1, heads, out_features))
        self.bias = nn.Parameter(torch.Tensor(heads * out_features if concat else out_features))
        if add_skip:
            self.skip_proj = nn.Linear(in_features, heads * out_features, bias=False)
        else:
            self.register_parameter("skip_proj", None)
        self.leakyReLU = nn.LeakyReLU(0.2)
        self.dropout = nn.Dropout(p=dropout)
        self.init_params()

    def init_params(self):
        nn.init.xavier_uniform_(self.linear_proj.weight)
        nn.init.xavier_uniform_(self.scoring_fn_target)
        nn.init.xavier_uniform_(self.scoring_fn_source)
        torch.nn.init.zeros_(self.bias)

    def forward(self, data):
        nodes, edge_index = data
        num_nodes = nodes.shape[0]
        assert edge_index.shape[0] == 2, f"Expected edge index with shape=(2,E) got {edge_index.shape}"
        source, target = edge_index
        projected = self.dropout(self.linear_proj(self.dropout(nodes)).view(-1, self.heads, self.out_features))
        scores_source = (projected * self.scoring_fn_source).sum(dim=-1)
        scores_target = (projected * self.scoring_fn_target).sum(dim=-1)
        scores = self.leakyReLU(scores_source.index_select(0, source) + scores_target.index_select(0, target))
        attention = self.neighborhood_softmax(scores, target, num_nodes)
        lifted = projected.index_select(0, source) * attention
        out = torch.zeros((num_nodes, self.heads, self.out_features), dtype=nodes.dtype, device=nodes.device)
        out.scatter_add_(0, self.explicit_broadcast(target, lifted), lifted)
        return self.skip_concat_bias(nodes, out), edge_index

    def neighborhood_softmax(self, scores, target, num_nodes):
        exp_scores = (scores - scores.max()).exp()
        sums = torch.zeros(num_nodes, self.heads, dtype=scores.dtype, device=scores.device)
        sums.index_add_(0, target, exp_scores)
        return (exp_scores / (sums[target] + 1e-16)).unsqueeze(-1)

    @staticmethod
    def explicit_broadcast(this, other):
        for _ in range(this.dim(), other.dim()):
            this = this.unsqueeze(-1)
        return this.expand_as(other)

    def skip_concat_bias(self, nodes, out):
        if self.skip_proj is not None:
            out += self.skip_proj(nodes).view(-1, self.heads, self.out_features)
        out = out.view(-1, self.heads * self.out_features) if self.concat else out.mean(dim=1)
        return out + self.bias


class GAT(nn.Module):
    def __init__(self, features, hidden, classes, heads=(2, 3)):
        super().__init__()
        self.gat_net = nn.Sequential(GATLayer(features, hidden, heads[0]))
        self.act = nn.ELU()
        self.last = GATLayer(hidden * heads[0], classes, heads[1], concat=False, add_skip=False)

    def forward(self, nodes, edge_index):
        nodes, edge_index = self.gat_net((nodes, edge_index))
        return self.last((self.act(nodes), edge_index))[0]


def build():
    return GAT(7, 4, 3)


def batch(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, 12)
    nodes = random.standard_normal((12, 7)) + np.eye(3, 7)[labels]
    edges = np.concatenate([random.integers(0, 12, (2, 30)), np.tile(np.arange(12), (2, 1))], axis=1)
    train = random.permutation(12)[:8]
    return torch.from_numpy(nodes.astype(np.float32)), torch.from_numpy(edges), torch.from_numpy(labels), torch.from_numpy(train)


def loss(model, batch):
    nodes, edges, labels, train_indices = batch
    out = F.log_softmax(model(nodes, edges), dim=1)
    return F.nll_loss(out.index_select(0, train_indices), labels[train_indices])


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=5e-4)


def step(model, optimizer, batch):
    value = loss(model, batch)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
