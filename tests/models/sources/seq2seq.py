"""Translation by two LSTMs and additive attention, over packed sequences of different lengths (https://arxiv.org/abs/1409.0473)."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

PAD, SOS, EOS = 0, 1, 2


class Encoder(nn.Module):
    def __init__(self, vocab, emb_dim, hid_dim):
        super().__init__()
        self.embedding = nn.Embedding(vocab, emb_dim, padding_idx=PAD)
        self.rnn = nn.LSTM(emb_dim, hid_dim, batch_first=True, bidirectional=True)
        self.reduce_h = nn.Linear(2 * hid_dim, hid_dim)
        self.reduce_c = nn.Linear(2 * hid_dim, hid_dim)

    def forward(self, src, lengths):
        packed = pack_padded_sequence(self.embedding(src), lengths, batch_first=True, enforce_sorted=False)
        outputs, (h, c) = self.rnn(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=src.shape[1])
        h = torch.tanh(self.reduce_h(torch.cat((h[-2], h[-1]), dim=1)))
        c = torch.tanh(self.reduce_c(torch.cat((c[-2], c[-1]), dim=1)))
        return outputs, (h, c)


class Attention(nn.Module):
    def __init__(self, hid_dim):
        super().__init__()
        self.attn = nn.Linear(3 * hid_dim, hid_dim)
        self.v = nn.Linear(hid_dim, 1, bias=False)

    def forward(self, hidden, encoder_outputs, mask):
        hidden = hidden.unsqueeze(1).repeat(1, encoder_outputs.shape[1], 1)
        energy = torch.tanh(self.attn(torch.cat((hidden, encoder_outputs), dim=2)))
        attention = self.v(energy).squeeze(2)
        attention = attention.masked_fill(mask == 0, -1e10)
        return F.softmax(attention, dim=1)


class Decoder(nn.Module):
    def __init__(self, vocab, emb_dim, hid_dim):
        super().__init__()
        self.output_dim = vocab
        self.attention = Attention(hid_dim)
        self.embedding = nn.Embedding(vocab, emb_dim)
        self.rnn = nn.LSTMCell(2 * hid_dim + emb_dim, hid_dim)
        self.fc_out = nn.Linear(3 * hid_dim + emb_dim, vocab)

    def forward(self, input, state, encoder_outputs, mask):
        embedded = self.embedding(input)
        a = self.attention(state[0], encoder_outputs, mask)
        weighted = torch.bmm(a.unsqueeze(1), encoder_outputs).squeeze(1)
        hidden, cell = self.rnn(torch.cat((embedded, weighted), dim=1), state)
        prediction = self.fc_out(torch.cat((hidden, weighted, embedded), dim=1))
        return prediction, (hidden, cell), a


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, src, src_len, trg, teacher_forcing=True):
        batch_size, trg_len = trg.shape
        outputs = torch.zeros(batch_size, trg_len, self.decoder.output_dim, device=src.device)
        encoder_outputs, state = self.encoder(src, src_len)
        mask = src != PAD
        token = trg[:, 0]
        for t in range(1, trg_len):
            output, state, _ = self.decoder(token, state, encoder_outputs, mask)
            outputs[:, t] = output
            token = trg[:, t] if teacher_forcing and t % 3 else output.argmax(1)  # now and then from its own words
        return outputs


def init_weights(m):
    for name, param in m.named_parameters():
        if "weight" in name:
            nn.init.normal_(param.data, mean=0, std=0.1)
        else:
            nn.init.constant_(param.data, 0)


def build():
    model = Seq2Seq(Encoder(23, 8, 12), Decoder(19, 8, 12))
    model.apply(init_weights)
    return model


LENGTHS = [7, 4, 6, 5]


def batch(seed):
    random = np.random.default_rng(seed)
    src = np.zeros((4, 7), np.int64)
    for row, length in enumerate(LENGTHS):
        src[row, :length] = random.integers(3, 23, length)
    trg = np.concatenate([np.full((4, 1), SOS), src[:, :5] % 16 + 3 * (src[:, :5] > 0), np.full((4, 1), EOS)], axis=1)
    return torch.from_numpy(src), torch.from_numpy(trg)


def loss(model, batch):
    src, trg = batch
    output = model(src, LENGTHS, trg)
    output_dim = output.shape[-1]
    criterion = nn.CrossEntropyLoss(ignore_index=PAD)
    return criterion(output[:, 1:].reshape(-1, output_dim), trg[:, 1:].reshape(-1))


def optimizer(model):
    return optim.Adam(model.parameters(), lr=0.005)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
