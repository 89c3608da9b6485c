"""`autograd.Function.apply` with one tensor in several places: the gradients of all of them are summed."""

from __future__ import annotations

from typing import Any

import pytest

from ..three_ways import check_alike

oracle = pytest.importorskip("torch")


def weighted(torch: Any) -> Any:
    class Weighted(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            a, b = ctx.saved_tensors
            return g * 2 * a, g * 5 * b

    return Weighted


def written(torch: Any) -> Any:
    class Written(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            a.mul_(b)
            ctx.mark_dirty(a)
            return a

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2, g * 5

    return Written


def leaf(torch: Any, jit: Any) -> Any:
    function, x = weighted(torch), torch.ones(2, requires_grad=True)

    def step() -> Any:
        x.grad = None
        function.apply(x, x).sum().backward()
        return x.grad.clone()

    jitted = jit(step)
    return [jitted() for _ in range(3)]


def computed(torch: Any, jit: Any) -> Any:
    function, x = weighted(torch), torch.full((2,), 3.0, requires_grad=True)

    def step() -> Any:
        y = x * 3
        return torch.autograd.grad(function.apply(y, y).sum(), [x, y])

    jitted = jit(step)
    return [jitted() for _ in range(2)]


def beside_one_written(torch: Any, jit: Any) -> Any:
    function, x, w = written(torch), torch.ones(2, requires_grad=True), torch.full((2,), 3.0, requires_grad=True)

    def step() -> Any:
        return torch.autograd.grad(function.apply(x * 3, w).sum(), [x, w])

    jitted = jit(step)
    return [jitted() for _ in range(2)]


@pytest.mark.parametrize("scenario", [leaf, computed, beside_one_written])
def test_gradients_are_summed(scenario: Any) -> None:
    check_alike(scenario, oracle)
