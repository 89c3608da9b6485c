"""`jit` of a module is a module: in each place, under each method, as the module itself; and `Module.compile`."""

from __future__ import annotations

import abc
import copy
import gc
import io
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.jit.jit import Jitted, options_of


def ones(*shape: int) -> Any:
    return torch.arange(1.0, 1 + int(np.prod(shape))).reshape(shape) / 10


class Scaled(nn.Module):
    """A module with all kinds of attributes: a child, a parameter, buffers, numbers, a property, a method that calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.w = nn.Parameter(ones(3))
        self.register_buffer("seen", torch.zeros(3))
        self.register_buffer("hidden", torch.ones(1), persistent=False)
        self.scale = 2.0
        with torch.no_grad():
            self.inner.weight.copy_(ones(3, 3))
            self.inner.bias.fill_(0.1)

    @property
    def gain(self) -> float:
        return self.scale * 10

    @gain.setter
    def gain(self, value: float) -> None:
        self.scale = value / 10

    def forward(self, x: Any) -> Any:
        y = self.inner(x) * self.w * self.scale
        self.seen.add_(1)
        return self.norm(y) * self.hidden if self.training else -y * self.hidden

    def twice(self, x: Any) -> Any:
        return self(self(x))


def fingerprint(model: Any) -> Any:
    """All that can be seen of a module: its structure, contents, modes, and what a call gives and leaves."""
    x = ones(2, 3).to(model.w.dtype).requires_grad_()
    result = model(x)
    result.sum().backward()
    return (repr(model), [type(m).__name__ for m in model.modules()], [n for n, _ in model.named_modules()],
            [m.training for m in model.modules()], result.dtype, np.array(result.detach().float().numpy()).round(4).tolist(),
            {n: (str(t.dtype), t.float().numpy().round(4).tolist()) for n, t in model.state_dict().items()},
            [(n, p.requires_grad, None if p.grad is None else p.grad.float().numpy().round(4).tolist())
             for n, p in model.named_parameters()])


# --- Every public name of Module --------------------------------------------------------------------------------------


def noting(log: list[Any], what: str) -> Callable[..., None]:
    return lambda *args, **kwargs: log.append((what, len(args), sorted(kwargs)))


def hooked(name: str, *flags: Any, **options: Any) -> Callable[[Any], Any]:
    """Register a hook, use the module, remove the hook, use it again."""

    def run(m: Any) -> Any:
        log: list[Any] = []
        handle = getattr(m, name)(noting(log, name), *flags, **options)
        before = fingerprint(m)
        m.load_state_dict(m.state_dict())
        there = len(log)
        handle.remove()
        m(ones(2, 3).requires_grad_()).sum().backward()
        m.load_state_dict(m.state_dict())
        return before, log, there == len(log) > 0

    return run


def visited(m: Any) -> Any:
    seen: list[Any] = []
    return m.apply(lambda x: seen.append((type(x).__name__, isinstance(x, Scaled)))) is m, seen


def still() -> Any:
    """A layer that is the same each time, and not trained."""
    layer = nn.Linear(3, 3, bias=False).requires_grad_(False)
    layer.weight.copy_(ones(3, 3) * 5)
    return layer


def named(m: Any) -> str:
    return type(m).__name__


def emptied(m: Any) -> Any:
    """Moved without contents, which are undefined, and given others."""
    return m.to_empty(device="cpu") is m, repr(m.load_state_dict({n: torch.ones_like(t) for n, t in m.state_dict().items()}))


USES: dict[str, Callable[[Any], Any]] = {
    "T_destination": lambda m: m.T_destination.__name__,
    "add_module": lambda m: m.add_module("more", still()),
    "apply": lambda m: visited(m),
    "bfloat16": lambda m: m.bfloat16() is m and m.w.dtype,
    "buffers": lambda m: [b.shape for b in m.buffers()],
    "call_super_init": lambda m: m.call_super_init,
    "children": lambda m: [named(c) for c in m.children()],
    "compile": lambda m: m.compile(),
    "cpu": lambda m: m.cpu() is m,
    "cuda": lambda m: m.cuda(),
    "double": lambda m: (m.double() is m, m(ones(2, 3).double()).dtype) and m.float(),
    "dump_patches": lambda m: m.dump_patches,
    "eval": lambda m: (m.eval() is m, m.training),
    "extra_repr": lambda m: m.extra_repr(),
    "float": lambda m: m.half().float() is m,
    "forward": lambda m: m.forward(ones(2, 3)).tolist(),
    "get_buffer": lambda m: m.get_buffer("norm.running_mean").tolist(),
    "get_extra_state": lambda m: m.get_extra_state(),
    "get_parameter": lambda m: m.get_parameter("inner.bias").tolist(),
    "get_submodule": lambda m: (repr(m.get_submodule("inner")), m.get_submodule("") is m),
    "half": lambda m: m.half() is m and m.float(),
    "ipu": lambda m: m.ipu(),
    "load_state_dict": lambda m: repr(m.load_state_dict({"w": ones(3) * 7, "no": ones(1)}, strict=False)),
    "modules": lambda m: [named(c) for c in m.modules()],
    "mtia": lambda m: m.mtia(),
    "named_buffers": lambda m: [n for n, _ in m.named_buffers()],
    "named_children": lambda m: [n for n, _ in m.named_children()],
    "named_modules": lambda m: [(n, c is m) for n, c in m.named_modules()],
    "named_parameters": lambda m: [n for n, _ in m.named_parameters("root")],
    "parameters": lambda m: [p.shape for p in m.parameters()],
    "register_backward_hook": hooked("register_backward_hook"),
    "register_buffer": lambda m: m.register_buffer("late", ones(2)),
    "register_forward_hook": hooked("register_forward_hook", with_kwargs=True),
    "register_forward_pre_hook": hooked("register_forward_pre_hook"),
    "register_full_backward_hook": hooked("register_full_backward_hook"),
    "register_full_backward_pre_hook": hooked("register_full_backward_pre_hook"),
    "register_load_state_dict_post_hook": hooked("register_load_state_dict_post_hook"),
    "register_load_state_dict_pre_hook": hooked("register_load_state_dict_pre_hook"),
    "register_module": lambda m: m.register_module("more", nn.ReLU()),
    "register_parameter": lambda m: m.register_parameter("late", nn.Parameter(ones(2))),
    "register_state_dict_post_hook": hooked("register_state_dict_post_hook"),
    "register_state_dict_pre_hook": hooked("register_state_dict_pre_hook"),
    "requires_grad_": lambda m: m.requires_grad_(False) is m and m.w.requires_grad_() is m.w,
    "set_extra_state": lambda m: m.set_extra_state(1),
    "set_submodule": lambda m: m.set_submodule("inner", still()),
    "share_memory": lambda m: m.share_memory() is m,
    "state_dict": lambda m: (list(m.state_dict(prefix="a.")), [v.requires_grad for v in m.state_dict(keep_vars=True).values()]),
    "to": lambda m: (m.to("cpu", torch.float64) is m, m.w.dtype) and m.to(torch.float32),
    "to_empty": emptied,
    "train": lambda m: [m.train(False).training, m.train().training, m.train(False) is m],
    "type": lambda m: m.type(torch.float32) is m,
    "xpu": lambda m: m.xpu(),
    "zero_grad": lambda m: [m(ones(2, 3)).sum().backward(), m.zero_grad(), m.w.grad],
    # special methods, and what a class of the user's adds
    "__dir__": lambda m: [n for n in dir(m) if n in ("inner", "w", "seen", "scale", "forward", "twice", "gain")],
    "__delattr__": lambda m: [delattr(m, "scale"), hasattr(m, "scale"), setattr(m, "scale", 3.0)],
    "__hash__": lambda m: (m in {m}, m in [m], {m: 1}[m], m == m, m != m, m == 3),
    "__contains__": lambda m: "w" in m.__dict__["_parameters"],
    "a number": lambda m: setattr(m, "scale", 5.0),
    "a parameter": lambda m: setattr(m, "w", nn.Parameter(ones(3) * 3)),
    "a buffer": lambda m: setattr(m, "seen", ones(3)),
    "a child": lambda m: setattr(m, "inner", still()),
    "training": lambda m: setattr(m, "training", False),
    "a property": lambda m: [setattr(m, "gain", 70.0), m.gain, m.scale],
    "a method": lambda m: m.twice(ones(2, 3)).tolist(),
    "forward of the instance": lambda m: setattr(m, "forward", lambda x: x * m.w),
    "a wrong name": lambda m: m.nothing_like_that,
    "a wrong parameter": lambda m: setattr(m, "w", 3),
}
RAISE = {"cuda", "get_extra_state", "ipu", "mtia", "set_extra_state", "xpu", "a wrong name", "a wrong parameter"}


def outcome(use: Callable[[Any], Any], model: Any) -> Any:
    try:
        given = use(model)
    except Exception as error:
        return type(error), str(error)
    return None if isinstance(given, nn.Module) else given


def test_the_sweep_has_every_public_name() -> None:
    assert {n for n in dir(nn.Module) if not n.startswith("_")} <= USES.keys()


@pytest.mark.parametrize("name", USES)
def test_as_the_module_itself(name: str, numpy_engine: None) -> None:
    plain, below = Scaled(), Scaled()
    jitted = torch.jit(below)
    for model in plain, jitted:
        model(ones(2, 3))  # so that there is a program which a change must reach
    given = outcome(USES[name], plain)
    assert outcome(USES[name], jitted) == given
    assert (isinstance(given, tuple) and isinstance(given[0], type)) is (name in RAISE)
    expected = fingerprint(plain)
    assert fingerprint(jitted) == expected
    assert fingerprint(below) == fingerprint(plain)  # which is the next call of both
    assert jitted.__dict__ is below.__dict__ and jitted == below


# --- Every place where a module goes ----------------------------------------------------------------------------------


class Holder(nn.Module):
    """A module with a place for another one."""

    def __init__(self, put: Callable[[Any, Any], None], block: Any) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(ones(3, 3))
        self.items = nn.ModuleList([nn.Identity(), nn.Identity()])
        self.table = nn.ModuleDict({"a": nn.Identity()})
        self.chain = nn.Sequential(nn.Identity(), nn.Tanh())
        put(self, block)

    def forward(self, x: Any) -> Any:
        y = self.chain(self.table["a"](self.first(x)))
        for item in self.items:
            y = item(y)
        block = getattr(self, "block", None)
        return y if block is None else block(y)


PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "attribute": lambda m, b: setattr(m, "block", b),
    "add_module": lambda m, b: m.add_module("block", b),
    "in place of a child": lambda m, b: [setattr(m, "block", nn.ReLU()), setattr(m, "block", b)],
    "item of a list": lambda m, b: m.items.__setitem__(1, b),
    "appended": lambda m, b: m.items.append(b),
    "inserted": lambda m, b: m.items.insert(0, b),
    "extending": lambda m, b: m.items.extend([b, nn.Tanh()]),
    "list": lambda m, b: setattr(m, "items", nn.ModuleList([b])),
    "entry of a dict": lambda m, b: m.table.__setitem__("a", b),
    "dict": lambda m, b: setattr(m, "table", nn.ModuleDict({"a": b})),
    "Sequential": lambda m, b: setattr(m, "chain", nn.Sequential(b, nn.ReLU())),
    "appended to Sequential": lambda m, b: m.chain.append(b),
    "twice": lambda m, b: [setattr(m, "block", b), m.items.append(b)],
}
WAYS: dict[str, Callable[[Any], Any]] = {
    "jit": torch.jit,
    "jit of jit": lambda m: torch.jit(torch.jit(m)),
    "compile": lambda m: m.compile() or m,
    "jit of a compiled one": lambda m: m.compile() or torch.jit(m),
    "torch.compile": lambda m: torch.compile(m, fullgraph=True, mode="reduce-overhead"),
}


def trained(model: Any, step_of: Callable[[Any], Any]) -> Any:
    """Three steps of training: losses, the state dict, the paths."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    run = step_of(step)
    losses = [round(run(ones(2, 3) + i).item(), 5) for i in range(3)]
    state = {n: t.numpy().round(4).tolist() for n, t in model.state_dict().items()}
    return losses, state, [n for n, _ in model.named_modules()], repr(model)


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize(("place", "way"), [*((place, way) for place in PLACES for way in ("jit", "compile")),
                                            *(("attribute", way) for way in WAYS if way not in ("jit", "compile"))])
