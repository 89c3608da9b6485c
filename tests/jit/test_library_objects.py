"""What a compiled step reads of objects of this package, and writes to them, against the same code outside of jit."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import distributions as D
from flambeau.tracer.ir.errors import TraceError

Jit = Callable[..., Any]
Scenario = Callable[[Jit], Any]


pytestmark = pytest.mark.usefixtures("numpy_engine")


def _plain(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return _plain(x.tolist())
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    return round(x, 5) if isinstance(x, float) else x


def compare(scenario: Scenario, compiles: int) -> None:
    """The scenario gives the same in and outside of jit, with so many programs."""
    made: list[Any] = []

    def jit(function: Callable[..., Any]) -> Any:
        made.append(torch.jit(function))
        return made[-1]

    expected = _plain(scenario(lambda function: function))
    assert _plain(scenario(jit)) == expected
    assert sum(step.stats.compiles for step in made) == compiles


def training(make: Callable[..., Any] = torch.optim.SGD, **options: Any) -> tuple[Any, Any, Callable[[], None]]:
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = make([p], **{"lr": 0.1, **options})

    def step() -> None:
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()

    return p, optimizer, step


# --- Options of groups ------------------------------------------------------------------------------------------------

RATES: dict[str, tuple[list[Any], int]] = {
    "tensors": ([torch.tensor(0.1), torch.tensor(0.5)], 2), "tensor and float": ([torch.tensor(0.1), 0.5, 0.25], 2),
    "float and tensor": ([0.5, torch.tensor(0.1)], 2), "float32": ([np.float32(0.1), np.float32(0.5), 0.2], 1),
    "float64": ([np.float64(0.1), np.float64(0.5), 1], 1), "bool": ([True, 0.5, 0.25], 2)}


@pytest.mark.parametrize("name", RATES)
def test_a_rate_of_any_kind_is_the_present_one(name: str) -> None:
    rates, compiles = RATES[name]

    def scenario(jit: Jit) -> Any:
        p, optimizer, step = training()
        step, seen = jit(step), []
        for rate in rates:
            optimizer.param_groups[0]["lr"] = rate
            step()
            seen.append(p.tolist())
        return seen

    compare(scenario, compiles)


class Scaled(torch.optim.Optimizer):
    """Multiplies by all kinds of options."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1, "betas": [0.9, 0.99], "nested": {"a": {"b": 2.0}}, "mixed": (torch.ones(1), 2.0)})

    def step(self) -> None:  # type: ignore[override]
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    factor = group["betas"][0] * group["betas"][1] * group["nested"]["a"]["b"] * group["mixed"][1]
                    p.sub_(p.grad * group["lr"] * factor * group["mixed"][0])


CHANGES: list[Callable[[Any], Any]] = [
    lambda g: None, lambda g: g.update(betas=[0.5, 0.5]), lambda g: g["betas"].__setitem__(0, 0.25),
    lambda g: g["nested"]["a"].update(b=3.0), lambda g: g.update(nested={"a": {"b": 7.0}}),
    lambda g: g.update(mixed=(torch.full((1,), 3.0), 2.0)), lambda g: g.update(mixed=(g["mixed"][0], 4.0)),
    lambda g: g["mixed"][0].fill_(2.0)]


def test_what_is_in_an_option_is_the_present_one() -> None:
    def scenario(jit: Jit) -> Any:
        p, optimizer, step = training(lambda params, lr: Scaled(params))
        step, seen = jit(step), []
        for change in CHANGES:
            change(optimizer.param_groups[0])
            step()
            seen.append(p.tolist())
        return seen

    compare(scenario, 6)


# --- State ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make, options", [
    (torch.optim.SGD, {}), (torch.optim.SGD, {"momentum": 0.9}), (torch.optim.Adam, {})], ids=["sgd", "momentum", "adam"])
