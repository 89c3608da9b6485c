"""Attention: https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html"""

from __future__ import annotations

import math

from ...tracer.functions.activation import softmax
from ...tracer.functions.arithmetic import add, div, mul, sub
from ...tracer.functions.choosing import where
from ...tracer.functions.dims import checked_dim
from ...tracer.functions.linear import contract, sums_of
from ...tracer.functions.operands import c_name, cast_value, common_shape, expand_value, wrap
from ...tracer.functions.reduce import amax, sum
from ...tracer.functions.refusals import not_implemented
from ...tracer.functions.unary import exp
from ...tracer.ir import dtypes
from ...tracer.ir.dtypes import dtype
from ...tracer.ops.elementwise import compare
from ...tracer.ops.structural import Ints, iota
from ...tracer.tensor.tensor import Tensor
from .dropout import checked_chance, dropout


def causal_mask(rows: int, columns: int, on: str) -> Tensor:
    """Bools (rows, columns): whether a query may look at a key, that is, at its own position or before."""
    query, key = (iota.on(on, shape=(rows, columns), axis=axis, dtype=dtypes.int32) for axis in (0, 1))
    return wrap(compare(query, key, direction="GE"))


def _batched(x: Tensor, lead: Ints) -> Tensor:
    return wrap(expand_value(x._read(), (*lead, *x._type.shape[-2:])))


def scores(query: Tensor, key: Tensor, kind: dtype | None = None) -> Tensor:
    """query @ key.T over the last two dimensions, without a transposed copy, in `kind`, by default the type of both."""
    n = query.ndim
    axes = tuple(range(n - 2))
    return wrap(contract(query._read(), key._read(), ((n - 1,), (n - 1,)), (axes, axes), kind))


def weighted(weights: Tensor, value: Tensor) -> Tensor:
    """weights @ value over the last two dimensions."""
    n = weights.ndim
    axes = tuple(range(n - 2))
    return wrap(contract(weights._read(), value._read(), ((n - 1,), (n - 2,)), (axes, axes)))


def _safe_softmax(scores: Tensor) -> Tensor:
    """softmax over the last dimension; rows in which everything is masked are 0 rather than NaN."""
    top = amax(scores, -1, True).detach()
    powers = exp(sub(scores, where(top == -math.inf, 0.0, top)))
    total = sum(powers, -1, True)
    return div(powers, where(total == 0, 1.0, total))


def _check(query: Tensor, key: Tensor, value: Tensor) -> None:
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(f"scaled_dot_product_attention requires query, key and value of at least 2 dimensions, got "
                           f"{query.ndim}, {key.ndim} and {value.ndim}")
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(f"Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype} "
                           f"key.dtype: {key.dtype} and value.dtype: {value.dtype} instead.")
    if query.dtype.is_complex:
        raise not_implemented("softmax_lastdim_kernel_impl", query.dtype)
    if not query.dtype.is_floating_point:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: float != {c_name(query.dtype)}\n"
                           "(scaled_dot_product_attention requires floating-point query, key and value)")
    if query._type.shape[-1] != key._type.shape[-1] or key._type.shape[-2] != value._type.shape[-2]:
        raise RuntimeError(f"scaled_dot_product_attention requires query (..., L, E), key (..., S, E) and value "
                           f"(..., S, V), got {list(query.shape)}, {list(key.shape)} and {list(value.shape)}")


def _takes_both(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout_p: float, enable_gqa: bool) -> bool:
    """Whether torch uses its kernel for the CPU, which alone takes a mask beside `is_causal`."""
    if any(x.ndim != 4 or x.stride(-1) != 1 for x in (query, key, value)) or dropout_p > 0 or mask.requires_grad:
        return False
    (n, heads, _, size), *others = (x._type.shape for x in (query, key, value))
    return size > 0 and all(s[0] == n and s[3] == size and s[1] == others[0][1] and (enable_gqa or s[1] == heads) for s in others)


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
                                 dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
                                 enable_gqa: bool = False) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value.

    Arguments: query (..., L, E), key (..., S, E), value (..., S, V); a mask that broadcasts to (..., L, S), bool (true
    where a query may look) or numbers to add; scale 1 / sqrt(E) by default; `enable_gqa` lets groups of query heads
    (dimension -3) share key and value heads. With `is_causal` no query looks behind its own position; a mask beside it is for
    four dimensions, without dropout. Returns (..., L, V); rows without anything to look at are 0.
    Source: Vaswani et al.: "Attention is all you need", https://arxiv.org/abs/1706.03762
    """
    _check(query, key, value)
    if attn_mask is not None and query.ndim == 4:
        checked_dim(-2, attn_mask.ndim)
    if attn_mask is not None and is_causal and not _takes_both(query, key, value, attn_mask, dropout_p, enable_gqa):
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if attn_mask is not None and attn_mask.dtype not in (dtypes.boolean, dtypes.float32, query.dtype):
        raise RuntimeError("Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
                           f"{c_name(attn_mask.dtype)} and  query.dtype: {c_name(query.dtype)} instead.")
    if enable_gqa:
        key, value = (_shared_heads(x, query._type.shape[-3]) for x in (key, value))
    lead = common_shape(*(x._type.shape[:-2] for x in (query, key, value)))
    scale = 1 / math.sqrt(query._type.shape[-1]) if scale is None else scale
    wide = sums_of(query.dtype)
    product = scores(_batched(query if wide else mul(query, scale), lead), _batched(key, lead), wide)
    product = mul(product, scale) if wide else product  # of half types nothing is rounded before the weights are
    weights = attend(product, attn_mask, is_causal, query.dtype)
    weights = dropout(weights, checked_chance(dropout_p)) if dropout_p > 0 else weights
    return weighted(weights, _batched(value, lead))


def _shared_heads(x: Tensor, heads: int) -> Tensor:
    if heads % x._type.shape[-3]:
        raise RuntimeError("Number of heads in key and value must divide the number of heads in query")
    return x.repeat_interleave(heads // x._type.shape[-3], -3)


def attend(scores: Tensor, mask: Tensor | None, is_causal: bool, kind: dtype | None = None) -> Tensor:
    """The weights, in `kind`, by default the scores' type; half-precision scores are masked and normalised in float32."""
    kind = kind or scores.dtype
    x = wrap(cast_value(scores._read(), dtypes.float32)) if scores.dtype.itemsize < 4 else scores
    if is_causal:
        x = where(causal_mask(x._type.shape[-2], x._type.shape[-1], x._device), x, -math.inf)
    if mask is None:  # every query may look at the first key: no row is empty
        return softmax(x, -1).to(kind)
    x = where(mask, x, -math.inf) if mask.dtype is dtypes.boolean else add(x, mask)
    return _safe_softmax(x).to(kind)
