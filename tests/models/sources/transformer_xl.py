"""Transformer-XL: relative positions by shifting, and a memory of the last segment (https://arxiv.org/abs/1901.02860)."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class PositionalEmbedding(nn.Module):
    def __init__(self, demb):
        super().__init__()
        self.register_buffer("inv_freq", 1 / (10000 ** (torch.arange(0.0, demb, 2.0) / demb)))

    def forward(self, pos_seq):
        sinusoid_inp = torch.ger(pos_seq, self.inv_freq)
        return torch.cat([sinusoid_inp.sin(), sinusoid_inp.cos()], dim=-1)[:, None, :]


class RelMultiHeadAttn(nn.Module):
    def __init__(self, n_head, d_model):
        super().__init__()
        self.n_head, self.d_head = n_head, d_model // n_head
        self.qkv_net, self.r_net = nn.Linear(d_model, 3 * d_model, bias=False), nn.Linear(d_model, d_model, bias=False)
        self.o_net, self.layer_norm = nn.Linear(d_model, d_model, bias=False), nn.LayerNorm(d_model)
        self.scale = 1 / (self.d_head**0.5)

    def _rel_shift(self, x):
        zero_pad = torch.zeros((x.size(0), 1, *x.size()[2:]), device=x.device, dtype=x.dtype)
        x_padded = torch.cat([zero_pad, x], dim=1)
        x_padded = x_padded.view(x.size(1) + 1, x.size(0), *x.size()[2:])
        return x_padded[1:].view_as(x)

    def forward(self, w, r, r_w_bias, r_r_bias, attn_mask, mems):
        qlen, bsz = w.size(0), w.size(1)
        heads = self.qkv_net(torch.cat([mems, w], 0))
        q, k, v = torch.chunk(heads, 3, dim=-1)
        q, klen, rlen = q[-qlen:], k.size(0), r.size(0)
        q, k, v = (x.contiguous().view(n, bsz, self.n_head, self.d_head) for x, n in ((q, qlen), (k, klen), (v, klen)))
        r_head_k = self.r_net(r).view(rlen, self.n_head, self.d_head)
        AC = torch.einsum("ibnd,jbnd->ijbn", (q + r_w_bias, k))
        BD = self._rel_shift(torch.einsum("ibnd,jnd->ijbn", (q + r_r_bias, r_head_k)))
        attn_score = (AC + BD).mul_(self.scale)
        attn_score = attn_score.float().masked_fill(attn_mask[:, :, :, None].bool(), -float("inf")).type_as(attn_score)
        attn_prob = F.softmax(attn_score, dim=1)
        attn_vec = torch.einsum("ijbn,jbnd->ibnd", (attn_prob, v)).contiguous().view(qlen, bsz, -1)
        return self.layer_norm(w + self.o_net(attn_vec))


class TransformerXL(nn.Module):
    def __init__(self, n_token=15, d_model=8, n_head=2, n_layer=2, mem_len=4, batch_size=3):
        super().__init__()
        self.word_emb, self.pos_emb = nn.Embedding(n_token, d_model), PositionalEmbedding(d_model)
        self.layers = nn.ModuleList([RelMultiHeadAttn(n_head, d_model) for _ in range(n_layer)])
        self.r_w_bias = nn.Parameter(torch.zeros(n_head, d_model // n_head))
        self.r_r_bias = nn.Parameter(torch.zeros(n_head, d_model // n_head))
        self.out = nn.Linear(d_model, n_token)
        self.mem_len = mem_len
        for i in range(n_layer):
            self.register_buffer(f"mem{i}", torch.zeros(mem_len, batch_size, d_model))

    def forward(self, data):
        qlen, _ = data.size()
        word_emb = self.word_emb(data)
        klen = self.mem_len + qlen
        dec_attn_mask = torch.triu(word_emb.new_ones(qlen, klen), diagonal=1 + self.mem_len).byte()[:, :, None]
        pos_seq = torch.arange(klen - 1, -1, -1.0, device=word_emb.device, dtype=word_emb.dtype)
        r, core_out = self.pos_emb(pos_seq), word_emb
        for i, layer in enumerate(self.layers):
            mems = getattr(self, f"mem{i}")
            with torch.no_grad():
                new = torch.cat([mems, core_out], dim=0)[-self.mem_len :].detach().clone()
            core_out = layer(core_out, r, self.r_w_bias, self.r_r_bias, dec_attn_mask, mems.clone())
            mems.copy_(new)
        return self.out(core_out)


def build():
    return TransformerXL()


def batch(seed):
    random = np.random.default_rng(seed)
    tokens = (random.integers(0, 15, (1, 3)) + random.integers(1, 4, (1, 3)) * np.arange(6)[:, None]) % 15
    return torch.from_numpy(tokens[:-1].copy()), torch.from_numpy(tokens[1:].copy())


def loss(model, batch):
    data, target = batch
    return F.cross_entropy(model(data).view(-1, 15), target.reshape(-1))


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=2.5e-3)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
