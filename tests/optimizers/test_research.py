"""Optimizers that people write in torch's idiom, one source run by both libraries: fifty steps, here jitted and one program."""

import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402
from flambeau.tracer.ir.errors import TraceError  # noqa: E402

from .training import SOURCES, Training, close, in_groups, of, sharp  # noqa: E402

# By name: how the optimizer is made, and the method of `Training` that is a step.
CASES = {
    "Lion": (of("lion", "Lion", lr=0.003, weight_decay=0.1), "step"),
    "Lion in groups": (in_groups("lion", "Lion", lr=0.002), "step"),
    "Sophia": (of("sophia", "SophiaG", lr=0.003), "step"),
    "Prodigy": (of("prodigy", "Prodigy"), "step"),
    "Adan": (of("adan", "Adan", lr=0.01, weight_decay=0.02), "step"),
    "Adan without prox": (of("adan", "Adan", lr=0.01, weight_decay=0.02, no_prox=True), "step"),
    "Adan from the first gradient": (of("adan", "Adan", lr=0.01, first_difference=False), "step"),
    "LAMB": (of("lamb", "Lamb", lr=0.01), "step"),
    "LARS": (of("lars", "LARS", lr=0.5), "step"),
    "LARS nesterov": (of("lars", "LARS", lr=0.2, nesterov=True), "step"),
    "ScheduleFree": (of("schedule_free", "AdamWScheduleFree", lr=0.02, weight_decay=0.01), "step"),
    "AdaBelief": (of("adabelief", "AdaBelief", lr=0.01, weight_decay=0.01), "step"),
    "AdaBelief amsgrad": (of("adabelief", "AdaBelief", lr=0.01, amsgrad=True), "step"),
    "SAM of SGD": (sharp("SGD", lr=0.05, momentum=0.9), "sharp_step"),
    "SAM of AdamW": (sharp("AdamW", lr=0.01, adaptive=True, rho=0.5), "sharp_step"),
    "SAM with a closure": (sharp("SGD", lr=0.05), "closing_step"),
    "DAdaptation": (of("dadapt", "DAdaptAdam", d0=0.002, growth_rate=1.05), "step"),
}

# Whose first step is another program than all others: its state holds what the call is given.
TWO_PROGRAMS = {"Adan from the first gradient"}


@pytest.mark.parametrize("name", CASES)
def test_fifty_steps_are_torchs_in_one_program(name):
    make, method = CASES[name]
    ours, theirs = Training(fb, make), Training(torch, make)
    step = fb.jit(getattr(ours, method))
    for x, y in ours.batches():
        step(x, y)
    for x, y in theirs.batches():
        getattr(theirs, method)(x, y)
    close(ours, theirs)
    assert step.stats.compiles == (2 if name in TWO_PROGRAMS else 1)


@pytest.mark.parametrize("name", CASES)
def test_lazily_they_are_torchs(name, numpy_engine):
    make, method = CASES[name]
    ours, theirs = Training(fb, make), Training(torch, make)
    for made in (ours, theirs):
        for x, y in made.batches(8):
            getattr(made, method)(x, y)
    close(ours, theirs)


def test_a_hessian_now_and_then_is_a_program_of_its_own():
    ours, theirs = (Training(lib, CASES["Sophia"][0]) for lib in (fb, torch))
    step, measure = fb.jit(ours.step), fb.jit(ours.measure)
    for made, one, other in ((ours, step, measure), (theirs, theirs.step, theirs.measure)):
        for i, (x, y) in enumerate(made.batches()):
            if i % 10 == 0:
                other(x, y)
            one(x, y)
    close(ours, theirs)
    assert (step.stats.compiles, measure.stats.compiles) == (1, 1)


def test_what_reads_a_value_is_refused_at_its_line():
    ours = Training(fb, of("prodigy", "ReadingProdigy"))
    line = next(i for i, text in enumerate((SOURCES / "prodigy.py").read_text().splitlines(), 1) if "# read here" in text)
    with pytest.raises(TraceError, match=rf"prodigy\.py:{line}"):
        fb.jit(ours.step)(*next(ours.batches()))
