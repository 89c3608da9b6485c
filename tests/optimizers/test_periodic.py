"""Optimizers that compute a basis anew every few steps: a program for each of the steps there are, equal to torch over fifty."""

import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402

from .training import Training, close, of  # noqa: E402

# Which recompute a basis now and then: how they are made, and how many different steps there are with the first.
PERIODIC = {"Shampoo": (of("shampoo", "Shampoo", lr=0.05), 3), "SOAP": (of("soap", "SOAP", lr=0.01), 3)}


@pytest.mark.parametrize("name", PERIODIC)
def test_what_happens_now_and_then_is_a_program_for_each_outcome(name):
    make, outcomes = PERIODIC[name]
    ours, theirs = Training(fb, make), Training(torch, make)
    step = fb.jit(ours.step)
    for x, y in ours.batches():
        step(x, y)
    for x, y in theirs.batches():
        theirs.step(x, y)
    close(ours, theirs, 2e-3)
    assert step.stats.compiles <= outcomes
