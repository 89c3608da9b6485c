"""Poisson and binomial numbers: their distributions, edges, streams and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import flambeau as torch

COUNT = 40000


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(77)


def agrees(drawn: Any, expected: Any) -> bool:
    """A chi-square test over at most 30 cells; false for one seed in ten thousand."""
    low, high = (int(q) for q in expected.ppf([1e-3, 1 - 1e-3]))
    edges = np.unique(np.linspace(low, high, min(high - low + 1, 30)).astype(int))
    chances = np.diff(np.concatenate([[0], expected.cdf(edges), [1]]))
    counts = np.histogram(drawn, np.concatenate([[-np.inf], edges + 0.5, [np.inf]]))[0]
    return bool(stats.chisquare(counts + 0.5, chances * len(drawn) + 0.5).pvalue > 1e-4)


@pytest.mark.parametrize("rate", [0.1, 3.0, 9.99, 10.0, 40.0, 1e4, 1e7])
def test_poisson_numbers_have_the_distribution(rate: float) -> None:
    drawn = torch.poisson(torch.full((COUNT,), rate, dtype=torch.float64)).numpy()
    assert agrees(drawn, stats.poisson(rate))


@pytest.mark.parametrize("count, prob", [(5, 0.5), (100, 0.05), (20, 0.97), (25, 0.5), (1000, 0.9), (10**6, 0.3),
                                         (10**9, 1e-9)])
def test_binomial_numbers_have_the_distribution(count: int, prob: float) -> None:
    trials = torch.full((COUNT,), float(count), dtype=torch.float64)
    drawn = torch.binomial(trials, torch.full((1,), prob, dtype=torch.float64)).numpy()
    assert agrees(drawn, stats.binom(count, prob))


def test_another_distribution_would_be_noticed() -> None:
    drawn = torch.poisson(torch.full((COUNT,), 10.3, dtype=torch.float64)).numpy()
    assert not agrees(drawn, stats.poisson(10.0))


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_dtypes_are_kept(kind: Any) -> None:
    drawn = torch.poisson(torch.full((COUNT,), 4.0, dtype=kind))
    assert drawn.dtype is kind and agrees(drawn.double().numpy(), stats.poisson(4))
    drawn = torch.binomial(torch.full((COUNT,), 8.0, dtype=kind), torch.full((COUNT,), 0.25, dtype=kind))
    assert drawn.dtype is kind and agrees(drawn.double().numpy(), stats.binom(8, 0.25))


def test_small_and_large_rates_in_one_tensor() -> None:
    rates = torch.tensor([0.5, 200.0, 0.0]).repeat(20000, 1)
    drawn = torch.poisson(rates).numpy()
    assert agrees(drawn[:, 0], stats.poisson(0.5)) and agrees(drawn[:, 1], stats.poisson(200))
    assert (drawn[:, 2] == 0).all()


def test_edges() -> None:
    nan, inf = math.nan, math.inf
    with pytest.raises(RuntimeError, match="invalid Poisson rate, expected rate to be non-negative"):
        torch.poisson(torch.tensor([0.0, -1.0]))
    assert torch.poisson(torch.tensor([0.0, inf])).tolist() == [0, inf]
    assert torch.poisson(torch.tensor(1e300, dtype=torch.float64)).item() == pytest.approx(1e300)
    drawn = torch.binomial(torch.tensor([0.0, -1.0, 3.0, 3.0, nan, 10.0]), torch.tensor([0.5, 0.5, 1.5, -1.0, 0.5, nan]))
    np.testing.assert_array_equal(drawn.numpy(), [0, 0, 3, 0, nan, nan])
    assert torch.poisson(torch.zeros(0, 2)).shape == (0, 2)
    assert torch.binomial(torch.full((2, 1), 5.0), torch.full((3,), 0.5)).shape == (2, 3)


def test_streams_repeat_jitted_and_lazily_and_compile_once() -> None:
    @torch.jit
    def draw(rate: Any) -> Any:
        return torch.poisson(rate), torch.binomial(rate, rate / 200)

    rate = torch.tensor([1.0, 5.0, 50.0])
    jitted = [[t.tolist() for t in draw(rate)] for _ in range(3)]
    assert draw.stats.compiles == 1 and jitted[0] != jitted[1]
    torch.manual_seed(77)
    assert jitted == [[torch.poisson(rate).tolist(), torch.binomial(rate, rate / 200).tolist()] for _ in range(3)]


def test_a_generator_moves_as_far_whatever_the_values() -> None:
    moved = []
    for rate in (0.0, 1000.0):
        g = torch.Generator().manual_seed(1)
        torch.poisson(torch.full((5,), rate), generator=g)
        moved.append(g.get_state().view(torch.uint64).tolist())
    assert moved[0] == moved[1]


def test_vmap_draws_for_each_example() -> None:
    drawn = torch.vmap(torch.poisson, randomness="different")(torch.tensor([0.0, 4.0, 1e6]))
    assert drawn[0] == 0 and drawn[2] > 9e5
    many = torch.vmap(torch.poisson, randomness="different")(torch.full((1000,), 9.0))
    assert abs(many.mean().item() - 9) < 0.5 and abs(many.var().item() - 9) < 2
    assert len(set(torch.vmap(torch.poisson, randomness="same")(torch.full((9,), 1e6)).tolist())) == 1
    assert torch.rand(2).shape == (2,)  # the generator is still of use


def test_the_gradient_is_zero() -> None:
    rate = torch.ones(2, requires_grad=True)
    torch.poisson(rate).sum().backward()
    assert rate.grad is not None and rate.grad.tolist() == [0, 0]


@pytest.mark.parametrize("call, error, message", [
    (lambda: torch.poisson(torch.ones(2, dtype=torch.int64)), NotImplementedError, "not implemented for 'Long'"),
    (lambda: torch.binomial(torch.ones(2, dtype=torch.int64), torch.ones(2)), ValueError, "for count, got: Long"),
    (lambda: torch.binomial(torch.ones(2), torch.ones(2, dtype=torch.int32)), ValueError, "for prob, got: Int"),
    (lambda: torch.binomial(torch.ones(2).double(), torch.ones(2)), RuntimeError, "dtype Float but expected Double"),
    (lambda: torch.binomial(torch.ones(2), torch.ones(3)), RuntimeError, "must match the size"),
    (lambda: torch.poisson(torch.ones(2), generator=3), TypeError, "must be a Generator, not int"),
])
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
