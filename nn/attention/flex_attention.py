"""Attention with functions of the user's in it: https://pytorch.org/docs/stable/nn.attention.flex_attention.html

The functions are given all positions at once, as index tensors (B, 1, 1, 1), (1, H, 1, 1), (1, 1, L, 1) and (1, 1, 1, S) that
broadcast to the scores: what they do becomes part of the program around the softmax, and XLA fuses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...tracer.functions.arithmetic import add, div, mul, sub
from ...tracer.functions.choosing import where
from ...tracer.functions.comparing import logical_and, logical_or
from ...tracer.functions.creation import ones
from ...tracer.functions.ranges import arange
from ...tracer.functions.reduce import amax, any_, sum
from ...tracer.functions.shape import reshape
from ...tracer.functions.sorting import argsort
from ...tracer.functions.unary import exp, log
from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor
from ..functional.attention import scores, weighted

__all__ = ["AuxOutput", "AuxRequest", "BlockMask", "FlexKernelOptions", "and_masks", "create_block_mask", "create_mask",
           "flex_attention", "noop_mask", "or_masks"]

Mask = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Score = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
FlexKernelOptions = dict[str, Any]
BLOCK = 128


class AuxRequest(NamedTuple):
    """What `flex_attention` returns beside its result."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What it was asked for: logarithms of the sums, and maxima, of the scores (B, H, L)."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


# --- Masks ------------------------------------------------------------------------------------------------------------


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """True: every query looks at every key."""
    return batch.new_ones((), dtype=dtypes.boolean)


def and_masks(*mask_mods: Mask) -> Mask:
    """The mask of what all of the masks let through. RuntimeError for what cannot be called."""
    return _combined(mask_mods, logical_and, True)


def or_masks(*mask_mods: Mask) -> Mask:
    """The mask of what any of the masks lets through. RuntimeError for what cannot be called."""
    return _combined(mask_mods, logical_or, False)


