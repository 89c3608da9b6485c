"""What guards were found to miss, by kind: a change is seen, nothing else costs a trace, and nobody's code runs for it."""

from __future__ import annotations

import collections
import contextlib
import functools
import gc
import logging
import pickle
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F

from .test_guard_places import X, check

Case = tuple[Callable[[Any], Any], Callable[[int], Any]]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Put back what is exchanged in our modules and classes."""
    owners = [torch, F, torch.Tensor, nn.Module, nn.ReLU, nn.LeakyReLU.__mro__[1], nn.Linear, nn.Softmax, torch.optim.SGD]
    before = [dict(vars(owner)) for owner in owners]
    yield
    for owner, names in zip(owners, before, strict=True):
        for name in vars(owner).keys() - names.keys():
            delattr(owner, name)
        for name, value in names.items():
            if vars(owner).get(name) is not value:
                setattr(owner, name, value)


def switch(thing: Any, name: str, *values: Any) -> Callable[[int], None]:
    return lambda k: setattr(thing, name, values[k])


CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    CASES[make.__name__] = make
    return make


@pytest.mark.parametrize("name", CASES)
def test_change_is_seen(name: str) -> None:
    function, change = CASES[name]()
    check(function, change, traces=3)


# --- Options of layers ------------------------------------------------------------------------------------------------


OPTIONS: list[tuple[Callable[[], nn.Module], str, tuple[Any, Any]]] = [
    (nn.LeakyReLU, "negative_slope", (0.01, 0.5)), (nn.ELU, "alpha", (1.0, 3.0)), (nn.CELU, "alpha", (1.0, 3.0)),
    (lambda: nn.Softmax(-1), "dim", (-1, 0)), (lambda: nn.LogSoftmax(-1), "dim", (-1, 0)),
    (lambda: nn.Softmin(-1), "dim", (-1, 0)),
    (nn.Hardtanh, "max_val", (1.0, 2.0)), (nn.Softplus, "beta", (1.0, 2.0)), (nn.Hardshrink, "lambd", (0.5, 2.5)),
    (nn.Softshrink, "lambd", (0.5, 1.5)), (nn.GELU, "approximate", ("none", "tanh")),
    (lambda: nn.Threshold(0.5, 1.0), "value", (1.0, 7.0)), (lambda: nn.LayerNorm(3), "eps", (1e-5, 1.0)),
    (lambda: nn.Sequential(nn.ReLU(), nn.ELU())[1], "alpha", (1.0, 3.0)),
]


@pytest.mark.parametrize(("make", "name", "values"), OPTIONS, ids=[f"{i}-{o[1]}" for i, o in enumerate(OPTIONS)])
def test_options_of_layers(make: Callable[[], nn.Module], name: str, values: tuple[Any, Any]) -> None:
    layer = make()
    check(lambda x: layer(x.reshape(1, 3)).detach()[0], switch(layer, name, *values))


# --- Names that are computed ------------------------------------------------------------------------------------------


@case
def weights_by_number() -> Case:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w0, self.w1 = 1.0, 2.0

        def forward(self, x: Any) -> Any:
            for i in range(2):
                x = x * getattr(self, "w" + str(i))
            return x

    net = Net()
    return net, switch(net, "w1", 2.0, 3.0)


@case
def attributes_under_other_names() -> Case:
    class Config:
        names = {"layers": "n_layer"}  # noqa: RUF012

        def __init__(self) -> None:
            self.n_layer = 2.0

        def __getattribute__(self, key: str) -> Any:
            return super().__getattribute__(super().__getattribute__("names").get(key, key))

    config = Config()
    return lambda x: x * config.layers, switch(config, "n_layer", 2.0, 3.0)  # type: ignore[attr-defined]


@case
def name_beside_other_texts() -> Case:
    options = types.SimpleNamespace(w0=1.0, w1=2.0)

    def scaled(x: Any, name: str = "w1") -> Any:
        known = {"mode": "fan_in"}
        return x * getattr(options, name) * len(known)

    return scaled, switch(options, "w1", 2.0, 3.0)


@case
def module_by_its_name_in_sys() -> Case:
    module = sys.modules["places_of_a_test"] = types.ModuleType("places_of_a_test")
    module.__file__ = __file__ + ".places"
    module.RATE = 2.0  # type: ignore[attr-defined]
    return lambda x: x * sys.modules["places_of_a_test"].RATE, switch(module, "RATE", 2.0, 3.0)


@case
def module_that_makes_names_up() -> Case:
    module = types.ModuleType("made_up_of_a_test")
    module.__file__ = __file__ + ".made_up"
    exec("table = {'rate': 2.0}\ndef __getattr__(name):\n    return table[name]", module.__dict__)
    return lambda x: x * module.rate, lambda k: module.table.update(rate=2.0 + k)


def test_a_computed_name_means_the_objects_of_its_class() -> None:
    """Of others, what no code mentions is free to change."""
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1 = 2.0

        def forward(self, x: Any) -> Any:
            return x * getattr(self, "w" + str(1))

    net, log = Net(), types.SimpleNamespace(seen=0, rate=1.0)
    step = torch.jit(lambda x: net(x) * log.rate)
    for i in range(3):
        log.seen = i
        step(X)
    assert step.stats.compiles == 1


@case
def hook_that_reads_its_module() -> Case:
    class Net(nn.Identity):
        pass

    net = Net()
    net.gain = 2.0
    net.register_forward_hook(lambda module, args, out: out * module.gain)
    return net, switch(net, "gain", 2.0, 3.0)


@case
def attribute_of_an_optimizer() -> Case:
    class Fill(torch.optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})
            self.scale = 2.0

        def step(self) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.fill_(self.scale)

    p = nn.Parameter(torch.ones(3))
    opt = Fill([p])

    def filled(x: Any) -> Any:
        opt.step()
        return x * p.detach()

    return filled, switch(opt, "scale", 2.0, 3.0)


# --- Attributes of tensors --------------------------------------------------------------------------------------------


@case
def mark_of_a_parameter() -> Case:
    p = nn.Parameter(torch.ones(3))
    p.no_decay = True  # type: ignore[attr-defined]
    return lambda x: x if p.no_decay else x * 2, switch(p, "no_decay", True, False)  # type: ignore[attr-defined]


@case
def mark_that_comes_later() -> Case:
    layer = nn.Linear(3, 3)

    def scaled(x: Any) -> Any:
        for p in layer.parameters():
            x = x * (2 if getattr(p, "no_decay", False) else 3)
        return x

    return scaled, lambda k: setattr(layer.bias, "no_decay", True) if k else delattr(layer.bias, "no_decay")


@case
def mark_of_a_parameter_of_an_optimizer() -> Case:
    opt = torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=0.1)
    (p,) = opt.param_groups[0]["params"]

    def scaled(x: Any) -> Any:
        for group in opt.param_groups:
            for param in group["params"]:
                x = x * (2 if hasattr(param, "no_decay") else 3)
        return x

    return scaled, lambda k: setattr(p, "no_decay", True) if k else delattr(p, "no_decay")


@case
def contents_of_a_mark() -> Case:
    t = torch.ones(3)
    t.meta = {"k": 2.0}  # type: ignore[attr-defined]
    return lambda x: x * t.meta["k"], lambda k: t.meta.update(k=2.0 + k)  # type: ignore[attr-defined]


def test_mark_of_an_argument() -> None:
    step, x = torch.jit(lambda x: x * getattr(x, "scale", 1.0)), torch.ones(2)
    assert step(x).tolist() == [1, 1]
    x.scale = 2.0  # type: ignore[attr-defined]
    assert step(x).tolist() == step(x).tolist() == [2, 2]
    x.scale = 3.0  # type: ignore[attr-defined]
    assert step(x).tolist() == [3, 3]
    assert step(torch.ones(2)).tolist() == [1, 1]
    assert step.stats.compiles == 3 and "args[0].scale" in str(step.why())


# --- Ways through Python's library ------------------------------------------------------------------------------------


@case
def single_dispatch() -> Case:
    @functools.singledispatch
    def act(x: Any) -> Any:
        return x

    act.register(torch.Tensor, lambda x: x * 2)
    return lambda x: act(x), lambda k: act.register(torch.Tensor, (lambda x: x * 2, lambda x: x * 3)[k])


@case
def what_single_dispatch_reads() -> Case:
    options = types.SimpleNamespace(k=2.0)

    class Layer:
        @functools.singledispatchmethod
        def act(self, x: Any) -> Any:
            return x

        @act.register
        def _(self, x: torch.Tensor) -> Any:
            return x * options.k

    layer = Layer()
    return lambda x: layer.act(x), switch(options, "k", 2.0, 3.0)


@case
def partial_method() -> Case:
    options = types.SimpleNamespace(k=2.0)

    class Layer:
        def _scaled(self, x: Any, by: float) -> Any:
            return x * by * options.k

        scaled = functools.partialmethod(_scaled, by=2.0)

    layer = Layer()
    return lambda x: layer.scaled(x), switch(options, "k", 2.0, 3.0)


@case
def context_manager_as_decorator() -> Case:
    options, now = types.SimpleNamespace(k=2.0), [1.0]

    @contextlib.contextmanager
    def scale() -> Iterator[None]:
        now[0] = options.k
        yield
        now[0] = 1.0

    @scale()
    def scaled(x: Any) -> Any:
        return x * now[0]

    return lambda x: scaled(x), switch(options, "k", 2.0, 3.0)


@case
def event() -> Case:
    warm = threading.Event()
    return lambda x: x * 2 if warm.is_set() else x, lambda k: warm.set() if k else warm.clear()


@case
def level_of_a_logger() -> Case:
    logger = logging.getLogger("guards")
    logger.setLevel(logging.INFO)
    return (lambda x: x * 2 if logger.isEnabledFor(logging.DEBUG) else x,
            lambda k: logger.setLevel((logging.INFO, logging.DEBUG)[k]))


@case
def level_of_the_logger_above() -> Case:
    above, logger = logging.getLogger("guards.above"), logging.getLogger("guards.above.this")
    above.setLevel(logging.INFO)
    return (lambda x: x * logger.getEffectiveLevel(), lambda k: above.setLevel((logging.INFO, logging.DEBUG)[k]))


@case
def logger_by_its_name() -> Case:
    logging.getLogger("guards.named").setLevel(logging.INFO)
    return (lambda x: x * logging.getLogger("guards.named").getEffectiveLevel(),
            lambda k: logging.getLogger("guards.named").setLevel((logging.INFO, logging.DEBUG)[k]))


@case
def logging_disabled() -> Case:
    logger = logging.getLogger("guards.enabled")
    logger.setLevel(logging.INFO)
    return (lambda x: x * 2 if logger.isEnabledFor(logging.INFO) else x,
            lambda k: logging.disable((logging.NOTSET, logging.CRITICAL)[k]))


@case
def attribute_in_another_thread() -> Case:
    """Each thread has its own."""
    local = threading.local()
    local.k = 2.0
    return lambda x: x * local.k, switch(local, "k", 2.0, 3.0)


def test_threads_see_their_own_values() -> None:
    local, seen = threading.local(), []
    local.k = 2.0
    step = torch.jit(lambda x: x * local.k)
    assert step(X).tolist() == (X * 2).tolist()

    def other() -> None:
        local.k = 3.0
        seen.append(step(X).tolist())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [(X * 3).tolist()] and step(X).tolist() == (X * 2).tolist() and step.stats.compiles == 2


# --- What users exchange in our modules -------------------------------------------------------------------------------


@case
def function_of_ours() -> Case:
    return lambda x: F.relu(x), switch(F, "relu", F.relu, lambda x, inplace=False: x * 5)


@case
def function_that_a_layer_of_ours_calls() -> Case:
    layer = nn.Linear(3, 3)
    return lambda x: layer(x).detach(), switch(F, "linear", F.linear, lambda x, w, b: x * 5)


@case
def forward_of_ours() -> Case:
    layer, before = nn.ReLU(), nn.ReLU.forward
    return lambda x: layer(x), switch(nn.ReLU, "forward", before, lambda self, x: x * 5)


@case
def forward_of_a_layer_inside() -> Case:
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3)))
    return lambda x: net(x).detach(), switch(nn.Linear, "forward", nn.Linear.forward, lambda self, x: x * 5)


@case
def forward_of_a_layer_made_inside() -> Case:
    before = nn.Softmax.forward
    return lambda x: nn.Softmax(-1)(x), switch(nn.Softmax, "forward", before, lambda self, x: x * 5)


@case
def what_an_exchanged_forward_reads() -> Case:
    options, layer = types.SimpleNamespace(k=2.0), nn.ReLU()
    nn.ReLU.forward = lambda self, x: x * options.k  # type: ignore[assignment]
    return lambda x: layer(x), switch(options, "k", 2.0, 3.0)


@case
def call_of_modules() -> Case:
    layer = nn.ReLU()
    return lambda x: layer(x), switch(nn.Module, "__call__", nn.Module.__call__, lambda self, x: x * 5)


@case
def method_of_tensors() -> Case:
    return lambda x: x.exp(), switch(torch.Tensor, "exp", torch.Tensor.exp, torch.Tensor.sin)


@case
def method_that_users_gave_to_tensors() -> Case:
    options = types.SimpleNamespace(k=2.0)
    torch.Tensor.scaled = lambda self: self * options.k  # type: ignore[attr-defined]
    return lambda x: x.scaled(), switch(options, "k", 2.0, 3.0)


@case
def class_of_ours() -> Case:
    class Five(nn.ReLU):
        def forward(self, x: Any) -> Any:
            return x * 5

    return lambda x: nn.ReLU()(x), switch(nn, "ReLU", nn.ReLU, Five)


@case
def method_of_one_object() -> Case:
    class Layer:
        def act(self, x: Any) -> Any:
            return x

    layer = Layer()
    return lambda x: layer.act(x), lambda k: setattr(layer, "act", lambda x: x * 2) if k else delattr(layer, "act")


@case
def attribute_of_a_class_between() -> Case:
    class Base:
        rate = 2.0

    class Layer(Base):
        pass

    layer = Layer()
    return lambda x: x * layer.rate, lambda k: setattr(Layer, "rate", 3.0) if k else delattr(Layer, "rate")


def test_an_exchanged_step_of_an_optimizer() -> None:
    def run(wrap: Any) -> list[float]:
        p = nn.Parameter(torch.ones(2))
        opt = torch.optim.SGD([p], lr=0.5)

        def update() -> None:
            p.sum().backward()
            opt.step()
            opt.zero_grad()

        update, before = wrap(update), torch.optim.SGD.step
        update()
        torch.optim.SGD.step = lambda self: self.param_groups[0]["params"][0].data.mul_(2)  # type: ignore[assignment]
        update()
        update()
        torch.optim.SGD.step = before  # type: ignore[method-assign]
        update()
        return p.tolist()

    assert run(torch.jit) == run(lambda f: f) == [1.5, 1.5]


def test_default_dtype_of_autocast() -> None:
    layer = nn.Linear(3, 3)

    def dtype_of(x: Any) -> Any:
        with torch.autocast("cpu"):
            return layer(x)

    step = torch.jit(dtype_of)
    try:
        for dtype in (torch.bfloat16, torch.float16, torch.bfloat16):
            torch.set_autocast_dtype("cpu", dtype)
            assert step(X.reshape(1, 3)).dtype is dtype is dtype_of(X.reshape(1, 3)).dtype
        assert step.stats.compiles == 2 and "the autocast dtype of cpu" in str(step.why())
    finally:
        torch.set_autocast_dtype("cpu", torch.bfloat16)


# --- What Python keeps of functions, classes and modules --------------------------------------------------------------


@case
def defaults_of_keywords() -> Case:
    def scaled(x: Any, *, k: float = 2.0) -> Any:
        return x * k

    return lambda x: scaled(x), lambda k: setattr(scaled, "__kwdefaults__", {"k": 2.0 + k})


@case
def defaults_of_keywords_that_come() -> Case:
    def scaled(x: Any, *, k: float) -> Any:
        return x * k

    def tried(x: Any) -> Any:
        try:
            return scaled(x)  # type: ignore[call-arg]
        except TypeError:
            return x

    return tried, lambda k: setattr(scaled, "__kwdefaults__", {"k": 3.0} if k else None)


def _named() -> Any:
    def named(x: int) -> int:
        """A text."""
        return x

    return named


@pytest.mark.parametrize(("name", "value"), [("__name__", "f"), ("__qualname__", "f"), ("__doc__", "f"), ("__module__", "f"),
                                             ("__annotations__", {})])
@pytest.mark.parametrize("kind", ["function", "method", "class"])
def test_what_functions_and_classes_are_called(kind: str, name: str, value: Any) -> None:
    if kind == "class" and name == "__module__" and sys.version_info >= (3, 13):
        pytest.skip("to set it takes the line of the class away, so that setting it back gives another class")

    class Named:
        """A text."""

        k: int
        named = _named()

    thing, function = Named(), _named()
    read: Callable[[Any], Any] = {"function": lambda x: x * len(getattr(function, name)),
                                  "method": lambda x: x * len(getattr(thing.named.__func__, name)),
                                  "class": lambda x: x * len(getattr(type(thing), name))}[kind]
    owner: Any = {"function": function, "method": Named.named, "class": Named}[kind]
    check(read, switch(owner, name, getattr(owner, name), value))


@case
def what_a_function_is_called() -> Case:
    function = _named()
    return lambda x: x * len(function.__name__), switch(function, "__name__", "named", "f")


@case
def annotations_of_a_function() -> Case:
    function = _named()
    return (lambda x: x * len(function.__annotations__),
            lambda k: function.__annotations__.update(y=int) if k else function.__annotations__.pop("y"))


@case
def what_a_class_is_called() -> Case:
    class Named:
        pass

    thing = Named()
    return lambda x: x * len(type(thing).__name__), switch(Named, "__name__", "Named", "N")


@case
def attribute_of_a_metaclass() -> Case:
    class Meta(type):
        k = 2.0

        def scaled(cls, x: Any) -> Any:
            return x * cls.k

    class Made(metaclass=Meta):
        pass

    thing = Made()
    return lambda x: thing.__class__.scaled(x) * type(thing).k, switch(Meta, "k", 2.0, 3.0)


class _Family:
    k = 1.0


KEPT_CLASSES: list[Any] = []


@case
def classes_below() -> Case:
    class Child(_Family):
        k = 2.0

    KEPT_CLASSES.append(Child)
    return lambda x: x * sum(kind.k for kind in _Family.__subclasses__()), switch(Child, "k", 2.0, 3.0)


@case
def another_class_below() -> Case:
    class Base:
        @classmethod
        def all(cls) -> Any:
            return cls.__subclasses__()

    class Child(Base):
        pass

    KEPT_CLASSES.append(Child)

    def change(k: int) -> None:
        if k:
            KEPT_CLASSES.append(type("Other", (Base,), {}))
        else:
            del KEPT_CLASSES[-1]
            gc.collect()

    return lambda x: x * len(Base.all()), change


@case
def module_that_is_exchanged() -> Case:
    modules = [types.ModuleType("exchanged_in_a_test") for _ in range(2)]
    for k, module in enumerate(modules):
        module.rate = 2.0 + k  # type: ignore[attr-defined]
    sys.modules["exchanged_in_a_test"] = modules[0]

    def scaled(x: Any) -> Any:
        import exchanged_in_a_test  # type: ignore[import-not-found]  # noqa: PLC0415

        return x * exchanged_in_a_test.rate

    return scaled, lambda k: sys.modules.update(exchanged_in_a_test=modules[k])


@pytest.mark.parametrize(("name", "method", "read"), [
    ("__call__", lambda self: 1, lambda c, x: x * (2 if callable(c) else 1)),
    ("__bool__", lambda self: False, lambda c, x: x * 2 if c else x),
    ("__len__", lambda self: 0, lambda c, x: x * 2 if c else x),
    ("__eq__", lambda self, other: True, lambda c, x: x * 2 if c == 1 else x),
    ("__getattr__", lambda self, name: 5.0, lambda c, x: x * getattr(c, "rate", 1.0)),
    ("__iter__", lambda self: iter([5.0]), lambda c, x: x * sum(c)),
    ("__contains__", lambda self, key: True, lambda c, x: x * 2 if 3 in c else x),
    ("__str__", lambda self: "a", lambda c, x: x * 2 if str(c) == "a" else x),
    ("__mul__", lambda self, x: x * 5, lambda c, x: c * x),
    ("__enter__", lambda self: 5.0, lambda c, x: _entered(c, x))])
def test_special_methods_that_come_later(name: str, method: Any, read: Any) -> None:
    class Base:
        def __getitem__(self, i: int) -> float:
            return [1.0, 2.0][i]

        def __mul__(self, x: Any) -> Any:
            return x * 2

        def __enter__(self) -> float:
            return 2.0

        def __exit__(self, *args: Any) -> None:
            pass

    class Derived(Base):
        pass

    thing = Derived()
    check(lambda x: read(thing, x), lambda k: setattr(Derived, name, method) if k else delattr(Derived, name))


def _entered(c: Any, x: Any) -> Any:
    with c as k:
        return x * k


@case
def function_of_ours_by_a_name_in_a_table() -> Case:
    config = {"act": "relu"}
    return lambda x: getattr(F, config["act"])(x), switch(F, "relu", F.relu, lambda x: x * 5)


@case
def method_of_tensors_by_a_name_in_an_object() -> Case:
    config = types.SimpleNamespace(act="exp")
    return lambda x: getattr(x, config.act)(), switch(torch.Tensor, "exp", torch.Tensor.exp, torch.Tensor.sin)


@case
def class_of_ours_by_its_name() -> Case:
    class Five(nn.ReLU):
        def forward(self, x: Any) -> Any:
            return x * 5

    config = {"layer": "ReLU"}
    return lambda x: getattr(nn, config["layer"])()(x), switch(nn, "ReLU", nn.ReLU, Five)


# --- Tables of modules ------------------------------------------------------------------------------------------------


def _tables() -> Any:
    module = nn.Module()
    module.register_buffer("kept", torch.ones(1) * 2)
    module.weight, module.layer = nn.Parameter(torch.ones(1) * 2), nn.Identity()
    return module


OTHERS: dict[str, tuple[str, Any]] = {
    "_buffers": ("kept", torch.ones(1) * 5), "_parameters": ("weight", nn.Parameter(torch.ones(1) * 5)),
    "_modules": ("layer", nn.Softplus())}


@pytest.mark.parametrize("change", [
    lambda table, name, value: table.__setitem__(name, value), lambda table, name, value: table.update({name: value}),
    lambda table, name, value: (table.pop(name), table.setdefault(name, value)),
    lambda table, name, value: table.__ior__({name: value}),
    lambda table, name, value: (table.clear(), table.update({name: value}))])
@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("kind", OTHERS)
def test_tables_of_modules(kind: str, copied: bool, change: Any) -> None:
    module = pickle.loads(pickle.dumps(_tables())) if copied else _tables()
    name, other = OTHERS[kind]
    before = getattr(module, kind)[name]

    def scaled(x: Any) -> Any:
        part = getattr(module, name)
        return part(x) if kind == "_modules" else x * part.detach()

    check(scaled, lambda k: change(getattr(module, kind), name, other if k else before))
    assert type(pickle.loads(pickle.dumps(getattr(module, kind)))) is dict


def test_an_ordered_dict_is_put_in_order_at_each_call() -> None:
    def run(wrap: Any, last: bool) -> list[Any]:
        table = collections.OrderedDict(a=1.0, b=2.0, c=3.0)

        def scaled(x: Any) -> Any:
            key = next(iter(table)) if last else next(reversed(table))
            table.move_to_end(key, last=last)
            return x * table[key]

        step = wrap(scaled)
        return [(step(X).tolist(), list(table)) for _ in range(5)]

    for last in (True, False):
        assert run(torch.jit, last) == run(lambda f: f, last)


def test_a_module_made_inside_costs_no_trace() -> None:
    step = torch.jit(lambda x: nn.Softmax(-1)(nn.Dropout(0.0)(x)))
    for _ in range(3):
        step(X)
        nn.Linear(2, 2).eval()  # some other structure changes
    assert step.stats.compiles == 1, step.why()
