"""Samplers against torch: results' shapes and dtypes, and errors, for the same calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau

torch = pytest.importorskip("torch")

CALLS: dict[str, Callable[[Any], Any]] = {
    "rand of sizes": lambda m: m.rand(2, 3, dtype=m.float16, requires_grad=True),
    "rand of a size": lambda m: m.rand(size=(2, 3)),
    "rand out": lambda m: m.rand(2, out=m.empty(2, dtype=m.float64)),
    "rand of a complex type": lambda m: m.rand(2, dtype=m.complex64),
    "rand of integers": lambda m: m.rand(2, dtype=m.int64),
    "rand_like": lambda m: m.rand_like(m.zeros(2, 3), dtype=m.float64, requires_grad=True),
    "rand_like of integers": lambda m: m.rand_like(m.zeros(2, dtype=m.int64)),
    "randn of a size": lambda m: m.randn(size=(2, 3)),
    "randn of a complex type": lambda m: m.randn(2, dtype=m.complex128),
    "randn of a negative size": lambda m: m.randn(2, -1),
    "randint of a bound": lambda m: m.randint(3, (2,)),
    "randint of a named bound": lambda m: m.randint(high=3, size=(2,)),
    "randint of named bounds": lambda m: m.randint(low=1, high=3, size=(2,)),
    "randint out": lambda m: m.randint(0, 3, (2,), out=m.empty(2, dtype=m.int32)),
    "randint of floats": lambda m: m.randint(0, 3, (2,), dtype=m.float16),
    "randint of nothing": lambda m: m.randint(3, 3, (2,)),
    "randint beyond the dtype": lambda m: m.randint(0, 300, (2,), dtype=m.uint8),
    "randint below the dtype": lambda m: m.randint(-1, 3, (2,), dtype=m.uint8),
    "randint_like": lambda m: m.randint_like(m.zeros(2, 3), low=1, high=3),
    "randperm": lambda m: m.randperm(4, dtype=m.int32),
    "randperm out": lambda m: m.randperm(4, out=m.empty(0, dtype=m.int64)),
    "randperm of less than nothing": lambda m: m.randperm(-4),
    "normal of tensors": lambda m: m.normal(m.zeros(2, 3), m.ones(3)),
    "normal of a mean": lambda m: m.normal(m.zeros(2, 3)),
    "normal of a deviation": lambda m: m.normal(2.0, m.ones(3)),
    "normal of numbers": lambda m: m.normal(mean=2.0, std=1.0, size=(2,)),
    "normal of two types": lambda m: m.normal(m.zeros(2, dtype=m.float64), m.ones(2)),
    "normal out": lambda m: m.normal(m.zeros(2), m.ones(2), out=m.empty(2)),
    "normal of integers": lambda m: m.normal(m.zeros(2, dtype=m.int64), 1.0),
    "normal through a gradient": lambda m: m.normal(m.zeros(2, requires_grad=True), 1.0),
    "bernoulli": lambda m: m.bernoulli(m.zeros(3)),
    "bernoulli of a number": lambda m: m.bernoulli(m.zeros(3, dtype=m.int64), 0.5),
    "bernoulli of integers": lambda m: m.bernoulli(m.zeros(3, dtype=m.int64)),
    "bernoulli out": lambda m: m.bernoulli(m.zeros(3), out=m.empty(3, dtype=m.float64)),
    "bernoulli_ of a tensor": lambda m: m.zeros(3, dtype=m.int32).bernoulli_(m.zeros(3)),
    "bernoulli_ of bools": lambda m: m.zeros(3, dtype=m.bool).bernoulli_(0.5),
    "bernoulli_ out of range": lambda m: m.zeros(3).bernoulli_(1.5),
    "multinomial of halves": lambda m: m.multinomial(m.ones(3, dtype=m.float16), 2),
    "multinomial out": lambda m: m.multinomial(m.ones(3), 2, out=m.empty(0, dtype=m.int64)),
    "multinomial of integers": lambda m: m.multinomial(m.ones(3, dtype=m.int64), 2),
    "multinomial of too many": lambda m: m.multinomial(m.ones(3), 4),
    "multinomial of nothing": lambda m: m.multinomial(m.ones(3), 0),
    "poisson of halves": lambda m: m.poisson(m.ones(3, dtype=m.float16)),
    "poisson of bfloat16": lambda m: m.poisson(m.ones(3, dtype=m.bfloat16)),
    "poisson of integers": lambda m: m.poisson(m.ones(3, dtype=m.int64)),
    "binomial": lambda m: m.binomial(m.ones(2, 3).double() * 5, m.ones(2, 3).double() * 0.5),
    "binomial of integers": lambda m: m.binomial(m.ones(3, dtype=m.int64), m.ones(3)),
    "binomial of two types": lambda m: m.binomial(m.ones(3).double(), m.ones(3)),
    "uniform_ to": lambda m: m.zeros(3).uniform_(to=3),
    "uniform_ of integers": lambda m: m.zeros(3, dtype=m.int64).uniform_(),
    "uniform_ of nothing": lambda m: m.zeros(3).uniform_(3, 2),
    "uniform_ beyond the dtype": lambda m: m.zeros(3, dtype=m.float16).uniform_(-7e4, 7e4),
    "normal_ of integers": lambda m: m.zeros(3, dtype=m.int64).normal_(),
    "normal_ of a negative deviation": lambda m: m.zeros(3).normal_(0, -1),
    "exponential_ of rate 0": lambda m: m.zeros(3).exponential_(0),
    "exponential_ of integers": lambda m: m.zeros(3, dtype=m.int64).exponential_(),
    "cauchy_ of scale 0": lambda m: m.zeros(3).cauchy_(0, 0),
    "log_normal_ of deviation 0": lambda m: m.zeros(3).log_normal_(0, 0),
    "log_normal_ of integers": lambda m: m.zeros(3, dtype=m.int64).log_normal_(),
    "geometric_ of integers": lambda m: m.zeros(3, dtype=m.int64).geometric_(0.5),
    "geometric_ of bools": lambda m: m.zeros(3, dtype=m.bool).geometric_(0.5),
    "geometric_ of 1": lambda m: m.zeros(3).geometric_(1),
    "random_ from": lambda m: m.zeros(3).random_(**{"from": 2, "to": 5}),
    "random_ from on": lambda m: m.zeros(3, dtype=m.uint8).random_(2, None),
    "random_ of nothing": lambda m: m.zeros(3).random_(3, 3),
    "random_ beyond the dtype": lambda m: m.zeros(3, dtype=m.uint8).random_(0, 300),
    "random_ below the dtype": lambda m: m.zeros(3, dtype=m.uint8).random_(-1, 3),
    "random_ beyond halves": lambda m: m.zeros(3, dtype=m.float16).random_(0, 100000),
    "dropout of integers": lambda m: m.nn.functional.dropout(m.zeros(2, dtype=m.int64)),
    "dropout of 2": lambda m: m.nn.functional.dropout(m.zeros(2), 2.0),
    "feature_alpha_dropout": lambda m: m.nn.functional.feature_alpha_dropout(m.zeros(2, 3, 4), training=True),
    "gumbel_softmax": lambda m: m.nn.functional.gumbel_softmax(m.zeros(2, 3), tau=0.5, hard=True, dim=0),
    "a seed": lambda m: m.Generator().manual_seed(-3).initial_seed(),
    "a seed that is no integer": lambda m: m.Generator().manual_seed(3.0),
    "an own first seed": lambda m: m.Generator(device="cpu").initial_seed(),
    "a device": lambda m: str(m.Generator("cpu").device),
}


def outcome(m: Any, call: Callable[[Any], Any]) -> Any:
    """What a call gives, as far as it is not random; or its error, to the first 50 letters."""
    try:
        result = call(m)
    except Exception as error:
        return type(error), str(error)[:50]
    if isinstance(result, (int, str)):
        return result
    return tuple(result.shape), str(result.dtype), result.requires_grad


@pytest.mark.parametrize("name", CALLS)
def test_calls_agree(name: str) -> None:
    assert outcome(flambeau, CALLS[name]) == outcome(torch, CALLS[name])


INITIALIZERS = ["uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_",
                "kaiming_normal_", "orthogonal_"]


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers_take_a_generator(name: str) -> None:
    init = getattr(flambeau.nn.init, name)
    first, second = (init(flambeau.empty(4, 5), generator=flambeau.Generator().manual_seed(1)) for _ in range(2))
    assert flambeau.equal(first, second)
    reference = getattr(torch.nn.init, name)(torch.empty(400, 500))
    ours = init(flambeau.empty(400, 500), generator=flambeau.Generator().manual_seed(1))
    assert ours.std().item() == pytest.approx(reference.std().item(), rel=0.02)


def test_sparse_initializer_takes_a_generator() -> None:
    first, second = (flambeau.nn.init.sparse_(flambeau.empty(40, 5), 0.25, generator=flambeau.Generator().manual_seed(1))
                     for _ in range(2))
    assert flambeau.equal(first, second) and bool(((first == 0).sum(0) == 10).all())
