"""A step that sets options of its optimizer's groups, itself or by a schedule: set at each call, and read after it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.optim import lr_scheduler as schedules
from flambeau.tracer.ir.errors import TraceError

X = torch.tensor([[1.0, -2.0, 0.5], [0.25, 1.0, -1.0]])
Group = Any


def training(make: Callable[[Any], Any] | None = None) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    return model, optimizer, make(optimizer) if make else None


def _proportional(group: Group, i: Any) -> None:
    group["lr"] = 0.1 * (1 - i / 20)


def _scaled(group: Group, i: Any) -> None:
    group["lr"] *= 0.9


def _constant(group: Group, i: Any) -> None:
    group["lr"] = 0.05


def _counted(group: Group, i: Any) -> None:
    group["calls"] = group.get("calls", 0) + 1
    group["lr"] = 0.1 / group["calls"]


def _warmed_up(group: Group, i: Any) -> None:
    if "initial_lr" not in group:
        group["initial_lr"] = group["lr"]
    group["lr"] = group["initial_lr"] * math.cos(i / 10)


def _pair(group: Group, i: Any) -> None:
    group["betas"] = (0.9 - i / 100, 0.99)


def _switched(group: Group, i: Any) -> None:
    group["weight_decay"] = 0.0 if i % 2 else 0.1


def _updated(group: Group, i: Any) -> None:
    group.update(lr=0.2, eps=1e-6)
    group |= {"mark": i}
    group.setdefault("kept", 3)
    group.pop("absent", None)
    del group["mark"]


def _moved(group: Group, i: Any) -> None:
    group["previous"] = group.pop("previous", 0.3) / 2
    group["lr"] = dict(group)["previous"] + {**group}["lr"] + group.copy()["lr"] * 0.1


# Each with the programs that it may take.
WRITES: dict[Callable[[Group, Any], None], int] = {
    _proportional: 1, _scaled: 1, _constant: 1, _counted: 2, _warmed_up: 1, _pair: 1, _switched: 2, _updated: 1, _moved: 2}


def _run(write: Callable[[Group, Any], None], compiled: bool) -> tuple[list[float], dict[str, Any], int]:
    model, optimizer, _ = training()

    def step(x: Any, i: Any) -> Any:
        loss = model(x).square().mean()
        loss.backward()
        for group in optimizer.param_groups:
            write(group, i)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    call: Any = torch.jit(step) if compiled else step
    told: list[float] = []
    for i in range(8):
        told += [call(X, i).item(), optimizer.param_groups[0]["lr"]]
        if i == 4:
            optimizer.param_groups[0]["lr"] = 0.3  # from outside, in between
    options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    return told, options, call.stats.compiles if compiled else 0


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_what_a_step_sets_is_set_at_each_call(numpy_engine: None, write: Callable[[Group, Any], None]) -> None:
    plain, jitted = _run(write, False), _run(write, True)
    assert jitted[0] == pytest.approx(plain[0], rel=1e-5)
    assert jitted[1] == plain[1]
    assert list(map(type, jitted[1].values())) == list(map(type, plain[1].values()))
    assert jitted[2] <= WRITES[write]


SCHEDULES: dict[str, tuple[Callable[[Any], Any], int]] = {
    "StepLR": (lambda o: schedules.StepLR(o, 3), 2),
    "MultiStepLR": (lambda o: schedules.MultiStepLR(o, [2, 5]), 3),
    "LambdaLR": (lambda o: schedules.LambdaLR(o, lambda epoch: 0.9**epoch), 1),
    "MultiplicativeLR": (lambda o: schedules.MultiplicativeLR(o, lambda epoch: 0.95), 1),
    "ExponentialLR": (lambda o: schedules.ExponentialLR(o, 0.9), 1),
    "CosineAnnealingLR": (lambda o: schedules.CosineAnnealingLR(o, 10), 2),
    "CosineAnnealingWarmRestarts": (lambda o: schedules.CosineAnnealingWarmRestarts(o, 4), 2),
    "LinearLR": (schedules.LinearLR, 2),
    "ConstantLR": (schedules.ConstantLR, 2),
    "PolynomialLR": (lambda o: schedules.PolynomialLR(o, 8), 2),
    "OneCycleLR": (lambda o: schedules.OneCycleLR(o, 0.2, total_steps=20), 2),
    "CyclicLR": (lambda o: schedules.CyclicLR(o, 0.01, 0.2, step_size_up=3, cycle_momentum=False), 2),
    "SequentialLR": (lambda o: schedules.SequentialLR(o, [schedules.LinearLR(o, total_iters=3),
                                                          schedules.CosineAnnealingLR(o, 8)], milestones=[3]), 4),
    "ChainedScheduler": (lambda o: schedules.ChainedScheduler([schedules.LinearLR(o), schedules.ExponentialLR(o, 0.9)]), 2),
    "SWALR": (lambda o: torch.optim.swa_utils.SWALR(o, swa_lr=0.02, anneal_epochs=4), 4),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_stepped_inside(numpy_engine: None, name: str) -> None:
    """A program per outcome of its conditions, not one per rate; what was kept of it stays as it was."""
    make, most = SCHEDULES[name]
    told: dict[bool, list[Any]] = {}
    for compiled in (False, True):
        model, optimizer, schedule = training(make)

        def step(x: Any, model: Any = model, optimizer: Any = optimizer, schedule: Any = schedule) -> Any:
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            return loss

        call: Any = torch.jit(step) if compiled else step
        before, saved = schedule.get_last_lr(), schedule.state_dict()
        kept = list(before), list(saved["_last_lr"])
        told[compiled] = []
        for _ in range(14):
            told[compiled] += [call(X).item(), optimizer.param_groups[0]["lr"], *schedule.get_last_lr()]
        assert (before, saved["_last_lr"]) == kept
        told[compiled].append(getattr(schedule, "last_epoch", 0))
        if compiled:
            assert call.stats.compiles <= most
    assert told[True] == pytest.approx(told[False], rel=1e-5)


def test_every_schedule_is_among_them() -> None:
    found = {name for name in schedules.__all__ if isinstance(getattr(schedules, name), type)}
    assert found - set(SCHEDULES) <= {"LRScheduler", "ReduceLROnPlateau"}


def test_one_that_waits_for_a_metric_takes_a_number_and_no_traced_tensor(numpy_engine: None) -> None:
    _, optimizer, schedule = training(lambda o: schedules.ReduceLROnPlateau(o, patience=1))
    with pytest.raises(TraceError, match="value of a traced tensor was read"):
        torch.jit(lambda x: schedule.step(x.sum()))(X)
    assert schedule.last_epoch == 0
    step = torch.jit(lambda metric: schedule.step(metric))
    for _ in range(5):
        step(1.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)


def test_a_trace_that_fails_sets_nothing(numpy_engine: None) -> None:
    _, optimizer, _ = training()
    group = optimizer.param_groups[0]
    before = dict(group)

    def fail(x: Any) -> None:
        group["lr"], group["new"] = 7.0, 1
        group.pop("eps")
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        torch.jit(fail)(X)
    assert dict(group) == before
    assert list(group) == list(before)


def test_parameters_are_exchanged_outside(numpy_engine: None) -> None:
    _, optimizer, _ = training()
    with pytest.raises(TraceError, match=r"'params'\] requires to be set outside .* at .*test_options_set.py:\d+"):
        torch.jit(lambda x: optimizer.param_groups[0].update(params=[]))(X)
    assert len(optimizer.param_groups[0]["params"]) == 2


@pytest.mark.parametrize("read", [lambda g: g["lr"], lambda g: g.get("lr"), lambda g: dict(g)["lr"], lambda g: {**g}["lr"],
                                  lambda g: g.copy()["lr"], lambda g: dict(g.items())["lr"],
                                  lambda g: {k: g[k] for k in g}["lr"],
                                  lambda g: list(g.values())[list(g.keys()).index("lr")]])
def test_every_way_of_reading_gives_the_number_of_the_call(numpy_engine: None, read: Callable[[Group], Any]) -> None:
    group = training()[1].param_groups[0]
    scaled = torch.jit(lambda x: x * read(group))
    for rate in (0.1, 0.25, 4.0):
        group["lr"] = rate
        assert scaled(torch.ones(1)).item() == pytest.approx(rate)
    assert scaled.stats.compiles == 1


@pytest.mark.parametrize("read", [lambda g: g.get("own", 2.0), lambda g: 5.0 if "own" in g else 2.0,
                                  lambda g: 3.0 if len(g.keys()) % 2 else 2.0, lambda g: float(len(list(g)))])
def test_an_option_that_comes_later_is_seen(numpy_engine: None, read: Callable[[Group], Any]) -> None:
    group = training()[1].param_groups[0]
    scaled = torch.jit(lambda x: x * read(group))
    assert scaled(torch.ones(1)).item() == read(group)
    group["own"] = 5.0
    assert scaled(torch.ones(1)).item() == read(group)
