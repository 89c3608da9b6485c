"""State that jit finds: parameters, buffers, optimizer state, random state; donation, packing, and what others hold."""

from __future__ import annotations

import collections
import copy
import types
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.runtime.engine import Counts
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.jit.why import RetraceWarning


class Net(torch.nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Linear(4, width, bias=False), torch.nn.BatchNorm1d(width)
        self.drop, self.last = torch.nn.Dropout(0.25), torch.nn.Linear(width, 1)

    def forward(self, x: Any) -> Any:
        return self.last(self.drop(torch.nn.functional.relu(self.norm(self.first(x)))))


def batches(count: int, rows: int = 6) -> list[Any]:
    rng = np.random.default_rng(0)
    return [torch.tensor(rng.standard_normal((rows, 4)).astype(np.float32)) for _ in range(count)]


def training_step(model: Any, opt: Any, wrap: Any = torch.jit) -> Any:
    @wrap
    def step(x: Any) -> Any:
        loss = (model(x) ** 2).mean()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return step


def contents(model: Any) -> dict[str, Any]:
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}


def assert_same(a: dict[str, Any], b: dict[str, Any], rtol: float = 2e-5) -> None:
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=rtol, atol=1e-6, err_msg=name)


def test_thirty_steps_with_schedule_dropout_and_batch_norm_compile_once() -> None:
    torch.manual_seed(3)
    model = Net()
    opt = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 30)
    step = training_step(model, opt)
    inputs = batches(30)
    torch.synchronize()
    losses = []
    for i, x in enumerate(inputs):
        before = Counts.compiles + Counts.disk_hits, Counts.launches
        losses.append(step(x))
        after = Counts.compiles + Counts.disk_hits, Counts.launches
        assert after[1] - before[1] == 1, f"step {i} launched more than one program"
        assert after[0] - before[0] == (1 if i == 0 else 0), f"step {i} compiled"
        schedule.step()
    assert (step.stats.compiles, step.stats.calls) == (1, 30)
    assert all(np.isfinite([loss.item() for loss in losses]))
    assert all(p.grad is None for p in model.parameters())
    assert model.norm.num_batches_tracked.item() == 30


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a_step_is_the_same_lazily_and_jitted(name: str) -> None:
    def run(wrap: Any) -> dict[str, Any]:
        torch.manual_seed(5)
        model = Net()
        opt = getattr(torch.optim, name)(model.parameters(), lr=1e-2)
        step = training_step(model, opt, wrap)
        for x in batches(4):
            step(x)
        return contents(model)

    assert_same(run(torch.jit), run(lambda f: f))


def test_train_and_eval_make_two_traces_and_no_more() -> None:
    model = Net()
    forward = torch.jit(lambda x: model(x))
    (x,) = batches(1)
    for _ in range(3):
        model.train()
        forward(x)
        model.eval()
        once, again = forward(x), forward(x)
        assert once.tolist() == again.tolist()
    assert forward.stats.compiles == 2
    model.train()
    assert forward(x).tolist() != forward(x).tolist()  # dropout changes with each call
    assert forward.stats.compiles == 2


def test_random_numbers_go_on_and_can_be_seeded() -> None:
    draw = torch.jit(lambda: torch.rand(4))
    torch.manual_seed(7)
    jitted = [draw().tolist() for _ in range(3)]
    torch.manual_seed(7)
    lazy = [torch.rand(4).tolist() for _ in range(3)]
    assert jitted == lazy
    assert jitted[0] != jitted[1]
    assert draw.stats.compiles == 1
    torch.manual_seed(7)
    assert draw().tolist() == jitted[0]


def test_outputs_kept_across_calls_are_never_overwritten() -> None:
    state = torch.zeros(3)

    @torch.jit
    def step() -> Any:
        state.add_(1)
        return state * 1, state.clone()

    kept = [step() for _ in range(4)]
    assert [[t.tolist() for t in pair] for pair in kept] == [[[i] * 3, [i] * 3] for i in (1.0, 2.0, 3.0, 4.0)]