def test_goes_where_a_module_goes(place: str, way: str, stepped: bool, numpy_engine: None) -> None:
    as_it_is, compile_step = (lambda step: step), (lambda step: torch.jit(step))
    expected = trained(Holder(PLACES[place], Scaled()), as_it_is)
    block = WAYS[way](Scaled())
    assert trained(Holder(PLACES[place], block), compile_step if stepped else as_it_is) == expected
    assert block.stats.calls == (0 if stepped else 6 if place == "twice" else 3)  # inside a compiled step it is part of it


def test_all_at_once(numpy_engine: None) -> None:
    expected = trained(nn.Sequential(nn.Linear(3, 3).requires_grad_(False), Scaled()), lambda step: step)
    model = torch.jit(nn.Sequential(torch.jit(nn.Linear(3, 3).requires_grad_(False)), torch.jit(Scaled())))
    model[0].load_state_dict({"weight": ones(3, 3), "bias": ones(3)})
    model.compile()
    again = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), Scaled())
    again[0].load_state_dict(model[0].state_dict())
    assert trained(model, torch.jit)[:2] == trained(again, lambda step: step)[:2] and model.stats.calls == 0
    assert expected[2:] == (["", "0", "1", "1.inner", "1.norm"], repr(model))


def test_a_module_and_its_handle_are_one() -> None:
    below = Scaled()
    jitted = torch.jit(below)
    both = nn.ModuleList([below, jitted])
    assert [n for n, _ in both.named_modules()] == ["", "0", "0.inner", "0.norm"]
    assert len(list(both.children())) == 1 and len(list(both.parameters())) == len(list(below.parameters()))
    assert jitted == below and hash(jitted) == hash(below) and {below: 1}[jitted] == 1 and jitted is not below
    assert below != Scaled() and jitted != torch.jit(Scaled()) and type(jitted) is Scaled


