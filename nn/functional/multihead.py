"""Multi-head attention as a function: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...tracer.functions.choosing import where
from ...tracer.functions.creation import zeros
from ...tracer.functions.joining import cat
from ...tracer.functions.reduce import mean
from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor
from .attention import attend, scores, weighted
from .dropout import dropout
from .linear import linear
from .padding import pad


class Heads(NamedTuple):
    """How attention is parted and what is added to it; `bias_k` and `bias_v` are one learnt key and value more."""

    number: int
    bias_k: Tensor | None
    bias_v: Tensor | None
    add_zero_attn: bool
    dropout_p: float
    training: bool


def projected(inputs: Sequence[Tensor], together: bool, joint: Tensor | None, separate: Sequence[Any],
              bias: Tensor | None) -> list[Tensor]:
    """Queries, keys and values by a joint weight (3 E, E) or separate ones; self-attention is one product."""
    if joint is not None and inputs[0]._type.shape[-1] != joint._type.shape[1]:
        raise AssertionError(f"was expecting embedding dimension of {joint._type.shape[1]}, but got {inputs[0]._type.shape[-1]}")
    if joint is not None and together:
        return list(linear(inputs[0], joint, bias).chunk(3, -1))
    weights = separate if joint is None else joint.chunk(3)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [linear(x, w, b) for x, w, b in zip(inputs, weights, biases)]


def attended(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, mask: Tensor | None,
             heads: Heads) -> tuple[Tensor, Tensor]:
    """All heads side by side (N, L, E), and the weights (N, heads, L, S), of projections (N, L, E) and (N, S, E)."""
    batch, length, before, width = q.shape[0], q.shape[1], k.shape[1], q.shape[2]
    _check_sizes(q, k, v, padding, mask, heads.number)
    if heads.bias_k is not None:
        k, v = (cat([x, b.expand(batch, 1, width)], 1) for x, b in ((k, heads.bias_k), (v, heads.bias_v)))  # type: ignore[union-attr]
    if heads.add_zero_attn:
        k, v = (cat([x, zeros(batch, 1, width, dtype=x.dtype, device=x.device)], 1) for x in (k, v))
    joined = _joined_mask(padding, mask, batch, k.shape[1] - before, heads.number, q.dtype)
    size = width // heads.number
    q, k, v = (x.unflatten(2, (heads.number, size)).transpose(1, 2) for x in (q, k, v))
    weights = attend(scores(q * (1 / math.sqrt(size)), k), joined, False)
    weights = dropout(weights, heads.dropout_p, heads.training)
    return weighted(weights, v).transpose(1, 2).reshape(batch, length, width), weights


def _check_sizes(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, mask: Tensor | None, heads: int) -> None:
    """torch's errors for a key, a value or masks that do not fit."""
    (batch, length, width), (others, keys, _) = q._type.shape, k._type.shape
    if k._type.shape[:2] != v._type.shape[:2]:
        raise AssertionError(f"key's batch and sequence dims {list(k.shape[:2])} do not match value's {list(v.shape[:2])}")
    if others != batch:
        raise RuntimeError(f"shape '[{keys}, {batch * heads}, {width // heads}]' is invalid for input of size {k.numel()}\n"
                           f"(multi-head attention requires keys of the query's batch size {batch}, got {others})")
    for dim, wanted in enumerate((batch, keys)):
        if padding is not None and padding._type.shape[dim] != wanted:
            raise AssertionError(f"Expected key_padded_mask.shape[{dim}] to be {wanted}, but got {padding._type.shape[dim]}")
    if mask is not None:
        wanted = (length, keys) if mask.ndim == 2 else (batch * heads, length, keys)
        if mask._type.shape != wanted:
            raise RuntimeError(f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be {wanted}.")


def _joined_mask(padding: Tensor | None, mask: Tensor | None, batch: int, extra: int, heads: int, kind: Any) -> Tensor | None:
    """Both masks as numbers to add, (N or 1, heads or 1, L or 1, S); added positions are not masked."""
    parts = []
    if mask is not None:
        shape = mask.shape if mask.ndim == 3 else (1, *mask.shape)
        each = heads if mask.ndim == 3 else 1
        parts.append(_as_numbers(mask, kind).reshape(shape[0] // each, each, *shape[1:]))
    if padding is not None:
        parts.append(_as_numbers(padding, kind).reshape(batch, 1, 1, -1))
    if not parts:
        return None
    joined = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    return pad(joined, (0, extra)) if extra else joined


def _as_numbers(mask: Tensor, kind: Any) -> Tensor:
    if mask.dtype is dtypes.boolean:
        return where(mask, -math.inf, 0.0).to(kind)
    if not mask.dtype.is_floating_point:
        raise AssertionError("only bool and floating types of masks are supported")
    return mask


def check(query: Tensor, is_causal: bool, mask: Tensor | None) -> None:
    """torch's errors for a hint without a mask, and for a query of another number of dimensions."""
    if is_causal and mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
                           "`generate_square_subsequent_mask` to create this mask.")
    if query.ndim not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor")


def multi_head_attention_forward(
        query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int, in_proj_weight: Tensor | None,
        in_proj_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float,
        out_proj_weight: Tensor, out_proj_bias: Tensor | None, training: bool = True, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None, use_separate_proj_weight: bool = False,
        q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None, v_proj_weight: Tensor | None = None,
        static_k: Tensor | None = None, static_v: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
    """What `MultiheadAttention` computes, with its parameters as arguments: inputs are (L, N, E), or (L, E) without a batch.

    Args: as the attributes of `MultiheadAttention`; `embed_dim_to_check`, E; `static_k` and `static_v` (N * heads, S, E /
    heads), keys and values that are not projected. Returns the result in the query's shape, and the weights or None.
    Raises AssertionError for sizes that do not fit.
    """
    check(query, is_causal, attn_mask)
    width = query._type.shape[-1]
    if width != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}")
    num_heads = int(operator.index(num_heads))
    if width % num_heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    single = query.ndim == 2
    inputs = [x.unsqueeze(0) if single else x.transpose(0, 1) for x in (query, key, value)]
    joint = None if use_separate_proj_weight else in_proj_weight
    q, k, v = projected(inputs, query is key and key is value, joint, (q_proj_weight, k_proj_weight, v_proj_weight),
                        in_proj_bias)
    k, v = (x if given is None else given.unflatten(0, (-1, num_heads)).transpose(1, 2).flatten(2)
            for x, given in ((k, static_k), (v, static_v)))
    padding = key_padding_mask.unsqueeze(0) if single and key_padding_mask is not None else key_padding_mask
    heads = Heads(num_heads, bias_k, bias_v, add_zero_attn, dropout_p, training)
    result, weights = attended(q, k, v, padding, attn_mask, heads)
    result = linear(result, out_proj_weight, out_proj_bias)
    result = result.squeeze(0) if single else result.transpose(0, 1)
    return result, shown(weights, need_weights, average_attn_weights, single)


def shown(weights: Tensor, wanted: bool, average: bool, single: bool) -> Tensor | None:
    """The weights as they are returned."""
    if not wanted:
        return None
    weights = mean(weights, 1) if average else weights
    return weights.squeeze(0) if single else weights
