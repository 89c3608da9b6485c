"""Multi-head attention as a function: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html"""

from __future__ import annotations

import math
import operator
import sys
from typing import Any

from ...tracer.functions.creation import zeros, zeros_like
from ...tracer.functions.joining import cat
from ...tracer.functions.reduce import mean
from ...tracer.ir import dtypes
from ...tracer.ir.told import tell
from ...tracer.tensor.tensor import Tensor
from .attention import scores, weighted

_F: Any = sys.modules[__package__ or ""]  # where users exchange the functions that this one calls


def none_or_dtype(input: Tensor | None) -> Any:
    """The dtype, or None for no tensor."""
    if input is not None and not isinstance(input, Tensor):
        raise RuntimeError("input to _none_or_dtype() must be None or torch.Tensor")
    return None if input is None else input.dtype


def canonical_mask(mask: Tensor | None, mask_name: str, other_type: Any, other_name: str, target_type: Any,
                    check_other: bool = True) -> Tensor | None:
    """A mask as numbers to add: of bools -inf for what is true. Warns if it is of another type than the other mask."""
    if mask is None:
        return None
    if mask.dtype is not dtypes.boolean and not mask.dtype.is_floating_point:
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype is not other_type:
        tell(f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.")
    if mask.dtype is dtypes.boolean:
        return zeros_like(mask, dtype=target_type).masked_fill(mask, -math.inf)
    return mask


def _check(query: Tensor, is_causal: bool, mask: Tensor | None, width: int, heads: int) -> None:
    if is_causal and mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
                           "`generate_square_subsequent_mask` to create this mask.")
    if query.ndim not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor")
    if query._type.shape[-1] != width:
        raise AssertionError(f"was expecting embedding dimension of {width}, but got {query._type.shape[-1]}")
    if width % heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {heads}")


def _check_sizes(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, mask: Tensor | None, heads: int) -> None:
    """torch's errors for a key, a value or masks that do not fit, all with the batch first."""
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


def _projected(linear: Any, inputs: tuple[Tensor, Tensor, Tensor], joint: Tensor | None, separate: Any,
               bias: Tensor | None) -> list[Tensor]:
    """Queries, keys and values by a joint weight (3 E, E) or separate ones; self-attention is one product."""
    query, key, value = inputs
    if joint is not None and query is key and key is value:
        return list(linear(query, joint, bias).chunk(3, -1))
    weights = separate if joint is None else joint.chunk(3)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [linear(x, w, b) for x, w, b in zip(inputs, weights, biases)]


def _merged(mask: Tensor | None, padding: Tensor | None, heads: int) -> Tensor | None:
    """Both masks, (N or 1, heads or 1, L or 1, S)."""
    if mask is not None:
        mask = mask.unsqueeze(0).unsqueeze(0) if mask.ndim == 2 else mask.unflatten(0, (-1, heads))
    if padding is not None:
        padding = padding.unsqueeze(1).unsqueeze(1)
    return padding if mask is None else mask if padding is None else mask + padding


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
    linear, softmax, dropout, pad, attention = _F.linear, _F.softmax, _F.dropout, _F.pad, _F.scaled_dot_product_attention
    heads = int(operator.index(num_heads))
    _check(query, is_causal, attn_mask, embed_dim_to_check, heads)
    padding = canonical_mask(key_padding_mask, "key_padding_mask", none_or_dtype(attn_mask), "attn_mask", query.dtype)
    causal = is_causal and padding is None and not need_weights  # then the mask is what the hint says
    mask = None if causal else canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
    single, width, size = query.ndim == 2, query._type.shape[-1], query._type.shape[-1] // heads
    if single:
        query, key, value = each_once(lambda x: x.unsqueeze(1), query, key, value)
        padding = None if padding is None else padding.unsqueeze(0)
    inputs = each_once(lambda x: x.transpose(0, 1), query, key, value)
    _check_sizes(*inputs, padding, mask, heads)
    length, batch = query.shape[:2]
    joint = None if use_separate_proj_weight else in_proj_weight
    q, k, v = _projected(linear, inputs, joint, (q_proj_weight, k_proj_weight, v_proj_weight), in_proj_bias)
    added = (bias_k is not None) + add_zero_attn
    if bias_k is not None and bias_v is not None:
        k, v = (cat([x, b.expand(batch, 1, width)], 1) for x, b in ((k, bias_k), (v, bias_v)))
    q, k, v = (x.unflatten(2, (heads, size)).transpose(1, 2) if given is None else given.unflatten(0, (-1, heads))
               for x, given in ((q, None), (k, static_k), (v, static_v)))
    if add_zero_attn:
        k, v = (cat([x, zeros(batch, heads, 1, size, dtype=x.dtype, device=x.device)], 2) for x in (k, v))
    merged = _merged(mask, padding, heads)
    if merged is not None and added:
        merged = pad(merged, (0, added))  # what was added is not masked
    dropout_p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        found = scores(q * (1 / math.sqrt(size)), k)
        weights = softmax(found if merged is None else found + merged, dim=-1)
        weights = dropout(weights, p=dropout_p) if dropout_p > 0.0 else weights
        result = weighted(weights, v)
    else:
        result = attention(q, k, v, merged, dropout_p, causal)
    result = linear(result.permute(2, 0, 1, 3).reshape(length, batch, width), out_proj_weight, out_proj_bias)
    return result.squeeze(1) if single else result, None if weights is None else _shown(weights, average_attn_weights, single)


def each_once(turn: Any, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All three turned; what was one tensor stays one."""
    turned = turn(query)
    keys = turned if key is query else turn(key)
    return turned, keys, turned if value is query else keys if value is key else turn(value)


def _shown(weights: Tensor, average: bool, single: bool) -> Tensor:
    """The weights as they are returned."""
    weights = mean(weights, 1) if average else weights
    return weights.squeeze(0) if single else weights
