"""The demonstration's training step, compiled by the real TPU compiler on a machine without a TPU."""

import sys

import numpy as np

import flambeau as torch
from flambeau.demo.gpt import GPT
from flambeau.demo.run import BATCH, WINDOW, training_step
from flambeau.demo.text import batch, load
from flambeau.runtime import aot

text = load(None, WINDOW)
model = GPT(len(text.characters), WINDOW)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
pair = batch(text.train, BATCH, WINDOW, np.random.default_rng(0))
compiled = aot.compile(training_step(model, optimizer), *pair, topology="v5e:2x2")
print(compiled)

parameters = sum(p.numel() for p in model.parameters())
memory, cost = compiled.memory(), compiled.cost()
assert memory["alias"] >= 3 * 4 * parameters, "weights and both moments are updated in place"
assert memory["total"] < memory["available"]
assert 1e-5 < cost["optimal_seconds"] < 1e-2
assert cost["flops"] > 6 * BATCH * WINDOW * 4 * 12 * 128**2 / 2, "forward and backward are in it"
assert not [name for name in sys.modules if name == "torch"]
