"""One process of the start-up benchmark: `python -m benchmarks.peers.first_step NAME SIZE` takes one training step.

Prints the loss when the step has finished; SIZE is a GptSize as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ..work import GptSize

DROPOUT, RATE = 0.1, 2e-3


def trainer(name: str, size: GptSize) -> Any:
    """The named contender's training step, from fresh weights."""
    if name == "jax":
        from .jax_gpt import trainer as jax_trainer

        return jax_trainer(size, DROPOUT, None, RATE)
    from .torch_style import as_is, gpt_trainer

    if name == "flambeau":
        import flambeau

        return gpt_trainer(flambeau, size, DROPOUT, None, RATE, wrap_step=flambeau.jit)
    import torch

    return gpt_trainer(torch, size, DROPOUT, None, RATE, wrap_loss=torch.compile if name == "torch.compile" else as_is)


def main(name: str, size: str) -> None:
    """Take the step and say its loss."""
    chosen = GptSize(**json.loads(size))
    (batch,) = chosen.batches(1, seed=0)
    print(float(trainer(name, chosen)(*batch)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
