"""Multi-head attention: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html"""

from __future__ import annotations

from typing import Any

from ..tracer.functions.creation import empty
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from . import init
from .functional.multihead import canonical_mask, each_once, none_or_dtype
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
        padding = canonical_mask(key_padding_mask, "key_padding_mask", none_or_dtype(attn_mask), "attn_mask", query.dtype)
        mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
        batch_first = self.batch_first and query.ndim == 3
        if batch_first:
            query, key, value = each_once(lambda x: x.transpose(1, 0), query, key, value)
        separate: dict[str, Any] = {} if self._qkv_same_embed_dim else {
            "use_separate_proj_weight": True, "q_proj_weight": self.q_proj_weight, "k_proj_weight": self.k_proj_weight,
            "v_proj_weight": self.v_proj_weight}
        result, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k, self.bias_v,
            self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, training=self.training,
            key_padding_mask=padding, need_weights=need_weights, attn_mask=mask, average_attn_weights=average_attn_weights,
            is_causal=is_causal, **separate)
        return (result.transpose(1, 0) if batch_first else result), weights

    # Under this name too, so that a step looks whether a function that it looks up in `functional` is another by now.
    multi_head_attention_forward = staticmethod(F.multi_head_attention_forward)

    def merge_masks(self, attn_mask: Tensor | None, key_padding_mask: Tensor | None,
                    query: Tensor) -> tuple[Tensor | None, int | None]:
        """Both masks as one, (N, heads, L, L), and its kind: None without any, 1 for a padding mask alone, 2 else."""
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        batch, length = query.shape[:2]
        merged = (attn_mask.view(batch, -1, length, length) if attn_mask.ndim == 3 else
                  attn_mask.view(1, 1, length, length).expand(batch, self.num_heads, -1, -1))
        if key_padding_mask is not None:
            merged = merged + key_padding_mask.view(batch, 1, 1, length).expand(-1, self.num_heads, -1, -1)
        return merged, 2
