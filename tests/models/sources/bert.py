"""BERT, pretrained on masked words and the order of sentences (https://arxiv.org/abs/1810.04805); the decoder is tied."""

import math

import numpy as np
import torch
from torch import nn


class BertConfig:
    def __init__(self, **kwargs):
        self.vocab_size = 37
        self.hidden_size = 16
        self.num_hidden_layers = 2
        self.num_attention_heads = 2
        self.intermediate_size = 32
        self.hidden_dropout_prob = 0.0
        self.max_position_embeddings = 16
        self.type_vocab_size = 2
        self.initializer_range = 0.02
        self.layer_norm_eps = 1e-12
        for key, value in kwargs.items():
            setattr(self, key, value)


class BertEmbeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=0)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.register_buffer("position_ids", torch.arange(config.max_position_embeddings).expand((1, -1)))

    def forward(self, input_ids, token_type_ids=None):
        seq_length = input_ids.size(1)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        embeddings = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        embeddings += self.position_embeddings(self.position_ids[:, :seq_length])
        return self.dropout(self.LayerNorm(embeddings))


class BertSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def transpose_for_scores(self, x):
        new_shape = x.size()[:-1] + (self.num_heads, self.head_size)
        return x.view(*new_shape).permute(0, 2, 1, 3)

    def forward(self, hidden_states, attention_mask):
        query, key, value = (self.transpose_for_scores(f(hidden_states)) for f in (self.query, self.key, self.value))
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(self.head_size)
        probs = self.dropout(nn.Softmax(dim=-1)(scores + attention_mask))
        context = torch.matmul(probs, value).permute(0, 2, 1, 3).contiguous()
        return context.view(context.size()[:-2] + (self.num_heads * self.head_size,))


class BertLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self = BertSelfAttention(config)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.out = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states, attention_mask):
        attended = self.norm1(self.output(self.self(hidden_states, attention_mask)) + hidden_states)
        return self.norm2(self.out(nn.functional.gelu(self.intermediate(attended))) + attended)


class BertModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embeddings = BertEmbeddings(config)
        self.encoder = nn.ModuleList([BertLayer(config) for _ in range(config.num_hidden_layers)])
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, input_ids, token_type_ids=None, attention_mask=None):
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        dtype = next(self.parameters()).dtype
        extended = attention_mask.unsqueeze(1).unsqueeze(2).to(dtype=dtype)
        extended = (1.0 - extended) * torch.finfo(dtype).min
        hidden = self.embeddings(input_ids, token_type_ids)
        for layer in self.encoder:
            hidden = layer(hidden, extended)
        return hidden, torch.tanh(self.pooler(hidden[:, 0]))


class BertForPreTraining(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.bert = BertModel(config)
        self.transform = nn.Sequential(nn.Linear(config.hidden_size, config.hidden_size), nn.GELU(),
                                       nn.LayerNorm(config.hidden_size))
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.decoder.weight = self.bert.embeddings.word_embeddings.weight
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.seq_relationship = nn.Linear(config.hidden_size, 2)
        self.apply(self.init_weights)

    def init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)
        elif isinstance(module, nn.LayerNorm):
            module.bias.data.zero_()
            module.weight.data.fill_(1.0)
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.data.zero_()

    def forward(self, input_ids, token_type_ids=None, attention_mask=None, labels=None, next_sentence_label=None):
        sequence_output, pooled_output = self.bert(input_ids, token_type_ids, attention_mask)
        prediction_scores = self.decoder(self.transform(sequence_output)) + self.bias
        relationship = self.seq_relationship(pooled_output)
        outputs = {"prediction_logits": prediction_scores, "seq_relationship_logits": relationship}
        if labels is not None and next_sentence_label is not None:
            loss_fct = nn.CrossEntropyLoss()
            masked_lm_loss = loss_fct(prediction_scores.view(-1, self.config.vocab_size), labels.view(-1))
            next_sentence_loss = loss_fct(relationship.view(-1, 2), next_sentence_label.view(-1))
            outputs["loss"] = masked_lm_loss + next_sentence_loss
        return outputs


def build():
    return BertForPreTraining(BertConfig())


def batch(seed):
    random = np.random.default_rng(seed)
    words = (random.integers(2, 37, (4, 1)) + np.arange(12)) % 35 + 2
    lengths = random.integers(7, 13, 4)
    mask = np.arange(12)[None] < lengths[:, None]
    hidden = (random.random((4, 12)) < 0.3) & mask
    hidden[:, 1] = True
    labels = np.where(hidden, words, -100)
    inputs = np.where(mask, np.where(hidden, 1, words), 0)
    types = (np.arange(12)[None] >= lengths[:, None] // 2).astype(np.int64)
    arrays = inputs, types, mask.astype(np.int64), labels, random.integers(0, 2, 4)
    return tuple(torch.from_numpy(a) for a in arrays)


def loss(model, batch):
    input_ids, token_type_ids, attention_mask, labels, next_sentence = batch
    return model(input_ids, token_type_ids=token_type_ids, attention_mask=attention_mask, labels=labels,
                 next_sentence_label=next_sentence)["loss"]


def optimizer(model):
    no_decay = ["bias", "norm"]
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(nd in n.lower() for nd in no_decay)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(nd in n.lower() for nd in no_decay)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3, eps=1e-6)


def step(model, optimizer, batch):
    value = loss(model, batch)
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    model.zero_grad()
    return value


if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
