"""`torch.hash_tensor`: a checksum of what is in a tensor."""

from __future__ import annotations

from typing import Any

from .tracer.functions.creation import zeros
from .tracer.functions.joining import cat
from .tracer.functions.methods import method, with_out
from .tracer.functions.whole_numbers import bitwise_xor
from .tracer.ir import dtypes
from .tracer.tensor.tensor import Tensor

_UNKNOWN = {dtypes.complex64: "ComplexFloat", dtypes.complex128: "ComplexDouble", dtypes.uint16: "UInt16",
            dtypes.uint32: "UInt32", dtypes.uint64: "UInt64"}


@with_out
def hash_tensor(input: Tensor, dim: Any = (), *, keepdim: bool = False, mode: int = 0) -> Tensor:
    """The bits of all elements, in which those are set that an odd number of elements has: uint64.

    Floating point numbers are taken as float64, others as int64.
    Args: `input` (...), real; `dim`, one or several, all by default; `keepdim`, whether they stay, of size 1; `mode`, 0.
    Raises NotImplementedError for complex and wide unsigned dtypes; RuntimeError for another mode, or no elements without
    `dim`; IndexError for a `dim` of size 0.

    >>> import flambeau as torch
    >>> torch.hash_tensor(torch.tensor([1, 2, 4]))
    tensor(7, dtype=torch.uint64)

    Source: https://pytorch.org/docs/stable/generated/torch.hash_tensor.html
    """
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if input.dtype in _UNKNOWN:
        raise NotImplementedError(f'"xor_sum_cpu" not implemented for \'{_UNKNOWN[input.dtype]}\'')
    dims = sorted(d % max(input.ndim, 1) for d in ((dim,) if isinstance(dim, int) else tuple(dim)))
    if not dims and input.numel() == 0:
        raise RuntimeError("hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
                           "dim with the 'dim' argument.")
    for d in dims:
        if input.shape[d] == 0:
            raise IndexError(f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    dims = dims or list(range(input.ndim))
    bits = input.detach().to(dtypes.float64).view(dtypes.int64) if input.dtype.is_floating_point else \
        input.detach().to(dtypes.int64)
    kept = [d for d in range(input.ndim) if d not in dims]
    found = _folded(bits.permute([*kept, *dims]).reshape([*(input.shape[d] for d in kept), -1])
                    if bits.numel() else zeros([*(input.shape[d] for d in kept), 1], dtype=dtypes.int64, device=input.device))
    found = found.view(dtypes.uint64)
    return found.reshape([1 if d in dims else input.shape[d] for d in range(input.ndim)]) if keepdim else found


@method("hash_tensor")
def _hash_method(self: Tensor, *dims: Any, dim: Any = (), keepdim: bool = False, mode: int = 0) -> Tensor:
    """`hash_tensor`, of which a method takes the dimensions also one by one."""
    chosen = dim if not dims else dims[0] if len(dims) == 1 else dims
    made: Tensor = hash_tensor(self, chosen, keepdim=keepdim, mode=mode)
    return made


def _folded(bits: Tensor) -> Tensor:
    """The last dimension folded in halves by exclusive or, until it is gone."""
    while bits.shape[-1] > 1:
        half = bits.shape[-1] // 2
        folded = bitwise_xor(bits[..., :half], bits[..., half:2 * half])
        bits = cat([folded, bits[..., 2 * half:]], -1) if bits.shape[-1] % 2 else folded
    return bits.squeeze(-1)
