"""What a jitted function reads outside its arguments: a change is seen at the next call, with its name; nothing is stale."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import os
import random
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.jit.why import MANY, RetraceWarning

SCALE = 2.0
ZERO = 0.0
SIZES = [1.0, 2.0]
TABLE = {"a": 2.0, "deep": [{"k": 3.0}]}
WEIGHTS = np.ones(3, np.float32)
NAMES = {"add"}
WINDOW: collections.deque[float] = collections.deque([1.0, 2.0], maxlen=2)
STEPS = 0


class Mode(enum.Enum):
    SMALL = 1
    LARGE = 2


MODE = Mode.SMALL


def by_scale(x: Any) -> Any:
    return x * SCALE


def double(x: Any) -> Any:
    return x * 2


def triple(x: Any) -> Any:
    return x * 3


CHOSEN: Callable[[Any], Any] = double
HANDLERS = {"first": lambda x: x * SCALE}
PART = functools.partial(lambda x, k: x * k, k=2.0)


class Config:
    width = 2.0

    def __init__(self) -> None:
        self.depth, self.inner, self.unused = 3.0, types.SimpleNamespace(rate=0.5), 0

    @property
    def area(self) -> float:
        return self.width * self.depth

    def scaled(self, x: Any) -> Any:
        return x * self.depth

    def __call__(self, x: Any) -> Any:
        return x * self.depth

    def __getitem__(self, i: int) -> float:
        return self.depth


@dataclasses.dataclass(slots=True)
class Slotted:
    k: float = 2.0


CONFIG = Config()
SLOTTED = Slotted()
MODULE = types.ModuleType("settings_of_a_test")
MODULE.__file__ = __file__ + ".settings"  # a file of its own
MODULE.RATE = 2.0  # type: ignore[attr-defined]
sys.modules[MODULE.__name__] = MODULE


def inside_import(x: Any) -> Any:
    from settings_of_a_test import RATE  # type: ignore[import-not-found]  # noqa: PLC0415

    return x * RATE


def with_list(x: Any, ks: list[float] = [2.0]) -> Any:  # noqa: B006
    return x * ks[0]


def with_default(x: Any, k: float = 2.0, *, more: float = 1.0) -> Any:
    return x * k * more


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any) -> Any:
        return function(*args) + 1

    return inner


def matched(x: Any) -> Any:
    match CONFIG:
        case Config(depth=3.0):
            return x * 2
    return x


def set_global(**values: Any) -> Callable[[], None]:
    return lambda: globals().update(values)


# name: function, change, the name of what changed
CASES: dict[str, tuple[Callable[..., Any], Callable[[], Any], str]] = {
    "global": (by_scale, set_global(SCALE=5.0), "SCALE (global of "),
    "global read by a helper": (lambda x: by_scale(x) + 1, set_global(SCALE=5.0), "SCALE (global of "),
    "global in a comprehension": (lambda x: [x * SCALE for _ in range(2)][1], set_global(SCALE=5.0), "SCALE (global of "),
    "global in a branch": (lambda x: x * 2 if SCALE > 3 else x, set_global(SCALE=5.0), "SCALE (global of "),
    "global that becomes another type": (by_scale, set_global(SCALE=2), "SCALE (global of "),
    "global of other sign of zero": (lambda x: x / ZERO, set_global(ZERO=-0.0), "ZERO (global of "),
    "enum": (lambda x: x * MODE.value, set_global(MODE=Mode.LARGE), "MODE (global of "),
    "function": (lambda x: CHOSEN(x), set_global(CHOSEN=triple), "CHOSEN (global of "),
    "function in a dict": (lambda x: HANDLERS["first"](x), lambda: HANDLERS.update(first=triple), "HANDLERS['first']"),
    "global of a function in a dict": (lambda x: HANDLERS["first"](x), set_global(SCALE=5.0), "SCALE (global of "),
    "partial": (lambda x: PART(x), set_global(PART=functools.partial(PART.func, k=7.0)), "PART (global of "),
    "item of a list": (lambda x: x * SIZES[0], lambda: SIZES.__setitem__(0, 7.0), "SIZES[0]"),
    "longer list": (lambda x: x * sum(SIZES), lambda: SIZES.append(7.0), "SIZES[2]"),
    "shorter list": (lambda x: x * len(SIZES), lambda: SIZES.pop(), "SIZES[1]"),
    "deque": (lambda x: x * sum(WINDOW), lambda: WINDOW.append(7.0), "WINDOW[0]"),
    "item of a dict": (lambda x: x * TABLE["a"], lambda: TABLE.update(a=7.0), "TABLE['a']"),
    "deep in a dict": (lambda x: x * TABLE["deep"][0]["k"], lambda: TABLE["deep"][0].update(k=7.0),  # type: ignore[index, attr-defined]
                       "TABLE['deep'][0]['k']"),
    "new key": (lambda x: x * len(TABLE), lambda: TABLE.update(new=1.0), "TABLE['new']"),
    "set": (lambda x: x * 2 if "mul" in NAMES else x, lambda: NAMES.add("mul"), "NAMES"),
    "numpy array": (lambda x: x * torch.tensor(WEIGHTS), lambda: WEIGHTS.fill(7), "the contents of WEIGHTS"),
    "attribute": (lambda x: x * CONFIG.depth, lambda: setattr(CONFIG, "depth", 7.0), "CONFIG.depth"),
    "attribute of an attribute": (lambda x: x * CONFIG.inner.rate, lambda: setattr(CONFIG.inner, "rate", 7.0),
                                  "CONFIG.inner.rate"),
    "attribute of the class": (lambda x: x * CONFIG.width, lambda: setattr(Config, "width", 7.0), "Config.width"),
    "attribute that hides the class's": (lambda x: x * CONFIG.width, lambda: setattr(CONFIG, "width", 7.0), "CONFIG.width"),
    "attribute behind a property": (lambda x: x * CONFIG.area, lambda: setattr(CONFIG, "depth", 7.0), "CONFIG.depth"),
    "attribute behind a method": (lambda x: CONFIG.scaled(x), lambda: setattr(CONFIG, "depth", 7.0), "CONFIG.depth"),
    "attribute behind a call": (lambda x: CONFIG(x), lambda: setattr(CONFIG, "depth", 7.0), "CONFIG.depth"),
    "attribute behind a subscript": (lambda x: x * CONFIG[0], lambda: setattr(CONFIG, "depth", 7.0), "CONFIG.depth"),
    "attribute by its name": (lambda x: x * getattr(CONFIG, "depth", 1.0), lambda: setattr(CONFIG, "depth", 7.0),
                              "CONFIG.depth"),
    "attribute by a computed name": (lambda x: x * getattr(CONFIG, f"dep{'th'}"), lambda: setattr(CONFIG, "depth", 7.0),
                                     "CONFIG.depth"),
    "attribute in a match": (matched, lambda: setattr(CONFIG, "depth", 7.0), "CONFIG.depth"),
    "all attributes": (lambda x: x * len(vars(CONFIG)), lambda: setattr(CONFIG, "new", 7.0), "CONFIG.new"),
    "slot": (lambda x: x * SLOTTED.k, lambda: setattr(SLOTTED, "k", 7.0), "SLOTTED.k"),
    "method replaced": (lambda x: CONFIG.scaled(x), lambda: setattr(Config, "scaled", lambda self, x: x * 9), "Config.scaled"),
    "module": (lambda x: x * MODULE.RATE, lambda: setattr(MODULE, "RATE", 7.0), "MODULE.RATE"),
    "import inside": (inside_import, lambda: setattr(MODULE, "RATE", 7.0), "settings_of_a_test.RATE"),
    "contents of a default": (with_list, lambda: with_list.__defaults__[0].__setitem__(0, 7.0),  # type: ignore[index]
                              "the defaults of with_list[0][0]"),
    "default": (with_default, lambda: setattr(with_default, "__defaults__", (7.0,)), "a default of with_default"),
    "keyword default": (with_default, lambda: with_default.__kwdefaults__.update(more=7.0),
                        "a default of with_default"),
    "behind a decorator": (decorated(by_scale), set_global(SCALE=5.0), "SCALE (global of "),
    "the environment": (lambda x: x * float(os.environ.get("FLAMBEAU_TEST_K", "2")),
                        lambda: os.environ.update(FLAMBEAU_TEST_K="7"), "os.environ[b'FLAMBEAU_TEST_K']"),
}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Put back what the cases change."""
    before = {name: globals()[name] for name in ("SCALE", "ZERO", "MODE", "CHOSEN", "PART", "STEPS")}
    scaled, defaults = Config.scaled, with_default.__defaults__
    yield
    globals().update(before)
    SIZES[:] = [1.0, 2.0]
    WINDOW.extend([1.0, 2.0])
    TABLE.clear()
    TABLE.update({"a": 2.0, "deep": [{"k": 3.0}]})
    HANDLERS["first"] = lambda x: x * SCALE
    NAMES.discard("mul")
    WEIGHTS.fill(1)
    CONFIG.__dict__.clear()
    CONFIG.__init__()  # type: ignore[misc]
    Config.width, Config.scaled = 2.0, scaled  # type: ignore[method-assign]
    SLOTTED.k = MODULE.RATE = 2.0  # type: ignore[attr-defined]
    with_default.__defaults__, with_default.__kwdefaults__["more"] = defaults, 1.0
    with_list.__defaults__[0][0] = 2.0  # type: ignore[index]
    os.environ.pop("FLAMBEAU_TEST_K", None)


X = torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", CASES)
def test_change_is_seen_and_named(name: str) -> None:
    function, change, changed = CASES[name]
    step = torch.jit(function)
    for _ in range(3):
        assert step(X).tolist() == function(X).tolist()
    assert step.stats.compiles == 1
    before = function(X).tolist()
    change()
    for _ in range(2):
        assert step(X).tolist() == function(X).tolist()
    assert function(X).tolist() != before or name == "global that becomes another type"
    assert len(step.why()) == 2
    (label, old, new), *_ = step.why()[1].changes
    assert label.startswith(changed), step.why()
    assert old is not new and f"{label}: {old!r} -> {new!r}" in str(step.why())


def test_closure_of_a_helper_and_a_variable_that_is_not_there_yet() -> None:
    k: float

    def helper(x: Any) -> Any:
        return x * k

    step = torch.jit(lambda x: helper(x) + 1)
    with pytest.raises(NameError):
        step(X)
    k = 2.0
    assert step(X).tolist() == [3, 5, 7]
    k = 3.0
    assert step(X).tolist() == [4, 7, 10]
    assert step.why()[1].changes == (("k (closure of helper)", 2.0, 3.0),)


def test_equal_values_in_new_objects_are_the_same() -> None:
    step = torch.jit(by_scale)
    step(X)
    for _ in range(3):
        globals()["SCALE"] = float("2.0")
        TABLE["a"] = float("2.0")
        assert step(X).tolist() == [2, 4, 6]
    assert step.stats.compiles == 1


