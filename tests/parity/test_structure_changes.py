"""What a step does to the structure of modules happens at each call: 32 kinds of things that appear and go, in five orders,
reached in four ways (two of them in each order, by turns), against torch, lazily and jitted.

Programs that find again what they found before are used again, unless what came back is another parameter or hook.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import flambeau

from ..nested import near

oracle = pytest.importorskip("torch")
CALLS = 8


# --- What changes -----------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """Something that a module may have: whether it has it, and what puts it there and takes it away.

    `anew`: what comes back is another parameter or hook each time, which another program is for.
    """

    has: Callable[[Any], bool]
    put: Callable[[Any, Any, Any], Any]
    drop: Callable[[Any, Any], Any]
    anew: bool = False


def linear(torch: Any, x: Any) -> Any:
    made = torch.nn.Linear(3, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        made.weight.fill_(0.25)
    return made


def attribute(make: Callable[[Any, Any], Any], anew: bool = False) -> Kind:
    return Kind(lambda m: getattr(m, "extra", None) is not None, lambda torch, m, x: setattr(m, "extra", make(torch, x)),
                lambda torch, m: delattr(m, "extra"), anew)


def entry(table: str, make: Callable[[Any, Any], Any], anew: bool = False) -> Kind:
    return Kind(lambda m: "extra" in getattr(m, table),
                lambda torch, m, x: getattr(m, table).__setitem__("extra", make(torch, x)),
                lambda torch, m: getattr(m, table).pop("extra"), anew)


def flag(name: str, on: Callable[[Any], Any], off: Callable[[Any], Any]) -> Kind:
    return Kind(lambda m: getattr(m, name)(), lambda torch, m, x: on(m), lambda torch, m: off(m))


def hook(register: Callable[[Any], Any]) -> Kind:
    """One whose handle the module keeps."""
    def drop(torch: Any, m: Any) -> None:
        m.handle.remove()
        m.handle = None

    return Kind(lambda m: m.handle is not None, lambda torch, m, x: setattr(m, "handle", register(m)), drop, True)


def number_of(torch: Any, x: Any) -> float:
    return 0.5


def twice(torch: Any, x: Any) -> Any:
    return x[0].detach() * 2


def parameter(torch: Any, x: Any) -> Any:
    return torch.nn.Parameter(x[0].detach() * 2)


def doubled(leaf: Any) -> None:
    leaf.grad.mul_(2)


KINDS: dict[str, Kind] = {
    "tensor": attribute(twice), "number": attribute(number_of), "text": attribute(lambda torch, x: "extra"),
    "constant": attribute(lambda torch, x: torch.ones(3)),
    "None or a tensor": Kind(lambda m: m.spare is not None, lambda torch, m, x: setattr(m, "spare", twice(torch, x)),
                             lambda torch, m: setattr(m, "spare", None)),
    "entry of __dict__": entry("__dict__", twice), "number in __dict__": entry("__dict__", number_of),
    "past __setattr__": attribute(twice)._replace(
        put=lambda torch, m, x: object.__setattr__(m, "extra", twice(torch, x)),
        drop=lambda torch, m: object.__delattr__(m, "extra")),
    "buffer": attribute(twice)._replace(put=lambda torch, m, x: m.register_buffer("extra", twice(torch, x))),
    "unsaved buffer": attribute(twice)._replace(
        put=lambda torch, m, x: m.register_buffer("extra", twice(torch, x), persistent=False)),
    "Buffer": attribute(lambda torch, x: torch.nn.Buffer(twice(torch, x))), "entry of _buffers": entry("_buffers", twice),
    "buffer that is saved": Kind(lambda m: "buf" not in m._non_persistent_buffers_set,
                                 lambda torch, m, x: m.register_buffer("buf", m.buf, persistent=True),
                                 lambda torch, m: m.register_buffer("buf", m.buf, persistent=False)),
    "parameter": attribute(parameter, anew=True), "entry of _parameters": entry("_parameters", parameter, anew=True),
    "registered parameter": attribute(parameter, anew=True)._replace(
        put=lambda torch, m, x: m.register_parameter("extra", parameter(torch, x))),
    "child": attribute(linear, anew=True), "child without parameters": attribute(lambda torch, x: torch.nn.Tanh()),
    "added child": attribute(linear, anew=True)._replace(put=lambda torch, m, x: m.add_module("extra", linear(torch, x))),
    "entry of _modules": entry("_modules", lambda torch, x: torch.nn.Sigmoid()),
    "child or None": Kind(lambda m: m.one is not None, lambda torch, m, x: setattr(m, "one", torch.nn.Tanh()),
                          lambda torch, m: setattr(m, "one", None)),
    "listed": Kind(lambda m: len(m.acts) > 2, lambda torch, m, x: m.acts.append(torch.nn.Tanh()),
                   lambda torch, m: m.acts.pop(-1)),
    "first of a list": Kind(lambda m: len(m.acts) > 2, lambda torch, m, x: m.acts.insert(0, torch.nn.Tanh()),
                            lambda torch, m: m.acts.__delitem__(0)),
    "keyed": Kind(lambda m: "b" in m.table, lambda torch, m, x: m.table.update({"b": torch.nn.Sigmoid()}),
                  lambda torch, m: m.table.pop("b")),
    "last of a sequence": Kind(lambda m: len(m.seq) > 2, lambda torch, m, x: m.seq.append(torch.nn.Sigmoid()),
                               lambda torch, m: m.seq.__delitem__(2)),
    "training": flag("is_evaluated", lambda m: m.eval(), lambda m: m.train()),
    "frozen": flag("is_frozen", lambda m: m.requires_grad_(False), lambda m: m.requires_grad_()),
    "forward hook": hook(lambda m: m.lin.register_forward_hook(lambda module, args, out: out * 2)),
    "forward pre-hook": hook(lambda m: m.lin.register_forward_pre_hook(lambda module, args: (args[0] * 2,))),
    "backward hook": hook(lambda m: m.lin.register_full_backward_hook(lambda module, inside, out: (inside[0] * 2,))),
    "tensor hook": hook(lambda m: m.par.register_hook(lambda gradient: gradient * 2)),
    "hook after .grad": hook(lambda m: m.par.register_post_accumulate_grad_hook(doubled)),
}

ORDERS: dict[str, Callable[[int, bool], bool]] = {
    "appears": lambda i, there: i > 0, "goes": lambda i, there: i < 2, "in turns": lambda i, there: not there,
    "by the call": lambda i, there: i % 2 == 0, "stays anew": lambda i, there: True}
WAYS = ("self", "child", "by a name", "in a list")


# --- Running it -------------------------------------------------------------------------------------------------------


def model(torch: Any) -> Any:
    nn = torch.nn

    class Changing(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.handle = self.spare = self.one = None
            self.register_buffer("buf", torch.ones(3) * 2)
            self.par, self.lin = nn.Parameter(torch.ones(3) * 3), linear(torch, None)
            self.one = nn.Tanh()
            self.acts, self.table = nn.ModuleList([nn.ReLU(), nn.Sigmoid()]), nn.ModuleDict({"a": nn.Tanh()})
            self.seq, self.bn = nn.Sequential(nn.ReLU(), nn.Tanh()), nn.BatchNorm1d(3)
            self.pars = nn.ParameterList([nn.Parameter(torch.ones(3))])

        def is_evaluated(self) -> bool:
            return not self.training

        def is_frozen(self) -> bool:
            return not self.par.requires_grad

        def forward(self, x: Any) -> Any:
            y = self.seq(self.lin(x * self.par) + self.buf) + self.bn(x)
            for name in ("extra", "spare", "one"):
                thing = getattr(self, name, None)
                if isinstance(thing, nn.Module):
                    y = thing(y)
                elif thing is not None and not isinstance(thing, str):
                    y = y * thing
            for act in (*self.acts, *self.table.values()):
                y = act(y) + y
            return y * self.pars[0]

    return Changing().double()


def step_of(torch: Any, m: Any, kind: Kind, order: str, way: str) -> Callable[[Any, int], Any]:
    """A step that changes the module and then trains with it."""
    box, parent, wanted = [m], types.SimpleNamespace(inner=m), ORDERS[order]
    holder = torch.nn.Sequential(m)

    def change(m: Any, x: Any, i: int) -> Any:
        there = kind.has(m)
        if there and (order == "stays anew" or not wanted(i, there)):
            kind.drop(torch, m)
            there = False
        if not there and wanted(i, there):
            kind.put(torch, m, x)
        leaves = [p for p in m.parameters() if p.requires_grad]
        for p in leaves:
            p.grad = None
        y = m(x)
        if leaves:
            y.square().sum().backward()
        return y.detach(), [p.grad for p in m.parameters()]

    ways: dict[str, Callable[[Any, int], Any]] = {
        "self": lambda x, i: change(m, x, i), "child": lambda x, i: change(holder[0], x, i),
        "by a name": lambda x, i: change(getattr(parent, "in" + "ner"), x, i), "in a list": lambda x, i: change(box[0], x, i)}
    return ways[way]


def facts(m: Any) -> Any:
    """All that can be seen of a module from outside."""
    def shown(x: Any) -> Any:
        return [str(x.dtype), x.detach().tolist()] if hasattr(x, "detach") else x

    attributes = sorted(name for name in m.__dict__ if not name.startswith("_") and name != "handle")
    return [
        [(name, shown(x)) for name, x in m.state_dict().items()],
        [(name, p.requires_grad, shown(p.grad)) for name, p in m.named_parameters()],
        [(name, shown(b)) for name, b in m.named_buffers()],
        [(name, type(x).__name__, x.training) for name, x in m.named_modules() if not name.startswith("0")],
        [(name, shown(m.__dict__[name])) for name in attributes], sorted(m._non_persistent_buffers_set), m.handle is None]


def run(torch: Any, kind: Kind, order: str, way: str, wrap: Callable[[Any], Any]) -> tuple[list[Any], Any]:
    m = model(torch)
    step = wrap(step_of(torch, m, kind, order, way))
    found: list[Any] = []
    for i in range(CALLS):
        x = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3) + 0.1 * i
        y, gradients = step(x, i)
        found.append([y.tolist(), [None if g is None else g.tolist() for g in gradients], facts(m), m(x).tolist()])
    return found, step


def close(x: Any, y: Any) -> bool:
    return near(x, y, rel=1e-6, abs=1e-9)


def difference(wanted: list[Any], found: list[Any]) -> str:
    for i, (x, y) in enumerate(zip(wanted, found)):
        if not close(x, y):
            parts = [f"{a} is not {b}" for a, b in zip((*x[:2], *x[2], x[3]), (*y[:2], *y[2], y[3])) if not close(a, b)]
            return f"call {i + 1}: {parts[0][:300]}"
    return ""


@pytest.mark.parametrize("name", KINDS)
def test_what_a_step_does_to_modules_happens_at_each_call(name: str, numpy_engine: None) -> None:
    kind, wrong = KINDS[name], []
    for k, order, turn in ((list(KINDS).index(name) + i, order, turn) for i, order in enumerate(ORDERS) for turn in (0, 2)):
        way = WAYS[(k + turn) % 4]
        wanted, _ = run(oracle, kind, order, way, lambda f: f)
        lazily, _ = run(flambeau, kind, order, way, lambda f: f)
        jitted, step = run(flambeau, kind, order, way, flambeau.jit)
        wrong += [f"{order}, {way}, {how}: {told}" for how, found in (("lazily", lazily), ("jitted", jitted))
                  if (told := difference(wanted, found))]
        if not kind.anew and step.stats.compiles > 4:
            wrong.append(f"{order}, {way}: {step.stats.compiles} compiles\n{step.why()}")
    assert not wrong, "\n".join(wrong)
