"""Every operation whose errors depend on values, in every place where it can stand, with torch's type and text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as flame

from ..engines import on_numpy
from .cases import CASES, RANDOM, Case

every = pytest.mark.parametrize("case", CASES, ids=str)


def tensors(arrays: Any) -> list[Any]:
    return [flame.tensor(a) for a in arrays]


def computed(x: Any) -> Any:
    """The same numbers, which only a program can know."""
    if not x.is_floating_point():
        return x.double().div(100).exp().log().mul(100).round().to(x.dtype)
    return flame.where(x.isnan(), x, x.exp().log().round(decimals=1))


def eager(case: Case, arrays: Any) -> None:
    case.call(flame, *tensors(arrays))  # raised at the call: nothing looks at the result


def pending(case: Case, arrays: Any) -> None:
    seen(case.call(flame, *map(computed, tensors(arrays))))


def jitted(case: Case, arrays: Any) -> None:
    seen(flame.jit(lambda *xs: case.call(flame, *xs))(*tensors(arrays)))


def in_scan(case: Case, arrays: Any) -> None:
    def steps(*xs: Any) -> Any:
        stacked = [flame.stack([flame.tensor(g), x]) for g, x in zip(case.good, xs)]
        return flame.scan(lambda c, x: (c + 1, case.call(flame, *x)), flame.tensor(0), stacked)[1]

    seen(flame.jit(steps)(*tensors(arrays)))


def in_vmap(case: Case, arrays: Any) -> None:
    stacked = [flame.stack([flame.tensor(g), x]) for g, x in zip(case.good, tensors(arrays))]
    mapped = flame.vmap(lambda *xs: case.call(flame, *xs), randomness="different" if case.name.startswith(RANDOM) else "error")
    seen(flame.jit(mapped)(*stacked))


def branch(case: Case, arrays: Any, taken: bool) -> None:
    def choose(yes: Any, *xs: Any) -> Any:
        def right(*xs: Any) -> Any:
            return case.call(flame, *map(flame.tensor, case.good))

        return flame.cond(yes, lambda *xs: case.call(flame, *xs), right, xs)

    seen(flame.jit(choose)(flame.tensor(taken), *tensors(arrays)))


def seen(x: Any) -> None:
    x.numpy()


CONTEXTS: dict[str, Callable[[Case, Any], None]] = {
    "eager": eager, "pending": pending, "jit": jitted, "scan": in_scan, "vmap": in_vmap,
    "branch taken": lambda case, arrays: branch(case, arrays, True)}


def same_shapes(case: Case) -> Case:
    """Good and bad arrays that can be stacked."""
    if [np.shape(a) for a in case.good] == [np.shape(a) for a in case.bad]:
        return case
    return Case(case.name, case.call, [np.ones_like(a) for a in case.bad], case.bad, case.error, case.text)


@every
@pytest.mark.parametrize("context", CONTEXTS)
def test_what_is_wrong_is_raised(context: str, case: Case) -> None:
    case = same_shapes(case)
    with on_numpy():
        with pytest.raises(case.error) as raised:
            CONTEXTS[context](case, case.bad)
        assert type(raised.value) is case.error
        assert str(raised.value).startswith(case.text)
        flame.synchronize()  # once


@every
@pytest.mark.parametrize("context", CONTEXTS)
def test_what_is_right_is_not(context: str, case: Case) -> None:
    case = same_shapes(case)
    with on_numpy():
        CONTEXTS[context](case, case.good)
        flame.synchronize()


@every
def test_a_branch_that_is_not_taken_raises_nothing(case: Case) -> None:
    case = same_shapes(case)
    with on_numpy():
        branch(case, case.bad, False)
        flame.synchronize()


@every
def test_in_a_compiled_step(case: Case) -> None:
    case = same_shapes(case)
    step = flame.jit(lambda *xs: case.call(flame, *xs))
    with pytest.raises(case.error) as raised:
        seen(step(*tensors(case.bad)))
    assert str(raised.value).startswith(case.text)
    assert "test_sweep.py" in str(raised.value) or "cases.py" in str(raised.value)
    seen(step(*tensors(case.good)))
    assert step.stats.compiles == 1


@every
def test_torch_says_the_same(case: Case) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(case.error) as raised:
        case.call(torch, *[torch.tensor(np.asarray(a)) for a in case.bad])
    assert type(raised.value) is case.error
    assert str(raised.value).startswith(case.text)
    case.call(torch, *[torch.tensor(np.asarray(a)) for a in case.good])


def test_the_sweep_is_wide() -> None:
    print(f"{len(CASES)} operations in {len(CONTEXTS) + 2} places")
    assert len(CASES) >= 60