def test_what_a_step_keeps_in_the_state_of_a_parameter(make: Any, options: dict[str, Any]) -> None:
    def scenario(jit: Jit) -> Any:
        p, optimizer, update = training(make, **options)

        def step() -> Any:
            update()
            state = optimizer.state[p]
            state["seen"] = state.get("seen", 0) + 1
            if "mean" not in state:
                state["mean"] = torch.zeros(2)
            state["mean"] = state["mean"] * 0.9 + p.detach()
            return p * state["seen"] + state["mean"]

        step, seen = jit(step), []
        for i in range(5):
            if i == 3:
                optimizer.state[p]["seen"] = 10
            seen.append([step(), optimizer.state[p]["seen"], sorted(optimizer.state[p])])
        return seen

    compare(scenario, 1)


def test_state_that_is_there_before_the_optimizer_s_own() -> None:
    def scenario(jit: Jit) -> Any:
        p, optimizer, _ = training(momentum=0.9)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            (p * x).sum().backward()
            state = optimizer.state[p]
            error = state.get("error")
            given = p.grad + (torch.zeros(2) if error is None else error)
            state["error"] = given - given.sign()
            p.grad.copy_(given.sign())
            optimizer.step()
            return p * 1

        step = jit(step)
        return [[step(torch.tensor([0.5, 1.5])), optimizer.state[p]["error"]] for _ in range(4)]

    compare(scenario, 2)


def test_a_buffer_that_is_exchanged_is_state() -> None:
    def scenario(jit: Jit) -> Any:
        p, optimizer, update = training(momentum=0.9)

        def step() -> None:
            update()
            optimizer.state[p]["momentum_buffer"] = optimizer.state[p]["momentum_buffer"] * 0.5

        step, seen = jit(step), []
        for _ in range(4):
            step()
            seen.append([p.tolist(), optimizer.state[p]["momentum_buffer"].tolist()])
        return seen

    compare(scenario, 1)


def test_loading_needs_no_other_program() -> None:
    def scenario(jit: Jit) -> Any:
        p, optimizer, step = training(torch.optim.Adam)
        step, seen = jit(step), []
        step()
        for i in range(4):
            saved = copy.deepcopy(optimizer.state_dict())
            saved["param_groups"][0]["lr"] = 0.1 + i
            optimizer.load_state_dict(saved)
            step()
            seen.append([p.tolist(), optimizer.state[p]["step"].item(), optimizer.param_groups[0]["lr"]])
        return seen

    compare(scenario, 1)


def test_what_others_hold_of_the_state_is_not_loaded_into() -> None:
    p, optimizer, step = training(torch.optim.Adam)
    step()
    first = copy.deepcopy(optimizer.state_dict())
    step()
    held, shown = optimizer.state_dict()["state"][0]["exp_avg"], optimizer.state[p]["exp_avg_sq"].detach()
    before = held.tolist(), shown.tolist()
    optimizer.load_state_dict(first)
    assert (held.tolist(), shown.tolist()) == before
    assert optimizer.state[p]["exp_avg"].tolist() == first["state"][0]["exp_avg"].tolist()


def test_a_schedule_that_is_loaded_needs_no_other_program() -> None:
    def scenario(jit: Jit) -> Any:
        p, optimizer, update = training()
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)

        def step() -> None:
            update()
            schedule.step()

        step, seen = jit(step), []
        step()
        saved = copy.deepcopy(schedule.state_dict())
        for _ in range(3):
            step()
            schedule.load_state_dict(copy.deepcopy(saved))
            seen.append([p.tolist(), optimizer.param_groups[0]["lr"], schedule.last_epoch])
        return seen

    compare(scenario, 1)


def test_copies_of_the_state() -> None:
    state = training()[1].state
    assert [len(x) for x in (copy.copy(state), state.copy(), state | {}, {} | state, copy.deepcopy(state))] == [0] * 5
    assert isinstance(state.copy(), defaultdict)


