"""Jitted functions give what the undecorated ones give after each of several changes of what they read."""

from __future__ import annotations

import array
import collections
import contextvars
import functools
import importlib
import operator
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.tensor([1.0, -2.0, 3.0])
Case = tuple[Callable[[Any], Any], Callable[[int], Any]]  # a function, and what is changed before its next call
RATE = 1.0
MODULE = types.ModuleType("rates_of_a_test")
MODULE.__file__ = __file__ + ".rates"  # a file of its own
sys.modules[MODULE.__name__] = MODULE


def setter(thing: Any, name: str, values: Callable[[int], Any] = lambda k: k + 2.0) -> Callable[[int], None]:
    return lambda k: setattr(thing, name, values(k))


# --- Python -----------------------------------------------------------------------------------------------------------


def context_variable() -> Case:
    rate = contextvars.ContextVar("rate", default=1.0)
    return lambda x: x * rate.get(), lambda k: rate.set(k + 2.0)


def attribute_getter() -> Case:
    settings, get = types.SimpleNamespace(inner=types.SimpleNamespace(rate=1.0)), operator.attrgetter("inner.rate")
    return lambda x: x * get(settings), setter(settings.inner, "rate")


def chain_map() -> Case:
    table = collections.ChainMap({"rate": 1.0}, {})
    return lambda x: x * table["rate"], lambda k: table.update(rate=k + 2.0)


def user_dict() -> Case:
    table = collections.UserDict({"rate": 1.0})
    return lambda x: x * table["rate"], lambda k: table.update(rate=k + 2.0)


def mapping_proxy() -> Case:
    table = {"rate": 1.0}
    shown = types.MappingProxyType(table)
    return lambda x: x * shown["rate"], lambda k: table.update(rate=k + 2.0)


def bytes_that_change() -> Case:
    data = bytearray(b"abc")
    return lambda x: x * data[1], lambda k: data.__setitem__(1, k + 2)


def array_of_numbers() -> Case:
    data = array.array("d", [1.0, 2.0])
    return lambda x: x * data[1], lambda k: data.__setitem__(1, k + 2.0)


def module_by_its_name() -> Case:
    MODULE.RATE = 1.0  # type: ignore[attr-defined]
    return lambda x: x * __import__("rates_of_a_test").RATE, setter(MODULE, "RATE")


def module_imported_by_its_name() -> Case:
    MODULE.RATE = 1.0  # type: ignore[attr-defined]
    return lambda x: x * importlib.import_module("rates_of_a_test").RATE, setter(MODULE, "RATE")


def property_of_a_class() -> Case:
    settings = types.SimpleNamespace(rate=1.0)

    class Meta(type):
        @property
        def rate(cls) -> float:
            return settings.rate  # type: ignore[no-any-return]

    class Config(metaclass=Meta):
        pass

    return lambda x: x * Config.rate, setter(settings, "rate")


def attributes_made_up() -> Case:
    class Config:
        def __init__(self) -> None:
            self.table = {"rate": 1.0}

        def __getattr__(self, name: str) -> float:
            return self.__dict__["table"][name]  # type: ignore[no-any-return]

    config = Config()
    return lambda x: x * config.rate, lambda k: config.table.update(rate=k + 2.0)


def object_made_inside() -> Case:
    settings = types.SimpleNamespace(rate=1.0)

    class Config:
        def __init__(self) -> None:
            self.rate = settings.rate

    return lambda x: x * Config().rate, setter(settings, "rate")


def object_made_of_the_class_of_another() -> Case:
    settings = types.SimpleNamespace(rate=1.0)

    class Config:
        def __init__(self) -> None:
            self.rate = settings.rate

    config = Config()
    return lambda x: x * type(config)().rate, setter(settings, "rate")


def class_that_is_exchanged() -> Case:
    class Plain:
        def apply(self, x: Any) -> Any:
            return x

    class Doubling(Plain):
        def apply(self, x: Any) -> Any:
            return x * 2

    thing = Plain()
    return lambda x: thing.apply(x), lambda k: setattr(thing, "__class__", (Doubling, Plain)[k % 2])


def code_that_is_exchanged() -> Case:
    """What reloading a module in a notebook does."""
    def helper(x: Any) -> Any:
        return x

    versions = [lambda x: x * 2, lambda x: x - 1]
    return lambda x: helper(x), lambda k: setattr(helper, "__code__", versions[k % 2].__code__)


def attribute_of_a_function() -> Case:
    def helper(x: Any) -> Any:
        return x * helper.rate  # type: ignore[attr-defined]

    helper.rate = 1.0  # type: ignore[attr-defined]
    return lambda x: helper(x), setter(helper, "rate")


