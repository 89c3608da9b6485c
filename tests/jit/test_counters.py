"""Numbers outside that a step writes, or that change: numbers of the step, which cost no program per value."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.tensor([1.0, 2.0, 3.0])
COUNT = 0
SCALE = 1.0


class Holder:
    """Where numbers may be."""

    def __init__(self) -> None:
        self.n, self.f, self.table, self.items = 0, 1.0, {"n": 0, "deep": {"n": 0}}, [0, 1.5]


class Slotted:
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Counting(nn.Module):
    """A module that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.n, self.inner = 0, nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        self.n += 1
        return x * self.n


def _attribute(o: Any, x: Any) -> Any:
    o.n += 1
    return x * o.n


def _float(o: Any, x: Any) -> Any:
    o.f = o.f * 0.5 + 1
    return x + o.f


def _entry(o: Any, x: Any) -> Any:
    o.table["n"] += 2
    o.table["deep"]["n"] -= 1
    return x * o.table["n"] + o.table["deep"]["n"]


def _item(o: Any, x: Any) -> Any:
    o.items[0] += 1
    o.items[1] = o.items[0] / 4
    return x / o.items[0]


def _condition(o: Any, x: Any) -> Any:
    o.n += 1
    return x * 100 if o.n % 3 == 0 else x


def _power(o: Any, x: Any) -> Any:
    o.n += 1
    return x * (1 - 0.9 ** o.n)


WAYS: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "attribute": (_attribute, 1), "float": (_float, 1), "entry": (_entry, 1), "item": (_item, 1), "condition": (_condition, 2),
    "power": (_power, 1)}


def state_of(o: Any) -> Any:
    return o.n if isinstance(o, (Slotted, Counting)) else vars(o)


@pytest.mark.parametrize("name", WAYS)
def test_a_number_that_a_step_writes_is_read_and_written_at_each_call(name: str) -> None:
    change, compiles = WAYS[name]
    holder, other = Holder(), Holder()
    step = torch.jit(lambda x: change(holder, x))
    for _ in range(9):
        assert step(X).tolist() == pytest.approx(change(other, X).tolist(), rel=1e-6)
        assert state_of(holder) == state_of(other)
        assert type(holder.n) is int and type(holder.f) is float
    assert step.stats.compiles == compiles, step.why()
    holder.n = other.n = 41
    assert step(X).tolist() == pytest.approx(change(other, X).tolist(), rel=1e-6)


def _slice(o: Any, x: Any) -> Any:
    o.items[:] = [o.items[0] + 1, o.items[1] / 2]
    return x


def _by_name(o: Any, x: Any) -> Any:
    setattr(o, "n", getattr(o, "n") + 1)  # noqa: B009, B010
    return x


def _global(o: Any, x: Any) -> Any:
    global COUNT
    COUNT += 1
    return x


@pytest.mark.parametrize("change", [*(way for way, compiles in WAYS.values() if compiles == 1), _slice, _by_name, _global])
def test_a_number_that_only_another_branch_counts_is_no_guard(change: Callable[[Any, Any], Any]) -> None:
    holder, other = Holder(), Holder()
    before = COUNT
    step = torch.jit(lambda x, i: change(holder, x) if (i + 1) % 3 == 0 else x)
    for i in range(12):
        assert step(X, i).tolist() == pytest.approx((change(other, X) if (i + 1) % 3 == 0 else X).tolist(), rel=1e-6)
        assert vars(holder) == vars(other)
    assert step.stats.compiles == 2, step.why()
    assert COUNT - before == (8 if change is _global else 0)


@pytest.mark.parametrize(("schedule", "compiles"), [
    ((torch.optim.lr_scheduler.CosineAnnealingLR, 10), 2), ((torch.optim.lr_scheduler.LambdaLR, lambda n: 0.9 ** n), 2),
    ((torch.optim.lr_scheduler.ExponentialLR, 0.9), 2),
    ((torch.optim.lr_scheduler.StepLR, 2), 3)])  # which asks whether it is time