def test_a_wrapper_that_does_not_call_our_init() -> None:
    class Wrapper(torch.optim.Optimizer):
        def __init__(self, base: Any) -> None:
            self.base, self.param_groups, self.state = base, base.param_groups, base.state

        def step(self, closure: Any = None) -> Any:
            return self.base.step()

    def scenario(jit: Jit) -> Any:
        p, base, _ = training()
        optimizer = Wrapper(base)

        def step() -> None:
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()

        step = jit(step)
        step(), step()
        return p.tolist(), optimizer.param_groups is base.param_groups

    compare(scenario, 1)


def test_an_optimizer_made_in_a_step_says_what_to_do() -> None:
    with pytest.raises(TraceError, match="requires to be made outside of jit"):
        torch.jit(lambda x: torch.optim.SGD([x]))(torch.ones(1, requires_grad=True))


# --- Methods and attributes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["step", "zero_grad"])
def test_a_method_that_an_optimizer_has_of_its_own(name: str) -> None:
    def scenario(jit: Jit) -> Any:
        p, optimizer, step = training()
        step, seen = jit(step), []
        for i in range(6):
            if i == 2:
                setattr(optimizer, name, lambda *args, **kwargs: None)
            if i == 4:
                delattr(optimizer, name)
            step()
            seen.append(p.tolist())
        return seen

    compare(scenario, 2)


def normal(loc: float = 0.0) -> Any:
    return D.Normal(torch.full((1,), loc), torch.ones(1))


class Mine(D.Normal):
    """A user's."""

    def log_prob(self, value: Any) -> Any:
        return super().log_prob(value) * 2


def _log_prob(d: Any, x: Any) -> Any:
    return d.log_prob(x)


def _sets(name: str, *values: Callable[[], Any]) -> list[Callable[[Any], Any]]:
    return [lambda thing, value=value: setattr(thing, name, value()) for value in values]  # type: ignore[misc]


Change = Callable[[Any], Any]
OBJECTS: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], Any], list[Change], int]] = {
    "parameter": (normal, _log_prob, _sets("loc", lambda: torch.ones(1), lambda: torch.full((1,), 3.0)), 2),
    "method": (normal, _log_prob, [*_sets("log_prob", lambda: lambda x: x * 100), lambda d: delattr(d, "log_prob")], 2),
    "number": (lambda: D.AffineTransform(0.0, 2.0), lambda t, x: t(x), _sets("scale", lambda: 5.0, lambda: 6.0, lambda: 7.0), 2),
    "base": (lambda: D.Independent(normal(), 1), _log_prob, _sets("base_dist", lambda: normal(1.0)), 2),
    "parts": (lambda: D.TransformedDistribution(normal(), [D.ExpTransform()]), _log_prob,
              [lambda d: d.transforms.append(D.AffineTransform(0.0, 2.0))], 2),
    "bound": (lambda: D.constraints.interval(0.0, 1.0), lambda c, x: c.check(x * 0.5), _sets("upper_bound", lambda: 0.25), 2),
    "user's": (lambda: Mine(torch.zeros(1), torch.ones(1)), _log_prob, _sets("loc", lambda: torch.ones(1)), 2),
    "scaler": (lambda: torch.amp.GradScaler("cpu"), lambda s, x: x * s.get_growth_interval(),
               [lambda s: s.set_growth_interval(7)], 1),
    "dataset": (lambda: torch.utils.data.TensorDataset(torch.zeros(2)), lambda d, x: x + d[0][0],
                _sets("tensors", lambda: (torch.full((2,), 5.0),)), 2),
    "sampler": (lambda: torch.utils.data.BatchSampler(range(4), 2, False), lambda s, x: x * len(s),
                _sets("batch_size", lambda: 1), 2)}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_of_ours_is_the_present_one(name: str) -> None:
    make, use, changes, compiles = OBJECTS[name]

    def scenario(jit: Jit) -> Any:
        thing = make()
        step = jit(lambda x: use(thing, x))
        seen = [step(torch.ones(1)), step(torch.ones(1))]
        for change in changes:
            change(thing)
            seen += [step(torch.ones(1)), step(torch.ones(1))]
        return seen

    compare(scenario, compiles)


