"""From the user's function to the text that XLA gets: trace, gradient and print of the demo's training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from unittest.mock import patch

import flambeau as torch
from flambeau.lowering import PLATFORM_OVERRIDES
from flambeau.lowering.module import module_text
from flambeau.tracer.backend import backend
from flambeau.tracer.ir import recorder
from flambeau.tracer.tensor import viewed
from flambeau.tracer.walks import kept as saved

from .recording import new_step
from .timing import OURS, Contender, Goal, Row, interleaved, timed
from .work import Settings, gpt_model, installed, peer

DROPOUT = 0.1
THIRD = 1 / 3


def tracing(settings: Settings) -> Iterator[Row]:
    """Seconds for a model that was never seen, with what earlier traces left behind forgotten, and with it kept.

    Neither side compiles. JAX's part is `jit(f).trace(...)` and `.lower()`: its text is not asked for.
    """
    for work, cold in (("GPT training step, first trace", True), ("GPT training step, traced before", False)):
        contenders: dict[str, Contender] = {OURS: partial(seconds_to_text, settings, cold)}
        if installed("jax"):
            contenders["jax"] = partial(peer("jax_gpt").trace_and_lower, settings.gpt, DROPOUT,
                                        settings.gpt.batches(1, 0)[0], cold)
        yield Row("trace", work, "ms", interleaved(contenders, settings.rounds), Goal(THIRD, "jax"))


class _Printed(Exception):
    """Thrown in place of compiling."""


def seconds_to_text(settings: Settings, cold: bool) -> float:
    """The time of `trace_and_print`."""
    return trace_and_print(settings, cold)[0]


def trace_and_print(settings: Settings, cold: bool) -> tuple[float, str]:
    """Seconds from the first call of a new step to the finished text, and the text."""
    model = gpt_model(torch, settings.gpt, DROPOUT)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    batch = [torch.tensor(a) for a in settings.gpt.batches(1, 0)[0]]
    torch.synchronize()
    step = new_step(model, optimizer)
    if cold:
        forget()
    texts: list[str] = []

    def print_only(graph: Any, device: str, donated: Any) -> Any:
        texts.append(module_text(graph, donated=donated, overrides=PLATFORM_OVERRIDES.get(device)))
        raise _Printed

    def call() -> None:
        with suppress(_Printed):
            step(*batch)

    with patch.object(backend(), "compile", print_only):
        seconds = timed(call)
    return seconds, texts[-1]


def forget() -> None:
    """Drop what a trace could profit from that an earlier one found out: inferred types, what gradients read, views."""
    for cache in (recorder._inferred, saved._reads, viewed.view_types):
        cache.clear()
