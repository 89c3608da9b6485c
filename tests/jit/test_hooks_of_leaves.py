"""What hooks of leaves and of all modules read and write, they read and write at each call."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

pytestmark = pytest.mark.usefixtures("numpy_engine")
X = torch.ones(1)
Counter = tuple[Callable[[], int], Callable[[], int]]  # counts, and says how far


def in_a_dict() -> Counter:
    table = {"n": 0}

    def count() -> int:
        table["n"] += 1
        return table["n"]

    return count, lambda: table["n"]


def in_a_list() -> Counter:
    items: list[int] = []

    def count() -> int:
        items.append(1)
        return len(items)

    return count, lambda: len(items)


def in_an_attribute() -> Counter:
    thing = types.SimpleNamespace(n=0)

    def count() -> int:
        thing.n += 1
        return int(thing.n)

    return count, lambda: int(thing.n)


def in_a_closure() -> Counter:
    n = 0

    def count() -> int:
        nonlocal n
        n += 1
        return n

    return count, lambda: n


def as_function(p: Any, count: Callable[[], int]) -> None:
    p.register_hook(lambda g: g * count())


def as_method(p: Any, count: Callable[[], int]) -> None:
    class Hook:
        def scaled(self, g: Any) -> Any:
            return g * count()

    p.register_hook(Hook().scaled)


def as_object(p: Any, count: Callable[[], int]) -> None:
    class Hook:
        def __call__(self, g: Any) -> Any:
            return g * count()

    p.register_hook(Hook())


def after_it(p: Any, count: Callable[[], int]) -> None:
    def scale(q: Any) -> None:
        q.grad = q.grad * count()

    p.register_post_accumulate_grad_hook(scale)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("register", [as_function, as_method, as_object, after_it])
@pytest.mark.parametrize("make", [in_a_dict, in_a_list, in_an_attribute, in_a_closure])
def test_hooks_count(make: Callable[[], Counter], register: Callable[[Any, Callable[[], int]], None], given: bool) -> None:
    count, counted = make()
    p = nn.Parameter(torch.ones(1))
    register(p, count)

    def gradient(p: Any, x: Any) -> Any:
        p.grad = None
        (p * x).sum().backward()
        return p.grad * 1

    step = torch.jit(gradient if given else lambda x: gradient(p, x))
    assert [step(*((p, X) if given else (X,))).item() for _ in range(4)] == [1, 2, 3, 4] and counted() == 4
    assert step.stats.compiles <= 2 or make is in_a_list


def test_a_program_without_a_backward_does_not_depend_on_hooks() -> None:
    layer, (count, counted) = nn.Linear(1, 1), in_a_dict()
    layer.weight.register_hook(lambda g: g * count())

    def gradient(x: Any) -> Any:
        layer.zero_grad()
        layer(x).sum().backward()
        assert layer.weight.grad is not None
        return layer.weight.grad * 1

    look, train = torch.jit(lambda x: layer(x)), torch.jit(gradient)
    for i in range(3):
        look(X)
        assert train(X).item() == i + 1 == counted()
    assert look.stats.compiles == train.stats.compiles == 1


def test_an_optimizer_in_a_hook() -> None:
    def run(wrap: Any) -> tuple[list[float], int]:
        layer, steps = nn.Linear(1, 1), []
        with torch.no_grad():
            for p in layer.parameters():
                p.fill_(1.0)
        optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in layer.parameters()}

        def update(p: Any) -> None:
            optimizers[p].step()
            optimizers[p].zero_grad()
            steps.append(1)

        for p in layer.parameters():
            p.register_post_accumulate_grad_hook(update)

        def loss_of(x: Any) -> Any:
            loss = layer(x).sum()
            loss.backward()
            return loss

        step = wrap(loss_of)
        return [step(X).item() for _ in range(3)], len(steps)

    assert run(torch.jit) == run(lambda f: f)


def test_a_hook_takes_itself_off() -> None:
    p, seen = nn.Parameter(torch.ones(1)), []

    def hook(g: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            handle.remove()
        return g * 10

    handle = p.register_hook(hook)

    def gradient(x: Any) -> Any:
        p.grad = None
        (p * x).sum().backward()
        return p.grad * 1  # type: ignore[operator]

    step = torch.jit(gradient)
    assert [step(X).item() for _ in range(4)] == [10, 10, 1, 1] and len(seen) == 2


@pytest.mark.parametrize("inside", [False, True])
def test_hooks_of_all_modules(inside: bool) -> None:
    count, counted = in_a_dict()
    layer = nn.Identity()
    step = torch.jit(lambda x: (nn.Identity() if inside else layer)(x))
    assert step(X).item() == 1
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, out: out * count())
    try:
        assert [step(X).item() for _ in range(3)] == [1, 2, 3] and counted() == 3
    finally:
        handle.remove()
    assert step(X).item() == 1 and counted() == 3
