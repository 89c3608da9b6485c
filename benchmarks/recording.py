"""Outside jit: what recording an operation costs, and finding and printing a recorded graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import flambeau as torch
from flambeau.lowering.module import module_text
from flambeau.tracer.ir.recorder import thread_recorder
from flambeau.tracer.lazy.flush import Snapshot

from .timing import OURS, Goal, Row, interleaved, time_python_loop, timed
from .work import Settings, gpt_model

LOOP = "python loop"
LIMIT = 10e-6  # seconds per operation


def operations() -> dict[str, Callable[[], object]]:
    """Operations of small tensors, by how they are written."""
    x, y = torch.ones(8, 8), torch.ones(8, 8)
    w = torch.ones(8, 8, requires_grad=True)
    return {"x + y": lambda: x + y, "x * 2.0": lambda: x * 2.0, "x.exp()": lambda: x.exp(), "x.sum()": lambda: x.sum(),
            "x @ y": lambda: x @ y, "x.view(64)": lambda: x.view(64), "x + w (w requires grad)": lambda: x + w}


def recording(settings: Settings) -> Iterator[Row]:
    """Microseconds from the call of an operation to its return, beside a fixed loop of pure Python."""
    for name, operation in operations().items():
        clear_pending()
        samples = interleaved({OURS: lambda operation=operation: time_recording(operation, settings),  # type: ignore[misc]
                               LOOP: lambda: time_python_loop(settings.ops * settings.batches)}, settings.rounds)
        yield Row("record", name, "us", samples, Goal(LIMIT))


def time_recording(operation: Callable[[], object], settings: Settings) -> float:
    """Seconds per operation. What is pending is dropped between the timed stretches, so that nothing ever runs."""
    seconds = 0.0
    repeat = range(settings.ops)
    for _ in range(settings.batches):
        started = time.perf_counter()
        for _ in repeat:
            operation()
        seconds += time.perf_counter() - started
        clear_pending()
    return seconds / (settings.ops * settings.batches)


def clear_pending() -> None:
    """Forget what this thread has recorded."""
    recorder = thread_recorder()
    recorder.nodes, recorder.storages = [], []


def keying(settings: Settings) -> Iterator[Row]:
    """Microseconds per node for the structural key of a recorded forward and backward, and for a step's text."""
    nodes, held = recorded_nodes(settings)
    samples = interleaved({OURS: lambda: timed(lambda: Snapshot(nodes), len(nodes)),
                           LOOP: lambda: time_python_loop(settings.ops * settings.batches)}, settings.rounds)
    yield Row("key", f"a GPT's forward and backward, {len(nodes)} nodes", "us", samples)
    del held
    graph = step_graph(settings)
    samples = interleaved({OURS: lambda: timed(lambda: module_text(graph), len(graph.nodes)),
                           LOOP: lambda: time_python_loop(settings.ops * settings.batches)}, settings.rounds)
    yield Row("print", f"the GPT's training step, {len(graph.nodes)} nodes", "us", samples)


def recorded_nodes(settings: Settings) -> tuple[list[Any], list[Any]]:
    """The pending nodes of one forward and backward, taken out of lazy mode, and what keeps their values alive."""
    model = gpt_model(torch, settings.gpt, 0.0)
    torch.synchronize()
    (tokens, targets), = settings.gpt.batches(1, 0)
    out = model(torch.from_numpy(tokens))
    loss = torch.nn.functional.cross_entropy(out.view(-1, out.shape[-1]), torch.from_numpy(targets).view(-1))
    loss.backward()
    nodes = thread_recorder().nodes
    clear_pending()
    return nodes, [model, out, loss, [node.outputs for node in nodes]]


def step_graph(settings: Settings) -> Any:
    """The whole training step as a graph; nothing is compiled."""
    model = gpt_model(torch, settings.gpt, 0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    return new_step(model, optimizer).trace(*map(torch.from_numpy, settings.gpt.batches(1, 0)[0]))


def new_step(model: Any, optimizer: Any) -> Any:
    """The demo's training step, not yet traced."""

    @torch.jit
    def step(tokens: Any, targets: Any) -> Any:
        logits = model(tokens)
        loss = torch.nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step
