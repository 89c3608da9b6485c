"""Choosing how attention is computed: https://pytorch.org/docs/stable/nn.attention.html

There is one way here, a composition that XLA fuses: what torch says about its kernels is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from . import bias, flex_attention

__all__ = ["WARN_FOR_UNFUSED_KERNELS", "SDPBackend", "activate_flash_attention_impl", "bias", "current_flash_attention_impl",
           "flex_attention", "list_flash_attention_impls", "register_flash_attention_impl", "restore_flash_attention_impl",
           "sdpa_kernel"]

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


_registered: dict[str, Callable[..., Any]] = {}
_active: list[tuple[str, Any]] = []


def register_flash_attention_impl(impl: str, *, register_fn: Callable[..., Any]) -> None:
    """Kept: what `activate_flash_attention_impl` calls for that name. Attention is computed as before.

    Source: https://pytorch.org/docs/stable/nn.attention.html
    """
    _registered[impl] = register_fn


def activate_flash_attention_impl(impl: str) -> None:
    """Call what was registered for a name; what it returns is kept until `restore_flash_attention_impl`.

    ValueError for a name that was not registered.
    """
    restore_flash_attention_impl(_raise_warn=False)
    if impl not in _registered:
        raise ValueError(f"Unknown flash attention impl '{impl}'. Available implementations: {list_flash_attention_impls()}")
    handle = _registered[impl]()
    if handle is not None:
        _active.append((impl, handle))


def restore_flash_attention_impl(_raise_warn: bool = True) -> None:
    """Let go of what was activated: its `remove()` is called."""
    while _active:
        _active.pop()[1].remove()


def list_flash_attention_impls() -> list[str]:
    """The names that were registered: there are no others to choose from."""
    return sorted(_registered)


def current_flash_attention_impl() -> str | None:
    """The name that was activated."""
    return _active[-1][0] if _active else None