def test_accumulation_with_a_counter_and_a_schedule(schedule: Any, compiles: int) -> None:
    def train(jit: Any) -> Any:
        torch.manual_seed(0)
        model, told = nn.Linear(3, 1), types.SimpleNamespace(updates=0)
        optimizer = torch.optim.Adam(model.parameters(), 0.1)
        rates = schedule[0](optimizer, *schedule[1:])

        def step(x: Any, i: int) -> Any:
            loss = (model(x) ** 2).mean() / 4
            loss.backward()
            if (i + 1) % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()
                rates.step()
                told.updates += 1
            return loss

        step = jit(step)
        losses = [step(X * i, i).item() for i in range(24)]
        return losses, told.updates, rates.last_epoch, rates.get_last_lr(), optimizer.param_groups[0]["lr"], step

    *found, step = train(torch.jit)
    *wanted, _ = train(lambda f: f)
    assert step.stats.compiles == compiles, step.why()
    for ours, theirs in zip(found, wanted):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_slots_modules_closures_and_globals() -> None:
    slotted, module, n = Slotted(), Counting(), 0

    @torch.jit
    def step(x: Any) -> Any:
        global COUNT
        nonlocal n
        slotted.n += 1
        n += 2
        COUNT += 3
        return module(x) * slotted.n + n + COUNT

    start = COUNT
    for k in range(1, 7):
        assert step(X).tolist() == (X * k * k + 2 * k + start + 3 * k).tolist()
        assert (slotted.n, module.n, n, COUNT) == (k, k, 2 * k, start + 3 * k)
    assert step.stats.compiles == 1, step.why()


def test_a_number_that_was_found_changed_is_an_input_from_then_on() -> None:
    global SCALE
    model, options = nn.Linear(3, 1), types.SimpleNamespace(weight=0.0)
    model.gain = 1.0

    @torch.jit
    def step(x: Any) -> Any:
        return (x * SCALE + options.weight).sum() * model.gain

    for k in range(6):
        SCALE = float(k)
        assert step(X).item() == 6.0 * k
    assert step.stats.compiles == 2
    for k in range(5):
        options.weight = float(k)
        assert step(X).item() == 30.0 + 3 * k
    assert step.stats.compiles == 3
    for k in range(5):
        model.gain = float(k)
        assert step(X).item() == 42.0 * k
    assert step.stats.compiles == 4, step.why()


def test_a_number_of_another_type_is_another_program() -> None:
    holder = Holder()
    step = torch.jit(lambda x: _attribute(holder, x))
    step(X), step(X)
    holder.n = 0.5
    assert step(X).tolist() == (X * 1.5).tolist() and holder.n == 1.5
    holder.n = True
    assert step(X).tolist() == (X * 2).tolist() and holder.n == 2


def test_a_failing_step_counts_nothing() -> None:
    holder, fail = Holder(), [False]

    @torch.jit
    def step(x: Any) -> Any:
        holder.n += 1
        if fail[0]:
            raise ValueError("half way")
        return x / (holder.n - 3)

    step(X), step(X)
    fail[0] = True
    with pytest.raises(ValueError, match="half way"):
        step(X)
    assert holder.n == 2 and type(holder.n) is int


