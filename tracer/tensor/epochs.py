"""Counters that are moved on when something changes that compiled steps depend on."""

from __future__ import annotations

# Bumped when something that traces depend on structurally changes: a module attribute, a requires_grad flag.
structure_epoch = [0]
grad_epoch = [0]  # bumped when a `.grad` becomes another tensor


def _structure_changed() -> None:
    structure_epoch[0] += 1
