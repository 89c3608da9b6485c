"""Causal masks by name: https://pytorch.org/docs/stable/nn.attention.bias.html"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Any

from ...tracer.functions.creation import ones
from ...tracer.functions.triangular import tril
from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(IntEnum):
    """Which corner of the scores the diagonal of a causal mask starts from."""

    UPPER_LEFT = auto()
    LOWER_RIGHT = auto()


class CausalBias(Tensor):
    """A causal mask (L, S) that knows which one it is: bools, true where a query may look.

    Args: `variant`, a `CausalVariant`; `seq_len_q` and `seq_len_kv`, L and S.
    """

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> Any:
        if not isinstance(variant, CausalVariant):
            raise AssertionError("variant must be a CausalVariant")
        shift = seq_len_kv - seq_len_q if variant is CausalVariant.LOWER_RIGHT else 0
        made: Any = tril(ones(seq_len_q, seq_len_kv, dtype=dtypes.boolean), diagonal=shift)
        made.__class__ = cls
        made.variant, made.seq_len_q, made.seq_len_kv = variant, seq_len_q, seq_len_kv
        return made

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        pass


def causal_upper_left(*size: int) -> CausalBias:
    """The mask (L, S) in which query i looks at the keys 0 to i.

    >>> import flambeau as torch
    >>> torch.nn.attention.bias.causal_upper_left(2, 3)
    tensor([[ True, False, False],
            [ True,  True, False]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.attention.bias.causal_upper_left.html
    """
    _check(size, "causal_upper_left")
    return CausalBias(CausalVariant.UPPER_LEFT, *size)


def causal_lower_right(*size: int) -> CausalBias:
    """The mask (L, S) in which the last query looks at all keys, and each before it at one less.

    >>> import flambeau as torch
    >>> torch.nn.attention.bias.causal_lower_right(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.attention.bias.causal_lower_right.html
    """
    _check(size, "causal_lower_right")
    return CausalBias(CausalVariant.LOWER_RIGHT, *size)


def _check(size: tuple[int, ...], name: str) -> None:
    if len(size) != 2:
        raise AssertionError(f"{name} only supports 2D tensors")