class Lion(torch.optim.Optimizer):
    """A user's optimizer with Python counters."""

    def __init__(self, params: Any, lr: float = 1e-2, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["m"] = torch.zeros_like(p)
                    state["step"] = 0
                state["step"] += 1
                m, (b1, b2) = state["m"], group["betas"]
                update = (m * b1 + p.grad * (1 - b1)).sign() / (1 - 0.5 ** state["step"])
                p.add_(update, alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


class Momentum(torch.optim.Optimizer):
    """SGD with momentum in torch's idiom: the buffer begins as the first gradient."""

    def __init__(self, params: Any, lr: float = 0.05, momentum: float = 0.9, dampening: float = 0.5) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                buf = self.state[p].get("buf")
                if buf is None:
                    buf = self.state[p]["buf"] = torch.clone(p.grad).detach()
                else:
                    buf.mul_(group["momentum"]).add_(p.grad, alpha=1 - group["dampening"])
                p.add_(buf, alpha=-group["lr"])


@pytest.mark.parametrize("kind", [Lion, Momentum])
@pytest.mark.parametrize("first", [True, False], ids=["zero_grad first", "zero_grad last"])
def test_a_users_optimizer(kind: Any, first: bool) -> None:
    def training(wrap: Any) -> tuple[Any, Any]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = kind(model.parameters())

        def step(x: Any) -> Any:
            if first:
                optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            if not first:
                optimizer.zero_grad()
            return loss

        return wrap(step), optimizer

    (step, optimizer), (eager, other) = training(torch.jit), training(lambda f: f)
    for k in range(50):
        assert step(X * (1 + k % 3)).item() == pytest.approx(eager(X * (1 + k % 3)).item(), rel=1e-4, abs=1e-6)
    assert [s.get("step") for s in optimizer.state.values()] == [s.get("step") for s in other.state.values()]
    assert step.stats.compiles == (1 if kind is Lion else 2), step.why()  # a buffer made of a gradient is no state before


def _get(group: dict[str, Any]) -> int:
    group["k"] = group.get("k", 0) + 1
    return group["k"]


def _next(table: Any, key: Any, start: Any = 0, by: Any = 1) -> Any:
    table.setdefault(key, start)
    table[key] += by
    return table[key]


def _count_of(optimizer: Any) -> int:
    optimizer.count += 1
    return optimizer.count


def _product(group: dict[str, Any]) -> float:
    group["product"] *= 0.5
    return group["product"]


# Where an optimizer may keep the number of its steps, counted there once a step: what comes of it goes into the update.
KEPT: dict[str, Any] = {
    "an option": lambda o, group: _next(group, "n"),
    "an option of its own": lambda o, group: _next(group, "other"),
    "an option that is asked for": lambda o, group: _get(group),
    "an option, multiplied": lambda o, group: _product(group),
    "options, two": lambda o, group: _next(group, "n") + _product(group),
    "an attribute": lambda o, group: _count_of(o),
    "a dictionary of its own": lambda o, group: _next(o.table, "steps"),
    "its state, by a name": lambda o, group: _next(o.state["all"], "step"),
    "its defaults": lambda o, group: _next(o.defaults, "n"),
    "the state of the first parameter": lambda o, group: _next(o.state[group["params"][0]], "step"),
    "an option, a float": lambda o, group: _next(group, "f", 0.0, 0.5),
}


class CountingSteps(torch.optim.Optimizer):
    """A user's optimizer that makes its moments when it first runs, and counts steps once a group."""

    def __init__(self, params: Any, where: str, counts_last: bool) -> None:
        super().__init__(params, {"lr": 0.05, "n": 0, "product": 1.0})
        self.where, self.counts_last, self.count, self.table = KEPT[where], counts_last, 0, {}

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            k = 1 if self.counts_last else self.where(self, group)
            for p in group["params"]:
                state = self.state[p]
                if "m" not in state:
                    state["m"] = torch.zeros_like(p)
                state["m"].mul_(0.9).add_(p.grad)
                p.sub_(group["lr"] * state["m"] / (1 + 0.5 ** k))
            if self.counts_last:
                group["lr"] = 0.05 / self.where(self, group)


@pytest.mark.parametrize("last", [False, True], ids=["counts first", "counts last"])
@pytest.mark.parametrize("where", KEPT)
def test_where_an_optimizer_counts(numpy_engine: None, where: str, last: bool) -> None:
    def training(wrap: Any) -> tuple[Any, Any]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = CountingSteps([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.01}], where, last)

        def step(x: Any) -> Any:
            loss = model(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return wrap(step), optimizer

    (step, optimizer), (eager, other) = training(torch.jit), training(lambda f: f)
    for k in range(6):
        assert step(X * (1 + k % 2)).item() == pytest.approx(eager(X * (1 + k % 2)).item(), rel=1e-5)
    for mine, theirs in zip(optimizer.param_groups, other.param_groups):
        assert {k: v for k, v in mine.items() if k != "params"} == {k: v for k, v in theirs.items() if k != "params"}
    assert (optimizer.count, optimizer.table, optimizer.defaults) == (other.count, other.table, other.defaults)
    assert step.stats.compiles == 1, step.why()
