"""Gradients as state of jitted functions: `.grad` that comes, goes, is replaced, accumulates, or belongs to an argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime.engine import Counts


def weight(*numbers: float) -> Any:
    return torch.tensor(numbers or (1.0, 1.0, 1.0)).requires_grad_()


def test_update_sees_the_gradient_of_each_backward_outside() -> None:
    w = weight()
    opt = torch.optim.SGD([w], lr=1.0)

    @torch.jit
    def update() -> None:
        opt.step()

    for k in (1.0, 2.0, 3.0):
        (w * k).sum().backward()
        update()
        opt.zero_grad()
    assert w.tolist() == [-5.0] * 3
    assert update.stats.compiles == 1


@pytest.mark.parametrize("set_to_none", [True, False])
def test_accumulation_over_calls_with_zero_grad_between(set_to_none: bool) -> None:
    w = weight()
    opt = torch.optim.SGD([w], lr=0.0)

    @torch.jit
    def accumulate(k: float) -> None:
        (w * k).sum().backward()

    sums = []
    for _ in range(3):
        for k in (1.0, 2.0, 3.0):
            accumulate(k)
        sums.append(w.grad.tolist())
        opt.zero_grad(set_to_none=set_to_none)
    assert sums == [[6.0] * 3] * 3
    assert accumulate.stats.compiles == 1  # to a .grad that is missing zeros are as good


def test_accumulation_and_update_in_two_jitted_functions() -> None:
    def run(wrap: Any) -> Any:
        w = weight(1.0, 2.0)
        opt = torch.optim.Adam([w], lr=0.1)
        accumulate = wrap(lambda x: ((w * x) ** 2).sum().backward())

        def update() -> None:
            opt.step()
            opt.zero_grad()

        update = wrap(update)
        for i in range(4):
            for j in range(3):
                accumulate(torch.tensor([1.0 + i, 2.0 - j]))
            update()
            assert w.grad is None
        return w.detach().numpy()

    np.testing.assert_allclose(run(torch.jit), run(lambda f: f), rtol=1e-6)


def test_gradient_kept_outside_is_its_own() -> None:
    w = weight()

    @torch.jit
    def step(k: float) -> None:
        w.grad = None
        (w * k).sum().backward()

    step(2.0)
    kept = w.grad
    step(3.0)
    assert kept.tolist() == [2.0] * 3
    assert w.grad.tolist() == [3.0] * 3
    assert w.grad is not kept


def test_gradient_of_an_argument_accumulates_and_is_reset() -> None:
    x = weight()
    step = torch.jit(lambda x: (x * 2).sum().backward())
    for _ in range(3):
        for n in (1, 2, 3):
            step(x)
            assert x.grad.tolist() == [2.0 * n] * 3
        x.grad = None
    assert step.stats.compiles == 2


def test_gradient_of_an_argument_read_inside() -> None:
    x = weight()
    step = torch.jit(lambda x: x.grad * 10)
    for k in (1.0, 2.0):
        x.grad = None
        (x * k).sum().backward()
        assert step(x).tolist() == [10 * k] * 3
    assert step.stats.compiles == 1


def test_argument_that_is_also_captured_by_an_optimizer() -> None:
    w = weight()
    opt = torch.optim.SGD([w], lr=1.0)

    @torch.jit
    def step(p: Any) -> None:
        (p * 2).sum().backward()
        assert w.grad is not None
        opt.step()
        opt.zero_grad()

    step(w)
    step(w)
    assert w.tolist() == [-3.0] * 3
    assert w.grad is None
    assert step.stats.compiles == 1


def test_gradient_that_is_a_view_is_used_as_it_is() -> None:
    flat = torch.zeros(4)
    w = weight(1.0, 1.0)
    w.grad = flat[1:3]

    @torch.jit
    def step() -> None:
        (w * 3).sum().backward()

    step()
    step()
    assert flat.tolist() == [0.0, 6.0, 6.0, 0.0]
    w.grad = None
    step()
    assert w.grad.tolist() == [3.0, 3.0]
    assert flat.tolist() == [0.0, 6.0, 6.0, 0.0]


def test_two_parameters_with_one_gradient_tensor() -> None:
    v, w = weight(1.0), weight(2.0)
    both = torch.tensor([5.0])
    v.grad = w.grad = both
    read = torch.jit(lambda: v.grad + 10 * w.grad)
    assert read().tolist() == [55.0]
    w.grad = torch.tensor([7.0])
    assert read().tolist() == [75.0]
    v.grad = torch.tensor([6.0])
    assert read().tolist() == [76.0]


def test_freezing_and_unfreezing_retraces_and_comes_back() -> None:
    v, w = weight(), weight(2.0, 2.0, 2.0)

    @torch.jit
    def step() -> None:
        (v * w).sum().backward()

    for frozen in (False, True, False, True):
        v.grad = w.grad = None
        w.requires_grad_(not frozen)
        step()
        assert v.grad.tolist() == [2.0] * 3
        assert (w.grad is None) is frozen
    assert step.stats.compiles == 2
    assert "requires_grad" in str(step.why())


def test_plain_tensor_that_becomes_a_leaf() -> None:
    v, w = weight(), torch.ones(3)
    step = torch.jit(lambda: (v * w).sum().backward())
    step()
    assert w.grad is None
    w.requires_grad_()
    step()
    assert w.grad.tolist() == [1.0] * 3


def test_backward_outside_of_a_jitted_forward() -> None:
    w, x = weight(1.0, 2.0), weight(3.0, 4.0)
    forward = torch.jit(lambda x: ((w * x) ** 2).sum())
    for _ in range(3):
        w.grad = x.grad = None
        loss = forward(x)
        assert loss.requires_grad
        assert loss.item() == 73.0
        loss.backward()
        assert w.grad.tolist() == [18.0, 64.0]
        assert x.grad.tolist() == [6.0, 32.0]
    assert forward.stats.compiles == 1


def test_backward_outside_runs_no_forward_again() -> None:
    w = weight()
    forward = torch.jit(lambda x: torch.tanh(w * x).exp().sum())
    forward(torch.ones(3)).backward()
    w.grad.numpy()
    w.grad = None
    loss = forward(torch.ones(3))
    before = Counts.launches, Counts.compiles
    loss.item()
    loss.backward()
    w.grad.numpy()
    assert (Counts.launches - before[0], Counts.compiles - before[1]) == (1, 0)


def test_second_backward_of_a_jitted_forward() -> None:
    w = weight()
    forward = torch.jit(lambda: (w * w).sum())
    loss = forward()
    loss.backward(retain_graph=True)
    loss.backward()
    assert w.grad.tolist() == [4.0] * 3
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_double_backward_through_a_jitted_forward() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    cube = torch.jit(lambda x: x ** 3)
    (first,) = torch.autograd.grad(cube(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert (first.item(), second.item()) == (12.0, 12.0)


def test_outputs_that_were_detached_inside_carry_no_gradient() -> None:
    w = weight()

    @torch.jit
    def forward() -> Any:
        y = w * 2
        return y.sum(), y.detach(), (y > 1), (w.detach() * 3)

    loss, plain, mask, other = forward()
    assert loss.requires_grad
    assert not plain.requires_grad
    assert not mask.requires_grad
    assert not other.requires_grad
    (loss + plain.sum() + other.sum()).backward()
    assert w.grad.tolist() == [2.0] * 3


def test_backward_through_batch_norm_in_a_jitted_forward() -> None:
    def run(wrap: Any) -> list[Any]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        opt = torch.optim.SGD(model.parameters(), lr=0.1)
        forward = wrap(lambda x: (model(x) ** 2).mean())
        rng = np.random.default_rng(0)
        losses = []
        for _ in range(4):
            loss = forward(torch.tensor(rng.standard_normal((8, 3)).astype(np.float32)))
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        if wrap is torch.jit:
            assert forward.stats.compiles == 1
        return [*losses, *(v.numpy() for v in model.state_dict().values())]

    for a, b in zip(run(torch.jit), run(lambda f: f), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_jitted_forward_chained_with_another() -> None:
    w, v = weight(2.0), weight(3.0)
    first, second = torch.jit(lambda x: x * w), torch.jit(lambda h: (h * v).sum())
    for _ in range(2):
        w.grad = v.grad = None
        second(first(torch.tensor([5.0]))).backward()
        assert (w.grad.tolist(), v.grad.tolist()) == ([15.0], [10.0])
    assert (first.stats.compiles, second.stats.compiles) == (1, 1)


def test_no_grad_around_and_inside() -> None:
    w = weight()
    forward = torch.jit(lambda: w * 2)
    assert forward().requires_grad
    with torch.no_grad():
        assert not forward().requires_grad
    assert forward().requires_grad
    assert forward.stats.compiles == 2
    inner = torch.jit(torch.no_grad()(lambda: w * 2))
    assert not inner().requires_grad
    assert "grad mode" in str(forward.why())


def test_leaf_in_place_inside_is_refused_and_nothing_changes() -> None:
    w = weight()
    step = torch.jit(lambda: w.add_(1))
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        step()
    assert w.tolist() == [1.0] * 3


def test_func_grad_inside_jit_and_jit_inside_func_grad() -> None:
    square = torch.jit(lambda x: (x ** 2).sum())
    x = torch.tensor([1.0, 2.0])
    assert torch.jit(torch.func.grad(lambda x: (x ** 2).sum()))(x).tolist() == [2.0, 4.0]
    assert torch.func.grad(square)(x).tolist() == [2.0, 4.0]
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.jit(torch.vmap(torch.func.grad(lambda x: (x ** 2).sum())))(rows).tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert torch.vmap(square)(rows).tolist() == [5.0, 25.0]


@pytest.mark.parametrize("what", ["written", "on the memory of another", "written twice", "an argument"])
def test_a_backward_outside_reaches_a_leaf_whose_value_the_step_computes(what: str) -> None:
    p = weight(1.0, 2.0)
    if what == "on the memory of another":
        p = torch.nn.Parameter(p.detach())

    def step(x: Any, p: Any) -> Any:
        found = (p * p * x).sum() if what == "written twice" else 0.0
        with torch.no_grad():
            if what != "on the memory of another":
                p.mul_(0.5)
        return (p * p * x).sum() + found

    jitted = torch.jit(step) if what == "an argument" else torch.jit(lambda x: step(x, p))
    for _ in range(3):
        before, p.grad = p.detach().clone(), None
        (jitted(torch.ones(2), p) if what == "an argument" else jitted(torch.ones(2))).backward()
        more = 2 * before if what == "written twice" else 0
        assert p.grad is not None and p.grad.tolist() == (2 * p.detach() + more).tolist()
    assert jitted.stats.compiles == 1


def test_a_result_that_hangs_on_a_leaf_made_inside() -> None:
    for step in (lambda a: a.detach().requires_grad_() * 2, lambda a: (a.detach().requires_grad_() * a).sum()):
        x = weight(1.0, 2.0)
        for _ in range(2):
            found = torch.jit(step)(x)
            assert found.requires_grad
            found.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 4.0]
