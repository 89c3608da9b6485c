"""Tensors that functions under `lru_cache` and `cache` come to remember in a step are tensors like any other."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.tensor([1.0, 2.0, 3.0])
CACHES = {"bounded": functools.lru_cache, "small": functools.lru_cache(maxsize=2), "unbounded": functools.cache,
          "typed": functools.lru_cache(maxsize=None, typed=True)}


def _range(n: int) -> Any:
    return torch.arange(n) * 1.5


def _of_data(n: int) -> Any:
    return torch.tensor([0.5] * n)


def _pair(n: int) -> Any:
    return torch.ones(n).cos(), {"sin": [torch.ones(n).sin()], "n": n}


def _random(n: int) -> Any:
    return torch.rand(n)


def _view(n: int) -> Any:
    return torch.ones(2, n).T[:, 0]


def _number(n: int) -> Any:
    return n * 2


W = torch.tensor([2.0, 2.0, 2.0])


def _of_state(n: int) -> Any:
    return W[:n] * 3


MADE: dict[str, tuple[Callable[[int], Any], int]] = {f.__name__.strip("_"): (f, most) for f, most in (
    (_range, 1), (_of_data, 1), (_pair, 1), (_random, 2), (_view, 2), (_number, 1), (_of_state, 2))}


def total(x: Any) -> Any:
    """All that a result holds, added up."""
    if isinstance(x, dict):
        x = list(x.values())
    return sum(map(total, x)) if isinstance(x, (list, tuple)) else x


@pytest.mark.parametrize("how", CACHES)
@pytest.mark.parametrize("name", MADE)
def test_what_a_step_gives_a_cache_is_there_afterwards(name: str, how: str) -> None:
    make, most = MADE[name]
    cached, other = CACHES[how](make), CACHES[how](make)
    old = cached(2), other(2)
    torch.manual_seed(3)
    step = torch.jit(lambda x: x + total(cached(3)))
    got = [step(X).tolist() for _ in range(4)]
    torch.manual_seed(3)
    assert got == [(X + total(other(3))).tolist() for _ in range(4)]
    assert cached(2) is old[0] and step.stats.compiles <= most
    assert (X + total(cached(3))).tolist() == got[0] and cached.cache_info().currsize == 2
    assert torch.jit(lambda x: x + total(cached(3)))(X).tolist() == got[0]
    assert (X * total(cached(3))).sum().item() == (X * total(other(3))).sum().item()


def test_state_that_a_cached_tensor_was_made_of_may_change() -> None:
    weight = torch.ones(3)
    cached, other = functools.lru_cache(lambda n: weight * n), functools.lru_cache(lambda n: weight * n)
    step = torch.jit(lambda x: x + cached(2))
    for _ in range(3):
        assert step(X).tolist() == (X + other(2)).tolist()
        weight += 1
    cached.cache_clear()
    other.cache_clear()
    assert step(X).tolist() == (X + other(2)).tolist()


@pytest.mark.parametrize("how", CACHES)
def test_after_cache_clear_and_what_is_changed_in_the_cache(how: str) -> None:
    cached = CACHES[how](_range)
    step = torch.jit(lambda x: x + cached(3))
    assert step(X).tolist() == [1.0, 3.5, 6.0]
    cached(3).add_(1)
    assert step(X).tolist() == [2.0, 4.5, 7.0] and step.stats.compiles == 1
    step.cache_clear()
    assert step(X).tolist() == [2.0, 4.5, 7.0]
    cached.cache_clear()
    assert step(X).tolist() == [1.0, 3.5, 6.0] and cached(3).tolist() == [0.0, 1.5, 3.0]
    assert step(X).tolist() == [1.0, 3.5, 6.0]


@pytest.mark.parametrize("name", ["range", "of_state"])
def test_a_thousand_calls_leave_no_growth_and_no_guard_keeps_a_result(name: str) -> None:
    cached = functools.lru_cache(MADE[name][0])
    step = torch.jit(lambda x: x + cached(3))
    for _ in range(5):
        step(X)
    gc.collect()
    count = sum(type(x) is torch.Tensor for x in gc.get_objects())
    for _ in range(1000):
        step(X)
    gc.collect()
    assert sum(type(x) is torch.Tensor for x in gc.get_objects()) <= count + 5
    gone = weakref.ref(cached(3))
    cached.cache_clear()
    gc.collect()
    assert gone() is None


def test_a_cached_method_and_a_cached_property() -> None:
    class Model(nn.Module):
        @functools.lru_cache  # noqa: B019
        def table(self, n: int) -> Any:
            return torch.arange(n) * 2.0

        @functools.cached_property
        def mask(self) -> Any:
            return torch.ones(3).tril() if False else torch.ones(3)

        def forward(self, x: Any) -> Any:
            return x + self.table(x.shape[0]) * self.mask

    model, other = Model(), Model()
    step = torch.jit(model)
    for n in (3, 3, 3):
        assert step(X[:n]).tolist() == other(X[:n]).tolist()
    assert model.table(3).tolist() == [0, 2, 4] and model.mask.tolist() == [1, 1, 1]


def test_a_failing_step_leaves_older_results_alone() -> None:
    cached, fail = functools.lru_cache(_random), [True]
    old = cached(2)

    @torch.jit
    def step(x: Any) -> Any:
        y = x + cached(3)
        if fail[0]:
            raise ValueError("half way")
        return y

    with pytest.raises(ValueError, match="half way"):
        step(X)
    assert cached(2) is old and cached.cache_info().currsize == 1
    fail[0] = False
    assert step(X).tolist() == (X + cached(3)).tolist()


def test_a_number_argument_and_a_tensor_as_keys() -> None:
    cached = functools.lru_cache(lambda k: torch.arange(3) * k)
    step = torch.jit(lambda x, k: x + cached(k))
    for k in (2, 3, 2):
        assert step(X, k).tolist() == (X + torch.arange(3) * k).tolist()
    assert cached(2).tolist() == [0, 2, 4]
    doubled = functools.lru_cache(lambda t: t * 2)
    twice = torch.jit(lambda x: doubled(x) + doubled(x))
    assert twice(X).tolist() == [4, 8, 12] and twice(X + 1).tolist() == [8, 12, 16]
    assert doubled(X).tolist() == [2, 4, 6]


def test_trace_and_lowered_leave_no_dead_results() -> None:
    for make in (_range, _random):
        cached = functools.lru_cache(make)
        step = torch.jit(lambda x, cached=cached: x + cached(3))
        step.trace(X)
        assert cached(3).sum().item() >= 0


def test_other_results_come_and_go_without_a_trace() -> None:
    cached = functools.lru_cache(maxsize=4)(_range)
    step = torch.jit(lambda x: x + cached(3))
    step(X)
    for n in (1, 2, 4):
        cached(n)
        assert step(X).tolist() == [1.0, 3.5, 6.0]
    assert step.stats.compiles == 1
    cached(5)
    cached(6)  # the step's own is dropped now or was used last
    assert step(X).tolist() == [1.0, 3.5, 6.0]


@pytest.mark.parametrize("remembers", [functools.cache, functools.lru_cache(maxsize=4), lambda f: f],
                         ids=["cache", "lru_cache", "none"])
def test_a_counter_beside_a_function_that_remembers_is_an_input(remembers: Any) -> None:
    """It knows nothing of the counter, which another branch moves on."""

    @remembers
    def scale(n: int) -> float:
        return n / 2

    count = SimpleNamespace(n=0)

    @torch.jit
    def step(x: Any, train: bool) -> Any:
        if train:
            count.n += 1
        return x * scale(4)

    for i in range(16):
        assert step(torch.ones(2), i // 2 % 2 == 0).tolist() == [2.0, 2.0]
    assert count.n == 8 and step.stats.compiles == 2


@pytest.mark.parametrize("read", ["attribute", "key", "variable", "another function"])
def test_a_counter_that_such_a_function_reads_is_compared(read: str) -> None:
    count, table, held = SimpleNamespace(n=0), {"n": 0}, 0

    def told() -> int:
        return count.n

    @functools.cache
    def scale() -> int:
        reads = {"attribute": lambda: count.n, "key": lambda: table["n"], "variable": lambda: held, "another function": told}
        return reads[read]()

    step = torch.jit(lambda x: x * scale())
    for i in range(6):
        count.n = table["n"] = held = i
        scale.cache_clear()
        scale()
        assert step(torch.ones(2)).tolist() == [float(i)] * 2
