"""Small tensors joined to a batch: which of them are the same tensor makes no other program."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.recorder import thread_recorder
from flambeau.tracer.lazy.at_once import SMALL

from .test_starts import compiles

JOINS: dict[str, Callable[[Any], Any]] = {
    "cat": torch.cat, "cat of rows": lambda xs: torch.cat([x[None] for x in xs]),
    "along 1": lambda xs: torch.cat([x[:, None] for x in xs], 1),
    "stack": torch.stack, "last": lambda xs: torch.stack(xs, -1), "vstack": torch.vstack, "hstack": torch.hstack,
    "column_stack": torch.column_stack, "of two types": lambda xs: torch.cat([*xs, torch.tensor([1, 2])]),
    "rows of memory": lambda xs: torch.stack([x[1:] for x in xs]),
}


@pytest.mark.parametrize("join", JOINS)
def test_batches_by_chance_are_one_program(join: str) -> None:
    pool = [torch.sin(torch.full((3,), float(i))) for i in range(40)]
    torch.synchronize()
    w, choice = torch.tensor(0.5, requires_grad=True), random.Random(0)

    def batches() -> None:
        for _ in range(8):
            found = [choice.randrange(39) for _ in range(6)]
            now, then = JOINS[join]([pool[i] for i in found]), JOINS[join]([pool[i + 1] for i in found])
            loss = ((now * w).tanh() - (then * w).tanh().detach()).pow(2).mean()
            loss.backward()
            wanted = np.array([pool[i].tolist() for i in found])
            assert loss.item() >= 0 and (join != "stack" or np.array_equal(now.numpy(), wanted.astype(np.float32)))

    assert compiles(batches) <= 3  # one alone, one that adds to the gradient


def test_gradients_flow_and_what_is_written_later_changes_nothing() -> None:
    x, y = torch.ones(3, requires_grad=True), torch.ones(3)
    torch.synchronize()
    joined, plain = torch.cat([x, y]), torch.cat([y, y])
    y.fill_(5.0)
    (joined * torch.arange(6.0)).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 2.0] and plain.tolist() == [1.0] * 6 and joined.tolist() == [1.0] * 6


def test_what_is_large_or_pending_is_recorded() -> None:
    large, small = torch.zeros(SMALL), torch.zeros(2)
    torch.synchronize()
    assert torch.cat([large, small])._read().buffer is None
    assert torch.cat([small, small + 1])._read().buffer is None
    before = len(thread_recorder().nodes)
    assert torch.cat([small, small])._read().buffer is not None and len(thread_recorder().nodes) == before


def test_under_jit_it_is_part_of_the_program() -> None:
    a, b = torch.ones(2), torch.zeros(2)
    torch.synchronize()
    step = torch.jit(lambda x: torch.cat([a, b, x]))
    assert step(torch.ones(1)).tolist() == [1.0, 1.0, 0.0, 0.0, 1.0]
    a.fill_(3.0)
    assert step(torch.ones(1)).tolist() == [3.0, 3.0, 0.0, 0.0, 1.0] and step.stats.compiles == 1
