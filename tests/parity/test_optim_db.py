"""torch's record of optimizers: every configuration of every class, lazily and inside one jitted step, against torch."""

import importlib.machinery
import sys
import types
import unittest

import numpy as np
import pytest

torch = pytest.importorskip("torch")

if "expecttest" not in sys.modules:  # the record's module imports it for tests of its own
    _stub = types.ModuleType("expecttest")
    _stub.__spec__ = importlib.machinery.ModuleSpec("expecttest", None)
    _stub.TestCase = unittest.TestCase
    sys.modules["expecttest"] = _stub

from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db  # noqa: E402

import flambeau as fb  # noqa: E402

from ..engines import on_numpy  # noqa: E402

STEPS = 4
TOLERANCE = {"rtol": 5e-6, "atol": 5e-6}
TOLERANCES = {"Muon": {"rtol": 1e-2, "atol": 2e-3}}  # computed in bfloat16, whose sums XLA rounds in its own order
SHAPES = [(4, 3), (3,)]
MATRICES = [(4, 3), (2, 3)]


def configurations(info):
    """The options of both kinds of device, each as it is and with every choice of implementation that the class has."""
    known = {}
    for config in [*info.optim_inputs_func(device="cpu"), *info.optim_inputs_func(device="cuda")]:
        for flag in (None, *info.supported_impls):
            kwargs = {**config.kwargs, **dict.fromkeys(info.supported_impls, False)}
            if flag is not None:
                kwargs[flag] = True
            known.setdefault(f"{info.name}-{config.desc}-{flag or 'plain'}".replace(" ", "_"), (info, kwargs))
    return known


ALL = {name: case for info in optim_db for name, case in configurations(info).items()}
DENSE = {name: case for name, case in ALL.items() if not case[0].only_supports_sparse_grads}
STEPPING = {name: case for name, case in DENSE.items() if not case[0].step_requires_closure}


def ours_of(x):
    if isinstance(x, torch.Tensor):
        made = fb.tensor(x.detach().numpy() if x.dtype is not torch.bfloat16 else x.detach().float().numpy())
        return made.requires_grad_(x.requires_grad)
    if isinstance(x, dict):
        return {key: ours_of(item) for key, item in x.items()}
    return type(x)(map(ours_of, x)) if isinstance(x, (list, tuple)) else x


class Run:
    """One optimizer of one library on parameters of its own, and the step that trains them."""

    def __init__(self, lib, name, kwargs, shapes, is_leaf=True, dtype="float32"):
        random = np.random.default_rng(0)
        kind = getattr(lib, dtype)
        arrays = [random.normal(size=s) + (1j * random.normal(size=s) if "complex" in dtype else 0) for s in shapes]
        self.lib = lib
        self.params = [lib.tensor(np.asarray(a), dtype=kind).requires_grad_(is_leaf) for a in arrays]
        self.optimizer = getattr(lib.optim, name)(self.params, **kwargs)

    def gradients(self, x):
        """Gradients of a loss, or the same numbers where parameters ask for none."""
        self.optimizer.zero_grad()
        if not self.params[0].requires_grad:
            for p in self.params:
                p.grad = 2 * p.detach() * x + x.sin()
            return None
        loss = sum((p * p.conj() * x).real.sum() + (p.real * x.sin()).sum() for p in self.params)
        loss.backward()
        return loss

    def step(self, x):
        self.gradients(x)
        self.optimizer.step()

    def run(self, step=None, steps=STEPS):
        for i in range(steps):
            (step or self.step)(self.lib.tensor(np.float32(0.7 * (i + 1) % 1.3)))


def oracle_of(kwargs):
    """What torch runs on a CPU: only `capturable` it does not."""
    return {**kwargs, "capturable": False} if "capturable" in kwargs else dict(kwargs)


def pair(info, kwargs, **options):
    shapes = MATRICES if info.name == "Muon" else SHAPES
    options.setdefault("is_leaf", not kwargs.get("differentiable"))
    return (Run(fb, info.name, ours_of(kwargs), shapes, **options),
            Run(torch, info.name, oracle_of(kwargs), shapes, **options))


def close(ours, theirs, name="", **tolerance):
    if not isinstance(theirs, torch.Tensor):
        assert ours == pytest.approx(theirs, **{k.replace("rtol", "rel").replace("atol", "abs"): v for k, v in tolerance.items()})
        return
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape), name
    wide = torch.complex128 if theirs.is_complex() else torch.float64
    expected = theirs.detach().to(wide).numpy()
    np.testing.assert_allclose(ours.detach().numpy().astype(expected.dtype), expected, err_msg=name, **tolerance)


def check(ours, theirs, tolerance=None):
    tolerance = tolerance or TOLERANCES.get(type(theirs.optimizer).__name__, TOLERANCE)
    for i, (a, b) in enumerate(zip(ours.params, theirs.params, strict=True)):
        close(a, b, f"parameter {i}", **tolerance)
    a, b = ours.optimizer.state_dict(), theirs.optimizer.state_dict()
    assert list(a["state"]) == list(b["state"])
    for index, state in b["state"].items():
        assert list(a["state"][index]) == list(state)
        for key, value in state.items():
            close(a["state"][index][key], value, f"state {index} {key}", **tolerance)
    for one, other in zip(a["param_groups"], b["param_groups"], strict=True):
        assert list(one) == list(other)
        different = {k for k in other if not isinstance(other[k], torch.Tensor) and one[k] != other[k]}
        assert different <= {"capturable"}


@pytest.mark.parametrize("name", STEPPING)
def test_steps_are_torchs(name, numpy_engine):
    ours, theirs = pair(*STEPPING[name])
    ours.run()
    theirs.run()
    check(ours, theirs)


@pytest.mark.parametrize("name", STEPPING)
def test_a_jitted_step_is_torchs_and_one_program(name, numpy_engine):
    jitted(*STEPPING[name])


@pytest.mark.parametrize("info", [info for info in optim_db if info.name in {case[0].name for case in STEPPING.values()}],
                         ids=lambda info: info.name)
def test_a_jitted_step_through_xla(info):
    """The configuration of each class with the most options."""
    jitted(info, max((kwargs for i, kwargs in STEPPING.values() if i is info), key=lambda kwargs: sum(map(bool, kwargs.values()))))


def jitted(info, kwargs):
    ours, theirs = pair(info, kwargs)
    step = fb.jit(ours.step)
    ours.run(step)
    theirs.run()
    check(ours, theirs)
    assert step.stats.compiles == 1