@pytest.mark.parametrize("count", [1, 6])  # six small ones share a pack
@pytest.mark.parametrize("size", [3, 5000])  # 5,000 floats are too large for a pack
def test_copies_held_elsewhere_survive_donation(count: int, size: int) -> None:
    params = [torch.zeros(size) for _ in range(count)]

    @torch.jit
    def step() -> None:
        for p in params:
            p.add_(1)

    kept: list[tuple[float, Any]] = []
    for i in range(5):
        now = float(i)
        kept += [(now, p.clone()) for p in params] + [(now, p.numpy().copy()) for p in params]
        kept += [(now, p.detach().clone()) for p in params] + [(now, copy.deepcopy(p)) for p in params]
        kept += [(now, p * 1.0) for p in params]
        step()
        for number, t in kept:
            assert set(np.asarray(t).ravel().tolist()) == {number}
    aliases = [p.detach() for p in params] + [p.view(-1) for p in params]
    step()
    assert all(set(a.numpy().tolist()) == {6.0} for a in aliases)
    assert step.stats.compiles == 1


def test_moving_average_of_parameters() -> None:
    def run(wrap: Any) -> Any:
        torch.manual_seed(0)
        model = Net()
        average = copy.deepcopy(model)
        step = training_step(model, torch.optim.SGD(model.parameters(), lr=0.1), wrap)

        def follow() -> None:
            with torch.no_grad():
                for a, p in zip(average.parameters(), model.parameters()):
                    a.mul_(0.5).add_(p, alpha=0.5)

        follow = wrap(follow)
        for x in batches(5):
            step(x)
            follow()
        if wrap is torch.jit:
            assert (step.stats.compiles, follow.stats.compiles) == (1, 1)
        return {**contents(model), **{f"average.{k}": v for k, v in contents(average).items()}}

    assert_same(run(torch.jit), run(lambda f: f))


def test_lazy_moving_average_between_jitted_steps() -> None:
    def run(wrap: Any) -> Any:
        torch.manual_seed(0)
        model = Net()
        shadow = [p.detach().clone() for p in model.parameters()]
        step = training_step(model, torch.optim.SGD(model.parameters(), lr=0.1), wrap)
        for x in batches(4):
            step(x)
            for s, p in zip(shadow, model.parameters()):
                s.lerp_(p.detach(), 0.5)
        return {str(i): s.numpy() for i, s in enumerate(shadow)}

    assert_same(run(torch.jit), run(lambda f: f))


def test_state_changed_outside_between_calls() -> None:
    """Every way in which a packed or donated tensor may be written between two calls."""
    def run(wrap: Any) -> list[Any]:
        params = [torch.full((3,), float(i)) for i in range(6)]
        seen = []

        def step() -> None:
            for p in params:
                p.add_(1)

        step = wrap(step)
        step()
        params[0].data.fill_(10.0)
        step()
        with torch.no_grad():
            params[1].copy_(torch.tensor([1.0, 2.0, 3.0]))
        params[2][1] = 7.0
        step()
        params[3].data = torch.full((3,), -1.0)
        params[4].mul_(2)
        seen += [p.sum().item() for p in params]
        step()
        params[5].zero_()
        step()
        if wrap is torch.jit:
            assert step.stats.compiles == 1
        return seen + [p.tolist() for p in params]

    assert run(torch.jit) == run(lambda f: f)


def test_load_state_dict_between_calls() -> None:
    model = Net()
    model.eval()
    opt = torch.optim.Adam(model.parameters(), lr=0.1)
    step = training_step(model, opt)
    inputs = batches(4)
    step(inputs[0])
    saved, saved_opt = copy.deepcopy(model.state_dict()), copy.deepcopy(opt.state_dict())
    first = [step(x).item() for x in inputs[1:]]
    model.load_state_dict(saved)
    opt.load_state_dict(saved_opt)
    assert [step(x).item() for x in inputs[1:]] == pytest.approx(first, rel=1e-6)
    model.load_state_dict(saved)
    opt.load_state_dict(saved_opt)
    assert [training_step(model, opt, lambda f: f)(x).item() for x in inputs[1:]] == pytest.approx(first, rel=1e-5)