def test_a_method_of_a_schedule_s_class() -> None:
    def scenario(jit: Jit) -> Any:
        kind = torch.optim.lr_scheduler.ExponentialLR
        before = kind.get_lr
        _, optimizer, update = training()
        schedule, seen = kind(optimizer, 0.5), []

        def step() -> None:
            update()
            schedule.step()

        step = jit(step)
        try:
            for i in range(3):
                if i == 2:
                    kind.get_lr = lambda self: [7.0]  # type: ignore[method-assign, assignment]
                step()
                seen.append(optimizer.param_groups[0]["lr"])
        finally:
            kind.get_lr = before  # type: ignore[method-assign]
        return seen

    compare(scenario, 2)


def test_averages_by_another_function() -> None:
    def scenario(jit: Jit) -> Any:
        model = torch.nn.Linear(1, 1)
        torch.nn.init.ones_(model.weight)
        averaged, seen = torch.optim.swa_utils.AveragedModel(model), []
        step = jit(lambda: averaged.update_parameters(model))
        for i in range(3):
            if i == 2:
                averaged.avg_fn = lambda a, b, n: a * 0 + 7
            step()
            seen.append(averaged.module.weight.item())
        return seen

    compare(scenario, 2)


# --- What objects of ours keep for speed ------------------------------------------------------------------------------


def test_an_attribute_made_on_first_use_is_there_after_the_call() -> None:
    def of_argument(jit: Jit) -> Any:
        d, step = D.Categorical(logits=torch.zeros(2)), jit(lambda d: d.entropy())
        return [step(d), step(d), d.probs, "probs" in vars(d)]

    def of_closure(jit: Jit) -> Any:
        d = D.Categorical(probs=torch.ones(2))
        step = jit(lambda: d.entropy())
        seen = [step(), step(), d.logits]
        d.probs.copy_(torch.tensor([0.1, 0.9]))
        return [*seen, step(), "logits" in vars(d)]

    compare(of_argument, 2)
    compare(of_closure, 2)


def test_a_transform_s_last_pair_is_that_of_the_trace() -> None:
    def scenario(jit: Jit) -> Any:
        t = D.ExpTransform(cache_size=1)
        step = jit(lambda x: (t.inv(t(x)) is x, t.inv(t(x) * 1)))
        return [step(torch.ones(1)), step(torch.ones(1)), t.inv(t(torch.ones(1)))]

    compare(scenario, 1)


def test_parametrized_tensors_are_computed_in_a_cached_block() -> None:
    parametrize = torch.nn.utils.parametrize

    def scenario(jit: Jit) -> Any:
        model = torch.nn.Linear(1, 1)
        torch.nn.init.ones_(model.weight), torch.nn.init.zeros_(model.bias)
        parametrize.register_parametrization(model, "weight", torch.nn.Tanh())
        step = jit(lambda x: model(x))
        with parametrize.cached():
            seen = [step(torch.ones(1)), model.weight, step(torch.ones(1))]
        return [*seen, step(torch.ones(1))]

    compare(scenario, 1)


def test_distributions_in_arguments_are_what_they_hold() -> None:
    def scenario(jit: Jit) -> Any:
        step = jit(lambda d, x: d.log_prob(x))
        made = [[normal(i) for i in (0.0, 1.0, 2.0)], [D.Independent(normal(i), 1) for i in (0.0, 1.0)],
                [D.TransformedDistribution(normal(i), [D.ExpTransform(), D.AffineTransform(0.0, i + 1)]) for i in (0.0, 1.0)]]
        return [step(d, torch.ones(1)) for alike in made for d in alike]

    compare(scenario, 3)


