"""Every sampler in every dtype against the distribution it claims; seeds are fixed, bounds leave a chance of 1e-4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import flambeau as torch
from flambeau.nn import functional as F

COUNT = 20000
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(2024)


def empty(kind: Any) -> Any:
    return torch.empty(COUNT, dtype=kind)


CONTINUOUS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "rand": (lambda kind: torch.rand(COUNT, dtype=kind), stats.uniform()),
    "rand_like": (lambda kind: torch.rand_like(empty(kind)), stats.uniform()),
    "randn": (lambda kind: torch.randn(COUNT, dtype=kind), stats.norm()),
    "randn_like": (lambda kind: torch.randn_like(empty(kind)), stats.norm()),
    "normal": (lambda kind: torch.normal(torch.full((COUNT,), 1.0, dtype=kind), 2.0), stats.norm(1, 2)),
    "uniform_": (lambda kind: empty(kind).uniform_(-1, 3), stats.uniform(-1, 4)),
    "uniform_ symmetric": (lambda kind: empty(kind).uniform_(-2, 2), stats.uniform(-2, 4)),
    "normal_": (lambda kind: empty(kind).normal_(-1, 0.5), stats.norm(-1, 0.5)),
    "exponential_": (lambda kind: empty(kind).exponential_(2.0), stats.expon(scale=0.5)),
    "cauchy_": (lambda kind: empty(kind).cauchy_(1.0, 2.0), stats.cauchy(1, 2)),
    "log_normal_": (lambda kind: empty(kind).log_normal_(0.5, 0.75), stats.lognorm(0.75, scale=np.exp(0.5))),
    "trunc_normal_": (lambda kind: torch.nn.init.trunc_normal_(empty(kind), 0.5, 2.0, -1.0, 3.0),
                      stats.truncnorm(-0.75, 1.25, loc=0.5, scale=2)),
}


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name: str, kind: Any) -> None:
    draw, expected = CONTINUOUS[name]
    drawn = draw(kind)
    assert drawn.dtype is kind
    spacing = torch.finfo(kind).eps  # a rounded number is off by half of it, relatively
    distance = stats.kstest(drawn.double().numpy(), expected.cdf).statistic
    assert distance < stats.kstwo.isf(1e-4, COUNT) + spacing


@pytest.mark.parametrize("kind", FLOATS, ids=str)
def test_uniform_numbers_stay_below_one(kind: Any) -> None:
    for drawn in (torch.rand(COUNT, dtype=kind), empty(kind).uniform_()):
        assert drawn.min().item() >= 0 and drawn.max().item() < 1


def test_another_distribution_would_be_noticed() -> None:
    distance = stats.kstest(torch.randn(COUNT).numpy(), stats.norm(0, 1.1).cdf).statistic
    assert distance > stats.kstwo.isf(1e-4, COUNT)


def frequencies(drawn: Any, low: int, expected: Any) -> bool:
    """A chi-square test of the integers from `low` on against their probabilities; what is beyond counts as one more."""
    counts = np.bincount(drawn.long().numpy() - low, minlength=len(expected) + 1)
    counts = np.append(counts[:len(expected)], counts[len(expected):].sum())
    chances = np.append(expected, 1 - np.sum(expected))
    return bool(stats.chisquare(counts + 0.5, chances * COUNT + 0.5).pvalue > 1e-4)


@pytest.mark.parametrize("kind", [*FLOATS, *INTEGERS], ids=str)
def test_discrete(kind: Any) -> None:
    geometric = empty(kind).geometric_(0.4)
    bernoulli = empty(kind).bernoulli_(0.3)
    by_tensor = empty(kind).bernoulli_(torch.full((COUNT,), 0.3))
    integers = empty(kind).random_(3, 10)
    assert geometric.dtype is bernoulli.dtype is by_tensor.dtype is integers.dtype is kind
    assert frequencies(geometric, 1, stats.geom(0.4).pmf(np.arange(1, 9)))
    assert frequencies(bernoulli, 0, [0.7]) and frequencies(by_tensor, 0, [0.7])
    assert frequencies(integers, 3, [1 / 7] * 6)
    assert frequencies(torch.randint(3, 10, (COUNT,), dtype=kind), 3, [1 / 7] * 6)
    assert frequencies(torch.randint_like(empty(kind), 3, 10), 3, [1 / 7] * 6)


@pytest.mark.parametrize("kind", [*INTEGERS, torch.bool, torch.float16, torch.bfloat16], ids=str)
def test_random_covers_the_dtype(kind: Any) -> None:
    drawn = empty(kind).random_().double().numpy()
    top = {torch.bool: 1, torch.float16: 2**11, torch.bfloat16: 2**8}.get(kind) or torch.iinfo(kind).max
    distance = stats.kstest((drawn + 0.5) / (top + 1), "uniform").statistic if top > 1 else abs(drawn.mean() - 0.5)
    assert distance < stats.kstwo.isf(1e-4, COUNT) + 1 / (top + 1)
    assert drawn.min() >= 0 and drawn.max() <= top


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial(kind: Any, replacement: bool) -> None:
    weights = torch.tensor([1.0, 0.0, 3.0, 4.0], dtype=kind).expand(COUNT, 4)
    first = torch.multinomial(weights, 2, replacement)[:, 0]
    assert frequencies(first, 0, [1 / 8, 0, 3 / 8])


def test_complex_numbers() -> None:
    for kind in (torch.complex64, torch.complex128):
        normal, uniform = torch.randn(COUNT, dtype=kind).numpy(), torch.rand(COUNT, dtype=kind).numpy()
        assert normal.dtype == uniform.dtype == np.dtype(str(kind).split(".")[1])
        for part in (normal.real, normal.imag):
            assert stats.kstest(part, stats.norm(0, 0.5**0.5).cdf).pvalue > 1e-4
        for part in (uniform.real, uniform.imag):
            assert stats.kstest(part, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(normal.real, normal.imag)[0, 1]) < 0.04


def test_dropped_channels() -> None:
    kept = F.feature_alpha_dropout(torch.ones(200, 100, 3), 0.25, True)
    assert bool((kept == kept[:, :, :1]).all())
    assert frequencies((kept[:, :, 0].reshape(-1) < 0).long(), 0, [0.75])


def test_rrelu_slopes_and_gumbel_choices() -> None:
    slopes = -F.rrelu(-torch.ones(COUNT), 0.1, 0.3, training=True)
    assert stats.kstest(slopes.numpy(), stats.uniform(0.1, 0.2).cdf).pvalue > 1e-4
    logits = torch.tensor([0.1, 0.2, 0.7]).log().expand(COUNT, 3)
    assert frequencies(F.gumbel_softmax(logits, hard=True).argmax(-1), 0, [0.1, 0.2])