# --- What is compiled, and what it is told ----------------------------------------------------------------------------


def test_what_was_compiled_is_reached_through_the_module() -> None:
    model = torch.jit(nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match="Linear has not been called yet"):
        _ = model.graph
    assert "linear" in repr(model.trace(ones(1, 3))).lower() or model.trace(ones(1, 3)).nodes
    assert model.lowered(ones(1, 3))[0].nodes and model.stats.compiles == 0
    model(ones(1, 3))
    assert model.graph.nodes and "stablehlo" in model.stablehlo and "HloModule" in model.hlo
    assert model.program.memory() is not None and [r.reason for r in model.why()] == ["first call"]
    assert {"graph", "hlo", "why", "stats"} <= set(dir(model)) and "graph" not in dir(nn.Linear(1, 1))
    model.cache_clear()
    assert not model.why()
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'graph'"):
        _ = nn.Linear(1, 1).graph


def test_attributes_of_the_module_go_first() -> None:
    class Molecules(nn.Module):
        stats = "of molecules"

        def __init__(self) -> None:
            super().__init__()
            self.graph = [(0, 1)]

        def forward(self, x: Any) -> Any:
            return x * len(self.graph)

    model = torch.jit(Molecules())
    assert model(ones(1)).item() == pytest.approx(0.1) and model.graph == [(0, 1)] and model.stats == "of molecules"
    model.graph = [(0, 1), (1, 2)]
    assert model(ones(1)).item() == pytest.approx(0.2) and len(model.why()) == 2