def test_what_the_function_does_not_mention_is_free_to_change() -> None:
    history: list[float] = []
    step = torch.jit(lambda x: x * CONFIG.depth)
    for i in range(4):
        history.append(step(X)[0].item())
        CONFIG.unused += 1
        SIZES.append(i)
        globals()["STEPS"] = i
    assert history == [3.0] * 4
    assert step.stats.compiles == 1


def test_lists_that_are_only_appended_to_are_free_to_change() -> None:
    traced, trainer = [], Trainer()

    def step(x: Any) -> Any:
        traced.append("traced")
        SIZES.append(1.0)
        trainer.log.append("traced")
        return x * trainer.clip

    step = torch.jit(step)
    for _ in range(3):
        step(X)
    assert traced == trainer.log == ["traced"] * 3
    traced, trainer.log = [], ["other"]
    step(X)
    assert step.stats.compiles == 1 and traced == ["traced"] and trainer.log == ["other", "traced"]

    def both(x: Any) -> Any:
        SIZES.append(1.0)
        return x * len(SIZES)

    step = torch.jit(both)
    count = len(SIZES)
    assert [step(X)[0].item() for _ in range(3)] == [count + 1, count + 2, count + 3]


def test_function_that_changes_what_it_reads_goes_on_as_undecorated() -> None:
    def count(x: Any) -> Any:
        global STEPS
        STEPS += 1
        return x * STEPS

    step = torch.jit(count)
    assert [step(X)[0].item() for _ in range(3)] == [1, 2, 3]
    assert step.stats.compiles == 1 and STEPS == 3


def test_the_same_reason_again_and_again_is_told() -> None:
    step = torch.jit(by_scale)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(MANY + 3):
            globals()["SCALE"] = complex(i)  # which is compared
            assert step(X)[0].item() == i
    globals()["SCALE"] = 1.0
    (warning,) = caught
    assert issubclass(warning.category, RetraceWarning) and warning.filename == __file__
    assert str(warning.message).startswith(f"by_scale was traced anew {MANY} times because SCALE (global of {__name__}) had "
                                           f"changed (now {complex(MANY)!r}). Pass it as an argument")


