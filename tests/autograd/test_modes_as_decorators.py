"""Grad modes on functions, generator functions, async functions and classes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..three_ways import check_alike

oracle = pytest.importorskip("torch")
MODES: dict[str, Callable[[Any], Any]] = {
    "no_grad": lambda torch: torch.no_grad(), "no_grad, bare": lambda torch: torch.no_grad,
    "enable_grad": lambda torch: torch.enable_grad(), "enable_grad, bare": lambda torch: torch.enable_grad,
    "inference_mode": lambda torch: torch.inference_mode(), "inference_mode, bare": lambda torch: torch.inference_mode,
    "inference_mode(False)": lambda torch: torch.inference_mode(False),
    "set_grad_enabled(False)": lambda torch: torch.set_grad_enabled(False)}


def each_resumption(torch: Any, mode: Any) -> Any:
    """What a generator sees of the mode wherever it runs, and who resumes it."""
    seen: list[Any] = []

    def generator() -> Any:
        try:
            seen.append(((yield torch.is_grad_enabled()), torch.is_grad_enabled()))
            try:
                yield torch.is_grad_enabled()
            except KeyError:
                seen.append(("caught", torch.is_grad_enabled()))
                yield 5
        finally:
            seen.append(("left", torch.is_grad_enabled()))
        return 3

    wrapped = mode(torch)(generator)

    def outer() -> Iterator[Any]:
        seen.append((yield from wrapped()))

    running: Any = outer()
    seen.extend((next(running), torch.is_grad_enabled(), running.send(4), running.throw(KeyError()), list(running)))
    closed = wrapped()
    seen.append(next(closed))
    closed.close()
    return [*seen, torch.is_grad_enabled(), list(wrapped())]


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("outside", [True, False])
def test_a_generator_is_in_its_mode_whenever_it_runs(name: str, outside: bool) -> None:
    def scenario(torch: Any, jit: Any) -> Any:
        with torch.set_grad_enabled(outside):
            return each_resumption(torch, MODES[name])

    check_alike(scenario, oracle)


def test_gradients_through_a_generator_in_a_step() -> None:
    def scenario(torch: Any, jit: Any) -> Any:
        x = torch.ones(2, requires_grad=True)

        def multiples(x: Any) -> Any:
            for i in range(3):
                yield x * i

        still = torch.no_grad()(multiples)

        def step(x: Any) -> Any:
            return torch.autograd.grad(sum(y * x for y in still(x)).sum(), x)

        jitted = jit(step)
        return [jitted(x) for _ in range(2)]

    check_alike(scenario, oracle)


@pytest.mark.parametrize("name", MODES)
def test_a_class_warns_and_makes_instances_in_the_mode(name: str) -> None:
    def scenario(torch: Any, jit: Any) -> Any:
        class Model:
            def __init__(self) -> None:
                self.seen = torch.is_grad_enabled()

        with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):
            made = MODES[name](torch)(Model)()
        return made.seen, type(made) is Model

    check_alike(scenario, oracle)


def test_an_async_function_is_as_in_torch() -> None:
    def scenario(torch: Any, jit: Any) -> Any:
        async def asked() -> Any:
            return torch.is_grad_enabled()

        return asyncio.run(torch.no_grad()(asked)())

    check_alike(scenario, oracle)