def behind_a_weak_reference() -> Case:
    layer = nn.Linear(3, 3)
    layer.rate, there = 1.0, weakref.ref(layer)
    return lambda x: x * there().rate, setter(layer, "rate")  # type: ignore[union-attr]


def behind_a_cache() -> Case:
    settings = types.SimpleNamespace(rate=1.0)

    @functools.cache
    def rate(power: int) -> float:
        return settings.rate**power  # type: ignore[no-any-return]

    def change(k: int) -> None:
        settings.rate = k + 2.0
        rate.cache_clear()

    return lambda x: x * rate(2), change


# --- Tensors, modules, optimizers, schedules --------------------------------------------------------------------------


def flag_of_a_tensor_alone() -> Case:
    w = torch.ones(3)
    return lambda x: x * (2 if w.requires_grad else 3), lambda k: w.requires_grad_(k % 2 == 0)


def shape_of_a_tensor_alone() -> Case:
    w = torch.ones(3)
    return lambda x: x * w.shape[0], lambda k: setattr(w, "data", torch.ones(k + 5))


def class_of_a_module() -> Case:
    class Other(nn.Linear):
        def forward(self, x: Any) -> Any:
            return x * 100

    layer = nn.Linear(3, 3)
    return lambda x: layer(x).detach(), lambda k: setattr(layer, "__class__", (Other, nn.Linear)[k % 2])


def forward_of_a_module() -> Case:
    layer = nn.Linear(3, 3)

    def change(k: int) -> None:
        if k % 2:
            del layer.forward
        else:
            layer.forward = lambda x: x * 5

    return lambda x: layer(x).detach(), change


def optimizer() -> tuple[Any, Any]:
    params = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))]
    return torch.optim.SGD(params, lr=1.0, momentum=0.5), torch.optim.lr_scheduler


def rate_of_a_group() -> Case:
    opt, _ = optimizer()
    return lambda x: x * opt.param_groups[0]["lr"], lambda k: opt.param_groups[0].update(lr=k + 2.0)


def rate_by_get_and_items() -> Case:
    opt, _ = optimizer()

    def scaled(x: Any) -> Any:
        for group in opt.param_groups:
            x = x * group.get("lr", 0.0) + dict(group.items())["momentum"] + group.get("none", 1.0)
        return x

    return scaled, lambda k: opt.param_groups[0].update(lr=k + 2.0, momentum=0.1 * k)


def rate_of_a_group_that_is_exchanged() -> Case:
    opt, _ = optimizer()

    def change(k: int) -> None:
        made = {**opt.param_groups[0], "lr": k + 2.0}
        if k == 1:
            opt.param_groups = [made]
        elif k == 2:
            opt.param_groups.clear()
            opt.param_groups.append(made)
        else:
            opt.param_groups[0] = made

    def scaled(x: Any) -> Any:
        return x * opt.param_groups[0]["lr"]

    return scaled, lambda k: (change(k), opt.param_groups[0].update(lr=k + 2.5))


def pair_of_numbers_in_a_group() -> Case:
    opt = torch.optim.Adam([nn.Parameter(torch.ones(3))], betas=(0.5, 0.25))
    return lambda x: x * opt.param_groups[0]["betas"][1], lambda k: opt.param_groups[0].update(betas=(0.5, 0.1 * k))


def option_of_a_group() -> Case:
    opt, _ = optimizer()
    return (lambda x: x * (2 if opt.param_groups[0]["nesterov"] else 3),
            lambda k: opt.param_groups[0].update(nesterov=k % 2 == 0))


def number_of_parameters() -> Case:
    opt, _ = optimizer()
    return (lambda x: x * len(opt.param_groups[0]["params"]),
            lambda k: opt.param_groups[0]["params"].append(nn.Parameter(torch.ones(1))))


def rate_of_a_schedule() -> Case:
    opt, schedules = optimizer()
    schedule = schedules.StepLR(opt, 1, 0.5)
    opt.step()
    return lambda x: x * schedule.get_last_lr()[0] + schedule.last_epoch, lambda k: schedule.step()


CASES = [context_variable, attribute_getter, chain_map, user_dict, mapping_proxy, bytes_that_change, array_of_numbers,
         module_by_its_name, module_imported_by_its_name, property_of_a_class, attributes_made_up, object_made_inside,
         object_made_of_the_class_of_another, class_that_is_exchanged,
         code_that_is_exchanged, attribute_of_a_function, behind_a_weak_reference, behind_a_cache, flag_of_a_tensor_alone,
         shape_of_a_tensor_alone, class_of_a_module, forward_of_a_module, rate_of_a_group, rate_by_get_and_items,
         rate_of_a_group_that_is_exchanged, pair_of_numbers_in_a_group, option_of_a_group, number_of_parameters,
         rate_of_a_schedule]
