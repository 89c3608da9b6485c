"""Optimizers that people write in torch's idiom, one source run by both libraries: fifty steps, here jitted and one program."""

import importlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402
from flambeau.tracer.ir.errors import TraceError  # noqa: E402

STEPS = 50
SOURCES = Path(__file__).parent / "sources"
SUBMODULES = ("optim", "optim.optimizer", "nn")


def load(lib, file, name):
    """A class from a source that says `import torch`, run with `lib` as that."""
    wanted = {"torch": lib, **{f"torch.{sub}": importlib.import_module(f"{lib.__name__}.{sub}") for sub in SUBMODULES}}
    before = {key: sys.modules.get(key) for key in wanted}
    sys.modules.update(wanted)
    try:
        spec = importlib.util.spec_from_file_location(f"research_{lib.__name__}_{file}", SOURCES / f"{file}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.modules.update({key: value for key, value in before.items() if value is not None})
        for key, value in before.items():
            if value is None:
                del sys.modules[key]
    return getattr(module, name)


class Training:
    """A small network, its optimizer, and a step of the two."""

    def __init__(self, lib, make):
        random = np.random.default_rng(0)
        self.lib = lib
        self.params = [lib.tensor(np.asarray(random.normal(size=s) / 2, "f")).requires_grad_() for s in ((4, 6), (6,), (6, 2))]
        self.optimizer = make(lib, self.params)

    def loss(self, x, y):
        first, bias, last = self.params
        return (((x @ first + bias).tanh() @ last - y) ** 2).mean()

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss

    def sharp_step(self, x, y):
        self.loss(x, y).backward()
        self.optimizer.first_step(zero_grad=True)
        self.loss(x, y).backward()
        self.optimizer.second_step(zero_grad=True)

    def closing_step(self, x, y):
        def closure():
            loss = self.loss(x, y)
            loss.backward()
            return loss

        closure()
        self.optimizer.step(closure)
        self.optimizer.zero_grad()

    def measure(self, x, y):
        self.optimizer.zero_grad()
        self.loss(x, y).backward()
        self.optimizer.update_hessian()

    def batches(self, steps=STEPS):
        random = np.random.default_rng(1)
        for _ in range(steps):
            x = np.asarray(random.normal(size=(8, 4)), "f")
            yield [self.lib.tensor(a) for a in (x, np.asarray(np.sin(x[:, :2]) + x[:, 2:], "f"))]


def close(ours, theirs, tolerance=2e-4):
    for a, b in zip(ours.params, theirs.params, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)
    first = Training(torch, lambda lib, params: None)
    assert any(not np.allclose(a.detach(), b.detach(), atol=1e-3) for a, b in zip(first.params, theirs.params, strict=True))


def of(file, name, **options):
    return lambda lib, params: load(lib, file, name)(params, **options)


def in_groups(file, name, **options):
    return lambda lib, params: load(lib, file, name)([{"params": params[:2]}, {"params": params[2:], "lr": 0.004}], **options)


def sharp(base, **options):
    return lambda lib, params: load(lib, "sam", "SAM")(params, getattr(lib.optim, base), **options)


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

# Which recompute a basis now and then: how they are made, and how many different steps there are.
PERIODIC = {"Shampoo": (of("shampoo", "Shampoo", lr=0.05), 2), "SOAP": (of("soap", "SOAP", lr=0.01), 3)}

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


def test_what_reads_a_value_is_refused_at_its_line():
    ours = Training(fb, of("prodigy", "ReadingProdigy"))
    line = next(i for i, text in enumerate((SOURCES / "prodigy.py").read_text().splitlines(), 1) if "# read here" in text)
    with pytest.raises(TraceError, match=rf"prodigy\.py:{line}"):
        fb.jit(ours.step)(*next(ours.batches()))