def test_a_step_is_compiled_once_whatever_its_parts_are() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(torch.jit(nn.Linear(3, 3)), nn.ReLU(), torch.jit(nn.Linear(3, 1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

    @torch.jit
    def step(x: Any) -> Any:
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    losses = [step(ones(4, 3)).item() for _ in range(5)]
    assert losses[-1] < losses[0] and step.stats.compiles == 1 and model[0].stats.calls == 0
    model[0].bias.requires_grad_(False)
    model[0].scale = 3
    step(ones(4, 3))
    assert step.stats.compiles == 2
    model[2] = nn.Linear(3, 1)
    step(ones(4, 3))
    assert step.stats.compiles == 3


def test_nodes_have_the_path_of_the_handle() -> None:
    class Scopes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.child = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.child(x)

    model = nn.Sequential(nn.Identity(), torch.jit(Scopes()))
    assert {n.scope for n in torch.jit(lambda x: model(x)).trace(ones(2, 3)).nodes} == {"1.child"}
    assert {n.scope for n in model[1].trace(ones(2, 3)).nodes} == {"1.child"}


def test_nothing_holds_a_handle_that_is_gone() -> None:
    below = nn.Linear(3, 3)
    jitted = torch.jit(below)
    jitted(ones(1, 3))
    gone = weakref.ref(jitted)
    gc.disable()
    try:
        del jitted
        assert gone() is None
    finally:
        gc.enable()


# --- Copies -----------------------------------------------------------------------------------------------------------


def saved(model: Any) -> Any:
    file = io.BytesIO()
    pickle.dump(model, file)
    file.seek(0)
    return pickle.load(file)


COPIES: dict[str, Callable[[Any], Any]] = {"deepcopy": copy.deepcopy, "pickle": lambda m: pickle.loads(pickle.dumps(m)),
                                           "file": saved, "twice": lambda m: copy.deepcopy(copy.deepcopy(m))}


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("how", COPIES)
def test_copies(how: str, called: bool, numpy_engine: None) -> None:
    model = torch.jit(Scaled(), max_compiles=7)
    if called:
        model(ones(2, 3))
    expected = fingerprint(copy.deepcopy(model.__dict__ and model))
    made = COPIES[how](model)
    assert made != model and made.w is not model.w and made.stats.calls == 0
    assert fingerprint(made) == expected and made.stats.calls == 1 and options_of(made._compiled) == options_of(model._compiled)
    made.scale, made.training = 9.0, False
    made.inner.weight.data.zero_()
    assert model.scale == 2.0 and model.training and fingerprint(model) == expected


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_a_module_and_its_handle_are_one_again(how: str) -> None:
    below = Scaled()
    box = COPIES[how]({"below": below, "fast": torch.jit(below), "in a tree": nn.Sequential(torch.jit(below))})
    assert box["below"] == box["fast"] == box["in a tree"][0] and box["below"] != below
    box["fast"].training = False
    assert not box["below"].training and below.training


def test_a_shallow_copy_shares_as_that_of_the_module_does() -> None:
    for model in Scaled(), torch.jit(Scaled()):
        made = copy.copy(model)
        made.scale, made.training = 9.0, False
        assert (model.scale, model.training) == (2.0, True) and made.w is model.w and type(made) is Scaled
        assert made(ones(2, 3)).tolist() != model(ones(2, 3)).tolist()
    assert made.stats.calls == 1


def test_copies_of_modules_compiled_in_place_are_not_compiled() -> None:
    model = Scaled()
    model.compile()
    model(ones(2, 3))
    for made in copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model):
        assert not hasattr(made, "stats")
    assert model.stats.calls == 1


@torch.jit
def decorated(x: Any) -> Any:
    return x + 1


def test_copies_of_what_holds_jitted_functions() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model = nn.Linear(3, 1)
            self.step = torch.jit(self._step)
            self.shift = decorated

        def _step(self, x: Any) -> Any:
            return self.model(x)

    trainer = Trainer()
    trainer.step(ones(2, 3))
    made = copy.deepcopy(trainer)
    made.model.weight.data.zero_()
    made.model.bias.data.fill_(3.0)
    assert made.step(ones(1, 3)).tolist() == [[3.0]] and made.shift is decorated
    assert trainer.step(ones(1, 3)).tolist() != [[3.0]] and pickle.loads(pickle.dumps(decorated)) is decorated
    model = nn.ReLU()
    model.forward = torch.jit(model.forward)
    assert isinstance(copy.deepcopy(model).forward, Jitted) and copy.deepcopy(model)(ones(1)).tolist() == ones(1).tolist()


# --- What people stumbled over elsewhere ------------------------------------------------------------------------------


def test_a_checkpoint_of_one_loads_into_the_other() -> None:
    source, target = nn.Sequential(torch.jit(Scaled()), nn.Linear(3, 1)), nn.Sequential(Scaled(), nn.Linear(3, 1))
    assert list(source.state_dict()) == list(target.state_dict())
    assert repr(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert repr(torch.jit(source).load_state_dict(target.state_dict())) == "<All keys matched successfully>"


def test_a_checkpoint_loaded_after_the_compile_is_used() -> None:
    model = torch.jit(nn.Linear(3, 1))
    model(ones(1, 3))
    for assign in False, True:
        model.load_state_dict({"weight": torch.zeros(1, 3), "bias": torch.full((1,), 4.0 + assign)}, assign=assign)
        assert model(ones(1, 3)).item() == 4.0 + assign


def test_own_methods_for_state_dicts_are_asked() -> None:
    class Own(nn.Linear):
        def state_dict(self, *args: Any, **kwargs: Any) -> Any:
            return {"all": self.weight.detach()}

        def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            self.weight.data = state_dict["all"]

    model = torch.jit(Own(2, 1))
    assert list(model.state_dict()) == ["all"]
    model.load_state_dict({"all": ones(1, 2)})
    assert model.weight.tolist() == ones(1, 2).tolist()


def test_modes_are_one() -> None:
    below = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))
    below.eval()
    model = torch.jit(below)
    assert not model.training
    for change in model.train, below.eval, model.train, model.eval:
        change()
        assert model.training == below.training == below[0].training == model[0].training
    model.training = True
    assert below.training and not below[0].training


HOOKS = ("register_forward_pre_hook", "register_forward_hook", "register_full_backward_pre_hook", "register_full_backward_hook")


@pytest.mark.parametrize("child", [False, True])
@pytest.mark.parametrize("on", ["handle", "module"])
@pytest.mark.parametrize("name", HOOKS)
def test_hooks_come_and_go_after_the_compile(name: str, on: str, child: bool) -> None:
    below = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    model = torch.jit(below)
    names = {m: n for n, m in model.named_modules()}
    seen: list[Any] = []

    def hook(module: Any, *given: Any) -> Any:
        seen.append(names[module])
        return tuple(g * 2 for g in given[0]) if name != "register_forward_hook" else given[1] * 2

    def gradient(m: Any) -> Any:
        x = ones(2, 3).requires_grad_()
        m(x).sum().backward()
        return x.grad

    plain = gradient(below)
    np.testing.assert_allclose(gradient(model).numpy(), plain.numpy(), rtol=1e-6)
    where = model if on == "handle" else below
    handle = getattr(where[1] if child else where, name)(hook)
    expected = gradient(below)
    count = len(seen)
    np.testing.assert_allclose(gradient(model).numpy(), expected.numpy(), rtol=1e-6)
    assert count == 1 and seen == ["1" if child else ""] * 2
    assert name == "register_forward_pre_hook" or not np.allclose(plain.numpy(), expected.numpy())
    handle.remove()
    np.testing.assert_allclose(gradient(model).numpy(), plain.numpy(), rtol=1e-6)
    assert len(seen) == 2


def test_forward_exchanged_after_the_compile() -> None:
    model = torch.jit(nn.Linear(3, 3))
    model(ones(3))
    model.forward = lambda x: x * 3
    assert model(ones(3)).tolist() == (ones(3) * 3).tolist()
    del model.forward
    assert model(ones(3)).tolist() == model.__class__.forward(model, ones(3)).tolist()


def test_classes_are_those_of_the_module() -> None:
    model = nn.Sequential(torch.jit(nn.Linear(2, 2)), torch.jit(nn.Sequential(nn.Linear(2, 2))))

    def initialise(m: Any) -> None:
        if isinstance(m, nn.Linear):
            nn.init.ones_(m.weight)
        if type(m) is nn.Linear:
            nn.init.zeros_(m.bias)

    torch.jit(model).apply(initialise)
    assert model[0].weight.tolist() == [[1, 1], [1, 1]] and model[1][0].bias.tolist() == [0, 0]


def test_special_methods_of_containers() -> None:
    below = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model, table = torch.jit(below), torch.jit(nn.ModuleDict({"a": nn.ReLU()}))
    assert len(model) == 3 and model[0] is below[0] and [*model] == [*below] and repr(model[1:]) == repr(below[1:])
    del model[1]
    model += nn.Sequential(nn.Tanh())
    assert len(below) == 3 and repr(below) == repr(model) and "a" in table and [*table.keys()] == ["a"]


def test_own_call_is_compiled_with_all_it_does() -> None:
    class Registered(nn.Module):
        def __init_subclass__(cls, *, name: str, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)

    class Own(Registered, abc.ABC, name="own"):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3, bias=False)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

        def __call__(self, x: Any) -> Any:
            return super().__call__(x) * 10

    plain = Own()
    expected = plain(ones(3)).tolist()
    model = torch.jit(plain)
    for _ in range(2):
        assert model(ones(3)).tolist() == pytest.approx(expected)
    assert (model.stats.compiles, model.stats.calls) == (1, 2) and isinstance(model, Own) and repr(model) == repr(plain)
    assert torch.jit(lambda x: model(x))(ones(3)).tolist() == pytest.approx(expected)
    assert copy.copy(model)(ones(3)).tolist() == pytest.approx(expected) and "Own" in repr(type(model))
    plain.compile()
    for _ in range(2):
        assert plain(ones(3)).tolist() == pytest.approx(expected)
    assert (plain.stats.compiles, plain.stats.calls) == (1, 2)


