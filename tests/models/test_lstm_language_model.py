"""A language model of two LSTM layers: its compiled step does not grow with the sequences, and its losses are torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau

VOCABULARY, STEPS, BATCH = 11, 20, 4


def model_of(torch: Any) -> Any:
    nn = torch.nn

    class LanguageModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(VOCABULARY, 8)
            self.lstm = nn.LSTM(8, 16, num_layers=2, batch_first=True)
            self.head = nn.Linear(16, VOCABULARY)

        def forward(self, tokens: Any, state: Any = None) -> Any:
            hidden, state = self.lstm(self.embed(tokens), state)  # (B, T, 16)
            return self.head(hidden), state

    return LanguageModel()


def training(torch: Any, model: Any) -> Any:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        logits, _ = model(x)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def batch(step: int, length: int) -> tuple[Any, Any]:
    """Numbers that count on, from anywhere, by one to three."""
    random = np.random.default_rng(step)
    tokens = (random.integers(VOCABULARY, size=(BATCH, 1)) + random.integers(1, 4, (BATCH, 1)) * np.arange(length + 1))
    tokens %= VOCABULARY
    return tokens[:, :-1].copy(), tokens[:, 1:].copy()


def test_the_step_does_not_grow_with_the_sequences() -> None:
    step = flambeau.jit(training(flambeau, model_of(flambeau)))
    sizes = [len(step.trace(*map(flambeau.from_numpy, batch(0, length))).nodes) for length in (8, 64)]
    assert sizes[0] == sizes[1]


def test_losses_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    flambeau.manual_seed(0)
    mine, yours = model_of(flambeau), model_of(torch)
    yours.load_state_dict({name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()})
    ours, theirs = flambeau.jit(training(flambeau, mine)), training(torch, yours)
    losses = []
    for i in range(STEPS):
        arrays = batch(i, 8)
        losses.append((ours(*map(flambeau.from_numpy, arrays)).item(), theirs(*map(torch.from_numpy, arrays)).item()))
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=5e-4)
    assert ours.stats.compiles == 1
    assert losses[-1][0] < losses[0][0] * 0.95


def test_the_state_carries_on() -> None:
    """Two halves of a sequence, the second from the state that the first left, are the whole."""
    flambeau.manual_seed(0)
    model = model_of(flambeau)
    tokens = flambeau.from_numpy(batch(0, 8)[0])
    whole, last = model(tokens)
    first, state = model(tokens[:, :4])
    second, end = model(tokens[:, 4:], state)
    np.testing.assert_allclose(flambeau.cat([first, second], 1).detach().numpy(), whole.detach().numpy(), atol=1e-6)
    for a, b in zip(end, last, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-6)