INPUTS = (rate_of_a_group, rate_by_get_and_items, pair_of_numbers_in_a_group, rate_of_a_schedule, object_made_inside,
          object_made_of_the_class_of_another)  # of the program: no other one is needed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_jitted_function_gives_what_the_function_gives(case: Callable[[], Case]) -> None:
    function, change = case()
    step, seen = torch.jit(function), set()
    for k in range(4):
        expected = function(X).tolist()
        assert step(X).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert step(X).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)
        seen.add(tuple(round(v, 4) for v in expected))
        change(k)
    assert len(seen) >= 2
    # A number that was found changed is an input from the second trace on.
    assert 2 <= step.stats.compiles <= 4 or (case in INPUTS and step.stats.compiles == 1)


class Trainer:
    """Its `step` is not the optimizer's, and its constructor is not called by the update: what they mention is free to change."""

    def __init__(self, kind: str) -> None:
        self.params = [nn.Parameter(torch.ones(3))]
        self.optimizer = getattr(torch.optim, kind)(self.params, lr=1.0)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 1, 0.5)
        self.update = torch.jit(self._update)

    def _update(self, x: Any) -> Any:
        loss = (self.params[0] * x).sum()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def step(self, x: Any) -> float:
        loss = self.update(x)
        self.schedule.step()
        return float(loss)


def test_a_schedule_causes_no_trace_where_the_update_does_not_read_it() -> None:
    trainer = Trainer("SGD")
    losses = [trainer.step(X) for _ in range(4)]
    assert losses == pytest.approx([2.0, 2 - 14.0, 2 - 21.0, 2 - 24.5])
    assert trainer.update.stats.compiles == 1


# --- Training steps whose optimizer changes between calls -------------------------------------------------------------


def option(name: str, *values: Any) -> Callable[[Any, Any, int], None]:
    return lambda opt, params, k: opt.param_groups[0].__setitem__(name, values[k % len(values)])


STEPS: dict[str, tuple[Any, Callable[[Any, Any, int], Any]]] = {
    "momentum on and off": (torch.optim.SGD, option("momentum", 0.9, 0.0, 0.5)),
    "weight decay on and off": (torch.optim.SGD, option("weight_decay", 0.1, 0.0, 0.2)),
    "maximize": (torch.optim.SGD, option("maximize", True, False)),
    "betas": (torch.optim.Adam, option("betas", (0.5, 0.9), (0.9, 0.99))),
    "eps": (torch.optim.AdamW, option("eps", 1e-3, 1e-8)),
    "a group exchanged": (torch.optim.SGD, lambda opt, params, k: opt.param_groups.__setitem__(
        0, {**opt.param_groups[0], "lr": 0.01 * (k + 1)})),
    "all groups exchanged": (torch.optim.SGD, lambda opt, params, k: setattr(
        opt, "param_groups", [{**opt.param_groups[0], "lr": 0.01 * (k + 1)}])),
    "a parameter taken out": (torch.optim.SGD, lambda opt, params, k: k == 1 and opt.param_groups[0]["params"].pop()),
    "parameters in another order": (torch.optim.Adam, lambda opt, params, k: opt.param_groups[0]["params"].reverse()),
    "state cleared": (torch.optim.Adam, lambda opt, params, k: k == 2 and opt.state.clear()),
    "a parameter frozen": (torch.optim.Adam, lambda opt, params, k: params[0].requires_grad_(k % 2 == 1)),
    "a hook of a gradient": (torch.optim.SGD, lambda opt, params, k: k == 1 and params[0].register_hook(lambda g: g * 2)),
    "a gradient left there": (torch.optim.SGD, lambda opt, params, k: k == 1 and setattr(params[0], "grad", torch.ones(3))),
    "other data": (torch.optim.SGD, lambda opt, params, k: setattr(params[0], "data", torch.ones(3) * k)),
}


def training(kind: Any) -> tuple[Any, list[Any], Callable[[Any], Any]]:
    params = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))]
    opt = kind(params, lr=0.1)

    def step(x: Any) -> Any:
        loss = (params[0] * x).sum() + (params[1] * x * x).sum()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return opt, params, step


@pytest.mark.parametrize("name", STEPS)
def test_a_step_follows_its_optimizer(name: str) -> None:
    kind, change = STEPS[name]
    (opt, params, step), (other, others, plain) = training(kind), training(kind)
    jitted = torch.jit(step)
    for k in range(5):
        assert jitted(X).item() == pytest.approx(plain(X).item(), rel=1e-5)
        for p, q in zip(params, others, strict=True):
            assert p.tolist() == pytest.approx(q.tolist(), rel=1e-4)
        change(opt, params, k)
        change(other, others, k)
