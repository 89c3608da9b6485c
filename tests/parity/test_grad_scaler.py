"""GradScaler against torch's: scales, skipped steps, states and errors; and as part of one compiled step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

OPTIMIZERS = {"SGD": {"lr": 0.1, "momentum": 0.9}, "AdamW": {"lr": 0.1}}
FACTORS = [1.0, float("inf"), 2.0, 3.0, float("nan"), 1.0, 1.0, 1.0, 1.0]  # what each step's loss is multiplied by
RULE = {"init_scale": 8.0, "growth_interval": 2, "growth_factor": 4.0}


def run(m: Any, optimizer: str, jitted: bool = False, clip: bool = False) -> list[tuple[float, list[float], int]]:
    """The scale, the parameter and the count of finite steps after each step."""
    w = m.tensor([1.0, -2.0], requires_grad=True)
    opt = getattr(m.optim, optimizer)([w], **OPTIMIZERS[optimizer])
    scaler = m.amp.GradScaler("cpu", **RULE)

    def step(factor: Any) -> None:
        loss = (w * w).sum() * factor
        scaler.scale(loss).backward()
        if clip:
            scaler.unscale_(opt)
            m.nn.utils.clip_grad_norm_([w], 0.5)
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()

    call = flambeau.jit(step) if jitted else step
    seen = []
    for factor in FACTORS:
        call(m.tensor(factor))
        seen.append((scaler.get_scale(), w.tolist(), scaler.state_dict()["_growth_tracker"]))
    if jitted:
        assert call.stats.compiles == 1
    return seen


@pytest.mark.parametrize("clip", [False, True], ids=["plain", "clipped"])
@pytest.mark.parametrize("jitted", [False, True], ids=["lazily", "jitted"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_scales_and_parameters(optimizer: str, jitted: bool, clip: bool) -> None:
    expected, found = run(torch, optimizer, clip=clip), run(flambeau, optimizer, jitted, clip)
    assert [(s, n) for s, _, n in found] == [(s, n) for s, _, n in expected]
    np.testing.assert_allclose([w for _, w, _ in found], [w for _, w, _ in expected], rtol=1e-5)


def test_a_skipped_first_step_leaves_the_optimizer_as_it_was() -> None:
    w = flambeau.tensor([1.0], requires_grad=True)
    untouched = flambeau.tensor([1.0], requires_grad=True)
    opt = flambeau.optim.AdamW([w, untouched], lr=0.1)
    scaler = flambeau.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(w.sum() * float("nan")).backward()
    scaler.step(opt)
    scaler.update()
    assert w.item() == 1 and scaler.get_scale() == 2
    assert {name: x.item() for name, x in opt.state[w].items()} == {"step": 0, "exp_avg": 0, "exp_avg_sq": 0}
    assert untouched not in opt.state


def test_two_optimizers_and_one_update() -> None:
    for jitted in (False, True):
        a, b = (flambeau.tensor([1.0], requires_grad=True) for _ in range(2))
        first, second = flambeau.optim.SGD([a], lr=1.0), flambeau.optim.SGD([b], lr=1.0)
        scaler = flambeau.amp.GradScaler("cpu", init_scale=4.0)

        def step(a: Any = a, b: Any = b, first: Any = first, second: Any = second, scaler: Any = scaler) -> None:
            scaler.scale(a.sum() + b.sum() * float("inf")).backward()
            scaler.step(first)
            scaler.step(second)
            scaler.update()
            first.zero_grad()
            second.zero_grad()

        (flambeau.jit(step) if jitted else step)()
        assert (a.item(), b.item(), scaler.get_scale()) == (0, 1, 2)


def test_a_compiled_step_reads_changed_factors() -> None:
    scaler = flambeau.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1)
    w = flambeau.tensor([1.0], requires_grad=True)
    opt = flambeau.optim.SGD([w], lr=0.1)

    @flambeau.jit
    def step() -> None:
        scaler.scale(w.sum()).backward()
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()

    step()
    scaler.set_growth_factor(8.0)
    step()
    scaler.set_growth_interval(5)
    step()
    assert scaler.get_scale() == 4 * 2 * 8 and step.stats.compiles == 1
    assert (scaler.get_growth_factor(), scaler.get_growth_interval(), scaler.get_backoff_factor()) == (8, 5, 0.5)


def test_states_are_those_of_torch() -> None:
    theirs, ours = (m.amp.GradScaler("cpu", **RULE) for m in (torch, flambeau))
    assert ours.state_dict() == theirs.state_dict()
    state = {**theirs.state_dict(), "scale": 32.0, "_growth_tracker": 1}
    for scaler in (theirs, ours):
        scaler.load_state_dict(state)
    assert ours.state_dict() == theirs.state_dict() == state
    ours.scale(flambeau.ones(1))
    ours.load_state_dict({**state, "scale": 2.0})
    assert ours.get_scale() == 2 and ours.scale(flambeau.ones(1)).item() == 2


def _parts(m: Any) -> tuple[Any, Any, Any]:
    w = m.tensor([1.0], requires_grad=True)
    scaler = m.amp.GradScaler("cpu")
    scaler.scale(w.sum()).backward()
    return w, m.optim.SGD([w], lr=0.1), scaler


def _twice(m: Any) -> None:
    _, opt, scaler = _parts(m)
    scaler.unscale_(opt)
    scaler.unscale_(opt)


def _step_twice(m: Any) -> None:
    _, opt, scaler = _parts(m)
    scaler.step(opt)
    scaler.step(opt)


def _unscale_after_step(m: Any) -> None:
    _, opt, scaler = _parts(m)
    scaler.step(opt)
    scaler.unscale_(opt)


def _closure(m: Any) -> None:
    _, opt, scaler = _parts(m)
    scaler.step(opt, closure=lambda: None)


def _halves(m: Any) -> None:
    w = m.tensor([1.0], dtype=m.float16, requires_grad=True)
    opt, scaler = m.optim.SGD([w], lr=0.1), m.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(w.sum()).backward()
    scaler.unscale_(opt)


ERRORS: dict[str, Callable[[Any], Any]] = {
    "unscale_ twice": _twice, "step twice": _step_twice, "unscale_ after step": _unscale_after_step, "a closure": _closure,
    "float16": _halves,
    "no checks": lambda m: (s := m.amp.GradScaler("cpu"), s.scale(m.ones(1)), s.update()),
    "no growth": lambda m: m.amp.GradScaler("cpu", growth_factor=1.0),
    "no backoff": lambda m: m.amp.GradScaler("cpu", backoff_factor=1.0),
    "no tensor": lambda m: m.amp.GradScaler("cpu").scale(3),
    "an empty state": lambda m: m.amp.GradScaler("cpu").load_state_dict({}),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    errors = []
    for m in (torch, flambeau):
        with pytest.raises((RuntimeError, ValueError, AssertionError)) as caught:
            ERRORS[name](m)
        errors.append((caught.type, str(caught.value)[:40]))
    assert errors[0] == errors[1]


def test_not_enabled_it_does_nothing() -> None:
    w = flambeau.tensor([1.0], requires_grad=True)
    opt, scaler = flambeau.optim.SGD([w], lr=0.5), flambeau.amp.GradScaler("cpu", enabled=False)
    loss = w.sum()
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1 and scaler.state_dict() == {}
    loss.backward()
    scaler.unscale_(opt)
    scaler.step(opt)
    scaler.update()
    assert w.item() == 0.5 and not scaler.is_enabled()


def test_lists_of_outputs() -> None:
    scaler = flambeau.amp.GradScaler("cpu", init_scale=2.0)
    first, (second,) = scaler.scale([flambeau.ones(1), (flambeau.ones(1),)])
    assert first.item() == second.item() == 2
    scaler.update(16.0)
    assert scaler.get_scale() == 16
