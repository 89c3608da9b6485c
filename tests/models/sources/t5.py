"""T5: an encoder and a decoder with relative position biases and cross attention (https://arxiv.org/abs/1910.10683)."""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import CrossEntropyLoss


class T5Config:
    vocab_size, d_model, d_kv, d_ff, num_layers, num_heads = 33, 16, 8, 32, 2, 2
    buckets, max_distance, eps = 8, 20, 1e-6
    is_decoder = False
    pad_token_id = decoder_start_token_id = 0


class T5LayerNorm(nn.Module):
    """No mean is subtracted, and there is no bias."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        if self.weight.dtype in [torch.float16, torch.bfloat16]:
            hidden_states = hidden_states.to(self.weight.dtype)
        return self.weight * hidden_states


class T5Attention(nn.Module):
    def __init__(self, config, has_relative_attention_bias=False):
        super().__init__()
        self.is_decoder = config.is_decoder
        self.buckets, self.max_distance = config.buckets, config.max_distance
        self.n_heads, self.d_kv = config.num_heads, config.d_kv
        inner = self.n_heads * self.d_kv
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        self.has_relative_attention_bias = has_relative_attention_bias
        if has_relative_attention_bias:
            self.relative_attention_bias = nn.Embedding(self.buckets, self.n_heads)

    @staticmethod
    def relative_position_bucket(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
        buckets = 0
        if bidirectional:
            num_buckets //= 2
            buckets += (relative_position > 0).to(torch.long) * num_buckets
            relative_position = torch.abs(relative_position)
        else:
            relative_position = -torch.min(relative_position, torch.zeros_like(relative_position))
        max_exact = num_buckets // 2
        is_small = relative_position < max_exact
        ratio = torch.log(relative_position.float() / max_exact) / math.log(max_distance / max_exact)
        if_large = max_exact + (ratio * (num_buckets - max_exact)).to(torch.long)
        if_large = torch.min(if_large, torch.full_like(if_large, num_buckets - 1))
        buckets += torch.where(is_small, relative_position, if_large)
        return buckets

    def compute_bias(self, query_length, key_length):
        device = self.relative_attention_bias.weight.device
        context = torch.arange(query_length, dtype=torch.long, device=device)[:, None]
        memory = torch.arange(key_length, dtype=torch.long, device=device)[None, :]
        bucket = self.relative_position_bucket(memory - context, bidirectional=not self.is_decoder,
                                               num_buckets=self.buckets, max_distance=self.max_distance)
        values = self.relative_attention_bias(bucket)  # (query, key, heads)
        return values.permute([2, 0, 1]).unsqueeze(0)

    def forward(self, hidden_states, mask, key_value_states=None, position_bias=None):
        batch_size, seq_length = hidden_states.shape[:2]
        source = hidden_states if key_value_states is None else key_value_states

        def shape(states):
            return states.view(batch_size, -1, self.n_heads, self.d_kv).transpose(1, 2)

        query, key, value = shape(self.q(hidden_states)), shape(self.k(source)), shape(self.v(source))
        scores = torch.matmul(query, key.transpose(3, 2))
        if position_bias is None:
            if self.has_relative_attention_bias:
                position_bias = self.compute_bias(seq_length, source.shape[1])
            else:
                position_bias = torch.zeros((1, self.n_heads, seq_length, source.shape[1]), device=scores.device,
                                            dtype=scores.dtype)
            position_bias = position_bias + mask
        scores += position_bias
        weights = nn.functional.softmax(scores.float(), dim=-1).type_as(scores) if scores.dtype != torch.float64 \
            else nn.functional.softmax(scores, dim=-1)
        attended = torch.matmul(weights, value).transpose(1, 2).contiguous().view(batch_size, -1, self.n_heads * self.d_kv)
        return self.o(attended), position_bias


class T5Block(nn.Module):
    def __init__(self, config, has_relative_attention_bias=False):
        super().__init__()
        self.norms = nn.ModuleList(T5LayerNorm(config.d_model, config.eps) for _ in range(3 if config.is_decoder else 2))
        self.attention = T5Attention(config, has_relative_attention_bias)
        self.cross = T5Attention(config) if config.is_decoder else None
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x, mask, bias, memory=None, memory_mask=None, memory_bias=None):
        attended, bias = self.attention(self.norms[0](x), mask, position_bias=bias)
        x = x + attended
        if self.cross is not None:
            attended, memory_bias = self.cross(self.norms[1](x), memory_mask, key_value_states=memory, position_bias=memory_bias)
            x = x + attended
        h = self.norms[-1](x)
        x = x + self.wo(nn.functional.gelu(self.wi_0(h), approximate="tanh") * self.wi_1(h))
        return x, bias, memory_bias


class T5Stack(nn.Module):
    def __init__(self, config, embed_tokens):
        super().__init__()
        self.embed_tokens = embed_tokens
        self.is_decoder = config.is_decoder
        self.block = nn.ModuleList([T5Block(config, has_relative_attention_bias=bool(i == 0)) for i in range(config.num_layers)])
        self.final_layer_norm = T5LayerNorm(config.d_model, eps=config.eps)

    def forward(self, input_ids, attention_mask=None, memory=None, memory_mask=None):
        x = self.embed_tokens(input_ids)
        length = input_ids.shape[1]
        lowest = torch.finfo(x.dtype).min
        mask = attention_mask[:, None, None, :] if attention_mask is not None else torch.ones(1, 1, 1, length)
        if self.is_decoder:
            ids = torch.arange(length)
            mask = mask * (ids[None, :] <= ids[:, None])[None, None].to(mask.dtype)
        mask = (1.0 - mask.to(x.dtype)) * lowest
        if memory_mask is not None:
            memory_mask = (1.0 - memory_mask[:, None, None, :].to(x.dtype)) * lowest
        bias = memory_bias = None
        for layer in self.block:
            x, bias, memory_bias = layer(x, mask, bias, memory, memory_mask, memory_bias)
        return self.final_layer_norm(x)


class T5ForConditionalGeneration(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        encoder_config, decoder_config = copy.deepcopy(config), copy.deepcopy(config)
        decoder_config.is_decoder = True
        self.encoder = T5Stack(encoder_config, self.shared)
        self.decoder = T5Stack(decoder_config, self.shared)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    def _shift_right(self, labels):
        shifted = labels.new_zeros(labels.shape)
        shifted[..., 1:] = labels[..., :-1].clone()
        shifted[..., 0] = self.config.decoder_start_token_id
        shifted.masked_fill_(shifted == -100, self.config.pad_token_id)
        return shifted

    def forward(self, input_ids, attention_mask, labels):
        memory = self.encoder(input_ids, attention_mask)
        hidden = self.decoder(self._shift_right(labels), memory=memory, memory_mask=attention_mask)
        logits = self.lm_head(hidden)
        return CrossEntropyLoss(ignore_index=-100)(logits.view(-1, logits.size(-1)), labels.view(-1)), logits


def build():
    return T5ForConditionalGeneration(T5Config())


def batch(seed):
    random = np.random.default_rng(seed)
    inputs = random.integers(1, 33, (4, 10))
    mask = np.arange(10)[None] < random.integers(6, 11, (4, 1))
    labels = np.where(mask, inputs, -100)[:, ::-1][:, :8].copy()
    return tuple(torch.from_numpy(a) for a in (np.where(mask, inputs, 0), mask.astype(np.int64), labels))


def loss(model, batch):
    return model(*batch)[0]


def optimizer(model):
    return torch.optim.Adafactor(model.parameters(), lr=1e-2)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
