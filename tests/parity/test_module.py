"""`Module` against torch's, plain and with each module in `jit`: registration, walks, state dicts, hooks, messages."""

from __future__ import annotations

import gc
import queue
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau.tracer.autograd.backward  # noqa: E402, F401  (attaches backward)
from flambeau import jit  # noqa: E402
from flambeau import nn as plain  # noqa: E402
from flambeau.tracer.functions import creation as ours  # noqa: E402
from flambeau.tracer.ir import dtypes  # noqa: E402
from flambeau.tracer.ir.state import state  # noqa: E402
from flambeau.tracer.tensor.epochs import structure_epoch  # noqa: E402
from flambeau.tracer.tensor.tensor import Tensor  # noqa: E402


class Compiling(type):
    """Classes all whose instances come jitted."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return jit(super().__call__(*args, **kwargs))


class Jitted:
    """`nn` with each of its modules jitted, and all that derive from them."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(plain, name)
        if not (isinstance(found, type) and issubclass(found, plain.Module)):
            return found
        made = Compiling(name, (found,), {"__module__": found.__module__, "__qualname__": name})
        setattr(self, name, made)
        return made


@pytest.fixture(params=["plain", "jitted"])
def nn(request: pytest.FixtureRequest) -> Any:
    """Our modules, as they are or jitted."""
    return plain if request.param == "plain" else Jitted()


