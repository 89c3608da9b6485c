"""Hooks where torch is no oracle: in compiled steps, which they become part of, and through transforms."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch


def leaf(*numbers: float) -> Any:
    return torch.tensor(numbers, requires_grad=True)


def training(w: Any) -> Any:
    """A step that gives the gradient of sum(w * w)."""
    @torch.jit
    def step() -> Any:
        (w * w).sum().backward()
        gradient = w.grad
        w.grad = None
        return gradient

    return step


def test_adding_a_hook_of_a_leaf_retraces_and_removing_it_goes_back() -> None:
    w = leaf(1.0, 2.0)
    step = training(w)
    assert step().tolist() == [2, 4]
    handle = w.register_hook(lambda g: g * 10)
    assert step().tolist() == [20, 40]
    assert step().tolist() == [20, 40]
    handle.remove()
    assert step().tolist() == [2, 4]
    assert "hooks of a tensor" in str(step.why())
    other = leaf(5.0)
    other.register_hook(print)
    assert step().tolist() == [2, 4]
    assert step.stats.compiles == 2  # somebody else's hook changes nothing, and without hooks it is as it was at first


def test_an_argument_with_a_hook_has_a_program_of_its_own() -> None:
    @torch.jit
    def gradient(x: Any) -> Any:
        (x * x).sum().backward()
        return x.grad

    plain, hooked = leaf(1.0, 2.0), leaf(1.0, 2.0)
    hooked.register_hook(lambda g: -g)
    assert gradient(plain).tolist() == [2, 4]
    assert gradient(hooked).tolist() == [-2, -4]


def test_hooks_of_values_inside_a_step() -> None:
    seen: list[str] = []

    @torch.jit
    def step(x: Any) -> Any:
        y = x * 2
        y.retain_grad()
        y.register_hook(lambda g: (seen.append("traced"), g.clamp(max=3.0))[1])
        (y * y).sum().backward()
        return x.grad, y.grad

    for _ in range(2):
        dx, dy = step(leaf(0.5, 10.0))
        assert (dx.tolist(), dy.tolist()) == ([4, 6], [2, 3])
    assert seen == ["traced"] * 2 and step.stats.compiles == 1


def test_hooks_inside_a_jitted_forward_run_in_a_backward_outside() -> None:
    def forward(x: Any, factor: float) -> Any:
        y = x * 2
        y.register_hook(lambda g: g * factor)
        return (y * y).sum()

    first, second = torch.jit(lambda x: forward(x, 10.0)), torch.jit(lambda x: forward(x, 100.0))
    for step, factor in ((first, 10.0), (second, 100.0), (first, 10.0)):
        x = leaf(1.0)
        step(x).backward()
        assert x.grad.item() == 8 * factor


def test_hooks_of_a_leaf_that_a_jitted_forward_used() -> None:
    w, filled = leaf(1.0, 2.0), []
    w.register_hook(lambda g: g * 3)
    w.register_post_accumulate_grad_hook(lambda p: filled.append(p.grad.tolist()))
    torch.jit(lambda x: (w * x).sum())(torch.ones(2)).backward()
    assert filled == [w.grad.tolist()] == [[3, 3]]


def test_hooks_of_a_module_in_a_jitted_step() -> None:
    model = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Identity())

    @torch.jit
    def step(x: Any) -> Any:
        (model(x * 1)).sum().backward()
        return x.grad

    handles = []
    for factor in (1, 5, 25):
        assert step(leaf(0.0)).item() == pytest.approx(factor)
        handles.append(model[1].register_full_backward_hook(lambda m, i, o: (i[0] * 5,)))
    for handle in handles:
        handle.remove()
    assert step(leaf(0.0)).item() == 1
    forward = torch.jit(lambda x: model(x * 1).sum())
    model[0].register_full_backward_pre_hook(lambda m, o: (o[0] * 7,))
    x = leaf(0.0)
    forward(x).backward()
    assert x.grad.item() == 7


def test_post_accumulate_hooks_make_the_update_part_of_the_backward() -> None:
    w = leaf(1.0, 2.0)

    def update(p: Any) -> None:
        p.sub_(p.grad * 0.25)
        p.grad = None

    w.register_post_accumulate_grad_hook(update)

    @torch.jit
    def step() -> Any:
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert [step().item() for _ in range(3)] == [5.0, 1.25, 0.3125]
    assert w.grad is None
    assert step.stats.compiles == 1


def test_under_vmap_and_func_grad_hooks_see_each_example() -> None:
    shapes: list[Any] = []

    def f(x: Any) -> Any:
        y = x * 2
        y.register_hook(lambda g: (shapes.append(tuple(g.shape)), g * 3)[1])
        return (y * y).sum()

    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.vmap(torch.func.grad(f))(x).tolist() == (x * 24).tolist()
    assert torch.func.grad(lambda x: torch.vmap(f)(x).sum())(x).tolist() == (x * 24).tolist()
    assert set(shapes) == {(2,)}


def test_a_hook_on_a_tensor_computed_outside_a_trace_is_refused_inside() -> None:
    def step(y: Any) -> Any:
        y.register_hook(print)
        return y.sum()

    with pytest.raises(RuntimeError, match="register it there"):
        torch.jit(step)(leaf(1.0) * 2)
