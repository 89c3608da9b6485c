"""A tagger: a recurrent network under a conditional random field, with its best path (https://arxiv.org/abs/1508.01991)."""

import numpy as np
import torch
import torch.nn as nn


class CRF(nn.Module):
    def __init__(self, num_tags):
        super().__init__()
        self.start_transitions = nn.Parameter(torch.empty(num_tags))
        self.end_transitions = nn.Parameter(torch.empty(num_tags))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        for p in self.parameters():
            nn.init.uniform_(p, -0.1, 0.1)

    def forward(self, emissions, tags, mask):
        return self._compute_score(emissions, tags, mask) - self._compute_normalizer(emissions, mask)

    def _compute_score(self, emissions, tags, mask):
        length, batch_size = tags.shape
        rows = torch.arange(batch_size)
        weights = mask.type_as(emissions)
        score = self.start_transitions[tags[0]]
        score += emissions[0, rows, tags[0]]
        for i in range(1, length):
            score += self.transitions[tags[i - 1], tags[i]] * weights[i]
            score += emissions[i, rows, tags[i]] * weights[i]
        seq_ends = mask.long().sum(dim=0) - 1
        score += self.end_transitions[tags[seq_ends, rows]]
        return score

    def _compute_normalizer(self, emissions, mask):
        score = self.start_transitions + emissions[0]
        for i in range(1, emissions.size(0)):
            next_score = score.unsqueeze(2) + self.transitions + emissions[i].unsqueeze(1)
            next_score = torch.logsumexp(next_score, dim=1)
            score = torch.where(mask[i].unsqueeze(1), next_score, score)
        return torch.logsumexp(score + self.end_transitions, dim=1)

    @torch.no_grad()
    def decode(self, emissions):
        score, history = self.start_transitions + emissions[0], []
        for emission in emissions[1:]:
            best, indices = (score.unsqueeze(2) + self.transitions + emission.unsqueeze(1)).max(dim=1)
            score = best
            score += emission * 0
            history.append(indices)
        tags = [(score + self.end_transitions).argmax(dim=1)]
        for indices in reversed(history):
            tags.append(indices.gather(1, tags[-1].unsqueeze(1)).squeeze(1))
        return torch.stack(tags[::-1])


class Tagger(nn.Module):
    def __init__(self, vocab=15, tags=4, hidden=6):
        super().__init__()
        self.embed = nn.Embedding(vocab, 8, padding_idx=0)
        self.rnn = nn.GRU(8, hidden, bidirectional=True)
        self.to_tags = nn.Linear(2 * hidden, tags)
        self.crf = CRF(tags)

    def forward(self, words):
        emissions = self.to_tags(self.rnn(self.embed(words))[0])
        return emissions, self.crf.decode(emissions)


def build():
    return Tagger()


def batch(seed):
    random = np.random.default_rng(seed)
    words = random.integers(1, 15, (6, 4))
    words[np.arange(6)[:, None] >= random.integers(3, 7, 4)] = 0
    return torch.from_numpy(words), torch.from_numpy(words % 4)


def loss(model, batch):
    words, tags = batch
    emissions, _ = model(words)
    return -model.crf(emissions, tags, words.ne(0)).mean()


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4)


def step(model, optimizer, batch):
    model.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