def tree(m: Any, t: Any) -> Any:
    """A module with all there is: nested, shared, named and listed children, buffers of both kinds, empty places."""

    class Inner(m.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = m.Parameter(t.ones(2))
            self.register_buffer("seen", t.zeros(1))
            self.register_buffer("temporary", t.zeros(3), persistent=False)
            self.register_parameter("nothing", None)

        def forward(self, x: Any) -> Any:
            return x * self.weight

    class Outer(m.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Inner()
            self.again = self.first
            self.layers = m.ModuleList([m.Linear(2, 2), m.Linear(2, 2), m.Linear(2, 3)])
            self.table = m.ModuleDict({"a": m.ReLU(), "b": m.Sequential(OrderedDict(x=m.Linear(2, 2), y=m.Tanh()))})
            self.own = m.ParameterList([t.ones(2), m.Parameter(t.ones(3))])
            self.named = m.ParameterDict({"p": m.Parameter(t.ones(2, 3))})
            self.tied = m.Linear(2, 2)
            self.tied.weight = self.layers[0].weight
            self.missing = None
            self.add_module("empty", None)

        def extra_repr(self) -> str:
            return "one\ntwo"

        def forward(self, x: Any) -> Any:
            return self.first(x)

    return Outer()


@pytest.fixture
def same(nn: Any) -> Callable[[Any], None]:
    """Says that a function gives equal results, or equal errors, for our modules and for torch's."""

    def check(function: Any) -> None:
        results = []
        for m, t in ((nn, ours), (torch.nn, torch)):
            try:
                results.append((None, function(m, t)))
            except Exception as error:
                message = re.sub(r"<class '[\w.]*\.(\w+)'>", r"<class \1>", str(error))
                results.append((type(error), message.replace("flambeau.nn", "torch.nn")))
        assert results[0] == results[1]

    return check


WALKS = {
    "repr": lambda m, t: repr(tree(m, t)),
    "parameters": lambda m, t: [n for n, _ in tree(m, t).named_parameters()],
    "parameters with duplicates": lambda m, t: [n for n, _ in tree(m, t).named_parameters(remove_duplicate=False)],
    "parameters under a prefix": lambda m, t: [n for n, _ in tree(m, t).named_parameters("root")],
    "own parameters": lambda m, t: [n for n, _ in tree(m, t).first.named_parameters(recurse=False)],
    "buffers": lambda m, t: [n for n, _ in tree(m, t).named_buffers()],
    "children": lambda m, t: [n for n, _ in tree(m, t).named_children()],
    "modules": lambda m, t: [n for n, _ in tree(m, t).named_modules()],
    "modules with duplicates": lambda m, t: [n for n, _ in tree(m, t).named_modules(remove_duplicate=False)],
    "state dict": lambda m, t: list(tree(m, t).state_dict()),
    "state dict under a prefix": lambda m, t: list(tree(m, t).state_dict(prefix="x.")),
    "metadata": lambda m, t: dict(tree(m, t).state_dict()._metadata),
    "kept variables": lambda m, t: [v.requires_grad for v in tree(m, t).state_dict(keep_vars=True).values()],
    "apply": lambda m, t: _visited(tree(m, t)),
    "submodule": lambda m, t: repr(tree(m, t).get_submodule("table.b.x")),
    "no submodule": lambda m, t: tree(m, t).get_submodule("table.c"),
    "submodule of a parameter": lambda m, t: tree(m, t).get_submodule("first.weight"),
    "parameter": lambda m, t: tuple(tree(m, t).get_parameter("named.p").shape),
    "no parameter": lambda m, t: tree(m, t).get_parameter("first.seen"),
    "buffer": lambda m, t: tuple(tree(m, t).get_buffer("first.temporary").shape),
    "no buffer": lambda m, t: tree(m, t).get_buffer("first.weight"),
    "dir": lambda m, t: [n for n in dir(tree(m, t)) if n in ("first", "layers", "missing", "own", "forward")],
    "training": lambda m, t: [x.training for x in tree(m, t).eval().modules()],
    "mode": lambda m, t: tree(m, t).train("yes"),
}


def _visited(module: Any) -> list[str]:
    names: list[str] = []
    module.apply(lambda x: names.append(type(x).__name__))
    return names


@pytest.mark.parametrize("name", WALKS)
def test_walk(same: Any, name: str) -> None:
    same(WALKS[name])


def _without_init(m: Any) -> Any:
    class Forgetful(m.Module):
        def __init__(self, value: Any) -> None:
            self.x = value

    return Forgetful


MISTAKES = {
    "parameter before init": lambda m, t: _without_init(m)(m.Parameter(t.ones(1))),
    "module before init": lambda m, t: _without_init(m)(m.ReLU()),
    "no attribute": lambda m, t: m.Linear(1, 1).wait,
    "number as parameter": lambda m, t: setattr(m.Linear(1, 1), "weight", 3),
    "tensor as parameter": lambda m, t: setattr(m.Linear(1, 1), "weight", t.ones(1)),
    "number as module": lambda m, t: setattr(m.Sequential(m.ReLU()), "0", 3),
    "number as buffer": lambda m, t: setattr(m.BatchNorm1d(1), "running_mean", 3),
    "register tensor": lambda m, t: m.Module().register_parameter("x", t.ones(1)),
    "register number": lambda m, t: m.Module().register_buffer("x", 3),
    "register twice": lambda m, t: m.Linear(1, 1).register_buffer("in_features", t.ones(1)),
    "register with a dot": lambda m, t: m.Module().register_buffer("a.b", t.ones(1)),
    "register without name": lambda m, t: m.Module().register_parameter("", None),
    "register a number's name": lambda m, t: m.Module().register_buffer(3, t.ones(1)),
    "add no module": lambda m, t: m.Module().add_module("x", 3),
    "add with a dot": lambda m, t: m.Module().add_module("a.b", m.ReLU()),
    "no forward": lambda m, t: m.Module()(1),
    "to integers": lambda m, t: m.Linear(1, 1).to(t.int64 if t is torch else dtypes.int64),
    "sequential out of range": lambda m, t: m.Sequential(m.ReLU())[1],
    "list out of range": lambda m, t: m.ModuleList([m.ReLU()])[-2],
    "heads": lambda m, t: m.MultiheadAttention(3, 2),
    "groups": lambda m, t: m.Conv2d(3, 4, 1, groups=2),
    "strided same": lambda m, t: m.Conv2d(3, 4, 1, padding="same", stride=2),
    "norm groups": lambda m, t: m.GroupNorm(2, 3),
    "norm dimensions": lambda m, t: m.BatchNorm2d(2)(t.ones(2, 2)),
    "embedding padding": lambda m, t: m.Embedding(2, 3, padding_idx=2),
    "probability": lambda m, t: m.Dropout(-0.1),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(same: Any, name: str) -> None:
    same(MISTAKES[name])


# --- State dicts ------------------------------------------------------------------------------------------------------


def _load(change: Any, strict: bool = True, assign: bool = False) -> Any:
    def run(m: Any, t: Any) -> str:
        model = tree(m, t)
        saved = OrderedDict(model.state_dict())
        change(saved, t)
        return repr(model.load_state_dict(saved, strict=strict, assign=assign))

    return run


def _drop(*keys: str) -> Any:
    return lambda saved, t: [saved.pop(key) for key in keys]


def _put(key: str, *shape: int) -> Any:
    return lambda saved, t: saved.update({key: t.ones(shape)})


LOADS = {
    "all": _load(lambda saved, t: None),
    "missing": _load(_drop("first.weight", "layers.1.bias")),
    "missing, not strict": _load(_drop("first.weight"), strict=False),
    "unexpected": _load(_put("first.other", 1)),
    "unexpected child": _load(_put("first.other.more", 1)),
    "unexpected elsewhere": _load(_put("nowhere.at.all", 1)),
    "temporary": _load(_put("first.temporary", 3)),
    "unexpected, not strict": _load(_put("q", 1), strict=False),
    "wrong shape": _load(_put("layers.0.weight", 5)),
    "wrong shape, not strict": _load(_put("layers.0.weight", 5), strict=False),
    "all at once": _load(lambda saved, t: [_drop("first.weight")(saved, t), _put("q", 1)(saved, t),
                                           _put("named.p", 1)(saved, t)]),
    "assign": _load(lambda saved, t: None, assign=True),
}


@pytest.mark.parametrize("name", LOADS)
def test_load(same: Any, name: str) -> None:
    same(LOADS[name])


def test_load_copies_and_assign_replaces(nn: Any) -> None:
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    weight = model.weight
    model.load_state_dict(other.state_dict())
    assert model.weight is weight and weight.requires_grad
    np.testing.assert_array_equal(weight.detach().numpy(), other.weight.detach().numpy())
    model.load_state_dict(other.state_dict(), assign=True)
    assert model.weight is not weight and isinstance(model.weight, nn.Parameter) and model.weight.requires_grad


def test_state_dict_shares_storage(nn: Any) -> None:
    model = nn.Linear(2, 3)
    saved = model.state_dict()
    model.weight.data.zero_()
    assert float(saved["weight"].abs().sum()) == 0 and not saved["weight"].requires_grad


def test_extra_state(same: Any) -> None:
    def run(m: Any, t: Any) -> Any:
        class Counter(m.Module):
            count = 0

            def get_extra_state(self) -> Any:
                return {"count": self.count}

            def set_extra_state(self, state: Any) -> None:
                self.count = state["count"]

        a, b = m.Sequential(Counter()), m.Sequential(Counter())
        a[0].count = 7
        b.load_state_dict(a.state_dict())
        try:
            b.load_state_dict({})
        except RuntimeError as error:
            return b[0].count, list(a.state_dict()), str(error)

    same(run)


def test_hooks_around_state_dicts(same: Any) -> None:
    def run(m: Any, t: Any) -> Any:
        seen: list[Any] = []
        model = m.Linear(1, 1)
        model.register_state_dict_pre_hook(lambda mod, prefix, keep: seen.append((prefix, keep)))
        model.register_state_dict_post_hook(lambda mod, saved, prefix, meta: saved.update({prefix + "more": 1}))
        model.register_load_state_dict_pre_hook(lambda mod, saved, *rest: saved.pop("more"))
        model.register_load_state_dict_post_hook(lambda mod, keys: keys.missing_keys.clear())
        saved = model.state_dict()
        del saved["bias"]
        return seen, list(saved), repr(model.load_state_dict(saved, strict=False))

    same(run)


# --- Conversions, gradients -------------------------------------------------------------------------------------------


def test_conversions_are_in_place(same: Any) -> None:
    def run(m: Any, t: Any) -> Any:
        model = m.Sequential(m.Linear(2, 2), m.BatchNorm1d(2))
        weight = model[0].weight
        kinds = []
        for convert in (lambda: model.double(), lambda: model.half(), lambda: model.bfloat16(), lambda: model.float(),
                        lambda: model.to("cpu", t.float64 if t is torch else dtypes.float64)):
            assert convert() is model and model[0].weight is weight
            kinds.append([str(v.dtype) for v in model.state_dict().values()])
        return kinds, weight.requires_grad, weight.is_leaf

    same(run)


def test_zero_grad_and_requires_grad(same: Any) -> None:
    def run(m: Any, t: Any) -> Any:
        model = m.Linear(2, 1)
        model(t.ones(1, 2)).sum().backward()
        model.zero_grad(set_to_none=False)
        zero = model.weight.grad.sum().item()
        model.zero_grad()
        model.requires_grad_(False)
        return zero, model.weight.grad, model(t.ones(1, 2)).requires_grad

    same(run)


def test_gradient_is_converted_along(nn: Any) -> None:
    model = nn.Linear(2, 1)
    model(ours.ones(1, 2)).sum().backward()
    model.double()
    assert model.weight.grad.dtype is dtypes.float64


# --- Hooks ------------------------------------------------------------------------------------------------------------


def test_forward_hooks(same: Any) -> None:
    def run(m: Any, t: Any) -> Any:
        seen: list[Any] = []

        class Add(m.Module):
            def forward(self, x: Any, y: float = 1.0) -> Any:
                seen.append(("forward", x, y))
                return x + y

        model = Add()
        model.register_forward_pre_hook(lambda mod, args: (args[0] * 10,))
        model.register_forward_pre_hook(lambda mod, args, kwargs: (args, {"y": 5.0}), with_kwargs=True)
        model.register_forward_pre_hook(lambda mod, args: seen.append(("early", args)), prepend=True)
        last = model.register_forward_hook(lambda mod, args, out: out * 2)
        model.register_forward_hook(lambda mod, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True)
        results = [model(2.0, y=3.0)]
        last.remove()
        last.remove()
        return seen, [*results, model(1.0)]

    same(run)


def test_hook_that_is_always_called(same: Any) -> None:
    def run(m: Any, t: Any) -> Any:
        seen: Any = queue.SimpleQueue()  # not a list: what a failing step appended to one is taken back

        class Fails(m.Module):
            def forward(self) -> Any:
                raise ValueError("no")

        model = Fails()
        model.register_forward_hook(lambda mod, args, out: seen.put("plain"))
        model.register_forward_hook(lambda mod, args, out: seen.put(out), always_call=True)
        with pytest.raises(ValueError):
            model()
        return [seen.get() for _ in range(seen.qsize())]

    same(run)


def test_handle_as_a_context(nn: Any) -> None:
    model, seen = nn.Identity(), []
    with model.register_forward_hook(lambda *args: seen.append(1)):
        model(1)
    model(1)
    assert seen == [1]


# --- Containers -------------------------------------------------------------------------------------------------------

EDITS = {
    "append": lambda m, x: x.append(m.Tanh()),
    "extend": lambda m, x: x.extend([m.Tanh(), m.ReLU()]),
    "insert": lambda m, x: x.insert(1, m.Tanh()),
    "delete": lambda m, x: x.__delitem__(0),
    "delete a slice": lambda m, x: x.__delitem__(slice(0, 2)),
    "set": lambda m, x: x.__setitem__(-1, m.Tanh()),
    "pop": lambda m, x: x.pop(1),
    "add": lambda m, x: x.__iadd__(type(x)(m.Tanh()) if isinstance(x, m.Sequential) else [m.Tanh()]),
}
SEQUENTIAL_EDITS = {
    "multiply": lambda m, x: repr(x * 3), "multiply from the left": lambda m, x: repr(2 * x),
    "multiply in place": lambda m, x: x.__imul__(3), "multiply by nothing": lambda m, x: x * 0,
    "multiply by a float": lambda m, x: x.__imul__(2.0), "add a list": lambda m, x: x.__iadd__([m.Tanh()]),
    "add a list, plainly": lambda m, x: x + [m.Tanh()],
}


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
@pytest.mark.parametrize("name", EDITS)
def test_edit(same: Any, name: str, kind: str) -> None:
    def run(m: Any, t: Any) -> Any:
        items = [m.Linear(1, 1), m.ReLU(), m.Linear(2, 2)]
        box = m.Sequential(*items) if kind == "Sequential" else m.ModuleList(items)
        EDITS[name](m, box)
        return repr(box), repr(box[1:]), len(box), list(box._modules), repr(box + box)

    same(run)


@pytest.mark.parametrize("name", SEQUENTIAL_EDITS)
def test_edit_of_sequential(same: Any, name: str) -> None:
    def run(m: Any, t: Any) -> Any:
        box = m.Sequential(m.Linear(1, 1), m.ReLU())
        given = SEQUENTIAL_EDITS[name](m, box)
        return given is box, given if isinstance(given, str) else None, repr(box)

    same(run)


def test_dictionaries(same: Any) -> None:
    def run(m: Any, t: Any) -> Any:
        table = m.ModuleDict([["a", m.ReLU()]])
        table.update({"b": m.Tanh()})
        table["c"] = m.Sigmoid()
        gone = table.pop("a")
        named = m.ParameterDict({"x": t.ones(2)})
        named["y"] = m.Parameter(t.ones(3))
        listed = m.ParameterList([t.ones(1)])
        listed += [t.ones(2)]
        listed[0] = m.Parameter(t.ones(4))
        return (repr(table), list(table), "b" in table, repr(gone), repr(named), list(named.keys()), repr(listed),
                len(listed), tuple(listed[-1].shape), named.get("z", 5), list(named.state_dict()),
                [type(v).__name__ for v in named.values()])

    same(run)


# --- What is ours: scopes and epochs ----------------------------------------------------------------------------------


def test_scope_is_the_path(nn: Any) -> None:
    class Scopes(nn.Module):
        """Notes where it is called."""

        def forward(self) -> str:
            return state.scope

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.ModuleDict({"attn": Scopes()}) for _ in range(2)])

        def forward(self) -> Any:
            return state.scope, self.blocks[1]["attn"](), state.scope

    model = Model()
    assert model() == ("", "blocks.1.attn", "") and state.scope == ""
    model.blocks.insert(0, nn.Identity())
    assert model.blocks[2]["attn"]() == "blocks.2.attn"
    part = model.blocks[2]
    wrapper = nn.Sequential()
    wrapper.add_module("inner", part)
    assert part["attn"]() == "blocks.2.attn"  # the first place stays
    del model
    gc.collect()
    structure_epoch[0] += 1  # paths are remembered until some structure changes
    getattr(part["attn"], "cache_clear", bool)()  # and in what was compiled
    assert part["attn"]() in ("attn", "inner.attn")


def test_scope_is_restored_after_an_error(nn: Any) -> None:
    class Fails(nn.Module):
        def forward(self) -> None:
            raise ValueError

    model = nn.ModuleDict({"a": Fails()})
    with pytest.raises(ValueError):
        model["a"]()
    assert state.scope == ""


def test_structure_changes_are_counted(nn: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    buffered = nn.BatchNorm1d(2)
    changes = [lambda: model.eval(), lambda: setattr(model[1], "p", 0.2), lambda: model.append(nn.ReLU()),
               lambda: setattr(model[0], "weight", nn.Parameter(ours.ones(2, 2))), lambda: delattr(model[0], "bias"),
               lambda: setattr(buffered, "running_mean", ours.ones(2)), lambda: model.double(),
               lambda: model.register_forward_hook(lambda *a: None), lambda: setattr(model, "note", [1])]
    for change in changes:
        before = structure_epoch[0]
        change()
        assert structure_epoch[0] > before
    model.eval()
    before, note = structure_epoch[0], model.note
    model.eval()
    model.note = note
    model[1].p = model[1].p
    assert structure_epoch[0] == before


def test_parameter_shares_storage_and_prints_as_torchs(nn: Any) -> None:
    data = ours.ones(2)
    parameter = nn.Parameter(data)
    data.fill_(3)
    assert parameter.detach().tolist() == [3.0, 3.0] and isinstance(parameter, Tensor)
    assert repr(nn.Parameter(ours.ones(2))) == repr(torch.nn.Parameter(torch.ones(2)))
    assert nn.Parameter(ours.ones(2), requires_grad=False).requires_grad is False


def test_buffer_class_registers_itself(same: Any) -> None:
    def run(m: Any, t: Any) -> Any:
        model = m.Module()
        model.a, model.b = m.Buffer(t.ones(1)), m.Buffer(t.ones(1), persistent=False)
        return [n for n, _ in model.named_buffers()], list(model.state_dict())

    same(run)