def test_own_slots_are_refused_with_what_to_do() -> None:
    class Slotted(nn.Module):
        __slots__ = ("factor",)

        def forward(self, x: Any) -> Any:
            return x * self.factor

    model = Slotted()
    object.__setattr__(model, "factor", 3)
    with pytest.raises(TypeError, match=r"got Slotted, whose class Slotted has __slots__.*module.compile\(\)"):
        torch.jit(model)
    model.compile()
    assert model(ones(1)).item() == pytest.approx(0.3) and model.stats.calls == 1


def test_functional_call_of_a_handle() -> None:
    model = torch.jit(nn.Linear(3, 1))
    model(ones(1, 3))
    given = {"weight": torch.zeros(1, 3), "bias": torch.full((1,), 7.0)}
    assert torch.func.functional_call(model, given, (ones(1, 3),)).item() == 7
    assert torch.jit(lambda p, x: torch.func.functional_call(model, p, (x,)))(given, ones(1, 3)).item() == 7
    assert torch.func.vmap(model)(ones(4, 1, 3)).shape == (4, 1, 1)
    assert torch.func.grad(lambda x: model(x).sum())(ones(1, 3)).tolist() == model.weight.tolist()


# --- Compiled in place ------------------------------------------------------------------------------------------------


def test_compile_is_in_place() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    seen: list[Any] = []
    model.register_forward_hook(lambda module, args, out: seen.append(module is model))
    assert model.compile() is None
    model.eval()
    expected = model[0](ones(2, 3)).tolist()
    for _ in range(2):
        assert model(ones(2, 3)).tolist() == pytest.approx(np.array(expected))
    assert seen == [True, True] and (model.stats.compiles, model.stats.calls) == (1, 2)
    assert next(iter(model.state_dict())) == "0.weight"
    model.scale = 3
    model[0].bias.data.fill_(0)
    model[0].weight = nn.Parameter(torch.zeros(3, 3))
    assert model(ones(2, 3)).tolist() == [[0, 0, 0]] * 2 and "forward" not in model.__dict__
    model.train()
    model(ones(2, 3)).sum().backward()
    assert [r.reason for r in model.why()] == ["first call", "changed", "changed"] and str(model.why()).count("Sequential.")
    model.compile(disable=True)
    assert not hasattr(model, "stats") and model(ones(2, 3)).shape == (2, 3)
    with pytest.raises(RuntimeError, match="Unrecognized mode=fast"):
        model.compile(mode="fast")


