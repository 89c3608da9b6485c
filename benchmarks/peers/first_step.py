"""One process of the start-up benchmark: `python -m benchmarks.peers.first_step NAME SIZE` takes one training step.

Prints the loss when the step has finished; SIZE is a GptSize as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from ..work import GptSize, peer
from .torch_style import as_is, gpt_trainer

DROPOUT, RATE = 0.1, 2e-3


def trainer(name: str, size: GptSize) -> Any:
    """The named contender's training step, from fresh weights."""
    if name == "jax":
        return peer("jax_gpt").trainer(size, DROPOUT, None, RATE)
    if name not in ("flambeau", "torch", "torch.compile"):
        raise ValueError(f"a contender requires one of flambeau, jax, torch, torch.compile, got {name}")
    torch: Any = importlib.import_module(name.partition(".")[0])
    wrap_step = torch.jit if name == "flambeau" else as_is
    wrap_loss = torch.compile if name == "torch.compile" else as_is
    return gpt_trainer(torch, size, DROPOUT, None, RATE, wrap_step, wrap_loss)


def main(name: str, size: str) -> None:
    """Take the step and say its loss."""
    chosen = GptSize(**json.loads(size))
    (batch,) = chosen.batches(1, seed=0)
    print(float(trainer(name, chosen)(*batch)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