def _combined(mask_mods: tuple[Mask, ...], join: Callable[[Tensor, Tensor], Tensor], start: bool) -> Mask:
    if not all(map(callable, mask_mods)):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def mask(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = b.new_full((), start, dtype=dtypes.boolean)
        for one in mask_mods:
            result = join(result, one(b, h, q_idx, kv_idx))
        return result

    return mask


def _positions(batch: int, heads: int, queries: int, keys: int, device: Any) -> list[Tensor]:
    """The four index tensors, each along its own dimension."""
    sizes = (batch, heads, queries, keys)
    return [reshape(arange(n, device=device, dtype=dtypes.int32), [-1 if d == at else 1 for d in range(4)])
            for at, n in enumerate(sizes)]


def create_mask(mod_fn: Any, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None) -> Tensor:
    """A mask function as bools (B, H, Q_LEN, KV_LEN), or a score function as numbers, of scores of zero.

    >>> import flambeau as torch
    >>> causal = lambda b, h, q_idx, kv_idx: q_idx >= kv_idx
    >>> torch.nn.attention.flex_attention.create_mask(causal, None, None, 2, 2)[0, 0]
    tensor([[ True, False],
            [ True,  True]])

    Source: https://pytorch.org/docs/stable/nn.attention.flex_attention.html
    """
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    places = _positions(*shape, device)
    if _takes(mod_fn) == 5:
        return mod_fn(ones(shape, device=device) * 0, *places).expand(*shape).contiguous()
    return mod_fn(*places).expand(*shape).contiguous()


def _takes(function: Any) -> int:
    code = getattr(function, "__code__", None)
    return 4 if code is None else code.co_argcount - len(getattr(function, "__defaults__", None) or ())


class BlockMask:
    """A mask function, and which blocks of the scores it leaves anything of.

    Args: `seq_lengths`, of queries and keys; `kv_num_blocks` (B, H, blocks of queries) and `kv_indices` (B, H, blocks of
    queries, blocks of keys), which blocks of keys each block of queries looks at; `full_...`, those it looks at without the
    function; `BLOCK_SIZE`; `mask_mod`. Made by `create_block_mask`, or by `from_kv_blocks` from blocks.

    Source: https://pytorch.org/docs/stable/nn.attention.flex_attention.html
    """

    _guarded = True  # a compiled step that comes to one depends on all that it knows

    def __init__(self, seq_lengths: tuple[int, int], kv_num_blocks: Tensor, kv_indices: Tensor,
                 full_kv_num_blocks: Tensor | None = None, full_kv_indices: Tensor | None = None,
                 q_num_blocks: Tensor | None = None, q_indices: Tensor | None = None, full_q_num_blocks: Tensor | None = None,
                 full_q_indices: Tensor | None = None, BLOCK_SIZE: tuple[int, int] = (BLOCK, BLOCK),
                 mask_mod: Mask = noop_mask, **options: Any) -> None:
        if kv_indices.ndim < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = seq_lengths, BLOCK_SIZE, mask_mod
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices
        self.q_num_blocks, self.q_indices = q_num_blocks, q_indices
        self.full_q_num_blocks, self.full_q_indices = full_q_num_blocks, full_q_indices

    @classmethod
    def from_kv_blocks(cls, kv_num_blocks: Tensor, kv_indices: Tensor, full_kv_num_blocks: Tensor | None = None,
                       full_kv_indices: Tensor | None = None, BLOCK_SIZE: int | tuple[int, int] = BLOCK,
                       mask_mod: Mask | None = None, seq_lengths: tuple[int, int] | None = None, **options: Any) -> BlockMask:
        """A mask of given blocks."""
        size = _pair(BLOCK_SIZE)
        if seq_lengths is None:
            seq_lengths = (kv_indices.shape[-2] * size[0], kv_indices.shape[-1] * size[1])
        queries = (*_turned(kv_num_blocks, kv_indices), *_turned(full_kv_num_blocks, full_kv_indices))
        return cls(seq_lengths, kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, *queries, BLOCK_SIZE=size,
                   mask_mod=noop_mask if mask_mod is None else mask_mod)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, L, S)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """How many scores there are."""
        return math.prod(self.shape)

    def to_dense(self) -> Tensor:
        """Which blocks are computed, int32 (B, H, blocks of queries, blocks of keys)."""
        found = _dense(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is not None and self.full_kv_indices is not None:
            found = logical_or(found, _dense(self.full_kv_num_blocks, self.full_kv_indices))
        return found.to(dtypes.int32)

    def sparsity(self) -> float:
        """The percentage of scores in blocks that are left out."""
        dense = self.to_dense()
        return 100 * (1 - int(dense.sum()) / dense.numel())

    def allowed(self, places: list[Tensor]) -> Tensor:
        """Which scores count, at some positions, for the function and the blocks."""
        queries, keys = (place.long() // size for place, size in zip(places[2:], self.BLOCK_SIZE))
        full = self.full_kv_num_blocks is not None and self.full_kv_indices is not None
        partial = logical_and(_at(_dense(self.kv_num_blocks, self.kv_indices), queries, keys), self.mask_mod(*places))
        if not full:
            return partial
        return logical_or(partial, _at(_dense(self.full_kv_num_blocks, self.full_kv_indices), queries, keys))  # type: ignore[arg-type]

    def to(self, device: Any) -> BlockMask:
        """The mask on a device."""
        blocks = {name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)}
        return BlockMask(self.seq_lengths, **blocks, BLOCK_SIZE=self.BLOCK_SIZE, mask_mod=self.mask_mod)

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """All that it was made of; `flatten` gives lengths and sizes of blocks one by one."""
        lengths = self.seq_lengths if flatten else (self.seq_lengths,)
        size = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        return (*lengths, self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks, self.full_kv_indices, self.q_num_blocks,
                self.q_indices, self.full_q_num_blocks, self.full_q_indices, None, None, None, None, *size, self.mask_mod)

    def to_string(self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4) -> str:
        """A drawing of the blocks, dark where all are computed, light where some are, of the first `limit` heads.

        Args: `grid_size`, the most rows and columns of a drawing; -1 for all.
        """
        dense = self.to_dense().numpy()
        heads = list(np.ndindex(*dense.shape[:-2]))
        texts = [f"{head}\n{_drawn(dense[head], grid_size)}\n" for head in heads[:limit]]
        if len(heads) > limit:
            texts.append(_MORE)
        return "\n".join(texts)

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


_MORE = """...
To print out more, set BlockMask.to_string(limit=N)
You can also index (BlockMask[batch, head]) to choose a specific batch or head"""


def _drawn(blocks: np.ndarray[Any, Any], grid: int | tuple[int, int]) -> str:
    """One character pair for as many blocks as there must be to fit the grid."""
    rows, columns = blocks.shape
    most = (rows, columns) if grid == -1 else _pair(grid)
    height, width = -(-rows // min(most[0], rows)), -(-columns // min(most[1], columns))
    lines = []
    for row in range(0, rows, height):
        shares = [blocks[row:row + height, column:column + width].mean() for column in range(0, columns, width)]
        lines.append("".join("██" if share == 1 else "░░" if share > 0 else "  " for share in shares))
    return "\n".join(lines)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _dense(counts: Tensor, indices: Tensor) -> Tensor:
    """Bools (..., rows, columns) from how many columns each row has and which."""
    columns = arange(indices.shape[-1], device=indices.device)
    used = columns < counts.unsqueeze(-1)
    hit = logical_and(indices.unsqueeze(-1) == columns, used.unsqueeze(-1))
    return any_(hit, -2)


def _at(blocks: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    rows = blocks.index_select(-2, queries.flatten())
    return rows.index_select(-1, keys.flatten())


def _ordered(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many columns each row has, and which, those first."""
    return (sum(blocks, -1).to(dtypes.int32),
            argsort(blocks.to(dtypes.int32), dim=-1, descending=True, stable=True).to(dtypes.int32))


def _turned(counts: Tensor | None, indices: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Which blocks of queries look at each block of keys, from which blocks of keys each block of queries looks at."""
    if counts is None or indices is None:
        return None, None
    return _ordered(_dense(counts, indices).transpose(-2, -1))


def create_block_mask(mask_mod: Mask, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None,
                      BLOCK_SIZE: int | tuple[int, int] = BLOCK, _compile: bool = False, separate_full_blocks: bool = True,
                      **options: Any) -> BlockMask:
    """The `BlockMask` of a mask function: which blocks of scores have anything in them, and which are full.

    Args: `mask_mod(b, h, q_idx, kv_idx)`, true where a query may look; the sizes, None for 1; `BLOCK_SIZE`, of queries and
    keys. Source: https://pytorch.org/docs/stable/nn.attention.flex_attention.html

    >>> import flambeau as torch
    >>> flex = torch.nn.attention.flex_attention
    >>> flex.create_block_mask(lambda b, h, q, k: q >= k, None, None, 256, 256)
    BlockMask(shape=(1, 1, 256, 256), sparsity=25.00%)
    """
    size = _pair(BLOCK_SIZE)
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    rows, columns = (-(-n // block) for n, block in zip((Q_LEN, KV_LEN), size))
    whole = ones((*mask.shape[:2], rows * size[0], columns * size[1]), dtype=dtypes.boolean, device=device) & False
    whole[..., :Q_LEN, :KV_LEN] = mask
    counts = sum(reshape(whole, (*mask.shape[:2], rows, size[0], columns, size[1])), (3, 5))
    full = counts == size[0] * size[1] if separate_full_blocks else counts < 0
    partial = logical_and(counts > 0, ~full)
    blocks = {}
    for prefix, which in (("", partial), ("full_", full if separate_full_blocks else None)):
        if which is not None:
            blocks[f"{prefix}kv_num_blocks"], blocks[f"{prefix}kv_indices"] = _ordered(which)
            blocks[f"{prefix}q_num_blocks"], blocks[f"{prefix}q_indices"] = _ordered(which.transpose(-1, -2))
    return BlockMask((Q_LEN, KV_LEN), **blocks, BLOCK_SIZE=size, mask_mod=mask_mod)


# --- Attention --------------------------------------------------------------------------------------------------------


def flex_attention(query: Tensor, key: Tensor, value: Tensor, score_mod: Score | None = None,
                   block_mask: BlockMask | None = None, scale: float | None = None, enable_gqa: bool = False,
                   return_lse: bool = False, kernel_options: FlexKernelOptions | None = None, *,
                   return_aux: AuxRequest | None = None) -> Any:
    """softmax(score_mod(query @ key.T * scale, b, h, q_idx, kv_idx)) @ value, where the mask allows.

    Args: `query` (B, H, L, E), `key` (B, H, S, E) and `value` (B, H, S, V); `score_mod(score, b, h, q_idx, kv_idx)`, a
    function of scores and positions; `block_mask`, a `BlockMask`; `scale`, 1 / sqrt(E) by default; `enable_gqa`, whether
    groups of query heads share a head of keys; `return_lse`, whether the logarithm of the sum is returned as well, or
    `return_aux`, what is; `kernel_options` are accepted. The functions are called once, with index tensors that broadcast:
    they must be made of functions that do.
    Returns (B, H, L, V); rows without anything to look at are 0. ValueError or NotImplementedError for shapes that do not fit.

    >>> import flambeau as torch
    >>> from flambeau.nn.attention.flex_attention import flex_attention
    >>> q = torch.ones(1, 2, 4, 8)
    >>> flex_attention(q, q, q, score_mod=lambda score, b, h, i, j: score - (i - j).abs()).shape
    torch.Size([1, 2, 4, 8])

    Source: Dong et al.: "Flex attention", https://arxiv.org/abs/2412.05496;
    https://pytorch.org/docs/stable/nn.attention.flex_attention.html
    """
    _check(query, key, value, enable_gqa, block_mask)
    batch, heads, length, width = query._type.shape
    groups = heads // key._type.shape[1]
    if groups > 1:
        key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    if key._type.shape[0] != batch:
        key, value = (x.expand(batch, *x.shape[1:]) for x in (key, value))
    kind = query.dtype if query.dtype.itemsize >= 4 else dtypes.float32
    x = mul(scores(query, key).to(kind), 1 / math.sqrt(width) if scale is None else scale)
    places = _positions(batch, heads, length, key._type.shape[2], query.device)
    if score_mod is not None:
        x = score_mod(x, *places).to(kind)
    if block_mask is not None:
        x = where(block_mask.allowed(places), x, -math.inf)
    top = amax(x, -1, True).detach()
    powers = exp(sub(x, where(top == -math.inf, 0.0, top)))
    total = sum(powers, -1, True)
    result = weighted(div(powers, where(total == 0, 1.0, total)).to(value.dtype), value)
    if not return_lse and return_aux is None:
        return result
    lse = add(log(total), where(top == -math.inf, 0.0, top)).squeeze(-1)
    if return_aux is None:
        return result, lse
    return result, AuxOutput(lse if return_aux.lse else None, top.squeeze(-1) if return_aux.max_scores else None)


def _check(query: Tensor, key: Tensor, value: Tensor, gqa: bool, mask: BlockMask | None) -> None:
    if not query.ndim == key.ndim == value.ndim == 4:
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    if query._type.shape[-1] != key._type.shape[-1]:
        raise ValueError("Expect query and key/value to have the same embedding dimension but got "
                         f"E={query._type.shape[-1]} and E={key._type.shape[-1]}.")
    heads, shared = query._type.shape[1], key._type.shape[1]
    if not gqa and heads != shared:
        raise ValueError(f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={shared}. "
                         "Try setting enable_gqa=True for GQA.")
    if gqa and heads % shared:
        raise ValueError("Expect number of query heads to be a multiple of kv heads for GQA but got "
                         f"Hq={heads} and Hkv={shared}.")
    lengths = (query._type.shape[2], key._type.shape[2])
    if mask is not None and mask.seq_lengths != lengths:
        raise ValueError(f"block_mask was created for block_mask.shape={mask.shape} but got q_len={lengths[0]} and "
                         f"kv_len={lengths[1]}. Create a block mask of that length.")
