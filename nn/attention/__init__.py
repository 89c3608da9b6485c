"""Choosing how attention is computed: https://pytorch.org/docs/stable/nn.attention.html

There is one way here, a composition that XLA fuses: what torch says about its kernels is accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from . import bias, flex_attention

__all__ = ["WARN_FOR_UNFUSED_KERNELS", "SDPBackend", "bias", "current_flash_attention_impl", "flex_attention",
           "list_flash_attention_impls", "sdpa_kernel"]

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(Enum):
    """torch's kernels of `scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: list[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[None]:
    """A block that asks for kernels of attention; accepted, as there is one form here.

    Raises AssertionError for what is no `SDPBackend`, or none.

    >>> import flambeau as torch
    >>> q = torch.ones(1, 1, 2, 4)
    >>> with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
    ...     torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
    torch.Size([1, 1, 2, 4])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.attention.sdpa_kernel.html
    """
    if not isinstance(backends, (list, SDPBackend)):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend instances")
    wanted = backends if isinstance(backends, list) else [backends]
    if not all(isinstance(backend, SDPBackend) for backend in wanted):
        raise TypeError("sdpa_kernel requires SDPBackend members, got "
                        f"{', '.join(type(backend).__name__ for backend in wanted)}")
    yield


def list_flash_attention_impls() -> list[str]:
    """Empty: there are no kernels to choose from."""
    return []


def current_flash_attention_impl() -> None:
    """None: no kernel was chosen."""
