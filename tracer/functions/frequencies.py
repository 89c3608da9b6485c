"""The frequencies of Fourier transforms, and their order: https://pytorch.org/docs/stable/fft.html"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ops.structural import iota
from ..tensor.tensor import Tensor
from .arithmetic import mul, sub
from .choosing import where
from .comparing import ge
from .defaults import Defaults, device_name
from .dims import checked_dim, whole_numbers
from .methods import CREATED, with_out_typed
from .operands import wrap
from .rearranging import roll
from .refusals import not_implemented


def _frequencies(name: str, n: int, count: int, d: float, kind: dtype | None, device: Any, requires_grad: bool) -> Tensor:
    kind = kind or Defaults.dtype
    if not kind.is_inexact:
        raise RuntimeError(f"{name} requires a floating point or complex dtype")
    if kind.is_complex:
        raise not_implemented("arange_cpu", kind)
    if count < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {count}: [{count}]")
    k = wrap(iota.on(device_name(device), shape=(count,), axis=0, dtype=dtypes.int64))
    if count == n:  # all frequencies: those from the middle on are negative
        k = where(ge(k, (n + 1) // 2), sub(k, n), k)
    with np.errstate(divide="ignore"):
        made = mul(k.to(kind), float(1 / np.float64(n * d)))
    return made.requires_grad_() if requires_grad else made


@with_out_typed(CREATED)
def fftfreq(n: int, d: float = 1.0, *, dtype: dtype | None = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:
    """The frequencies of a transform of n points: [0, 1, ..., (n - 1) // 2, -(n // 2), ..., -1] / (n d).

    Args: `n`, how many points; `d`, the distance of two of them; `dtype`, by default the default one; `device`, where it
    lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to.
    Returns a vector. Raises RuntimeError for a dtype that is not a floating one, and for negative n.

    >>> import flambeau as torch
    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])

    Source: https://pytorch.org/docs/stable/generated/torch.fft.fftfreq.html
    """
    return _frequencies("fftfreq", n, n, d, dtype, device, requires_grad)


@with_out_typed(CREATED)
def rfftfreq(n: int, d: float = 1.0, *, dtype: dtype | None = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """The non-negative frequencies of a transform of n points: [0, 1, ..., n // 2] / (n d).

    Args: `n`, how many points; `d`, the distance of two of them; `dtype`, by default the default one; `device`, where it
    lives; `requires_grad`, whether gradients reach it; `out`, a tensor to write to.
    Returns a vector. Raises RuntimeError for a dtype that is not a floating one, and for negative n.

    >>> import flambeau as torch
    >>> torch.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])

    Source: https://pytorch.org/docs/stable/generated/torch.fft.rfftfreq.html
    """
    return _frequencies("rfftfreq", n, n // 2 + 1, d, dtype, device, requires_grad)


def _shifted(input: Tensor, dim: int | Sequence[int] | None, inverse: bool) -> Tensor:
    axes = tuple(range(input.ndim)) if dim is None else whole_numbers(dim, "dim")
    if not axes:
        raise RuntimeError("`shifts` required")
    return roll(input, [(input.shape[checked_dim(a, input.ndim)] + inverse) // 2 for a in axes], axes)


def fftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Frequencies in the order that transforms give them, rolled so that zero comes to the middle, n // 2.

    Args: `input` (*); `dim`, one dimension or several, by default all.
    Returns a copy. Raises IndexError for a dimension that is not there.

    >>> import flambeau as torch
    >>> torch.fft.fftshift(torch.fft.fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])

    Source: https://pytorch.org/docs/stable/generated/torch.fft.fftshift.html
    """
    return _shifted(input, dim, False)


def ifftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`: what is in the middle comes to the front.

    Args: `input` (*); `dim`, one dimension or several, by default all.
    Returns a copy. Raises IndexError for a dimension that is not there.

    >>> import flambeau as torch
    >>> torch.fft.ifftshift(torch.tensor([-2, -1, 0, 1]))
    tensor([ 0,  1, -2, -1])

    Source: https://pytorch.org/docs/stable/generated/torch.fft.ifftshift.html
    """
    return _shifted(input, dim, True)
