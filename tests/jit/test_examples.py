"""What people write, as they write it, lazily and jitted: steps whose kinds are swept elsewhere."""

from __future__ import annotations

import collections
import dataclasses
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.runtime import aot
from flambeau.tracer.jit.why import RetraceWarning

from ..nested import near

X = torch.arange(24.0).reshape(4, 6)
HISTORY: list[Any] = []


# --- Numbers ----------------------------------------------------------------------------------------------------------


def test_a_batch_by_its_start_and_length(numpy_engine: None) -> None:
    """A start is an input, an extent a shape."""
    def batch(x: Any, i: int, size: int) -> Any:
        return x[i:i + size] * 2

    step = torch.jit(batch)
    for i, size in ((0, 2), (1, 2), (2, 2), (0, 3), (1, 3)):
        assert step(X, i, size).tolist() == batch(X, i, size).tolist()
    assert step.stats.compiles == 2, step.why()


def test_a_row_of_a_cache_at_a_position(numpy_engine: None) -> None:
    cache, other = torch.zeros(1, 4, 2), torch.zeros(1, 4, 2)

    def write(cache: Any, k: Any, pos: int) -> Any:
        cache[:, pos] = k
        return cache.sum()

    step = torch.jit(lambda k, pos: write(cache, k, pos))
    for pos in (0, 2, 1, -1):
        k = torch.full((1, 2), float(pos))
        assert step(k, pos).item() == write(other, k, pos).item() and cache.tolist() == other.tolist()
    with pytest.raises(IndexError, match="index 4 is out of bounds for dimension 1 with size 4"):
        step(torch.ones(1, 2), 4)
    assert step.stats.compiles == 1 and cache.tolist() == other.tolist()


def test_a_schedule_mentioned_in_a_step(numpy_engine: None) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 0.5**n)
    step = torch.jit(lambda x: x * schedule.get_last_lr()[0] + schedule.last_epoch)
    for k in range(5):
        assert step(torch.ones(1)).item() == 0.5**k + k
        optimizer.step()
        schedule.step()
    assert step.stats.compiles <= 2, step.why()


# --- State that a step creates ----------------------------------------------------------------------------------------


class Clusters(nn.Module):
    """Means that begin as rows of the first batch, chosen by chance; it counts, and keeps a history."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(2, 6))
        self.init, self.calls, self.history = False, 0, list[Any]()

    def forward(self, x: Any) -> Any:
        self.calls += 1
        if not self.init:
            self.means.copy_(x[torch.randperm(4)[:2]])
            self.init = True
        distances = torch.cdist(x, self.means)
        chosen = nn.functional.one_hot(distances.argmin(1), 2).to(x.dtype)
        self.means.lerp_(chosen.T @ x / chosen.sum(0)[:, None].clamp(min=1), 0.5)
        self.history.append(distances.amin(1).sum())
        return chosen + torch.rand(1) * self.calls


def test_means_that_begin_as_rows_of_the_first_batch(numpy_engine: None) -> None:
    """Random numbers, counters and lists go on as without the trace that looked for a second program."""
    found = []
    for compiled in (False, True):
        torch.manual_seed(1)
        model = Clusters()
        step = torch.jit(model) if compiled else model
        results = [step(X + k).tolist() for k in range(4)]
        found.append([results, model.calls, [h.item() for h in model.history], model.means.tolist(), model.init])
        assert not compiled or step.stats.compiles == 2, step.why()
    assert near(*found, rel=1e-5)


def test_gradients_that_a_step_leaves_behind_are_donated() -> None:
    """One buffer more than where they are forgotten at the end: their pack."""
    donated = []
    for first in (True, False):
        model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(6)])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: Any, first: bool = first, model: Any = model, optimizer: Any = optimizer) -> Any:
            if first:
                optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            if not first:
                optimizer.zero_grad()
            return loss.detach()

        compiled = torch.jit(step)
        for _ in range(3):
            compiled(torch.ones(2, 3))
        assert compiled.stats.compiles == 1, compiled.why()
        donated.append(compiled.stablehlo.count("tf.aliasing_output"))
    assert donated[0] == donated[1] + 1


# --- Containers and arguments -----------------------------------------------------------------------------------------


class Trainer:
    """Keeps its losses."""

    def __init__(self) -> None:
        self.history: list[Any] = []

    @torch.jit
    def step(self, x: Any) -> Any:
        loss = x.sum()
        self.history.append(loss)
        return loss


class Model(nn.Module):
    """Keeps its losses."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Any] = []

    def forward(self, x: Any) -> Any:
        loss = x.sum()
        self.history.append(loss)
        return loss