@pytest.mark.parametrize("function, what", [
    (lambda x: x * time.time(), "time.time"), (lambda x: x * random.random(), "random.random"),
    (lambda x: x * float(np.random.rand()), "np.random")])
def test_impure_calls_warn(function: Any, what: str) -> None:
    with pytest.warns(RetraceWarning, match=rf"<lambda> reads {what}, at .*test_outside\.py:\d+: while it is traced, not at "
                                            "each call. Pass the value as an argument"):
        torch.jit(function)(X)


def test_generator_and_foreign_random_state_warn() -> None:
    rng, numbers = np.random.default_rng(0), iter([1.0, 2.0])
    with pytest.warns(RetraceWarning, match="rng, which draws from a random generator of numpy"):
        torch.jit(lambda x: x * float(rng.random()))(X)
    with pytest.warns(RetraceWarning, match="numbers, an iterator"):
        torch.jit(lambda x: x * next(numbers))(X)


def test_too_much_to_compare_is_refused() -> None:
    long, large = [0.0] * 20_000, np.zeros(1 << 20)
    with pytest.raises(TraceError, match="long is a list of 20000 items that the function reads from outside: too long"):
        torch.jit(lambda x: x * long[0])(X)
    with pytest.raises(TraceError, match="large is a numpy array of 8388608 bytes"):
        torch.jit(lambda x: x * float(large[0]))(X)
    fixed = tuple(long)
    assert torch.jit(lambda x: x * fixed[0])(X).tolist() == [0, 0, 0]


# --- Modules and trainers ---------------------------------------------------------------------------------------------


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.rates, self.options = torch.nn.Linear(3, 3), [1.0, 2.0], types.SimpleNamespace(k=1.0)
        self.k, self.seen, self.act, self.drop = 1.0, 0, torch.tanh, torch.nn.Dropout(0.0)

    def forward(self, x: Any) -> Any:
        return self.drop(self.act(self.layer(x))) * self.k * self.rates[0] * self.options.k


class Trainer:
    def __init__(self) -> None:
        self.model, self.log, self.steps = Net(), [], 0
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.clip = 1.0

    @torch.jit
    def step(self, x: Any) -> Any:
        loss = (self.model(x) * self.clip).pow(2).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss


@pytest.mark.parametrize("change, label", [
    (lambda m: setattr(m, "k", 3.0), "Net.k"), (lambda m: m.rates.__setitem__(0, 3.0), ".rates[0]"),
    (lambda m: setattr(m.options, "k", 3.0), ".options.k"), (lambda m: setattr(m, "act", torch.sin), "Net.act"),
    (lambda m: setattr(m, "layer", torch.nn.Linear(3, 3)), "Net.layer.weight"), (lambda m: m.drop.eval(), "Net.drop.training"),
    (lambda m: m.layer.weight.requires_grad_(False), "Net.layer.weight.requires_grad"),
    (lambda m: m.layer.register_forward_hook(lambda *a: a[2] * 2), "Net.layer.hooks")])
def test_attributes_of_modules(change: Any, label: str) -> None:
    model = Net()
    step = torch.jit(lambda x: model(x))
    for _ in range(2):
        np.testing.assert_allclose(step(X).detach().numpy(), model(X).detach().numpy(), rtol=1e-6)
    assert step.stats.compiles == 1
    change(model)
    np.testing.assert_allclose(step(X).detach().numpy(), model(X).detach().numpy(), rtol=1e-6)
    step(X)
    assert len(step.why()) == 2
    assert any(label in name for name, _, _ in step.why()[1].changes), step.why()


def test_second_hook_and_removed_hook() -> None:
    model = Net()
    model.layer.register_forward_hook(lambda m, a, out: out * 2)
    step = torch.jit(lambda x: model(x))
    step(X)
    handle = model.layer.register_forward_hook(lambda m, a, out: out + 1)
    np.testing.assert_allclose(step(X).detach().numpy(), model(X).detach().numpy(), rtol=1e-6)
    handle.remove()
    np.testing.assert_allclose(step(X).detach().numpy(), model(X).detach().numpy(), rtol=1e-6)
    assert step.stats.calls == 3 and len(step.why()) == 2  # the first trace serves again


