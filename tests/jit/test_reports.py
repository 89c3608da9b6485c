"""`debug.print` inside compiled steps, and `jit(check_nan=True)`."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime.engine import Counts
from flambeau.tracer.ir.errors import NanError, TraceError


def line_of(text: str) -> int:
    with open(__file__) as file:
        return next(i for i, line in enumerate(file, 1) if text in line)


# --- debug.print ------------------------------------------------------------------------------------------------------


def test_a_line_comes_at_each_call_in_order(capsys: Any) -> None:
    @torch.jit
    def step(x: Any) -> Any:
        y = x * 2
        torch.debug.print("first {} {k}", y.sum(), k=3)
        torch.debug.print("second {0[a][0]}", {"a": [y]})
        return y

    for k in (1.0, 2.0):
        assert step(torch.full((2,), k)).tolist() == [2 * k] * 2
    assert capsys.readouterr().out.splitlines() == [
        "first 4.0 3", "second tensor([2., 2.])", "first 8.0 3", "second tensor([4., 4.])"]
    assert step.stats.compiles == 1


def test_prints_what_a_tensor_was_at_that_place(capsys: Any) -> None:
    state = torch.zeros(())

    def step() -> None:
        torch.debug.print("{:.1f}", state)
        state.add_(1)
        torch.debug.print("{:.1f}", state)

    for wrap in (lambda f: f, torch.jit):
        state.zero_()
        run = wrap(step)
        run()
        run()
        assert capsys.readouterr().out.split() == ["0.0", "1.0", "1.0", "2.0"]


def test_inside_backward_and_func_grad(capsys: Any) -> None:
    def loss(x: Any) -> Any:
        torch.debug.print("x {:.1f}", x)
        return x * x

    assert torch.jit(torch.func.grad(loss))(torch.tensor(3.0)).item() == 6
    assert capsys.readouterr().out == "x 3.0\n"


def test_refused_where_there_is_no_one_value() -> None:
    def row(x: Any) -> Any:
        torch.debug.print("{}", x)  # in vmap
        return x

    for wrap in (lambda f: f, torch.jit):
        with pytest.raises(TraceError, match=rf"debug.print at .*test_reports\.py:{line_of('# in ' + 'vmap')} is inside vmap"):
            wrap(torch.vmap(row))(torch.ones(2))


# --- check_nan --------------------------------------------------------------------------------------------------------


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.drop, self.norm = torch.nn.Linear(3, 3), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(3)

    def forward(self, x: Any) -> Any:
        y = self.norm(self.layer(self.drop(x)))
        return torch.log(y * y)  # the log


def trained(loss_of: Any, check_nan: bool = True) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = Net()
    opt = torch.optim.Adam(model.parameters(), lr=0.1)

    @torch.jit(check_nan=check_nan)
    def step(x: Any) -> Any:
        loss = loss_of(model, x)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return step, model, opt


def everything(model: Any, opt: Any) -> list[Any]:
    return [*(t.numpy().copy() for t in model.state_dict().values()), torch.get_rng_state().numpy().copy(),
            *(t.numpy().copy() for s in opt.state.values() for t in s.values())]


def test_names_the_node_its_module_and_line_and_leaves_state_as_it_was() -> None:
    step, model, opt = trained(lambda model, x: model(x).mean())
    x = torch.tensor(np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32))
    assert np.isfinite(step(x).item())
    before = everything(model, opt)
    with torch.no_grad():
        held = model.layer.weight.detach().clone()
        model.layer.weight.fill_(1e20)
    spoilt = everything(model, opt)
    with pytest.raises(NanError) as caught:
        step(x.abs() * 1e20).item()
    text = str(caught.value)
    assert "gave the first NaN" in text and "nn/functional" not in text
    assert f"test_reports.py:{line_of('y = self.norm(')} in norm" in text
    line = line_of("y = self.norm(")
    assert f"before it, the first infinity came from dot at tests/jit/test_reports.py:{line} in layer" in text
    for a, b in zip(everything(model, opt), spoilt, strict=True):
        np.testing.assert_array_equal(a, b)
    with torch.no_grad():
        model.layer.weight.copy_(held)
    for a, b in zip(everything(model, opt), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(step(x).item())
    assert step.stats.compiles == 1


def test_nan_of_the_backward_names_the_forward_line() -> None:
    def loss_of(model: Any, x: Any) -> Any:
        y = model.layer(x)
        return torch.sqrt(y * 0).sum() + y.sum()  # the root

    step, _, _ = trained(loss_of)
    with pytest.raises(NanError, match=rf"^the backward of \w+: mul at .*test_reports\.py:{line_of('# the ' + 'root')} gave the "
                                       "first NaN; before it, the first infinity came from the backward of sqrt"):
        step(torch.ones(2, 3)).item()


def test_input_that_is_nan_is_named() -> None:
    step, model, _ = trained(lambda model, x: model.layer(x).sum())
    with pytest.raises(NanError, match=r"^the input args\[0\] holds the first NaN; in step\. State was left as it was before "
                                       "that call$"):
        step(torch.tensor([[1.0, float("nan"), 2.0]])).item()
    model.layer.weight.data[0, 0] = float("nan")
    with pytest.raises(NanError, match=r"the input f32\[3,3\]|the input (\w+\.)?weight|of type f32\[3,3\]"):
        step(torch.ones(1, 3)).item()


def test_infinities_alone_are_no_error() -> None:
    masked = torch.jit(lambda x: torch.softmax(x.masked_fill(x > 1, float("-inf")), -1), check_nan=True)
    assert masked(torch.tensor([0.0, 0.0, 2.0])).tolist() == [0.5, 0.5, 0.0]


def test_one_launch_with_donation_and_integers_and_complex_numbers() -> None:
    state = torch.zeros(1 << 16)

    @torch.jit(check_nan=True)
    def step(x: Any, n: Any) -> Any:
        state.add_(x.abs().sum() + n)
        return torch.complex(state[:1], state[:1]), n + 1

    x, n = torch.complex(torch.ones(2), torch.ones(2)), torch.tensor(3)
    step(x, n)
    before = Counts.launches
    z, m = step(x, n)
    assert Counts.launches - before == 1
    assert step.program.memory()["alias"] == 4 << 16
    assert m.item() == 4 and z.real.item() == pytest.approx(2 * (2 * 2**0.5 + 3))
    x[1] = complex(float("nan"), 0)
    with pytest.raises(NanError, match=r"args\[0\]"):
        step(x, n)[1].item()


def test_forward_whose_backward_runs_outside() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    forward = torch.jit(lambda x: (w * x).sum(), check_nan=True)
    forward(torch.tensor([3.0, 4.0])).backward()
    assert w.grad.tolist() == [3, 4]
    with pytest.raises(NanError, match="args"):
        forward(torch.tensor([3.0, float("nan")])).item()


def test_calls_are_not_waited_for() -> None:
    weight, total = torch.eye(300), torch.zeros(())

    @torch.jit(check_nan=True)
    def step(x: Any) -> Any:
        for _ in range(30):
            x = torch.tanh(x @ weight)
        total.add_(x.sum())
        return x.sum()

    good, bad = torch.zeros(256, 300), torch.full((256, 300), float("nan"))
    step(good).item()
    started = time.perf_counter()
    step(good).item()
    one = time.perf_counter() - started
    started = time.perf_counter()
    sums = [step(good) for _ in range(20)]
    assert time.perf_counter() - started < 10 * one
    assert sums[-1].item() == 0
    with pytest.raises(NanError, match=r"the input args\[0\] holds the first NaN"):
        sums = [step(bad), *(step(good) for _ in range(3))]
        sums[-1].item()  # of a later run
    assert total.item() == 0  # kept by the failing step, and added to by those behind it
    sums[1].item()  # once


TOLD = {"a later call": "[(time.sleep(0.05), step(torch.ones(2))) for _ in range(400)]", "synchronize": "torch.synchronize()",
        "the result": "y.tolist()", "the state": "total.tolist()", "a later result": "torch.jit(lambda x: x + 1)(y).tolist()",
        "pending code": "(y + 1).tolist()", "the state in pending code": "(total * 2).sum().item()"}


@pytest.mark.parametrize("when", TOLD)
def test_is_told_at(when: str) -> None:
    total, weight = torch.zeros(2), torch.eye(300)

    @torch.jit(check_nan=True)
    def step(x: Any) -> Any:
        slow = weight * x.sum()
        for _ in range(30):
            slow = torch.tanh(slow @ weight)
        total.add_(x.log())
        return x * slow[0, 0]

    step(torch.ones(2))
    line = line_of("total.add_(x." + "log")
    with pytest.raises(NanError, match=rf"log at .*test_reports\.py:{line} gave the first NaN; in step"):
        y = step(-torch.ones(2))  # waits for nothing
        exec(TOLD[when], {"torch": torch, "time": time, "step": step, "y": y, "total": total})
    assert total.tolist() == [0, 0]


def test_is_told_at_exit() -> None:
    code = "import flambeau as torch\ntorch.jit(lambda x: x.log(), check_nan=True)(torch.tensor([-1.0]))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert "NanError: log at <string>:2 gave the first NaN" in done.stderr


KEPT = {
    "a parameter": lambda x, i: (lambda s: s.add_(x.log().sum()), torch.zeros(3)),
    "an update of a slice": lambda x, i: (lambda s: s[1:].copy_(x[1:].log()), torch.zeros(3)),
    "a scatter": lambda x, i: (lambda s: s.index_add_(0, i, x.log()), torch.zeros(3)),
    "only written": lambda x, i: (lambda s: s.copy_(x.log()), torch.zeros(3)),
    "of another dtype": lambda x, i: (lambda s: s.add_(x.log().isnan().long() + 1), torch.zeros(3, dtype=torch.int64)),
    "a view": lambda x, i: (lambda s: s.view(3, 1).t().mul_(x.log()), torch.ones(3)),
}


@pytest.mark.parametrize("donate", [True, False])
@pytest.mark.parametrize("name", KEPT)
def test_state_is_kept_by_every_step_that_was_enqueued(name: str, donate: bool) -> None:
    start = KEPT[name](torch.ones(3), None)[1]
    state, given = start.clone(), start.clone()

    @torch.jit(check_nan=True, donate=donate)
    def step(x: Any, i: Any, given: Any) -> Any:
        KEPT[name](x, i)[0](state)
        KEPT[name](x, i)[0](given)
        return x.sum()

    index = torch.arange(3)
    step(torch.ones(3), index, given)
    torch.synchronize()
    before = state.tolist(), given.tolist()
    with pytest.raises(NanError, match=r"log at .*State was left as it was before that call"):
        for _ in range(4):
            last = step(-torch.ones(3), index, given)
        last.item()
    assert (state.tolist(), given.tolist()) == before and step.stats.state_on_failure == "kept"
    assert step.stats.compiles == 1


def test_lines_of_a_failing_step_are_printed(capsys: Any) -> None:
    @torch.jit(check_nan=True)
    def step(x: Any, i: Any) -> Any:
        torch.debug.print("x {}", x)
        return x[i].log()

    for bad, error in (((-torch.ones(1), torch.tensor([0])), NanError), ((torch.ones(1), torch.tensor([5])), IndexError)):
        with pytest.raises(error):
            step(*bad).tolist()
    assert capsys.readouterr().out.splitlines() == ["x tensor([-1.])", "x tensor([1.])"]


def test_state_that_the_step_creates() -> None:
    """A user's momentum: made before the first call, kept by a failing one."""
    w, state = torch.ones(2), {}

    @torch.jit(check_nan=True)
    def step(x: Any) -> None:
        g = x.log()
        if "m" not in state:
            state["m"] = torch.zeros_like(w)
        state["m"].mul_(0.9).add_(g)
        w.sub_(state["m"])

    step(torch.full((2,), 2.0))
    before = w.tolist(), state["m"].tolist()
    with pytest.raises(NanError, match="log at"):
        step(-torch.ones(2))
        torch.synchronize()
    assert (w.tolist(), state["m"].tolist()) == before
    step(torch.full((2,), 2.0))
    assert w.tolist() == pytest.approx([1 - 2.9 * np.log(2)] * 2) and step.stats.compiles == 1


def test_other_checks_come_first_where_both_fail() -> None:
    step = torch.jit(lambda x, i: x[i].log(), check_nan=True)
    with pytest.raises(IndexError, match="index 9 is out of bounds"):
        step(-torch.ones(3), torch.tensor([9])).tolist()
    with pytest.raises(NanError, match="log at"):
        step(-torch.ones(3), torch.tensor([1])).tolist()
    alone = torch.jit(lambda x, i: x[i].log(), check_nan=True, checks=False)
    with pytest.raises(NanError, match="log at"):
        alone(-torch.ones(3), torch.tensor([9])).tolist()
    assert torch.jit(lambda i: i + 1, check_nan=True)(torch.tensor(1)).item() == 2  # nothing that could be NaN
