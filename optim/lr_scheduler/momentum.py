"""Momentum that a schedule moves with the rate: the option `momentum`, or the first of `betas`."""

from __future__ import annotations

from typing import Any

from ..group import Group
from ..optimizer import Optimizer
from .base import per_group


def uses_beta1(optimizer: Optimizer) -> bool:
    """Whether it is the first of betas; ValueError if an optimizer has neither."""
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    return "betas" in optimizer.defaults


def set_momentum(group: Group, is_beta: bool, momentum: float) -> None:
    """Write a group's momentum."""
    if is_beta:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def momentum_bounds(optimizer: Optimizer, low: Any, high: Any, is_new: bool) -> tuple[list[float], list[float]]:
    """The lowest and the highest of each group; a new schedule begins at the highest and notes both in the group."""
    lows, highs = per_group("base_momentum", low, optimizer), per_group("max_momentum", high, optimizer)
    if is_new:
        for group, lowest, highest in zip(optimizer.param_groups, lows, highs, strict=True):
            set_momentum(group, uses_beta1(optimizer), highest)
            group["max_momentum"], group["base_momentum"] = highest, lowest
    return lows, highs