def test_a_trainers_books_cause_no_trace() -> None:
    trainer, x = Trainer(), X.reshape(1, 3)
    for i in range(4):
        trainer.log.append(trainer.step(x).item())
        trainer.steps += 1
        trainer.model.seen = i
    assert trainer.step.stats.compiles == 1
    trainer.clip = 0.0
    assert trainer.step(x).item() == 0
    assert trainer.step.why()[-1].changes == (("args[0].clip", 1.0, 0.0),)


def test_an_attribute_named_as_a_method_of_another_object() -> None:
    """`self.optimizer.step()` reads no `self.step`."""
    class Loop(Trainer):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.zero_grad = 0.0, 0

    loop, plain = Loop(), torch.jit(lambda x: loop.model(x).mean() * loop.clip)
    loop.step(X.reshape(1, 3))
    before = len(loop.step.why())
    for i in range(3):
        loop.mean, loop.zero_grad = float(i), i  # loss.mean() and optimizer.zero_grad() are of other objects
        loop.step(X.reshape(1, 3))
    assert len(loop.step.why()) == before
    first = plain(X).item()
    loop.clip = 2.0
    assert plain(X).item() == pytest.approx(2 * first)


def test_an_object_under_two_names_and_behind_a_property() -> None:
    config = Config()

    class Holder:
        def __init__(self) -> None:
            self._hidden = config

        @property
        def options(self) -> Any:
            return self._hidden

    holder = Holder()
    for function in (lambda x: x * holder.options.depth, lambda x: x * holder._hidden.depth, lambda x: x * config.depth):
        config.depth = 3.0
        step = torch.jit(function)
        assert step(X)[0].item() == 3
        config.depth = 4.0
        assert step(X)[0].item() == 4


def test_plain_object_as_an_argument() -> None:
    step = torch.jit(lambda x, config: x * config.depth)
    config = Config()
    assert step(X, config)[0].item() == 3
    config.depth = 4.0
    assert step(X, config)[0].item() == 4
    assert step(X, config=config)[0].item() == 4
    assert step.why()[1].changes == (("args[1].depth", 3.0, 4.0),)


@pytest.mark.parametrize("replace", [
    lambda opt, p, t: opt.state[p].__setitem__("momentum_buffer", t), lambda opt, p, t: opt.state[p].update(momentum_buffer=t),
    lambda opt, p, t: opt.state.__setitem__(p, {"momentum_buffer": t}), lambda opt, p, t: opt.state.clear()])
def test_optimizer_state_that_becomes_another_tensor(replace: Any) -> None:
    def run(wrap: Any) -> list[float]:
        p = torch.nn.Parameter(torch.ones(2))
        opt = torch.optim.SGD([p], lr=0.1, momentum=0.9)

        @wrap
        def step() -> None:
            p.sum().backward()
            opt.step()
            opt.zero_grad()

        step()
        step()
        replace(opt, p, torch.full((2,), 10.0))
        step()
        step()
        return p.tolist() + opt.state[p]["momentum_buffer"].tolist()

    assert run(torch.jit) == pytest.approx(run(lambda f: f))


def test_what_hooks_read() -> None:
    model, gain = Net(), 2.0
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    model.layer.register_forward_hook(lambda module, args, out: out * gain)

    def scale_gradient(optimizer: Any, args: Any, kwargs: Any) -> None:
        model.layer.bias.grad.mul_(SCALE)

    opt.register_step_pre_hook(scale_gradient)

    def run(wrap: Any) -> Any:
        nonlocal gain
        gain = 2.0
        globals()["SCALE"] = 2.0
        with torch.no_grad():
            model.layer.weight.fill_(0.5)
            model.layer.bias.fill_(0.5)

        def step() -> Any:
            loss = model(X.reshape(1, 3)).pow(2).sum()
            loss.backward()
            opt.step()
            opt.zero_grad()
            return loss

        step = wrap(step)
        losses = [step().item()]
        gain = 3.0
        losses += [step().item(), step().item()]
        globals()["SCALE"] = 5.0
        return losses + [step().item(), step().item(), *model.layer.bias.tolist()]

    assert run(torch.jit) == pytest.approx(run(lambda f: f), rel=1e-5)


def test_function_kept_in_a_module_of_ours() -> None:
    k = 2.0
    layer = torch.nn.Identity()
    layer.act = lambda x: x * k
    step = torch.jit(lambda x: layer.act(x))
    assert step(X)[0].item() == 2
    k = 3.0
    assert step(X)[0].item() == 3
