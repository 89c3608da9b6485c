"""torch's checks of constructor arguments, with its messages."""

from __future__ import annotations

from typing import Any

from ..tracer.tensor.tensor import Tensor

_NAMES = {"eps": "epsilon"}


def check_learning_rate(lr: Any, complaint: str = "Invalid learning rate") -> None:
    """ValueError for a negative rate, NaN, or a tensor of several elements."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0.0:
        raise ValueError(f"{complaint}: {lr}")


def check_non_negative(options: dict[str, float]) -> None:
    """ValueError naming the first option that is negative or NaN."""
    for name, number in options.items():
        if not number >= 0.0:
            raise ValueError(f"Invalid {_NAMES.get(name, name)} value: {number}")


def check_betas(betas: tuple[float, float]) -> None:
    """ValueError unless both are in [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_execution(foreach: bool | None, fused: bool | None) -> None:
    """torch's choices of implementation are accepted, and mean nothing here: XLA fuses all of them."""
    if foreach and fused:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