def _argument() -> tuple[Any, Any, list[Any]]:
    def step(x: Any, history: list[Any]) -> Any:
        loss = x.sum()
        history.append(loss)
        return loss

    compiled, history = torch.jit(step), list[Any]()
    return lambda x: compiled(x, history), compiled, history


def _closure() -> tuple[Any, Any, list[Any]]:
    history: list[Any] = []

    @torch.jit
    def step(x: Any) -> Any:
        loss = x.sum()
        history.append(loss)
        return loss

    return step, step, history


def _global() -> tuple[Any, Any, list[Any]]:
    @torch.jit
    def step(x: Any) -> Any:
        loss = x.sum()
        HISTORY.append(loss)
        return loss

    HISTORY.clear()
    return step, step, HISTORY


def _self() -> tuple[Any, Any, list[Any]]:
    trainer = Trainer()
    Trainer.step.cache_clear()
    return trainer.step, Trainer.step, trainer.history


def _self_of_a_module() -> tuple[Any, Any, list[Any]]:
    model = Model()
    step = torch.jit(model)
    return step, step, model.history


@pytest.mark.parametrize("made", [_argument, _closure, _global, _self, _self_of_a_module], ids=lambda f: f.__name__.strip("_"))
def test_a_history_of_losses(made: Callable[[], tuple[Any, Any, list[Any]]], numpy_engine: None) -> None:
    step, compiled, history = made()
    before = compiled.stats.compiles
    losses = [step(torch.full((2,), float(k))) for k in range(50)]
    assert all(a is b for a, b in zip(history, losses, strict=True))
    assert [x.item() * 2 for x in history] == [4.0 * k for k in range(50)] and sum(history).item() == 2450
    assert compiled.stats.compiles - before == 1, compiled.why()
    history.clear()
    for n in (1, 2, 3):
        step(torch.ones(2))
        assert [x.item() for x in history] == [2.0] * n
    assert compiled.stats.compiles - before <= 2, compiled.why()


def test_taps_of_a_hook(numpy_engine: None) -> None:
    model, taps = nn.Sequential(nn.Linear(3, 3), nn.ReLU()), list[Any]()
    model[0].register_forward_hook(lambda module, args, out: taps.append(out.detach()))
    step = torch.jit(lambda x: model(x).sum())
    for k in range(5):
        x = torch.full((3,), float(k))
        taps.clear()
        step(x)
        (jitted,) = taps
        taps.clear()
        model(x)
        assert near(jitted.tolist(), taps[0].tolist(), rel=1e-5)
    assert step.stats.compiles == 1, step.why()


def test_a_failed_check_leaves_counters_containers_and_schedules(numpy_engine: None) -> None:
    table, history, told = torch.arange(6.0).reshape(3, 2), list[Any](), types.SimpleNamespace(calls=0)
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    def function(batch: dict[str, Any], i: Any) -> Any:
        told.calls += 1
        loss = (table[i] * weight).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        history.append(loss.detach())
        batch["pred"] = loss.detach()
        return loss.detach()

    step, batch = torch.jit(function), dict[str, Any]()

    def seen() -> Any:
        return told.calls, list(history), schedule.last_epoch, optimizer.param_groups[0]["lr"], weight.tolist(), dict(batch)

    step(batch, torch.tensor([0, 1])).item()
    before = seen()
    assert before[0] == len(history) == before[2] == 1 and list(batch) == ["pred"]
    with pytest.raises(IndexError, match=r"index 9 is out of bounds.*State was left as it was before that call"):
        step(batch, torch.tensor([0, 9])).item()
    after = seen()
    assert (after[0], *after[2:5]) == (before[0], *before[2:5])
    assert len(history) == 1 and history[0] is before[1][0] and batch["pred"] is before[5]["pred"]
    step(batch, torch.tensor([0, 1])).item()
    assert told.calls == len(history) == schedule.last_epoch == 2 and batch["pred"].tolist() == history[1].tolist()
    assert step.stats.compiles == 1, step.why()


