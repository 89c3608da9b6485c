"""What the scripts beside this file do when they are run: train for a few steps and print the losses."""

import numpy as np
import torch


def same_weights(model, seed=0):
    """Random weights from numpy, scaled by fan-in, so that every library starts from the same numbers."""
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for p in model.parameters():
            fan_in = p[0].numel() if p.dim() > 1 else 1
            values = random.standard_normal(tuple(p.shape)) / fan_in**0.5
            if p.dim() < 2:  # scales stay near one, and biases near zero, wherever the layer drew them
                values = np.round(p.detach().numpy()) + 0.02 * values
            p.copy_(torch.from_numpy(np.asarray(values, dtype=np.float32)))
    return model


def run(build, make_optimizer, make_batch, step, steps=5):
    """Train and print one loss a line."""
    model = same_weights(build())
    optimizer = make_optimizer(model)
    model.train()
    for i in range(steps):
        loss = step(model, optimizer, make_batch(i))
        print(f"step {i}: loss {loss.item():.6f}")