# --- torch.compile ----------------------------------------------------------------------------------------------------

TAKEN: list[dict[str, Any]] = [
    {}, {"fullgraph": True}, {"dynamic": True}, {"dynamic": False}, {"dynamic": None}, {"backend": "inductor"},
    {"backend": "openxla"}, {"backend": "cudagraphs"}, {"mode": None}, {"mode": "default"}, {"mode": "reduce-overhead"},
    {"mode": "max-autotune"}, {"mode": "max-autotune-no-cudagraphs"}, {"options": {}}, {"options": None},
    {"options": {"epilogue_fusion": True, "shape_padding": True, "triton.cudagraphs": False, "max-autotune": True}},
    {"options": {"donate": False, "check_nan": True}}, {"name": "region"}, {"recompile_limit": 3}, {"isolate_recompiles": True},
    {"fullgraph": True, "dynamic": False, "backend": "inductor", "mode": "max-autotune", "disable": False},
]


@pytest.mark.parametrize("given", TAKEN, ids=str)
def test_arguments_that_compile_takes(given: dict[str, Any], numpy_engine: None) -> None:
    def double(x: Any) -> Any:
        return 2 * x

    for made in torch.compile(double, **given), torch.compile(**given)(double), torch.compile(nn.Identity(), **given):
        made(ones(2))
        assert made.stats.compiles == 1
    model = nn.Identity()
    model.compile(**given)
    assert model(ones(2)).tolist() == ones(2).tolist() and model.stats.compiles == 1


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"mode": "fast"}, RuntimeError, "Unrecognized mode=fast, should be one of: default, lite, reduce-overhead"),
    ({"mode": "default", "options": {}}, RuntimeError, "Either mode or options can be specified, but both"),
    ({"options": {"speed": 1}}, RuntimeError, "Unexpected optimization option speed, known options are"),
    ({"options": {"max_autotune": 3}}, RuntimeError, "Unexpected type of attr max_autotune, got int should be bool"),
    ({"options": 3}, TypeError, "requires options to be a dict, got int"),
    ({"backend": "nothing"}, RuntimeError, "Invalid backend: 'nothing', should be one of"),
    ({"backend": lambda graph, inputs: graph}, TypeError, "requires a backend by name, got a function"),
    ({"dynamic": "maybe"}, TypeError, "requires dynamic to be True, False or None, got 'maybe'"),
    ({"shapes_spec": 1}, TypeError, "takes no shapes_spec"),
    ({"fast": 1}, TypeError, "unexpected keyword argument 'fast'"),
]


