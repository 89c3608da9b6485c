"""CLIP: images and texts in one space (https://arxiv.org/abs/2103.00020); the temperature is learned, and kept in bounds."""

from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class QuickGELU(nn.Module):
    def forward(self, x: torch.Tensor):
        return x * torch.sigmoid(1.702 * x)


class ResidualAttentionBlock(nn.Module):
    def __init__(self, d_model: int, n_head: int, attn_mask: torch.Tensor = None):
        super().__init__()
        self.attn = nn.MultiheadAttention(d_model, n_head)
        self.ln_1 = nn.LayerNorm(d_model)
        self.mlp = nn.Sequential(OrderedDict([("c_fc", nn.Linear(d_model, d_model * 2)), ("gelu", QuickGELU()),
                                              ("c_proj", nn.Linear(d_model * 2, d_model))]))
        self.ln_2 = nn.LayerNorm(d_model)
        self.attn_mask = attn_mask

    def attention(self, x: torch.Tensor):
        self.attn_mask = self.attn_mask.to(dtype=x.dtype, device=x.device) if self.attn_mask is not None else None
        return self.attn(x, x, x, need_weights=False, attn_mask=self.attn_mask)[0]

    def forward(self, x: torch.Tensor):
        x = x + self.attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class CLIP(nn.Module):
    def __init__(self, vocab=17, length=6, width=8, embed_dim=6, patch=4):
        super().__init__()
        self.visual = nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        self.image_block = ResidualAttentionBlock(width, 2)
        mask = torch.empty(length, length)
        mask.fill_(float("-inf"))
        mask.triu_(1)
        self.text_block = ResidualAttentionBlock(width, 2, mask)
        self.token_embedding = nn.Embedding(vocab, width)
        self.positional_embedding = nn.Parameter(torch.empty(length, width).normal_(std=0.01))
        self.proj = nn.Parameter(width**-0.5 * torch.randn(width, embed_dim))
        self.text_projection = nn.Parameter(torch.empty(width, embed_dim))
        nn.init.normal_(self.text_projection, std=width**-0.5)
        self.logit_scale = nn.Parameter(torch.ones([]) * np.log(1 / 0.07))

    @property
    def dtype(self):
        return self.visual.weight.dtype

    def encode_image(self, image):
        x = self.visual(image.type(self.dtype))
        x = x.reshape(x.shape[0], x.shape[1], -1).permute(0, 2, 1)
        x = torch.cat([self.class_embedding.to(x.dtype) + torch.zeros(x.shape[0], 1, x.shape[-1], dtype=x.dtype), x], dim=1)
        x = self.image_block(x.permute(1, 0, 2)).permute(1, 0, 2)
        return x[:, 0, :] @ self.proj

    def encode_text(self, text):
        x = self.token_embedding(text).type(self.dtype) + self.positional_embedding.type(self.dtype)
        x = self.text_block(x.permute(1, 0, 2)).permute(1, 0, 2)
        return x[torch.arange(x.shape[0]), text.argmax(dim=-1)] @ self.text_projection

    def forward(self, image, text):
        image_features, text_features = self.encode_image(image), self.encode_text(text)
        image_features = image_features / image_features.norm(dim=1, keepdim=True)
        text_features = text_features / text_features.norm(dim=1, keepdim=True)
        logits_per_image = self.logit_scale.exp() * image_features @ text_features.t()
        return logits_per_image, logits_per_image.t()


def build():
    return CLIP()


def batch(seed):
    random = np.random.default_rng(seed)
    texts = random.integers(1, 16, (4, 6))
    texts[np.arange(4), random.integers(2, 6, 4)] = 16
    images = random.standard_normal((4, 3, 8, 8)) + texts[:, :3, None, None] / 4
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(texts)


def loss(model, batch):
    logits_per_image, logits_per_text = model(*batch)
    labels = torch.arange(len(batch[0]), device=logits_per_image.device)
    with torch.no_grad():
        model.logit_scale.clamp_(0, np.log(100))
    return (F.cross_entropy(logits_per_image, labels) + F.cross_entropy(logits_per_text, labels)) / 2


def optimizer(model):
    exclude = lambda n, p: p.ndim < 2 or "bn" in n or "ln" in n or "bias" in n or "logit_scale" in n  # noqa: E731
    named = list(model.named_parameters())
    return torch.optim.AdamW([{"params": [p for n, p in named if exclude(n, p)], "weight_decay": 0.0},
                              {"params": [p for n, p in named if not exclude(n, p)], "weight_decay": 0.2}], lr=1e-3, eps=1e-6)


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    return value

if __name__ == "__main__":
    from training import run

    run(build, optimizer, batch, step)