def test_a_gradient_reaches_the_parameters_of_a_distribution_in_the_arguments() -> None:
    def scenario(jit: Jit) -> Any:
        w, step, seen = torch.nn.Parameter(torch.ones(2)), jit(lambda d, x: -d.log_prob(x).sum()), []
        for _ in range(2):
            w.grad = None
            step(D.Normal(w * 2, w.exp()), torch.ones(2)).backward()
            seen.append(w.grad.tolist())
        return seen

    compare(scenario, 1)


# --- Registries and settings ------------------------------------------------------------------------------------------


def test_a_rule_that_is_registered_later() -> None:
    def scenario(jit: Jit) -> Any:
        class Other(D.Normal):
            pass

        d, value = Other(0.0, 1.0), {"it": 5.0}
        step = jit(lambda x: D.kl_divergence(d, d) + x)
        seen = [step(torch.ones(1))]
        D.register_kl(Other, Other)(lambda p, q: torch.zeros(1) + value["it"])
        seen.append(step(torch.ones(1)))
        value["it"] = 7.0
        return [*seen, step(torch.ones(1))]

    compare(scenario, 3)


def test_a_transform_and_a_node_that_are_registered_later() -> None:
    def scenario(jit: Jit) -> Any:
        class Odd(D.constraints.Constraint):
            pass

        class Pair:
            pass

        D.biject_to.register(Odd, lambda c: D.ExpTransform())
        odd, pair, trees = Odd(), Pair(), torch.utils._pytree
        step = jit(lambda x: D.biject_to(odd)(x) * len(trees.tree_leaves([pair, x])))
        seen = [step(torch.ones(1))]
        D.biject_to.register(Odd, lambda c: D.AffineTransform(0.0, 2.0))
        seen.append(step(torch.ones(1)))
        trees.register_pytree_node(Pair, lambda p: ([1, 2], None), lambda parts, context: Pair())
        return [*seen, step(torch.ones(1))]

    compare(scenario, 3)


SETTINGS: dict[str, tuple[Callable[[Any], Any], Any, Any, Callable[[], Any]]] = {
    "grad": (torch.set_grad_enabled, False, True, torch.is_grad_enabled),
    "dtype": (torch.set_default_dtype, torch.float64, torch.float32, torch.get_default_dtype),
    "deterministic": (torch.use_deterministic_algorithms, True, False, torch.are_deterministic_algorithms_enabled),
    "matmul": (torch.set_float32_matmul_precision, "high", "highest", torch.get_float32_matmul_precision),
    "digits": (lambda n: torch.set_printoptions(precision=n), 2, 4, lambda: repr(torch.tensor(1.23456))),
    "backend": (lambda on: setattr(torch.backends.cudnn, "benchmark", on), True, False, lambda: torch.backends.cudnn.benchmark),
    "autocast": (lambda on: torch.set_autocast_enabled("cpu", on), True, False, lambda: torch.is_autocast_enabled("cpu")),
    "anomaly": (torch.autograd.set_detect_anomaly, True, False, torch.is_anomaly_enabled)}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_set_at_each_call(name: str) -> None:
    change, inside, outside, look = SETTINGS[name]

    def scenario(jit: Jit) -> Any:
        def step(x: Any) -> Any:
            change(inside)
            return x * 2

        step, seen = jit(step), []
        try:
            for _ in range(3):
                step(torch.ones(1))
                seen.append(str(look()))
                change(outside)
        finally:
            change(outside)
        return seen

    compare(scenario, 1)


def test_a_setting_that_is_asked_is_the_present_one() -> None:
    def scenario(jit: Jit) -> Any:
        step, seen = jit(lambda x: x * (2 if torch.are_deterministic_algorithms_enabled() else 3)), []
        try:
            for on in (False, True, False):
                torch.use_deterministic_algorithms(on)
                seen.append(step(torch.ones(1)))
        finally:
            torch.use_deterministic_algorithms(False)
        return seen

    compare(scenario, 2)