@dataclasses.dataclass
class Record:
    """A dataclass with an attribute that is no field."""

    x: Any

    def __post_init__(self) -> None:
        self.factor, self.shift = 2.0, torch.ones(2)


def test_what_is_no_field_is_there_in_the_step(numpy_engine: None) -> None:
    def function(record: Any) -> Any:
        record.result = record.x * record.factor + record.shift
        return record.result

    step = torch.jit(function)
    for k in range(3):
        ours, theirs = Record(torch.ones(2)), Record(torch.ones(2))
        ours.factor = theirs.factor = float(k)
        assert step(ours).tolist() == function(theirs).tolist() == ours.result.tolist()
        assert ours.factor == k and list(vars(ours)) == list(vars(theirs))
    assert step.stats.compiles == 1, step.why()


class Weighed:
    """A class that says when two are equal."""

    asked = 0

    def __init__(self, w: float) -> None:
        self.w = w

    def __eq__(self, other: object) -> bool:
        Weighed.asked += 1
        return isinstance(other, Weighed) and self.w == other.w


def test_a_class_is_asked_once_when_an_argument_is_bound_and_never_outside(numpy_engine: None) -> None:
    held = Weighed(3.0)
    given, outside = torch.jit(lambda x, o: x * o.w), torch.jit(lambda x: x * held.w)
    given(X, Weighed(2.0))
    outside(X)
    for _ in range(3):
        Weighed.asked = 0
        assert outside(X).tolist() == (X * 3).tolist() and Weighed.asked == 0
        assert given(X, Weighed(2.0)).tolist() == (X * 2).tolist() and Weighed.asked <= 1
    held.w = 5.0
    Weighed.asked = 0
    assert outside(X).tolist() == (X * 5).tolist() and Weighed.asked == 0
    assert given(X, Weighed(4.0)).tolist() == (X * 4).tolist() and given.stats.compiles == 1


class Options:
    """A plain class."""

    def __init__(self, mode: str, names: list[str]) -> None:
        self.mode, self.names = mode, names


USED: dict[str, tuple[Callable[[int], Any], Callable[[Any, Any], Any]]] = {
    "slice": (lambda k: slice(k, 3), lambda x, o: x[o]),
    "deque": (lambda k: collections.deque(["a"] * k), lambda x, o: x * len(o)),
    "UserDict": (lambda k: collections.UserDict(mode="a" * k), lambda x, o: x * len(o["mode"])),
    "namespace": (lambda k: types.SimpleNamespace(mode="a" * k), lambda x, o: x * len(o.mode)),
    "class": (lambda k: Options("a" * k, ["b", "c"]), lambda x, o: x * len(o.mode) + len(o.names)),
    "equality": (lambda k: Weighed("a" * k), lambda x, o: x * len(o.w)),  # type: ignore[arg-type]
    "text beside": (lambda k: {"x": X, "caption": "a" * k}, lambda x, o: o["x"] * len(o["caption"]))}


@pytest.mark.parametrize("kind", USED)
def test_equal_arguments_that_are_used(kind: str, numpy_engine: None) -> None:
    make, function = USED[kind]
    step = torch.jit(function)
    for k in (1, 1, 2, 1, 2):
        assert step(X, make(k)).tolist() == function(X, make(k)).tolist()
    assert step.stats.compiles == 2, step.why()


