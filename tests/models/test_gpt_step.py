"""The GPT's training step is one program: compiled once, launched once per call, forward, backward and AdamW in it."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.demo import run
from flambeau.demo.gpt import GPT
from flambeau.runtime.engine import Counts
from flambeau.tracer.ir.text import parse

STEPS = 300


@pytest.fixture(scope="module")
def trained():
    """A small GPT with dropout after 300 steps under a cosine schedule, and what the process did meanwhile."""
    torch.manual_seed(0)
    model = GPT(17, window=8, layers=2, heads=2, width=16, dropout=0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    step = run.training_step(model, optimizer)
    rng = np.random.default_rng(0)
    tokens = [rng.integers(0, 17, (4, 8)) for _ in range(STEPS)]
    torch.synchronize()
    losses = [step(tokens[0], (tokens[0] + 1) % 17)]
    before = Counts.compiles + Counts.disk_hits, Counts.launches
    for x in tokens[1:]:
        schedule.step()
        losses.append(step(x, (x + 1) % 17))
    after = Counts.compiles + Counts.disk_hits, Counts.launches
    return step, [loss.item() for loss in losses], before, after


def test_nothing_is_compiled_after_the_first_step_and_each_call_launches_once(trained) -> None:
    step, _, before, after = trained
    assert after[0] - before[0] == 0
    assert after[1] - before[1] == STEPS - 1
    assert (step.stats.compiles, step.stats.calls) == (1, STEPS)


def test_it_learns(trained) -> None:
    losses = trained[1]
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])


def test_the_schedule_and_the_dropout_change_from_call_to_call(trained) -> None:
    step = trained[0]
    assert 'f64[] "lr"' in str(step.graph)
    x = np.zeros((4, 8), np.int64)
    assert step(x, x).item() != step(x, x).item()


def test_one_graph_holds_forward_backward_and_the_optimizer_with_sources(trained) -> None:
    graph = trained[0].graph.check()
    files = {node.location[0].rsplit("/", 1)[-1] for node in graph.nodes}
    assert {"gpt.py", "run.py"} <= files
    assert all(node.location[1] > 0 for node in graph.nodes)
    forward = {node.scope for node in graph.nodes if node.of is None}
    backward = {node.scope for node in graph.nodes if node.of is not None}
    assert {"blocks.1.attention", "blocks.0.mlp.0", "norm", "tokens"} <= forward
    assert {"blocks.1.attention", "blocks.0.mlp.0", "norm"} <= backward
    text = str(graph)
    assert "backward of" in text
    assert sum(node.op.name == "sqrt" for node in graph.nodes) >= 10  # AdamW's denominators


def test_the_graph_is_read_back(trained) -> None:
    text = str(trained[0].graph)
    again = parse(text)
    assert again.key == trained[0].graph.key