@pytest.mark.parametrize(("given", "kind", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_arguments_that_compile_refuses(given: dict[str, Any], kind: type[Exception], message: str) -> None:
    for made in lambda: torch.compile(ones, **given), lambda: nn.Identity().compile(**given):
        with pytest.raises(kind, match=message):
            made()


def test_compile_of_nothing() -> None:
    with pytest.raises(RuntimeError, match="Model can't be None"):
        torch.compile()(None)
    with pytest.raises(TypeError, match="requires a function or a module, got int"):
        torch.compile(3)


def test_what_is_not_compiled() -> None:
    for given in {"disable": True}, {"backend": "eager"}, {"backend": "aot_eager"}:
        assert torch.compile(ones, **given) is ones
        model = nn.Identity()
        assert torch.compile(model, **given) is model


def test_options_and_limits_reach_jit() -> None:
    limited = torch.compile(lambda x: x + 1, fullgraph=True, recompile_limit=1)
    limited(ones(1))
    with pytest.raises(TraceError, match="max_compiles=1"):
        limited(ones(2))
    flagged = torch.compile(lambda x, flag: x + flag, options={"static": ["flag"]})
    assert flagged(ones(1), flag=1).item() == pytest.approx(1.1) and options_of(flagged)[0] == {"flag"}
    model = nn.Identity()
    for made in torch.compile(ones, name="region"), torch.compile(model, name="region"), torch.jit(ones, name="region"):
        with pytest.raises(RuntimeError, match="region has not been called yet"):
            _ = made.graph


def test_an_object_as_batch_is_no_self(numpy_engine: None) -> None:
    class Batch:
        def __init__(self, x: Any) -> None:
            self.x = x

    class Model(nn.Module):
        def forward(self, batch: Any) -> Any:
            return batch.x * 2

    in_place, model = Model(), Model()
    in_place.compile()
    for run in in_place, torch.jit(model), torch.jit(model.forward):
        assert [run(Batch(ones(1) * i)).item() for i in range(3)] == pytest.approx([0, 0.2, 0.4])
        assert run.stats.compiles == 1