def test_add_param_group_after_compile() -> None:
    v, w = (torch.ones(2).requires_grad_() for _ in range(2))
    opt = torch.optim.SGD([v], lr=1.0)

    @torch.jit
    def step() -> None:
        (v * 2 + w * 3).sum().backward()
        opt.step()
        opt.zero_grad()
        w.grad = None

    step()
    assert (v.tolist(), w.tolist()) == ([-1, -1], [1, 1])
    opt.add_param_group({"params": [w], "lr": 0.5})
    step()
    assert (v.tolist(), w.tolist()) == ([-3, -3], [-0.5, -0.5])
    opt.param_groups[0]["lr"] = 0.0
    step()
    assert (v.tolist(), w.tolist()) == ([-3, -3], [-2, -2])
    assert step.stats.compiles == 2


def test_module_frozen_swapped_and_grown() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    forward = torch.jit(lambda x: model(x))
    x = torch.ones(1, 2)

    def check() -> None:
        np.testing.assert_allclose(forward(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-6)

    check()
    model[0] = torch.nn.Linear(2, 2)
    check()
    model.append(torch.nn.Tanh())
    check()
    model[1].weight = torch.nn.Parameter(torch.zeros(1, 2))
    check()
    model[1].bias.requires_grad_(False)
    check()
    assert forward.stats.compiles == 5
    check()
    assert forward.stats.compiles == 5
    forward(x).sum().backward()
    assert model[1].bias.grad is None
    assert model[1].weight.grad is not None


def test_two_functions_on_one_model_alternate() -> None:
    def run(wrap: Any) -> Any:
        torch.manual_seed(1)
        model = Net()
        step = training_step(model, torch.optim.Adam(model.parameters(), lr=0.02), wrap)
        evaluate = wrap(lambda x: (model(x) ** 2).mean())
        results = []
        for x in batches(5):
            model.train()
            step(x)
            model.eval()
            with torch.no_grad():
                results.append(evaluate(x).item())
        if wrap is torch.jit:
            assert (step.stats.compiles, evaluate.stats.compiles) == (1, 1)
        return results

    np.testing.assert_allclose(run(torch.jit), run(lambda f: f), rtol=2e-4)


def test_two_networks_that_train_against_each_other() -> None:
    def run(wrap: Any) -> Any:
        torch.manual_seed(2)
        maker, judge = torch.nn.Linear(4, 4), torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        for_maker, for_judge = torch.optim.Adam(maker.parameters(), 0.01), torch.optim.SGD(judge.parameters(), 0.05)

        def train_judge(x: Any) -> Any:
            loss = judge(maker(x).detach()).mean() - judge(x).mean()
            for_judge.zero_grad()
            loss.backward()
            for_judge.step()
            return loss

        def train_maker(x: Any) -> Any:
            loss = -judge(maker(x)).mean()
            for_maker.zero_grad()
            loss.backward()
            for_maker.step()
            return loss

        steps = wrap(train_judge), wrap(train_maker)
        losses = [step(x).item() for x in batches(6) for step in steps]
        if wrap is torch.jit:
            assert all(s.stats.compiles <= 3 for s in steps)
        return [*losses, *(p.grad.sum().item() for p in judge.parameters())]

    np.testing.assert_allclose(run(torch.jit), run(lambda f: f), rtol=2e-4, atol=1e-5)


def test_freezing_the_other_network_in_turn_compiles_twice() -> None:
    model = torch.nn.Linear(2, 1)
    step = torch.jit(lambda x: (x * model(x)).sum().backward())
    for i in range(6):
        model.requires_grad_(i % 2 == 0)
        x = torch.ones(1, 2, requires_grad=True)
        step(x)
        assert (model.weight.grad is None) is (i % 2 == 1)
        model.zero_grad()
    assert step.stats.compiles == 2


def test_state_made_inside_the_first_step() -> None:
    """An optimizer's state exists before the trace: one compile serves the first step and all others."""
    w = torch.ones(3).requires_grad_()
    opt = torch.optim.Adam([w], lr=0.1)

    @torch.jit
    def step() -> None:
        (w ** 2).sum().backward()
        opt.step()
        opt.zero_grad()

    for _ in range(3):
        step()
    assert step.stats.compiles == 1
    assert opt.state[w]["step"].item() == 3


def test_state_written_without_being_read() -> None:
    state = torch.zeros(3)
    step = torch.jit(lambda x: state.copy_(x))
    kept = []
    for k in (1.0, 2.0, 3.0):
        assert step(torch.full((3,), k)) is state
        kept.append(state.clone())
    assert [t.tolist() for t in kept] == [[k] * 3 for k in (1.0, 2.0, 3.0)]


def test_swapping_two_states() -> None:
    a, b = torch.zeros(2000), torch.ones(2000)

    @torch.jit
    def swap() -> None:
        before = a.clone()
        a.copy_(b)
        b.copy_(before)

    for i in range(4):
        swap()
        assert (a[0].item(), b[0].item()) == ((1, 0) if i % 2 == 0 else (0, 1))


def test_one_state_copied_into_another_shares_no_fate() -> None:
    a, b = torch.zeros(2000), torch.zeros(2000)

    @torch.jit
    def step() -> None:
        a.add_(1)
        b.copy_(a)

    @torch.jit
    def only_a() -> None:
        a.add_(1)

    step()
    only_a()
    assert (a[0].item(), b[0].item()) == (2, 1)
    step()
    assert (a[0].item(), b[0].item()) == (3, 3)


@pytest.mark.parametrize("donate", [True, False])
def test_donation_happens_and_can_be_turned_off(donate: bool) -> None:
    state = torch.zeros(1 << 16)
    step = torch.jit(_adder(state), donate=donate)
    step()
    step()
    assert step.program.memory()["alias"] == (1 << 18 if donate else 0)
    assert state[0].item() == 2


def _adder(state: Any) -> Any:
    def step() -> None:
        state.add_(1)

    return step


def test_trace_looks_without_running() -> None:
    state = torch.zeros(2)
    step = torch.jit(lambda x: state.add_(x))
    graph = step.trace(torch.ones(2))
    assert "add" in str(graph)
    assert state.tolist() == [0, 0]
    assert (step.stats.calls, step.stats.compiles) == (0, 0)
    with pytest.raises(RuntimeError, match="has not been called yet"):
        _ = step.graph
    step(torch.ones(2))
    assert "stablehlo.add" in step.stablehlo
    assert "add" in step.hlo
    step.cache_clear()
    assert len(step.why()) == 0
    step(torch.ones(2))
    assert state.tolist() == [2, 2]


def test_max_compiles() -> None:
    step = torch.jit(lambda x: x * 2, max_compiles=2)
    step(torch.ones(1))
    step(torch.ones(2))
    step(torch.ones(1))
    with pytest.raises(TraceError, match=r"more than max_compiles=2 times.*f32\[2\]|more than max_compiles=2 times.*f32\[1\]"):
        step(torch.ones(3))
    assert step(torch.ones(2)).tolist() == [2, 2]


def test_why_after_five_deliberate_retraces() -> None:
    """Each reason has the name of what changed, its old and new value, the user's line and the seconds it cost."""
    model, gain = torch.nn.Dropout(0.5), 2.0
    f = torch.jit(lambda x, k, flag: model(x) * gain * (2 if k == 2 else k) if flag else model(x) * gain)
    x = torch.ones(2)
    calls = ["f(x, 2.0, True)", "f(torch.ones(3), 2.0, True)", "f(x, 3.0, True)", "f(x, 3.0, False)"]
    f(x, 2.0, True)
    f(torch.ones(3), 2.0, True)
    f(x, 3.0, True)
    f(x, 3.0, False)
    model.eval()
    f(x, 3.0, False)  # after eval
    gain = 4.0
    f(x, 3.0, False)  # after gain
    why = f.why()
    assert [w.reason for w in why] == ["first call", *["changed"] * 5]
    assert [w.changes for w in why] == [
        (), (("args[0]", "f32[2]", "f32[3]"),), (("args[1] == 2 (at tests/jit/test_state.py:461)", True, False),),
        (("args[2]", True, False),),
        (("Dropout.training", True, False),), (("gain (closure of <lambda>)", 2.0, 4.0),)]
    with open(__file__) as file:
        lines = [line.strip() for line in file]
    wanted = [*calls, "f(x, 3.0, False)  # after eval", "f(x, 3.0, False)  # after gain"]
    assert [w.where for w in why] == [f"tests/jit/test_state.py:{lines.index(call) + 1}" for call in wanted]
    assert all(0 < w.seconds < 60 for w in why)
    text = str(why).splitlines()
    assert len(text) == 6 and text[0].startswith("1. first call at tests/jit/test_state.py:")
    assert "2. changed (args[0]: f32[2] -> f32[3]) at tests/jit/test_state.py:" in text[1] and text[1].endswith(" s")
    assert "changed (gain (closure of <lambda>): 2.0 -> 4.0) at" in text[5]


def test_why_names_modes_and_the_structure_of_arguments() -> None:
    f = torch.jit(lambda xs: xs[0] * 2)
    x = torch.ones(2)
    f([x])
    with torch.no_grad():
        f([x])
    f((x,))
    f([x.requires_grad_()])
    assert [w.changes[0] for w in f.why()[1:]] == [
        ("grad mode", True, False), ("grad mode", False, True), ("args[0][0]", "f32[2]", "f32[2], requires grad")]
    f((x,))
    assert f.why()[-1].changes[0] == ("the structure of the arguments", list, tuple)


def test_a_smaller_last_batch_compiles_twice_and_says_so_once() -> None:
    model = torch.nn.Linear(4, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        loss = model(x).pow(2).mean()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    jitted, before = torch.jit(step), len(torch.report())
    for _ in range(3):
        for rows in (8, 8, 8, 5):
            jitted(torch.ones(rows, 4))
    assert jitted.stats.compiles == 2
    assert [w.changes for w in jitted.why()[1:]] == [(("args[0]", "f32[8,4]", "f32[5,4]"),)]
    before = len(torch.report())
    for _ in range(3):
        for rows in (8, 8, 8, 5):
            step(torch.ones(rows, 4))
    assert len(torch.report()) - before <= 3  # the first step, those after it (their gradients are there), the smaller batch


def test_many_shapes_are_told_once() -> None:
    f = torch.jit(lambda x: x * 2)
    with pytest.warns(RetraceWarning, match=r"traced anew 8 times because args\[0\] had changed \(now f32\[9\]\).*pad the batch"):
        for n in range(1, 12):
            f(torch.ones(n))


def test_autocast_is_guarded() -> None:
    layer = torch.nn.Linear(2, 2)
    f = torch.jit(lambda x: layer(x))
    x = torch.ones(1, 2)
    for _ in range(2):
        assert f(x).dtype is torch.float32
        with torch.autocast("cpu"):
            assert f(x).dtype is torch.bfloat16
        with torch.autocast("cpu", dtype=torch.float16):
            assert f(x).dtype is torch.float16
    assert f.stats.compiles == 3
    assert [c[0] for w in f.why()[1:] for c in w.changes] == ["autocast", "autocast"]


def test_default_dtype_is_guarded() -> None:
    f = torch.jit(lambda: torch.ones(1) * 1)
    assert f().dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert f().dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert f().dtype is torch.float32
    assert f.stats.compiles == 2


# --- Tensors that a module binds anew ---------------------------------------------------------------------------------


class Binding(nn.Module):
    """Keeps a hidden state by binding another tensor, and shows what it computed last."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.hidden, self.shown = torch.ones(3), None

    def forward(self, x: Any, what: str) -> Any:
        self.shown = x * 2
        if what in ("buffer", "both"):
            self.mean = self.mean * 0.5 + x
        if what in ("attribute", "both"):
            self.hidden = self.hidden + x
        if what == "for a while":
            before, self.hidden = self.hidden, x
            x, self.hidden = x + self.hidden, before
        if what == "error":
            self.mean = x
            raise ValueError("half way")
        return x + self.shown


@pytest.mark.parametrize("what", ["buffer", "attribute", "both"])
def test_a_tensor_that_is_bound_anew_is_state(what: str) -> None:
    module, other = Binding(), Binding()
    step = torch.jit(module)
    for k in range(5):
        x = torch.full((3,), float(k))
        assert step(x, what).tolist() == other(x, what).tolist()
        assert module.mean.tolist() == other.mean.tolist() and module.hidden.tolist() == other.hidden.tolist()
        assert module.shown.tolist() == other.shown.tolist() and module.state_dict()["mean"] is not None
    assert step.stats.compiles == 1
    name = "hidden" if what == "attribute" else "mean"
    held = getattr(module, name)
    before = held.tolist()
    for m in (module, other):
        setattr(m, name, torch.zeros(3))
    assert step(torch.ones(3), what).tolist() == other(torch.ones(3), what).tolist()
    assert held.tolist() == before and getattr(module, name).tolist() == getattr(other, name).tolist()
    assert step.stats.compiles == 1


def test_what_is_bound_for_a_while_or_shown_is_free() -> None:
    module = Binding()
    hidden, step = module.hidden, torch.jit(lambda x: module(x, "for a while") + module.shown)
    for _ in range(5):
        assert step(torch.ones(3)).tolist() == [6, 6, 6]
    assert module.hidden is hidden and step.stats.compiles == 1
    assert (module.shown + 1).tolist() == [3, 3, 3]


class Slotted:
    __slots__ = ("total",)


@pytest.mark.parametrize("place", ["attribute", "dictionary", "closure", "slot"])
def test_what_plain_objects_are_bound_to_is_state(place: str) -> None:
    holder: Any = Slotted() if place == "slot" else types.SimpleNamespace()
    holder.total, table, cell = torch.zeros(3), {"total": torch.zeros(3)}, torch.zeros(3)

    def step(x: Any) -> Any:
        nonlocal cell
        if place in ("attribute", "slot"):
            holder.total = holder.total + x
        elif place == "dictionary":
            table["total"] = table["total"] + x
        else:
            cell = cell + x
        return x

    jitted = torch.jit(step)
    for k in range(1, 5):
        jitted(torch.ones(3))
        assert {"attribute": holder.total, "slot": holder.total, "dictionary": table["total"],
                "closure": cell}[place].tolist() == [k] * 3
    assert jitted.stats.compiles == 1, jitted.why()


def test_the_last_value_shown_by_an_object_causes_no_other_trace() -> None:
    shown = types.SimpleNamespace(last=None)

    def step(x: Any) -> Any:
        shown.last = x * 2
        return shown.last + 1

    jitted = torch.jit(step)
    assert [jitted(torch.ones(1) * k).item() for k in range(5)] == [1, 3, 5, 7, 9]
    assert jitted.stats.compiles == 1


def test_an_error_half_way_binds_nothing() -> None:
    module = Binding()
    mean = module.mean
    with pytest.raises(ValueError, match="half way"):
        torch.jit(module)(torch.ones(3), "error")
    assert module.mean is mean and module.state_dict()["mean"].tolist() == [0, 0, 0]


def _shifted(o: Any, x: Any) -> Any:
    o.last, o.h = o.h, o.h * 2 + x
    return x + o.last


def _returned(o: Any, x: Any) -> Any:
    old, o.h = o.h, o.h + x
    return old, old.detach(), old[0], [old]


def _rotated(o: Any, x: Any) -> Any:
    o.a, o.b, o.h = o.h * x, o.a, o.b
    return o.a + o.b


def _queue(o: Any, x: Any) -> Any:
    o.queue.append(o.queue[-1] + x)
    return sum(o.queue)


def _kept_in_a_table(o: Any, x: Any) -> Any:
    o.table["before"] = o.h
    o.h = o.h + x
    return o.table["before"] * 1


@pytest.mark.parametrize("way", [_shifted, _returned, _rotated, _queue, _kept_in_a_table])
def test_a_tensor_that_moves_from_place_to_place_is_that_tensor(way: Any) -> None:
    def world() -> Any:
        return types.SimpleNamespace(h=torch.zeros(2), last=torch.ones(2), a=torch.ones(2), b=torch.full((2,), 3.0), table={},
                                     queue=collections.deque([torch.zeros(2), torch.ones(2)], maxlen=2))

    def seen(o: Any, result: Any, before: Any) -> Any:
        tensors = [*vars(o).values(), *o.queue, *o.table.values(), *(result if type(result) is tuple else [result])]
        flat = [t for t in tensors if isinstance(t, torch.Tensor)]
        return [t.tolist() for t in flat], [[t is u for u in (*flat, *before)] for t in flat]

    one, other = world(), world()
    step = torch.jit(lambda x: way(one, x))
    for k in range(5):
        x, had, other_had = torch.full((2,), k + 1.0), [one.h, one.a, one.b], [other.h, other.a, other.b]
        assert seen(one, step(x), had) == seen(other, way(other, x), other_had)
        if k == 3:
            one.last, other.last = one.h, other.h
    assert step.stats.compiles <= 3, step.why()