ADVICE: dict[str, tuple[Callable[[Any, int], Any], Callable[[int], tuple[Any, ...]], str]] = {
    "a shape": (lambda x, k: x * 2, lambda k: (torch.ones(k + 1), 0), "pad the batch, or leave the last, smaller one out"),
    "a number": (lambda x, k: x * sum(range(k + 1)), lambda k: (X, k), "Code that needs a number"),
    "an outside text": (lambda x, k: x * len(MODE), lambda k: (X, set_mode(k)), "Pass it as an argument")}
MODE = ""


def set_mode(k: int) -> int:
    globals()["MODE"] = "a" * k
    return 0


@pytest.mark.parametrize("cause", ADVICE)
def test_advice_fits_the_cause(cause: str, numpy_engine: None) -> None:
    function, arguments, text = ADVICE[cause]
    step = torch.jit(function)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(15):
            given = arguments(k)
            assert step(*given).tolist() == function(*given).tolist()
    found = [str(w.message) for w in caught if issubclass(w.category, RetraceWarning)]
    assert len(found) == 1 and text in found[0], found


# --- Checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(aot.library() is None, reason="libtpu is not installed")
def test_a_checked_step_ahead_of_time() -> None:
    embedding = nn.Embedding(3, 2)
    results = []
    for checks in (False, True):
        found = aot.compile(torch.jit(lambda i: embedding(i).sum(), checks=checks), torch.tensor([0, 1]))
        main = next(line for line in found.stablehlo().splitlines() if "@main" in line)
        results.append(main.partition("->")[2].count("tensor<"))
        assert found.memory()["generated_code"] > 0
    assert results[1] == results[0] + 1  # the flag


# --- Devices ----------------------------------------------------------------------------------------------------------


def test_a_device_as_a_decorator(numpy_engine: None) -> None:
    """Which torch 2.13 has as a block only."""
    @torch.device("meta")
    def layer() -> Any:
        return nn.Linear(2, 3)

    @torch.device("cpu")
    def shifted(x: Any) -> Any:
        return x + torch.ones(2)

    assert str(layer().weight.device) == "meta" and str(nn.Linear(2, 3).weight.device) == "cpu"
    for step in (shifted, torch.jit(shifted), torch.device("cpu")(torch.jit(lambda x: x + torch.ones(2)))):
        for _ in range(2):
            assert step(torch.ones(2)).tolist() == [2, 2]
    assert shifted.__name__ == "shifted"


# --- A jitted module is a module --------------------------------------------------------------------------------------


class Net(nn.Module):
    """A module of layers that are compiled, or not."""

    def __init__(self, wrap: Callable[[Any], Any]) -> None:
        super().__init__()
        self.block = wrap(nn.Linear(3, 3))
        self.chain = nn.Sequential(wrap(nn.Linear(3, 3)), nn.ReLU())
        self.items = nn.ModuleList([nn.Identity(), nn.Identity()])
        self.items[1] = wrap(nn.Linear(3, 3))

    def forward(self, x: Any) -> Any:
        return self.items[1](self.chain(self.block(x)))


def test_linear_layers_that_are_jitted_where_modules_go(numpy_engine: None) -> None:
    torch.manual_seed(0)
    plain, model = Net(lambda m: m), Net(torch.jit)
    assert repr(model) == repr(plain) and list(model.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in plain.named_parameters()]
    model.load_state_dict(plain.state_dict())
    for layer in (model.block, model.chain[0], model.items[1]):
        assert isinstance(layer, nn.Module) and isinstance(layer, nn.Linear)
        layer.weight = nn.Parameter(torch.eye(3))
    for layer in (plain.block, plain.chain[0], plain.items[1]):
        layer.weight = nn.Parameter(torch.eye(3))
    x = X[:, :3]
    for run in (model, torch.jit(model)):
        for m in (plain, model):
            m.zero_grad()
        plain(x).sum().backward()
        run(x).sum().backward()
        assert near(run(x).tolist(), plain(x).tolist(), rel=1e-5)
        for a, b in zip(model.parameters(), plain.parameters(), strict=True):
            assert near(a.grad.tolist(), b.grad.tolist(), rel=1e-5)
    model.eval()
    assert not model.block.training and not model.items[1].training and model.double().block.weight.dtype is torch.float64
