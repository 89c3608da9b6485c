"""Multi-head attention: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.choosing import where
from ..tracer.functions.creation import empty, zeros
from ..tracer.functions.joining import cat
from ..tracer.functions.reduce import mean
from ..tracer.ir import dtypes
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from . import init
from .functional.attention import attend, scores, weighted
from .linear import NonDynamicallyQuantizableLinear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Each query looks at all keys and takes a weighted mean of their values, in several heads that look in their own
    ways.

    head_i = softmax(q_i @ k_i.T / sqrt(E / heads) + mask) @ v_i, where q_i, k_i, v_i are learnt projections of the
    inputs to E / heads dimensions; the result is a learnt projection of all heads side by side

    Args: `embed_dim`, E; `num_heads`, which must divide it; `dropout`, probability of a zero among the weights; `bias`,
    of the projections; `add_bias_kv`, one learnt key and value more; `add_zero_attn`, one key and value of zeros more;
    `kdim` and `vdim`, sizes of keys and values, E by default; `batch_first`, see below; `device` and `dtype`, of the
    parameters.
    Takes query (L, N, E), key (S, N, kdim) and value (S, N, vdim), or (N, L, E) and so on if `batch_first`, or (L, E)
    without a batch; masks are bool, true where a query must not look, or numbers that are added to the scores.
    Returns the result, in the query's shape, and the weights (N, L, S), or None unless `need_weights`.
    Raises AssertionError if `num_heads` does not divide E, or a query has another number of dimensions.

    >>> import flambeau as torch
    >>> attention = torch.nn.MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> x = torch.ones(3, 5, 8)
    >>> result, weights = attention(x, x, x)
    >>> result.shape, weights.shape
    (torch.Size([3, 5, 8]), torch.Size([3, 5, 5]))

    Source: Vaswani et al.: "Attention is all you need", https://arxiv.org/abs/1706.03762;
    https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html
    """

    in_proj_weight: Any
    in_proj_bias: Any

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
                 vdim: int | None = None, batch_first: bool = False, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and "
                             f"num_heads={num_heads} instead")
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._qkv_same_embed_dim = self.kdim == embed_dim == self.vdim
        self._register(bias, add_bias_kv, {"device": device, "dtype": dtype})
        self._reset_parameters()

    def _register(self, bias: bool, add_bias_kv: bool, options: dict[str, Any]) -> None:
        width = self.embed_dim
        shapes = {"q_proj_weight": (width, width), "k_proj_weight": (width, self.kdim),
                  "v_proj_weight": (width, self.vdim), "in_proj_weight": (3 * width, width)}
        for name, shape in shapes.items():
            joint = name == "in_proj_weight"
            made = Parameter(empty(shape, **options)) if joint == self._qkv_same_embed_dim else None
            self.register_parameter(name, made)
        self.register_parameter("in_proj_bias", Parameter(empty(3 * width, **options)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(width, width, bias=bias, **options)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, Parameter(empty(1, 1, width, **options)) if add_bias_kv else None)

    def _reset_parameters(self) -> None:
        for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_weight"):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        for name in ("bias_k", "bias_v"):
            if getattr(self, name) is not None:
                init.xavier_normal_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
                need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
        """The result, and the weights (N, L, S), averaged over heads, or (N, heads, L, S).

        `is_causal` is torch's hint: it needs `attn_mask` to be given too.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        single = query.ndim == 2
        if query.ndim not in (2, 3):
            raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query "
                                 "tensor")
        together = query is key and key is value
        q, k, v = self._projected([self._to_batch_first(x, single) for x in (query, key, value)], together)
        if single and key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        result, weights = self._attend(q, k, v, key_padding_mask, attn_mask)
        result = result.squeeze(0) if single else result if self.batch_first else result.transpose(0, 1)
        if not need_weights:
            return result, None
        weights = mean(weights, 1) if average_attn_weights else weights
        return result, weights.squeeze(0) if single else weights

    def _to_batch_first(self, x: Tensor, single: bool) -> Tensor:
        return x.unsqueeze(0) if single else x if self.batch_first else x.transpose(0, 1)

    def _projected(self, inputs: list[Tensor], together: bool) -> list[Tensor]:
        """Queries, keys and values, all (N, L, E); self-attention is one product."""
        bias = self.in_proj_bias
        if self._qkv_same_embed_dim and together:
            return list(F.linear(inputs[0], self.in_proj_weight, bias).chunk(3, -1))
        weights = self.in_proj_weight.chunk(3) if self._qkv_same_embed_dim else (
            self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        return [F.linear(x, w, b) for x, w, b in zip(inputs, weights, biases)]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None,
                mask: Tensor | None) -> tuple[Tensor, Tensor]:
        batch, length, before = q.shape[0], q.shape[1], k.shape[1]
        if self.bias_k is not None:
            k, v = (cat([x, b.expand(batch, 1, self.embed_dim)], 1) for x, b in ((k, self.bias_k), (v, self.bias_v)))
        if self.add_zero_attn:
            k, v = (cat([x, zeros(batch, 1, self.embed_dim, dtype=x.dtype, device=x.device)], 1) for x in (k, v))
        joined = self._joined_mask(padding, mask, batch, k.shape[1] - before, q.dtype)
        q, k, v = (x.unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        weights = attend(scores(q * (1 / math.sqrt(self.head_dim)), k), joined, False)
        weights = F.dropout(weights, self.dropout, self.training)
        result = weighted(weights, v).transpose(1, 2).reshape(batch, length, self.embed_dim)
        return self.out_proj(result), weights

    def _joined_mask(self, padding: Tensor | None, mask: Tensor | None, batch: int, extra: int,
                     kind: Any) -> Tensor | None:
        """Both masks as numbers to add, (N or 1, heads or 1, L or 1, S); added positions are not masked."""
        parts = []
        if mask is not None:
            shape = mask.shape if mask.ndim == 3 else (1, *mask.shape)
            heads = self.num_heads if mask.ndim == 3 else 1
            parts.append(_as_numbers(mask, kind).reshape(shape[0] // heads, heads, *shape[1:]))
        if padding is not None:
            parts.append(_as_numbers(padding, kind).reshape(batch, 1, 1, -1))
        if not parts:
            return None
        joined = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return F.pad(joined, (0, extra)) if extra else joined


def _as_numbers(mask: Tensor, kind: Any) -> Tensor:
    if mask.dtype is dtypes.boolean:
        return where(mask, -math.inf, 0.0).to(kind)
    if not mask.dtype.is_floating_point:
        raise AssertionError("only bool and floating types of masks are supported")
    return mask
